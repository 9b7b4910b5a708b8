//! The book: everything that was ever decided, kept by naive means, and the invariants of the engine checked on every
//! transition. It shares no code with the engine, so that both would have to be wrong in the same way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use backstitch_server::engine::{Command, Fork, Transition};
use backstitch_server::model::{
    Attempt, Change, Entry, EntryKind, EntryStatus, Event, EventId, Failure, FunctionId, Origin, Outcome, Payload,
    Registry, RunHead, RunId, RunStatus, Signal, StateKey, StateRow, StoredRun, Timestamp, TriggerKind, Verdict, Wait,
    names,
};
use backstitch_server::store::Dump;

use super::calls;
use super::forks::edited;
use super::ledger::Objects;
use super::program::WaitFilter;
use super::registry::ATTEMPTS;
use super::steps::{awakeable_of, check_step, check_undo, check_undone, goes_on, key_of, run_of, trigger_key};
use super::voices::Voices;

/// Positions from here on are of waits for events that cancel their run.
const CANCEL_ON_BASE: u32 = 1 << 31;

/// All rows, and which signal came when.
#[derive(Clone, Default)]
pub(super) struct Book {
    pub(super) runs: BTreeMap<i64, RunHead>,
    pub(super) numbers: BTreeMap<RunId, i64>,
    pub(super) entries: BTreeMap<i64, Vec<Entry>>,
    pub(super) attempts: Vec<Attempt>,
    pub(super) events: BTreeMap<i64, Event>,
    pub(super) verdicts: BTreeMap<(EventId, FunctionId), Verdict>,
    pub(super) waits: BTreeMap<(i64, u32), Wait>,
    pub(super) signals: BTreeMap<(i64, u32), Signal>,
    pub(super) state: BTreeMap<StateKey, StateRow>,
    pub(super) objects: Objects,
    pub(super) voices: Voices,
    /// Payloads of accepted signals in order of acceptance.
    arrivals: HashMap<Payload, usize>,
    /// Which entry each signal settled.
    consumed: HashMap<Payload, (i64, u32)>,
    /// The newest signal that was consumed under a name.
    newest: BTreeMap<(i64, String), usize>,
}

/// What a run was before a transition.
struct Before {
    head: Option<RunHead>,
    last_seq: u32,
    settled: BTreeMap<u32, u32>,
    stirred: bool,
}

impl Book {
    pub(super) fn head(&self, id: RunId) -> Option<&RunHead> {
        self.runs.get(self.numbers.get(&id)?)
    }

    pub(super) fn entries_of(&self, id: RunId) -> &[Entry] {
        self.numbers.get(&id).and_then(|no| self.entries.get(no)).map_or(&[], Vec::as_slice)
    }

    pub(super) fn last_seq(&self, run_no: i64) -> u32 {
        self.entries.get(&run_no).into_iter().flatten().filter_map(|entry| entry.seq).max().unwrap_or(0)
    }

    /// The rows in the form in which a store gives them.
    pub(super) fn stored(&self, id: RunId) -> Option<StoredRun> {
        let run_no = *self.numbers.get(&id)?;
        Some(StoredRun {
            head: self.runs[&run_no].clone(),
            entries: self.entries.get(&run_no).cloned().unwrap_or_default(),
            signals: self.signals.range((run_no, 0)..=(run_no, u32::MAX)).map(|(_, signal)| signal.clone()).collect(),
            waits: self.waits.range((run_no, 0)..=(run_no, u32::MAX)).map(|(_, wait)| wait.clone()).collect(),
            streams: self.voices.streams.values().filter(|it| it.run_no == run_no).cloned().collect(),
        })
    }

    /// Everything that a store must have after the same batches.
    pub(super) fn dump(&self, commit_no: u64) -> Dump {
        Dump {
            commit_no,
            runs: self.runs.values().cloned().collect(),
            entries: self.entries.values().flatten().cloned().collect(),
            attempts: self.attempts.clone(),
            events: self.events.values().cloned().collect(),
            verdicts: self.verdicts.iter().map(|((event, f), verdict)| (*event, f.clone(), verdict.clone())).collect(),
            waits: self.waits.values().cloned().collect(),
            signals: self.signals.values().cloned().collect(),
            state: self.state.values().cloned().collect(),
            values: self.objects.rows(),
            messages: self.voices.messages.values().cloned().collect(),
            streams: self.voices.streams.values().cloned().collect(),
        }
    }

