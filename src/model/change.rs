//! The one vocabulary between engine and store: what is appended or replaced, what is asked for, what comes back.
//! The store writes exactly the changes and memory applies exactly the changes, so both are equal at every commit.

use std::collections::BTreeSet;

use super::{
    Attempt, Channel, Entry, EntryKind, Event, EventId, FunctionId, Messages, ObjectKey, ObjectValue, Outcome, RunHead,
    RunId, ScheduleKey, Signal, Stream, Text, Timestamp, Verdict, Wait, WaitIndex,
};

/// One appended row or one after-image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A run begins. Its `run_no` and `id` are new, and so is its `(function, name)` unless the run that has it went on to this one.
    RunCreated(RunHead),
    /// A run's row is replaced.
    RunChanged(RunHead),
    /// An entry is appended. Its `(run_no, idx)` and `(run_no, id)` are new.
    EntryAdded(Entry),
    /// An entry that is not settled yet is replaced.
    EntryChanged(Entry),
    /// A failed attempt is kept.
    AttemptAdded(Attempt),
    /// An event is accepted. Its `seq` and `id` are new.
    EventAdded(Event),
    /// A trigger said no to an event.
    VerdictAdded(EventId, FunctionId, Verdict),
    /// A wait for an event opens. Its `(run_no, idx)` is new.
    WaitOpened(Wait),
    /// A wait's progress through older events is replaced.
    WaitChanged(Wait),
    /// A wait for an event closes.
    WaitClosed(Wait),
    /// A signal came early. Its `(run_no, order)` is new.
    SignalAdded(Signal),
    /// A kept signal found its wait, or its sender got a reply.
    SignalChanged(Signal),
    /// Any other entity is written.
    StatePut(StateRow),
    /// Any other entity is gone.
    StateDeleted(StateKey),
    /// A value of an object's state is written, by the run that holds the key.
    ValuePut(ObjectValue),
    /// That run has ended: what it found is forgotten, and what it took away is gone for good.
    ValuesKept(ObjectKey),
    /// Messages were published. Their numbers are new and greater than all before.
    MessagesAdded(Messages),
    /// What a place of a run's code has said on a channel, from the number `first` on, was cut: this is the notice.
    MessagesCut(Messages),
    /// The messages of a channel up to this number are forgotten.
    MessagesDropped(Channel, i64),
    /// How far a place of a run's code has come with what it publishes is replaced.
    StreamPut(Stream),
    /// It will publish no more: by the run's integer key and the source.
    StreamDeleted(i64, Text),
}

/// Every change decided while the previous commit was under way: one transaction.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The partition.
    pub partition: u16,
    /// The ownership under which it was decided; checked inside the transaction.
    pub epoch: u32,
    /// Counts the partition's commits, from 1, across epochs: exactly one more than the last.
    pub commit_no: u64,
    /// The partition's time at the last decision in it.
    pub now: Timestamp,
    /// The changes in the order in which they were decided.
    pub changes: Vec<Change>,
}

/// What a decision touches and the engine may have to ask for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A run with its journal and its early signals.
    Run(RunId),
    /// The run that a client named so.
    RunName(FunctionId, Text),
    /// The newest run of a chain, by its first run.
    Chain(RunId),
    /// An idempotency key or an event's client-chosen id.
    Mark(MarkKey),
    /// What is known of an event name: its greatest event number, and the paths by which open waits are indexed.
    EventName(Text),
    /// The open waits under one index key.
    Waits(WaitIndex),
    /// One event.
    Event(EventId),
    /// A page of older events of one name, in order: numbers greater than `after` and at most `until`.
    Events {
        /// The events' name.
        name: Text,
        /// Only greater numbers.
        after: i64,
        /// Only numbers up to this one.
        until: i64,
    },
    /// Who holds a key of an object, and the first runs that wait for it.
    Object(ObjectKey),
    /// The runs that wait for a key of an object behind those that were there and had their turn: asked for when more
    /// wait than are resident.
    Line(ObjectKey),
    /// The state under a key of an object.
    Values(ObjectKey),
    /// A schedule.
    Schedule(ScheduleKey),
    /// What a channel holds: a [`super::ChannelHead`].
    Channel(Channel),
}

/// A run with everything that the engine decides on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRun {
    /// Its row.
    pub head: RunHead,
    /// Its journal by position.
    pub entries: Vec<Entry>,
    /// Its early signals by order, consumed ones too.
    pub signals: Vec<Signal>,
    /// Its open waits for events by position.
    pub waits: Vec<Wait>,
    /// What publishes, by source.
    pub streams: Vec<Stream>,
}

impl StoredRun {
    /// Why this is no run that could have been written, if it is none. The engine relies on what is asked here.
    pub fn flaw(&self) -> Option<String> {
        let Some(input) = self.entries.first() else { return Some("it has no entries".to_owned()) };
        if input.kind != EntryKind::Input || input.outcome.as_ref().and_then(Outcome::payload).is_none() {
            return Some("its first entry is not the input".to_owned());
        }
        let (mut ids, mut seqs) = (BTreeSet::new(), BTreeSet::new());
        for (place, entry) in self.entries.iter().enumerate() {
            if entry.idx as usize != place {
                return Some(format!("its entry {place} is missing"));
            }
            if !ids.insert(&entry.id) {
                return Some(format!("two of its entries are called `{}`", entry.id));
            }
            if let Some(seq) = entry.seq
                && (seq == 0 || seq as usize > self.entries.len() || !seqs.insert(seq))
            {
                return Some(format!("its entry `{}` cannot be the {seq}. that settled", entry.id));
            }
        }
        None
    }
}

