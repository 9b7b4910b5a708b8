//! The ledger. One trait for every database: changes go in as one transaction, keys and pages come out. It decides
//! nothing about runs; it refuses a batch of a lost ownership, and it never says that something is durable when it
//! may not be.

pub mod memory;
pub mod sqlite;
mod text;

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::future::BoxFuture;

use crate::model::{
    App, Attempt, AttributeTest, Batch, Channel, ChannelHead, Deployment, DeploymentId, Entry, EntryId, Event, EventId,
    Failure, FailureTest, FunctionId, Job, Key, Loaded, Messages, ObjectKey, ObjectLock, ObjectValue, RunHead, RunId,
    RunStatus, Schedule, ScheduleKey, Settle, Signal, StateKey, StateRow, Stream, Text, Timestamp, TriggerKind,
    Verdict, Wait,
};

/// A database that keeps the tables. All methods may be called at once from many tasks; `commit` is called by the one
/// owner of a partition, one at a time.
pub trait Store: Send + Sync + 'static {
    /// Takes a partition: its epoch grows by one, and batches of older epochs are refused from then on. A database of one
    /// partition has number 0 and refuses others.
    fn take_ownership(&self, partition: u16) -> BoxFuture<'_, Result<Ownership, StoreError>>;

    /// Writes one batch in one transaction.
    fn commit(&self, batch: Arc<Batch>) -> BoxFuture<'_, Commit>;

    /// Reads keys, in one snapshot that contains every commit that was done when the call began. Answers come in the
    /// order of the keys.
    fn load(&self, partition: u16, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Loaded>, StoreError>>;

    /// What moves by itself at or before `until`, in the order of (wake_at, key), after the cursor, one page.
    fn due(
        &self,
        partition: u16,
        after: Option<Timer>,
        until: Timestamp,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<Timer>, StoreError>>;

    /// Every wait that has not looked through all older events yet.
    fn scanning_waits(&self, partition: u16) -> BoxFuture<'_, Result<Vec<Wait>, StoreError>>;

    /// Runs of an app that are held, in the order of their numbers, after the cursor, one page.
    fn held_runs(
        &self,
        partition: u16,
        app: Text,
        after_run_no: i64,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<RunHead>, StoreError>>;

    /// Runs from one number to another, both included, that have not ended and that nothing could make move: no timer, no place in
    /// a line, no hold with its reason, no open wait, no child that lives. In no order; there should be none.
    fn stuck_runs(&self, partition: u16, from: i64, to: i64) -> BoxFuture<'_, Result<Vec<RunId>, StoreError>>;

    /// The database's own secret of 32 bytes, made at its first use: awakeable tokens follow from it.
    fn secret(&self, fresh: [u8; 32]) -> BoxFuture<'_, Result<[u8; 32], StoreError>>;

    /// Every app and deployment.
    fn registry(&self) -> BoxFuture<'_, Result<RegistryRows, StoreError>>;

    /// Writes an app, and the deployment that its sync found, in one transaction. Durable when it returns.
    fn put_app(&self, app: App, deployment: Option<Deployment>) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Writes a deployment as it is now. Durable when it returns.
    fn put_deployment(&self, deployment: Deployment) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Forgets deployments that nothing needs, and says which: of each app all but the `keep` that were seen last, its newest,
    /// and those that a run which has not ended is pinned to.
    fn prune_deployments(&self, keep: usize) -> BoxFuture<'_, Result<Vec<DeploymentId>, StoreError>>;

    /// Removes an app; its deployments stay for the runs that are pinned to them. False when there was none.
    fn delete_app(&self, app: Text) -> BoxFuture<'_, Result<bool, StoreError>>;

    /// A run with its input and, when it has ended, its outcome.
    fn run(&self, id: RunId) -> BoxFuture<'_, Result<Option<RunView>, StoreError>>;

    /// The run that a client named so: of a chain the newest.
    fn run_named(&self, function: FunctionId, name: Text) -> BoxFuture<'_, Result<Option<RunId>, StoreError>>;

    /// The newest run of the chain that begins with this run; nothing when it did not go on in another.
    fn newest_of_chain(&self, first: RunId) -> BoxFuture<'_, Result<Option<RunId>, StoreError>>;

    /// Runs that match, newest first, one page. It may end before it is full, and says so.
    fn runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<RunsPage, StoreError>>;

    /// What runs failed with, or are tried again for, by their numbers and in their order: the name and the beginning of the
    /// message. Nothing of a run that is well, or not there.
    fn failures(&self, runs: Vec<i64>) -> BoxFuture<'_, Result<Vec<Option<Failure>>, StoreError>>;

    /// How many runs match, by status; the filter's `limit` does not count.
    fn count_runs(&self, filter: RunFilter) -> BoxFuture<'_, Result<RunCounts, StoreError>>;

    /// Writes a job, new or as it stands now, and forgets the oldest that ended. Durable when it returns.
    fn put_job(&self, job: Job) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Every job that is kept, newest first.
    fn jobs(&self) -> BoxFuture<'_, Result<Vec<Job>, StoreError>>;

    /// A run's whole journal in order of creation, with its failed attempts and its early signals.
    fn journal(&self, id: RunId) -> BoxFuture<'_, Result<Option<Journal>, StoreError>>;

    /// What has become of an update of a run; nothing when the run has no such update, or does not exist.
    fn update(&self, run: RunId, id: Text) -> BoxFuture<'_, Result<Option<UpdateView>, StoreError>>;

    /// The newest settled entries of a run below a `seq`, by `seq`, one page: at least one if there is any. None of an
    /// unknown run. An outcome that is too large for the page is left out: such an entry is settled and has none.
    fn settled_before(&self, page: SettledPage) -> BoxFuture<'_, Result<Vec<Entry>, StoreError>>;

    /// One entry of a run by its id.
    fn entry(&self, run: RunId, id: EntryId) -> BoxFuture<'_, Result<Option<Entry>, StoreError>>;

    /// The runs that a run invoked.
    fn children(&self, id: RunId, limit: usize) -> BoxFuture<'_, Result<Vec<RunHead>, StoreError>>;

    /// An event with what it started and what it did not.
    fn event(&self, id: EventId) -> BoxFuture<'_, Result<Option<EventView>, StoreError>>;

    /// Events that match, newest first, one page.
    fn events(&self, filter: EventFilter) -> BoxFuture<'_, Result<Vec<Event>, StoreError>>;

    /// The state under a key of an object, and who holds it.
    fn object(&self, object: ObjectKey) -> BoxFuture<'_, Result<ObjectView, StoreError>>;

    /// Keys of an object that have state or are held, in order, one page.
    fn objects(&self, page: ObjectsPage) -> BoxFuture<'_, Result<Vec<HeldKey>, StoreError>>;

    /// Schedules in the order of their keys, one page.
    fn schedules(&self, page: SchedulesPage) -> BoxFuture<'_, Result<Vec<ScheduleRow>, StoreError>>;

    /// One schedule.
    fn schedule(&self, key: ScheduleKey) -> BoxFuture<'_, Result<Option<ScheduleRow>, StoreError>>;

    /// How many schedules there are.
    fn count_schedules(&self) -> BoxFuture<'_, Result<u64, StoreError>>;

    /// Times of a schedule that have a run, in order, one page; each with its newest run.
    fn ticks(&self, page: TicksPage) -> BoxFuture<'_, Result<Vec<TickRun>, StoreError>>;

    /// Schedules that have a tick to come, or ticks that wait, and that nothing will wake. There should be none.
    fn stuck_schedules(&self, partition: u16) -> BoxFuture<'_, Result<Vec<ScheduleKey>, StoreError>>;

    /// Messages of a channel behind a number, in order, one page; without those that were cut.
    fn messages(&self, page: MessagesPage) -> BoxFuture<'_, Result<ChannelView, StoreError>>;

    /// A cheap read that proves that the database answers.
    fn ping(&self) -> BoxFuture<'_, Result<(), StoreError>>;

    /// Everything a partition has, in a canonical order: for tests that compare stores and memory, and for `verify`.
    fn dump(&self, partition: u16) -> BoxFuture<'_, Result<Dump, StoreError>>;
}

/// Every app and every deployment.
pub type RegistryRows = (Vec<App>, Vec<Deployment>);

/// A partition that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The new epoch, from 1.
    pub epoch: u32,
    /// The number of the last commit; 0 when there was none.
    pub commit_no: u64,
    /// The partition's time at that commit.
    pub now: Timestamp,
    /// The greatest run number; 0 when there is none.
    pub run_no: i64,
    /// The greatest event number; 0 when there is none.
    pub event_seq: i64,
    /// The greatest number of a message; 0 when there is none.
    pub message_no: i64,
}

/// What became of a batch.
#[derive(Debug)]
pub enum Commit {
    /// It is durable.
    Done,
    /// It is not, and never will be.
    Failed(StoreError),
    /// It may be. Take the ownership again, which waits for or defeats whatever still happens, and read `commit_no`.
    Unknown(StoreError),
}

/// Why the database did not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Someone else took the partition.
    #[error(
        "failed to write: partition {partition} is owned under another epoch than {epoch}; another server took it over"
    )]
    Fenced {
        /// The partition.
        partition: u16,
        /// The epoch that the batch was decided under.
        epoch: u32,
    },
    /// The data itself was refused: a constraint, a size.
    #[error("failed to write data: {0}")]
    Data(String),
    /// The database is not there, full, or read-only. It may come back.
    #[error("failed to reach the database: {0}")]
    Unavailable(String),
    /// What the tables hold is not what this version wrote.
    #[error("failed to read the tables: {0}")]
    Corrupt(String),
    /// The database cannot be used by this version.
    #[error("failed to open the database: {0}")]
    Open(String),
}

