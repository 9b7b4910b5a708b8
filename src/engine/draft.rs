//! A decision in the making: what it reads is the resident tables with its own changes on top, and nothing of it is
//! real before it is finished. It touches only what is resident and asks for the rest.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::{Bound, Deref, DerefMut};
use std::sync::Arc;

use super::checkpoint::shared;
use super::command::{Command, Decision, Refusal, Reply, Transition};
use super::fetch::is_called;
use super::filter::Filters;
use super::run::{Run, awaited_signal};
use super::state::NameFacts;
use super::{Partition, publish, turns::Turn};
use crate::model::{
    Attempt, Change, DeploymentId, Entry, EntryId, EntryStatus, Event, FunctionConfig, Key, Moment, ObjectKey,
    ObjectValue, Outcome, Registry, RetryPolicy, RunHead, RunId, RunStatus, Signal, StateKey, StateRow, Stream, Text,
    Timestamp, Verdict, Wait, WaitIndex, derive,
};

/// Why a decision stops before its end.
pub(super) enum Stop {
    /// These keys are not resident.
    Need(Vec<Key>),
    /// Nothing happens.
    Refuse(Refusal),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Stop {
        Stop::Refuse(refusal)
    }
}

/// The result of a part of a decision.
pub(super) type Part<T> = Result<T, Stop>;

/// A decision in the making.
pub(super) struct Draft<'a> {
    pub(super) partition: &'a Partition,
    pub(super) at: Moment,
    pub(super) registry: &'a Registry,
    runs: BTreeMap<RunId, RunDraft<'a>>,
    pub(super) order: Vec<RunId>,
    pub(super) others: Vec<Change>,
    follow_ups: Vec<Command>,
    states: BTreeMap<StateKey, Option<StateRow>>,
    pub(super) values: BTreeMap<ObjectKey, BTreeMap<Text, ObjectValue>>,
    sent: BTreeMap<Text, i64>,
    unindexed: BTreeMap<Text, u64>,
    last_run_no: i64,
    last_event_seq: i64,
    pub(super) last_message_no: i64,
    chances: u64,
}

