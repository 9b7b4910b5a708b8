//! One run, for whoever started it or knows its id: its result, its state, and what can be done with it.

use std::time::Duration;

use http::StatusCode;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::duration;
use crate::error::{Error, Failure};
use crate::raw::{ObjectWriter, Raw};
use crate::time;

use super::job::CURRENT;
use super::{Client, REQUEST, Request, Started, WAIT, plain};

/// A run, from outside.
pub struct RunHandle<T> {
    pub(super) client: Client,
    pub(super) id: String,
    pub(super) output: std::marker::PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> RunHandle<T> {
    /// The run's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Waits for the run's result, however long that takes, also while the server restarts ([`Client::outage`]). A run that
    /// failed or was cancelled is an error with its name.
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
        let (path, patience) = (["runs", &self.id, "result"], duration::format(wait));
        let request = Request::get(&path).waiting(&patience, wait.saturating_add(REQUEST));
        let (status, finished): (_, Finished) = self.client.ask(request, outage).await?;
        if status == StatusCode::ACCEPTED {
            return Ok(None);
        }
        if let Some(failure) = finished.err {
            return Err(Error::own(failure));
        }
        if finished.status != "completed" {
            return Err(Error::terminal("RunNotCompleted", format!("the run `{}` is {}", self.id, finished.status)));
        }
        value(finished.ok).decode("the run's result").map(Some)
    }

    /// Sends the run a signal; one that comes early is kept.
    pub async fn signal(&self, name: &str, payload: impl Serialize) -> Result<(), Error> {
        let body = ObjectWriter::new().raw("data", &Raw::encode(&payload, "the signal's payload")?).finish();
        self.client.act(&["runs", &self.id, "signals", name], Some(body)).await
    }

    /// Prepares an update: a signal whose handler replies with an `R`. [`Updating::send`] sends it and waits for the reply.
    ///
    /// ```no_run
    /// # use backstitch::{Client, DurationExt};
    /// # async fn example() -> Result<(), backstitch::Error> {
    /// let run = Client::new("shop").run::<String>("run_01hzy3v7q8k2m4n6p8r0s2t4v6");
    /// let fee: Option<u32> = run.update("change-address", "Elm Street 4").id("change-1").within(10.seconds()).await?;
    /// # drop(fee); Ok(())
    /// # }
    /// ```
    pub fn update<R: DeserializeOwned>(&self, name: &str, data: impl Serialize) -> Updating<R> {
        Updating {
            client: self.client.clone(),
            run: self.id.clone(),
            name: name.to_owned(),
            data: Raw::encode(&data, "the update's data"),
            id: None,
            reply: std::marker::PhantomData,
        }
    }

    /// What the run shows of itself, and where it stands. Wakes no handler.
    pub async fn status(&self) -> Result<RunStatus, Error> {
        let (_, status) = self.client.request(Request::get(&["runs", &self.id, "status"])).await?;
        Ok(status)
    }

    /// Cancels the run: its handler is told, and may put things right; what it did is undone.
    pub async fn cancel(&self) -> Result<(), Error> {
        self.client.act(&["runs", &self.id, "cancel"], None).await
    }

    /// Ends the run at once, as cancelled: its handler is not asked, and nothing is undone.
    pub async fn kill(&self) -> Result<(), Error> {
        self.client.act(&["runs", &self.id, "kill"], None).await
    }

    /// Holds the run until somebody resumes it.
    pub async fn pause(&self) -> Result<(), Error> {
        self.client.act(&["runs", &self.id, "pause"], None).await
    }

    /// Lets a run go on that was paused, or that is held for a reason that is gone.
    pub async fn resume(&self) -> Result<(), Error> {
        self.client.act(&["runs", &self.id, "resume"], None).await
    }

    /// Moves the run to another deployment of its app: to the one with this id, or to the current one. If it is held because of
    /// what its old one is, it goes on.
    pub async fn move_to(&self, deployment: Option<&str>) -> Result<(), Error> {
        let to = Raw::encode(&deployment.unwrap_or(CURRENT), "the deployment")?;
        self.client.act(&["runs", &self.id, "move"], Some(ObjectWriter::new().raw("to", &to).finish())).await
    }

