//! HTTP calls that the server makes for a run, so that no handler has to wait for a slow one. A call is made when its entry
//! is durable, again when it fails in a way that may pass, and again when the server died meanwhile; its entry settles once.

use super::Partition;
use super::command::Reply;
use super::draft::{Draft, Part};
use super::run::Run;
use super::run_draft::RunDraft;
use super::turns::Turn;
use super::wait::{add, due_after};
use crate::limits::RETRY_AFTER_MS_MAX;
use crate::model::{
    Attempt, Entry, EntryKind, EntryStatus, Failure, FetchCall, FetchEnd, FetchOp, FetchOptions, FetchTarget,
    FetchToken, Outcome, Payload, RunId, RunStatus, Span, Timestamp, names,
};

/// A call is asked for: it is made as soon as this is durable.
pub(super) fn fetch(draft: &mut Draft<'_>, turn: &Turn, op: &FetchOp) -> Part<()> {
    let now = draft.now();
    let close_by = due_after(now, op.schedule_to_close);
    let idx = add(draft, turn, EntryKind::Fetch, &op.id, op.name.clone(), &op.params, close_by)?;
    if close_by.is_some_and(|by| by <= now) { due(draft, turn.token.run, idx) } else { Ok(()) }
}

/// Whether the call of an entry is to be made now, or is being made.
pub(super) fn is_called(entry: &Entry) -> bool {
    entry.kind == EntryKind::Fetch && entry.status == EntryStatus::Waiting
}

/// Whether the calls of a run are made. One that is held, or that has not got its turn, makes none.
pub(super) fn makes_calls(status: RunStatus) -> bool {
    matches!(status, RunStatus::Ready | RunStatus::Suspended | RunStatus::Backoff)
}

/// A call ended. What came of one that is not its entry's current one changes nothing.
pub(super) fn fetched(draft: &mut Draft<'_>, token: FetchToken, end: &FetchEnd, started_at: Timestamp) -> Part<Reply> {
    let FetchToken { run, idx, .. } = token;
    let current = draft.partition.fetches.is_current(token);
    let Some(found) = draft.find_run(run)? else { return Ok(Reply::Done) };
    if !current || found.head.status.is_terminal() || !is_called(found.entry(idx)) {
        return Ok(Reply::Done);
    }
    let entry = found.entry(idx);
    let options: FetchOptions = entry.params.read().unwrap_or_default();
    let (close_by, deployment) = (entry.due_at, entry.deployment);
    let failures = entry.failures + 1;
    let Some(failed) = Failed::of(end, &options) else {
        return settle(draft, run, idx, end);
    };
    let (now, chance) = (draft.now(), draft.chance());
    let head = draft.run(run)?.head.clone();
    let policy = options.retry.or(&draft.policy_at(&head, deployment));
    let error = failed.failure.payload();
    draft.add_attempt(Attempt {
        run_no: head.run_no,
        idx: Some(idx),
        number: failures,
        started_at,
        ended_at: now,
        error: error.clone(),
    });
    let entry = draft.run(run)?.entry_mut(idx);
    entry.failures = failures;
    entry.last_error = Some(error);
    let again = failed.may_pass && !policy.non_retryable.contains(&failed.failure.name) && failures < policy.attempts();
    let pause =
        failed.retry_after.map_or(policy.pause(failures, chance), |after| Span(after.0.min(RETRY_AFTER_MS_MAX)));
    let next = now.after(pause);
    if !again || close_by.is_some_and(|by| next > by) {
        return settle(draft, run, idx, end);
    }
    entry.status = EntryStatus::Backoff;
    entry.due_at = Some(next);
    rest(draft.run(run)?);
    Ok(Reply::Done)
}

/// Why an attempt does not count as the answer.
struct Failed {
    failure: Failure,
    may_pass: bool,
    retry_after: Option<Span>,
}

