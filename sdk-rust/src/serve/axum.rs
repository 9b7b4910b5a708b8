//! An app as an axum router and as a tower service.
//!
//! An answer that takes longer than 5 s begins then: status and headers, and a newline every 10 s until the JSON is there,
//! so that nothing between cuts a connection on which nothing moves. White space before JSON is legal.
//!
//! An invocation that can report to the server is a task of its own. When its connection closes it goes on, and brings its
//! answer to the server itself.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use axum::routing::any_service;
use axum::{BoxError, Router};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt, stream};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::app::{App, Served, Serving};
use crate::endpoint::{self, BYTES_MAX, Outcome};
use crate::serve::late::{self, Parcel};

/// How long an answer may take before its headers are sent.
const QUIET_MAX: Duration = Duration::from_secs(5);

/// How long an invocation that has nothing to do stays open for what may come soon.
const LINGER: Duration = Duration::from_secs(1);

/// How often a newline is sent from then on.
const BEAT: Duration = Duration::from_secs(10);

impl App {
    /// The app as a router that answers at `/` and at `/api/backstitch`; nest it wherever it should live.
    ///
    /// ```no_run
    /// # use backstitch::App;
    /// # async fn main_of_an_app(app: App) -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// axum::serve(listener, app.router()).await
    /// # }
    /// ```
    pub fn router(self) -> Router {
        let service = self.service();
        Router::new().route("/", any_service(service.clone())).route("/api/backstitch", any_service(service))
    }

    /// The app as a tower service that answers at whatever path it is called.
    pub fn service(self) -> Service {
        Service { served: self.serve(Serving { streams: true, linger: LINGER, bytes_max: BYTES_MAX }) }
    }
}

/// An app as a tower service. Cloning it is cheap.
#[derive(Clone)]
pub struct Service {
    served: Arc<Served>,
}

impl<B> tower_service::Service<Request<B>> for Service
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let served = Arc::clone(&self.served);
        Box::pin(async move { Ok(respond(served, request).await) })
    }
}

async fn respond<B>(served: Arc<Served>, request: Request<B>) -> Response<Body>
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, BYTES_MAX).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return reply(served.too_large()),
        // Whoever sent half a body is gone: nobody reads this.
        Err(_) => return status(StatusCode::BAD_REQUEST),
    };
    let request = endpoint::Request { method: head.method, headers: head.headers, body };
    let invoked = match served.accept(&request) {
        Outcome::Reply(whole) => return reply(whole),
        Outcome::Invocation(invoked) => invoked,
    };
    drop(request);
    let mut answer = late::answer(&served.app.invocations, *invoked);
    let body = match tokio::time::timeout(QUIET_MAX, &mut answer).await {
        Ok(parcel) => Body::new(parcel),
        Err(_) => slow_body(answer),
    };
    let mut response = Response::new(body);
    *response.headers_mut() = served.answer_headers();
    response
}

/// A newline now and every [`BEAT`], then the answer. Dropped with the connection.
fn slow_body(answer: BoxFuture<'static, Parcel>) -> Body {
    let rest = stream::unfold(Some(answer), async |waiting| {
        let mut answer = waiting?;
        match tokio::time::timeout(BEAT, &mut answer).await {
            Ok(parcel) => Some((parcel.open(), None)),
            Err(_) => Some((NEWLINE, Some(answer))),
        }
    });
    let chunks = stream::once(async { NEWLINE }).chain(rest);
    Body::from_stream(chunks.map(Ok::<_, Infallible>))
}

const NEWLINE: Bytes = Bytes::from_static(b"\n");

fn reply(whole: endpoint::Reply) -> Response<Body> {
    let mut response = Response::new(Body::from(whole.body));
    *response.status_mut() = whole.status;
    *response.headers_mut() = whole.headers;
    response
}

fn status(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