    /// Takes what was decided at `now`, and checks it.
    pub(super) fn take(&mut self, now: Timestamp, command: &Command, transition: &Transition, registry: &Registry) {
        let mut touched: BTreeMap<i64, Before> = BTreeMap::new();
        self.objects.begin();
        for change in &transition.changes {
            if let Some(run_no) = run_of(change) {
                touched.entry(run_no).or_insert_with(|| Before {
                    head: self.runs.get(&run_no).cloned(),
                    last_seq: self.last_seq(run_no),
                    settled: BTreeMap::new(),
                    stirred: false,
                });
            }
            if let Change::EntryAdded(entry) | Change::EntryChanged(entry) = change {
                let before = touched.get_mut(&entry.run_no).expect("an entry belongs to a run");
                if let Some(seq) = entry.seq {
                    let twice = before.settled.insert(seq, entry.idx);
                    assert_eq!(twice, None, "two entries of run {} have seq {seq}", entry.run_no);
                }
                before.stirred |= entry.status == EntryStatus::Runnable;
            }
            self.objects.see(change, &self.runs);
            self.fold(now, change, command);
            self.voices.see(now, change, &self.runs);
        }
        self.objects.check(&self.runs, &self.state);
        if let (Command::Signal { settle, .. }, false) = (command, transition.changes.is_empty()) {
            let payload = settle.payload().cloned().expect("signals of these tests carry payloads");
            let order = self.arrivals.len();
            assert_eq!(self.arrivals.insert(payload, order), None, "a repeated signal was accepted as new");
        }
        if let (Command::Update { data, .. }, false) = (command, transition.changes.is_empty()) {
            self.take_update(data, &transition.changes);
        }
        for change in &transition.changes {
            if let Change::RunChanged(old) = change
                && old.status == RunStatus::Continued
                && touched[&old.run_no].head.as_ref().is_some_and(|before| before.status != old.status)
            {
                self.check_chain(old);
            }
        }
        if let Command::Fork(fork) = command {
            self.check_fork(fork, transition);
        }
        self.check_events(transition, registry);
        for (run_no, before) in &touched {
            self.check_run(now, *run_no, before);
            self.voices.check(&self.runs[run_no], &self.entries[run_no]);
            let ended = before.head.as_ref().is_some_and(|old| !old.status.is_terminal());
            let asked = matches!(command, Command::Returned { answer, .. } if !goes_on(answer));
            match self.runs[run_no].status {
                RunStatus::Failed if ended => check_undone(&self.entries[run_no]),
                // Whoever is killed, or does not stop in time, is not asked.
                RunStatus::Cancelled if ended && asked => check_undone(&self.entries[run_no]),
                _ => {}
            }
        }
        self.check_signals(&touched);
    }

    /// An update is kept, whether something waits for it or not.
    fn take_update(&mut self, data: &Payload, changes: &[Change]) {
        let added = changes.iter().find_map(|change| match change {
            Change::SignalAdded(signal) => Some(signal),
            _ => None,
        });
        let signal = added.expect("an update is kept");
        assert!(signal.wants_reply && signal.reply.is_none(), "{signal:?}");
        let payload = signal.settle.payload().cloned().expect("an update has a payload");
        let told: serde_json::Value = payload.read().expect("is JSON");
        let own: serde_json::Value = data.read().expect("is JSON");
        assert_eq!((told["id"].as_str(), &told["data"]), (signal.id.as_deref(), &own));
        let ids = self.signals.range((signal.run_no, 0)..=(signal.run_no, u32::MAX));
        let same = ids.filter(|(_, other)| other.wants_reply && other.id == signal.id).count();
        assert_eq!(same, 1, "a repeated update was accepted as new");
        let order = self.arrivals.len();
        self.arrivals.insert(payload, order);
    }

