//! An app behind HTTP, whatever the host: a request in, a reply out.
//!
//! Checks the signature before it looks into a body, answers discovery, runs invocations. What the user's function does,
//! including its errors and panics, is an answer with status 200; only what is not the function's is a problem, typed as
//! `docs/reference/protocol.md` says. Hosts (`serve/`) turn their requests into `Request` and `Reply` into theirs.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Serialize;

use crate::app::{App, Served};
use crate::context::Ctx;
use crate::error::Failure;
use crate::manifest::SDK;
use crate::replay::call::Replay;
use crate::replay::drive::Drive;
use crate::signature::{self, Claims, DISCOVER, Expected};
use crate::wire::{Answer, Invocation, PROTOCOL, Terminal};

/// The largest request body, in bytes: the protocol's default.
pub(crate) const REQUEST_BYTES_MAX: usize = 32 * 1024 * 1024;

/// The largest answer, in bytes: the protocol's default.
pub(crate) const RESPONSE_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How long one invocation may take where the function does not say.
const INVOCATION_DEFAULT: Duration = Duration::from_secs(15 * 60);

const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";

/// A request with its whole body.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A response with its whole body.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// What a request leads to.
pub(crate) enum Outcome {
    /// A reply, at once.
    Reply(Reply),
    /// An invocation, which may be slow: its status and headers are known, its body is to come.
    Invocation(Box<Invoked>),
}

/// An invocation under way.
pub(crate) struct Invoked {
    drive: Drive,
    replay: Arc<Replay>,
    limit: Duration,
}

/// The kinds of problems that the server knows.
#[derive(Clone, Copy)]
enum Code {
    Signature,
    UnknownFunction,
    Protocol,
    Method,
    TooLarge,
    Sdk,
}

/// An app for hosts that have no adapter here: whole requests in, whole responses out.
///
/// ```
/// use backstitch::App;
/// use bytes::Bytes;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let endpoint = App::new("shop").keys("").dev(true).endpoint();
/// let response = endpoint.handle(http::Request::get("/").body(Bytes::new()).unwrap()).await;
/// assert_eq!(response.status(), 200);
/// # }
/// ```
///
/// The answer to an invocation is there only when its handler has come to rest, so the manifest says that this host does
/// not stream. It needs a tokio runtime with time enabled.
#[derive(Clone)]
pub struct Endpoint {
    served: Arc<Served>,
}

impl App {
    /// The app for a host without an adapter.
    pub fn endpoint(self) -> Endpoint {
        Endpoint { served: self.serve(false) }
    }
}

impl Endpoint {
    /// Answers a request.
    pub async fn handle(&self, request: http::Request<Bytes>) -> http::Response<Bytes> {
        let (head, body) = request.into_parts();
        let request = Request { method: head.method, headers: head.headers, body };
        let reply = match self.served.accept(&request) {
            Outcome::Reply(reply) => reply,
            Outcome::Invocation(invoked) => {
                let headers = self.served.answer_headers();
                Reply { status: StatusCode::OK, headers, body: invoked.answer().await }
            }
        };
        let mut response = http::Response::new(reply.body);
        *response.status_mut() = reply.status;
        *response.headers_mut() = reply.headers;
        response
    }
}

impl Served {
    /// Decides about a request. Runs nothing of the user's yet.
    pub(crate) fn accept(self: &Arc<Self>, request: &Request) -> Outcome {
        match self.decide(request) {
            Ok(outcome) => outcome,
            Err((code, detail)) => Outcome::Reply(self.problem(code, &detail)),
        }
    }

    /// The reply to a request whose body the host would not read.
    pub(crate) fn too_large(&self) -> Reply {
        self.problem(Code::TooLarge, &format!("the body is larger than {REQUEST_BYTES_MAX} bytes"))
    }

    /// Status and headers of an invocation's answer.
    pub(crate) fn answer_headers(&self) -> HeaderMap {
        self.headers(JSON)
    }

    fn decide(self: &Arc<Self>, request: &Request) -> Result<Outcome, (Code, String)> {
        if request.body.len() > REQUEST_BYTES_MAX {
            return Ok(Outcome::Reply(self.too_large()));
        }
        match request.method {
            Method::GET if is_browser(&request.headers) => Ok(Outcome::Reply(self.greeting())),
            Method::GET => {
                if let Some(claims) = self.verify(request)? {
                    claims.check_subject(DISCOVER, None).map_err(|reason| (Code::Signature, reason))?;
                }
                self.check_fitness()?;
                Ok(Outcome::Reply(self.discovery()))
            }
            Method::POST => self.invocation(request),
            _ => Err((Code::Method, "an app takes GET (discovery) and POST (invocations)".to_owned())),
        }
    }

    fn invocation(self: &Arc<Self>, request: &Request) -> Result<Outcome, (Code, String)> {
        let claims = self.verify(request)?;
        self.check_fitness()?;
        check_version(&request.headers)?;
        let invocation = Invocation::parse(&request.body).map_err(|reason| (Code::Protocol, reason))?;
        if let Some(claims) = claims {
            let subject = claims.check_subject(&invocation.run.id, Some(&invocation.token));
            subject.map_err(|reason| (Code::Signature, reason))?;
        }
        if invocation.run.app != self.app.id {
            let detail = format!("this is the app `{}`, not `{}`", self.app.id, invocation.run.app);
            return Err((Code::UnknownFunction, detail));
        }
        let Some(function) = self.app.functions.get(&invocation.run.function) else {
            let detail = format!("the app `{}` has no function `{}`", self.app.id, invocation.run.function);
            return Err((Code::UnknownFunction, detail));
        };
        let input = invocation.input.clone();
        let replay = Replay::new(invocation, self.app.clock.clone());
        let handler = Arc::clone(&function.handler);
        let ctx = Ctx::new(Arc::clone(&replay));
        let drive = Drive::new(Arc::clone(&replay), Box::pin(async move { handler(ctx, input).await }));
        let limit = function.manifest.timeouts.invocation.unwrap_or(INVOCATION_DEFAULT);
        Ok(Outcome::Invocation(Box::new(Invoked { drive, replay, limit })))
    }

