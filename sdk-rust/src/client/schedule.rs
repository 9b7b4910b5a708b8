//! Schedules: what starts runs of a function at times. Those that an app declares are paused and filled up like the others;
//! what they do is said in its code.

use std::time::SystemTime;

use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::job::JobHandle;
use super::{Client, Request};
use crate::error::Error;
use crate::raw::Raw;
use crate::schedule::Schedule;
use crate::time;

/// Ticks of one kind.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Tally {
    /// How many there were.
    pub count: u64,
    /// The logical time of the last, in RFC 3339.
    pub last: Option<String>,
}

/// Where a schedule stands.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleStatus {
    /// `app/schedule`.
    pub id: String,
    /// The function that it starts.
    pub function: String,
    /// Who made it: the app's `manifest`, or the `api`.
    pub source: String,
    /// Why it stands still, `{"since", "note"}`; null while it goes on.
    #[serde(default)]
    pub paused: Value,
    /// The logical time of its next tick, in RFC 3339.
    pub next: Option<String>,
    /// What it waits for now, in a sentence.
    pub explanation: String,
    /// Ticks that had their run.
    pub started: Tally,
    /// Ticks that had none since an earlier run went on.
    pub skipped: Tally,
    /// Ticks that had none since the server was too late for them.
    pub missed: Tally,
}

/// What a backfill does with times that have a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Reprocess {
    /// Leaves them alone.
    #[default]
    None,
    /// Makes those again that failed or were cancelled.
    Failed,
    /// Makes all again that have ended.
    All,
}

/// Which times of a schedule are to have a run.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Backfill {
    from: String,
    until: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<u32>,
    reprocess: Reprocess,
    dry_run: bool,
}

impl Backfill {
    /// Those from one time on and before another, which is not later than now.
    pub fn new(from: impl Into<SystemTime>, until: impl Into<SystemTime>) -> Backfill {
        let (from, until) = (time::format(from.into()), time::format(until.into()));
        Backfill { from, until, concurrency: None, reprocess: Reprocess::None, dry_run: false }
    }

    /// How many runs there are at a time; 1 if left out.
    #[must_use]
    pub fn concurrency(mut self, runs: u32) -> Backfill {
        self.concurrency = Some(runs);
        self
    }

    /// What becomes of times that have a run.
    #[must_use]
    pub fn reprocess(mut self, reprocess: Reprocess) -> Backfill {
        self.reprocess = reprocess;
        self
    }
}

/// What a backfill would do.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct BackfillPlan {
    /// Times of the schedule in the range.
    pub total: u64,
    /// Those of them that would get a run.
    pub runs: u64,
    /// The first of those, in RFC 3339.
    pub ticks: Vec<String>,
}

/// One schedule, whether it is there or not.
pub struct ScheduleHandle {
    client: Client,
    app: String,
    schedule: String,
}

#[derive(Deserialize)]
struct Found {
    id: String,
}

impl ScheduleHandle {
    pub(super) fn new(client: Client, app: String, schedule: String) -> ScheduleHandle {
        ScheduleHandle { client, app, schedule }
    }

    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        method: Method,
        verb: &[&str],
        body: Option<Raw>,
    ) -> Result<T, Error> {
        let path = [&["schedules", &*self.app, &*self.schedule], verb].concat();
        let request = Request { method, ..Request::post(&path, body) };
        let (_, answer) = self.client.request(request).await?;
        Ok(answer)
    }

    /// Makes it, or changes it: it starts the function with this id.
    pub async fn put(&self, function: &str, schedule: &Schedule) -> Result<ScheduleStatus, Error> {
        let mut body = serde_json::to_value(schedule).unwrap_or_default();
        body["function"] = function.into();
        self.ask(Method::PUT, &[], Some(Raw::encode(&body, "the schedule")?)).await
    }

    /// Where it stands.
    pub async fn status(&self) -> Result<ScheduleStatus, Error> {
        self.ask(Method::GET, &[], None).await
    }

    /// Holds it: it starts nothing until it is resumed.
    pub async fn pause(&self, note: Option<&str>) -> Result<ScheduleStatus, Error> {
        let body = Raw::encode(&json!({ "note": note }), "the note")?;
        self.ask(Method::POST, &["pause"], Some(body)).await
    }

    /// Lets it go on.
    pub async fn resume(&self) -> Result<ScheduleStatus, Error> {
        self.ask(Method::POST, &["resume"], None).await
    }

    /// Starts a run now; gives its id.
    pub async fn trigger(&self) -> Result<String, Error> {
        let run: Found = self.ask(Method::POST, &["trigger"], None).await?;
        Ok(run.id)
    }

    /// Says what a backfill would do.
    pub async fn plan(&self, range: &Backfill) -> Result<BackfillPlan, Error> {
        let body = Raw::encode(&Backfill { dry_run: true, ..range.clone() }, "the range")?;
        self.ask(Method::POST, &["backfill"], Some(body)).await
    }

    /// Starts the runs of a range of times, in the background.
    pub async fn backfill(&self, range: &Backfill) -> Result<JobHandle, Error> {
        let body = Raw::encode(range, "the range")?;
        let job: Found = self.ask(Method::POST, &["backfill"], Some(body)).await?;
        Ok(JobHandle::new(self.client.clone(), job.id))
    }

    /// The id of the run of a logical time: of the newest, if it was made again.
    pub async fn run_at(&self, time: impl Into<SystemTime>) -> Result<String, Error> {
        let at = time::format(time.into());
        let run: Found = self.ask(Method::GET, &["runs", &at], None).await?;
        Ok(run.id)
    }

    /// Removes it. Its runs stay.
    pub async fn delete(&self) -> Result<(), Error> {
        self.ask::<Value>(Method::DELETE, &[], None).await.map(drop)
    }
}
