//! An invocation came back: its ops are applied in order, atomically, and then the run ends, goes on, or waits.

use super::command::Reply;
use super::draft::{Draft, Part};
use super::run_draft::RunDraft;
use super::turns::Turn;
use super::{cancel, chain, checkpoint, end, fetch, hold, invoke, object, publish, saga, step, update, wait};
use crate::limits::{ENTRIES_MAX, JOURNAL_BYTES_MAX, LOSSES_MAX, RETRY_AFTER_MS_MAX};
use crate::model::{
    Answer, Attempt, Awaiting, EntryKind, EntryStatus, Failure, HandlerOp, HoldKind, Mismatch, Note, Outcome, Payload,
    Problem, ProblemCode, RunHead, RunId, RunStatus, Span, Terminal, Timestamp, Token, Undelivered, names,
};

/// Takes what came of an invocation. A token that is not the run's current one changes nothing.
pub(super) fn returned(draft: &mut Draft<'_>, token: Token, answer: &Answer, started_at: Timestamp) -> Part<Reply> {
    let turn = &checkpoint::current(draft, token)?;
    if !matches!(answer, Answer::Undelivered(Undelivered::NotReached { .. })) {
        taken_up(&mut draft.run(token.run)?.head);
    }
    match answer {
        Answer::Ops { seen, ops, end, awaiting } => ops_answer(draft, turn, *seen, ops, end.as_ref(), awaiting)?,
        Answer::Mismatch(mismatch) => contradiction(draft, turn, mismatch)?,
        Answer::Problem(problem) => refused_by_handler(draft, turn, problem, started_at)?,
        Answer::Undelivered(Undelivered::Lost { reason }) => lost(draft, turn, reason, started_at)?,
        // The turn ends and the deployment's lane waits: nothing about the run is written.
        Answer::Undelivered(Undelivered::NotReached { .. }) => {}
    }
    publish::hush(draft, token.run)?;
    Ok(Reply::Status(draft.run(token.run)?.head.status))
}

/// A handler has had the run, and its invocation is over.
fn taken_up(head: &mut RunHead) {
    head.open_token = None;
    head.start_by = None;
}

fn ops_answer(
    draft: &mut Draft<'_>,
    turn: &Turn,
    seen: u32,
    ops: &[HandlerOp],
    end: Option<&Terminal>,
    awaiting: &Awaiting,
) -> Part<()> {
    let run = turn.token.run;
    if seen > turn.shown {
        let detail = format!("the handler says it has seen {seen} outcomes, and was given {}", turn.shown);
        let failure = Failure::new(names::PROTOCOL, detail);
        return failed(draft, turn, &failure, failure.payload(), turn.started_at, true);
    }
    if apply_ops(draft, turn, ops)? == Applied::Over {
        return Ok(());
    }
    if saga::is_news(draft.run(run)?, seen) {
        // Whatever it came to, it did not know that its run had failed meanwhile.
        draft.run(run)?.make_ready();
        return Ok(());
    }
    match end {
        Some(Terminal::Done(_) | Terminal::ContinueAsNew(_)) if saga::has_failed(draft.run(run)?) => {
            let detail = "the handler did not end with `fail` although its run had failed";
            let failure = Failure::new(names::PROTOCOL, detail);
            failed(draft, turn, &failure, failure.payload(), turn.started_at, true)
        }
        Some(Terminal::Done(value)) => end::end(draft, run, RunStatus::Completed, Outcome::Ok(value.clone())),
        Some(Terminal::ContinueAsNew(input)) => chain::continue_as_new(draft, turn, seen, input),
        Some(Terminal::Fail(failure, raw)) => handler_failed(draft, turn, failure, raw),
        Some(Terminal::Yield) => yielded(draft, turn, !ops.iter().any(HandlerOp::is_progress)),
        None => suspend(draft, turn, seen, awaiting),
    }
}

/// Whether a run goes on after a handler's ops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Applied {
    /// It does.
    On,
    /// It does not: the ops ended it, parked it, or contradict its journal.
    Over,
}

