//! HTTP calls that the server makes: the handler does not run meanwhile, and what came of a call is kept.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::fan_out::Entered;
use crate::policy::Retry;
use crate::raw::{ObjectWriter, Raw};
use crate::replay::call::Call;
use crate::replay::state::Arrived;
use crate::wait::bounded;

/// The future of an answer, made by [`Ctx::fetch`](crate::Ctx::fetch), and what is asked for.
#[must_use = "a call is not made unless this is awaited"]
pub struct Fetch {
    call: Call,
    spec: Spec,
}

/// What is asked for.
#[derive(Default)]
struct Spec {
    url: String,
    method: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<Result<Body, Error>>,
    timeout: Option<Duration>,
    schedule_to_close: Option<Duration>,
    retry: Option<Retry>,
    retry_on: Option<Vec<u16>>,
}

enum Body {
    Text(String),
    Bytes(String),
    Json(String),
}

impl Fetch {
    pub(crate) fn new(call: Call, url: String) -> Fetch {
        Fetch { call, spec: Spec { url, ..Spec::default() } }
    }

    /// `GET`, `HEAD`, `POST`, `PUT`, `PATCH`, `DELETE` or `OPTIONS`; without it `POST` where there is a body, else `GET`.
    pub fn method(mut self, method: impl Into<String>) -> Self {
        self.spec.method = Some(method.into());
        self
    }

    /// A header; one of the same name is replaced. Headers are kept with the run, as the rest of the request is; people are
    /// shown no credentials.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        let name = name.into();
        self.spec.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(&name));
        self.spec.headers.push((name, value.into()));
        self
    }

    /// A body that is text.
    pub fn body(mut self, text: impl Into<String>) -> Self {
        self.spec.body = Some(Ok(Body::Text(text.into())));
        self
    }

    /// A body that is any bytes.
    pub fn bytes(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.spec.body = Some(Ok(Body::Bytes(STANDARD.encode(bytes))));
        self
    }

    /// A body that goes out as JSON. A value that JSON cannot hold is the call's error.
    pub fn json<T: Serialize + ?Sized>(mut self, value: &T) -> Self {
        let written = Raw::encode(value, &format!("the body of the call `{}`", self.call.id));
        let text = written.map(|raw| Body::Json(String::from_utf8_lossy(raw.as_bytes()).into_owned()));
        self.spec.body = Some(text);
        self
    }

    /// How long one attempt may take; 5 minutes without it, at most an hour.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.spec.timeout = Some(timeout);
        self
    }

    /// How long all attempts and the pauses between them may take together.
    pub fn schedule_to_close(mut self, limit: Duration) -> Self {
        self.spec.schedule_to_close = Some(limit);
        self
    }

    /// When the call is made again after no answer, or one that is none; as the function's policy says without it.
    pub fn retry(mut self, policy: Retry) -> Self {
        self.spec.retry = Some(policy);
        self
    }

    /// Statuses that are no answer yet; 408, 429, 500, 502, 503 and 504 without it. What comes last is the answer, whatever
    /// it is.
    pub fn retry_on(mut self, statuses: impl IntoIterator<Item = u16>) -> Self {
        self.spec.retry_on = Some(statuses.into_iter().collect());
        self
    }
}

impl Spec {
    /// Asked for once: an entry's parameters stand from its registration on.
    fn params(&mut self) -> Result<Raw, Error> {
        let body = self.body.take().transpose()?;
        let mut request = ObjectWriter::new()
            .text("url", &self.url)
            .text("method", self.method.as_deref().unwrap_or(if body.is_some() { "POST" } else { "GET" }));
        let typed = self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        if matches!(body, Some(Body::Json(_))) && !typed {
            self.headers.push(("content-type".to_owned(), "application/json".to_owned()));
        }
        if !self.headers.is_empty() {
            let headers = self.headers.iter().fold(ObjectWriter::new(), |all, (name, value)| all.text(name, value));
            request = request.raw("headers", &headers.finish());
        }
        request = match &body {
            None => request,
            Some(Body::Text(text) | Body::Json(text)) => request.text("body", text),
            Some(Body::Bytes(base64)) => request.text("body", base64).text("encoding", "base64"),
        };
        let mut params = ObjectWriter::new().raw("request", &request.finish());
        if let Some(retry) = &self.retry {
            params = params.raw("retry", &retry.to_raw());
        }
        params = params
            .duration("timeout", self.timeout.map(bounded).transpose()?)
            .duration("scheduleToClose", self.schedule_to_close.map(bounded).transpose()?);
        if let Some(statuses) = &self.retry_on {
            params = params.raw("retryOn", &Raw::encode(statuses, "the statuses")?);
        }
        Ok(params.finish())
    }
}

impl Future for Fetch {
    type Output = Result<FetchResponse, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let Fetch { call, spec } = self.get_mut();
        let arrived = ready!(call.poll_outcome(cx, || spec.params()));
        Poll::Ready(match arrived {
            Ok(Arrived::Value(value)) => value.decode(&format!("the answer to the call `{}`", call.id)),
            Ok(Arrived::Timeout) => Err(Error::terminal("Timeout", format!("the call `{}` timed out", call.id))),
            Err(error) => Err(error),
        })
    }
}

impl Entered for Fetch {
    fn call(&self) -> &Call {
        &self.call
    }
}

/// What was answered, whatever its status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchResponse {
    /// The status: any, also one that says that something went wrong.
    pub status: u16,
    /// Headers by their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as it stands in the journal: text, or base64 where it is none.
    pub body: String,
    encoding: Encoding,
}

/// How a body is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Encoding {
    Utf8,
    Base64,
}

impl FetchResponse {
    /// An answer for a test: text, without headers.
    pub fn new(status: u16, body: impl Into<String>) -> FetchResponse {
        FetchResponse { status, headers: BTreeMap::new(), body: body.into(), encoding: Encoding::Utf8 }
    }

    /// The same with a header.
    #[must_use]
    pub fn with_header(mut self, name: impl Into<String>, value: impl Into<String>) -> FetchResponse {
        self.headers.insert(name.into().to_ascii_lowercase(), value.into());
        self
    }

    /// Whether the status is 200 to 299.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the body is any bytes, and stands in the journal as base64.
    pub fn is_base64(&self) -> bool {
        self.encoding == Encoding::Base64
    }

    /// The body as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        match self.encoding {
            Encoding::Utf8 => self.body.clone().into_bytes(),
            Encoding::Base64 => STANDARD.decode(&self.body).unwrap_or_default(),
        }
    }

    /// The body as text; what is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// The body as JSON. If it is none, that is an error that no retry helps: the answer stays as it is.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.bytes()).map_err(|error| {
            let message = format!("the answer (status {}) is not the JSON that the code expects: {error}", self.status);
            Error::terminal("NotJsonError", message)
        })
    }
}
