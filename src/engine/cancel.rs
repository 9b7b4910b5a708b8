//! Cancellation: a fact that the handler is told in its turn, so that it can compensate; after the grace it is forced.
//! The awaited children of a run that ended are cancelled one by one.

use super::command::{Command, Reply};
use super::draft::{Draft, Part, fresh_entry};
use super::end;
use crate::limits::CANCEL_GRACE_MS;
use crate::model::{EntryKind, Failure, Outcome, Payload, RunId, RunStatus, Span, names};

/// The id of the entry that tells the handler.
pub(super) const CANCEL_ID: &str = "$cancel";

/// Asks a run to stop. One that no handler has seen yet, or that is held, stops at once.
pub(super) fn cancel(draft: &mut Draft<'_>, id: RunId) -> Part<Reply> {
    let now = draft.now();
    let invoked = draft.turn(id).is_some();
    let run = draft.run(id)?;
    let invoked = invoked || run.head.open_token.is_some();
    let status = run.head.status;
    if status.is_terminal() || run.find(CANCEL_ID).is_some() {
        return Ok(Reply::Status(status));
    }
    let untouched = run.len() == 1 && !invoked && matches!(status, RunStatus::Queued | RunStatus::Ready);
    if untouched || status == RunStatus::Paused {
        force(draft, id)?;
        return Ok(Reply::Status(RunStatus::Cancelled));
    }
    let entry = fresh_entry(CANCEL_ID.into(), EntryKind::Cancel, Payload::trusted("{}"), now, None);
    run.head.cancel_by = Some(now.after(Span(CANCEL_GRACE_MS)));
    let idx = run.add(entry);
    draft.settle(id, idx, Outcome::Ok(Payload::null()))?;
    let run = draft.run(id)?;
    if matches!(run.head.status, RunStatus::Backoff | RunStatus::Suspended) {
        run.make_ready();
    }
    Ok(Reply::Status(run.head.status))
}

/// Ends a run as cancelled, without its handler.
pub(super) fn force(draft: &mut Draft<'_>, id: RunId) -> Part<()> {
    let failure = Failure::new(names::CANCELLED, "the run was cancelled");
    end::end(draft, id, RunStatus::Cancelled, Outcome::Err(failure.payload()))
}

/// Cancels the next awaited child of a run that ended, and comes back for the one after.
pub(super) fn close(draft: &mut Draft<'_>, id: RunId, after: u32) -> Part<Reply> {
    let Some(run) = draft.find_run(id)?.filter(|run| run.head.status.is_terminal()) else { return Ok(Reply::Done) };
    let next = run.open().into_iter().filter(|idx| *idx > after).find_map(|idx| Some((idx, run.entry(idx).child?)));
    let Some((idx, child)) = next else {
        run.head.wake_at = None;
        return Ok(Reply::Done);
    };
    if draft.find_run(child)?.is_some() {
        cancel(draft, child)?;
    }
    draft.follow_up(Command::Close { run: id, after: idx });
    Ok(Reply::Done)
}