/// Applies what a handler did, all of it or none.
pub(super) fn apply_ops(draft: &mut Draft<'_>, turn: &Turn, ops: &[HandlerOp]) -> Part<Applied> {
    let run = turn.token.run;
    let mut refused = None;
    for op in ops {
        let run = draft.run(run)?;
        let existing = op.id().and_then(|id| run.find(id));
        if let (Some(idx), Some(id), Some(code)) = (existing, op.id(), op.kind()) {
            let journal = run.entry(idx).kind;
            if journal != code {
                let (journal, code) = (journal.to_string(), code.to_string());
                contradiction(draft, turn, &Mismatch { id: id.clone(), journal, code })?;
                return Ok(Applied::Over);
            }
        }
        if let Some(id) = op.id().filter(|id| saga::is_uncalled_for(run, id)) {
            let (journal, code) = ("nothing to undo".to_owned(), "a compensation".to_owned());
            contradiction(draft, turn, &Mismatch { id: id.clone(), journal, code })?;
            return Ok(Applied::Over);
        }
        if let HandlerOp::State(op) = op {
            if let Some(detail) = object::write_problem(run, op) {
                not_allowed(draft, turn, detail)?;
                return Ok(Applied::Over);
            }
            // After a write that is not kept, none is: what else the handler did stands all the same.
            if existing.is_none() && refused.is_none() {
                refused = object::write(draft, turn, op)?;
            }
            continue;
        }
        if let HandlerOp::Publish(op) = op {
            if let Some(detail) = publish::publish(draft, turn, op)? {
                not_allowed(draft, turn, detail)?;
                return Ok(Applied::Over);
            }
            continue;
        }
        apply_op(draft, turn, existing, op)?;
    }
    if ops.iter().any(HandlerOp::is_progress) {
        progress(&mut draft.run(run)?.head);
    }
    let refused = match refused {
        None => over_limits(draft, run)?,
        refused => refused,
    };
    if let Some(failure) = refused {
        saga::fail(draft, run, &failure.payload(), turn.deployment)?;
    }
    // The ops may have ended the run, or parked it.
    Ok(if draft.run(run)?.head.status == RunStatus::Ready { Applied::On } else { Applied::Over })
}

/// The handler's host ends the invocation. One that has done nothing at all would do so for ever.
fn yielded(draft: &mut Draft<'_>, turn: &Turn, idle: bool) -> Part<()> {
    let run = draft.run(turn.token.run)?;
    if idle && turn.taken == 0 && run.last_seq() == turn.shown {
        let detail = "the handler yielded without having done anything; give its host more time for a request";
        let failure = Failure::new(names::PROTOCOL, detail);
        return failed(draft, turn, &failure, failure.payload(), turn.started_at, true);
    }
    run.make_ready();
    Ok(())
}

fn apply_op(draft: &mut Draft<'_>, turn: &Turn, existing: Option<u32>, op: &HandlerOp) -> Part<()> {
    match op {
        HandlerOp::Note(Note::Status(value)) => {
            draft.run(turn.token.run)?.head.value = Some(value.clone());
            Ok(())
        }
        HandlerOp::Note(Note::Labels { tags, attributes }) => {
            let labels = &mut draft.run(turn.token.run)?.head.labels;
            labels.tags = tags.clone().unwrap_or_else(|| std::mem::take(&mut labels.tags));
            labels.attributes = attributes.clone().unwrap_or_else(|| std::mem::take(&mut labels.attributes));
            Ok(())
        }
        HandlerOp::Note(Note::Reply { update, reply }) => update::reply(draft, turn.token.run, update, reply),
        HandlerOp::Step(report) => step::reported(draft, turn, existing, report),
        HandlerOp::Heartbeat(beat) => step::beat(draft, turn, existing, beat),
        HandlerOp::State(_) | HandlerOp::Publish(_) => Ok(()),
        // Everything else was created when it was first asked for, and lives on its own since.
        _ if existing.is_some() => Ok(()),
        HandlerOp::Sleep { id, name, params, length, until } => {
            wait::sleep(draft, turn, id, name.clone(), params, *length, *until)
        }
        HandlerOp::WaitSignal(op) => wait::wait_signal(draft, turn, op),
        HandlerOp::WaitEvent(op) => wait::wait_event(draft, turn, op),
        HandlerOp::Invoke(op) => invoke::invoke(draft, turn, op),
        HandlerOp::Fetch(op) => fetch::fetch(draft, turn, op),
        HandlerOp::Send { id, name, params, events } => invoke::send(draft, turn, id, name.clone(), params, events),
        HandlerOp::Marker { id, name, params } => {
            let idx = wait::add(draft, turn, EntryKind::Marker, id, name.clone(), params, None)?;
            draft.settle(turn.token.run, idx, Outcome::Ok(Payload::null()))
        }
    }
}

/// The handler did what it may not do. Nothing of its report counts.
fn not_allowed(draft: &mut Draft<'_>, turn: &Turn, detail: String) -> Part<()> {
    draft.reset();
    taken_up(&mut draft.run(turn.token.run)?.head);
    let failure = Failure::new(names::PROTOCOL, detail);
    failed(draft, turn, &failure, failure.payload(), turn.started_at, true)
}

