//! A client of the server's REST API, for whoever starts runs and talks to them from outside. [`RunHandle`] is one run,
//! [`JobHandle`] one act on many.
//!
//! Everything that it does is one request, and is safe to repeat where it has an id: an event's `id`, a start's `run_id` or
//! `idempotency_key`. It retries nothing by itself, except that whoever waits for a result sits out a restart of the server.

mod job;
mod run;
mod schedule;
mod stream;
mod subscription;

use std::time::Duration;

use http::{Method, StatusCode};
use reqwest::Url;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config;
use crate::error::Error;
use crate::event::{self, Outgoing};
use crate::function::Callable;
use crate::labels::{AttributeValue, Labels};
use crate::object::{self, ObjectKey};
use crate::raw::{ObjectWriter, Raw};
use crate::time;

pub use job::{Job, JobHandle, JobStatus, RunFilter};
pub use run::{Fork, ForkPlan, RunHandle, RunStatus, Updating};
pub use schedule::{Backfill, BackfillPlan, Reprocess, ScheduleHandle, ScheduleStatus, Tally};
pub use stream::{Message, Reading, StreamEvent};
pub use subscription::{SubscriptionScope, SubscriptionToken};

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

/// One request.
struct Request<'a> {
    method: Method,
    path: &'a [&'a str],
    query: Option<(&'a str, &'a str)>,
    body: Option<Raw>,
    /// Stands for an id, where the body has none.
    idempotency_key: Option<&'a str>,
    timeout: Duration,
}

