//! Jobs: one action on every run that a filter matches. A loop goes through the runs page by page, gives their owners
//! single commands, a bounded number at a time, and writes how far it has come. After a restart it goes on from there.
//!
//! A backfill is a job, too: it goes through the times of a schedule, and waits for its runs.
//!
//! It decides nothing about runs: what an action does to one of them is the engine's business. It does not promise that a
//! run is acted upon once: a page that was under way when the server died is done again, and every action may be.

mod backfill;
mod error;
mod runner;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use error::JobError;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::limits::JOBS_RUNNING_MAX;
use crate::model::{Backfill, FailureTest, Job, JobAction, JobFilter, JobId, JobOptions};
use crate::store::{RunFilter, Store};

/// Everything that the loop works with.
pub struct Parts {
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Who decides about runs.
    pub cluster: Cluster,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// Turns true when the server stops.
    pub stop: watch::Receiver<bool>,
}

/// Starts the loop: it takes up what is left of earlier jobs, and ends when `parts.stop` turns true.
pub fn open(parts: Parts) -> (Jobs, JoinHandle<()>) {
    let (requests, asked) = mpsc::channel(JOBS_RUNNING_MAX);
    (Jobs { requests }, tokio::spawn(runner::Runner::new(parts, asked).run()))
}

/// The jobs as others see them. Cheap to clone.
#[derive(Clone)]
pub struct Jobs {
    requests: mpsc::Sender<Request>,
}

/// What a job is to do.
#[derive(Clone, Debug)]
pub struct NewJob {
    /// The action.
    pub action: JobAction,
    /// On which runs. Statuses that it does not name follow from the action.
    pub filter: JobFilter,
    /// How.
    pub options: JobOptions,
}

impl Jobs {
    /// Makes a job. It is durable when this returns, and begins by itself.
    pub async fn create(&self, new: NewJob) -> Result<Job, JobError> {
        self.ask(|reply| Request::Create(Box::new(new), reply)).await
    }

    /// Makes a backfill of so many times. It is durable when this returns, and begins by itself.
    pub async fn backfill(&self, ask: Backfill, total: u64) -> Result<Job, JobError> {
        self.ask(|reply| Request::Backfill(Box::new(ask), total, reply)).await
    }

    /// Stops a job where it is; one that has ended stays as it is.
    pub async fn stop(&self, id: JobId) -> Result<Job, JobError> {
        self.ask(|reply| Request::Stop(id, reply)).await
    }

    async fn ask(&self, request: impl FnOnce(Reply) -> Request) -> Result<Job, JobError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| JobError::Stopping)?;
        answer.await.unwrap_or(Err(JobError::Stopping))
    }
}

/// How many runs an action would be about.
pub async fn count(store: &dyn Store, action: JobAction, filter: &JobFilter) -> Result<u64, JobError> {
    Ok(store.count_runs(matching(action, filter)).await?.total())
}

/// Which runs an action is about.
fn matching(action: JobAction, filter: &JobFilter) -> RunFilter {
    RunFilter {
        statuses: if filter.status.is_empty() { action.statuses() } else { filter.status.clone() },
        app: filter.app.clone(),
        function: filter.function.clone(),
        deployment: filter.deployment,
        previous: filter.previous,
        schedule: filter.schedule.clone(),
        parent: filter.parent,
        root: filter.root,
        event: filter.event,
        trigger: filter.trigger,
        key: filter.key.clone(),
        name_prefix: filter.name.clone(),
        tags: filter.tag.clone(),
        attributes: filter.attribute.clone(),
        text: filter.text.clone(),
        failure: FailureTest::new(filter.error.as_deref(), filter.message.as_deref()),
        since: filter.since,
        until: filter.until,
        ..RunFilter::default()
    }
}

/// Where the answer to a request goes.
type Reply = oneshot::Sender<Result<Job, JobError>>;

/// What someone wants of the loop.
enum Request {
    Create(Box<NewJob>, Reply),
    Backfill(Box<Backfill>, u64, Reply),
    Stop(JobId, Reply),
}
