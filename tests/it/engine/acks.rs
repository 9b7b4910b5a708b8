//! What callers and handlers were told, and that it stays true: nothing acknowledged is ever lost, and no step runs
//! again after its handler's answer was taken.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use backstitch_server::engine::{Command, Refusal, Reply, Start, Transition};
use backstitch_server::limits::{LOSSES_MAX, MARK_MS};
use backstitch_server::model::{
    Answer, Change, EntryKind, EventId, FunctionId, HandlerOp, MarkKey, MarkScope, Note, Payload, ProblemCode, RunHead,
    RunId, RunStatus, Span, StateKey, StepResult, Terminal, Text, Timestamp, Token, Undelivered,
};

use super::book::Book;
use super::harness::Item;
use super::registry::ATTEMPTS;

/// Promises.
#[derive(Default)]
pub(super) struct Acks {
    runs: BTreeSet<RunId>,
    events: BTreeSet<EventId>,
    signals: Vec<Payload>,
    /// Updates, and whether their reply was taken.
    updates: BTreeMap<(RunId, Text), bool>,
    names: HashMap<(FunctionId, Text), RunId>,
    starts: HashMap<(FunctionId, Text), (RunId, Timestamp)>,
    clients: HashMap<Text, (EventId, Timestamp)>,
    forks: HashMap<(RunId, Text), RunId>,
    steps: BTreeSet<(RunId, String)>,
    heads: BTreeMap<RunId, RunHead>,
    shown: BTreeMap<Token, u32>,
}

impl Acks {
    /// The key of an acknowledged start leads to its run, as long as it is remembered.
    fn check_mark(&self, start: &Start, run: RunId, now: Timestamp, safe: &Book) {
        let Some(key) = start.idempotency_key.clone() else { return };
        let created_at = safe.head(run).expect("an acknowledged run is durable").created_at;
        if created_at.after(Span(MARK_MS)) <= now {
            // While the reply waited at the gate, the key may have been used anew.
            return;
        }
        let mark = MarkKey { scope: MarkScope::Start(start.function.clone()), key };
        if let Some(row) = safe.state.get(&StateKey::Mark(mark)).filter(|row| row.wake_at > Some(now)) {
            let value: serde_json::Value = row.value.read().expect("JSON");
            assert_eq!(value["run"], serde_json::json!(run), "the key of {start:?}");
        }
    }

    /// A reply left the house at `now`; `safe` is what was durable then.
    pub(super) fn told(&mut self, item: &Item, answer: &Result<Reply, Refusal>, now: Timestamp, safe: &Book) {
        if !item.caller {
            return;
        }
        match (&item.command, answer) {
            (Command::Start(start), Ok(Reply::Run { id, created })) => {
                let head = safe.head(*id).expect("an acknowledged run is durable");
                assert_eq!(head.function, start.function);
                self.runs.insert(*id);
                if let Some(name) = &start.name {
                    assert_eq!(head.name.as_ref(), Some(name), "a start by name is answered with a run of that name");
                    let known = self.names.insert((start.function.clone(), name.clone()), *id);
                    let known = known.map(|known| chain_of(safe, known));
                    assert!(known.is_none_or(|known| known == chain_of(safe, *id)), "a name leads to two runs: {name}");
                }
                if let (Some(key), None) = (&start.idempotency_key, &start.name) {
                    let slot = (start.function.clone(), key.clone());
                    if let Some((known, at)) = self.starts.get(&slot).copied() {
                        let valid = head.created_at < at.after(Span(MARK_MS));
                        assert_eq!(known == *id, valid, "key {key}: {known} at {at}, now {id} at {now}");
                    }
                    if *created {
                        self.starts.insert(slot, (*id, head.created_at));
                    }
                } else if let Some(key) = &start.idempotency_key {
                    // When the key was tied to a run that had its name already, only the tables know.
                    self.starts.remove(&(start.function.clone(), key.clone()));
                }
                self.check_mark(start, *id, now, safe);
            }
            (Command::Start(start), Err(Refusal::TwoRuns { run, has, .. })) => {
                let head = safe.head(*run).expect("a run that is named to a caller is durable");
                assert_eq!(&head.name, has);
                assert!(start.name.is_some() && start.name != head.name, "{start:?} belongs to {run}");
            }
            (Command::Fork(fork), Ok(Reply::Forked { id, created, .. })) => {
                let head = safe.head(*id).expect("an acknowledged fork is durable");
                assert_eq!(head.previous.map(|previous| previous.run), Some(fork.run));
                assert!(*created || fork.cause.is_some(), "a fork that nobody named was found");
                self.runs.insert(*id);
                if let Some(cause) = &fork.cause {
                    let known = self.forks.insert((fork.run, cause.clone()), *id);
                    assert!(known.is_none_or(|known| known == *id), "a cause made two forks");
                }
            }
            (Command::Ingest(drafts), Ok(Reply::Accepted(accepted))) => {
                assert_eq!(drafts.len(), accepted.len());
                for (draft, accepted) in drafts.iter().zip(accepted) {
                    let event = safe.events.values().find(|event| event.id == accepted.id).expect("is durable");
                    self.events.insert(accepted.id);
                    let Some(key) = &draft.client_id else { continue };
                    if let Some((known, at)) = self.clients.get(key).copied() {
                        let valid = event.at < at.after(Span(MARK_MS));
                        assert_eq!(known == accepted.id, valid, "client id {key}");
                    }
                    if accepted.fresh {
                        self.clients.insert(key.clone(), (accepted.id, event.at));
                    }
                }
            }
            (Command::Signal { settle, .. }, Ok(Reply::Signalled { fresh: true })) => {
                self.signals.extend(settle.payload().cloned());
            }
            (Command::Update { .. }, Ok(Reply::Updated { run, id, .. })) => {
                self.updates.entry((*run, id.clone())).or_default();
            }
            (Command::Returned { token, answer: Answer::Ops { ops, .. }, .. }, Ok(Reply::Status(status))) => {
                // An answer that contradicts the journal is refused as a whole.
                let taken = *status != RunStatus::Paused && *status != RunStatus::Backoff;
                let settled = |op: &HandlerOp| match op {
                    HandlerOp::Step(report) => {
                        matches!(report.result, StepResult::Ok(_)).then(|| report.id.to_string())
                    }
                    _ => None,
                };
                if taken {
                    for op in ops {
                        if let HandlerOp::Note(Note::Reply { update, .. }) = op {
                            // A fork replies again to updates that only the run got which it was copied from.
                            if let Some(replied) = self.updates.get_mut(&(token.run, update.clone())) {
                                *replied = true;
                            }
                        }
                    }
                    self.steps.extend(ops.iter().filter_map(settled).map(|id| (token.run, id)));
                }
            }
            _ => {}
        }
        let _ = now;
        self.check(safe);
    }

