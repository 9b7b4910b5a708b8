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

use crate::app::{App, Served, Serving};
use crate::function::ErasedHandler;
use crate::manifest::SDK;
use crate::port::{Missing, Outbound};
use crate::replay::call::Replay;
use crate::replay::drive::{self, Course, Drive, Journal};
use crate::replay::link::{Addresses, Link};
use crate::signature::{self, Claims, DISCOVER, Expected};
use crate::wire::{Answer, EntryState, Invocation, PROTOCOL, Written};

/// The largest body of a request and of an answer, in bytes: the protocol's default.
pub(crate) const BYTES_MAX: usize = 32 * 1024 * 1024;

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

/// An invocation that has been accepted.
pub(crate) struct Invoked {
    served: Arc<Served>,
    invocation: Invocation,
    handler: ErasedHandler,
    limit: Duration,
}

/// Where an answer can go whose connection is gone.
#[cfg(feature = "axum")]
pub(crate) struct Late {
    pub(crate) outbound: Arc<Outbound>,
    pub(crate) url: Arc<str>,
    pub(crate) token: Arc<str>,
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
/// not stream; [`App::host_limit`] says how long the host lets a request take. It needs a tokio runtime with time enabled,
/// and with I/O, unless the app goes without [`App::outbound`].
#[derive(Clone)]
pub struct Endpoint {
    served: Arc<Served>,
}

impl App {
    /// The app for a host without an adapter.
    pub fn endpoint(self) -> Endpoint {
        Endpoint { served: self.serve(Serving { streams: false, linger: Duration::ZERO, bytes_max: BYTES_MAX }) }
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
                Reply { status: StatusCode::OK, headers, body: invoked.answer().await.bytes }
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
        self.problem(Code::TooLarge, &format!("the body is larger than {} bytes", self.bytes_max))
    }

    /// Status and headers of an invocation's answer.
    pub(crate) fn answer_headers(&self) -> HeaderMap {
        self.headers(JSON)
    }

    fn decide(self: &Arc<Self>, request: &Request) -> Result<Outcome, (Code, String)> {
        if request.body.len() > self.bytes_max {
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
        if invocation.links.journal.is_some() && self.outbound.is_none() {
            let detail = "the journal was cut, but this app's manifest says `outbound: false`".to_owned();
            return Err((Code::Protocol, detail));
        }
        let limit = function.manifest.timeouts.invocation.unwrap_or(INVOCATION_DEFAULT);
        let limit = self.app.host_limit.map_or(limit, |host| host.min(limit));
        let (served, handler) = (Arc::clone(self), Arc::clone(&function.handler));
        Ok(Outcome::Invocation(Box::new(Invoked { served, invocation, handler, limit })))
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
    /// Ends it this long from now at the latest.
    #[cfg(feature = "lambda")]
    pub(crate) fn within(mut self, limit: Duration) -> Invoked {
        self.limit = self.limit.min(limit);
        self
    }

    /// Runs the handler as far as it goes and gives the answer.
    pub(crate) async fn answer(self) -> Written {
        let (limit, bytes_max) = (self.limit, self.served.bytes_max);
        let answer = match self.drive().await {
            Ok(mut drive) => match tokio::time::timeout(limit, &mut drive).await {
                Ok(answer) => answer,
                Err(_) => drive.overdue(),
            },
            Err(answer) => answer,
        };
        answer.write(bytes_max)
    }

    /// Where the answer can go if its connection is gone.
    #[cfg(feature = "axum")]
    pub(crate) fn late(&self) -> Option<Late> {
        let outbound = Arc::clone(self.served.outbound.as_ref()?);
        let url = self.invocation.links.checkpoint.as_deref()?.into();
        Some(Late { outbound, url, token: Arc::from(self.invocation.token.as_str()) })
    }

    /// The handler, ready to be driven, with its whole journal; or the answer that says why not.
    async fn drive(self) -> Result<Drive, Answer> {
        let Invoked { served, mut invocation, handler, limit } = self;
        let links = std::mem::take(&mut invocation.links);
        let token: Arc<str> = Arc::from(invocation.token.as_str());
        let outbound = served.outbound.as_ref();
        let mut journal = None;
        if let (Some(url), Some(outbound)) = (links.journal, outbound) {
            complete(&mut invocation, outbound, &url, &token).await?;
            journal = Some(Journal { outbound: Arc::clone(outbound), url, token });
        }
        let link = match (links.checkpoint, outbound) {
            (Some(url), Some(outbound)) if outbound.is_open() => {
                let addresses = Addresses { alone: url.into(), together: links.reports.map(Arc::from) };
                Some(Link::new(Arc::clone(outbound), addresses, &invocation.token, served.linger))
            }
            _ => None,
        };
        let input = invocation.input.clone();
        let replay = Replay::new(invocation, served.app.host());
        let drain = served.app.invocations.drained();
        let course = Course { link, journal, limit, bytes_max: served.bytes_max, drain };
        Ok(Drive::new(replay, handler, input, course))
    }
}

/// Fetches what the body had to leave out of the journal.
async fn complete(
    invocation: &mut Invocation,
    outbound: &Outbound,
    link: &str,
    token: &Arc<str>,
) -> Result<(), Answer> {
    let seqs = invocation.journal.iter().filter_map(|entry| match entry.state {
        EntryState::Settled { seq, .. } => Some(seq),
        EntryState::Pending | EntryState::Run { .. } => None,
    });
    let (least, greatest) = (seqs.clone().min(), seqs.max().unwrap_or(0));
    // The oldest entry is there: nothing but outcomes was left out.
    let Some(before) = least.filter(|least| *least > 1) else { return Ok(()) };
    let terminal = match outbound.older(link, &invocation.run.id, token, before).await {
        Ok(mut journal) => {
            journal.append(&mut invocation.journal);
            invocation.journal = journal;
            return Ok(());
        }
        Err(Missing::Stale) => None,
        Err(Missing::Failed(why)) => Some(drive::unavailable(&why)),
    };
    Err(Answer { token: invocation.token.clone(), seen: greatest, ops: Vec::new(), terminal, awaiting: Vec::new() })
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