    fn fold(&mut self, now: Timestamp, change: &Change, command: &Command) {
        match change {
            Change::RunCreated(head) => {
                let last = self.runs.last_key_value().map_or(0, |(no, _)| *no);
                assert!(head.run_no > last, "run numbers grow: {} after {last}", head.run_no);
                assert_eq!(self.numbers.insert(head.id, head.run_no), None, "{} was made twice", head.id);
                self.runs.insert(head.run_no, head.clone());
            }
            Change::RunChanged(head) => self.change_run(now, head),
            Change::EntryAdded(entry) => self.add_entry(entry),
            Change::EntryChanged(entry) => self.change_entry(now, entry, command),
            Change::AttemptAdded(attempt) => self.attempts.push(attempt.clone()),
            Change::EventAdded(event) => {
                let last = self.events.last_key_value().map_or(0, |(seq, _)| *seq);
                assert!(event.seq > last, "event numbers grow: {} after {last}", event.seq);
                self.events.insert(event.seq, event.clone());
            }
            Change::VerdictAdded(event, function, verdict) => {
                let old = self.verdicts.insert((*event, function.clone()), verdict.clone());
                assert_eq!(old, None, "{function} has two verdicts on {event}");
            }
            Change::WaitOpened(wait) if wait.idx >= CANCEL_ON_BASE => {
                assert_eq!(self.waits.insert((wait.run_no, wait.idx), wait.clone()), None, "a wait opened twice");
            }
            Change::WaitOpened(wait) => {
                let entry = &self.entries[&wait.run_no][wait.idx as usize];
                let params: serde_json::Value = entry.params.read().expect("JSON");
                let newest = self.events.last_key_value().map_or(0, |(seq, _)| *seq);
                let born = self.runs[&wait.run_no].born_seq;
                let fits = if params["sinceRun"] == true { wait.after_seq == born } else { wait.after_seq >= newest };
                assert!(fits, "a wait begins elsewhere: {wait:?} of a run of {born}, newest event {newest}");
                assert_eq!(self.waits.insert((wait.run_no, wait.idx), wait.clone()), None, "a wait opened twice");
            }
            Change::WaitChanged(wait) => {
                assert!(self.waits.insert((wait.run_no, wait.idx), wait.clone()).is_some(), "no such wait to change");
            }
            Change::WaitClosed(wait) => {
                assert!(self.waits.remove(&(wait.run_no, wait.idx)).is_some(), "a wait closed twice: {wait:?}");
            }
            Change::SignalAdded(signal) => {
                let old = self.signals.insert((signal.run_no, signal.order), signal.clone());
                assert_eq!(old, None, "two signals have order {}", signal.order);
            }
            Change::SignalChanged(signal) => {
                let old = self.signals.insert((signal.run_no, signal.order), signal.clone()).expect("kept before");
                assert!(
                    old.consumed_by.is_none() || old.consumed_by == signal.consumed_by,
                    "signal {} was consumed twice",
                    signal.order
                );
                assert!(old.reply.is_none(), "signal {} was replied to twice", signal.order);
            }
            Change::StatePut(row) => {
                self.state.insert(row.key.clone(), row.clone());
            }
            Change::StateDeleted(key) => {
                if let (StateKey::Mark(_), Some(row)) = (key, self.state.remove(key)) {
                    assert!(row.wake_at.is_some_and(|at| at <= now), "a mark was forgotten early: {row:?}");
                }
                self.state.remove(key);
            }
            // The state of objects, and what is published, have books of their own.
            _ => {}
        }
    }

    fn change_run(&mut self, now: Timestamp, head: &RunHead) {
        let old = &self.runs[&head.run_no];
        if old.status.is_terminal() {
            let expected = RunHead { wake_at: None, ..old.clone() };
            assert_eq!(*head, expected, "a run that has ended only forgets the work it had left");
        }
        let started = old.status == RunStatus::Queued && head.status == RunStatus::Ready;
        assert!(!started || now >= old.started_at, "run {} started before its delay was over", head.id);
        self.runs.insert(head.run_no, head.clone());
    }

