//! Sagas: a run that has failed for good, and has steps to undo, is told so instead of being ended. Its handler runs the
//! compensations, each a step of its own, and only when none is owed any more does the run end. What cannot be undone
//! parks the run: nothing is left undone in silence.

use serde::Deserialize;

use super::command::{Refusal, Reply};
use super::draft::{Draft, Part};
use super::run::fresh_entry;
use super::run_draft::RunDraft;
use super::{cancel, end, hold};
use crate::model::{
    DeploymentId, Entry, EntryId, EntryKind, EntryStatus, Failure, HoldKind, Outcome, Payload, RetryPolicy, RunId,
    RunStatus,
};

/// The id of the entry that tells the handler that its run has failed.
pub(super) const FAILURE_ID: &str = "$failure";

/// What a compensation settles with when somebody says that its step needs no undoing.
const SKIPPED: &str = r#"{"skipped":true}"#;

/// What the ids of compensations begin with; the id of the step that they undo follows.
const UNDO: &str = "$undo/";

/// A run failed for good. One that owes compensations is told, once, and goes on until it has made them; any other ends.
pub(super) fn fail(draft: &mut Draft<'_>, id: RunId, error: &Payload, deployment: Option<DeploymentId>) -> Part<()> {
    let run = draft.run(id)?;
    match (told(run), owed(run)) {
        (None, None) => end::end(draft, id, RunStatus::Failed, Outcome::Err(error.clone())),
        (None, Some(_)) => tell(draft, id, error),
        (Some(idx), None) => {
            // What the run failed with, not what its handler makes of it afterwards.
            let outcome = run.entry(idx).outcome.clone().unwrap_or(Outcome::Err(error.clone()));
            end::end(draft, id, RunStatus::Failed, outcome)
        }
        (Some(_), Some(step)) => not_undone(draft, id, &step, error, deployment),
    }
}

/// A handler that was told to stop has stopped. It had to undo what it did.
pub(super) fn cancelled(
    draft: &mut Draft<'_>,
    id: RunId,
    error: &Payload,
    deployment: Option<DeploymentId>,
) -> Part<()> {
    match owed(draft.run(id)?) {
        None => end::end(draft, id, RunStatus::Cancelled, Outcome::Err(error.clone())),
        Some(step) => not_undone(draft, id, &step, error, deployment),
    }
}

/// Whether a run has failed already, and only makes its compensations.
pub(super) fn has_failed(run: &RunDraft<'_>) -> bool {
    told(run).is_some()
}

/// Whether a run has failed, and its handler did not know when it answered.
pub(super) fn is_news(run: &RunDraft<'_>, seen: u32) -> bool {
    told(run).and_then(|idx| run.entry(idx).seq).is_some_and(|seq| seq > seen)
}

/// Whether a run that has failed still owes compensations.
pub(super) fn owes(run: &RunDraft<'_>) -> bool {
    owed(run).is_some()
}

fn told(run: &RunDraft<'_>) -> Option<u32> {
    run.find(FAILURE_ID)
}

fn tell(draft: &mut Draft<'_>, id: RunId, error: &Payload) -> Part<()> {
    let now = draft.now();
    let entry = fresh_entry(FAILURE_ID.into(), EntryKind::Failure, Payload::trusted("{}"), now, None);
    let run = draft.run(id)?;
    let idx = run.add(entry);
    let head = &mut run.head;
    head.failures = 0;
    head.losses = 0;
    head.last_error = None;
    head.mismatch_since = None;
    // It takes as long as it takes.
    head.cancel_by = None;
    head.start_by = None;
    draft.settle(id, idx, Outcome::Err(error.clone()))?;
    let run = draft.run(id)?;
    match run.head.status {
        RunStatus::Paused => {}
        // It is told when its turn comes.
        RunStatus::Queued => run.rest(RunStatus::Queued),
        _ => run.make_ready(),
    }
    Ok(())
}

fn not_undone(
    draft: &mut Draft<'_>,
    id: RunId,
    step: &EntryId,
    error: &Payload,
    deployment: Option<DeploymentId>,
) -> Part<()> {
    let error = Failure::from_payload(error);
    let detail = format!(
        "the handler ended with {}: {} and has not undone step `{step}`. Deploy code that can, then resume the run; or undo it by \
         hand, then settle entry `{UNDO}{step}`",
        error.name, error.message
    );
    hold::hold(draft, id, HoldKind::Compensation, detail, deployment)
}

/// The newest step whose compensation is owed.
fn owed(run: &RunDraft<'_>) -> Option<EntryId> {
    let open = |entry: &&Entry| run.find(&undo_of(&entry.id)).is_none_or(|idx| !run.entry(idx).is_settled());
    let steps = (0..run.len()).map(|idx| run.entry(idx)).filter(|entry| has_compensation(entry)).filter(open);
    steps.max_by_key(|entry| entry.seq).map(|entry| entry.id.clone())
}