    /// Prepares a run that goes on from a point of this one: what was done before that point is not done again. As it is,
    /// the run is made again as a whole. This run stays as it is.
    ///
    /// ```no_run
    /// # use backstitch::Client;
    /// # async fn example() -> Result<(), backstitch::Error> {
    /// let failed = Client::new("shop").run::<String>("run_01hzy3v7q8k2m4n6p8r0s2t4v6");
    /// let fork = failed.fork().at("ship").edit("quote", serde_json::json!({"cents": 0}));
    /// println!("{:?}", fork.plan().await?);
    /// let receipt = fork.send().await?.result().await?;
    /// # drop(receipt); Ok(())
    /// # }
    /// ```
    pub fn fork(&self) -> Fork<T> {
        Fork::new(self, "fork")
    }

    /// Prepares a run that does this one again from its first failure; it has failed, or was cancelled.
    pub fn retry(&self) -> Fork<T> {
        Fork::new(self, "retry")
    }
}

/// Where a run stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct RunStatus {
    /// `queued`, `ready`, `suspended`, `backoff` or `paused`; or how it has ended: `completed`, `failed`, `cancelled`.
    pub status: String,
    /// What it shows of itself ([`Ctx::set_status`](crate::Ctx::set_status)); null before that.
    #[serde(default)]
    pub value: Value,
}

/// An update that is about to be sent, made by [`RunHandle::update`].
#[must_use = "nothing is sent before `send` or `within`"]
pub struct Updating<R> {
    client: Client,
    run: String,
    name: String,
    data: Result<Raw, Error>,
    id: Option<String>,
    reply: std::marker::PhantomData<fn() -> R>,
}

#[derive(Deserialize)]
struct Replied {
    id: String,
    #[serde(default)]
    ok: Option<Box<RawValue>>,
    #[serde(default)]
    err: Option<Failure>,
}

impl<R: DeserializeOwned> Updating<R> {
    /// Gives the update an id: a second one with it changes nothing, and gets the first one's reply.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Sends the update and waits for the reply, however long that takes. Its rejection is an error of the handler's; a run
    /// that ends without a reply is one named `RunEnded`.
    pub async fn send(self) -> Result<R, Error> {
        let (client, run) = (self.client.clone(), self.run.clone());
        let mut replied = self.first(WAIT).await?;
        loop {
            match replied {
                Ok(reply) => return Ok(reply),
                Err(id) => replied = look(&client, &run, id, WAIT).await?,
            }
        }
    }

    /// As [`Updating::send`]; `None` if there was no reply within this time. The update is durable all the same: with an id,
    /// send it again to wait on.
    pub async fn within(self, wait: Duration) -> Result<Option<R>, Error> {
        let (client, run, begun) = (self.client.clone(), self.run.clone(), time::instant());
        let mut replied = self.first(wait.min(WAIT)).await?;
        loop {
            let left = wait.saturating_sub(begun.elapsed());
            match replied {
                Ok(reply) => return Ok(Some(reply)),
                Err(_) if left.is_zero() => return Ok(None),
                Err(id) => replied = look(&client, &run, id, left.min(WAIT)).await?,
            }
        }
    }

    async fn first(self, wait: Duration) -> Result<Result<R, String>, Error> {
        let body = ObjectWriter::new().raw("data", &self.data?).optional_text("id", self.id.as_deref()).finish();
        let (path, patience) = (["runs", &self.run, "updates", &self.name], duration::format(wait));
        let request = Request::post(&path, Some(body)).waiting(&patience, wait.saturating_add(REQUEST));
        // Without an id it must not be sent twice.
        let outage = self.id.as_ref().map_or(Duration::ZERO, |_| self.client.outage);
        read(self.client.ask(request, outage).await?)
    }
}

/// Looks for the reply to an update.
async fn look<R: DeserializeOwned>(
    client: &Client,
    run: &str,
    id: String,
    wait: Duration,
) -> Result<Result<R, String>, Error> {
    let (path, patience) = (["runs", run, "updates", &id], duration::format(wait));
    let request = Request::get(&path).waiting(&patience, wait.saturating_add(REQUEST));
    read(client.ask(request, client.outage).await?)
}

