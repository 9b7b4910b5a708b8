//! The test kit: runs a function in this process, with a clock that skips.
//!
//! It stands in for the server by the same rules, as far as one run sees them: it keeps the journal, retries, lets time
//! pass where nothing else can happen, and calls the handler again and again with nothing but the journal, so every test
//! is a test of replay too. CEL filters of event waits are not evaluated: say with [`TestRun::event`] what arrives.
//!
//! ```
//! use backstitch::prelude::*;
//! use backstitch::testing::TestRun;
//!
//! #[backstitch::function]
//! async fn publish(ctx: Ctx, title: String) -> Result<String, Error> {
//!     let draft: String = ctx.run("write", |_| async move { backstitch::Ok(format!("# {title}")) }).await?;
//!     match ctx.signal::<bool>("approve").timeout(3.days()).await? {
//!         Some(true) => Ok(draft),
//!         _ => Err(Error::terminal("Rejected", "nobody liked it")),
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let app = App::new("blog").function(publish);
//!
//! // As it is, but the answer to the first step is lost once: its body runs again.
//! let mut run = TestRun::new(&app, "publish").input("Seams").crash_after("write");
//! assert_eq!(run.until_waiting().await, ["approve"]);
//! run.signal("approve", true);
//! assert_eq!(run.finish().await.ok::<String>(), "# Seams");
//! assert_eq!(run.executions("write"), 2);
//!
//! // Nobody approves: three days pass at once.
//! let mut run = TestRun::new(&app, "publish").input("Seams");
//! assert_eq!(run.finish().await.err().name(), "Rejected");
//! # }
//! ```

#[cfg(feature = "client")]
mod dev;
mod everywhere;
mod fetches;
mod line;
mod ops;
mod outside;
mod server;
mod voices;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::app::App;
use crate::error::{Error, Failure};
use crate::event::Outgoing;
use crate::fetch::FetchResponse;
use crate::labels::AttributeValue;
use crate::raw::Raw;
use crate::schedule::Tick;
use crate::time::Clock;
use crate::wire::Outcome as Settled;

#[cfg(feature = "client")]
pub use dev::{ClockState, DevClock, effect};
pub use everywhere::{Crash, CrashReport, NotCrashSafe, crash_everywhere};

use server::{Advance, Server};

pub use voices::Message;

/// Gives an app a clock of the test's, by which it judges signatures.
pub fn with_clock(mut app: App, now: impl Fn() -> SystemTime + Send + Sync + 'static) -> App {
    app.clock = Clock::of(now);
    app
}

/// One run of a function of an app.
pub struct TestRun {
    server: Server,
}

/// How far a run has come.
#[derive(Debug)]
pub enum Outcome {
    /// The handler returned.
    Completed(Value),
    /// The run failed for good.
    Failed(Error),
    /// Nothing can happen any more without a signal, an event or a child's outcome for these entries; or one of them undoes
    /// a step and has failed as often as it may.
    Blocked(Vec<String>),
}

/// What the journal holds of one entry.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// The entry's id, scopes included.
    pub id: String,
    /// Its kind: `step`, `sleep`, `waitSignal` ...
    pub op: String,
    /// The parameters that it was created with.
    pub params: Value,
    /// Its outcome; `None` while it is open.
    pub outcome: Option<Recorded>,
}

/// A recorded outcome.
#[derive(Debug, Clone, PartialEq)]
pub enum Recorded {
    /// A value.
    Ok(Value),
    /// An error of this name and message.
    Err {
        /// Its name.
        name: String,
        /// Its message.
        message: String,
    },
    /// Nothing came in time.
    TimedOut,
}

impl TestRun {
    /// A run that begins when it is first advanced. Its input is `null` until [`TestRun::input`] says otherwise.
    pub fn new(app: &App, function: &str) -> TestRun {
        TestRun { server: Server::new(app.clone(), function) }
    }

    /// Starts the run with this input, as by a call.
    #[must_use]
    pub fn input(mut self, input: impl Serialize) -> TestRun {
        self.server.input = encode(&input);
        self
    }

    /// Starts the run by this event: its data is the input.
    #[must_use]
    pub fn triggered_by(mut self, event: impl Into<Outgoing>) -> TestRun {
        self.server.trigger_by(&event.into());
        self
    }

    /// Starts the run for this time of a schedule. Its input stays what [`TestRun::input`] says.
    #[must_use]
    pub fn scheduled(mut self, tick: Tick) -> TestRun {
        self.server.scheduled(tick);
        self
    }

