//! Checkpoints: a handler reports while its invocation is open, and is told what has settled. What it reports is applied
//! as an answer's ops are; the invocation goes on.

use std::sync::Arc;

use super::command::{Refusal, Reply};
use super::draft::{Draft, Part};
use super::returned::{self, Applied};
use super::turns::Turn;
use crate::model::{
    Checkpoint, Entry, EntryId, EntryKind, EntryStatus, HandlerOp, News, Outcome, Retry, RunId, RunStatus, Span,
    StepResult, Stop, Token, Told, names,
};

/// The turn that a token stands for, if it is its run's current one: that of an open invocation, or of one that was
/// open when the server stopped.
pub(super) fn current(draft: &mut Draft<'_>, token: Token) -> Part<Turn> {
    let run = draft.run(token.run)?;
    let (status, open, seen) = (run.head.status, run.head.open_token, run.last_seq());
    let deployment = run.head.deployment;
    if status == RunStatus::Ready {
        match draft.turn(token.run) {
            Some(turn) if turn.token == token => return Ok(turn.clone()),
            None if open == Some(token) => return Ok(Turn::adopted(token, deployment, draft.now(), seen)),
            _ => {}
        }
    }
    Err(Refusal::Stale(token).into())
}

/// Takes what a handler reports in the middle of its work.
pub(super) fn checkpoint(draft: &mut Draft<'_>, token: Token, checkpoint: &Checkpoint) -> Part<Reply> {
    let turn = current(draft, token)?;
    let mut own = Vec::new();
    if checkpoint.n > turn.taken && !checkpoint.ops.is_empty() {
        own = reported(draft, token.run, &checkpoint.ops)?;
        if returned::apply_ops(draft, &turn, &checkpoint.ops)? == Applied::Over {
            return Ok(Reply::News(News { stop: Some(Stop::Stale), ..News::default() }));
        }
    }
    news(draft, &turn, checkpoint.seen, &own).map(Reply::News)
}

/// The steps that are reported with a result, and what they settle with if it is the last.
fn reported(draft: &mut Draft<'_>, run: RunId, ops: &[HandlerOp]) -> Part<Vec<(EntryId, Outcome)>> {
    let run = draft.run(run)?;
    let open = |id: &str| run.find(id).is_none_or(|idx| !run.entry(idx).is_settled());
    // A value that the server does not keep becomes an error that the handler has not seen.
    let kept = |result: &StepResult| !matches!(result, StepResult::Err(failure, _) if failure.name == names::TOO_LARGE);
    let own = ops.iter().filter_map(|op| match op {
        HandlerOp::Step(report) if kept(&report.result) && open(&report.id) => {
            Some((report.id.clone(), report.result.outcome()))
        }
        _ => None,
    });
    Ok(own.collect())
}

/// What has settled after `seen`, and what is to run again.
fn news(draft: &mut Draft<'_>, turn: &Turn, seen: u32, own: &[(EntryId, Outcome)]) -> Part<News> {
    let now = draft.now();
    let run = draft.run(turn.token.run)?;
    let settled = run.settled_after(seen).into_iter().map(|entry| {
        // A step that ran out of its time has another outcome than its handler reported.
        let own = own.iter().any(|(id, outcome)| *id == entry.id && entry.outcome.as_ref() == Some(outcome));
        Told { entry, own }
    });
    let settled = settled.collect();
    let steps = run.open().into_iter().map(|idx| run.entry(idx)).filter(|entry| entry.kind == EntryKind::Step);
    let retry = steps.filter(|entry| matches!(entry.status, EntryStatus::Backoff | EntryStatus::Runnable));
    let retry = retry.map(|entry| Retry {
        id: entry.id.clone(),
        attempt: entry.failures.saturating_add(1),
        due_in: match (entry.status, entry.due_at) {
            (EntryStatus::Backoff, Some(due)) => due.since(now),
            _ => Span(0),
        },
        error: entry.last_error.clone(),
        details: entry.details.clone(),
    });
    let retry = retry.collect();
    Ok(News { settled, retry, told: turn.shown, stop: None })
}

/// An invocation has been open for a while: that is written, so that its handler is waited for after a restart. Refused
/// when it is not its run's current one.
pub(super) fn note(draft: &mut Draft<'_>, token: Token) -> Part<Reply> {
    current(draft, token)?;
    let head = &mut draft.run(token.run)?.head;
    head.open_token = Some(token);
    head.start_by = None;
    Ok(Reply::Done)
}

/// Shares an entry of a decision with whoever is told of it.
pub(super) fn shared(entry: &Entry) -> Arc<Entry> {
    Arc::new(entry.clone())
}
