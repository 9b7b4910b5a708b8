//! A resident run: its row, its journal, and what follows from them and from nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Deserialize;

use super::fetch::is_called;
use crate::model::{
    DeploymentId, Entry, EntryId, EntryKind, EntryStatus, Outcome, Payload, RunHead, RunStatus, Signal, StoredRun,
    Stream, Text, Timestamp, UPDATE, Wait,
};

/// A run in memory. Everything below `streams` is an index that can be made again from the rest.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) head: Arc<RunHead>,
    pub(super) entries: Vec<Arc<Entry>>,
    pub(super) signals: Vec<Signal>,
    pub(super) waits: BTreeMap<u32, Wait>,
    pub(super) streams: BTreeMap<Text, Stream>,
    ids: BTreeMap<EntryId, u32>,
    open: BTreeSet<u32>,
    due: BTreeSet<(Timestamp, u32)>,
    signal_waits: BTreeSet<(Text, u32)>,
    /// Positions of open entries whose call is to be made now, or is being made.
    calls: BTreeSet<u32>,
    /// Positions of settled entries by `seq`, which counts them from 1.
    settled: Vec<u32>,
    pub(super) last_seq: u32,
    pub(super) bytes: usize,
}

impl Run {
    /// A run that has its row and nothing else yet.
    pub(super) fn new(head: RunHead) -> Run {
        Run {
            head: Arc::new(head),
            entries: Vec::new(),
            signals: Vec::new(),
            waits: BTreeMap::new(),
            streams: BTreeMap::new(),
            ids: BTreeMap::new(),
            open: BTreeSet::new(),
            due: BTreeSet::new(),
            signal_waits: BTreeSet::new(),
            calls: BTreeSet::new(),
            settled: Vec::new(),
            last_seq: 0,
            bytes: 0,
        }
    }

    /// Takes what the store has.
    pub(super) fn load(stored: StoredRun) -> Run {
        let mut run = Run::new(stored.head);
        for entry in stored.entries {
            run.put(entry);
        }
        run.signals = stored.signals;
        run.waits = stored.waits.into_iter().map(|wait| (wait.idx, wait)).collect();
        run.streams = stored.streams.into_iter().map(|stream| (stream.source.clone(), stream)).collect();
        run
    }

    /// What the store must have.
    pub(super) fn stored(&self) -> StoredRun {
        StoredRun {
            head: (*self.head).clone(),
            entries: self.entries.iter().map(|entry| (**entry).clone()).collect(),
            signals: self.signals.clone(),
            waits: self.waits.values().cloned().collect(),
            streams: self.streams.values().cloned().collect(),
        }
    }

    /// Appends or replaces an entry.
    pub(super) fn put(&mut self, entry: Entry) {
        let idx = entry.idx;
        if let Some(old) = self.entries.get(idx as usize).cloned() {
            self.unindex(&old);
            self.index(&entry);
            self.entries[idx as usize] = Arc::new(entry);
        } else {
            assert_eq!(idx as usize, self.entries.len(), "entries are dense: run {}", self.head.id);
            self.ids.insert(entry.id.clone(), idx);
            self.index(&entry);
            self.entries.push(Arc::new(entry));
        }
    }

    fn index(&mut self, entry: &Entry) {
        self.bytes += entry.payload_bytes();
        if let Some(seq) = entry.seq {
            self.last_seq = self.last_seq.max(seq);
            let place = (seq - 1) as usize;
            if self.settled.len() <= place {
                self.settled.resize(place + 1, 0);
            }
            self.settled[place] = entry.idx;
        }
        if entry.is_settled() {
            return;
        }
        self.open.insert(entry.idx);
        if let Some(due) = entry.due_at {
            self.due.insert((due, entry.idx));
        }
        if is_called(entry) {
            self.calls.insert(entry.idx);
        }
        if let Some(name) = awaited_signal(entry) {
            self.signal_waits.insert((name, entry.idx));
        }
    }

    fn unindex(&mut self, entry: &Entry) {
        self.bytes -= entry.payload_bytes();
        self.open.remove(&entry.idx);
        self.calls.remove(&entry.idx);
        if let Some(due) = entry.due_at {
            self.due.remove(&(due, entry.idx));
        }
        if let Some(name) = awaited_signal(entry) {
            self.signal_waits.remove(&(name, entry.idx));
        }
    }

    /// The position of the entry with this id.
    pub(super) fn find(&self, id: &str) -> Option<u32> {
        self.ids.get(id).copied()
    }

