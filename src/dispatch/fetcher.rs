//! Makes one HTTP call that a run asked for, through the same connections and the same egress policy as invocations. It reads
//! no more than can be kept, follows no redirect, and says nothing of headers, bodies and queries but to the run itself.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::header::{ACCEPT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use serde::{Deserialize, Serialize};

use super::Fetcher;
use super::client::{Body, Bounds, CallError, HttpClient, Response};
use super::invoker::AGENT;
use super::response::{describe, retry_after};
use super::target::{address_shown, url_of_at_most};
use crate::clock::Clock;
use crate::limits::{EXCERPT_BYTES_MAX, FETCH_MS, FETCH_URL_BYTES_MAX, OUTCOME_BYTES_MAX};
use crate::model::{BodyEncoding, Failure, FetchCall, FetchEnd, FetchOptions, FetchRequest, Payload, Span, names};

/// What tells repeats of a request from another one (an Internet-Draft of the IETF, and the habit of payment APIs).
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// Headers that belong to the connection and not to the request, or that follow from the body.
const RESERVED: [&str; 11] = [
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "upgrade",
    "te",
    "trailer",
    "expect",
];

/// Makes calls over HTTP.
#[derive(Clone)]
pub struct HttpFetcher {
    client: HttpClient,
    clock: Arc<dyn Clock>,
}

impl HttpFetcher {
    /// A fetcher. `clock` tells the real time.
    pub fn new(client: HttpClient, clock: Arc<dyn Clock>) -> HttpFetcher {
        HttpFetcher { client, clock }
    }
}

impl Fetcher for HttpFetcher {
    fn fetch(&self, call: FetchCall) -> BoxFuture<'static, FetchEnd> {
        let own = self.clone();
        async move { own.make(&call).await }.boxed()
    }
}

/// How a call without an answer ended, as its failure's code says it.
#[derive(Clone, Copy, Debug)]
enum Code {
    /// It cannot be made as it was asked for.
    Invalid,
    /// The egress policy does not allow it.
    Forbidden,
    /// Nobody got it.
    Unreachable,
    /// Somebody may have got it.
    Lost,
}

impl HttpFetcher {
    async fn make(&self, call: &FetchCall) -> FetchEnd {
        let (request, url, timeout) = match prepared(call) {
            Ok(prepared) => prepared,
            Err(problem) => return failed(Code::Invalid, problem),
        };
        let bounds = Bounds { total: timeout, silence: None, bytes: OUTCOME_BYTES_MAX };
        let called = self.client.call(request, bounds, |_, _| true).await;
        let address = address_shown(&url);
        match called {
            Ok(response) => {
                let after = retry_after(&response.headers, self.clock.wall());
                answered(response, &url, after)
            }
            Err(error) => {
                let (code, reason) = match error {
                    CallError::Forbidden(reason) => (Code::Forbidden, reason),
                    CallError::NotReached(reason) => (Code::Unreachable, reason),
                    CallError::Lost(reason) => (Code::Lost, reason),
                };
                tracing::debug!(run.id = %call.token.run, entry.id = %call.entry, reason, "a call for a run had no answer");
                failed(code, format!("{address}: {reason}"))
            }
        }
    }
}

/// The request to send, with its URL and the time that it may take.
fn prepared(call: &FetchCall) -> Result<(Request<Full<Bytes>>, String, Duration), String> {
    #[derive(Deserialize)]
    struct Params {
        request: FetchRequest,
    }
    let unreadable = |error: crate::model::PayloadError| format!("the request cannot be read: {error}");
    let Params { request } = call.params.read().map_err(unreadable)?;
    let options: FetchOptions = call.params.read().map_err(unreadable)?;
    let url = url_of_at_most(FETCH_URL_BYTES_MAX, &request.url).map_err(|error| error.to_string())?;
    let method = request.method.as_deref().unwrap_or("GET");
    let method = Method::from_bytes(method.as_bytes()).map_err(|_| format!("`{method}` is no method"))?;
    let body = match (request.body, request.encoding) {
        (None, _) => Bytes::new(),
        (Some(text), BodyEncoding::Utf8) => text.into(),
        (Some(text), BodyEncoding::Base64) => {
            STANDARD.decode(text).map_err(|error| format!("the body is not base64: {error}"))?.into()
        }
    };
    let mut sent = Request::new(Full::new(body));
    *sent.method_mut() = method;
    *sent.uri_mut() = Uri::try_from(&url).map_err(|error| format!("the URL cannot be called: {error}"))?;
    let map = sent.headers_mut();
    map.insert(USER_AGENT, AGENT);
    // What comes back is kept as it came: compressed, nobody could read it.
    map.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    map.insert(IDEMPOTENCY_KEY, idempotency_key(call));
    for (name, value) in &request.headers {
        let (name, value) = header(name, value)?;
        map.insert(name, value);
    }
    Ok((sent, url, options.timeout.unwrap_or(Span(FETCH_MS)).std()))
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), String> {
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| format!("`{name}` is no name of a header"))?;
    if RESERVED.contains(&parsed.as_str()) {
        return Err(format!("the header `{name}` is set by the server itself"));
    }
    let mut value = HeaderValue::from_str(value)
        .map_err(|_| format!("the value of the header `{name}` has characters that a header cannot carry"))?;
    value.set_sensitive(parsed != CONTENT_TYPE);
    Ok((parsed, value))
}