/// When an entity moves by itself. Sorts by time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// When; 0 = it is ready or has work left.
    pub at: Timestamp,
    /// Which entity.
    pub key: TimerKey,
}

/// The entities that can have a `wake_at`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TimerKey {
    /// A run.
    Run(RunId),
    /// An entity of the `state` table.
    State(StateKey),
}

/// A run as people ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunView {
    /// Its row.
    pub head: RunHead,
    /// Entry 0.
    pub input: Entry,
    /// The last entry, once the run has ended.
    pub outcome: Option<Entry>,
}

/// A run's journal as people ask for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    /// The run's row.
    pub head: RunHead,
    /// All entries by position.
    pub entries: Vec<Entry>,
    /// Failed attempts in order of insertion.
    pub attempts: Vec<Attempt>,
    /// Early signals in order of arrival, consumed ones too.
    pub signals: Vec<Signal>,
}

/// An update as its sender asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateView {
    /// Where its run stands.
    pub status: RunStatus,
    /// Whether the run's handler got it.
    pub consumed: bool,
    /// What the handler replied.
    pub reply: Option<Settle>,
}

/// Which settled entries of a run are asked for.
#[derive(Clone, Debug)]
pub struct SettledPage {
    /// Of this run.
    pub run: RunId,
    /// Below this `seq`.
    pub before: u32,
    /// At most this many.
    pub limit: usize,
    /// At most so many bytes of outcomes together, unless one alone has more.
    pub bytes_max: usize,
    /// Outcomes of more bytes are left out, and do not count.
    pub outcome_bytes_max: usize,
}