    fn add_entry(&mut self, entry: &Entry) {
        let entries = self.entries.entry(entry.run_no).or_default();
        assert_eq!(entry.idx as usize, entries.len(), "entries are dense: {entry:?}");
        assert!(entries.iter().all(|other| other.id != entry.id), "the id of {entry:?} is taken");
        let ended = entries.iter().any(|other| other.kind == EntryKind::Outcome);
        assert!(!ended, "an entry after the outcome: {entry:?}");
        entries.push(entry.clone());
    }

    fn change_entry(&mut self, now: Timestamp, entry: &Entry, command: &Command) {
        let ended = self.runs[&entry.run_no].status.is_terminal();
        let entries = self.entries.get_mut(&entry.run_no).expect("the run has entries");
        let old = std::mem::replace(&mut entries[entry.idx as usize], entry.clone());
        assert!(!old.is_settled(), "a settled entry changed: {old:?} to {entry:?}");
        let outcome_comes = !entries.iter().any(|other| other.kind == EntryKind::Outcome);
        assert!(outcome_comes, "an entry of a run that has ended changed ({ended}): {entry:?}");
        assert_eq!((&old.id, old.kind, &old.params), (&entry.id, entry.kind, &entry.params));
        calls::check_change(&old, entry, command, now);
        let due = old.due_at.is_some_and(|due| due <= now);
        match (entry.kind, &entry.outcome) {
            (EntryKind::Sleep, Some(_)) => assert!(due, "a sleep ended early: {old:?} at {now}"),
            (_, Some(Outcome::Timeout)) => assert!(due, "a wait timed out early: {old:?} at {now}"),
            _ => {}
        }
        let retried = old.status == EntryStatus::Backoff && entry.status == EntryStatus::Runnable;
        // A compensation that was given up is tried again when somebody says so.
        let asked = old.due_at.is_none()
            && matches!(command, Command::Resume { .. } | Command::Move { .. } | Command::SettleEntry { .. });
        assert!(!retried || due || asked, "a step was to run before its pause was over: {old:?} at {now}");
        let failed = matches!(command, Command::Returned { .. }) && entry.failures > 0 && !retried;
        if entry.kind == EntryKind::Step && failed && matches!(entry.outcome, None | Some(Outcome::Err(_))) {
            assert_eq!(entry.failures, old.failures + 1, "a failed attempt counts once: {entry:?}");
        }
    }

    /// A fork is one new run that begins as the other one did: nothing is sent, nobody else is touched.
    fn check_fork(&self, fork: &Fork, transition: &Transition) {
        let Some(Change::RunCreated(head)) = transition.changes.first() else {
            return assert!(transition.changes.is_empty(), "a fork that makes no run makes nothing");
        };
        let status = if head.queue.is_some() { RunStatus::Queued } else { RunStatus::Ready };
        assert_eq!((head.parent, head.name.as_ref(), head.status), (None, None, status));
        let own = &self.entries[&head.run_no];
        let listens = |change: &&Change| matches!(change, Change::WaitOpened(wait) if wait.run == head.id);
        let listens = transition.changes.iter().filter(listens).count();
        let locks = transition.changes.iter().filter(|change| matches!(change, Change::StatePut(_))).count();
        assert_eq!(
            locks,
            usize::from(super::registry::is_exclusive(head)),
            "a fork of a handler gets its key, or in line"
        );
        assert_eq!(
            transition.changes.len(),
            1 + own.len() + listens + locks,
            "a fork does more than to begin: {transition:?}"
        );
        let original = self.entries_of(fork.run);
        assert_eq!((&own[0].params, &own[0].outcome), (&original[0].params, &original[0].outcome));
        for copy in &own[1..] {
            let from = original.iter().find(|entry| entry.id == copy.id).expect("a copy is of an entry");
            let edit = fork.edits.iter().find(|(id, _)| *id == copy.id).map(|(_, outcome)| edited(from, outcome));
            let (idx, run_no) = (copy.idx, copy.run_no);
            let expected = Entry { idx, run_no, copied: true, details: None, ..from.clone() };
            let expected = Entry { outcome: edit.or(expected.outcome), ..expected };
            assert!(from.is_settled() && !from.id.starts_with('$'), "what is not settled was copied: {copy:?}");
            assert_eq!(*copy, expected);
        }
        let greatest = own.iter().filter_map(|entry| entry.seq).max().unwrap_or(0);
        let before = |entry: &&Entry| entry.seq.is_some_and(|seq| seq <= greatest);
        assert_eq!(original.iter().filter(before).count(), own.len() - 1, "something was left out: {own:#?}");
        assert!(head.seen <= greatest);
        let first = self.head(fork.run).map(|original| original.seed.unwrap_or(original.id));
        assert_eq!(head.seed, first.filter(|_| own.len() > 1), "a fork's chance is that of what it copied");
    }

