//! Asks an app what it is: `GET` on its URL, signed. Each way in which that can go wrong has its own message, because this
//! is what a developer meets first.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Uri};
use http_body_util::Full;

use super::client::{Body, Bounds, CallError, HttpClient, Response};
use super::invoker::{common_headers, extra_headers};
use super::response::{describe, is_html, is_ours};
use super::target::{HeadersError, TargetError, address_shown, check_headers, target_url};
use crate::auth::{Claims, DISCOVER, Signer};
use crate::dialect::native::{DeploymentHeader, FilterUse, ManifestError, decode_manifest, decode_problem, headers};
use crate::engine::Filter;
use crate::limits::{DISCOVERY_MS, MANIFEST_BYTES_MAX};
use crate::model::Manifest;

/// What an app said of itself.
#[derive(Clone, Debug, PartialEq)]
pub struct Discovered {
    /// The manifest.
    pub manifest: Manifest,
    /// Where this deployment's handler answers.
    pub url: String,
    /// What the manifest asks for and this version of the server does not do.
    pub warnings: Vec<String>,
}

/// Why an app could not be asked, or what is wrong with its answer.
#[derive(Debug, thiserror::Error)]
pub enum DiscoveryError {
    /// The URL cannot be called.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// The extra headers cannot be sent.
    #[error(transparent)]
    Headers(#[from] HeadersError),
    /// No connection.
    #[error("failed to reach the app at {url}: {reason}")]
    NotReached {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The connection broke, or nothing came in time.
    #[error("failed to get the manifest from {url}: {reason}")]
    Lost {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// A web page answered.
    #[error("failed to find an app: {said}. This is a web page, not a Backstitch endpoint: is the path right?")]
    WebPage {
        /// Who answered what.
        said: String,
    },
    /// Something asked for credentials before the request came to the app.
    #[error(
        "failed to find an app: {said}. Something in front of it asks for credentials: register it with `headers` that this takes"
    )]
    Guarded {
        /// Who answered what.
        said: String,
    },
    /// It answered with another address.
    #[error("failed to find an app: {said}. Redirects are not followed: register the address it leads to")]
    Redirect {
        /// Who answered what.
        said: String,
    },
    /// Something else answered.
    #[error("failed to find an app: {said}. This is not a Backstitch endpoint: is the address right?")]
    NotAnApp {
        /// Who answered what.
        said: String,
    },
    /// The SDK refused the signature.
    #[error("failed to ask the app at {url} what it is: it does not take this server's signature ({detail}). {}", key_hint(*.signed))]
    Signature {
        /// Where.
        url: String,
        /// What the SDK says.
        detail: String,
        /// Whether the request was signed.
        signed: bool,
    },
    /// The SDK answered with another problem.
    #[error("failed to ask the app what it is: {0}")]
    Problem(String),
    /// The manifest is too large.
    #[error("failed to read the manifest of {url}: it is larger than {MANIFEST_BYTES_MAX} bytes")]
    TooLarge {
        /// Where.
        url: String,
    },
    /// The manifest cannot be used.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Another app is there.
    #[error("failed to register `{expected}`: the app at {url} calls itself `{found}`")]
    OtherApp {
        /// What was to be registered.
        expected: String,
        /// What is there.
        found: String,
        /// Where.
        url: String,
    },
    /// The server could not sign.
    #[error(transparent)]
    Sign(#[from] crate::auth::SignError),
}

fn key_hint(signed: bool) -> &'static str {
    if signed {
        "Give the app the key that belongs to this server's, as BACKSTITCH_KEY"
    } else {
        "This server has no signing key: give both one as BACKSTITCH_KEY, or start the app without one and with BACKSTITCH_DEV=1"
    }
}

/// Asks apps.
#[derive(Clone)]
pub struct Discovery {
    client: HttpClient,
    signer: Arc<Signer>,
}

impl Discovery {
    /// Over the same connections and with the same key as invocations.
    pub fn new(client: HttpClient, signer: Arc<Signer>) -> Discovery {
        Discovery { client, signer }
    }

