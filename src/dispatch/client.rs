//! One HTTP client for invocations and discovery: a pool of HTTP/1 connections behind the egress guard. It sends one
//! request, follows nothing, reads no more than it was told to, and waits no longer than it was told to.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::connect::{ConnectError, Connector};
use super::egress::Egress;
use crate::limits::{
    EXCERPT_BYTES_MAX, EXCERPT_MS, IN_FLIGHT_PER_DEPLOYMENT_MAX, POOL_IDLE_MS, RESPONSE_HEAD_BYTES_MAX,
};

/// The client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up the HTTP client: {0}")]
pub struct ClientError(pub(super) String);

/// Sends requests to handlers. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct HttpClient {
    client: Client<Connector, Full<Bytes>>,
}

/// What one call may cost.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// From the first byte sent to the last byte read.
    pub(super) total: Duration,
    /// Between two signs of life, where the other side promises any.
    pub(super) silence: Option<Duration>,
    /// Of the body, when it is wanted whole.
    pub(super) bytes: usize,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
}

/// A body, or what was read of it.
#[derive(Debug)]
pub(super) enum Body {
    /// All of it.
    Whole(Bytes),
    /// Its beginning: it was not wanted whole.
    Excerpt(Bytes),
    /// It is larger than allowed; reading was given up.
    TooLarge,
}

impl Body {
    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Body::Whole(bytes) | Body::Excerpt(bytes) => bytes,
            Body::TooLarge => &[],
        }
    }
}

/// Why nothing came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CallError {
    /// The request cannot have reached a handler.
    NotReached(String),
    /// It may have.
    Lost(String),
    /// The egress policy does not allow it.
    Forbidden(String),
}

impl HttpClient {
    /// A client that dials what the policy allows.
    pub fn new(egress: Egress) -> Result<HttpClient, ClientError> {
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_millis(POOL_IDLE_MS))
            .pool_max_idle_per_host(IN_FLIGHT_PER_DEPLOYMENT_MAX)
            .http1_max_buf_size(RESPONSE_HEAD_BYTES_MAX)
            .build(Connector::new(egress)?);
        Ok(HttpClient { client })
    }

    /// Sends a request. Responses for which `wanted` says yes are read whole, of others only the beginning.
    pub(super) async fn call(
        &self,
        request: Request<Full<Bytes>>,
        bounds: Bounds,
        wanted: impl Fn(StatusCode, &HeaderMap) -> bool,
    ) -> Result<Response, CallError> {
        let exchange = async {
            let (head, body) = alive(bounds, self.client.request(request)).await?.map_err(call_error)?.into_parts();
            let body = if wanted(head.status, &head.headers) {
                whole(body, bounds).await?
            } else {
                Body::Excerpt(excerpt(body).await)
            };
            Ok(Response { status: head.status, headers: head.headers, body })
        };
        match tokio::time::timeout(bounds.total, exchange).await {
            Ok(done) => done,
            Err(_) => Err(CallError::Lost(format!("no complete answer within {}", shown(bounds.total)))),
        }
    }
}

/// Waits for a sign of life.
async fn alive<T>(bounds: Bounds, sign: impl Future<Output = T>) -> Result<T, CallError> {
    let Some(silence) = bounds.silence else { return Ok(sign.await) };
    let lost = |_| {
        CallError::Lost(format!(
            "silent for {}, although the app says that it streams: does its code block, or a proxy hold its answer back?",
            shown(silence)
        ))
    };
    tokio::time::timeout(silence, sign).await.map_err(lost)
}

async fn whole(mut body: Incoming, bounds: Bounds) -> Result<Body, CallError> {
    // Most bodies are one frame, which is kept as it is.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = alive(bounds, body.frame()).await? {
        let frame = frame.map_err(|error| CallError::Lost(format!("the answer broke off ({})", causes(&error))))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > bounds.bytes {
            return Ok(Body::TooLarge);
        }
        match (first.is_empty(), rest.is_empty()) {
            (true, true) => first = data,
            (false, _) => {
                rest.extend_from_slice(&std::mem::take(&mut first));
                rest.extend_from_slice(&data);
            }
            (true, false) => rest.extend_from_slice(&data),
        }
    }
    Ok(Body::Whole(if rest.is_empty() { first } else { rest.freeze() }))
}

