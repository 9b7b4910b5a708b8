//! Steps: settled once, with a value or with the error that the policy calls the last. The server alone decides
//! whether and when a failed one runs again, and when it has had its time.

use super::draft::{Draft, Part};
use super::run::fresh_entry;
use super::turns::Turn;
use super::{publish, saga};
use crate::limits::RETRY_AFTER_MS_MAX;
use crate::model::{
    Attempt, DeploymentId, Entry, EntryId, EntryKind, EntryStatus, Failure, Heartbeat, Outcome, Payload, RunId,
    RunStatus, Span, StepReport, StepResult, Text, Timestamp, names,
};

/// A step's body ran in a handler.
pub(super) fn reported(draft: &mut Draft<'_>, turn: &Turn, existing: Option<u32>, report: &StepReport) -> Part<()> {
    let run = turn.token.run;
    let now = draft.now();
    if let Some(idx) = existing
        && draft.run(run)?.entry(idx).is_settled()
    {
        // The first durable outcome wins.
        return Ok(());
    }
    // A report that comes a second time, after its reply was lost, counts once.
    if let Some(idx) = existing
        && report.attempt <= draft.run(run)?.entry(idx).failures
    {
        return Ok(());
    }
    let idx = match existing {
        Some(idx) => idx,
        None => {
            let began = began(report, turn, now);
            create(draft, turn, began, (&report.id, report.name.clone(), &report.params))?
        }
    };
    let (failure, raw) = match &report.result {
        StepResult::Ok(_) => {
            publish::keep(draft, run, &report.id, report.attempt, turn.token)?;
            return draft.settle(run, idx, report.result.outcome());
        }
        StepResult::Err(failure, raw) => (failure, raw),
    };
    publish::cut(draft, run, &report.id)?;
    let chance = draft.chance();
    let head = draft.run(run)?.head.clone();
    let policy = report.retry.or(&saga::policy(&report.id, draft.policy(&head, turn)));
    let failures = draft.run(run)?.entry(idx).failures + 1;
    draft.add_attempt(Attempt {
        run_no: head.run_no,
        idx: Some(idx),
        number: failures,
        started_at: report.started_at.unwrap_or(turn.started_at),
        ended_at: report.ended_at.unwrap_or(now),
        error: raw.clone(),
    });
    let retryable = failure.retryable.unwrap_or(true) && !policy.non_retryable.contains(&failure.name);
    let entry = draft.run(run)?.entry_mut(idx);
    entry.failures = failures;
    entry.last_error = Some(raw.clone());
    if !retryable || failures >= policy.attempts() {
        return give_up(draft, run, idx, raw, turn.deployment);
    }
    let pause =
        failure.retry_after.map_or(policy.pause(failures, chance), |after| Span(after.0.min(RETRY_AFTER_MS_MAX)));
    let due = now.after(pause);
    if Times::of(entry).close_by(entry).is_some_and(|by| due > by) {
        return out_of_time(draft, run, idx, "its next attempt would begin after its `scheduleToClose`");
    }
    entry.status = EntryStatus::Backoff;
    entry.due_at = Some(due);
    Ok(())
}

/// When the body of a step that is reported for the first time began, in the partition's time. The handler's clock may be any,
/// so its two times only tell how long the body took, and it cannot have begun before its invocation.
fn began(report: &StepReport, turn: &Turn, now: Timestamp) -> Timestamp {
    let took = report.started_at.zip(report.ended_at).map_or(0, |(started, ended)| ended.0.saturating_sub(started.0));
    Timestamp(now.0.saturating_sub(took.max(0))).max(turn.started_at).min(now)
}

/// A step's body is at work: what it says is kept for the next attempt, should this one be lost.
pub(super) fn beat(draft: &mut Draft<'_>, turn: &Turn, existing: Option<u32>, beat: &Heartbeat) -> Part<()> {
    let run = turn.token.run;
    let idx = match existing {
        Some(idx) => idx,
        None if beat.attempt == 1 => {
            let now = draft.now();
            create(draft, turn, now, (&beat.id, beat.name.clone(), &beat.params))?
        }
        None => return Ok(()),
    };
    let run = draft.run(run)?;
    let entry = run.entry(idx);
    if !entry.is_settled() && beat.attempt == entry.failures + 1 {
        run.entry_mut(idx).details = Some(beat.details.clone());
    }
    Ok(())
}

