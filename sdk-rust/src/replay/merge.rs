//! What a server says while the invocation is open: outcomes that join the journal, steps that run again, a handler that
//! begins anew within its invocation.
//!
//! Replies may come in any order and name what is known already; an entry's first outcome counts. What a reply says of a
//! step whose attempt has been reported meanwhile is old and passed over.

use std::time::Duration;

use serde::Deserialize;
use tokio::time::Instant;

use crate::duration;
use crate::error::Failure;
use crate::raw::Raw;
use crate::replay::state::{Core, Delivered, Delivery, Known, Params, Progress};
use crate::wire::checkpoint::{Again, Reply, Settled};
use crate::wire::{self, EntryOp, EntryState, Op, OpKind, Outcome};

/// What has become of the steps that are to run again.
pub(crate) enum Ripe {
    /// None is due.
    Nothing,
    /// Some may start.
    Startable,
    /// One is due whose body is used up: the handler has to begin anew to make another.
    Rebirth,
}

impl Core {
    /// Whether something is to be reported.
    pub(crate) fn has_ops(&self) -> bool {
        !self.ops.is_empty()
    }

    /// What is to be reported, to be written and then taken out.
    pub(crate) fn ops(&mut self) -> &mut [Op] {
        &mut self.ops
    }

    /// Takes out the first ops, which go out now.
    pub(crate) fn take_ops(&mut self, count: usize) -> Vec<Op> {
        let ops = self.ops.drain(..count).collect();
        self.count_published();
        ops
    }

    /// Puts back what went out and was not confirmed.
    pub(crate) fn put_back(&mut self, ops: Vec<Op>) {
        self.ops.splice(0..0, ops);
        self.count_published();
    }

    /// The greatest `seq` that is known.
    pub(crate) fn seen(&self) -> u64 {
        self.seen
    }

    /// Takes in a reply, and what its request has made durable. Gives whether something has settled that was not
    /// known; an error if the reply makes no sense.
    pub(crate) fn merge(&mut self, reply: Reply, confirmed: &[Op], now: Instant) -> Result<bool, String> {
        for op in confirmed.iter().filter_map(Op::entry) {
            self.confirm(op, now);
        }
        let before = self.seen;
        for settled in reply.settled {
            if settled.seq > self.seen {
                self.settle(settled, confirmed)?;
            }
        }
        self.run_again(reply.retry, now);
        Ok(self.seen > before)
    }

    fn confirm(&mut self, op: &EntryOp, now: Instant) {
        let Some(known) = self.entries.get_mut(&op.id) else { return };
        if known.params.is_none() {
            known.params = Some(Params::of(&op.params));
        }
        if !matches!(known.state, Some(EntryState::Settled { .. })) {
            known.state = Some(EntryState::Pending);
        }
        if op.kind == OpKind::Sleep
            && let Some(slot) = known.slot
        {
            self.slots[slot].due = nap(op).and_then(|nap| now.checked_add(nap));
        }
    }

    fn settle(&mut self, settled: Settled, confirmed: &[Op]) -> Result<(), String> {
        let Settled { id, op, digest, seq, at, outcome } = settled;
        self.seen = seq;
        if outcome.as_ref().is_some_and(|outcome| self.take_own(&id, seq, at, outcome)) {
            return Ok(());
        }
        let outcome = match outcome {
            Some(outcome) => outcome,
            None => reported(confirmed, &id)
                .ok_or_else(|| format!("entry `{id}` came without an outcome, and none was reported with it"))?,
        };
        let known = self.entries.entry(id).or_insert_with(|| Known::new(op, digest.map(Params::Digest), None));
        if let Some(slot) = known.slot {
            let what = Delivered::Outcome(slot, outcome.clone());
            self.deliverable.insert(seq, Delivery { at, what });
        }
        known.state = Some(EntryState::Settled { seq, at, outcome });
        Ok(())
    }

    /// The list of a reply stands for the ones before it.
    fn run_again(&mut self, list: Vec<Again>, now: Instant) {
        for (id, _) in std::mem::take(&mut self.retries) {
            if let Some(known) = self.entries.get_mut(&id) {
                known.state = Some(EntryState::Pending);
            }
        }
        for again in list {
            let Some(known) = self.entries.get_mut(&again.id) else { continue };
            let settled = matches!(known.state, Some(EntryState::Settled { .. }));
            let runs = known.slot.is_some_and(|slot| !matches!(self.slots[slot].progress, Progress::Waiting));
            if settled || runs || again.due.attempt <= known.reported {
                continue;
            }
            known.state = Some(EntryState::Run(again.due));
            self.retries.insert(again.id, now.checked_add(again.due_in).unwrap_or(now));
        }
    }