impl SettledPage {
    /// Of entries, the newest first, those that fit.
    fn cut<T>(&self, newest_first: Vec<T>, bytes: impl Fn(&T) -> usize) -> Vec<T> {
        let (mut total, mut position) = (0, 0);
        let fits = |item: &T| {
            let bytes = bytes(item);
            total += if bytes > self.outcome_bytes_max { 0 } else { bytes };
            position += 1;
            position == 1 || total <= self.bytes_max
        };
        newest_first.into_iter().take_while(fits).collect()
    }
}

/// An event with what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventView {
    /// The event.
    pub event: Event,
    /// The runs that it started.
    pub runs: Vec<RunHead>,
    /// The functions that it triggers and did not start, and why.
    pub verdicts: Vec<(FunctionId, Verdict)>,
    /// The runs that waited for it, each with the wait that it settled, by run number: of the waits that settled first since it came.
    pub woken: Vec<(RunHead, EntryId)>,
}

impl EventView {
    /// Since when a wait may have settled with an event, and how its outcome begins if it did.
    fn marks(event: &Event) -> (Timestamp, Vec<u8>) {
        // What is accepted late may have been meant earlier, and the other way round.
        let since = event.at.max(event.id.at());
        (since, format!(r#"{{"id":"{}","#, event.id).into_bytes())
    }
}

/// Which runs are asked for. Everything left out matches.
#[derive(Clone, Debug, Default)]
pub struct RunFilter {
    /// Any of these statuses; empty means all.
    pub statuses: Vec<RunStatus>,
    /// Of this app.
    pub app: Option<Text>,
    /// Of the function with this id.
    pub function: Option<Text>,
    /// Pinned to this deployment.
    pub deployment: Option<DeploymentId>,
    /// That go on from this run.
    pub previous: Option<RunId>,
    /// That are for a time of this schedule.
    pub schedule: Option<ScheduleKey>,
    /// That this run waits for.
    pub parent: Option<RunId>,
    /// Of the family of this run, itself included.
    pub root: Option<RunId>,
    /// That this event started, and forks of them.
    pub event: Option<EventId>,
    /// Started in this way.
    pub trigger: Option<TriggerKind>,
    /// Of objects with this key.
    pub key: Option<Text>,
    /// Whose name begins so.
    pub name_prefix: Option<Text>,
    /// With all of these tags.
    pub tags: Vec<Text>,
    /// With attributes that pass all of these tests.
    pub attributes: Vec<AttributeTest>,
    /// With this in their id, `app/function`, name, key, tags, or attributes that are texts or whole numbers. Letters of
    /// ASCII match in either case.
    pub text: Option<Text>,
    /// That failed so, or whose last invocation did.
    pub failure: FailureTest,
    /// Created at or after.
    pub since: Option<Timestamp>,
    /// Created before.
    pub until: Option<Timestamp>,
    /// Only older ones than this run number.
    pub before_run_no: Option<i64>,
    /// At most this many.
    pub limit: usize,
}

/// One page of runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunsPage {
    /// Runs that match, newest first.
    pub runs: Vec<RunHead>,
    /// The least number that was looked at, when the page ended before it was full and there are older runs.
    pub looked_to: Option<i64>,
}

/// How many runs there are, by status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunCounts(BTreeMap<RunStatus, u64>);

impl RunCounts {
    /// Counts some more.
    pub fn add(&mut self, status: RunStatus, runs: u64) {
        if runs > 0 {
            *self.0.entry(status).or_default() += runs;
        }
    }

