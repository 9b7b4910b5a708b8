//! What is in memory and for how long: near timers, loads under way, and which resident things the tables have in full
//! so that they may be forgotten. Nothing that is not durable is ever forgotten.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::command::Command;
use super::state::Tables;
use super::turns::Turns;
use crate::limits::{RESIDENT_IDLE_BYTES_MAX, RESIDENT_IDLE_RUNS_MAX, RESIDENT_NAMES_MAX};
use crate::model::{Key, MarkKey, RunId, RunStatus, StateKey, Timestamp};

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
    batch: u64,
    horizon: Timestamp,
    timers: BTreeSet<(Timestamp, Due)>,
    timer_of: BTreeMap<Due, Timestamp>,
    touched: BTreeMap<Key, u64>,
    ages: VecDeque<(u64, Key)>,
    idle: VecDeque<RunId>,
    looked_at: BTreeSet<RunId>,
    loading: BTreeSet<Key>,
}

impl Default for Residence {
    fn default() -> Residence {
        Residence {
            idle_max: RESIDENT_IDLE_RUNS_MAX,
            names_max: RESIDENT_NAMES_MAX,
            batch: 0,
            horizon: Timestamp::ZERO,
            timers: BTreeSet::new(),
            timer_of: BTreeMap::new(),
            touched: BTreeMap::new(),
            ages: VecDeque::new(),
            idle: VecDeque::new(),
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
        if !self.touched.contains_key(&key) {
            self.stamp(key, self.batch.saturating_sub(1));
        }
    }

    fn stamp(&mut self, key: Key, batch: u64) {
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
        if let StateKey::Mark(mark) = key {
            self.touch(Key::Mark(mark.clone()));
        }
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

    /// The run's invocation ended.
    pub(super) fn look_again(&mut self, run: RunId) {
        self.looked_at.remove(&run);
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
        self.trim_idle(batch, tables, turns, &mut keys);
        keys
    }

    fn retire(&mut self, key: Key, tables: &Tables, turns: &Turns, keys: &mut Vec<Key>) {
        match &key {
            Key::Run(id) => match tables.runs.get(id) {
                Some(Some(run)) if run.head.status.is_terminal() => {
                    self.looked_at.remove(id);
                    keys.push(key);
                }
                Some(Some(_)) if turns.turn(*id).is_none() => self.idle.push_back(*id),
                Some(Some(_)) => {}
                Some(None) | None => keys.push(key),
            },
            Key::EventName(_) if tables.event_names.len() <= self.names_max => {}
            Key::Waits(_) if tables.waits.len() <= self.names_max => {}
            _ => keys.push(key),
        }
    }

    /// Idle runs stay while there is room. Of those in line for their turn the foremost stay longest.
    fn trim_idle(&mut self, batch: u64, tables: &Tables, turns: &Turns, keys: &mut Vec<Key>) {
        let bytes = |id: &RunId| tables.runs.get(id).and_then(Option::as_ref).map_or(0, |run| run.bytes);
        let mut total: usize = if self.idle.len() > self.idle_max / 8 { self.idle.iter().map(bytes).sum() } else { 0 };
        while self.idle.len() > self.idle_max || total > RESIDENT_IDLE_BYTES_MAX {
            let ready = |id: &RunId| {
                tables.runs.get(id).and_then(Option::as_ref).is_some_and(|run| run.head.status == RunStatus::Ready)
            };
            let Some(oldest) = self.idle.pop_front() else { break };
            let victim = if ready(&oldest) && self.idle.len() > 1 {
                self.idle.push_front(oldest);
                self.idle.pop_back().unwrap_or(oldest)
            } else {
                oldest
            };
            total = total.saturating_sub(bytes(&victim));
            let durable = self.touched.get(&Key::Run(victim)).is_none_or(|age| *age <= batch);
            if durable && turns.turn(victim).is_none() && !self.touched.contains_key(&Key::Run(victim)) {
                self.looked_at.remove(&victim);
                keys.push(Key::Run(victim));
            }
        }
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
        }
    }
}
