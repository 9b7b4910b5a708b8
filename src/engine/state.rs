//! The durable part of a partition in memory: exactly what the tables hold of what is resident. Written by `apply`
//! and by loading, and by nothing else; never decides, never fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::line::Line;
use super::run::Run;
use crate::limits::LINE_PAGE;
use crate::model::{
    Change, Event, EventId, FunctionId, Key, Loaded, ObjectKey, ObjectLock, ObjectValue, QueuePlace, RunHead, RunId,
    Signal, StateKey, StateRow, Text, Wait, WaitIndex,
};

/// What is known of an event name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct NameFacts {
    /// The greatest event number of the name; 0 when there is none.
    pub(super) last_seq: i64,
    /// Open waits by path.
    pub(super) paths: BTreeMap<Text, u64>,
}

/// The resident tables. A key that is present with nothing is known to be absent from the tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) last_run_no: i64,
    pub(super) last_event_seq: i64,
    pub(super) last_message_no: i64,
    pub(super) runs: BTreeMap<RunId, Option<Box<Run>>>,
    pub(super) names: BTreeMap<(FunctionId, Text), Option<RunId>>,
    pub(super) chains: BTreeMap<RunId, Option<RunId>>,
    pub(super) states: BTreeMap<StateKey, Option<StateRow>>,
    pub(super) event_names: BTreeMap<Text, NameFacts>,
    pub(super) waits: BTreeMap<WaitIndex, BTreeMap<(i64, u32), Wait>>,
    pub(super) events: BTreeMap<EventId, Option<Arc<Event>>>,
    pub(super) pages: BTreeMap<Key, Vec<Event>>,
    pub(super) lines: BTreeMap<Text, Line>,
    /// How many runs of a line are kept at most.
    pub(super) line_page: usize,
    pub(super) values: BTreeMap<ObjectKey, BTreeMap<Text, ObjectValue>>,
    by_no: BTreeMap<i64, RunId>,
}

impl Tables {
    /// Tables of which nothing is resident.
    pub(super) fn new(last_run_no: i64, last_event_seq: i64, last_message_no: i64) -> Tables {
        Tables { last_run_no, last_event_seq, last_message_no, line_page: LINE_PAGE, ..Tables::default() }
    }

    /// Whether a key is resident.
    pub(super) fn has(&self, key: &Key) -> bool {
        match key {
            Key::Run(id) => self.runs.contains_key(id),
            Key::RunName(function, name) => self.names.contains_key(&(function.clone(), name.clone())),
            Key::Chain(run) => self.chains.contains_key(run),
            Key::Mark(mark) => self.states.contains_key(&StateKey::Mark(mark.clone())),
            Key::EventName(name) => self.event_names.contains_key(name),
            Key::Waits(index) => self.waits.contains_key(index),
            Key::Event(id) => self.events.contains_key(id),
            Key::Events { .. } => self.pages.contains_key(key),
            Key::Object(object) => self.lines.contains_key(&object.line()),
            Key::Line(object) => self.lines.get(&object.line()).is_some_and(Line::is_known),
            Key::Values(object) => self.values.contains_key(object),
            Key::Schedule(schedule) => self.states.contains_key(&StateKey::Schedule(schedule.clone())),
            Key::Channel(channel) => self.states.contains_key(&channel.state_key()),
        }
    }

    /// Makes resident what the store has under a key. What is resident already is newer and stays.
    pub(super) fn install(&mut self, key: Key, loaded: Loaded) {
        if self.has(&key) {
            return;
        }
        match (key, loaded) {
            (Key::Run(id), Loaded::Run(stored)) => {
                let run = stored.map(|stored| Box::new(Run::load(*stored)));
                if let Some(run) = &run {
                    self.by_no.insert(run.head.run_no, id);
                }
                self.runs.insert(id, run);
            }
            (Key::RunName(function, name), Loaded::RunName(id)) => {
                self.names.insert((function, name), id);
            }
            (Key::Chain(run), Loaded::Chain(newest)) => {
                self.chains.insert(run, newest);
            }
            (Key::Mark(mark), Loaded::State(row)) => {
                self.states.insert(StateKey::Mark(mark), row);
            }
            (Key::Schedule(schedule), Loaded::State(row)) => {
                self.states.insert(StateKey::Schedule(schedule), row);
            }
            (Key::Channel(channel), Loaded::State(row)) => {
                self.states.insert(channel.state_key(), row);
            }
            (Key::EventName(name), Loaded::EventName { last_seq, paths }) => {
                self.event_names.insert(name, NameFacts { last_seq, paths: paths.into_iter().collect() });
            }
            (Key::Waits(index), Loaded::Waits(waits)) => {
                self.waits.insert(index, waits.into_iter().map(|wait| ((wait.run_no, wait.idx), wait)).collect());
            }
            (Key::Event(id), Loaded::Event(event)) => {
                self.events.insert(id, event.map(|event| Arc::new(*event)));
            }
            (key @ Key::Events { .. }, Loaded::Events(events)) => {
                self.pages.insert(key, events);
            }
            (Key::Object(object), Loaded::Object(row, first)) => {
                let lock = row.as_ref().and_then(|row| row.value.read::<ObjectLock>().ok()).unwrap_or_default();
                self.lines.insert(object.line(), Line::new(first, lock.waiting, self.line_page));
                self.states.insert(StateKey::Object(object), row);
            }
            (Key::Line(object), Loaded::Line(first)) => {
                if let Some(line) = self.lines.get_mut(&object.line()) {
                    line.refill(first);
                }
            }
            (Key::Values(object), Loaded::Values(values)) => {
                self.values.insert(object, values.into_iter().map(|value| (value.name.clone(), value)).collect());
            }
            (key, loaded) => unreachable!("the store answers {key:?} with its own kind, not with {loaded:?}"),
        }
    }