    /// Positions of entries that settled after this `seq`, in the order of their settlement.
    pub(super) fn settled_after(&self, seq: u32) -> &[u32] {
        self.settled.get(seq as usize..).unwrap_or_default()
    }

    /// Positions of entries that are not settled, in order.
    pub(super) fn open(&self) -> impl Iterator<Item = u32> + '_ {
        self.open.iter().copied()
    }

    /// Timers of entries, earliest first.
    pub(super) fn due(&self) -> impl Iterator<Item = (Timestamp, u32)> + '_ {
        self.due.iter().copied()
    }

    /// Positions of entries whose call is to be made now, or is being made.
    pub(super) fn calls(&self) -> impl Iterator<Item = u32> + '_ {
        self.calls.iter().copied()
    }

    /// Whether the call of an entry is to be made now, or is being made.
    pub(super) fn has_call(&self, idx: u32) -> bool {
        self.calls.contains(&idx)
    }

    /// Positions of open waits for a signal, in order.
    pub(super) fn waits_for<'a>(&'a self, name: &'a Text) -> impl Iterator<Item = u32> + 'a {
        self.signal_waits.range((name.clone(), 0)..=(name.clone(), u32::MAX)).map(|(_, idx)| *idx)
    }

    /// How many messages its handler has published outside of bodies, by source.
    pub(super) fn published(&self) -> Vec<(Text, u32)> {
        let own = self.streams.values().filter(|stream| Stream::is_of_handler(&stream.source));
        own.map(|stream| (stream.source.clone(), stream.next)).collect()
    }

    /// When this run moves by itself while it is resident: its own timer, the earliest of its entries' timers, or the
    /// end of a cancellation's grace.
    pub(super) fn next_due(&self) -> Option<Timestamp> {
        let head = &self.head;
        if head.status.is_terminal() {
            return head.wake_at;
        }
        let own = match head.status {
            RunStatus::Queued | RunStatus::Backoff => head.wake_at,
            _ => None,
        };
        let entries = self.due.first().map(|(due, _)| *due);
        let deadline = head.deadline.filter(|_| self.find(super::saga::FAILURE_ID).is_none());
        [own, entries, head.cancel_by, head.start_by, deadline].into_iter().flatten().min()
    }
}

#[derive(Deserialize)]
struct SignalParams {
    #[serde(default)]
    signal: Option<String>,
    #[serde(default)]
    awakeable: bool,
    #[serde(default)]
    update: bool,
}

/// Whether an entry, open or settled, is a wait for an update.
pub(super) fn is_update(entry: &Entry) -> bool {
    entry.kind == EntryKind::WaitSignal && entry.params.read::<SignalParams>().is_ok_and(|params| params.update)
}

/// The signal that an open entry waits for: its name, for an awakeable `$awakeable/` and the entry's id, for an update
/// `$update/` and its name.
pub(super) fn awaited_signal(entry: &Entry) -> Option<Text> {
    if entry.kind != EntryKind::WaitSignal || entry.is_settled() {
        return None;
    }
    let params: SignalParams = entry.params.read().ok()?;
    match params.signal {
        _ if params.awakeable => Some(awakeable_signal(&entry.id)),
        Some(name) if params.update => Some(update_signal(&name)),
        name => name.map(Text::from),
    }
}

/// The name under which an update travels as a signal.
pub(super) fn update_signal(name: &str) -> Text {
    format!("{UPDATE}{name}").into()
}

/// The name under which an awakeable's outcome travels as a signal.
pub fn awakeable_signal(entry: &str) -> Text {
    format!("{AWAKEABLE}{entry}").into()
}

/// What the signal names of awakeables start with. Other signal names cannot: `$` is reserved.
pub(super) const AWAKEABLE: &str = "$awakeable/";

/// The value that a settled entry's outcome carries, for the variables of filters.
pub(super) fn value_of(entry: &Entry) -> Payload {
    match &entry.outcome {
        Some(Outcome::Ok(value)) => value.clone(),
        _ => Payload::null(),
    }
}

/// An entry that begins now, with everything left open that its kind does not say.
pub(super) fn fresh_entry(
    id: EntryId,
    kind: EntryKind,
    params: Payload,
    now: Timestamp,
    deployment: Option<DeploymentId>,
) -> Entry {
    Entry {
        run_no: 0,
        idx: 0,
        id,
        kind,
        name: None,
        params,
        status: EntryStatus::Waiting,
        outcome: None,
        seq: None,
        due_at: None,
        failures: 0,
        last_error: None,
        deployment,
        child: None,
        created_at: now,
        settled_at: None,
        details: None,
        copied: false,
    }
}