/// The `seq` of the first step that was undone: from there on the run's journal tells what is not so any more.
pub(super) fn first_undone(run: &RunDraft<'_>) -> Option<u32> {
    let made = |entry: &&Entry| match &entry.outcome {
        Some(Outcome::Ok(value)) => value.bytes() != SKIPPED.as_bytes(),
        _ => false,
    };
    let undone = (0..run.len()).map(|idx| run.entry(idx)).filter(made);
    undone.filter_map(|entry| run.entry(run.find(entry.id.strip_prefix(UNDO)?)?).seq).min()
}

fn has_compensation(entry: &Entry) -> bool {
    #[derive(Deserialize)]
    struct Params {
        #[serde(default)]
        compensate: bool,
    }
    entry.kind == EntryKind::Step
        && matches!(entry.outcome, Some(Outcome::Ok(_)))
        && entry.params.len() > 2
        && entry.params.read::<Params>().is_ok_and(|params| params.compensate)
}

fn undo_of(step: &str) -> String {
    format!("{UNDO}{step}")
}

/// Whether an entry is a compensation.
pub(super) fn is_undo(id: &str) -> bool {
    id.starts_with(UNDO)
}

/// Whether a compensation may not be: nothing has failed or was cancelled, or there is no such step to undo.
pub(super) fn is_uncalled_for(run: &RunDraft<'_>, id: &str) -> bool {
    let Some(step) = id.strip_prefix(UNDO) else { return false };
    let called_for = has_failed(run) || run.find(cancel::CANCEL_ID).is_some();
    !called_for || !run.find(step).is_some_and(|idx| has_compensation(run.entry(idx)))
}

/// A run makes its first compensation: nobody ends it in the middle any more.
pub(super) fn begin(run: &mut RunDraft<'_>, id: &str) {
    if is_undo(id) {
        run.head.cancel_by = None;
    }
}

/// What a compensation that does not say how often it is tried gets.
pub(super) fn policy(id: &str, fallback: RetryPolicy) -> RetryPolicy {
    if !is_undo(id) {
        return fallback;
    }
    RetryPolicy { attempts: Some(crate::limits::COMPENSATION_ATTEMPTS), ..fallback }
}

/// A compensation failed for the last time by its policy. It is not settled: somebody has to see to it.
pub(super) fn gave_up(
    draft: &mut Draft<'_>,
    id: RunId,
    idx: u32,
    error: &Payload,
    deployment: Option<DeploymentId>,
) -> Part<()> {
    let entry = draft.run(id)?.entry_mut(idx);
    entry.status = EntryStatus::Backoff;
    entry.due_at = None;
    entry.last_error = Some(error.clone());
    let failure = Failure::from_payload(error);
    let detail = format!(
        "the compensation `{}` failed {} times, the last with {}: {}. Mend it, then resume the run, which tries once more; or undo the \
         step by hand, then settle this entry",
        entry.id, entry.failures, failure.name, failure.message
    );
    hold::hold(draft, id, HoldKind::Compensation, detail, deployment)
}

/// A held run goes on: compensations that had been given up are tried once more.
pub(super) fn retry(run: &mut RunDraft<'_>) {
    for idx in run.open() {
        let entry = run.entry(idx);
        if is_undo(&entry.id) && entry.status == EntryStatus::Backoff && entry.due_at.is_none() {
            run.entry_mut(idx).status = EntryStatus::Runnable;
        }
    }
}

/// Somebody undid a step by hand, or says that it needs no undoing (without a value).
pub(super) fn settle(draft: &mut Draft<'_>, id: RunId, entry: &EntryId, value: Option<&Payload>) -> Part<Reply> {
    let now = draft.now();
    let run = draft.run(id)?;
    if run.head.status.is_terminal() {
        return Err(Refusal::Ended(id, run.head.status).into());
    }
    let Some(step) = entry.strip_prefix(UNDO).filter(|_| !is_uncalled_for(run, entry)) else {
        return Err(Refusal::NothingToUndo(id, entry.clone()).into());
    };
    let idx = match run.find(entry) {
        Some(idx) if run.entry(idx).is_settled() => return Err(Refusal::AlreadySettled.into()),
        Some(idx) => idx,
        None => {
            let params = serde_json::json!({ "compensates": step }).to_string();
            let mut fresh = fresh_entry(entry.clone(), EntryKind::Step, Payload::trusted(params), now, None);
            fresh.name = run.find(step).map(|idx| {
                let step = run.entry(idx);
                format!("undo {}", step.name.as_ref().unwrap_or(&step.id)).into()
            });
            fresh.status = EntryStatus::Runnable;
            begin(run, entry);
            run.add(fresh)
        }
    };
    let value = value.cloned().unwrap_or_else(|| Payload::trusted(SKIPPED));
    draft.settle(id, idx, Outcome::Ok(value))?;
    let run = draft.run(id)?;
    if run.head.status == RunStatus::Paused && has_failed(run) && owed(run).is_none() {
        // Nothing is left for its handler to do.
        fail(draft, id, &Payload::null(), None)?;
        return Ok(Reply::Status(RunStatus::Failed));
    }
    let head = &draft.run(id)?.head;
    if head.hold.as_ref().is_some_and(|hold| hold.kind == HoldKind::Compensation) {
        return hold::resume(draft, id);
    }
    Ok(Reply::Status(head.status))
}