    /// The verified token's claims; none where unsigned requests are accepted.
    fn verify(&self, request: &Request) -> Result<Option<Claims>, (Code, String)> {
        let keys = match &self.app.config.keys {
            Ok(keys) => keys,
            Err(reason) => return Err((Code::Signature, reason.clone())),
        };
        if keys.is_empty() {
            return if self.app.config.dev { Ok(None) } else { Err((Code::Signature, self.how_to_get_a_key())) };
        }
        let expected = Expected { app: &self.app.id, body: &request.body, now: self.app.clock.now() };
        let authorization = request.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let verified = signature::verify(keys, authorization, &expected);
        verified.map(Some).map_err(|reason| (Code::Signature, reason))
    }

    fn check_fitness(&self) -> Result<(), (Code, String)> {
        match self.app.defects.first() {
            Some(defect) => Err((Code::Sdk, defect.clone())),
            None => Ok(()),
        }
    }

    fn how_to_get_a_key(&self) -> String {
        format!(
            "the app `{}` has no key: set BACKSTITCH_KEY=bsk_... to the key that the server shows for it, or \
             BACKSTITCH_DEV=1 on your own machine",
            self.app.id
        )
    }

    fn discovery(&self) -> Reply {
        let mut headers = self.headers(JSON);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Reply { status: StatusCode::OK, headers, body: Bytes::copy_from_slice(&self.manifest.json) }
    }

    fn greeting(&self) -> Reply {
        let text = "A Backstitch app lives here. Its server calls it: register this address there.\n";
        Reply { status: StatusCode::OK, headers: self.headers(TEXT), body: Bytes::from_static(text.as_bytes()) }
    }

    fn problem(&self, code: Code, detail: &str) -> Reply {
        #[derive(Serialize)]
        struct Problem<'a> {
            r#type: &'static str,
            title: &'static str,
            status: u16,
            code: &'static str,
            detail: &'a str,
        }
        let (status, title, code) = code.parts();
        let problem = Problem { r#type: "about:blank", title, status: status.as_u16(), code, detail };
        let body = serde_json::to_vec(&problem).expect("a problem is text and a number");
        Reply { status, headers: self.headers("application/problem+json"), body: Bytes::from(body) }
    }

    fn headers(&self, content_type: &'static str) -> HeaderMap {
        let mut headers = HeaderMap::with_capacity(4);
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        headers.insert("backstitch-sdk", HeaderValue::from_static(SDK));
        // A version that is no header is left out rather than answered with a failure.
        if let Ok(deployment) = HeaderValue::from_str(&self.manifest.deployment) {
            headers.insert("backstitch-deployment", deployment);
        }
        headers
    }
}

impl Invoked {
    /// Runs the handler as far as it goes and gives the answer's bytes.
    pub(crate) async fn answer(self) -> Bytes {
        let Invoked { mut drive, replay, limit } = self;
        let answer = match tokio::time::timeout(limit, &mut drive).await {
            Ok(answer) => answer,
            Err(_) => overdue(drive, &replay, limit),
        };
        Bytes::from(answer.write(RESPONSE_BYTES_MAX))
    }
}

/// The handler awaits something of its own, or a body hangs: what is done goes out, the rest is tried again.
fn overdue(drive: Drive, replay: &Replay, limit: Duration) -> Answer {
    let open = replay.core().open_ids();
    let what = if open.is_empty() {
        "a future that is not Backstitch's: put it into a step".to_owned()
    } else {
        format!("`{}`", open.join("`, `"))
    };
    let message = format!("the invocation took longer than {limit:?}; it was waiting for {what}");
    let answer = replay.core().answer(Some(Terminal::Fail(Failure::new("Timeout".to_owned(), message, true))));
    drop(drive);
    answer
}

impl Code {
    fn parts(self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Code::Signature => (StatusCode::UNAUTHORIZED, "The request is not signed as it must be", "signature"),
            Code::UnknownFunction => (StatusCode::NOT_FOUND, "There is no such function", "unknown_function"),
            Code::Protocol => (StatusCode::BAD_REQUEST, "The request breaks the protocol", "protocol"),
            Code::Method => (StatusCode::METHOD_NOT_ALLOWED, "The method is not allowed", "protocol"),
            Code::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "The body is too large", "too_large"),
            Code::Sdk => (StatusCode::INTERNAL_SERVER_ERROR, "The app cannot serve", "sdk"),
        }
    }
}

fn is_browser(headers: &HeaderMap) -> bool {
    let accepts_html = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accepts_html.is_some_and(|accept| accept.contains("text/html")) && !headers.contains_key(header::AUTHORIZATION)
}

fn check_version(headers: &HeaderMap) -> Result<(), (Code, String)> {
    let version = headers.get("backstitch-protocol").and_then(|version| version.to_str().ok());
    if version.and_then(|version| version.parse().ok()) == Some(PROTOCOL) {
        return Ok(());
    }
    let said = version.unwrap_or("none");
    Err((Code::Protocol, format!("this SDK speaks version {PROTOCOL} of the protocol, the request says `{said}`")))
}