    /// Who goes on in a new run takes along everything that others know it by.
    fn check_chain(&self, old: &RunHead) {
        let continues =
            |head: &&RunHead| head.previous.is_some_and(|it| it.run == old.id && it.origin == Origin::Continue);
        let mut next = self.runs.values().filter(continues);
        let (Some(new), None) = (next.next(), next.next()) else { panic!("{} goes on in no run, or in two", old.id) };
        let known = |head: &RunHead| {
            (head.function.clone(), head.name.clone(), head.parent, head.root, head.trigger, head.event)
        };
        assert_eq!(known(new), known(old));
        assert_eq!(new.labels, old.labels, "it is found by something else");
        assert_eq!(new.chain, Some(old.chain.unwrap_or(old.id)));
        assert_eq!(trigger_key(&self.entries[&new.run_no][0]), trigger_key(&self.entries[&old.run_no][0]));
        assert!(!self.entries[&old.run_no].iter().any(|entry| entry.kind == EntryKind::Cancel), "it was told to stop");
        if let Some(link) = old.parent.filter(|link| !self.head(link.run).expect("exists").status.is_terminal()) {
            let entry = &self.entries_of(link.run)[link.idx as usize];
            assert!(entry.is_settled() || entry.child == Some(new.id), "the parent waits for another: {entry:?}");
        }
        let kept = |run_no: i64| self.signals.range((run_no, 0)..=(run_no, u32::MAX)).map(|(_, signal)| signal);
        let moved = kept(old.run_no).filter(|it| it.consumed_by.is_none() && !it.name.starts_with("$awakeable/"));
        let told =
            |signal: &Signal| (signal.name.clone(), signal.id.clone(), signal.settle.clone(), signal.wants_reply);
        assert!(moved.map(told).eq(kept(new.run_no).map(told)), "kept signals of {} did not come along", old.id);
    }

    fn check_events(&self, transition: &Transition, registry: &Registry) {
        for change in &transition.changes {
            let Change::EventAdded(event) = change else { continue };
            let functions: BTreeSet<_> = registry.triggered_by(&event.name).iter().map(|(id, _)| id).collect();
            for function in functions {
                let verdicts = usize::from(self.verdicts.contains_key(&(event.id, function.clone())));
                let started = |head: &&RunHead| head.event == Some(event.id) && head.function == *function;
                let runs = self.runs.values().filter(started).count();
                assert_eq!(verdicts + runs, 1, "{function} needs one verdict or run for {event:?}: {verdicts}+{runs}");
            }
        }
    }

    fn check_run(&self, now: Timestamp, run_no: i64, before: &Before) {
        let head = &self.runs[&run_no];
        let entries = &self.entries[&run_no];
        for (at, seq) in before.settled.keys().enumerate() {
            assert_eq!(*seq, before.last_seq + 1 + at as u32, "settlements of {} are numbered without gaps", head.id);
        }
        // What is copied is judged where it was made.
        for entry in entries.iter().filter(|entry| !entry.copied) {
            assert_eq!(entry.is_settled(), entry.outcome.is_some(), "{entry:?}");
            assert_eq!(entry.is_settled() && entry.kind != EntryKind::Input, entry.seq.is_some(), "{entry:?}");
            assert!(!entry.is_settled() || entry.due_at.is_none(), "a settled entry has a timer: {entry:?}");
            if entry.id.starts_with("$undo/") {
                check_undo(head, entry);
            } else if entry.kind == EntryKind::Step {
                check_step(entry, now);
            }
            if entry.kind == EntryKind::Fetch {
                calls::check_call(entry);
            }
            if entry.kind == EntryKind::Invoke && entry.child.is_some() {
                self.check_child(head, entry);
            }
        }
        self.check_waits(head, entries);
        check_head(head, entries, before);
    }

