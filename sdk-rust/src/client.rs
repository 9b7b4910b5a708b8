//! A client of the server's REST API, for whoever starts runs and talks to them from outside.
//!
//! Everything that it does is one request, and is safe to repeat where it has an id: an event's `id`, a start's `run_id` or
//! `idempotency_key`. It retries nothing by itself, except that whoever waits for a result sits out a restart of the server.

use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::config;
use crate::duration;
use crate::error::{Error, Failure};
use crate::event::{self, Outgoing};
use crate::function::Callable;
use crate::raw::{ObjectWriter, Raw};
use crate::time;

/// Where a server listens unless it was told otherwise.
const URL_DEFAULT: &str = "http://127.0.0.1:8484";

/// How long the server is asked to hold a request that waits for a result.
const WAIT: Duration = Duration::from_secs(30);

/// How long a request may take beyond what it waits for.
const REQUEST: Duration = Duration::from_secs(30);

/// For how long whoever waits for a result puts up with a server that is away.
const OUTAGE: Duration = Duration::from_secs(60);

/// The first pause between two tries to wait for a result; it doubles.
const PAUSE: Duration = Duration::from_millis(200);

/// The longest pause between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// A server, and the app whose functions are meant where no other is named.
///
/// ```no_run
/// use backstitch::{Client, DurationExt, FunctionRef};
///
/// const ORDER: FunctionRef<u64, String> = FunctionRef::new("order");
///
/// # async fn example() -> Result<(), backstitch::Error> {
/// let client = Client::new("shop");
/// let run = client.start(ORDER, 400).run_id("order-17").send().await?;
/// run.signal("approval", "ann").await?;
/// let receipt = run.result().await?;
/// # drop(receipt); Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    app: String,
    key: Option<String>,
    outage: Duration,
}

/// A request that did not do what it should.
struct Refusal {
    error: Error,
    /// The server was not there, or not ready: the same request may succeed in a moment.
    passing: bool,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Error {
        refusal.error
    }
}

impl Client {
    /// The server at `BACKSTITCH_URL`, else on this machine, with the secret key of `BACKSTITCH_KEY`, if there is one.
    pub fn new(app: impl Into<String>) -> Client {
        let (url, key) = config::client();
        let url = url.unwrap_or_else(|| URL_DEFAULT.to_owned());
        Client { http: reqwest::Client::new(), url, app: app.into(), key, outage: OUTAGE }
    }

    /// Another server.
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Client {
        self.url = url.into();
        self
    }