    /// How many have a status.
    pub fn of(&self, status: RunStatus) -> u64 {
        self.0.get(&status).copied().unwrap_or(0)
    }

    /// How many there are.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }
}

/// Which events are asked for.
#[derive(Clone, Debug, Default)]
pub struct EventFilter {
    /// With this name.
    pub name: Option<Text>,
    /// Only older ones than this number.
    pub before_seq: Option<i64>,
    /// At most this many.
    pub limit: usize,
}

/// Which schedules are asked for.
#[derive(Clone, Debug, Default)]
pub struct SchedulesPage {
    /// Of this app.
    pub app: Option<Text>,
    /// Only those behind this one.
    pub after: Option<ScheduleKey>,
    /// At most this many.
    pub limit: usize,
}

impl SchedulesPage {
    /// Between which texts the keys of these schedules lie, without both ends.
    fn keys(&self) -> (String, String) {
        let key = |key: &ScheduleKey| StateKey::Schedule(key.clone()).columns().1;
        let first = self.app.as_ref().map_or_else(String::new, |app| key(&ScheduleKey::new(app.clone(), "")));
        let after = self.after.as_ref().map_or_else(|| first.clone(), |after| key(after).max(first.clone()));
        // What follows the separator in the order of texts; no key begins with the last of all characters.
        let end = self.app.as_ref().map_or_else(|| char::MAX.to_string(), |app| format!("{app} "));
        (after, end)
    }
}

/// A schedule as its row has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleRow {
    /// Its key.
    pub key: ScheduleKey,
    /// What it is, and how far it has come.
    pub schedule: Schedule,
    /// When it moves by itself.
    pub wake_at: Option<Timestamp>,
}

