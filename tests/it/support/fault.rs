//! A store around a store that fails one call, before or after it is done, and that can hold commits back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use backstitch_server::model::{
    App, Batch, Deployment, DeploymentId, Entry, EntryId, Event, EventId, Failure, FunctionId, Job, Key, Loaded,
    ObjectKey, RunHead, RunId, ScheduleKey, Text, Timestamp, Wait,
};
use backstitch_server::store::{
    ChannelView, Commit, Dump, EventFilter, EventView, HeldKey, Journal, MessagesPage, ObjectView, ObjectsPage,
    Ownership, RegistryRows, RunCounts, RunFilter, RunView, RunsPage, ScheduleRow, SchedulesPage, SettledPage, Store,
    StoreError, TickRun, TicksPage, Timer, UpdateView,
};
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// Which call fails, and when.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fault {
    /// Counted from 1 over the calls that a partition's loop makes.
    pub(crate) nth: u64,
    /// After it was done: the caller cannot know.
    pub(crate) after: bool,
}

impl Fault {
    /// No call fails.
    pub(crate) fn never() -> Fault {
        Fault { nth: 0, after: false }
    }
}

/// The wrapper.
pub(crate) struct FaultStore<S> {
    inner: S,
    fault: Fault,
    calls: AtomicU64,
    held: watch::Sender<bool>,
}

enum Hit {
    No,
    Before,
    After,
}

fn error() -> StoreError {
    StoreError::Unavailable("planted failure".to_owned())
}

impl<S: Store> FaultStore<S> {
    pub(crate) fn new(inner: S, fault: Fault) -> FaultStore<S> {
        FaultStore { inner, fault, calls: AtomicU64::new(0), held: watch::Sender::new(false) }
    }

    /// How many calls there were that could have failed.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// Commits wait from now on.
    pub(crate) fn hold_commits(&self) {
        self.held.send_replace(true);
    }

    /// Commits go on.
    pub(crate) fn let_commits_go(&self) {
        self.held.send_replace(false);
    }

    fn hit(&self) -> Hit {
        let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
        match (call == self.fault.nth, self.fault.after) {
            (false, _) => Hit::No,
            (true, false) => Hit::Before,
            (true, true) => Hit::After,
        }
    }

    fn faulty<'a, T: Send + 'a>(
        &'a self,
        call: impl FnOnce() -> BoxFuture<'a, Result<T, StoreError>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        Box::pin(async move {
            match self.hit() {
                Hit::No => call().await,
                Hit::Before => Err(error()),
                Hit::After => {
                    call().await?;
                    Err(error())
                }
            }
        })
    }
}