/// The reply, or the id of an update that has none yet.
fn read<R: DeserializeOwned>((status, replied): (StatusCode, Replied)) -> Result<Result<R, String>, Error> {
    if status == StatusCode::ACCEPTED {
        return Ok(Err(replied.id));
    }
    match replied.err {
        Some(failure) => Err(Error::own(failure)),
        None => value(replied.ok).decode("the reply").map(Ok),
    }
}

/// An absent `ok` and a `null` are the same here: both are the result of what gives nothing.
fn value(ok: Option<Box<RawValue>>) -> Raw {
    ok.map_or_else(Raw::null, |value| Raw::written(value.get().as_bytes().to_vec()))
}

/// A run that is to go on from a point of another one, made by [`RunHandle::fork`] and [`RunHandle::retry`].
#[must_use = "nothing is started before `send`"]
pub struct Fork<T> {
    client: Client,
    run: String,
    act: &'static str,
    at: Option<String>,
    edits: Vec<(String, Result<Raw, Error>)>,
    input: Option<Result<Raw, Error>>,
    idempotency_key: Option<String>,
    output: std::marker::PhantomData<fn() -> T>,
}

/// What a fork would keep, and what it would do again: ids of entries.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ForkPlan {
    /// Kept, with their outcomes.
    pub copied: Vec<String>,
    /// Done again, if the code asks for them.
    pub again: Vec<String>,
}

impl<T: DeserializeOwned> Fork<T> {
    fn new(run: &RunHandle<T>, act: &'static str) -> Fork<T> {
        Fork {
            client: run.client.clone(),
            run: run.id.clone(),
            act,
            at: None,
            edits: Vec::new(),
            input: None,
            idempotency_key: None,
            output: std::marker::PhantomData,
        }
    }

    /// The first entry that is done again; what settled before it is kept.
    pub fn at(mut self, entry: impl Into<String>) -> Self {
        self.at = Some(entry.into());
        self
    }

    /// Gives an entry that is kept another result.
    pub fn edit(mut self, entry: impl Into<String>, value: impl Serialize) -> Self {
        let outcome =
            Raw::encode(&value, "the edited outcome").map(|value| ObjectWriter::new().raw("ok", &value).finish());
        self.edits.push((entry.into(), outcome));
        self
    }

    /// Gives an entry that is kept an error in the place of its outcome.
    pub fn edit_error(mut self, entry: impl Into<String>, error: Error) -> Self {
        self.edits.push((entry.into(), Ok(ObjectWriter::new().raw("err", &plain(&error)).finish())));
        self
    }

    /// Another input.
    pub fn input(mut self, input: impl Serialize) -> Self {
        self.input = Some(Raw::encode(&input, "the input"));
        self
    }

    /// Makes repeating this fork harmless: a second one under the same key gives the first one's run.
    pub fn idempotency_key(mut self, key: impl Into<String>) -> Self {
        self.idempotency_key = Some(key.into());
        self
    }

    /// Starts the run; returns once the server has it durably.
    pub async fn send(self) -> Result<RunHandle<T>, Error> {
        let path = ["runs", &self.run, self.act];
        let idempotency_key = self.idempotency_key.as_deref();
        let request = Request { idempotency_key, ..Request::post(&path, Some(self.write(false)?)) };
        let (_, forked): (_, Started) = self.client.request(request).await?;
        Ok(self.client.run(forked.id))
    }

    /// Says what would be kept and what done again, and starts nothing.
    pub async fn plan(&self) -> Result<ForkPlan, Error> {
        let path = ["runs", &self.run, self.act];
        let (_, plan) = self.client.request(Request::post(&path, Some(self.write(true)?))).await?;
        Ok(plan)
    }

    fn write(&self, dry_run: bool) -> Result<Raw, Error> {
        let again = |error: &Error| Error::terminal(error.name(), error.message());
        let mut body = ObjectWriter::new().optional_text("at", self.at.as_deref());
        if !self.edits.is_empty() {
            let mut edits = ObjectWriter::new();
            for (entry, outcome) in &self.edits {
                edits = edits.raw(entry, outcome.as_ref().map_err(again)?);
            }
            body = body.raw("edits", &edits.finish());
        }
        if let Some(input) = &self.input {
            body = body.raw("input", input.as_ref().map_err(again)?);
        }
        Ok(if dry_run { body.yes("dryRun") } else { body }.finish())
    }
}