    /// Gives the run a name, as its starter may.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> TestRun {
        self.server.run.name = Some(name.into());
        self
    }

    /// Calls a handler of an object under this key: the function is `object/handler`.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> TestRun {
        self.server.run.key = Some(key.into());
        self
    }

    /// Gives the object this state, by name: a map, or [`TestRun::state`] of another run. Goes after [`TestRun::key`].
    #[must_use]
    pub fn with_state<V: Serialize>(self, state: impl IntoIterator<Item = (impl Into<String>, V)>) -> TestRun {
        let state = state.into_iter().map(|(name, value)| (name.into(), encode(&value))).collect();
        self.server.objects.fill(&self.server.run, state);
        self
    }

    /// Lets the step of this id end so, each time, without running its body.
    #[must_use]
    pub fn step<T: Serialize>(mut self, id: &str, outcome: Result<T, Error>) -> TestRun {
        self.server.stub(id, outcome.map(|value| encode(&value)).map_err(Error::into_failure));
        self
    }

    /// Lets the call of this id, which the server would make, be answered so: each attempt, given its number from 1. An error is
    /// no answer. What is answered with a status that is tried again is asked for again. A call without an answer stays open.
    #[must_use]
    pub fn fetch<F>(mut self, id: &str, answer: F) -> TestRun
    where
        F: Fn(u32) -> Result<FetchResponse, Error> + Send + Sync + 'static,
    {
        self.server.fetches.insert(id.to_owned(), Arc::new(answer));
        self
    }

    /// Lets the child of this id end so. Children without one are run, if the app has their function.
    #[must_use]
    pub fn child<T: Serialize>(mut self, id: &str, outcome: Result<T, Error>) -> TestRun {
        let settled = match outcome {
            Ok(value) => Settled::Ok(encode(&value)),
            Err(error) => Settled::Err(child_failed(&error.into_failure())),
        };
        self.server.children.insert(id.to_owned(), settled);
        self
    }

    /// Loses, once, the answer that reports this step, as a crash after its body would: the step runs again.
    #[must_use]
    pub fn crash_after(mut self, id: &str) -> TestRun {
        self.server.crashes.push(id.to_owned());
        self
    }

    /// Lets these attempts of a step fail, from 1, without running its body.
    #[must_use]
    pub fn failing(
        mut self,
        id: &str,
        attempts: impl IntoIterator<Item = u32>,
        error: impl Fn(u32) -> Error,
    ) -> TestRun {
        for attempt in attempts {
            let failure = error(attempt).into_failure();
            self.server.stubs.attempts.insert((id.to_owned(), attempt), failure);
        }
        self
    }

    /// Disturbs the run as [`crash_everywhere`] wants it.
    #[must_use]
    pub fn crashing(mut self, crash: Crash) -> TestRun {
        (self.server.crash_at, self.server.checkpoints) = (crash.at, crash.checkpoints);
        self
    }

    /// Lets the handler report while it works, as behind a server that it can reach: an invocation then goes on as long as
    /// it can. Without it each step is an invocation, and so a test of replay.
    #[must_use]
    pub fn checkpoints(mut self) -> TestRun {
        self.server.checkpoints = true;
        self
    }

    /// Runs until the handler has ended, letting time pass where it must.
    pub async fn finish(&mut self) -> Outcome {
        loop {
            match self.server.advance().await {
                Advance::Ended(outcome) => return self.server.outcome(outcome),
                Advance::Waiting if self.server.skip() => {}
                Advance::Waiting => return Outcome::Blocked(self.server.open_ids()),
            }
        }
    }

    /// Runs until nothing can happen without time passing or something arriving, and gives the ids of the open entries:
    /// none if the run has ended.
    pub async fn until_waiting(&mut self) -> Vec<String> {
        match self.server.advance().await {
            Advance::Ended(_) => Vec::new(),
            Advance::Waiting => self.server.open_ids(),
        }
    }

    /// Sends a signal; one that comes early is kept.
    pub fn signal(&mut self, name: &str, payload: impl Serialize) {
        self.server.signal(name, encode(&payload));
    }

    /// Sends an update, which is kept until the handler takes it, and gives its id: see [`TestRun::reply`].
    pub fn update(&mut self, name: &str, data: impl Serialize) -> String {
        self.server.update(name, encode(&data))
    }

    /// What an update was answered with; `None` while it was not.
    pub fn reply(&self, update: &str) -> Option<Result<Value, Error>> {
        let reply = self.server.reply(update)?;
        Some(reply.map(|value| server::json(&value)).map_err(Error::own))
    }

    /// Lets an event arrive: it settles the oldest open wait for its name. Gives whether there was one.
    pub fn event(&mut self, event: impl Into<Outgoing>) -> bool {
        self.server.event(&event.into())
    }

    /// Settles the awakeable of this token. Gives whether it was open.
    pub fn resolve(&mut self, token: &str, payload: impl Serialize) -> bool {
        self.server.awake(token, Settled::Ok(encode(&payload)))
    }

    /// Rejects the awakeable of this token. Gives whether it was open.
    pub fn reject(&mut self, token: &str, error: Error) -> bool {
        self.server.awake(token, Settled::Err(error.into_failure()))
    }

    /// Says that a compensation was made by hand, as an operator does when it has failed as often as it may. Gives whether
    /// it was open.
    pub fn settle(&mut self, entry: &str, value: impl Serialize) -> bool {
        self.server.settle_by_hand(entry, encode(&value))
    }

    /// Cancels the run: what is open is rejected, what the handler does about it runs.
    pub fn cancel(&mut self) {
        self.server.cancel();
    }

    /// Lets time pass, waking what is due.
    pub fn skip(&mut self, duration: Duration) {
        self.server.skip_to(self.server.now() + duration);
    }

    /// The run's time.
    pub fn now(&self) -> SystemTime {
        self.server.now()
    }

    /// What the run shows of itself.
    pub fn status(&self) -> Option<Value> {
        self.server.status.clone()
    }

    /// What the run has published, as a reader has it in the end: nothing of attempts that came to nothing.
    pub fn messages(&self) -> Vec<Message> {
        self.server.voices.heard()
    }

    /// A tag that the run is started with.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> TestRun {
        self.server.labels.tags.insert(tag.into());
        self.server.labels_at_first = self.server.labels.clone();
        self
    }

    /// An attribute that the run is started with.
    #[must_use]
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> TestRun {
        self.server.labels.attributes.insert(name.into(), value.into());
        self.server.labels_at_first = self.server.labels.clone();
        self
    }

    /// The tags that the run is found by.
    pub fn tags(&self) -> Vec<String> {
        self.server.labels.tags.iter().cloned().collect()
    }

    /// The attributes that the run is found by.
    pub fn attributes(&self) -> BTreeMap<String, AttributeValue> {
        self.server.labels.attributes.clone()
    }

    /// The state of the object of the run's key, by name.
    pub fn state(&self) -> BTreeMap<String, Value> {
        let state = self.server.objects.state(&self.server.run);
        state.into_iter().map(|(name, value)| (name, server::json(&value))).collect()
    }

    /// How many runs there were: one more for each time that the handler has gone on in a new one.
    pub fn runs(&self) -> u32 {
        self.server.runs
    }

    /// The journal, in the order in which entries were created.
    pub fn journal(&self) -> Vec<Record> {
        self.server.records()
    }

    /// The journal's entry of this id.
    pub fn entry(&self, id: &str) -> Option<Record> {
        self.server.records().into_iter().find(|record| record.id == id)
    }

    /// How often the body of this step has ended, lost answers included.
    pub fn executions(&self, id: &str) -> u32 {
        self.server.executions.get(id).copied().unwrap_or(0)
    }

    /// How often the handler has been invoked.
    pub fn invocations(&self) -> u32 {
        self.server.invocations
    }

    /// What the server was told of in each answer and report that it took: ids of entries, in order.
    pub fn told(&self) -> Vec<Vec<String>> {
        self.server.told.clone()
    }

    /// The names and data of the events that the run has sent.
    pub fn sent(&self) -> Vec<(String, Value)> {
        self.server.sent.clone()
    }

    /// The functions and inputs of the detached children that the run has started.
    pub fn started(&self) -> Vec<(String, Value)> {
        self.server.started.clone()
    }
}