    /// Another key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> Client {
        self.key = Some(key.into());
        self
    }

    /// For how long whoever waits for a result puts up with a server that is away: a restart, a deployment. A minute unless
    /// said otherwise. Other requests fail at once.
    #[must_use]
    pub fn outage(mut self, outage: Duration) -> Client {
        self.outage = outage;
        self
    }

    /// Sends an event; gives its id.
    pub async fn send(&self, event: impl Into<Outgoing>) -> Result<String, Error> {
        let ids = self.send_all([event.into()]).await?;
        ids.into_iter().next().ok_or_else(|| unexpected("the server gave no id"))
    }

    /// Sends events; gives their ids.
    pub async fn send_all(&self, events: impl IntoIterator<Item = impl Into<Outgoing>>) -> Result<Vec<String>, Error> {
        let events: Vec<Outgoing> = events.into_iter().map(Into::into).collect();
        #[derive(Deserialize)]
        struct Accepted {
            events: Vec<Started>,
        }
        let body = event::write_all(&events)?;
        let (_, accepted): (_, Accepted) = self.request(Method::POST, &["events"], None, Some(body), REQUEST).await?;
        Ok(accepted.events.into_iter().map(|event| event.id).collect())
    }

    /// Prepares a run of a function; [`Starting::send`] starts it.
    pub fn start<C: Callable>(&self, function: C, input: C::Input) -> Starting<C::Output> {
        let (app, function) = match function.target().split_once('/') {
            Some((app, function)) => (app.to_owned(), function.to_owned()),
            None => (self.app.clone(), function.target().to_owned()),
        };
        let input = Raw::encode(&input, "the input");
        Starting {
            client: self.clone(),
            app,
            function,
            input,
            options: Options::default(),
            output: std::marker::PhantomData,
        }
    }

    /// Runs a function and waits for its result, however long that takes.
    pub async fn call<C: Callable>(&self, function: C, input: C::Input) -> Result<C::Output, Error> {
        self.start(function, input).send().await?.result().await
    }

    /// A run that exists, by its id.
    pub fn run<T: DeserializeOwned>(&self, id: impl Into<String>) -> RunHandle<T> {
        RunHandle { client: self.clone(), id: id.into(), output: std::marker::PhantomData }
    }

    /// Settles an awakeable by its token.
    pub async fn resolve(&self, token: &str, payload: impl Serialize) -> Result<(), Error> {
        let body = ObjectWriter::new().raw("ok", &Raw::encode(&payload, "the payload")?).finish();
        self.request::<Value>(Method::POST, &["awakeables", token], None, Some(body), REQUEST).await.map(drop)
    }

    /// Rejects an awakeable by its token.
    pub async fn reject(&self, token: &str, error: Error) -> Result<(), Error> {
        let error = ObjectWriter::new().text("name", error.name()).text("message", error.message()).finish();
        let body = ObjectWriter::new().raw("err", &error).finish();
        self.request::<Value>(Method::POST, &["awakeables", token], None, Some(body), REQUEST).await.map(drop)
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: Option<(&str, &str)>,
        body: Option<Raw>,
        timeout: Duration,
    ) -> Result<(StatusCode, T), Error> {
        let request = self.try_request(method, path, query, body, timeout);
        request.await.map_err(Error::from)
    }

    /// Asks again while the server is away, for at most `outage`.
    async fn ask<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: (&str, &str),
        timeout: Duration,
        outage: Duration,
    ) -> Result<(StatusCode, T), Error> {
        let begun = time::instant();
        let mut pause = PAUSE;
        loop {
            match self.try_request(Method::GET, path, Some(query), None, timeout).await {
                Err(refusal) if refusal.passing && begun.elapsed() < outage => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                outcome => return outcome.map_err(Error::from),
            }
        }
    }

    async fn try_request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &[&str],
        query: Option<(&str, &str)>,
        body: Option<Raw>,
        timeout: Duration,
    ) -> Result<(StatusCode, T), Refusal> {
        let address = self.address(path, query).map_err(|error| Refusal { error, passing: false })?;
        let mut request = self.http.request(method, address).timeout(timeout);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.into_bytes());
        }
        let away = |error: reqwest::Error| Refusal { error: Error::from(error), passing: true };
        let response = request.send().await.map_err(away)?;
        let status = response.status();
        let body = response.bytes().await.map_err(away)?;
        if !status.is_success() {
            let passing = matches!(status.as_u16(), 429 | 502 | 503 | 504);
            return Err(Refusal { error: problem(status, &body), passing });
        }
        let value = serde_json::from_slice(if body.is_empty() { b"null" } else { &body });
        let unreadable = |error| unexpected(&format!("the server's answer is unreadable: {error}"));
        Ok((status, value.map_err(|error| Refusal { error: unreadable(error), passing: false })?))
    }

    fn address(&self, path: &[&str], query: Option<(&str, &str)>) -> Result<Url, Error> {
        let mut url =
            Url::parse(&self.url).map_err(|error| Error::terminal("InvalidUrl", format!("`{}`: {error}", self.url)))?;
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push("v1").extend(path);
        }
        if let Some((key, value)) = query {
            url.query_pairs_mut().append_pair(key, value);
        }
        Ok(url)
    }
}

/// What the server says of something that it has taken.
#[derive(Deserialize)]
struct Started {
    id: String,
}

/// A run that is about to be started.
#[must_use = "nothing is started before `send`"]
pub struct Starting<T> {
    client: Client,
    app: String,
    function: String,
    input: Result<Raw, Error>,
    options: Options,
    output: std::marker::PhantomData<fn() -> T>,
}

#[derive(Default)]
struct Options {
    run_id: Option<String>,
    delay: Option<Duration>,
    idempotency_key: Option<String>,
}

impl<T: DeserializeOwned> Starting<T> {
    /// A name for the run, unique in its function: a start under a name that is taken gives the run that has it.
    pub fn run_id(mut self, name: impl Into<String>) -> Self {
        self.options.run_id = Some(name.into());
        self
    }