impl<'a> Draft<'a> {
    pub(super) fn new(partition: &'a Partition, at: Moment, registry: &'a Registry) -> Draft<'a> {
        Draft {
            partition,
            at,
            registry,
            runs: BTreeMap::new(),
            order: Vec::new(),
            others: Vec::new(),
            follow_ups: Vec::new(),
            states: BTreeMap::new(),
            values: BTreeMap::new(),
            sent: BTreeMap::new(),
            unindexed: BTreeMap::new(),
            last_run_no: partition.tables.last_run_no,
            last_event_seq: partition.tables.last_event_seq,
            last_message_no: partition.tables.last_message_no,
            chances: 0,
        }
    }

    /// The finished decision.
    pub(super) fn finish(mut self, outcome: Part<Reply>) -> Decision {
        let outcome = outcome.and_then(|reply| publish::sweep(&mut self).map(|()| reply));
        let reply = match outcome {
            Ok(reply) => reply,
            Err(Stop::Need(keys)) => return Decision::Need(keys),
            Err(Stop::Refuse(refusal)) => return Decision::Refused(refusal),
        };
        let mut changes = Vec::with_capacity(self.order.len() * 2 + self.others.len());
        for id in &self.order {
            if let Some(run) = self.runs.remove(id) {
                run.finish(&mut changes);
            }
        }
        changes.append(&mut self.others);
        Decision::Decided(Transition { changes, follow_ups: self.follow_ups, reply })
    }

    /// Takes back everything that was decided so far.
    pub(super) fn reset(&mut self) {
        *self = Draft { chances: self.chances, ..Draft::new(self.partition, self.at, self.registry) };
    }

    /// The partition's time.
    pub(super) fn now(&self) -> Timestamp {
        self.at.now
    }

    /// 64 bits of chance, others at every call of one decision.
    pub(super) fn chance_bits(&mut self) -> u64 {
        self.chances += 1;
        derive(&[&self.at.seed.to_be_bytes(), &self.chances.to_be_bytes()])
    }

    /// Chance in 0..1.
    pub(super) fn chance(&mut self) -> f64 {
        (self.chance_bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Stops unless all keys are resident.
    pub(super) fn require(&self, keys: impl IntoIterator<Item = Key>) -> Part<()> {
        let missing: Vec<Key> = keys.into_iter().filter(|key| !self.is_known(key)).collect();
        if missing.is_empty() { Ok(()) } else { Err(Stop::Need(missing)) }
    }

    fn is_known(&self, key: &Key) -> bool {
        match key {
            Key::Run(id) if self.runs.contains_key(id) => true,
            key => self.partition.tables.has(key),
        }
    }

    /// A run that must exist.
    pub(super) fn run(&mut self, id: RunId) -> Part<&mut RunDraft<'a>> {
        self.find_run(id)?.ok_or(Stop::Refuse(Refusal::UnknownRun(id)))
    }

    /// A run that may not exist.
    pub(super) fn find_run(&mut self, id: RunId) -> Part<Option<&mut RunDraft<'a>>> {
        if !self.runs.contains_key(&id) {
            self.require([Key::Run(id)])?;
            let Some(Some(run)) = self.partition.tables.runs.get(&id) else { return Ok(None) };
            self.runs.insert(id, RunDraft::of(run));
            self.order.push(id);
        }
        Ok(self.runs.get_mut(&id))
    }

    /// Adds a run that begins now.
    pub(super) fn add_run(&mut self, head: RunHead, input: Entry) {
        let id = head.id;
        assert!(!matches!(self.partition.tables.runs.get(&id), Some(Some(_))), "a new run's id is new: {id}");
        let mut run = RunDraft::created(head);
        run.add(input);
        self.runs.insert(id, run);
        self.order.push(id);
    }

    /// The number of the next run.
    pub(super) fn next_run_no(&mut self) -> i64 {
        self.last_run_no += 1;
        self.last_run_no
    }

    /// The greatest event number so far.
    pub(super) fn last_event_seq(&self) -> i64 {
        self.last_event_seq
    }

    /// The number of the next event.
    pub(super) fn next_event_seq(&mut self) -> i64 {
        self.last_event_seq += 1;
        self.last_event_seq
    }

    /// Accepts an event.
    pub(super) fn add_event(&mut self, event: Event) {
        self.sent.insert(event.name.clone(), event.seq);
        self.others.push(Change::EventAdded(event));
    }

    /// The greatest number of an event of this name. Its [`Key::EventName`] must be resident.
    pub(super) fn last_seq_of(&self, name: &Text) -> i64 {
        let durable = self.event_name(name).map_or(0, |facts| facts.last_seq);
        self.sent.get(name).copied().unwrap_or(0).max(durable)
    }

    /// What is known of an event name, if it is resident.
    pub(super) fn event_name(&self, name: &Text) -> Option<&'a NameFacts> {
        self.partition.tables.event_names.get(name)
    }

    /// Open waits of a resident index key behind a place in their order, without those of this decision.
    pub(super) fn waits_after(
        &self,
        index: &WaitIndex,
        after: Option<(i64, u32)>,
    ) -> impl Iterator<Item = &'a Wait> + use<'a> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let waits = self.partition.tables.waits.get(index);
        waits.into_iter().flat_map(move |waits| waits.range((from, Bound::Unbounded))).map(|(_, wait)| wait)
    }

    /// How many open waits for this event name no value leads to, with those that this decision opened.
    pub(super) fn unindexed(&self, name: &Text) -> u64 {
        let durable = self.event_name(name).and_then(|facts| facts.paths.get("").copied()).unwrap_or(0);
        durable + self.unindexed.get(name).copied().unwrap_or(0)
    }

    /// This decision opens a wait for this event name that no value leads to.
    pub(super) fn add_unindexed(&mut self, name: &Text) {
        *self.unindexed.entry(name.clone()).or_insert(0) += 1;
    }

    /// Whether a run of this decision opened a wait for this event name.
    pub(super) fn opened_wait_for(&self, name: &Text) -> bool {
        self.runs.values().any(|run| run.waits.values().any(|wait| wait.index.event == *name))
    }

    /// A resident event.
    pub(super) fn event(&self, id: crate::model::EventId) -> Option<Arc<Event>> {
        self.partition.tables.events.get(&id).cloned().flatten()
    }

    /// A resident page of events.
    pub(super) fn page(&self, key: &Key) -> &'a [Event] {
        self.partition.tables.pages.get(key).map_or(&[], Vec::as_slice)
    }

    /// The run that a client named so; its [`Key::RunName`] must be resident.
    pub(super) fn named(&self, function: &crate::model::FunctionId, name: &Text) -> Option<RunId> {
        self.partition.tables.names.get(&(function.clone(), name.clone())).copied().flatten()
    }

    /// The newest run of a chain; its [`Key::Chain`] must be resident.
    pub(super) fn newest_of_chain(&self, first: RunId) -> Option<RunId> {
        self.partition.tables.chains.get(&first).copied().flatten()
    }

    /// An entity of the `state` table, with what this decision wrote.
    pub(super) fn state(&self, key: &StateKey) -> Option<&StateRow> {
        match self.states.get(key) {
            Some(row) => row.as_ref(),
            None => self.partition.tables.states.get(key).and_then(Option::as_ref),
        }
    }

    /// Writes an entity of the `state` table.
    pub(super) fn put_state(&mut self, row: StateRow) {
        self.states.insert(row.key.clone(), Some(row.clone()));
        self.others.push(Change::StatePut(row));
    }

    /// Removes an entity of the `state` table.
    pub(super) fn delete_state(&mut self, key: StateKey) {
        self.states.insert(key.clone(), None);
        self.others.push(Change::StateDeleted(key));
    }

    /// Records why an event started nothing.
    pub(super) fn add_verdict(
        &mut self,
        event: crate::model::EventId,
        function: crate::model::FunctionId,
        verdict: Verdict,
    ) {
        self.others.push(Change::VerdictAdded(event, function, verdict));
    }

    /// Keeps a failed attempt.
    pub(super) fn add_attempt(&mut self, attempt: Attempt) {
        self.others.push(Change::AttemptAdded(attempt));
    }

    /// What follows for others.
    pub(super) fn follow_up(&mut self, command: Command) {
        self.follow_ups.push(command);
    }

    /// The invocation that a run is in.
    pub(super) fn turn(&self, run: RunId) -> Option<&'a Turn> {
        self.partition.turns.turn(run)
    }

    /// What filters need again and again.
    pub(super) fn filters(&self) -> &'a Filters {
        &self.partition.filters
    }

    /// The configuration of a run's function on the deployment that it goes to.
    pub(super) fn function_config(&self, head: &RunHead) -> Option<&'a FunctionConfig> {
        self.registry.deployment_of(&head.function, head.deployment)?.function(&head.function.function)
    }

    /// The retry policy of a run's invocations: the newest, or that of the deployment which was asked when its app is
    /// gone meanwhile.
    pub(super) fn policy(&self, head: &RunHead, turn: &Turn) -> RetryPolicy {
        self.policy_at(head, turn.deployment)
    }

    /// The same, for what a deployment's handler asked for.
    pub(super) fn policy_at(&self, head: &RunHead, deployment: Option<DeploymentId>) -> RetryPolicy {
        let asked = || self.registry.deployments.get(&deployment?)?.function(&head.function.function);
        self.function_config(head).or_else(asked).map(|config| config.retry.clone()).unwrap_or_default()
    }

    /// Gives an open entry its one outcome, closes its wait, and wakes the run if it waited for this.
    pub(super) fn settle(&mut self, run: RunId, idx: u32, outcome: Outcome) -> Part<()> {
        let now = self.now();
        let wait = self.run(run)?.waits.get(&idx).cloned();
        if let Some(wait) = wait {
            self.require([Key::EventName(wait.index.event.clone()), Key::Waits(wait.index.clone())])?;
            self.run(run)?.close_wait(idx);
        }
        publish::settled(self, run, idx)?;
        let run = self.run(run)?;
        run.settle(idx, outcome, now);
        run.wake_if_awaited();
        Ok(())
    }
}

