//! Wake-ups: hints that something is due. The engine looks again and decides by its own time, so a hint too many or
//! too early changes nothing.

use super::command::{Command, Reply};
use super::draft::{Draft, Part};
use super::{cancel, object, publish, saga, schedule, wait};
use crate::model::{Failure, Key, RunId, RunStatus, StateKey, names};

/// A run may be due. Whatever is due happens now; what is not, does not.
pub(super) fn wake(draft: &mut Draft<'_>, run: RunId) -> Part<Reply> {
    let now = draft.now();
    let Some(found) = draft.find_run(run)? else { return Ok(Reply::Done) };
    let head = &found.head;
    if head.status.is_terminal() {
        if head.wake_at.is_some() {
            draft.follow_up(Command::Close { run, after: 0 });
        }
        return Ok(Reply::Done);
    }
    if head.cancel_by.is_some_and(|by| by <= now) {
        cancel::force(draft, run)?;
        return Ok(Reply::Done);
    }
    if found.deadline().is_some_and(|by| by <= now) {
        let message = "the run took longer than its function's `timeouts.run` allows";
        return timed_out(draft, run, message);
    }
    if head.start_by.is_some_and(|by| by <= now) {
        if draft.turn(run).is_none() {
            let message = "no handler took the run up within its function's `timeouts.start`";
            return timed_out(draft, run, message);
        }
        draft.run(run)?.head.start_by = None;
    }
    let head = &draft.run(run)?.head;
    match head.status {
        RunStatus::Backoff if head.wake_at.is_some_and(|at| at <= now) => draft.run(run)?.make_ready(),
        // Its delay is over.
        RunStatus::Queued if head.queue.is_none() && head.wake_at.is_some_and(|at| at <= now) => {
            object::arrive(draft, run)?;
        }
        _ => {}
    }
    while let Some((due, idx)) = draft.run(run)?.first_due()
        && due <= now
    {
        wait::fire(draft, run, idx)?;
    }
    let found = draft.run(run)?;
    if let status @ (RunStatus::Suspended | RunStatus::Paused) = found.head.status {
        found.rest(status);
    }
    if found.head.queue.is_some() {
        found.rest(RunStatus::Queued);
    }
    Ok(Reply::Done)
}

fn timed_out(draft: &mut Draft<'_>, run: RunId, message: &str) -> Part<Reply> {
    let mut failure = Failure::new(names::TIMEOUT, message);
    failure.retryable = Some(false);
    saga::fail(draft, run, &failure.payload(), None)?;
    Ok(Reply::Done)
}

/// An entity of the `state` table may be due: marks expire, channels forget, and what is left of a delivery goes on.
pub(super) fn wake_state(draft: &mut Draft<'_>, key: &StateKey) -> Part<Reply> {
    match key {
        StateKey::Schedule(schedule) => schedule::wake(draft, schedule)?,
        StateKey::Channel(channel) => publish::age(draft, channel)?,
        StateKey::Object(object) => object::pass_on(draft, object)?,
        StateKey::Fanout(event) => draft.follow_up(Command::Fanout { event: *event, after: None }),
        StateKey::Mark(mark) => {
            draft.require([Key::Mark(mark.clone())])?;
            let now = draft.now();
            if draft.state(key).and_then(|row| row.wake_at).is_some_and(|expiry| expiry <= now) {
                draft.delete_state(key.clone());
            }
        }
    }
    Ok(Reply::Done)
}
