//! Makes one invocation: builds the body, signs it, sends it, and turns whatever comes back into an answer.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use tokio::sync::watch;

use super::Invoker;
use super::client::{Bounds, CallError, HttpClient};
use super::drift::Drift;
use super::response::{Asked, answer, is_answer};
use super::wire::Wire;
use crate::auth::{Claims, RunSecrets, Signer};
use crate::clock::Clock;
use crate::dialect::native::{Access, DeploymentHeader, EncodeError, Invocation, VERSION, encode, headers};
use crate::limits::{ANSWER_BYTES_MAX, INVOCATION_MS, SILENCE_MS_MAX};
use crate::model::{Answer, Deployment, Problem, ProblemCode, Registry, Snapshot, Span, Token, derive};

/// What every request says of its sender.
pub(super) const AGENT: HeaderValue = HeaderValue::from_static(concat!("backstitch/", env!("CARGO_PKG_VERSION")));

/// Calls handlers over HTTP.
#[derive(Clone)]
pub struct HttpInvoker {
    shared: Arc<Shared>,
}

struct Shared {
    client: HttpClient,
    signer: Arc<Signer>,
    secrets: Arc<RunSecrets>,
    registry: watch::Receiver<Arc<Registry>>,
    drift: Drift,
    clock: Arc<dyn Clock>,
    wire: Option<Arc<Wire>>,
}

impl HttpInvoker {
    /// An invoker. The registry is where the extra headers of apps stand; `clock` tells the real time; `wire` keeps what is
    /// sent and comes back, where somebody wants to look at it.
    pub fn new(
        client: HttpClient,
        signer: Arc<Signer>,
        secrets: Arc<RunSecrets>,
        registry: watch::Receiver<Arc<Registry>>,
        drift: Drift,
        clock: Arc<dyn Clock>,
        wire: Option<Arc<Wire>>,
    ) -> HttpInvoker {
        HttpInvoker { shared: Arc::new(Shared { client, signer, secrets, registry, drift, clock, wire }) }
    }
}

impl Invoker for HttpInvoker {
    fn invoke(&self, snapshot: Snapshot, deployment: Arc<Deployment>) -> BoxFuture<'static, Answer> {
        let shared = Arc::clone(&self.shared);
        async move { shared.invoke(&snapshot, &deployment).await }.boxed()
    }
}

impl Shared {
    async fn invoke(&self, snapshot: &Snapshot, deployment: &Deployment) -> Answer {
        let limits = &deployment.manifest.limits;
        let (secret, token) = (self.secrets.of(snapshot.head.id), self.secrets.seal(snapshot.token));
        let home = self.registry.borrow().home.url_for(deployment).map(str::to_owned);
        let access = Access { secret: &secret, token: &token, home: home.as_deref() };
        let invocation = match encode(snapshot, access, limits.request_bytes) {
            Ok(invocation) => invocation,
            Err(error @ EncodeError::TooLarge { .. }) => return problem(ProblemCode::TooLarge, error.to_string()),
            Err(error @ EncodeError::Corrupt(_)) => return problem(ProblemCode::Protocol, error.to_string()),
        };
        let seen = invocation.seen;
        let body = invocation.body.clone();
        let request = match self.request(snapshot, deployment, &token, invocation) {
            Ok(request) => request,
            Err(detail) => return problem(ProblemCode::Protocol, detail),
        };
        let bytes_max = usize::try_from(limits.response_bytes).unwrap_or(usize::MAX).min(ANSWER_BYTES_MAX);
        let bounds = Bounds {
            total: longest(snapshot, deployment),
            silence: limits.streams.then(|| Duration::from_millis(SILENCE_MS_MAX)),
            bytes: bytes_max,
        };
        let kept = self.wire.as_ref().map(|wire| (wire, wire.sent(&snapshot.head, &request, &body, self.clock.wall())));
        // What is kept is kept in full; a body that nobody keeps is not held longer than the client needs it.
        drop(body);
        let called = self.client.call(request, bounds, is_answer).await;
        if let Some((wire, number)) = kept {
            wire.ended(number, &called, self.clock.wall());
        }
        if let Ok(response) = &called {
            self.watch_for_drift(&response.headers, deployment);
        }
        if let Err(CallError::NotReached(reason) | CallError::Lost(reason) | CallError::Forbidden(reason)) = &called {
            tracing::debug!(run.id = %snapshot.head.id, deployment = %deployment.id, reason, "an invocation had no answer");
        }
        let asked = Asked { token: &token, seen, url: &deployment.url, bytes_max, now: self.clock.wall() };
        answer(called, &asked)
    }