    /// Lets the steps start that are due.
    pub(crate) fn ripen(&mut self, now: Instant) -> Ripe {
        let mut ripe = Ripe::Nothing;
        let due: Vec<String> = self.retries.iter().filter(|(_, due)| **due <= now).map(|(id, _)| id.clone()).collect();
        for id in due {
            let Some(known) = self.entries.get(&id) else { continue };
            let slot = known.slot.map(|slot| &mut self.slots[slot]);
            match (slot, &known.state) {
                (Some(slot), Some(EntryState::Run(due))) if matches!(slot.progress, Progress::Waiting) => {
                    if slot.spent {
                        ripe = Ripe::Rebirth;
                        continue;
                    }
                    slot.progress = Progress::Startable(due.clone());
                    if matches!(ripe, Ripe::Nothing) {
                        ripe = Ripe::Startable;
                    }
                }
                // Nobody has asked for it yet, or nobody does any more.
                _ => {}
            }
            self.retries.remove(&id);
        }
        ripe
    }

    /// When the next step is due that somebody waits for.
    pub(crate) fn next_retry(&self) -> Option<Instant> {
        self.retries.values().min().copied()
    }

    /// Whether something that the handler waits for may settle until `end`: what others settle may at any time.
    pub(crate) fn may_settle_until(&self, end: Instant) -> bool {
        self.holds_end()
            || self.open().filter(|slot| matches!(slot.progress, Progress::Waiting)).any(|slot| match slot.kind {
                OpKind::Invoke | OpKind::WaitSignal | OpKind::WaitEvent | OpKind::Fetch => true,
                OpKind::Sleep => slot.due.is_some_and(|due| due <= end),
                OpKind::Step => self.retries.get(&slot.id).is_some_and(|due| *due <= end),
                OpKind::Send | OpKind::Marker | OpKind::State => false,
            })
    }

    /// The outcome of an entry that had to be fetched; an entry that is not there any more is nobody's.
    pub(crate) fn fetched(&mut self, id: &str, whole: Outcome) {
        let Some(known) = self.entries.get_mut(id) else { return };
        let slot = known.slot;
        self.wanted = None;
        if let Some(EntryState::Settled { seq, outcome, .. }) = &mut known.state {
            *outcome = whole.clone();
            if let (Some(slot), Some(delivery)) = (slot, self.deliverable.get_mut(seq)) {
                delivery.what = Delivered::Outcome(slot, whole);
            }
        }
    }

    /// What a handler that begins anew is replayed against: all that is durable. The handler must have been dropped.
    pub(crate) fn reborn(&mut self, now: Instant) -> Core {
        let token = std::mem::take(&mut self.token);
        let mut core = Core::empty(token, self.started_at, self.entries.len());
        core.seen = self.seen;
        core.handled = self.handled.max(self.delivered);
        for (id, known) in self.entries.drain().filter(|(_, known)| known.state.is_some()) {
            core.entries.insert(id, Known { slot: None, silent: false, ..known });
        }
        core.retries = std::mem::take(&mut self.retries);
        core.retries.retain(|_, due| *due > now);
        core.bodies = std::mem::take(&mut self.bodies);
        core.bodies.running = 0;
        if let Some((seq, at)) = self.cancelled {
            core.take_own(wire::CANCEL_ID, seq, at, &Outcome::Ok(Raw::null()));
        }
        if let Some((seq, at, failure)) = self.failure.take() {
            core.take_failure(seq, at, failure);
        }
        core
    }
}

/// What a step's op says it has come to.
fn reported(confirmed: &[Op], id: &str) -> Option<Outcome> {
    let op = confirmed.iter().filter_map(Op::entry).find(|op| op.id == id)?;
    Some(match &op.report.as_ref()?.outcome {
        Ok(value) => Outcome::Ok(value.clone()),
        Err(failure) => Outcome::Err(Failure::clone(failure)),
    })
}