fn progress(head: &mut RunHead) {
    head.failures = 0;
    head.losses = 0;
    head.last_error = None;
    head.mismatch_since = None;
}

fn over_limits(draft: &mut Draft<'_>, run: RunId) -> Part<Option<Failure>> {
    let run = draft.run(run)?;
    // A run that has failed, for this reason or another, has room to put things right.
    let room = if saga::has_failed(run) { 2 } else { 1 };
    if run.len() > room * ENTRIES_MAX + 1 {
        let message =
            format!("the run made more than {ENTRIES_MAX} entries; split the work into child runs (invoke or start)");
        return Ok(Some(Failure::new(names::TOO_MANY_ENTRIES, message)));
    }
    if run.bytes() > room as usize * JOURNAL_BYTES_MAX {
        let message = format!(
            "the run's journal has {} bytes, at most {JOURNAL_BYTES_MAX} are allowed; keep large values elsewhere and record references, or split the work into child runs",
            run.bytes()
        );
        return Ok(Some(Failure::new(names::JOURNAL_TOO_LARGE, message)));
    }
    Ok(None)
}

/// The handler can go no further for now. If more has settled than it has seen, it goes on at once.
fn suspend(draft: &mut Draft<'_>, turn: &Turn, seen: u32, awaiting: &Awaiting) -> Part<()> {
    let run = draft.run(turn.token.run)?;
    let stirred = || run.open().into_iter().any(|idx| run.entry(idx).status == EntryStatus::Runnable);
    if run.last_seq() > seen || turn.stirred && stirred() {
        progress(&mut run.head);
        run.make_ready();
        return Ok(());
    }
    let waits = |status: EntryStatus| matches!(status, EntryStatus::Waiting | EntryStatus::Backoff);
    if run.open().into_iter().any(|idx| waits(run.entry(idx).status)) {
        progress(&mut run.head);
        run.head.awaiting = awaiting.clone();
        run.head.seen = seen;
        run.rest(RunStatus::Suspended);
        return Ok(());
    }
    let detail = "the handler answered with nothing finished, nothing pending and no outcome; \
                  an answer must bring the run forward or say what it waits for";
    let failure = Failure::new(names::PROTOCOL, detail);
    failed(draft, turn, &failure, failure.payload(), turn.started_at, true)
}

fn handler_failed(draft: &mut Draft<'_>, turn: &Turn, failure: &Failure, raw: &Payload) -> Part<()> {
    let run = draft.run(turn.token.run)?;
    if saga::has_failed(run) && !saga::owes(run) {
        return saga::fail(draft, turn.token.run, raw, turn.deployment);
    }
    let cancelled = run.find(cancel::CANCEL_ID).is_some() && failure.name == names::CANCELLED;
    if cancelled && !saga::has_failed(run) {
        return saga::cancelled(draft, turn.token.run, raw, turn.deployment);
    }
    failed(draft, turn, failure, raw.clone(), turn.started_at, failure.retryable.unwrap_or(true))
}

/// An invocation failed: the function's policy says whether there is another.
fn failed(
    draft: &mut Draft<'_>,
    turn: &Turn,
    failure: &Failure,
    raw: Payload,
    started_at: Timestamp,
    retryable: bool,
) -> Part<()> {
    let run = turn.token.run;
    let now = draft.now();
    let chance = draft.chance();
    let head = draft.run(run)?.head.clone();
    let policy = draft.policy(&head, turn);
    let failures = head.failures + 1;
    draft.add_attempt(Attempt {
        run_no: head.run_no,
        idx: None,
        number: failures,
        started_at,
        ended_at: now,
        error: raw.clone(),
    });
    let retryable = retryable && !policy.non_retryable.contains(&failure.name);
    if !retryable || failures >= policy.attempts() {
        return saga::fail(draft, run, &raw, turn.deployment);
    }
    let pause =
        failure.retry_after.map_or(policy.pause(failures, chance), |after| Span(after.0.min(RETRY_AFTER_MS_MAX)));
    let run = draft.run(run)?;
    run.head.failures = failures;
    run.head.seen = turn.shown;
    run.head.last_error = Some(raw);
    back_off(run, now.after(pause));
    Ok(())
}

fn back_off(run: &mut RunDraft<'_>, until: Timestamp) {
    run.head.status = RunStatus::Backoff;
    run.head.wake_at = Some(run.own_timer().map_or(until, |by| by.min(until)));
    run.head.awaiting = Vec::new();
}