    /// A parent's entry and its child agree.
    fn check_child(&self, head: &RunHead, entry: &Entry) {
        let child = self.head(entry.child.expect("has a child")).expect("a child exists");
        assert_eq!(child.parent.map(|link| (link.run, link.idx)), Some((head.id, entry.idx)));
        assert_eq!(child.root, head.root);
        if !entry.is_settled() {
            let unfinished = !child.status.is_terminal() || head.status.is_terminal();
            assert!(unfinished, "child {} ended and its parent's entry did not settle", child.id);
        }
        let last = &self.entries[&child.run_no].last().expect("has its input").outcome;
        match &entry.outcome {
            Some(Outcome::Ok(value)) => {
                assert_eq!(child.status, RunStatus::Completed);
                assert_eq!(*last, Some(Outcome::Ok(value.clone())));
            }
            Some(Outcome::Err(error)) => {
                let expected = match child.status {
                    RunStatus::Failed => names::CHILD_FAILED,
                    RunStatus::Cancelled => names::CHILD_CANCELLED,
                    status => panic!("a child that is {status} failed its parent's entry"),
                };
                assert_eq!(Failure::from_payload(error).name, expected);
            }
            Some(Outcome::Timeout) | None => {}
        }
    }

    /// Open waits for events have their rows, and nothing else has.
    fn check_waits(&self, head: &RunHead, entries: &[Entry]) {
        let rows = self.waits.range((head.run_no, 0)..(head.run_no, CANCEL_ON_BASE)).map(|((_, idx), _)| *idx);
        let open = entries.iter().filter(|entry| entry.kind == EntryKind::WaitEvent && !entry.is_settled());
        let open = open.filter(|_| !head.status.is_terminal()).map(|entry| entry.idx);
        assert!(rows.eq(open), "the open waits of {} are not its rows", head.id);
        for entry in entries.iter().filter(|entry| !entry.copied) {
            if let (EntryKind::WaitEvent, Some(Outcome::Ok(value))) = (entry.kind, &entry.outcome) {
                let value: serde_json::Value = value.read().expect("an event as JSON");
                let id: EventId = value["id"].as_str().and_then(|id| id.parse().ok()).expect("has an id");
                let event = self.events.values().find(|event| event.id == id).expect("the event is kept");
                let params: serde_json::Value = entry.params.read().expect("JSON");
                assert_eq!(params["event"].as_str(), Some(&*event.name), "the wait is for another event");
                assert!(
                    event.seq > head.born_seq,
                    "an event of before the run, or of one that it continues, came again"
                );
            }
        }
    }

    /// Each signal settles one wait, and those of a name do so in the order in which they came.
    fn check_signals(&mut self, touched: &BTreeMap<i64, Before>) {
        for (run_no, before) in touched {
            for idx in before.settled.values() {
                let entry = self.entries[run_no][*idx as usize].clone();
                let (false, EntryKind::WaitSignal, Some(payload)) =
                    (entry.copied, entry.kind, entry.outcome.as_ref().and_then(Outcome::payload))
                else {
                    continue;
                };
                let other = self.consumed.insert(payload.clone(), (*run_no, *idx));
                assert_eq!(other, None, "a signal settled two waits: {entry:?}");
                let order = *self.arrivals.get(payload).expect("a wait settles with a signal that was sent");
                let name = entry.params.bytes().to_vec();
                let slot = (*run_no, format!("{}{:?}", String::from_utf8_lossy(&name), awakeable_of(&entry)));
                let older = self.newest.insert(slot, order);
                assert!(older.is_none_or(|older| older < order), "a later signal was consumed first: {entry:?}");
            }
            for signal in self.signals.range((*run_no, 0)..=(*run_no, u32::MAX)).map(|(_, signal)| signal) {
                let by = signal.consumed_by.map(|idx| self.entries[run_no][idx as usize].outcome.clone());
                let fits = by.as_ref().is_none_or(|outcome| *outcome == Some(signal.settle.clone()));
                assert!(fits, "the entry that consumed a signal has another outcome: {signal:?} {by:?}");
            }
        }
    }

