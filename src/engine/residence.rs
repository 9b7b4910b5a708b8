//! What is in memory and for how long: near timers, loads under way, and which resident things the tables have in full
//! so that they may be forgotten. Nothing that is not durable is ever forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::command::Command;
use super::state::Tables;
use super::turns::Turns;
use crate::limits::{
    RESIDENT_IDLE_BYTES_MAX, RESIDENT_IDLE_RUNS_MAX, RESIDENT_NAMES_MAX, RESIDENT_OBJECTS_MAX, RESIDENT_STATE_BYTES_MAX,
};
use crate::model::{Key, MarkKey, ObjectKey, ObjectValue, RunId, RunStatus, StateKey, Timestamp};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Due {
    Run(RunId),
    State(StateKey),
}

/// Timers and ages.
#[derive(Debug)]
pub(super) struct Residence {
    idle_max: usize,
    names_max: usize,
    objects_max: usize,
    batch: u64,
    horizon: Timestamp,
    timers: BTreeSet<(Timestamp, Due)>,
    timer_of: BTreeMap<Due, Timestamp>,
    touched: BTreeMap<Key, u64>,
    ages: VecDeque<(u64, Key)>,
    idle: Idle<RunId>,
    /// Locks, states and channels that nothing happens to.
    objects: Idle<Key>,
    /// Runs that are to be invoked when the state of their object is there.
    state_for: BTreeMap<ObjectKey, RunId>,
    looked_at: BTreeSet<RunId>,
    loading: BTreeSet<Key>,
}

impl Default for Residence {
    fn default() -> Residence {
        Residence {
            idle_max: RESIDENT_IDLE_RUNS_MAX,
            names_max: RESIDENT_NAMES_MAX,
            objects_max: RESIDENT_OBJECTS_MAX,
            batch: 0,
            horizon: Timestamp::ZERO,
            timers: BTreeSet::new(),
            timer_of: BTreeMap::new(),
            touched: BTreeMap::new(),
            ages: VecDeque::new(),
            idle: Idle::default(),
            objects: Idle::default(),
            state_for: BTreeMap::new(),
            looked_at: BTreeSet::new(),
            loading: BTreeSet::new(),
        }
    }
}

impl Residence {
    /// Other bounds than the usual ones.
    pub(super) fn keep_at_most(&mut self, idle_runs: usize, names: usize) {
        self.idle_max = idle_runs;
        self.names_max = names;
        self.objects_max = names;
    }

    pub(super) fn begin_batch(&mut self, batch: u64) {
        self.batch = batch;
    }

    pub(super) fn set_horizon(&mut self, horizon: Timestamp) {
        self.horizon = horizon;
    }

    /// The key changed in the current batch.
    pub(super) fn touch(&mut self, key: Key) {
        self.stamp(key, self.batch);
    }

    /// The key was loaded: it is as durable as the batch before.
    pub(super) fn arrived(&mut self, key: Key) {
        self.loading.remove(&key);
        let key = match key {
            // More of a line is part of its lock.
            Key::Line(object) => Key::Object(object),
            key => key,
        };
        if !self.touched.contains_key(&key) {
            self.stamp(key, self.batch.saturating_sub(1));
        }
    }

    fn stamp(&mut self, key: Key, batch: u64) {
        match &key {
            Key::Run(run) => self.idle.remove(run),
            Key::Object(_) | Key::Values(_) | Key::Channel(_) => self.objects.remove(&key),
            _ => {}
        }
        if self.touched.insert(key.clone(), batch) != Some(batch) {
            self.ages.push_back((batch, key));
        }
    }

    /// The batch in which the key changed or was loaded last, while that may not be durable.
    pub(super) fn batch_of(&self, key: &Key) -> Option<u64> {
        self.touched.get(key).copied()
    }

    /// The same for an entity of the `state` table, with its timer.
    pub(super) fn touch_state(&mut self, key: &StateKey, wake_at: Option<Timestamp>) {
        // A wake-up at 0 has a follow-up under way; only recovery needs it as a timer.
        self.set_state_timer(key, wake_at.filter(|at| *at > Timestamp::ZERO));
        match key {
            StateKey::Mark(mark) => self.touch(Key::Mark(mark.clone())),
            StateKey::Object(object) => self.touch(Key::Object(object.clone())),
            StateKey::Schedule(schedule) => self.touch(Key::Schedule(schedule.clone())),
            StateKey::Channel(channel) => self.touch(Key::Channel(channel.clone())),
            StateKey::Fanout(_) => {}
        }
    }