/// How long a sleep lasts from the moment at which it is durable.
fn nap(op: &EntryOp) -> Option<Duration> {
    #[derive(Deserialize)]
    struct Nap {
        r#for: Option<String>,
    }
    let nap: Nap = serde_json::from_slice(op.params.as_bytes()).ok()?;
    duration::parse(&nap.r#for?).ok()
}

#[cfg(test)]
mod tests {
    use std::task::Context;

    use bytes::Bytes;

    use super::*;
    use crate::replay::state::{Next, Registration, SlotKey, StepPoll};
    use crate::time;
    use crate::wire::{Invocation, Report};

    fn core() -> Core {
        let body = r#"{"run": {"id": "run_1", "app": "a", "function": "f", "attempt": 1, "startedAt": "2026-03-01T12:00:00Z",
                       "secret": "00"}, "trigger": {"kind": "call"}, "journal": [], "token": "inv_1"}"#;
        Core::new(&mut Invocation::parse(&Bytes::from(body)).unwrap())
    }

    fn step(core: &mut Core, id: &str) -> SlotKey {
        let params = Raw::empty_object();
        let slot = core.register(Registration { kind: OpKind::Step, id, name: id, params: &params, holds_end: false });
        begin(core, slot);
        slot
    }

    fn begin(core: &mut Core, slot: SlotKey) {
        let cx = Context::from_waker(std::task::Waker::noop());
        assert!(matches!(core.poll_step(slot, &cx), StepPoll::Pending));
        assert!(core.release_bodies().is_some());
        assert!(matches!(core.poll_step(slot, &cx), StepPoll::Start { .. }));
    }

    fn report(core: &mut Core, slot: SlotKey, id: &str, attempt: u32) -> Vec<Op> {
        let at = time::parse("2026-03-01T12:00:00Z").unwrap();
        let outcome = Ok(Raw::null());
        core.report(slot, id, &Raw::empty_object(), Report { outcome, attempt, started_at: at, ended_at: at });
        core.take_ops(1)
    }

    fn merge(core: &mut Core, reply: &'static str, confirmed: &[Op]) -> Result<bool, String> {
        core.merge(Reply::parse(&Bytes::from(reply)).unwrap(), confirmed, time::instant())
    }

    /// A beat that was written before the attempt was reported, and comes after the reply that settles what follows.
    #[test]
    fn an_old_reply_starts_no_attempt_a_second_time() {
        let mut core = core();
        let slot = step(&mut core, "a");
        let ops = report(&mut core, slot, "a", 1);
        let later = r#"{"settled": [], "retry": [{"id": "a", "attempt": 2, "dueIn": 3600000}]}"#;
        merge(&mut core, later, &ops).unwrap();
        assert!(matches!(core.ripen(time::instant()), Ripe::Nothing));
        merge(&mut core, r#"{"settled": [], "retry": [{"id": "a", "attempt": 1, "dueIn": 0}]}"#, &[]).unwrap();
        assert!(matches!(core.ripen(time::instant()), Ripe::Nothing));
        merge(&mut core, r#"{"settled": [], "retry": [{"id": "a", "attempt": 2, "dueIn": 0}]}"#, &[]).unwrap();
        assert!(matches!(core.ripen(time::instant()), Ripe::Rebirth));
    }

    /// The beat brings the outcome before the checkpoint's own reply does, which names the entry alone.
    #[test]
    fn what_two_replies_bring_is_taken_once() {
        let mut core = core();
        let slot = step(&mut core, "a");
        let ops = report(&mut core, slot, "a", 1);
        let beat = r#"{"settled": [{"id": "a", "op": "step", "seq": 1, "at": "2026-03-01T12:00:01Z", "ok": 1}]}"#;
        assert_eq!(merge(&mut core, beat, &[]), Ok(true));
        assert!(matches!(core.deliver_next(), Next::Wake(_)));
        let reply = r#"{"settled": [{"id": "a", "op": "step", "seq": 1, "at": "2026-03-01T12:00:01Z"}]}"#;
        assert_eq!(merge(&mut core, reply, &ops), Ok(false));
        assert!(matches!(core.deliver_next(), Next::Nothing));
        assert!(
            merge(
                &mut core,
                r#"{"settled": [{"id": "b", "op": "step", "seq": 2, "at": "2026-03-01T12:00:01Z"}]}"#,
                &[]
            )
            .is_err()
        );
    }

    /// What a body had come to before the cancellation is told; what had not begun is not.
    #[test]
    fn a_cancellation_takes_back_what_did_not_happen() {
        let mut core = core();
        let done = step(&mut core, "done");
        let at = time::parse("2026-03-01T12:00:00Z").unwrap();
        let report = Report { outcome: Ok(Raw::null()), attempt: 1, started_at: at, ended_at: at };
        core.report(done, "done", &Raw::empty_object(), report);
        let params = Raw::empty_object();
        core.register(Registration { kind: OpKind::WaitSignal, id: "s", name: "s", params: &params, holds_end: false });
        let cancel =
            r#"{"settled": [{"id": "$cancel", "op": "cancel", "seq": 1, "at": "2026-03-01T12:00:01Z", "ok": null}]}"#;
        merge(&mut core, cancel, &[]).unwrap();
        assert!(matches!(core.deliver_next(), Next::Wake(_)));
        let ids: Vec<String> = core.take_ops(1).iter().filter_map(Op::entry).map(|op| op.id.clone()).collect();
        assert_eq!((ids, core.has_ops()), (vec!["done".to_owned()], false));
    }
}