    /// Asks the app at `url`. With `expected` it must bear this name.
    pub async fn discover(
        &self,
        url: &str,
        headers: &[(String, String)],
        expected: Option<&str>,
    ) -> Result<Discovered, DiscoveryError> {
        let url = target_url(url)?;
        check_headers(headers)?;
        let request = self.request(&url, headers, expected)?;
        let bounds = Bounds { total: Duration::from_millis(DISCOVERY_MS), silence: None, bytes: MANIFEST_BYTES_MAX };
        let called = self.client.call(request, bounds, |status, headers| status.is_success() && is_ours(headers)).await;
        let response = called.map_err(|error| failed(&url, error))?;
        let discovered = self.read(&response, &url)?;
        match expected {
            Some(expected) if *expected != *discovered.manifest.app => Err(DiscoveryError::OtherApp {
                expected: expected.to_owned(),
                found: discovered.manifest.app.to_string(),
                url: address_shown(&url).to_owned(),
            }),
            _ => Ok(discovered),
        }
    }

    fn request(
        &self,
        url: &str,
        headers: &[(String, String)],
        app: Option<&str>,
    ) -> Result<Request<Full<Bytes>>, DiscoveryError> {
        let claims = Claims { app: app.unwrap_or_default(), subject: DISCOVER, invocation: None, body: b"" };
        let signature = self.signer.sign(claims)?;
        let malformed = |reason: String| TargetError::Malformed { url: url.to_owned(), reason };
        let mut request = Request::new(Full::default());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url.parse::<Uri>().map_err(|error| malformed(error.to_string()))?;
        let map = request.headers_mut();
        extra_headers(headers, map);
        map.insert(http::header::ACCEPT, http::HeaderValue::from_static("application/json"));
        common_headers(map, signature.as_deref()).map_err(malformed)?;
        Ok(request)
    }

    fn read(&self, response: &Response, url: &str) -> Result<Discovered, DiscoveryError> {
        if !is_ours(&response.headers) {
            return Err(foreign(response, url));
        }
        if !response.status.is_success() {
            return Err(self.refused(response, url));
        }
        let Body::Whole(body) = &response.body else {
            return Err(DiscoveryError::TooLarge { url: address_shown(url).to_owned() });
        };
        let header = response.headers.get(headers::DEPLOYMENT).and_then(|value| value.to_str().ok());
        let check = |source: &str, used: FilterUse| {
            let filter = Filter::compile(source).map_err(|error| error.to_string())?;
            if used == FilterUse::CancelOn && !filter.has_equality() {
                return Err("it needs a conjunct such as `async.data.orderId == event.data.orderId`, by which the \
                            runs that an event cancels are looked up"
                    .to_owned());
            }
            Ok(())
        };
        let reading = decode_manifest(body, header.and_then(DeploymentHeader::parse), &check)?;
        let url = match (&reading.url, reading.manifest.immutable) {
            // An immutable deployment has an address of its own; any other is where it was found.
            (Some(own), true) => target_url(own)?,
            _ => url.to_owned(),
        };
        Ok(Discovered { manifest: reading.manifest, url, warnings: reading.warnings })
    }

    /// The SDK is there and says no.
    fn refused(&self, response: &Response, url: &str) -> DiscoveryError {
        let said = describe(response, url);
        let detail = decode_problem(response.body.bytes()).map(|problem| problem.detail);
        match response.status.as_u16() {
            401 => DiscoveryError::Signature {
                url: address_shown(url).to_owned(),
                detail: detail.unwrap_or(said),
                signed: self.signer.has_key(),
            },
            _ => DiscoveryError::Problem(detail.unwrap_or(said)),
        }
    }
}

/// Something that is not an SDK answered.
fn foreign(response: &Response, url: &str) -> DiscoveryError {
    let said = describe(response, url);
    let text = String::from_utf8_lossy(response.body.bytes());
    match response.status.as_u16() {
        300..=399 => DiscoveryError::Redirect { said },
        401 | 403 => DiscoveryError::Guarded { said },
        _ if is_html(&response.headers, &text) => DiscoveryError::WebPage { said },
        _ => DiscoveryError::NotAnApp { said },
    }
}

fn failed(url: &str, error: CallError) -> DiscoveryError {
    let url = address_shown(url).to_owned();
    match error {
        CallError::NotReached(reason) | CallError::Forbidden(reason) => DiscoveryError::NotReached { url, reason },
        CallError::Lost(reason) => DiscoveryError::Lost { url, reason },
    }
}