#[expect(clippy::panic, reason = "a test that expects another outcome should stop, and say which it got")]
impl Outcome {
    /// The decoded result; panics if the run did not complete with such a value.
    #[track_caller]
    pub fn ok<T: DeserializeOwned>(self) -> T {
        match self {
            Outcome::Completed(value) => match serde_json::from_value(value) {
                Ok(value) => value,
                Err(error) => panic!("the run completed with a value of another shape: {error}"),
            },
            other => panic!("the run did not complete: {other:?}"),
        }
    }

    /// The error; panics if the run did not fail.
    #[track_caller]
    pub fn err(self) -> Error {
        match self {
            Outcome::Failed(error) => error,
            other => panic!("the run did not fail: {other:?}"),
        }
    }
}

/// Values that the test made up must be JSON; what is not becomes the error's text, which no handler expects.
fn encode<T: Serialize + ?Sized>(value: &T) -> Raw {
    let encoded = Raw::encode(value, "the test's value");
    encoded.unwrap_or_else(|error| Raw::written(Value::String(error.to_string()).to_string().into_bytes()))
}

/// A child's failure as its parent's entry holds it.
fn child_failed(failure: &Failure) -> Failure {
    let message = format!("the child failed: {}: {}", failure.name, failure.message);
    let mut outer = Failure::new("ChildFailed".to_owned(), message, false);
    outer.data = Some(serde_json::json!({ "runId": server::RUN_ID, "error": failure }));
    outer
}

/// What the kit gives to steps in place of their bodies' outcomes.
#[derive(Clone, Default)]
pub(crate) struct Stubs {
    /// By entry id.
    outcomes: HashMap<String, Result<Raw, Failure>>,
    /// Of single attempts.
    attempts: HashMap<(String, u32), Failure>,
}

impl Stubs {
    /// What this attempt comes to without its body, if a test has said so.
    pub(crate) fn get(&self, id: &str, attempt: u32) -> Option<Result<Raw, Failure>> {
        if self.outcomes.is_empty() && self.attempts.is_empty() {
            return None;
        }
        let failure = self.attempts.get(&(id.to_owned(), attempt)).cloned().map(Err);
        failure.or_else(|| self.outcomes.get(id).cloned())
    }
}