    /// Whether an accepted signal is still to be found: kept with its run, or in an entry.
    pub(super) fn has_signal(&self, payload: &Payload) -> bool {
        self.consumed.contains_key(payload)
            || self.signals.values().any(|signal| signal.settle.payload() == Some(payload))
    }

    /// An update that was accepted, and its reply.
    pub(super) fn update(&self, run: RunId, id: &str) -> Option<&Signal> {
        let run_no = *self.numbers.get(&run)?;
        let of_run = self.signals.range((run_no, 0)..=(run_no, u32::MAX)).map(|(_, signal)| signal);
        of_run.into_iter().find(|signal| signal.wants_reply && signal.id.as_deref() == Some(id))
    }

    /// No open wait has missed an event, and no kept signal has a wait.
    pub(super) fn check_nothing_missed(&self) {
        let still_open = |wait: &&Wait| {
            let cancelled = || self.entries[&wait.run_no].iter().any(|entry| entry.kind == EntryKind::Cancel);
            wait.idx < CANCEL_ON_BASE || !cancelled()
        };
        for wait in self.waits.values().filter(still_open) {
            let source: Option<String> = wait.filter.as_ref().map(|filter| filter.read().expect("a string"));
            let run_key = trigger_key(&self.entries[&wait.run_no][0]);
            let missed = self.events.range(wait.after_seq + 1..).map(|(_, event)| event).find(|event| {
                let key = key_of(Some(&event.data));
                // A run that a failure started has no key to compare with: such a filter cannot be evaluated.
                let says = (source.is_none() || run_key >= 0) && WaitFilter::says(source.as_deref(), run_key, key);
                event.name == wait.index.event && says
            });
            assert_eq!(missed, None, "a wait missed an event: {wait:?}");
            assert_eq!(wait.scanned_to, None, "a wait never looked through all older events: {wait:?}");
        }
        for signal in self.signals.values().filter(|signal| signal.consumed_by.is_none()) {
            if self.runs[&signal.run_no].status.is_terminal() {
                continue;
            }
            let waits = |entry: &&Entry| {
                let params: serde_json::Value = entry.params.read().unwrap_or_default();
                let name = signal.name.strip_prefix("$update/");
                let by_name = params["signal"].as_str() == Some(name.unwrap_or(&*signal.name))
                    && (params["update"] == true) == name.is_some();
                let by_token = params["awakeable"] == true && *signal.name == format!("$awakeable/{}", entry.id);
                entry.kind == EntryKind::WaitSignal && !entry.is_settled() && (by_name || by_token)
            };
            let waiting = self.entries[&signal.run_no].iter().find(waits);
            assert_eq!(waiting, None, "a kept signal has a wait: {signal:?}");
        }
        let left: Vec<_> = self.state.keys().filter(|key| matches!(key, StateKey::Fanout(_))).collect();
        assert!(left.is_empty(), "events were never delivered in full: {left:?}");
    }

    /// The attempts of every step are numbered from 1 without gaps, as many as the entry has failures.
    pub(super) fn check_attempts(&self) {
        let steps = self.entries.values().flatten().filter(|entry| !entry.copied);
        let steps = steps.filter(|entry| matches!(entry.kind, EntryKind::Step | EntryKind::Fetch));
        for entry in steps {
            let own = |attempt: &&Attempt| attempt.run_no == entry.run_no && attempt.idx == Some(entry.idx);
            let numbers: Vec<u32> = self.attempts.iter().filter(own).map(|attempt| attempt.number).collect();
            assert!(numbers.iter().copied().eq(1..=entry.failures), "attempts {numbers:?} of {entry:?}");
        }
    }
}

