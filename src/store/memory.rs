//! The oracle: every table a map, every question answered by looking at all of it. Other stores are right when they
//! answer as this one does. It keeps nothing past its own life, so it is for tests and for models of the server.

mod questions;
mod tables;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use self::tables::Tables;
use super::{
    ChannelView, Commit, Dump, EventFilter, EventView, HeldKey, Journal, MessagesPage, ObjectView, ObjectsPage,
    Ownership, RegistryRows, RunCounts, RunFilter, RunView, RunsPage, ScheduleRow, SchedulesPage, SettledPage, Store,
    StoreError, TickRun, TicksPage, Timer, UpdateView,
};
use crate::model::{
    App, Batch, Deployment, DeploymentId, Entry, EntryId, Event, EventId, Failure, FunctionId, Job, Key, Loaded,
    ObjectKey, RunHead, RunId, ScheduleKey, Text, Timestamp, Wait,
};

/// A store in memory. A clone shares the tables, as a second connection would.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    tables: Arc<Mutex<Tables>>,
}

impl MemoryStore {
    /// Empty tables.
    pub fn new() -> MemoryStore {
        MemoryStore::default()
    }

    fn lock(&self) -> MutexGuard<'_, Tables> {
        // Tables are only ever replaced as a whole, so a panic elsewhere leaves none half written.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Tables) -> T + Send + 'static) -> BoxFuture<'_, T> {
        async move { question(&mut self.lock()) }.boxed()
    }
}