    /// A run is to be invoked when the state of its object is there.
    pub(super) fn await_state(&mut self, object: ObjectKey, run: RunId) {
        self.state_for.insert(object, run);
    }

    /// The run that waited for the state of an object.
    pub(super) fn awaited_by(&mut self, object: &ObjectKey) -> Option<RunId> {
        self.state_for.remove(object)
    }

    pub(super) fn set_run_timer(&mut self, run: RunId, at: Option<Timestamp>) {
        self.set_timer(Due::Run(run), at);
    }

    /// A run's timer as the tables had it. The run may have been in memory since and have set an earlier one.
    pub(super) fn remind_run(&mut self, run: RunId, at: Timestamp) {
        let known = self.timer_of.get(&Due::Run(run)).copied();
        self.set_run_timer(run, Some(known.map_or(at, |known| known.min(at))));
    }

    pub(super) fn set_state_timer(&mut self, key: &StateKey, at: Option<Timestamp>) {
        self.set_timer(Due::State(key.clone()), at);
    }

    fn set_timer(&mut self, due: Due, at: Option<Timestamp>) {
        let at = at.filter(|at| *at <= self.horizon);
        if self.timer_of.get(&due).copied() == at {
            return;
        }
        if let Some(old) = self.timer_of.remove(&due) {
            self.timers.remove(&(old, due.clone()));
        }
        if let Some(at) = at {
            self.timers.insert((at, due.clone()));
            self.timer_of.insert(due, at);
        }
    }

    /// Takes the earliest timer that is due.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Command> {
        let (at, _) = self.timers.first()?;
        if *at > now {
            return None;
        }
        let (_, due) = self.timers.pop_first()?;
        self.timer_of.remove(&due);
        Some(match due {
            Due::Run(run) => Command::Wake { run },
            Due::State(key) => Command::WakeState { key },
        })
    }

    /// When the earliest timer is due.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Whether a ready run is looked at for the first time since its last invocation.
    pub(super) fn first_look(&mut self, run: RunId) -> bool {
        self.looked_at.insert(run)
    }

    /// The run's invocation ended. If nothing came of it, the run is as durable as the batch before.
    pub(super) fn look_again(&mut self, run: RunId) {
        self.looked_at.remove(&run);
        if !self.touched.contains_key(&Key::Run(run)) {
            self.stamp(Key::Run(run), self.batch.saturating_sub(1));
        }
    }

    /// Whether a key is to be asked for: it is not being loaded already.
    pub(super) fn want(&mut self, key: &Key) -> bool {
        self.loading.insert(key.clone())
    }

    /// A key is not being loaded any more.
    pub(super) fn unwant(&mut self, key: &Key) {
        self.loading.remove(key);
    }

    /// What may be forgotten now that everything up to `batch` is durable.
    pub(super) fn forgettable(&mut self, batch: u64, tables: &Tables, turns: &Turns) -> Vec<Key> {
        let mut keys = Vec::new();
        while let Some((age, _)) = self.ages.front()
            && *age <= batch
        {
            let Some((age, key)) = self.ages.pop_front() else { break };
            // Touched again since: a younger age of the key follows.
            if self.touched.get(&key) != Some(&age) {
                continue;
            }
            self.touched.remove(&key);
            self.retire(key, tables, turns, &mut keys);
        }
        while let Some(run) = self.idle.pop_beyond(self.idle_max, RESIDENT_IDLE_BYTES_MAX) {
            // A run that has its turn comes back when its invocation ends.
            if turns.turn(run).is_none() {
                self.looked_at.remove(&run);
                keys.push(Key::Run(run));
            }
        }
        while let Some(key) = self.objects.pop_beyond(self.objects_max, RESIDENT_STATE_BYTES_MAX) {
            let more = |object: &ObjectKey| self.loading.contains(&Key::Line(object.clone()));
            if !matches!(&key, Key::Object(object) if more(object)) {
                keys.push(key);
            }
        }
        keys
    }

    fn retire(&mut self, key: Key, tables: &Tables, turns: &Turns, keys: &mut Vec<Key>) {
        match &key {
            Key::Run(id) => match tables.runs.get(id) {
                Some(Some(run)) if run.head.status.is_terminal() => {
                    self.looked_at.remove(id);
                    keys.push(key);
                }
                Some(Some(run)) if turns.turn(*id).is_none() => {
                    self.idle.add(*id, run.bytes, run.head.status == RunStatus::Ready);
                }
                Some(Some(_)) => {}
                Some(None) | None => keys.push(key),
            },
            Key::Object(_) | Key::Channel(_) => self.objects.add(key, 0, false),
            Key::Values(object) => {
                let values = tables.values.get(object).into_iter().flat_map(BTreeMap::values);
                let bytes = values.map(ObjectValue::bytes).sum();
                self.objects.add(key, bytes, false);
            }
            Key::EventName(_) if tables.event_names.len() <= self.names_max => {}
            Key::Waits(_) if tables.waits.len() <= self.names_max => {}
            _ => keys.push(key),
        }
    }
}