/// The row of a run: the resident one until somebody writes to it.
pub(super) struct Head<'a>(Cow<'a, RunHead>);

impl Deref for Head<'_> {
    type Target = RunHead;

    fn deref(&self) -> &RunHead {
        &self.0
    }
}

impl DerefMut for Head<'_> {
    fn deref_mut(&mut self) -> &mut RunHead {
        self.0.to_mut()
    }
}

/// One run of a decision: the resident run with changes on top.
pub(super) struct RunDraft<'a> {
    base: Option<&'a Run>,
    pub(super) head: Head<'a>,
    added: Vec<Entry>,
    added_ids: BTreeMap<EntryId, u32>,
    changed: BTreeMap<u32, Entry>,
    last_seq: u32,
    signals_added: Vec<Signal>,
    signals_changed: BTreeMap<u32, Signal>,
    pub(super) waits: BTreeMap<u32, Wait>,
    pub(super) streams: BTreeMap<Text, Stream>,
    wait_changes: Vec<Change>,
}

impl<'a> RunDraft<'a> {
    fn of(run: &'a Run) -> RunDraft<'a> {
        RunDraft {
            base: Some(run),
            last_seq: run.last_seq,
            waits: run.waits.clone(),
            streams: run.streams.clone(),
            ..RunDraft::with(Head(Cow::Borrowed(&run.head)))
        }
    }

    fn created(head: RunHead) -> RunDraft<'a> {
        RunDraft::with(Head(Cow::Owned(head)))
    }