impl<S: Store> Store for FaultStore<S> {
    fn take_ownership(&self, partition: u16) -> BoxFuture<'_, Result<Ownership, StoreError>> {
        self.faulty(move || self.inner.take_ownership(partition))
    }

    fn commit(&self, batch: Arc<Batch>) -> BoxFuture<'_, Commit> {
        Box::pin(async move {
            let mut held = self.held.subscribe();
            // The sender lives as long as the store.
            let _ = held.wait_for(|held| !held).await;
            match self.hit() {
                Hit::No => self.inner.commit(batch).await,
                Hit::Before => Commit::Failed(error()),
                Hit::After => {
                    self.inner.commit(batch).await;
                    Commit::Unknown(error())
                }
            }
        })
    }

    fn load(&self, partition: u16, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Loaded>, StoreError>> {
        self.faulty(move || self.inner.load(partition, keys))
    }

    fn due(
        &self,
        partition: u16,
        after: Option<Timer>,
        until: Timestamp,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Timer>, StoreError>> {
        self.faulty(move || self.inner.due(partition, after, until, limit))
    }

    fn scanning_waits(&self, partition: u16) -> BoxFuture<'_, Result<Vec<Wait>, StoreError>> {
        self.faulty(move || self.inner.scanning_waits(partition))
    }

    fn held_runs(
        &self,
        partition: u16,
        app: Text,
        after: i64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RunHead>, StoreError>> {
        self.inner.held_runs(partition, app, after, limit)
    }

    fn stuck_runs(&self, partition: u16, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        self.inner.stuck_runs(partition, from, to)
    }

    fn secret(&self, fresh: [u8; 32]) -> BoxFuture<'_, Result<[u8; 32], StoreError>> {
        self.inner.secret(fresh)
    }

    fn registry(&self) -> BoxFuture<'_, Result<RegistryRows, StoreError>> {
        self.inner.registry()
    }

    fn put_app(&self, app: App, deployment: Option<Deployment>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.put_app(app, deployment)
    }

    fn put_deployment(&self, deployment: Deployment) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.put_deployment(deployment)
    }

    fn prune_deployments(&self, keep: usize) -> BoxFuture<'_, Result<Vec<DeploymentId>, StoreError>> {
        self.inner.prune_deployments(keep)
    }

    fn delete_app(&self, app: Text) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.inner.delete_app(app)
    }

    fn run(&self, id: RunId) -> BoxFuture<'_, Result<Option<RunView>, StoreError>> {
        self.inner.run(id)
    }

    fn newest_of_chain(&self, first: RunId) -> BoxFuture<'_, Result<Option<RunId>, StoreError>> {
        self.inner.newest_of_chain(first)
    }

    fn run_named(&self, function: FunctionId, name: Text) -> BoxFuture<'_, Result<Option<RunId>, StoreError>> {
        self.inner.run_named(function, name)
    }

    fn runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<RunsPage, StoreError>> {
        self.inner.runs(filter)
    }

    fn failures(&self, runs: Vec<i64>) -> BoxFuture<'_, Result<Vec<Option<Failure>>, StoreError>> {
        self.inner.failures(runs)
    }

    fn count_runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<RunCounts, StoreError>> {
        self.inner.count_runs(filter)
    }

    fn put_job(&self, job: Job) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.put_job(job)
    }

    fn jobs(&self) -> BoxFuture<'_, Result<Vec<Job>, StoreError>> {
        self.inner.jobs()
    }

    fn object(&self, object: ObjectKey) -> BoxFuture<'_, Result<ObjectView, StoreError>> {
        self.inner.object(object)
    }

    fn objects(&self, page: ObjectsPage) -> BoxFuture<'_, Result<Vec<HeldKey>, StoreError>> {
        self.inner.objects(page)
    }

    fn messages(&self, page: MessagesPage) -> BoxFuture<'_, Result<ChannelView, StoreError>> {
        self.inner.messages(page)
    }

    fn journal(&self, id: RunId) -> BoxFuture<'_, Result<Option<Journal>, StoreError>> {
        self.inner.journal(id)
    }

    fn update(&self, run: RunId, id: Text) -> BoxFuture<'_, Result<Option<UpdateView>, StoreError>> {
        self.inner.update(run, id)
    }

    fn settled_before(&self, page: SettledPage) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        self.inner.settled_before(page)
    }

    fn entry(&self, run: RunId, id: EntryId) -> BoxFuture<'_, Result<Option<Entry>, StoreError>> {
        self.inner.entry(run, id)
    }

    fn children(&self, id: RunId, limit: usize) -> BoxFuture<'_, Result<Vec<RunHead>, StoreError>> {
        self.inner.children(id, limit)
    }

    fn event(&self, id: EventId) -> BoxFuture<'_, Result<Option<EventView>, StoreError>> {
        self.inner.event(id)
    }

    fn events(&self, filter: EventFilter) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.inner.events(filter)
    }

    fn schedules(&self, page: SchedulesPage) -> BoxFuture<'_, Result<Vec<ScheduleRow>, StoreError>> {
        self.inner.schedules(page)
    }

    fn schedule(&self, key: ScheduleKey) -> BoxFuture<'_, Result<Option<ScheduleRow>, StoreError>> {
        self.inner.schedule(key)
    }

    fn count_schedules(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.inner.count_schedules()
    }

    fn ticks(&self, page: TicksPage) -> BoxFuture<'_, Result<Vec<TickRun>, StoreError>> {
        self.inner.ticks(page)
    }

    fn stuck_schedules(&self, partition: u16) -> BoxFuture<'_, Result<Vec<ScheduleKey>, StoreError>> {
        self.inner.stuck_schedules(partition)
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.inner.ping()
    }

    fn dump(&self, partition: u16) -> BoxFuture<'_, Result<Dump, StoreError>> {
        self.inner.dump(partition)
    }
}
