//! A run ends: its outcome becomes its last entry, its waits close, its parent's entry settles, its awaited children
//! are cancelled after it.

use super::aftermath;
use super::cancel::closed_with;
use super::command::Command;
use super::draft::{Draft, Part};
use super::run::fresh_entry;
use super::{object, publish, schedule};
use crate::model::{
    EntryKind, EntryStatus, Failure, Key, Outcome, ParentLink, Payload, RunId, RunStatus, Timestamp, names,
};

/// The id of the last entry.
pub(super) const OUTCOME_ID: &str = "$outcome";

/// Ends a run with its outcome. One that goes on in another run is not over for its parent.
pub(super) fn end(draft: &mut Draft<'_>, id: RunId, status: RunStatus, outcome: Outcome) -> Part<()> {
    let now = draft.now();
    let waits: Vec<_> = draft.run(id)?.waits.values().cloned().collect();
    draft.require(
        waits.iter().flat_map(|wait| [Key::EventName(wait.index.event.clone()), Key::Waits(wait.index.clone())]),
    )?;
    let run = draft.run(id)?;
    for wait in &waits {
        run.close_wait(wait.idx);
    }
    let mut last = fresh_entry(OUTCOME_ID.into(), EntryKind::Outcome, Payload::trusted("{}"), now, None);
    last.status = EntryStatus::Settled;
    last.seq = Some(run.last_seq() + 1);
    last.outcome = Some(outcome.clone());
    last.settled_at = Some(now);
    run.add(last);
    let orphans = run.open().into_iter().any(|idx| closed_with(run.entry(idx)).is_some());
    let head = &mut run.head;
    head.status = status;
    head.ended_at = Some(now);
    head.awaiting = Vec::new();
    head.hold = None;
    head.cancel_by = None;
    head.mismatch_since = None;
    head.open_token = None;
    head.start_by = None;
    head.deadline = None;
    head.last_error = None;
    head.wake_at = orphans.then_some(Timestamp::ZERO);
    let parent = head.parent;
    if orphans {
        draft.follow_up(Command::Close { run: id, after: 0 });
    }
    object::leave(draft, id)?;
    let head = &draft.run(id)?.head;
    if let Some(tick) = head.tick.clone().filter(|_| status != RunStatus::Continued) {
        let first = head.chain.unwrap_or(id);
        schedule::run_ended(draft, &tick.schedule, first)?;
    }
    publish::end(draft, id)?;
    aftermath::follow(draft, id, status, &outcome)?;
    match parent.filter(|_| status != RunStatus::Continued) {
        Some(link) => tell_parent(draft, id, link, status, outcome),
        None => Ok(()),
    }
}

fn tell_parent(draft: &mut Draft<'_>, child: RunId, link: ParentLink, status: RunStatus, outcome: Outcome) -> Part<()> {
    let Some(parent) = draft.find_run(link.run)? else { return Ok(()) };
    if parent.head.status.is_terminal() || parent.entry(link.idx).is_settled() {
        return Ok(());
    }
    let outcome = match (status, outcome) {
        (RunStatus::Completed, outcome) => outcome,
        (status, outcome) => {
            let (name, word) = match status {
                RunStatus::Cancelled => (names::CHILD_CANCELLED, "was cancelled"),
                _ => (names::CHILD_FAILED, "failed"),
            };
            let error = outcome.payload().map(Failure::from_payload).unwrap_or_default();
            let message = format!("child run {child} {word}: {}: {}", error.name, error.message);
            let data = serde_json::json!({ "runId": child, "error": error });
            let mut failure = Failure::new(name, message).with_data(Payload::trusted(data.to_string()));
            failure.retryable = Some(false);
            Outcome::Err(failure.payload())
        }
    };
    draft.settle(link.run, link.idx, outcome)
}