impl Store for MemoryStore {
    fn take_ownership(&self, partition: u16) -> BoxFuture<'_, Result<Ownership, StoreError>> {
        self.ask(move |tables| tables.take_ownership(partition))
    }

    fn commit(&self, batch: Arc<Batch>) -> BoxFuture<'_, Commit> {
        self.ask(move |tables| {
            let mut next = tables.clone();
            match next.write(&batch) {
                Ok(()) => {
                    *tables = next;
                    Commit::Done
                }
                Err(error) => Commit::Failed(error),
            }
        })
    }

    fn load(&self, _partition: u16, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Loaded>, StoreError>> {
        self.ask(move |tables| Ok(keys.iter().map(|key| tables.loaded(key)).collect()))
    }

    fn due(
        &self,
        _partition: u16,
        after: Option<Timer>,
        until: Timestamp,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Timer>, StoreError>> {
        self.ask(move |tables| Ok(tables.due(after.as_ref(), until, limit)))
    }

    fn scanning_waits(&self, _partition: u16) -> BoxFuture<'_, Result<Vec<Wait>, StoreError>> {
        self.ask(|tables| Ok(tables.scanning_waits()))
    }

    fn held_runs(
        &self,
        _partition: u16,
        app: Text,
        after_run_no: i64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RunHead>, StoreError>> {
        self.ask(move |tables| Ok(tables.held_runs(&app, after_run_no, limit)))
    }

    fn stuck_runs(&self, _partition: u16, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        self.ask(move |tables| Ok(tables.stuck_runs(from, to)))
    }

    fn secret(&self, fresh: [u8; 32]) -> BoxFuture<'_, Result<[u8; 32], StoreError>> {
        self.ask(move |tables| Ok(*tables.secret.get_or_insert(fresh)))
    }

    fn registry(&self) -> BoxFuture<'_, Result<RegistryRows, StoreError>> {
        self.ask(|tables| Ok((tables.apps.values().cloned().collect(), tables.deployments.values().cloned().collect())))
    }

    fn put_app(&self, app: App, deployment: Option<Deployment>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(move |tables| tables.put_app(app, deployment))
    }

    fn put_deployment(&self, deployment: Deployment) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(move |tables| tables.put_deployment(deployment))
    }

    fn prune_deployments(&self, keep: usize) -> BoxFuture<'_, Result<Vec<DeploymentId>, StoreError>> {
        self.ask(move |tables| Ok(tables.prune_deployments(keep)))
    }

    fn delete_app(&self, app: Text) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.ask(move |tables| Ok(tables.apps.remove(&app).is_some()))
    }

    fn run(&self, id: RunId) -> BoxFuture<'_, Result<Option<RunView>, StoreError>> {
        self.ask(move |tables| tables.run_view(id))
    }

    fn run_named(&self, function: FunctionId, name: Text) -> BoxFuture<'_, Result<Option<RunId>, StoreError>> {
        self.ask(move |tables| Ok(tables.run_named(&function, &name)))
    }

    fn newest_of_chain(&self, first: RunId) -> BoxFuture<'_, Result<Option<RunId>, StoreError>> {
        self.ask(move |tables| Ok(tables.newest_of_chain(first)))
    }

    fn runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<RunsPage, StoreError>> {
        self.ask(move |tables| Ok(RunsPage { runs: tables.runs_page(&filter), looked_to: None }))
    }

    fn failures(&self, runs: Vec<i64>) -> BoxFuture<'_, Result<Vec<Option<Failure>>, StoreError>> {
        self.ask(move |tables| Ok(tables.failures(&runs)))
    }

    fn count_runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<RunCounts, StoreError>> {
        self.ask(move |tables| Ok(tables.count_runs(&filter)))
    }

    fn put_job(&self, job: Job) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(move |tables| tables.put_job(job))
    }

    fn jobs(&self) -> BoxFuture<'_, Result<Vec<Job>, StoreError>> {
        self.ask(|tables| Ok(tables.jobs.values().rev().cloned().collect()))
    }

    fn journal(&self, id: RunId) -> BoxFuture<'_, Result<Option<Journal>, StoreError>> {
        self.ask(move |tables| Ok(tables.journal(id)))
    }

    fn update(&self, run: RunId, id: Text) -> BoxFuture<'_, Result<Option<UpdateView>, StoreError>> {
        self.ask(move |tables| Ok(tables.update(run, &id)))
    }

    fn settled_before(&self, page: SettledPage) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        self.ask(move |tables| Ok(tables.settled_before(&page)))
    }

    fn entry(&self, run: RunId, id: EntryId) -> BoxFuture<'_, Result<Option<Entry>, StoreError>> {
        self.ask(move |tables| Ok(tables.entry(run, &id)))
    }

    fn children(&self, id: RunId, limit: usize) -> BoxFuture<'_, Result<Vec<RunHead>, StoreError>> {
        self.ask(move |tables| Ok(tables.children(id, limit)))
    }

    fn event(&self, id: EventId) -> BoxFuture<'_, Result<Option<EventView>, StoreError>> {
        self.ask(move |tables| Ok(tables.event_view(id)))
    }

    fn events(&self, filter: EventFilter) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.ask(move |tables| Ok(tables.events_page(&filter)))
    }

    fn object(&self, object: ObjectKey) -> BoxFuture<'_, Result<ObjectView, StoreError>> {
        self.ask(move |tables| Ok(tables.object_view(&object)))
    }

    fn objects(&self, page: ObjectsPage) -> BoxFuture<'_, Result<Vec<HeldKey>, StoreError>> {
        self.ask(move |tables| Ok(tables.objects(&page)))
    }

    fn schedules(&self, page: SchedulesPage) -> BoxFuture<'_, Result<Vec<ScheduleRow>, StoreError>> {
        self.ask(move |tables| tables.schedules(&page))
    }

    fn schedule(&self, key: ScheduleKey) -> BoxFuture<'_, Result<Option<ScheduleRow>, StoreError>> {
        self.ask(move |tables| Ok(tables.all_schedules()?.into_iter().find(|row| row.key == key)))
    }

    fn count_schedules(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.ask(|tables| Ok(tables.all_schedules()?.len() as u64))
    }

    fn ticks(&self, page: TicksPage) -> BoxFuture<'_, Result<Vec<TickRun>, StoreError>> {
        self.ask(move |tables| Ok(tables.ticks(&page)))
    }

    fn stuck_schedules(&self, _partition: u16) -> BoxFuture<'_, Result<Vec<ScheduleKey>, StoreError>> {
        self.ask(|tables| tables.stuck_schedules())
    }

    fn messages(&self, page: MessagesPage) -> BoxFuture<'_, Result<ChannelView, StoreError>> {
        self.ask(move |tables| tables.messages_page(&page))
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.ask(|_| Ok(()))
    }

    fn dump(&self, _partition: u16) -> BoxFuture<'_, Result<Dump, StoreError>> {
        self.ask(|tables| Ok(tables.dump()))
    }
}
