//! Cancellation: a fact that the handler is told in its turn, so that it can compensate; after the grace it is forced.
//! The awaited children of a run that ended are cancelled one by one.

use super::command::{Command, Reply};
use super::draft::{Draft, Part};
use super::filter::wait_index;
use super::run::fresh_entry;
use super::{chain, end, object, saga};
use crate::limits::CANCEL_GRACE_MS;
use crate::model::{CancelOn, Entry, EntryKind, Failure, Key, Outcome, Payload, RunId, RunStatus, Span, Wait, names};

/// The id of the entry that tells the handler.
pub(super) const CANCEL_ID: &str = "$cancel";

/// Asks a run to stop. One that no handler has seen yet, or that is held, stops at once.
pub(super) fn cancel(draft: &mut Draft<'_>, id: RunId) -> Part<Reply> {
    let now = draft.now();
    let id = chain::newest(draft, id)?;
    let invoked = draft.turn(id).is_some();
    let run = draft.run(id)?;
    let invoked = invoked || run.head.open_token.is_some();
    let status = run.head.status;
    // A run that has failed is stopping already; what it still does is to put things right.
    if status.is_terminal() || run.find(CANCEL_ID).is_some() || saga::has_failed(run) {
        return Ok(Reply::Status(status));
    }
    let untouched = status == RunStatus::Queued || run.len() == 1 && !invoked && status == RunStatus::Ready;
    // A held run that owes compensations is asked once more; to end it as it stands there is `kill`.
    if untouched || status == RunStatus::Paused && !saga::owes(run) {
        force(draft, id)?;
        return Ok(Reply::Status(RunStatus::Cancelled));
    }
    let entry = fresh_entry(CANCEL_ID.into(), EntryKind::Cancel, Payload::trusted("{}"), now, None);
    run.head.cancel_by = Some(now.after(Span(CANCEL_GRACE_MS)));
    let idx = run.add(entry);
    draft.settle(id, idx, Outcome::Ok(Payload::null()))?;
    let run = draft.run(id)?;
    if matches!(run.head.status, RunStatus::Backoff | RunStatus::Suspended | RunStatus::Paused) {
        run.head.hold = None;
        object::arrive(draft, id)?;
    }
    Ok(Reply::Status(draft.run(id)?.head.status))
}

/// Waits for events that cancel a run have positions from here on, where no entry is.
const CANCEL_ON_BASE: u32 = 1 << 31;

/// Whether a wait at this position is for an event that cancels its run.
pub(super) fn is_cancellation(idx: u32) -> bool {
    idx >= CANCEL_ON_BASE
}

/// Listens for the events that cancel a run, from its beginning on.
pub(super) fn listen(draft: &mut Draft<'_>, id: RunId, cancel_on: &[CancelOn]) -> Part<()> {
    draft.require(cancel_on.iter().map(|on| Key::EventName(on.event.clone())))?;
    for (n, on) in cancel_on.iter().enumerate() {
        // What a manifest declares was checked; a filter that no longer compiles cancels nothing.
        let Ok(filter) = draft.filters().compile(&on.filter) else { continue };
        let trigger = draft.run(id)?.trigger_view();
        let index = wait_index(&on.event, Some(&filter), &trigger);
        draft.require([Key::Waits(index.clone())])?;
        let after_seq = draft.last_event_seq();
        let filter = Some(Payload::trusted(serde_json::Value::from(&*on.filter).to_string()));
        let run = draft.run(id)?;
        let (run_no, idx) = (run.head.run_no, CANCEL_ON_BASE + n as u32);
        run.open_wait(Wait { run: id, run_no, idx, index, after_seq, scanned_to: None, scan_end: after_seq, filter });
    }
    Ok(())
}

/// Ends a run at once: whoever kills does not want its handler to be asked.
pub(super) fn kill(draft: &mut Draft<'_>, id: RunId) -> Part<Reply> {
    let id = chain::newest(draft, id)?;
    let status = draft.run(id)?.head.status;
    if status.is_terminal() {
        return Ok(Reply::Status(status));
    }
    force(draft, id)?;
    Ok(Reply::Status(RunStatus::Cancelled))
}

/// Ends a run as cancelled, without its handler.
pub(super) fn force(draft: &mut Draft<'_>, id: RunId) -> Part<()> {
    let failure = Failure::new(names::CANCELLED, "the run was cancelled");
    end::end(draft, id, RunStatus::Cancelled, Outcome::Err(failure.payload()))
}

/// The child of an open entry that ends with its parent, if there is one: the author may have said that it goes on.
pub(super) fn closed_with(entry: &Entry) -> Option<RunId> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        #[serde(default)]
        parent_close: Option<String>,
    }
    let child = entry.child.filter(|_| !entry.is_settled())?;
    let params = entry.params.read::<Params>().ok();
    let abandoned = params.and_then(|params| params.parent_close).is_some_and(|policy| policy == "abandon");
    (!abandoned).then_some(child)
}

/// Cancels the next awaited child of a run that ended, and comes back for the one after.
pub(super) fn close(draft: &mut Draft<'_>, id: RunId, after: u32) -> Part<Reply> {
    let Some(run) = draft.find_run(id)?.filter(|run| run.head.status.is_terminal()) else { return Ok(Reply::Done) };
    let next =
        run.open().into_iter().filter(|idx| *idx > after).find_map(|idx| Some((idx, closed_with(run.entry(idx))?)));
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