fn lost(draft: &mut Draft<'_>, turn: &Turn, reason: &str, started_at: Timestamp) -> Part<()> {
    let run = turn.token.run;
    let now = draft.now();
    let chance = draft.chance();
    let error = Failure::new(names::LOST, reason).payload();
    let draft_run = draft.run(run)?;
    let losses = draft_run.head.losses + 1;
    let last = draft_run.entry(draft_run.len() - 1).id.clone();
    let run_no = draft_run.head.run_no;
    draft.add_attempt(Attempt { run_no, idx: None, number: losses, started_at, ended_at: now, error: error.clone() });
    if losses >= LOSSES_MAX {
        let detail = format!(
            "the handler dies at or after entry `{last}`: {losses} invocations in a row were lost in flight, the last with: {reason}. \
             Mend the handler, then resume the run"
        );
        return hold::hold(draft, run, HoldKind::Lost, detail, turn.deployment);
    }
    let pause = crate::model::RetryPolicy::default().pause(losses, chance);
    let draft_run = draft.run(run)?;
    draft_run.head.losses = losses;
    draft_run.head.last_error = Some(error);
    back_off(draft_run, now.after(pause));
    Ok(())
}

fn refused_by_handler(draft: &mut Draft<'_>, turn: &Turn, problem: &Problem, started_at: Timestamp) -> Part<()> {
    let run = turn.token.run;
    let function = draft.run(run)?.head.function.clone();
    let (kind, advice) = match problem.code {
        ProblemCode::Signature => (
            HoldKind::Signature,
            format!("give the server and app `{}` the same BACKSTITCH_KEY, then sync the app", function.app),
        ),
        ProblemCode::RawBodyUnavailable => {
            (HoldKind::Signature, format!("mend how app `{}` is mounted, then sync the app", function.app))
        }
        ProblemCode::UnknownFunction => {
            (HoldKind::UnknownFunction, format!("deploy `{function}` again, then sync the app; or cancel the run"))
        }
        ProblemCode::Protocol => (HoldKind::Protocol, "update the SDK or the server, then resume the run".to_owned()),
        ProblemCode::TooLarge => {
            (HoldKind::TooLarge, "keep large values elsewhere and record references; or cancel the run".to_owned())
        }
        ProblemCode::Sdk => {
            let failure = Failure::new(names::PROTOCOL, problem.detail.clone());
            return failed(draft, turn, &failure, failure.payload(), started_at, true);
        }
    };
    hold::hold(draft, run, kind, format!("{}; {advice}", problem.detail), turn.deployment)
}

/// Code and journal disagree: while another version than the writer's may still be rolling out, that heals by itself.
fn contradiction(draft: &mut Draft<'_>, turn: &Turn, mismatch: &Mismatch) -> Part<()> {
    // Ops that were applied before the contradiction came to light stay out: the answer is refused as a whole.
    draft.reset();
    let now = draft.now();
    let chance = draft.chance();
    let run = draft.run(turn.token.run)?;
    taken_up(&mut run.head);
    let writer = run.find(&mismatch.id).and_then(|idx| run.entry(idx).deployment);
    let since = run.head.mismatch_since.unwrap_or(now);
    let other_version = writer.is_some() && writer != turn.deployment;
    let sides = format!(
        "the handler contradicts the journal at `{}`: the journal has {}, the code asks for {}",
        mismatch.id, mismatch.journal, mismatch.code
    );
    if other_version && now.since(since).0 < crate::limits::MISMATCH_HEAL_MS {
        run.head.mismatch_since = Some(since);
        // Ten minutes are long for whoever watches: the reason is told from the beginning.
        run.head.last_error = Some(Failure::new(names::MISMATCH, sides).payload());
        let pause = crate::model::RetryPolicy::default().pause(1, chance);
        back_off(run, now.after(pause));
        return Ok(());
    }
    let pinned = draft.run(turn.token.run)?.head.deployment;
    let remedy = match pinned {
        // Its code will never be another.
        Some(pinned) => {
            format!("the run is pinned to {pinned}: deploy code that follows the journal and move the run there")
        }
        None => "deploy code that follows the journal, then resume the run".to_owned(),
    };
    let detail = format!("{sides}; {remedy}; or cancel the run");
    hold::hold(draft, turn.token.run, HoldKind::Mismatch, detail, turn.deployment)?;
    if let Some(hold) = &mut draft.run(turn.token.run)?.head.hold {
        hold.mismatch = Some(mismatch.clone());
    }
    Ok(())
}

/// Quarantine is what remains when deciding about a run fails inside the server.
pub(super) fn quarantine(draft: &mut Draft<'_>, run: RunId, detail: &str) -> Part<Reply> {
    if !draft.run(run)?.head.status.is_terminal() {
        let detail = format!("{detail}; this is a defect of the server, please report it");
        hold::hold(draft, run, HoldKind::Quarantine, detail, None)?;
    }
    Ok(Reply::Done)
}