    /// Lets the run begin only after this time.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.options.delay = Some(delay);
        self
    }

    /// Makes repeating this start harmless.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.options.idempotency_key = Some(key.into());
        self
    }

    /// Starts the run; returns once the server has it durably.
    pub async fn send(self) -> Result<RunHandle<T>, Error> {
        let body = ObjectWriter::new()
            .raw("input", &self.input?)
            .optional_text("runId", self.options.run_id.as_deref())
            .duration("delay", self.options.delay)
            .optional_text("idempotencyKey", self.options.idempotency_key.as_deref())
            .finish();
        let path = ["functions", &self.app, &self.function, "runs"];
        let (_, started): (_, Started) = self.client.request(Method::POST, &path, None, Some(body), REQUEST).await?;
        Ok(self.client.run(started.id))
    }
}

/// A run, from outside.
pub struct RunHandle<T> {
    client: Client,
    id: String,
    output: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> RunHandle<T> {
    /// The run's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits for the run's result, however long that takes, also while the server restarts ([`Client::outage`]). A run that failed or was cancelled is an error with its name.
    pub async fn result(&self) -> Result<T, Error> {
        loop {
            if let Some(result) = self.poll(WAIT, self.client.outage).await? {
                return Ok(result);
            }
        }
    }

    /// As [`RunHandle::result`]; `None` if the run was not over within this time.
    pub async fn result_within(&self, wait: Duration) -> Result<Option<T>, Error> {
        self.poll(wait, self.client.outage.min(wait)).await
    }

    async fn poll(&self, wait: Duration, outage: Duration) -> Result<Option<T>, Error> {
        #[derive(Deserialize)]
        struct Finished {
            status: String,
            #[serde(default)]
            ok: Option<Box<RawValue>>,
            #[serde(default)]
            err: Option<Failure>,
        }
        let query = ("wait", &*duration::format(wait));
        let path = ["runs", &self.id, "result"];
        let timeout = wait.saturating_add(REQUEST);
        let (status, finished): (_, Finished) = self.client.ask(&path, query, timeout, outage).await?;
        if status == StatusCode::ACCEPTED {
            return Ok(None);
        }
        if let Some(failure) = finished.err {
            return Err(Error::own(failure));
        }
        if finished.status != "completed" {
            return Err(Error::terminal("RunNotCompleted", format!("the run `{}` is {}", self.id, finished.status)));
        }
        // An absent `ok` and a `null` are the same here: both are the result of a function that returns nothing.
        let value = finished.ok.map_or_else(Raw::null, |value| Raw::written(value.get().as_bytes().to_vec()));
        value.decode("the run's result").map(Some)
    }

    /// Sends the run a signal; one that comes early is kept.
    pub async fn signal(&self, name: &str, payload: impl Serialize) -> Result<(), Error> {
        let body = ObjectWriter::new().raw("data", &Raw::encode(&payload, "the signal's payload")?).finish();
        let path = ["runs", &self.id, "signals", name];
        self.client.request::<Value>(Method::POST, &path, None, Some(body), REQUEST).await.map(drop)
    }

    /// Cancels the run: its handler is told, and may undo what it did.
    pub async fn cancel(&self) -> Result<(), Error> {
        let path = ["runs", &self.id, "cancel"];
        self.client.request::<Value>(Method::POST, &path, None, None, REQUEST).await.map(drop)
    }
}

/// A problem document as an error: named by its status, with what the server says should be done.
fn problem(status: StatusCode, body: &[u8]) -> Error {
    let problem: Value = serde_json::from_slice(body).unwrap_or_default();
    let said = |field: &str| problem.get(field).and_then(Value::as_str);
    let message = said("detail").or_else(|| said("title")).unwrap_or("the server said no more");
    let message = format!("the server answered {status}: {message}");
    let retryable = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let error =
        if retryable { Error::new("RequestFailed", message) } else { Error::terminal("RequestFailed", message) };
    error.with_code(status.as_str()).with_data(problem)
}

fn unexpected(message: &str) -> Error {
    Error::new("UnexpectedAnswer", message)
}
