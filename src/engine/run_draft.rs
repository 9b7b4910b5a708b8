//! One run of a decision in the making: its row, its journal, its signals and waits, each the resident one until the
//! decision changes it. It knows nothing of other runs.

use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use super::checkpoint::shared;
use super::fetch::is_called;
use super::run::{Run, awaited_signal};
use crate::model::{
    Change, Entry, EntryId, EntryStatus, Outcome, RunHead, RunStatus, Signal, Stream, Text, Timestamp, Wait,
};

/// The row of a run: the resident one until somebody writes to it.
pub(super) enum Head<'a> {
    Resident(&'a RunHead),
    Own(Box<RunHead>),
}

impl Deref for Head<'_> {
    type Target = RunHead;

    fn deref(&self) -> &RunHead {
        match self {
            Head::Resident(head) => head,
            Head::Own(head) => head,
        }
    }
}

impl DerefMut for Head<'_> {
    fn deref_mut(&mut self) -> &mut RunHead {
        if let Head::Resident(head) = self {
            *self = Head::Own(Box::new(head.clone()));
        }
        match self {
            Head::Own(head) => head,
            Head::Resident(_) => unreachable!("it has just been made the decision's own"),
        }
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
    pub(super) fn of(run: &'a Run) -> RunDraft<'a> {
        RunDraft {
            base: Some(run),
            last_seq: run.last_seq,
            waits: run.waits.clone(),
            streams: run.streams.clone(),
            ..RunDraft::with(Head::Resident(&run.head))
        }
    }

    pub(super) fn created(head: RunHead) -> RunDraft<'a> {
        RunDraft::with(Head::Own(Box::new(head)))
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

    pub(super) fn finish(self, changes: &mut Vec<Change>) {
        match (self.base, self.head) {
            (None, Head::Own(head)) => changes.push(Change::RunCreated(*head)),
            (Some(base), Head::Own(head)) if *base.head != *head => changes.push(Change::RunChanged(*head)),
            (_, Head::Own(_) | Head::Resident(_)) => {}
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

    pub(super) fn settle(&mut self, idx: u32, outcome: Outcome, now: Timestamp) {
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
    pub(super) fn wake_if_awaited(&mut self) {
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