    /// A handler was given outcomes up to this `seq`.
    pub(super) fn given(&mut self, token: Token, shown: u32) {
        self.shown.insert(token, shown);
    }

    /// A step's body runs.
    pub(super) fn ran(&self, run: RunId, id: &str) {
        let again = self.steps.contains(&(run, id.to_owned()));
        assert!(!again, "step {id} of {run} runs again after its outcome was acknowledged");
    }

    /// Everything that was promised is in the tables, and runs that ended stay as they ended.
    pub(super) fn check(&mut self, safe: &Book) {
        for run in &self.runs {
            assert!(safe.head(*run).is_some(), "the acknowledged run {run} is lost");
        }
        for event in &self.events {
            assert!(safe.events.values().any(|kept| kept.id == *event), "the acknowledged event {event} is lost");
        }
        for signal in &self.signals {
            assert!(safe.has_signal(signal), "the acknowledged signal {signal:?} is lost");
        }
        for ((run, id), replied) in &self.updates {
            let update = safe.update(*run, id);
            let update = update.unwrap_or_else(|| panic!("the acknowledged update {id} of {run} is lost"));
            assert!(!replied || update.reply.is_some(), "the reply to {update:?} is lost");
        }
        for (run, id) in &self.steps {
            let entry = safe.entries_of(*run).iter().find(|entry| *entry.id == **id);
            assert!(entry.is_some_and(|entry| entry.outcome.is_some()), "step {id} of {run} lost its outcome");
        }
        for head in safe.runs.values().filter(|head| head.status.is_terminal()) {
            let old = self.heads.entry(head.id).or_insert_with(|| head.clone());
            let same = RunHead { wake_at: old.wake_at, ..head.clone() };
            assert_eq!(*old, same, "a run changed after its end");
        }
    }

    /// What an answer leads to, where the rules are simple: failures and losses are counted, a suspension has seen
    /// everything.
    pub(super) fn check_returned(&self, book: &Book, token: Token, answer: &Answer, transition: &Transition) {
        let after = book.head(token.run).expect("a run that answers exists");
        let failed = book.entries_of(token.run).iter().any(|entry| entry.kind == EntryKind::Failure);
        let before = transition.changes.iter().any(|change| matches!(change, Change::RunChanged(_)));
        match answer {
            Answer::Ops { .. } if after.status == RunStatus::Suspended => {
                let (newest, shown) = (book.last_seq(after.run_no), self.shown[&token]);
                assert!(newest <= shown, "run {} rests on {shown} although {newest} settled", after.id);
                assert_eq!((after.failures, after.losses), (0, 0), "an answer brings the counts to zero");
            }
            Answer::Ops { end: Some(Terminal::Fail(..)), .. } if after.status == RunStatus::Backoff => {
                let counted = after.failures > 0 || after.mismatch_since.is_some();
                assert!(counted, "a failed invocation counts: {after:?}");
            }
            Answer::Ops { ops, end: Some(Terminal::Done(_)), .. } if after.status != RunStatus::Completed => {
                // A handler that did not know that its run had failed is asked again.
                let wrote = ops.iter().any(|op| matches!(op, HandlerOp::State(_)));
                // So is nobody whose run failed because of what it wrote.
                let again = failed && after.status == RunStatus::Ready || wrote && after.status == RunStatus::Failed;
                assert!(again || matches!(after.status, RunStatus::Paused | RunStatus::Backoff), "{after:?}");
            }
            Answer::Undelivered(Undelivered::NotReached { .. }) => assert!(!before, "nothing is written"),
            Answer::Undelivered(Undelivered::Lost { .. }) => {
                let fits = after.status == RunStatus::Backoff && (1..LOSSES_MAX).contains(&after.losses);
                assert!(fits || after.status == RunStatus::Paused, "{after:?}");
            }
            Answer::Problem(problem) if problem.code == ProblemCode::Sdk => {
                let fits = after.status == RunStatus::Backoff && (1..ATTEMPTS).contains(&after.failures);
                let told = failed && matches!(after.status, RunStatus::Ready | RunStatus::Paused);
                assert!(fits || told || after.status == RunStatus::Failed, "{after:?}");
            }
            Answer::Problem(_) => assert_eq!(after.status, RunStatus::Paused, "{after:?}"),
            _ => {}
        }
    }
}

/// The first run of the chain that a run belongs to.
fn chain_of(safe: &Book, run: RunId) -> RunId {
    safe.head(run).and_then(|head| head.chain).unwrap_or(run)
}
