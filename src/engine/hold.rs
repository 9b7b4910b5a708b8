//! Holds: a run that cannot go on by itself is parked with a reason that says what to do, and goes on when told to.

use super::command::{Refusal, Reply};
use super::draft::{Draft, Part};
use super::run_draft::RunDraft;
use super::{chain, object, saga};
use crate::model::{DeploymentId, Hold, HoldKind, RunId, RunStatus};

/// Parks a run. Its entries' timers still settle what is due.
pub(super) fn hold(
    draft: &mut Draft<'_>,
    run: RunId,
    kind: HoldKind,
    detail: String,
    deployment: Option<DeploymentId>,
) -> Part<()> {
    let since = draft.now();
    if draft.run(run)?.head.queue.is_some() {
        // Who is held lets the others pass; when resumed, it gets in line again.
        object::leave(draft, run)?;
    }
    let run = draft.run(run)?;
    run.head.hold = Some(Hold { kind, detail, since, deployment, mismatch: None });
    run.head.awaiting = Vec::new();
    run.head.open_token = None;
    run.rest(RunStatus::Paused);
    Ok(())
}

/// Parks a run because somebody says so. What its handler is at, it is told to stop.
pub(super) fn pause(draft: &mut Draft<'_>, id: RunId) -> Part<Reply> {
    let id = chain::newest(draft, id)?;
    let status = draft.run(id)?.head.status;
    if status.is_terminal() {
        return Err(Refusal::Ended(id, status).into());
    }
    if status != RunStatus::Paused {
        let detail = "somebody paused it; resume it to let it go on".to_owned();
        hold(draft, id, HoldKind::Operator, detail, None)?;
    }
    Ok(Reply::Status(RunStatus::Paused))
}

/// Lifts a run's hold: it is invoked again, with its counts of failures at zero.
pub(super) fn resume(draft: &mut Draft<'_>, id: RunId) -> Part<Reply> {
    let now = draft.now();
    let id = chain::newest(draft, id)?;
    let run = draft.run(id)?;
    if run.head.status.is_terminal() {
        return Err(Refusal::Ended(id, run.head.status).into());
    }
    if run.head.status != RunStatus::Paused {
        return Err(Refusal::NotHeld(id, run.head.status).into());
    }
    run.head.hold = None;
    forgive(run);
    saga::retry(run);
    if run.len() == 1 && run.head.started_at > now {
        // Its delay is not over.
        run.head.status = RunStatus::Queued;
        run.head.wake_at = Some(run.head.started_at);
    } else {
        object::arrive(draft, id)?;
    }
    Ok(Reply::Status(draft.run(id)?.head.status))
}

/// What went wrong so far does not count any more.
pub(super) fn forgive(run: &mut RunDraft<'_>) {
    run.head.failures = 0;
    run.head.losses = 0;
    run.head.last_error = None;
    run.head.mismatch_since = None;
}
