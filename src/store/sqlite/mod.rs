//! The embedded ledger: one SQLite file in one directory, held by one process. One thread writes, or whoever finds it idle; a few read. Rows are
//! appended in order, one transaction a batch, and a commit is done when the disk says so.

mod commit;
mod error;
mod files;
mod load;
mod log;
mod payloads;
mod plan;
mod query;
mod readers;
mod registry;
mod rows;
mod schema;
mod search;
mod sql;
mod verify;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

pub use self::verify::{Checked, Example, Verified, verify};

use self::files::DataDirectory;
use self::readers::Lane;
use self::writer::{Opening, Writer};
use super::{
    ChannelView, Commit, Dump, EventFilter, EventView, HeldKey, Journal, MessagesPage, ObjectView, ObjectsPage,
    Ownership, RegistryRows, RunCounts, RunFilter, RunView, RunsPage, ScheduleRow, SchedulesPage, SettledPage, Store,
    StoreError, TickRun, TicksPage, Timer, UpdateView,
};
use crate::model::{
    App, Batch, Deployment, DeploymentId, Entry, EntryId, Event, EventId, Failure, FunctionId, Job, Key, Loaded,
    ObjectKey, RunHead, RunId, ScheduleKey, Text, Timestamp, Wait,
};

/// The file in a data directory that a running server holds a lock on.
pub const LOCK: &str = "backstitch.lock";

/// The version of the SQLite library, if it can be trusted with a write-ahead log.
///
/// # Errors
/// [`StoreError::Open`] when it is too old.
pub fn library() -> Result<&'static str, StoreError> {
    schema::check_library()
}

/// The schema's version in a data directory, if this program can use it; nothing when there is no database yet. Changes
/// nothing.
///
/// # Errors
/// [`StoreError::Open`] when it is a newer version's, or another program's.
pub fn look(dir: &Path) -> Result<Option<i32>, StoreError> {
    schema::look(&dir.join(files::DATABASE))
}

/// What a commit waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// For the disk: what is acknowledged survives a loss of power.
    #[default]
    Full,
    /// For the operating system only: what is acknowledged survives the process, and nothing more. For tests.
    Relaxed,
}

/// Where and how the file is kept.
#[derive(Clone, Debug)]
pub struct SqliteConfig {
    /// The data directory; it is made if it is not there.
    pub dir: PathBuf,
    /// What a commit waits for.
    pub durability: Durability,
    /// The most pages of 4 KiB that the file may have; nothing means as many as fit on the disk.
    pub pages_max: Option<u32>,
}

impl SqliteConfig {
    /// A data directory with the defaults of a server.
    pub fn new(dir: impl Into<PathBuf>) -> SqliteConfig {
        SqliteConfig { dir: dir.into(), durability: Durability::Full, pages_max: None }
    }
}

/// The store in a data directory. Dropping it finishes what was asked for, and lets another server have the directory;
/// that blocks for a moment.
pub struct SqliteStore {
    // Fields are dropped in this order: readers, writer, lock.
    decisions: Lane,
    people: Lane,
    writer: Writer,
    _directory: DataDirectory,
}

impl SqliteStore {
    /// Takes the directory, opens the file and brings its schema up to date. Blocks.
    ///
    /// # Errors
    /// [`StoreError::Open`], when another server has the directory, when the file was written by a newer version or
    /// another program, or when the directory cannot be used.
    pub fn open(config: &SqliteConfig) -> Result<SqliteStore, StoreError> {
        schema::check_library()?;
        if config.durability == Durability::Relaxed {
            tracing::warn!("commits do not wait for the disk: a loss of power loses what was acknowledged");
        }
        let directory = DataDirectory::take(&config.dir)?;
        let path = directory.database();
        let connection = schema::open_writer(&path, config.durability, config.pages_max)?;
        let opening = Opening { path: path.clone(), durability: config.durability, pages_max: config.pages_max };
        Ok(SqliteStore {
            decisions: Lane::open(&path, "store-load")?,
            people: Lane::open(&path, "store-query")?,
            writer: Writer::start(opening, connection)?,
            _directory: directory,
        })
    }
}

