//! Talks to a server over its REST API. Its errors are written for whoever typed the command.

use std::time::Duration;

use anyhow::Result;
use reqwest::{Method, Response, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};

use crate::api::ProblemBody;
use crate::config::{self, ClientFlags, Layers};
use crate::limits::{CLIENT_CONNECT_MS, CLIENT_READ_MS};

/// Why there is no answer that a command can use.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// Nobody is there.
    #[error(
        "no server at {url} ({reason}): start one with `backstitch dev`, or say where it is with --url or BACKSTITCH_URL"
    )]
    Unreachable {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
    /// The server says no.
    #[error("{detail}")]
    Refused {
        /// The problem, in the server's words.
        problem: Box<ProblemBody>,
        /// The same for people, field by field.
        detail: String,
    },
    /// The server says that it failed.
    #[error("the server at {url} could not do it ({status}): {detail}")]
    Failed {
        /// Where.
        url: String,
        /// The status.
        status: u16,
        /// What it says.
        detail: String,
    },
    /// Something else answered.
    #[error("{url} answered {status} with something that is not of a Backstitch server: is the address right?")]
    Stranger {
        /// Where.
        url: String,
        /// The status.
        status: u16,
    },
    /// The answer broke off.
    #[error("the connection to {url} broke: {reason}")]
    Broken {
        /// Where.
        url: String,
        /// What happened.
        reason: String,
    },
}

/// Whether whoever follows something may ask again: the server is gone for a moment, or not well.
pub(super) fn may_pass(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(ClientError::Unreachable { .. } | ClientError::Broken { .. } | ClientError::Failed { .. })
    )
}

/// A client of one server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    base: Url,
    http: reqwest::Client,
}

impl Client {
    /// A client of the server that the settings name.
    pub(super) fn new(flags: ClientFlags) -> Result<Client> {
        Client::of(&config::Client::read(&Layers::load(flags.0)?)?.url)
    }

    /// A client of the server at an address.
    pub(super) fn of(url: &str) -> Result<Client> {
        let base: Url = url.parse()?;
        let local = match base.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("backstitch-cli/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(Duration::from_millis(CLIENT_CONNECT_MS))
            // Between two parts of an answer: the server's own waits and heartbeats are shorter.
            .read_timeout(Duration::from_millis(CLIENT_READ_MS))
            .redirect(reqwest::redirect::Policy::none());
        if local {
            // The way to this machine does not lead through a proxy, whatever the environment says.
            builder = builder.no_proxy();
        }
        Ok(Client { base, http: builder.build()? })
    }

    /// The server's address, without a slash at the end.
    pub(super) fn url(&self) -> &str {
        self.base.as_str().trim_end_matches('/')
    }

    /// Reads a resource.
    pub(super) async fn read<T: DeserializeOwned>(&self, path: &[&str], query: &[(&str, String)]) -> Result<T> {
        self.answer(self.request(Method::GET, path, query).send().await).await
    }

    /// Sends a document and reads the answer.
    pub(super) async fn write<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: &(impl Serialize + ?Sized),
    ) -> Result<T> {
        self.answer(self.request(method, path, query).json(body).send().await).await
    }

    /// Asks for something that the address says all of.
    pub(super) async fn act<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T> {
        self.answer(self.request(Method::POST, path, &[]).send().await).await
    }

    /// Removes a resource.
    pub(super) async fn remove(&self, path: &[&str]) -> Result<()> {
        let response = self.checked(self.request(Method::DELETE, path, &[]).send().await).await?;
        drop(response);
        Ok(())
    }

    /// Opens a stream of server-sent events.
    pub(super) async fn stream(&self, path: &[&str]) -> Result<Response> {
        self.stream_from(path, &[], None).await
    }

    /// Opens a stream of server-sent events behind the last one that was received.
    pub(super) async fn stream_from(
        &self,
        path: &[&str],
        query: &[(&str, String)],
        last: Option<&str>,
    ) -> Result<Response> {
        let mut request = self.request(Method::GET, path, query).header("accept", "text/event-stream");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        self.checked(request.send().await).await
    }

    fn request(&self, method: Method, path: &[&str], query: &[(&str, String)]) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        self.http.request(method, url)
    }

    async fn answer<T: DeserializeOwned>(&self, sent: reqwest::Result<Response>) -> Result<T> {
        let response = self.checked(sent).await?;
        let status = response.status();
        let body = response.bytes().await.map_err(|error| self.broken(&error))?;
        Ok(serde_json::from_slice(&body).map_err(|_| self.stranger(status))?)
    }

    /// A response that says yes.
    async fn checked(&self, sent: reqwest::Result<Response>) -> Result<Response> {
        let response = match sent {
            Ok(response) => response,
            Err(error) if error.is_connect() || error.is_timeout() => return Err(self.unreachable(&error).into()),
            Err(error) => return Err(self.broken(&error).into()),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.bytes().await.map_err(|error| self.broken(&error))?;
        let Ok(problem) = serde_json::from_slice::<ProblemBody>(&body) else {
            return Err(self.stranger(status).into());
        };
        if status.is_server_error() && status != StatusCode::BAD_GATEWAY {
            return Err(ClientError::Failed {
                url: self.url().to_owned(),
                status: status.as_u16(),
                detail: problem.detail,
            }
            .into());
        }
        let detail = explained(&problem);
        Err(ClientError::Refused { problem: Box::new(problem), detail }.into())
    }

    fn unreachable(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Unreachable { url: self.url().to_owned(), reason: innermost(error) }
    }

    /// The answer broke off.
    pub(super) fn broken(&self, error: &reqwest::Error) -> ClientError {
        ClientError::Broken { url: self.url().to_owned(), reason: innermost(error) }
    }

    fn stranger(&self, status: StatusCode) -> ClientError {
        ClientError::Stranger { url: self.url().to_owned(), status: status.as_u16() }
    }
}

/// The problem's sentence, and its fields where there are several.
fn explained(problem: &ProblemBody) -> String {
    let mut text = problem.detail.clone();
    if problem.errors.len() > 1 {
        for error in &problem.errors {
            let place = error.pointer.as_deref().or(error.parameter.as_deref()).unwrap_or_default();
            text.push_str(&format!("\n  {place}: {}", error.detail));
        }
    }
    text
}

/// What happened at the bottom: the layers above only say that it happened.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let text = cause.to_string();
    // "Connection refused (os error 111)": the number tells people nothing.
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}