    /// Folds one change. Total over the changes that `decide` makes: whatever a change touches is resident.
    pub(super) fn apply(&mut self, change: &Change) {
        match change {
            Change::RunCreated(head) => self.create_run(head),
            Change::RunChanged(head) => {
                let old = std::mem::replace(&mut self.run_mut(head.run_no).head, Arc::new(head.clone()));
                self.queue(head.id, old.queue.as_ref(), head.queue.as_ref());
            }
            Change::EntryAdded(entry) | Change::EntryChanged(entry) => self.run_mut(entry.run_no).put(entry.clone()),
            Change::AttemptAdded(_) | Change::VerdictAdded(..) => {}
            Change::EventAdded(event) => self.add_event(event),
            Change::WaitOpened(wait) => self.open_wait(wait),
            Change::WaitChanged(wait) => self.change_wait(wait),
            Change::WaitClosed(wait) => self.close_wait(wait),
            Change::SignalAdded(signal) => self.run_mut(signal.run_no).signals.push(signal.clone()),
            Change::SignalChanged(signal) => self.change_signal(signal),
            Change::StatePut(row) => {
                self.states.insert(row.key.clone(), Some(row.clone()));
            }
            Change::ValuePut(value) => {
                if let Some(values) = self.values.get_mut(&value.object) {
                    values.insert(value.name.clone(), value.clone());
                }
            }
            Change::ValuesKept(object) => {
                if let Some(values) = self.values.get_mut(object) {
                    values.retain(|_, value| value.value.is_some());
                    values.values_mut().for_each(|value| value.before = None);
                }
            }
            Change::MessagesAdded(messages) | Change::MessagesCut(messages) => {
                self.last_message_no = self.last_message_no.max(messages.no);
            }
            Change::MessagesDropped(..) => {}
            Change::StreamPut(stream) => {
                self.run_mut(stream.run_no).streams.insert(stream.source.clone(), stream.clone());
            }
            Change::StreamDeleted(run_no, source) => drop(self.run_mut(*run_no).streams.remove(source)),
            // No one asks for a delivery by its key: once it is over, nothing needs to know that it is gone.
            Change::StateDeleted(key @ StateKey::Fanout(_)) => drop(self.states.remove(key)),
            Change::StateDeleted(key) => {
                self.states.insert(key.clone(), None);
            }
        }
    }

    fn create_run(&mut self, head: &RunHead) {
        self.last_run_no = self.last_run_no.max(head.run_no);
        if let Some(name) = &head.name {
            self.names.insert((head.function.clone(), name.clone()), Some(head.id));
        }
        if let Some(first) = head.chain {
            self.chains.insert(first, Some(head.id));
        }
        self.by_no.insert(head.run_no, head.id);
        self.runs.insert(head.id, Some(Box::new(Run::new(head.clone()))));
        self.queue(head.id, None, head.queue.as_ref());
    }

    /// A run got in line, or out of it.
    fn queue(&mut self, run: RunId, old: Option<&QueuePlace>, new: Option<&QueuePlace>) {
        if old == new {
            return;
        }
        if let Some(place) = old
            && let Some(line) = self.lines.get_mut(&place.key)
        {
            line.leave(place.order);
        }
        if let Some(place) = new
            && let Some(line) = self.lines.get_mut(&place.key)
        {
            line.join(place.order, run);
        }
    }

    fn run_mut(&mut self, run_no: i64) -> &mut Run {
        let id = self.by_no.get(&run_no).expect("a run that changes is resident");
        self.runs.get_mut(id).and_then(Option::as_mut).expect("a run that has a number exists")
    }