impl Store for SqliteStore {
    fn take_ownership(&self, partition: u16) -> BoxFuture<'_, Result<Ownership, StoreError>> {
        self.writer.write(move |db| registry::take_ownership(db, partition)).boxed()
    }

    fn commit(&self, batch: Arc<Batch>) -> BoxFuture<'_, Commit> {
        self.writer.commit(batch).boxed()
    }

    fn load(&self, _partition: u16, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Loaded>, StoreError>> {
        self.decisions.read(move |db| load::load(db, &keys)).boxed()
    }

    fn due(
        &self,
        _partition: u16,
        after: Option<Timer>,
        until: Timestamp,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Timer>, StoreError>> {
        self.decisions.read(move |db| load::due(db, after.as_ref(), until, limit)).boxed()
    }

    fn scanning_waits(&self, _partition: u16) -> BoxFuture<'_, Result<Vec<Wait>, StoreError>> {
        self.decisions.read(load::scanning_waits).boxed()
    }

    fn held_runs(
        &self,
        _partition: u16,
        app: Text,
        after_run_no: i64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RunHead>, StoreError>> {
        self.decisions.read(move |db| load::held_runs(db, &app, after_run_no, limit)).boxed()
    }

    fn stuck_runs(&self, _partition: u16, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>> {
        self.people.read(move |db| verify::stuck(db, from, to)).boxed()
    }

    fn secret(&self, fresh: [u8; 32]) -> BoxFuture<'_, Result<[u8; 32], StoreError>> {
        self.writer.write(move |db| registry::secret(db, fresh)).boxed()
    }

    fn registry(&self) -> BoxFuture<'_, Result<RegistryRows, StoreError>> {
        self.people.read(registry::registry).boxed()
    }

    fn put_app(&self, app: App, deployment: Option<Deployment>) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.write(move |db| registry::put_app(db, &app, deployment.as_ref())).boxed()
    }

    fn put_deployment(&self, deployment: Deployment) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.write(move |db| registry::put_deployment(db, &deployment)).boxed()
    }

    fn prune_deployments(&self, keep: usize) -> BoxFuture<'_, Result<Vec<DeploymentId>, StoreError>> {
        self.writer.write(move |db| registry::prune_deployments(db, keep)).boxed()
    }

    fn delete_app(&self, app: Text) -> BoxFuture<'_, Result<bool, StoreError>> {
        self.writer.write(move |db| registry::delete_app(db, &app)).boxed()
    }

    fn run(&self, id: RunId) -> BoxFuture<'_, Result<Option<RunView>, StoreError>> {
        self.people.read(move |db| query::run(db, id)).boxed()
    }

    fn run_named(&self, function: FunctionId, name: Text) -> BoxFuture<'_, Result<Option<RunId>, StoreError>> {
        self.people.read(move |db| query::run_named(db, &function, &name)).boxed()
    }

    fn newest_of_chain(&self, first: RunId) -> BoxFuture<'_, Result<Option<RunId>, StoreError>> {
        self.people.read(move |db| query::newest_of_chain(db, first)).boxed()
    }

    fn runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<RunsPage, StoreError>> {
        self.people.read(move |db| search::runs(db, &filter)).boxed()
    }

    fn failures(&self, runs: Vec<i64>) -> BoxFuture<'_, Result<Vec<Option<Failure>>, StoreError>> {
        self.people.read(move |db| search::failures(db, &runs)).boxed()
    }

    fn count_runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<RunCounts, StoreError>> {
        self.people.read(move |db| search::count_runs(db, &filter)).boxed()
    }

    fn put_job(&self, job: Job) -> BoxFuture<'_, Result<(), StoreError>> {
        self.writer.write(move |db| registry::put_job(db, &job)).boxed()
    }

    fn jobs(&self) -> BoxFuture<'_, Result<Vec<Job>, StoreError>> {
        self.people.read(registry::jobs).boxed()
    }

    fn journal(&self, id: RunId) -> BoxFuture<'_, Result<Option<Journal>, StoreError>> {
        self.people.read(move |db| query::journal(db, id)).boxed()
    }

    fn update(&self, run: RunId, id: Text) -> BoxFuture<'_, Result<Option<UpdateView>, StoreError>> {
        self.people.read(move |db| query::update(db, run, &id)).boxed()
    }

    fn settled_before(&self, page: SettledPage) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>> {
        self.people.read(move |db| query::settled_before(db, &page)).boxed()
    }

    fn entry(&self, run: RunId, id: EntryId) -> BoxFuture<'_, Result<Option<Entry>, StoreError>> {
        self.people.read(move |db| query::entry(db, run, &id)).boxed()
    }

    fn children(&self, id: RunId, limit: usize) -> BoxFuture<'_, Result<Vec<RunHead>, StoreError>> {
        self.people.read(move |db| query::children(db, id, limit)).boxed()
    }

    fn event(&self, id: EventId) -> BoxFuture<'_, Result<Option<EventView>, StoreError>> {
        self.people.read(move |db| query::event(db, id)).boxed()
    }

    fn events(&self, filter: EventFilter) -> BoxFuture<'_, Result<Vec<Event>, StoreError>> {
        self.people.read(move |db| query::events(db, &filter)).boxed()
    }

    fn object(&self, object: ObjectKey) -> BoxFuture<'_, Result<ObjectView, StoreError>> {
        self.people.read(move |db| query::object(db, &object)).boxed()
    }

    fn objects(&self, page: ObjectsPage) -> BoxFuture<'_, Result<Vec<HeldKey>, StoreError>> {
        self.people.read(move |db| query::objects(db, &page)).boxed()
    }

    fn schedules(&self, page: SchedulesPage) -> BoxFuture<'_, Result<Vec<ScheduleRow>, StoreError>> {
        self.people.read(move |db| query::schedules(db, &page)).boxed()
    }

    fn schedule(&self, key: ScheduleKey) -> BoxFuture<'_, Result<Option<ScheduleRow>, StoreError>> {
        self.people.read(move |db| query::schedule(db, &key)).boxed()
    }

    fn count_schedules(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        self.people.read(query::count_schedules).boxed()
    }

    fn ticks(&self, page: TicksPage) -> BoxFuture<'_, Result<Vec<TickRun>, StoreError>> {
        self.people.read(move |db| query::ticks(db, &page)).boxed()
    }

    fn stuck_schedules(&self, _partition: u16) -> BoxFuture<'_, Result<Vec<ScheduleKey>, StoreError>> {
        self.people.read(verify::stuck_schedules).boxed()
    }

    fn messages(&self, page: MessagesPage) -> BoxFuture<'_, Result<ChannelView, StoreError>> {
        self.people.read(move |db| query::messages(db, &page)).boxed()
    }

    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>> {
        self.people.read(query::ping).boxed()
    }

    fn dump(&self, _partition: u16) -> BoxFuture<'_, Result<Dump, StoreError>> {
        self.people.read(query::dump).boxed()
    }
}