impl Failed {
    fn of(end: &FetchEnd, options: &FetchOptions) -> Option<Failed> {
        match end {
            FetchEnd::Answered { status, retry_after, said, .. } => options.retries(*status).then(|| Failed {
                failure: Failure { code: Some(status.to_string()), ..Failure::new(names::HTTP_STATUS, said.clone()) },
                may_pass: true,
                retry_after: *retry_after,
            }),
            FetchEnd::Failed { status, failure, retry_after } => Some(Failed {
                failure: (**failure).clone(),
                may_pass: failure.retryable.unwrap_or(true) || status.is_some_and(|status| options.retries(status)),
                retry_after: *retry_after,
            }),
        }
    }
}

/// The last answer is the value, whatever it says; where there is none, the last failure is the outcome.
fn settle(draft: &mut Draft<'_>, run: RunId, idx: u32, end: &FetchEnd) -> Part<Reply> {
    let outcome = match end {
        FetchEnd::Answered { value, .. } => Outcome::Ok(value.clone()),
        FetchEnd::Failed { failure, .. } => {
            let failure = Failure { retryable: Some(false), retry_after: None, ..(**failure).clone() };
            Outcome::Err(failure.payload())
        }
    };
    draft.settle(run, idx, outcome)?;
    Ok(Reply::Done)
}

/// A call's timer is due: it is made again, or it has had its time.
pub(super) fn due(draft: &mut Draft<'_>, run: RunId, idx: u32) -> Part<()> {
    let now = draft.now();
    let found = draft.run(run)?;
    let entry = found.entry(idx);
    let options: FetchOptions = entry.params.read().unwrap_or_default();
    let close_by = options.schedule_to_close.map(|span| entry.created_at.after(span));
    if close_by.is_some_and(|by| by <= now) {
        let last = entry.last_error.as_ref().and_then(|error| error.read::<serde_json::Value>().ok());
        let data = serde_json::json!({ "lastError": last });
        let why = "it took longer than its `scheduleToClose`, all attempts and pauses together";
        let message = format!("the call `{}` timed out: {why}", entry.id);
        let mut failure = Failure::new(names::TIMEOUT, message).with_data(Payload::trusted(data.to_string()));
        failure.retryable = Some(false);
        return draft.settle(run, idx, Outcome::Err(failure.payload()));
    }
    let entry = found.entry_mut(idx);
    entry.status = EntryStatus::Waiting;
    entry.due_at = close_by;
    rest(found);
    Ok(())
}

/// A run that waits wakes by itself, or is worked on: which of the two has changed.
fn rest(run: &mut RunDraft<'_>) {
    if let status @ (RunStatus::Suspended | RunStatus::Paused) = run.head.status {
        run.rest(status);
    }
}

/// The call to make for an entry whose turn has come.
pub(super) fn call(run: &Run, token: FetchToken) -> FetchCall {
    let entry = &run.entries[token.idx as usize];
    FetchCall {
        token,
        entry: entry.id.clone(),
        attempt: entry.failures.saturating_add(1),
        params: entry.params.clone(),
    }
}

/// What an entry waits for, for people.
pub(super) fn describe(partition: &Partition, run: RunId, entry: &Entry, now: Timestamp) -> String {
    let target = FetchTarget::of(&entry.params);
    let attempt = entry.failures + 1;
    let what = format!("the answer of {} for `{}`", target.address, entry.id);
    match (entry.status, partition.fetches.since(run, entry.idx)) {
        (EntryStatus::Backoff, _) => {
            let last = entry.last_error.as_ref().map(Failure::from_payload);
            let last = last.map(|error| format!(", after {}: {}", error.name, error.message)).unwrap_or_default();
            format!("{what}: attempt {attempt} is due at {}{last}", entry.due_at.unwrap_or_default())
        }
        (_, Some(since)) => {
            let seconds = now.since(since).0 / 1_000;
            let which = if attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            format!("{what}: the server has been fetching it for {seconds} s{which}")
        }
        _ => format!(
            "{what}: the call waits for its turn, {} calls to {} are under way",
            partition.fetches.to(&target.host),
            target.host
        ),
    }
}