    /// The id of a resident run.
    pub(super) fn id_of(&self, run_no: i64) -> Option<RunId> {
        self.by_no.get(&run_no).copied()
    }

    fn add_event(&mut self, event: &Event) {
        self.last_event_seq = self.last_event_seq.max(event.seq);
        if let Some(facts) = self.event_names.get_mut(&event.name) {
            facts.last_seq = facts.last_seq.max(event.seq);
        }
        self.events.insert(event.id, Some(Arc::new(event.clone())));
    }

    fn open_wait(&mut self, wait: &Wait) {
        if let Some(facts) = self.event_names.get_mut(&wait.index.event) {
            *facts.paths.entry(wait.index.path.clone()).or_insert(0) += 1;
        }
        if let Some(bucket) = self.waits.get_mut(&wait.index) {
            bucket.insert((wait.run_no, wait.idx), wait.clone());
        }
        self.run_mut(wait.run_no).waits.insert(wait.idx, wait.clone());
    }

    fn change_wait(&mut self, wait: &Wait) {
        if let Some(bucket) = self.waits.get_mut(&wait.index) {
            bucket.insert((wait.run_no, wait.idx), wait.clone());
        }
        self.run_mut(wait.run_no).waits.insert(wait.idx, wait.clone());
    }

    fn close_wait(&mut self, wait: &Wait) {
        if let Some(facts) = self.event_names.get_mut(&wait.index.event)
            && let Some(count) = facts.paths.get_mut(&wait.index.path)
        {
            *count -= 1;
            if *count == 0 {
                facts.paths.remove(&wait.index.path);
            }
        }
        if let Some(bucket) = self.waits.get_mut(&wait.index) {
            bucket.remove(&(wait.run_no, wait.idx));
        }
        self.run_mut(wait.run_no).waits.remove(&wait.idx);
    }

    fn change_signal(&mut self, signal: &Signal) {
        let run = self.run_mut(signal.run_no);
        if let Some(slot) = run.signals.iter_mut().find(|kept| kept.order == signal.order) {
            *slot = signal.clone();
        }
    }

    /// Everything resident, as the tables must have it.
    pub(super) fn resident(&self) -> Vec<(Key, Loaded)> {
        let runs = self
            .runs
            .iter()
            .map(|(id, run)| (Key::Run(*id), Loaded::Run(run.as_ref().map(|run| Box::new(run.stored())))));
        let names = self
            .names
            .iter()
            .map(|((function, name), id)| (Key::RunName(function.clone(), name.clone()), Loaded::RunName(*id)));
        let chains = self.chains.iter().map(|(first, newest)| (Key::Chain(*first), Loaded::Chain(*newest)));
        let marks = self.states.iter().filter_map(|(key, row)| match key {
            StateKey::Mark(mark) => Some((Key::Mark(mark.clone()), Loaded::State(row.clone()))),
            StateKey::Schedule(schedule) => Some((Key::Schedule(schedule.clone()), Loaded::State(row.clone()))),
            StateKey::Channel(channel) => Some((Key::Channel(channel.clone()), Loaded::State(row.clone()))),
            StateKey::Fanout(_) | StateKey::Object(_) => None,
        });
        let event_names = self.event_names.iter().map(|(name, facts)| {
            let paths = facts.paths.iter().map(|(path, count)| (path.clone(), *count)).collect();
            (Key::EventName(name.clone()), Loaded::EventName { last_seq: facts.last_seq, paths })
        });
        let waits = self
            .waits
            .iter()
            .map(|(index, bucket)| (Key::Waits(index.clone()), Loaded::Waits(bucket.values().cloned().collect())));
        let events = self.events.iter().map(|(id, event)| {
            (Key::Event(*id), Loaded::Event(event.as_ref().map(|event| Box::new((**event).clone()))))
        });
        let objects = self.states.iter().filter_map(|(key, row)| match key {
            StateKey::Object(object) => {
                let first = self.lines.get(&object.line()).map(Line::known).unwrap_or_default();
                Some((Key::Object(object.clone()), Loaded::Object(row.clone(), first)))
            }
            _ => None,
        });
        let values = self
            .values
            .iter()
            .map(|(object, values)| (Key::Values(object.clone()), Loaded::Values(values.values().cloned().collect())));
        let others = marks.chain(event_names).chain(waits).chain(events).chain(objects).chain(values);
        runs.chain(names).chain(chains).chain(others).collect()
    }

    /// Forgets a run that the tables have in full.
    pub(super) fn forget_run(&mut self, id: RunId) {
        if let Some(Some(run)) = self.runs.remove(&id) {
            self.by_no.remove(&run.head.run_no);
        }
    }
}