/// A step that the run did not have, since `began`: its id, its name and its parameters.
fn create(
    draft: &mut Draft<'_>,
    turn: &Turn,
    began: Timestamp,
    (id, name, params): (&EntryId, Option<Text>, &Payload),
) -> Part<u32> {
    let mut entry = fresh_entry(id.clone(), EntryKind::Step, params.clone(), began, turn.deployment);
    entry.name = name;
    entry.status = EntryStatus::Runnable;
    entry.due_at = Times::of(&entry).close_by(&entry);
    let run = draft.run(turn.token.run)?;
    saga::begin(run, id);
    Ok(run.add(entry))
}

/// A step failed for good. A compensation does not: it parks its run.
fn give_up(draft: &mut Draft<'_>, run: RunId, idx: u32, error: &Payload, deployment: Option<DeploymentId>) -> Part<()> {
    if saga::is_undo(&draft.run(run)?.entry(idx).id) {
        return saga::gave_up(draft, run, idx, error, deployment);
    }
    draft.settle(run, idx, Outcome::Err(error.clone()))
}

/// A step's timer is due: its next attempt begins, or it has had its time.
pub(super) fn due(draft: &mut Draft<'_>, run: RunId, idx: u32) -> Part<()> {
    let now = draft.now();
    let invoked = draft.turn(run).is_some();
    let found = draft.run(run)?;
    let invoked = invoked || found.head.open_token.is_some();
    let suspended = found.head.status == RunStatus::Suspended;
    let entry = found.entry(idx);
    let times = Times::of(entry);
    let close_by = times.close_by(entry);
    if close_by.is_some_and(|by| by <= now) {
        return out_of_time(
            draft,
            run,
            idx,
            "it took longer than its `scheduleToClose`, all attempts and pauses together",
        );
    }
    match entry.status {
        EntryStatus::Backoff => {
            let start_by = times.schedule_to_start.map(|span| now.after(span));
            let entry = found.entry_mut(idx);
            entry.status = EntryStatus::Runnable;
            entry.due_at = [close_by, start_by].into_iter().flatten().min();
            if suspended {
                found.make_ready();
            }
            Ok(())
        }
        // Whoever has the run has taken up its steps.
        _ if invoked => {
            found.entry_mut(idx).due_at = close_by;
            Ok(())
        }
        _ => out_of_time(draft, run, idx, "no handler took up its next attempt within its `scheduleToStart`"),
    }
}

fn out_of_time(draft: &mut Draft<'_>, run: RunId, idx: u32, why: &str) -> Part<()> {
    let entry = draft.run(run)?.entry(idx);
    let data = entry.last_error.as_ref().and_then(|error| error.read::<serde_json::Value>().ok());
    let data = serde_json::json!({ "lastError": data });
    let message = format!("step `{}` timed out: {why}", entry.id);
    let mut failure = Failure::new(names::TIMEOUT, message).with_data(Payload::trusted(data.to_string()));
    failure.retryable = Some(false);
    give_up(draft, run, idx, &failure.payload(), None)
}

/// The times that a step's author allows it, as they stand in its parameters. The dialect has seen to it that they can
/// be read.
#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Times {
    #[serde(default)]
    schedule_to_close: Option<Span>,
    #[serde(default)]
    schedule_to_start: Option<Span>,
}

impl Times {
    fn of(entry: &Entry) -> Times {
        // Most steps have no parameters.
        if entry.params.len() <= 2 { Times::default() } else { entry.params.read().unwrap_or_default() }
    }

    fn close_by(&self, entry: &Entry) -> Option<Timestamp> {
        self.schedule_to_close.map(|span| entry.created_at.after(span))
    }
}
