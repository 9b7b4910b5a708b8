//! HTTP calls that the server makes for a run: what is asked for, as it stands in an entry's parameters, and what came of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{EntryId, Failure, Payload, RetryPolicy, RunId, Span, Text};

/// A request as the handler wants it sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchRequest {
    /// Where to; `http` or `https`.
    pub url: String,
    /// One of [`FetchRequest::METHODS`]; `GET` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Headers by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// How the body is written down.
    #[serde(default)]
    pub encoding: BodyEncoding,
}

impl FetchRequest {
    /// The methods that can be asked for.
    pub const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
}

/// How a body is written down in JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BodyEncoding {
    /// As it is: it is text.
    #[default]
    Utf8,
    /// In base64, with padding.
    Base64,
}

/// Everything in an entry's parameters but the request itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FetchOptions {
    /// How long one attempt may take, from the connection to the last byte.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// How long all attempts and pauses may take together.
    #[serde(default)]
    pub schedule_to_close: Option<Span>,
    /// How often and how soon the call is made again.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// Statuses that are no answer yet; [`FetchOptions::RETRY_ON`] when absent.
    #[serde(default)]
    pub retry_on: Option<Vec<u16>>,
}

impl FetchOptions {
    /// What a service answers that wants to be asked again, or whose gateway found nobody behind it.
    pub const RETRY_ON: [u16; 6] = [408, 429, 500, 502, 503, 504];

    /// Whether a call with this status is made again.
    pub fn retries(&self, status: u16) -> bool {
        self.retry_on.as_deref().unwrap_or(&FetchOptions::RETRY_ON).contains(&status)
    }
}

/// Where an entry's call goes, for people and for the line that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchTarget {
    /// The host and, if the URL names one, the port, in lower case.
    pub host: Text,
    /// The URL without its query, in which secrets may stand.
    pub address: String,
}

impl FetchTarget {
    /// Reads it from an entry's parameters.
    pub fn of(params: &Payload) -> FetchTarget {
        #[derive(Deserialize)]
        struct Params {
            request: Request,
        }
        #[derive(Deserialize)]
        struct Request {
            url: String,
        }
        let url = params.read::<Params>().map(|params| params.request.url).unwrap_or_default();
        // One that is no URL is refused when it is called; until then it stands in a line like any other.
        let host = url.parse::<http::Uri>().ok().and_then(|uri| Some(uri.authority()?.as_str().to_ascii_lowercase()));
        let end = url.find(['?', '#']).unwrap_or(url.len());
        FetchTarget { host: host.unwrap_or_default().into(), address: url[..end].to_owned() }
    }
}

/// One call that is made, as long as this process lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FetchToken {
    /// The run.
    pub run: RunId,
    /// The entry's position.
    pub idx: u32,
    /// Counts the calls of this process.
    pub counter: u64,
}

/// A call to make.
#[derive(Clone, Debug)]
pub struct FetchCall {
    /// Which call.
    pub token: FetchToken,
    /// The entry's id.
    pub entry: EntryId,
    /// Which attempt, from 1.
    pub attempt: u32,
    /// The entry's parameters as the handler sent them.
    pub params: Payload,
}

/// What came of a call.
#[derive(Clone, Debug)]
pub enum FetchEnd {
    /// An answer, whatever its status.
    Answered {
        /// Its status.
        status: u16,
        /// `{status, headers, body, encoding}`: what the entry settles with.
        value: Payload,
        /// When the other side wants to be asked again.
        retry_after: Option<Span>,
        /// What was answered, for people.
        said: String,
    },
    /// No answer, or none that can be kept.
    Failed {
        /// The status, if there was one.
        status: Option<u16>,
        /// Why.
        failure: Box<Failure>,
        /// When the other side wants to be asked again.
        retry_after: Option<Span>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_shown_without_what_may_be_secret() {
        for (url, host, address) in [
            ("https://Api.Example/v1?key=s3cret#x", "api.example", "https://Api.Example/v1"),
            ("http://127.0.0.1:8080/a/b", "127.0.0.1:8080", "http://127.0.0.1:8080/a/b"),
            ("http://[::1]:1", "[::1]:1", "http://[::1]:1"),
            ("no url", "", "no url"),
        ] {
            let params = Payload::trusted(serde_json::json!({ "request": { "url": url } }).to_string());
            let expected = FetchTarget { host: host.into(), address: address.to_owned() };
            assert_eq!(FetchTarget::of(&params), expected, "{url}");
        }
    }

    #[test]
    fn statuses_are_tried_again_as_told() {
        let told = |params: &str| Payload::trusted(params.to_owned()).read::<FetchOptions>().unwrap();
        assert!(told("{}").retries(503) && !told("{}").retries(404) && !told("{}").retries(200));
        let own = told(r#"{"request":{"url":"x"},"retryOn":[404]}"#);
        assert!(own.retries(404) && !own.retries(503));
        assert!(!told(r#"{"retryOn":[]}"#).retries(500));
    }
}