/// The row follows from the entries.
fn check_head(head: &RunHead, entries: &[Entry], before: &Before) {
    let open = || entries.iter().filter(|entry| !entry.is_settled());
    let first_due = open().filter_map(|entry| entry.due_at).min();
    let failed = entries.iter().any(|entry| entry.kind == EntryKind::Failure);
    let deadline = head.deadline.filter(|_| !failed);
    let timer = [first_due, head.cancel_by, head.start_by, deadline].into_iter().flatten().min();
    let context = || format!("{head:#?}\n{entries:#?}");
    let ended = head.status.is_terminal();
    let outcome = entries.last().is_some_and(|entry| entry.kind == EntryKind::Outcome);
    assert_eq!(ended, outcome, "a run has an outcome exactly when it has ended: {}", context());
    assert_eq!(ended, head.ended_at.is_some());
    assert_eq!(
        head.hold.is_some(),
        head.status == RunStatus::Paused,
        "a run is held exactly when paused: {}",
        context()
    );
    let cancelled = entries.iter().any(|entry| entry.kind == EntryKind::Cancel);
    let undoing = failed || entries.iter().any(|entry| entry.id.starts_with("$undo/"));
    let grace = cancelled && !ended && !undoing;
    assert_eq!(head.cancel_by.is_some(), grace, "a grace without a cancellation: {}", context());
    assert!(head.awaiting.is_empty() || head.status == RunStatus::Suspended, "{}", context());
    match head.status {
        RunStatus::Ready => assert_eq!(head.wake_at, Some(Timestamp::ZERO), "{}", context()),
        RunStatus::Queued if head.queue.is_some() => assert_eq!(head.wake_at, timer, "{}", context()),
        RunStatus::Queued => assert_eq!(head.wake_at, Some(head.started_at), "{}", context()),
        RunStatus::Backoff => assert!(head.wake_at.is_some_and(|at| at > Timestamp::ZERO), "{}", context()),
        RunStatus::Suspended => {
            assert_eq!(
                head.wake_at,
                calls::wake_at(entries, timer),
                "a suspended run's timer is its earliest: {}",
                context()
            );
            let waits = |entry: &Entry| matches!(entry.status, EntryStatus::Waiting | EntryStatus::Backoff);
            assert!(open().any(waits), "a run is suspended on nothing: {}", context());
        }
        RunStatus::Paused => assert_eq!(head.wake_at, timer, "a held run keeps its timers: {}", context()),
        _ => assert!(head.wake_at.is_none_or(|at| at == Timestamp::ZERO), "{}", context()),
    }
    assert!(head.failures < ATTEMPTS && head.losses < backstitch_server::limits::LOSSES_MAX, "{}", context());
    if head.trigger == TriggerKind::Invoke && head.previous.is_none() && before.head.is_none() {
        assert!(head.root != head.id, "a child has its parent's root: {}", context());
    }
    check_wake_up(head, entries, before, &context);
}

/// A suspended run goes on exactly when something that it awaited settled.
fn check_wake_up(head: &RunHead, entries: &[Entry], before: &Before, context: &dyn Fn() -> String) {
    let Some(old) = before.head.as_ref().filter(|old| old.status == RunStatus::Suspended) else { return };
    if before.settled.is_empty() || head.status.is_terminal() {
        return;
    }
    let found = |id: &str| entries.iter().find(|entry| &*entry.id == id).expect("programs await what they made");
    let failed = |id: &str| matches!(found(id).outcome, Some(Outcome::Err(_) | Outcome::Timeout));
    let satisfied = old.awaiting.is_empty()
        || before
            .settled
            .values()
            .any(|idx| matches!(entries[*idx as usize].kind, EntryKind::Cancel | EntryKind::Failure))
        || old
            .awaiting
            .iter()
            .any(|group| group.iter().all(|id| found(id).is_settled()) || group.iter().any(|id| failed(id)));
    let expected = if satisfied || before.stirred { RunStatus::Ready } else { RunStatus::Suspended };
    assert_eq!(head.status, expected, "awaiting {:?}: {}", old.awaiting, context());
}