    fn with(head: Head<'a>) -> RunDraft<'a> {
        RunDraft {
            base: None,
            head,
            added: Vec::new(),
            added_ids: BTreeMap::new(),
            changed: BTreeMap::new(),
            last_seq: 0,
            signals_added: Vec::new(),
            signals_changed: BTreeMap::new(),
            waits: BTreeMap::new(),
            streams: BTreeMap::new(),
            wait_changes: Vec::new(),
        }
    }

    fn finish(self, changes: &mut Vec<Change>) {
        match (self.base, self.head.0) {
            (None, head) => changes.push(Change::RunCreated(head.into_owned())),
            (Some(base), Cow::Owned(head)) if *base.head != head => changes.push(Change::RunChanged(head)),
            (Some(_), _) => {}
        }
        changes.extend(self.changed.into_values().map(Change::EntryChanged));
        changes.extend(self.added.into_iter().map(Change::EntryAdded));
        changes.extend(self.signals_added.into_iter().map(Change::SignalAdded));
        changes.extend(self.signals_changed.into_values().map(Change::SignalChanged));
        changes.extend(self.wait_changes);
    }

    fn base_len(&self) -> u32 {
        self.base.map_or(0, |run| run.entries.len() as u32)
    }

    /// How many entries there are.
    pub(super) fn len(&self) -> u32 {
        self.base_len() + self.added.len() as u32
    }

    /// How many payload bytes the journal has.
    pub(super) fn bytes(&self) -> usize {
        let added: usize = self.added.iter().map(Entry::payload_bytes).sum();
        self.base.map_or(0, |run| run.bytes) + added
    }

    /// The greatest `seq` so far.
    pub(super) fn last_seq(&self) -> u32 {
        self.last_seq
    }

    /// The position of the entry with this id.
    pub(super) fn find(&self, id: &str) -> Option<u32> {
        self.added_ids.get(id).copied().or_else(|| self.base?.find(id))
    }

    /// An entry by position.
    pub(super) fn entry(&self, idx: u32) -> &Entry {
        if let Some(entry) = self.changed.get(&idx) {
            return entry;
        }
        match self.base {
            Some(run) if (idx as usize) < run.entries.len() => &run.entries[idx as usize],
            _ => &self.added[(idx - self.base_len()) as usize],
        }
    }

    /// An entry to change; it must not be settled.
    pub(super) fn entry_mut(&mut self, idx: u32) -> &mut Entry {
        assert!(!self.entry(idx).is_settled(), "a settled entry never changes: {} of {}", idx, self.head.id);
        let base_len = self.base_len();
        if idx >= base_len {
            return &mut self.added[(idx - base_len) as usize];
        }
        let original = self.entry(idx).clone();
        self.changed.entry(idx).or_insert(original)
    }

    /// Appends an entry; its position and run number are set here.
    pub(super) fn add(&mut self, mut entry: Entry) -> u32 {
        entry.idx = self.len();
        entry.run_no = self.head.run_no;
        assert!(self.find(&entry.id).is_none(), "an entry's id is new: {} of {}", entry.id, self.head.id);
        self.added_ids.insert(entry.id.clone(), entry.idx);
        let idx = entry.idx;
        self.added.push(entry);
        idx
    }

    /// Appends an entry of another run, which is settled and keeps its `seq`.
    pub(super) fn copy(&mut self, entry: Entry) {
        self.last_seq = self.last_seq.max(entry.seq.unwrap_or(0));
        self.add(entry);
    }

    fn settle(&mut self, idx: u32, outcome: Outcome, now: Timestamp) {
        self.last_seq += 1;
        let seq = self.last_seq;
        let entry = self.entry_mut(idx);
        entry.status = EntryStatus::Settled;
        entry.outcome = Some(outcome);
        entry.seq = Some(seq);
        entry.settled_at = Some(now);
        entry.due_at = None;
        entry.last_error = None;
        entry.details = None;
    }

    /// Positions of entries that are not settled, in order.
    pub(super) fn open(&self) -> Vec<u32> {
        let base = self.base.into_iter().flat_map(Run::open).filter(|idx| !self.entry(*idx).is_settled());
        base.chain(self.added.iter().filter(|entry| !entry.is_settled()).map(|entry| entry.idx)).collect()
    }

    /// Entries that settled after this `seq`, in the order of their settlement.
    pub(super) fn settled_after(&self, seq: u32) -> Vec<Arc<Entry>> {
        let base =
            self.base.into_iter().flat_map(|run| run.settled_after(seq).iter().map(|idx| &run.entries[*idx as usize]));
        let mut fresh: Vec<Arc<Entry>> = self
            .changed
            .values()
            .chain(&self.added)
            .filter(|entry| entry.seq.is_some_and(|own| own > seq))
            .map(shared)
            .collect();
        fresh.sort_unstable_by_key(|entry| entry.seq);
        base.cloned().chain(fresh).collect()
    }

    /// The earliest timer of an open entry, with its position.
    pub(super) fn first_due(&self) -> Option<(Timestamp, u32)> {
        let base = self.base.into_iter().flat_map(Run::due).find(|(_, idx)| !self.changed.contains_key(idx));
        let changed = self.changed.values().chain(&self.added).filter(|entry| !entry.is_settled());
        let changed = changed.filter_map(|entry| Some((entry.due_at?, entry.idx))).min();
        [base, changed].into_iter().flatten().min()
    }

    /// Whether the call of any entry is to be made now, or is being made.
    fn has_calls(&self) -> bool {
        let base = self.base.into_iter().flat_map(Run::calls).any(|idx| !self.changed.contains_key(&idx));
        base || self.changed.values().chain(&self.added).any(is_called)
    }

    /// The first open wait for this signal.
    pub(super) fn wait_for(&self, name: &Text) -> Option<u32> {
        let base = self.base.and_then(|run| run.waits_for(name).find(|idx| !self.entry(*idx).is_settled()));
        base.or_else(|| self.added.iter().find(|entry| awaited_signal(entry).as_ref() == Some(name)).map(|e| e.idx))
    }

    /// Early signals in order of arrival, with what this decision did to them.
    pub(super) fn signals(&self) -> impl Iterator<Item = &Signal> {
        let base = self.base.into_iter().flat_map(|run| run.signals.iter());
        base.map(|signal| self.signals_changed.get(&signal.order).unwrap_or(signal)).chain(&self.signals_added)
    }

    /// Keeps a signal; its order and run number are set here.
    pub(super) fn add_signal(&mut self, mut signal: Signal) {
        signal.order = self.signals().count() as u32;
        signal.run_no = self.head.run_no;
        self.signals_added.push(signal);
    }

    /// Gives the first early signal of this name to an entry, and returns what it settles with.
    pub(super) fn consume_signal(&mut self, name: &Text, by: u32) -> Option<Outcome> {
        let mut signal = self.signals().find(|s| s.consumed_by.is_none() && s.name == *name)?.clone();
        signal.consumed_by = Some(by);
        let settle = signal.settle.clone();
        self.change_signal(signal);
        Some(settle)
    }

    /// Replaces a kept signal.
    pub(super) fn change_signal(&mut self, signal: Signal) {
        match self.signals_added.iter_mut().find(|added| added.order == signal.order) {
            Some(slot) => *slot = signal,
            None => {
                self.signals_changed.insert(signal.order, signal);
            }
        }
    }

    /// Opens a wait for an event.
    pub(super) fn open_wait(&mut self, wait: Wait) {
        self.wait_changes.push(Change::WaitOpened(wait.clone()));
        self.waits.insert(wait.idx, wait);
    }

    /// Replaces a wait's progress through older events.
    pub(super) fn change_wait(&mut self, wait: Wait) {
        self.wait_changes.push(Change::WaitChanged(wait.clone()));
        self.waits.insert(wait.idx, wait);
    }

    /// The waits of a run that begins in this decision take events from this number on, if they did not already.
    pub(super) fn listen_from(&mut self, after_seq: i64) {
        for change in &mut self.wait_changes {
            if let Change::WaitOpened(wait) = change {
                wait.after_seq = wait.after_seq.min(after_seq);
                self.waits.insert(wait.idx, wait.clone());
            }
        }
    }

    /// Closes a wait for an event. Its index keys must be resident.
    pub(super) fn close_wait(&mut self, idx: u32) {
        if let Some(wait) = self.waits.remove(&idx) {
            self.wait_changes.push(Change::WaitClosed(wait));
        }
    }

    /// The run is to be invoked.
    pub(super) fn make_ready(&mut self) {
        self.head.status = RunStatus::Ready;
        self.head.wake_at = Some(Timestamp::ZERO);
        self.head.awaiting = Vec::new();
    }

    /// The run waits until something wakes it, or until its earliest timer. While a call is made for it, it is worked on.
    pub(super) fn rest(&mut self, status: RunStatus) {
        let called = (status == RunStatus::Suspended && self.has_calls()).then_some(Timestamp::ZERO);
        let timer = self.first_due().map(|(due, _)| due);
        self.head.status = status;
        self.head.wake_at = [called, timer, self.own_timer()].into_iter().flatten().min();
    }

    /// The earliest time at which the run itself is over, whatever its entries do.
    pub(super) fn own_timer(&self) -> Option<Timestamp> {
        [self.head.cancel_by, self.head.start_by, self.deadline()].into_iter().flatten().min()
    }

    /// When the run fails if it has not ended. One that has failed stays until it has put things right.
    pub(super) fn deadline(&self) -> Option<Timestamp> {
        self.head.deadline.filter(|_| self.find(super::saga::FAILURE_ID).is_none())
    }

    /// Something settled: a suspended run goes on if it awaited this; a held one keeps its hold and its timers.
    fn wake_if_awaited(&mut self) {
        match self.head.status {
            RunStatus::Suspended if self.is_awaited() => self.make_ready(),
            status @ (RunStatus::Suspended | RunStatus::Paused) => self.rest(status),
            _ => {}
        }
    }

    fn is_awaited(&self) -> bool {
        // A time-out is an error to whoever waits for a child: to wake for one too many costs little.
        let failed = |entry: &Entry| matches!(entry.outcome, Some(Outcome::Err(_) | Outcome::Timeout));
        let cancelled = self.added_ids.contains_key(super::cancel::CANCEL_ID);
        self.head.awaiting.is_empty()
            || cancelled
            || self.head.awaiting.iter().any(|group| {
                let entries = || group.iter().filter_map(|id| self.find(id)).map(|idx| self.entry(idx));
                entries().all(Entry::is_settled) || entries().any(failed)
            })
    }
}
