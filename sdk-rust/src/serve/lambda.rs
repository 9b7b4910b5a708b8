//! An app as a function of AWS Lambda, in Lambda's own runtime for Rust.
//!
//! It takes the requests of a Function URL, of API Gateway in both payload formats, of a load balancer, and direct invocations
//! in the shape of format 2.0. The instance is frozen after each response, so nothing is done then; and nothing is begun that
//! the time left does not allow.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use http::Response;
use lambda_http::request::RequestContext;
use lambda_http::{Body, Error, Request, RequestExt, service_fn};

use crate::app::{App, Served, Serving};
use crate::endpoint::{self, Outcome};

/// The largest body, in bytes: Lambda carries 6 MB of JSON, in which each byte of a body that is JSON may take two.
const BYTES_MAX: usize = 3_000_000;

/// What is kept back of the time, so that the answer still gets out.
const RESERVE: Duration = Duration::from_secs(2);

/// When API Gateway answers in the place of a REST API's function, unless the account's quota was raised.
const REST_API: Duration = Duration::from_secs(29);

/// When API Gateway answers in the place of an HTTP API's function.
const HTTP_API: Duration = Duration::from_secs(30);

/// What a request may have behind it when it arrives, which is a cold start: more means that clocks differ.
const COLD_START_MAX: Duration = Duration::from_secs(15);

impl App {
    /// Serves the app as a function of AWS Lambda, for as long as the instance lives. Fails where Lambda's runtime does not
    /// answer. Behind a gateway whose limit was raised, say so by [`App::host_limit`].
    ///
    /// ```no_run
    /// # use backstitch::App;
    /// # fn app() -> App { App::new("shop") }
    /// #[tokio::main(flavor = "current_thread")]
    /// async fn main() -> Result<(), backstitch::LambdaError> {
    ///     app().lambda().await
    /// }
    /// ```
    pub async fn lambda(self) -> Result<(), Error> {
        let served = self.serve(Serving { streams: false, linger: Duration::ZERO, bytes_max: BYTES_MAX });
        let answer = |request| {
            let served = Arc::clone(&served);
            async move { Ok::<_, Infallible>(respond(&served, request).await) }
        };
        lambda_http::run(service_fn(answer)).await
    }
}

async fn respond(served: &Arc<Served>, request: Request) -> Response<Body> {
    let remaining = remaining(served, &request);
    let (head, body) = request.into_parts();
    let body = match body {
        Body::Text(text) => Bytes::from(text),
        Body::Binary(bytes) => Bytes::from(bytes),
        _ => Bytes::new(),
    };
    let request = endpoint::Request { method: head.method, headers: head.headers, body };
    let (status, headers, body) = match served.accept(&request) {
        Outcome::Reply(reply) => (reply.status, reply.headers, reply.body),
        Outcome::Invocation(invoked) => {
            let answer = invoked.within(remaining.saturating_sub(RESERVE)).answer().await;
            (http::StatusCode::OK, served.answer_headers(), answer.bytes)
        }
    };
    let mut response = Response::new(Body::from(Vec::from(body)));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What is left until Lambda, or what stands before it, ends the request.
fn remaining(served: &Served, request: &Request) -> Duration {
    let now = served.app.clock.now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
    let function = request.lambda_context_ref().map_or(Duration::MAX, |context| until(context.deadline, now));
    let outside = served.app.host_limit.or_else(|| gateway(request, now)).unwrap_or(Duration::MAX);
    function.min(outside)
}

/// What is left until a gateway answers in the function's place. A Function URL waits as long as its function does, and so does
/// whoever invokes it directly; a load balancer only minds silence.
fn gateway(request: &Request, now: u64) -> Option<Duration> {
    let (limit, begun) = match request.request_context_ref()? {
        RequestContext::ApiGatewayV1(context) => (REST_API, context.request_time_epoch),
        RequestContext::ApiGatewayV2(context) => {
            let domain = context.domain_name.as_deref()?;
            (!domain.contains(".lambda-url.")).then_some((HTTP_API, context.time_epoch))?
        }
        _ => return None,
    };
    let passed = u64::try_from(begun).map_or(Duration::ZERO, |begun| until(now, begun));
    Some(limit.saturating_sub(passed.min(COLD_START_MAX)))
}

/// From one time to another, both in milliseconds since 1970.
fn until(end: u64, now: u64) -> Duration {
    Duration::from_millis(end.saturating_sub(now))
}