/// Which times of a schedule are asked for.
#[derive(Clone, Debug)]
pub struct TicksPage {
    /// The schedule.
    pub schedule: ScheduleKey,
    /// At or after this time.
    pub from: Timestamp,
    /// Before this time.
    pub until: Timestamp,
    /// At most this many.
    pub limit: usize,
}

/// A time of a schedule with its newest run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TickRun {
    /// The logical time.
    pub at: Timestamp,
    /// The run.
    pub run: RunId,
    /// Where it stands.
    pub status: RunStatus,
}

/// A key of an object as people ask for it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectView {
    /// Who holds it.
    pub lock: ObjectLock,
    /// Its state by name.
    pub values: Vec<ObjectValue>,
}

/// Which keys of an object are asked for.
#[derive(Clone, Debug)]
pub struct ObjectsPage {
    /// The app.
    pub app: Text,
    /// The object.
    pub object: Text,
    /// Only keys behind this one.
    pub after: Option<Text>,
    /// At most this many.
    pub limit: usize,
}

impl ObjectsPage {
    /// Between which texts the lines of these keys lie, without both ends.
    fn lines(&self) -> (Text, Text) {
        let key = |key: &str| ObjectKey { app: self.app.clone(), object: self.object.clone(), key: key.into() }.line();
        let last = key("");
        // What follows the separator in the order of texts.
        let end = format!("{} ", &last[..last.len() - 1]);
        (key(self.after.as_deref().unwrap_or_default()), end.into())
    }
}

/// Which messages of a channel are asked for.
#[derive(Clone, Debug)]
pub struct MessagesPage {
    /// The channel.
    pub channel: Channel,
    /// Only rows with a greater number.
    pub after: i64,
    /// At most this many rows.
    pub limit: usize,
}

/// A page of a channel's messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelView {
    /// What the channel holds in all; nothing of one that nobody has published on.
    pub head: ChannelHead,
    /// Rows in order.
    pub messages: Vec<Messages>,
}

/// Reads what a channel holds.
fn channel_head(row: Option<&StateRow>) -> Result<ChannelHead, StoreError> {
    let Some(row) = row else { return Ok(ChannelHead::default()) };
    row.value.read().map_err(|error| StoreError::Corrupt(format!("the channel {:?}: {error}", row.key)))
}

/// One of those keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldKey {
    /// The key.
    pub key: Text,
    /// Who holds it.
    pub lock: ObjectLock,
}

/// Everything that the tables hold of a partition, in a canonical order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// The last commit number.
    pub commit_no: u64,
    /// Runs by number.
    pub runs: Vec<RunHead>,
    /// Entries by (run number, position).
    pub entries: Vec<Entry>,
    /// Failed attempts in order of insertion.
    pub attempts: Vec<Attempt>,
    /// Events by number.
    pub events: Vec<Event>,
    /// Verdicts by (event, function).
    pub verdicts: Vec<(EventId, FunctionId, Verdict)>,
    /// Open waits by (run number, position).
    pub waits: Vec<Wait>,
    /// Early signals by (run number, order).
    pub signals: Vec<Signal>,
    /// Other entities by key.
    pub state: Vec<StateRow>,
    /// The state of objects by key and name.
    pub values: Vec<ObjectValue>,
    /// Messages by number.
    pub messages: Vec<Messages>,
    /// What publishes, by (run number, source).
    pub streams: Vec<Stream>,
}
