//! A decision in the making: what it reads is the resident tables with its own changes on top, and nothing of it is
//! real before it is finished. It touches only what is resident and asks for the rest.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::command::{Command, Decision, Refusal, Reply, Transition};
use super::filter::Filters;
use super::run_draft::RunDraft;
use super::state::NameFacts;
use super::{Partition, publish, turns::Turn};
use crate::model::{
    Attempt, Change, DeploymentId, Entry, Event, FunctionConfig, Key, Moment, ObjectKey, ObjectValue, Outcome,
    Registry, RetryPolicy, RunHead, RunId, StateKey, StateRow, Text, Timestamp, Verdict, Wait, WaitIndex, derive,
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
    runs: BTreeMap<RunId, Box<RunDraft<'a>>>,
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
            self.runs.insert(id, Box::new(RunDraft::of(run)));
            self.order.push(id);
        }
        Ok(self.runs.get_mut(&id).map(|run| &mut **run))
    }

    /// Adds a run that begins now.
    pub(super) fn add_run(&mut self, head: RunHead, input: Entry) {
        let id = head.id;
        assert!(!matches!(self.partition.tables.runs.get(&id), Some(Some(_))), "a new run's id is new: {id}");
        let mut run = RunDraft::created(head);
        run.add(input);
        self.runs.insert(id, Box::new(run));
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
