//! Steps: settled once, with a value or with the error that the policy calls the last. The server alone decides
//! whether and when a failed one runs again.

use super::draft::{Draft, Part};
use super::run::fresh_entry;
use super::turns::Turn;
use crate::limits::RETRY_AFTER_MS_MAX;
use crate::model::{Attempt, EntryKind, EntryStatus, Span, StepReport, StepResult};

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
            let mut entry =
                fresh_entry(report.id.clone(), EntryKind::Step, report.params.clone(), now, turn.deployment);
            entry.name = report.name.clone();
            entry.status = EntryStatus::Runnable;
            draft.run(run)?.add(entry)
        }
    };
    let (failure, raw) = match &report.result {
        StepResult::Ok(_) => return draft.settle(run, idx, report.result.outcome()),
        StepResult::Err(failure, raw) => (failure, raw),
    };
    let chance = draft.chance();
    let head = draft.run(run)?.head.clone();
    let policy = report.retry.or(&draft.policy(&head, turn));
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
    if !retryable || failures >= policy.attempts() {
        return draft.settle(run, idx, report.result.outcome());
    }
    let pause =
        failure.retry_after.map_or(policy.pause(failures, chance), |after| Span(after.0.min(RETRY_AFTER_MS_MAX)));
    entry.status = EntryStatus::Backoff;
    entry.due_at = Some(now.after(pause));
    entry.last_error = Some(raw.clone());
    Ok(())
}
