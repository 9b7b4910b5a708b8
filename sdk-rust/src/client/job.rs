//! Jobs: one act on many runs, done by the server in the background.

use std::time::{Duration, SystemTime};

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Error;
use crate::raw::Raw;
use crate::time;

use super::{Client, Request};

/// The word for an app's newest deployment.
pub(super) const CURRENT: &str = "current";

/// Between two looks at a job.
const LOOK: Duration = Duration::from_millis(500);

/// What is to be done, and with which runs: for [`Client::count`] and [`Client::begin`].
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    action: &'static str,
    filter: RunFilter,
    #[serde(skip_serializing_if = "Option::is_none")]
    options: Option<Options>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    dry_run: bool,
}

/// Of a fork, from where; of a move, where to.
#[derive(Debug, Clone, Default, Serialize)]
struct Options {
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
}

/// Which runs. What is left out does not matter; without a status, all those that the act can be about.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunFilter {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    status: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deployment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    previous: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    schedule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trigger: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tag: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    attribute: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
}

impl RunFilter {
    /// All runs.
    pub fn new() -> RunFilter {
        RunFilter::default()
    }

    /// Those of this status, besides those of others that were named.
    #[must_use]
    pub fn status(mut self, status: impl Into<String>) -> RunFilter {
        self.status.push(status.into());
        self
    }

    /// Those of this app.
    #[must_use]
    pub fn app(mut self, app: impl Into<String>) -> RunFilter {
        self.app = Some(app.into());
        self
    }

    /// Those of this function.
    #[must_use]
    pub fn function(mut self, function: impl Into<String>) -> RunFilter {
        self.function = Some(function.into());
        self
    }

    /// Those that are pinned to this deployment.
    #[must_use]
    pub fn deployment(mut self, deployment: impl Into<String>) -> RunFilter {
        self.deployment = Some(deployment.into());
        self
    }

    /// Those that go on from this run.
    #[must_use]
    pub fn previous(mut self, run: impl Into<String>) -> RunFilter {
        self.previous = Some(run.into());
        self
    }

    /// Those for a time of this schedule, `app/schedule`.
    #[must_use]
    pub fn schedule(mut self, schedule: impl Into<String>) -> RunFilter {
        self.schedule = Some(schedule.into());
        self
    }

    /// Those that this run waits for.
    #[must_use]
    pub fn parent(mut self, run: impl Into<String>) -> RunFilter {
        self.parent = Some(run.into());
        self
    }

    /// Those of the family of this run.
    #[must_use]
    pub fn root(mut self, run: impl Into<String>) -> RunFilter {
        self.root = Some(run.into());
        self
    }

    /// Those that this event started.
    #[must_use]
    pub fn event(mut self, event: impl Into<String>) -> RunFilter {
        self.event = Some(event.into());
        self
    }

    /// Those that were started so: `event`, `call`, `invoke` or `failure`.
    #[must_use]
    pub fn trigger(mut self, trigger: impl Into<String>) -> RunFilter {
        self.trigger = Some(trigger.into());
        self
    }

    /// Those of objects with this key.
    #[must_use]
    pub fn key(mut self, key: impl Into<String>) -> RunFilter {
        self.key = Some(key.into());
        self
    }

    /// Those whose name begins with this.
    #[must_use]
    pub fn name(mut self, prefix: impl Into<String>) -> RunFilter {
        self.name = Some(prefix.into());
        self
    }

    /// Those with this tag, and with all others that were named.
    #[must_use]
    pub fn tag(mut self, tag: impl Into<String>) -> RunFilter {
        self.tag.push(tag.into());
        self
    }

    /// Those with an attribute that passes this test, such as `total:gte:100`, and all others that were named.
    #[must_use]
    pub fn attribute(mut self, test: impl Into<String>) -> RunFilter {
        self.attribute.push(test.into());
        self
    }