/// The beginning of a body that is only there for people to read: what comes quickly, and not much of it.
async fn excerpt(mut body: Incoming) -> Bytes {
    let mut kept = BytesMut::new();
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            let Ok(data) = frame.into_data() else { continue };
            kept.extend_from_slice(&data[..data.len().min(EXCERPT_BYTES_MAX - kept.len())]);
            if kept.len() == EXCERPT_BYTES_MAX {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(EXCERPT_MS), reading).await;
    kept.freeze()
}

fn call_error(error: Error) -> CallError {
    if error.is_connect() {
        let forbidden = connect_error(&error).is_some_and(|cause| matches!(cause, ConnectError::Forbidden { .. }));
        let reason = connect_reason(&error);
        return if forbidden { CallError::Forbidden(reason) } else { CallError::NotReached(reason) };
    }
    let hyper = std::error::Error::source(&error).and_then(|source| source.downcast_ref::<hyper::Error>());
    match hyper {
        // The connection went away before the request was on it.
        Some(cause) if cause.is_canceled() => CallError::NotReached(causes(cause)),
        Some(cause) if cause.is_incomplete_message() => {
            CallError::Lost("the connection was closed before an answer came".to_owned())
        }
        Some(cause) if cause.is_parse() => CallError::NotReached(format!(
            "what answers there does not speak HTTP/1.1 ({}); should the URL begin with https?",
            causes(cause)
        )),
        _ => CallError::Lost(causes(&error)),
    }
}

fn connect_error(error: &Error) -> Option<&ConnectError> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(reason) = cause.downcast_ref::<ConnectError>() {
            return Some(reason);
        }
        source = cause.source();
    }
    None
}

fn connect_reason(error: &Error) -> String {
    if let Some(reason) = connect_error(error) {
        return reason.to_string();
    }
    format!(
        "no secure connection ({}); does the URL begin with the right scheme, and is the certificate valid?",
        causes(error)
    )
}

/// The causes of an error, the outermost of the library's own left out: it says nothing.
fn causes(error: &dyn std::error::Error) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        if !texts.last().is_some_and(|last| last.ends_with(&text)) {
            texts.push(text);
        }
        source = cause.source();
    }
    if texts.len() > 1 && texts[0].starts_with("client error") {
        texts.remove(0);
    }
    texts.join(": ")
}

fn shown(time: Duration) -> String {
    crate::model::Span(u64::try_from(time.as_millis()).unwrap_or(u64::MAX)).to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Calls something that says `first` at once, then one newline after `pause`, and then nothing more.
    async fn silent_after(first: &'static str, pause: Duration, bounds: Bounds) -> CallError {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = [0; 1_024];
            let _ = stream.read(&mut head).await.unwrap();
            stream.write_all(first.as_bytes()).await.unwrap();
            tokio::time::sleep(pause).await;
            let _ = stream.write_all(b"1\r\n\n\r\n").await;
            std::future::pending::<()>().await;
        });
        let client = HttpClient::new(Egress::Open).unwrap();
        let request = Request::get(url).body(Full::default()).unwrap();
        let error = client.call(request, bounds, |_, _| true).await.unwrap_err();
        serving.abort();
        error
    }

    const HEAD: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

    #[tokio::test]
    async fn silence_ends_a_call_and_signs_of_life_prolong_it() {
        let bounds = |silence: u64| Bounds {
            total: Duration::from_secs(20),
            silence: Some(Duration::from_millis(silence)),
            bytes: 1_000,
        };
        for first in ["", HEAD] {
            let error = silent_after(first, Duration::from_secs(20), bounds(150)).await;
            assert!(matches!(&error, CallError::Lost(reason) if reason.starts_with("silent for 150ms")), "{error:?}");
        }
        // A newline within the silence that is allowed begins it anew: now the whole takes too long first.
        let bounds = Bounds { total: Duration::from_millis(550), ..bounds(400) };
        let error = silent_after(HEAD, Duration::from_millis(300), bounds).await;
        assert_eq!(error, CallError::Lost("no complete answer within 550ms".to_owned()));
    }

    #[tokio::test]
    async fn where_no_life_is_promised_only_the_whole_is_timed() {
        let bounds = Bounds { total: Duration::from_millis(200), silence: None, bytes: 1_000 };
        let error = silent_after(HEAD, Duration::from_millis(10), bounds).await;
        assert_eq!(error, CallError::Lost("no complete answer within 200ms".to_owned()));
    }
}