    fn request(
        &self,
        snapshot: &Snapshot,
        deployment: &Deployment,
        token: &str,
        invocation: Invocation,
    ) -> Result<Request<Full<Bytes>>, String> {
        let head = &snapshot.head;
        let uri = invocation_uri(&deployment.url, &head.function.function)?;
        let subject = head.id.to_string();
        let claims =
            Claims { app: &head.function.app, subject: &subject, invocation: Some(token), body: &invocation.body };
        let signature = self.signer.sign(claims).map_err(|error| error.to_string())?;
        let mut request = Request::new(Full::new(invocation.body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let map = request.headers_mut();
        self.app_headers(&head.function.app, map);
        map.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        map.insert(HeaderName::from_static("traceparent"), traceparent(&snapshot.token));
        common_headers(map, signature.as_deref())?;
        Ok(request)
    }

    fn app_headers(&self, app: &str, map: &mut HeaderMap) {
        let registry = self.registry.borrow();
        extra_headers(registry.apps.get(app).map_or(&[], |app| &app.headers), map);
    }

    /// The manifest that is registered may be another than the one that answers.
    fn watch_for_drift(&self, map: &HeaderMap, deployment: &Deployment) {
        let header =
            map.get(headers::DEPLOYMENT).and_then(|value| value.to_str().ok()).and_then(DeploymentHeader::parse);
        if header.is_some_and(|header| header.hash != deployment.manifest.hash) {
            self.drift.report(&deployment.app);
        }
    }
}

/// Headers that every request to an app has.
pub(super) fn common_headers(map: &mut HeaderMap, signature: Option<&str>) -> Result<(), String> {
    map.insert(USER_AGENT, AGENT);
    map.insert(HeaderName::from_static(headers::PROTOCOL), HeaderValue::from(VERSION));
    if let Some(signature) = signature {
        let value = HeaderValue::try_from(format!("Bearer {signature}")).map_err(|error| error.to_string())?;
        map.insert(AUTHORIZATION, value);
    }
    Ok(())
}

/// The headers of an app's owner. They were checked when the app was registered; what is none is left out.
pub(super) fn extra_headers(headers: &[(String, String)], map: &mut HeaderMap) {
    for (name, value) in headers {
        if let (Ok(name), Ok(mut value)) = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            value.set_sensitive(true);
            map.append(name, value);
        }
    }
}

/// The deployment's URL with the function in its query, for access logs.
fn invocation_uri(url: &str, function: &str) -> Result<Uri, String> {
    let separator = if url.contains('?') { '&' } else { '?' };
    let encoded = url::form_urlencoded::byte_serialize(function.as_bytes());
    let text: String = [url, if separator == '&' { "&fn=" } else { "?fn=" }].into_iter().chain(encoded).collect();
    Uri::try_from(text)
        .map_err(|error| format!("the deployment's URL cannot be called ({error}); register the app again"))
}

/// How long the handler may take, by the function's own word or the server's.
fn longest(snapshot: &Snapshot, deployment: &Deployment) -> Duration {
    let config = deployment.function(&snapshot.head.function.function);
    config.and_then(|config| config.invocation_timeout).unwrap_or(Span(INVOCATION_MS)).std()
}

/// A W3C trace context whose trace is the run, so that all invocations of a run are one trace.
fn traceparent(token: &Token) -> HeaderValue {
    let span = derive(&[&token.epoch.to_be_bytes(), &token.counter.to_be_bytes(), &token.run.to_bytes()]);
    let text = format!("00-{:032x}-{:016x}-01", token.run.0.max(1), span.max(1));
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("00"))
}

fn problem(code: ProblemCode, detail: String) -> Answer {
    Answer::Problem(Problem { code, detail })
}