    /// Those with this in their id, function, name, key, tags or attributes.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> RunFilter {
        self.text = Some(text.into());
        self
    }

    /// Those that failed with an error of this name, or are tried again because of one.
    #[must_use]
    pub fn error(mut self, name: impl Into<String>) -> RunFilter {
        self.error = Some(name.into());
        self
    }

    /// Those with an error whose message is like this one: the same but for words with digits in them, for which `…` may stand.
    #[must_use]
    pub fn message(mut self, message: impl Into<String>) -> RunFilter {
        self.message = Some(message.into());
        self
    }

    /// Those that were created then or later.
    #[must_use]
    pub fn since(mut self, time: impl Into<SystemTime>) -> RunFilter {
        self.since = Some(time::format(time.into()));
        self
    }

    /// Those that were created before.
    #[must_use]
    pub fn until(mut self, time: impl Into<SystemTime>) -> RunFilter {
        self.until = Some(time::format(time.into()));
        self
    }
}

impl Job {
    fn new(action: &'static str, filter: RunFilter) -> Job {
        Job { action, filter, options: None, dry_run: false }
    }

    /// Cancels them.
    pub fn cancel(filter: RunFilter) -> Job {
        Job::new("cancel", filter)
    }

    /// Ends them at once.
    pub fn kill(filter: RunFilter) -> Job {
        Job::new("kill", filter)
    }

    /// Holds them.
    pub fn pause(filter: RunFilter) -> Job {
        Job::new("pause", filter)
    }

    /// Lets them go on.
    pub fn resume(filter: RunFilter) -> Job {
        Job::new("resume", filter)
    }

    /// Starts them again from their first failure.
    pub fn retry(filter: RunFilter) -> Job {
        Job::new("retry", filter)
    }

    /// Makes them again, from this entry on, or as a whole.
    pub fn fork(filter: RunFilter, at: Option<&str>) -> Job {
        let options = at.map(|at| Options { at: Some(at.to_owned()), to: None });
        Job { options, ..Job::new("fork", filter) }
    }

    /// Moves them to another deployment of their app: to the one with this id, or to the current one.
    pub fn move_to(filter: RunFilter, deployment: Option<&str>) -> Job {
        let to = deployment.unwrap_or(CURRENT).to_owned();
        Job { options: Some(Options { at: None, to: Some(to) }), ..Job::new("move", filter) }
    }

    pub(super) fn write(&self, dry_run: bool) -> Result<Raw, Error> {
        Raw::encode(&Job { dry_run, ..self.clone() }, "the job")
    }
}

/// How far a job is.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// `running`, then `done`, or `stopped` by somebody.
    pub status: String,
    /// How many runs it has dealt with.
    pub done: u64,
    /// With how many of them that failed.
    pub failed: u64,
    /// How many there were when it began.
    pub total: u64,
    /// What went wrong last; null if nothing did.
    #[serde(default)]
    pub last_error: Value,
}

/// A job, for whoever started it or knows its id.
pub struct JobHandle {
    client: Client,
    id: String,
}

impl JobHandle {
    pub(super) fn new(client: Client, id: String) -> JobHandle {
        JobHandle { client, id }
    }

    /// The job's id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How far it is.
    pub async fn status(&self) -> Result<JobStatus, Error> {
        let (_, status) = self.client.request(Request::get(&["jobs", &self.id])).await?;
        Ok(status)
    }

    /// Waits until it has ended, or the time is over; gives how far it is.
    pub async fn ended(&self, wait: Duration) -> Result<JobStatus, Error> {
        let begun = time::instant();
        loop {
            let (_, status): (_, JobStatus) =
                self.client.ask(Request::get(&["jobs", &self.id]), self.client.outage).await?;
            let left = wait.saturating_sub(begun.elapsed());
            if status.status != "running" || left.is_zero() {
                return Ok(status);
            }
            tokio::time::sleep(LOOK.min(left)).await;
        }
    }

    /// Stops it. What it has done stays done.
    pub async fn stop(&self) -> Result<(), Error> {
        let path = ["jobs", &*self.id];
        let request = Request { method: Method::DELETE, ..Request::get(&path) };
        self.client.request::<Value>(request).await.map(drop)
    }
}