/// What nothing happens to, such as runs: each of them once, in the order in which they came to rest.
#[derive(Debug)]
struct Idle<K> {
    next: u64,
    places: BTreeMap<K, Place>,
    resting: BTreeMap<u64, K>,
    in_line: BTreeMap<u64, K>,
    bytes: usize,
}

impl<K> Default for Idle<K> {
    fn default() -> Idle<K> {
        let (places, resting, in_line) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Idle { next: 0, places, resting, in_line, bytes: 0 }
    }
}

#[derive(Clone, Copy, Debug)]
struct Place {
    number: u64,
    bytes: usize,
}

impl<K: Clone + Ord> Idle<K> {
    /// Adds a run behind the others. Whether it is in line for its turn holds until it changes, and then it is removed.
    fn add(&mut self, run: K, bytes: usize, ready: bool) {
        self.remove(&run);
        self.next += 1;
        self.bytes += bytes;
        self.places.insert(run.clone(), Place { number: self.next, bytes });
        let line = if ready { &mut self.in_line } else { &mut self.resting };
        line.insert(self.next, run);
    }

    fn remove(&mut self, run: &K) {
        if let Some(Place { number, bytes }) = self.places.remove(run) {
            self.bytes -= bytes;
            self.resting.remove(&number);
            self.in_line.remove(&number);
        }
    }

    /// Removes a run if there are too many: the one that rests longest, or, if those in line for their turn have more
    /// than half of the room, the hindmost of them.
    fn pop_beyond(&mut self, runs_max: usize, bytes_max: usize) -> Option<K> {
        if self.places.len() <= runs_max && self.bytes <= bytes_max {
            return None;
        }
        let hindmost = self.resting.is_empty() || self.in_line.len() > runs_max / 2;
        let victim = if hindmost { self.in_line.last_key_value() } else { self.resting.first_key_value() };
        let run = victim.or_else(|| self.resting.first_key_value()).map(|(_, run)| run.clone())?;
        self.remove(&run);
        Some(run)
    }
}

impl Tables {
    /// Forgets what the tables have in full.
    pub(super) fn forget(&mut self, key: &Key) {
        match key {
            Key::Run(id) => self.forget_run(*id),
            Key::RunName(function, name) => {
                self.names.remove(&(function.clone(), name.clone()));
            }
            Key::Chain(run) => {
                self.chains.remove(run);
            }
            Key::Mark(mark) => {
                self.states.remove(&StateKey::Mark(MarkKey { ..mark.clone() }));
            }
            Key::EventName(name) => {
                self.event_names.remove(name);
            }
            Key::Waits(index) => {
                self.waits.remove(index);
            }
            Key::Event(id) => {
                self.events.remove(id);
            }
            Key::Events { .. } => {
                self.pages.remove(key);
            }
            Key::Schedule(schedule) => {
                self.states.remove(&StateKey::Schedule(schedule.clone()));
            }
            Key::Object(object) => {
                self.states.remove(&StateKey::Object(object.clone()));
                self.lines.remove(&object.line());
            }
            Key::Values(object) => {
                self.values.remove(object);
            }
            Key::Channel(channel) => {
                self.states.remove(&channel.state_key());
            }
            // It goes with its lock.
            Key::Line(_) => {}
        }
    }
}