/// What the store has under a key. A key that the tables do not have comes back empty, never as an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loaded {
    /// A run; or nothing.
    Run(Option<Box<StoredRun>>),
    /// The id of the run that a client named so; or nothing.
    RunName(Option<RunId>),
    /// The id of the newest run of a chain; nothing when there is no such chain.
    Chain(Option<RunId>),
    /// A mark, a schedule, or what a channel holds; or nothing.
    State(Option<StateRow>),
    /// An event name's greatest number (0 = no event) and how many open waits each path has.
    EventName {
        /// The greatest event number of the name; 0 when there is none.
        last_seq: i64,
        /// Path and count of open waits.
        paths: Vec<(Text, u64)>,
    },
    /// Open waits in the order of (run_no, idx).
    Waits(Vec<Wait>),
    /// An event; or nothing.
    Event(Option<Box<Event>>),
    /// At most [`crate::limits::EVENT_PAGE`] events in order.
    Events(Vec<Event>),
    /// A lock, and at most [`crate::limits::LINE_PAGE`] runs in the order of their places.
    Object(Option<StateRow>, Vec<(i64, RunId)>),
    /// At most [`crate::limits::LINE_PAGE`] runs in the order of their places.
    Line(Vec<(i64, RunId)>),
    /// Values by name.
    Values(Vec<ObjectValue>),
}

/// What a mark marks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MarkKey {
    /// In which name space.
    pub scope: MarkScope,
    /// The client's key.
    pub key: Text,
}

/// The name spaces of marks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarkScope {
    /// Client-chosen event ids.
    Event,
    /// Ids of signals and updates that were addressed to an older run of the chain that begins with this run.
    Signal(RunId),
    /// Idempotency keys of a function's starts.
    Start(FunctionId),
}

/// The key of an entity in the `state` table. The order of the variants is the order of their words in the column `kind`,
/// so that a page sorted here and a page sorted by the database are the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StateKey {
    /// What a channel holds: a [`super::ChannelHead`].
    Channel(Channel),
    /// An event that is still being delivered to open waits.
    Fanout(EventId),
    /// An idempotency mark.
    Mark(MarkKey),
    /// Who holds a key of an object: an [`super::ObjectLock`].
    Object(ObjectKey),
    /// What starts runs at times, and how far it has come: a [`super::Schedule`].
    Schedule(ScheduleKey),
}

impl StateKey {
    /// The two columns `kind` and `key`. `U+001F` separates parts: names cannot contain control characters.
    pub fn columns(&self) -> (&'static str, String) {
        match self {
            StateKey::Channel(channel) => ("channel", channel.to_string()),
            StateKey::Mark(MarkKey { scope: MarkScope::Event, key }) => ("mark.event", key.to_string()),
            StateKey::Mark(MarkKey { scope: MarkScope::Start(function), key }) => {
                ("mark.start", format!("{}\u{1f}{}\u{1f}{key}", function.app, function.function))
            }
            StateKey::Mark(MarkKey { scope: MarkScope::Signal(run), key }) => {
                ("mark.signal", format!("{run}\u{1f}{key}"))
            }
            StateKey::Fanout(event) => ("fanout", event.to_string()),
            StateKey::Object(object) => ("object", object.line().to_string()),
            StateKey::Schedule(ScheduleKey { app, schedule }) => ("schedule", format!("{app}\u{1f}{schedule}")),
        }
    }

    /// Reads the two columns back; nothing when this version does not know the kind.
    pub fn parse(kind: &str, key: &str) -> Option<StateKey> {
        match kind {
            "channel" => Some(StateKey::Channel(Channel::parse(key.into()))),
            "mark.event" => Some(StateKey::Mark(MarkKey { scope: MarkScope::Event, key: key.into() })),
            "mark.signal" => {
                let (run, key) = key.split_once('\u{1f}')?;
                Some(StateKey::Mark(MarkKey { scope: MarkScope::Signal(run.parse().ok()?), key: key.into() }))
            }
            "mark.start" => {
                let mut parts = key.splitn(3, '\u{1f}');
                let function = FunctionId::new(parts.next()?, parts.next()?);
                Some(StateKey::Mark(MarkKey { scope: MarkScope::Start(function), key: parts.next()?.into() }))
            }
            "object" => Some(StateKey::Object(ObjectKey::parse(key)?)),
            "schedule" => {
                let (app, schedule) = key.split_once('\u{1f}')?;
                Some(StateKey::Schedule(ScheduleKey::new(app, schedule)))
            }
            "fanout" => Some(StateKey::Fanout(key.parse().ok()?)),
            _ => None,
        }
    }
}

/// An entity in the `state` table: what it holds is JSON that begins with its format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// Which entity.
    pub key: StateKey,
    /// When it moves by itself; 0 = it has work left.
    pub wake_at: Option<Timestamp>,
    /// What it holds.
    pub value: super::Payload,
}