impl<'a> Request<'a> {
    fn get(path: &'a [&'a str]) -> Request<'a> {
        Request { method: Method::GET, path, query: None, body: None, idempotency_key: None, timeout: REQUEST }
    }

    fn post(path: &'a [&'a str], body: Option<Raw>) -> Request<'a> {
        Request { method: Method::POST, body, ..Request::get(path) }
    }

    /// Lets the server wait so long for what the request asks for.
    fn waiting(mut self, wait: &'a str, timeout: Duration) -> Request<'a> {
        self.query = Some(("wait", wait));
        self.timeout = timeout;
        self
    }
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
        let (_, accepted): (_, Accepted) = self.request(Request::post(&["events"], Some(body))).await?;
        Ok(accepted.events.into_iter().map(|event| event.id).collect())
    }

    /// Prepares a run of a function, or of a handler of an object under its key; [`Starting::send`] starts it.
    pub fn start<C: Callable>(&self, function: C, input: C::Input) -> Starting<C::Output> {
        let key = function.key().map(str::to_owned);
        let (app, target) = object::app_of(function.target(), key.is_some());
        Starting {
            client: self.clone(),
            app: app.unwrap_or(&self.app).to_owned(),
            target: target.to_owned(),
            key,
            input: Raw::encode(&input, "the input"),
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

    /// The state of an object: a struct of its values, or a map by name. Runs nothing.
    ///
    /// ```no_run
    /// use std::collections::BTreeMap;
    ///
    /// use backstitch::{Client, ObjectRef};
    ///
    /// const CART: ObjectRef = ObjectRef::new("cart");
    ///
    /// # async fn example() -> Result<(), backstitch::Error> {
    /// let state: BTreeMap<String, serde_json::Value> = Client::new("shop").state(CART.key("user-17")).await?;
    /// # drop(state); Ok(())
    /// # }
    /// ```
    pub async fn state<T: DeserializeOwned>(&self, object: ObjectKey) -> Result<T, Error> {
        #[derive(Deserialize)]
        struct Shown<T> {
            state: T,
        }
        object::check_key(&object.key)?;
        let (app, name) = object::app_of(object.object, false);
        let path = ["objects", app.unwrap_or(&self.app), name, &object.key, "state"];
        let (_, shown): (_, Shown<T>) = self.request(Request::get(&path)).await?;
        Ok(shown.state)
    }

    /// How many runs a job would be about now. Changes nothing.
    pub async fn count(&self, job: &Job) -> Result<u64, Error> {
        #[derive(Deserialize)]
        struct Counted {
            total: u64,
        }
        let (_, counted): (_, Counted) = self.request(Request::post(&["jobs"], Some(job.write(true)?))).await?;
        Ok(counted.total)
    }

    /// Does the same to all runs that a filter finds, in the background.
    ///
    /// ```no_run
    /// use backstitch::client::{Job, RunFilter};
    /// use backstitch::{Client, DurationExt};
    ///
    /// # async fn example() -> Result<(), backstitch::Error> {
    /// let client = Client::new("shop");
    /// let job = Job::retry(RunFilter::new().app("shop").status("failed"));
    /// println!("{} runs", client.count(&job).await?);
    /// let ended = client.begin(&job).await?.ended(10.minutes()).await?;
    /// # drop(ended); Ok(())
    /// # }
    /// ```
    pub async fn begin(&self, job: &Job) -> Result<JobHandle, Error> {
        let (_, begun): (_, Started) = self.request(Request::post(&["jobs"], Some(job.write(false)?))).await?;
        Ok(self.job(begun.id))
    }

    /// A job that exists, by its id.
    pub fn job(&self, id: impl Into<String>) -> JobHandle {
        JobHandle::new(self.clone(), id.into())
    }

    /// A schedule of the client's app, by its id, whether there is one or not.
    pub fn schedule(&self, id: impl Into<String>) -> ScheduleHandle {
        ScheduleHandle::new(self.clone(), self.app.clone(), id.into())
    }

    /// Settles an awakeable by its token.
    pub async fn resolve(&self, token: &str, payload: impl Serialize) -> Result<(), Error> {
        let body = ObjectWriter::new().raw("ok", &Raw::encode(&payload, "the payload")?).finish();
        self.act(&["awakeables", token], Some(body)).await
    }

    /// Rejects an awakeable by its token.
    pub async fn reject(&self, token: &str, error: Error) -> Result<(), Error> {
        let body = ObjectWriter::new().raw("err", &plain(&error)).finish();
        self.act(&["awakeables", token], Some(body)).await
    }

    /// A request whose answer says no more than that it was taken.
    async fn act(&self, path: &[&str], body: Option<Raw>) -> Result<(), Error> {
        self.request::<Value>(Request::post(path, body)).await.map(drop)
    }

    async fn request<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<(StatusCode, T), Error> {
        self.try_request(&request).await.map_err(Error::from)
    }

    /// Asks again while the server is away, for at most `outage`. The request must be one that may come twice.
    async fn ask<T: DeserializeOwned>(&self, request: Request<'_>, outage: Duration) -> Result<(StatusCode, T), Error> {
        let begun = time::instant();
        let mut pause = PAUSE;
        loop {
            match self.try_request(&request).await {
                Err(refusal) if refusal.passing && begun.elapsed() < outage => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                outcome => return outcome.map_err(Error::from),
            }
        }
    }

    async fn try_request<T: DeserializeOwned>(&self, request: &Request<'_>) -> Result<(StatusCode, T), Refusal> {
        let Request { method, path, query, body, idempotency_key, timeout } = request;
        let address = self.address(path, *query).map_err(|error| Refusal { error, passing: false })?;
        let mut request = self.http.request(method.clone(), address).timeout(*timeout);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(key) = idempotency_key {
            request = request.header("idempotency-key", *key);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.clone().into_bytes());
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
    /// A function, or an object and its handler.
    target: String,
    key: Option<String>,
    input: Result<Raw, Error>,
    options: Options,
    output: std::marker::PhantomData<fn() -> T>,
}

#[derive(Default)]
struct Options {
    run_id: Option<String>,
    delay: Option<Duration>,
    idempotency_key: Option<String>,
    labels: Labels,
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

    /// A tag that people find the run by, besides those that were named.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.options.labels.tags.insert(tag.into());
        self
    }

    /// An attribute that people find the run by, besides those that were named.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
        self.options.labels.attributes.insert(name.into(), value.into());
        self
    }

    /// Starts the run; returns once the server has it durably.
    pub async fn send(self) -> Result<RunHandle<T>, Error> {
        let body = ObjectWriter::new()
            .raw("input", &self.input?)
            .optional_text("runId", self.options.run_id.as_deref())
            .duration("delay", self.options.delay)
            .optional_text("idempotencyKey", self.options.idempotency_key.as_deref());
        let body = self.options.labels.write(body)?.finish();
        let (_, started): (_, Started) = match (&self.key, self.target.split_once('/')) {
            (Some(key), Some((object, handler))) => {
                object::check_key(key)?;
                let path = ["objects", &self.app, object, key, handler];
                let request = Request { query: Some(("mode", "send")), ..Request::post(&path, Some(body)) };
                self.client.request(request).await?
            }
            _ => {
                let path = ["functions", &self.app, &self.target, "runs"];
                self.client.request(Request::post(&path, Some(body))).await?
            }
        };
        Ok(self.client.run(started.id))
    }
}

/// An error as the API takes it.
fn plain(error: &Error) -> Raw {
    let written = ObjectWriter::new().text("name", error.name()).text("message", error.message());
    written.optional_text("code", error.code()).finish()
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