/// `<run>/<entry>`: the same for every attempt, so that whoever is called can tell a repeat.
fn idempotency_key(call: &FetchCall) -> HeaderValue {
    let mut key = format!("{}/", call.token.run);
    for byte in call.entry.bytes() {
        match byte {
            b'!'..=b'~' => key.push(byte.into()),
            other => key.push_str(&format!("%{other:02X}")),
        }
    }
    HeaderValue::try_from(key).unwrap_or_else(|_| HeaderValue::from_static("unprintable"))
}

/// What an entry settles with.
#[derive(Serialize)]
struct Value<'a> {
    status: u16,
    headers: BTreeMap<&'a str, String>,
    body: std::borrow::Cow<'a, str>,
    encoding: BodyEncoding,
}

fn answered(mut response: Response, url: &str, retry_after: Option<Span>) -> FetchEnd {
    let status = response.status.as_u16();
    let Body::Whole(bytes) = std::mem::replace(&mut response.body, Body::TooLarge) else {
        return too_large(status, url, None, retry_after);
    };
    let (body, encoding) = match std::str::from_utf8(&bytes) {
        Ok(text) => (text.into(), BodyEncoding::Utf8),
        Err(_) => (STANDARD.encode(&bytes).into(), BodyEncoding::Base64),
    };
    let value = Value { status, headers: headers(&response.headers), body, encoding };
    match Payload::of(&value) {
        Ok(value) if value.len() <= OUTCOME_BYTES_MAX => {
            response.body = Body::Excerpt(bytes.slice(..bytes.len().min(EXCERPT_BYTES_MAX)));
            FetchEnd::Answered { status, value, retry_after, said: describe(&response, url) }
        }
        Ok(value) => too_large(status, url, Some(value.len()), retry_after),
        Err(error) => failed(Code::Lost, format!("{}: the answer cannot be kept: {error}", address_shown(url))),
    }
}

fn headers(map: &HeaderMap) -> BTreeMap<&str, String> {
    let mut headers: BTreeMap<&str, String> = BTreeMap::new();
    for (name, value) in map {
        let value = String::from_utf8_lossy(value.as_bytes());
        headers
            .entry(name.as_str())
            .and_modify(|whole| {
                whole.push_str(", ");
                whole.push_str(&value);
            })
            .or_insert_with(|| value.into_owned());
    }
    headers
}

fn too_large(status: u16, url: &str, bytes: Option<usize>, retry_after: Option<Span>) -> FetchEnd {
    let size = bytes.map_or_else(String::new, |bytes| format!(" of {bytes} bytes as JSON"));
    let message = format!(
        "{} answered {status} with a body{size} that is too large: at most {OUTCOME_BYTES_MAX} bytes are kept. Ask for less, for a \
         page of it, or fetch it in a step that stores it elsewhere",
        address_shown(url)
    );
    let mut failure = Failure::new(names::TOO_LARGE, message);
    failure.retryable = Some(false);
    FetchEnd::Failed { status: Some(status), failure: Box::new(failure), retry_after }
}

fn failed(code: Code, message: String) -> FetchEnd {
    let (code, retryable) = match code {
        Code::Invalid => ("invalid", false),
        Code::Forbidden => ("forbidden", false),
        Code::Unreachable => ("unreachable", true),
        Code::Lost => ("lost", true),
    };
    let failure = Failure {
        code: Some(code.to_owned()),
        retryable: Some(retryable),
        ..Failure::new(names::FETCH_FAILED, message)
    };
    FetchEnd::Failed { status: None, failure: Box::new(failure), retry_after: None }
}
