//! Timers and waits: what a run suspends on, and what happens when one of them is due.

use super::command::{Command, Reply};
use super::draft::{Draft, Part};
use super::filter::{event_view, wait_index};
use super::ingest::deliver;
use super::run::fresh_entry;
use super::turns::Turn;
use super::{fetch, step};
use crate::limits::{EVENT_PAGE, UNINDEXED_WAITS_MAX};
use crate::model::{
    EntryId, EntryKind, Failure, Key, Outcome, Payload, RunId, Span, Text, Timestamp, Wait, WaitEventOp, WaitSignalOp,
    names,
};

/// Appends an entry that waits, with its timer. Returns its position.
pub(super) fn add(
    draft: &mut Draft<'_>,
    turn: &Turn,
    kind: EntryKind,
    id: &EntryId,
    name: Option<Text>,
    params: &Payload,
    due_at: Option<Timestamp>,
) -> Part<u32> {
    let mut entry = fresh_entry(id.clone(), kind, params.clone(), draft.now(), turn.deployment);
    entry.name = name;
    entry.due_at = due_at;
    Ok(draft.run(turn.token.run)?.add(entry))
}

/// A timer: settles when it is due, never early.
pub(super) fn sleep(
    draft: &mut Draft<'_>,
    turn: &Turn,
    id: &EntryId,
    name: Option<Text>,
    params: &Payload,
    length: Option<Span>,
    until: Option<Timestamp>,
) -> Part<()> {
    let now = draft.now();
    let due = until.unwrap_or(now.after(length.unwrap_or_default()));
    let idx = add(draft, turn, EntryKind::Sleep, id, name, params, Some(due))?;
    if due <= now { fire(draft, turn.token.run, idx) } else { Ok(()) }
}

/// A wait for a signal: an early one is consumed at once.
pub(super) fn wait_signal(draft: &mut Draft<'_>, turn: &Turn, op: &WaitSignalOp) -> Part<()> {
    let run = turn.token.run;
    let now = draft.now();
    let due = op.timeout.map(|timeout| now.after(timeout));
    let idx = add(draft, turn, EntryKind::WaitSignal, &op.id, op.name.clone(), &op.params, due)?;
    if let Some(settle) = draft.run(run)?.consume_signal(&op.signal, idx) {
        return draft.settle(run, idx, settle);
    }
    if due.is_some_and(|due| due <= now) { fire(draft, run, idx) } else { Ok(()) }
}

/// A wait for an event: registered where an event finds it; older events of the run's time are looked through next.
pub(super) fn wait_event(draft: &mut Draft<'_>, turn: &Turn, op: &WaitEventOp) -> Part<()> {
    let run = turn.token.run;
    let now = draft.now();
    draft.require([Key::EventName(op.event.clone())])?;
    let filter = match op.filter.as_ref().map(|source| draft.filters().compile(source)).transpose() {
        Ok(filter) => filter,
        Err(error) => return refuse(draft, turn, op, names::INVALID_FILTER, error.to_string()),
    };
    let trigger = draft.run(run)?.trigger_view();
    let index = wait_index(&op.event, filter.as_deref(), &trigger);
    draft.require([Key::Waits(index.clone())])?;
    if index.path.is_empty() && draft.unindexed(&op.event) >= UNINDEXED_WAITS_MAX {
        let message = format!(
            "{UNINDEXED_WAITS_MAX} waits for `{}` have no equality to look them up by, which is the most there may be; \
             write the filter with a conjunct such as `async.data.id == event.data.id`",
            op.event
        );
        return refuse(draft, turn, op, names::TOO_MANY_WAITS, message);
    }
    if index.path.is_empty() {
        draft.add_unindexed(&op.event);
    }
    let due = op.timeout.map(|timeout| now.after(timeout));
    let idx = add(draft, turn, EntryKind::WaitEvent, &op.id, op.name.clone(), &op.params, due)?;
    let latest = draft.last_event_seq();
    let newest = draft.last_seq_of(&op.event);
    let head = &draft.run(run)?.head;
    let after_seq = if op.since_run { head.born_seq } else { latest };
    let scanned_to = (newest > after_seq).then_some(after_seq);
    let run_no = head.run_no;
    let filter = op.filter.as_ref().map(|source| Payload::trusted(serde_json::Value::from(&**source).to_string()));
    draft.run(run)?.open_wait(Wait { run, run_no, idx, index, after_seq, scanned_to, scan_end: latest, filter });
    if scanned_to.is_some() {
        let page = Key::Events { name: op.event.clone(), after: after_seq, until: latest };
        draft.follow_up(Command::Scan { run, idx, page });
    }
    if due.is_some_and(|due| due <= now) { fire(draft, run, idx) } else { Ok(()) }
}

fn refuse(draft: &mut Draft<'_>, turn: &Turn, op: &WaitEventOp, name: &str, message: String) -> Part<()> {
    let idx = add(draft, turn, EntryKind::WaitEvent, &op.id, op.name.clone(), &op.params, None)?;
    let mut failure = Failure::new(name, message);
    failure.retryable = Some(false);
    draft.settle(turn.token.run, idx, Outcome::Err(failure.payload()))
}

/// Looks through one page of older events for a wait that is still open.
pub(super) fn scan(draft: &mut Draft<'_>, run: RunId, idx: u32, page: &Key) -> Part<Reply> {
    let Key::Events { name, until, .. } = page else { return Ok(Reply::Done) };
    let Some(found) = draft.find_run(run)? else { return Ok(Reply::Done) };
    let Some(mut wait) = found.waits.get(&idx).cloned().filter(|wait| wait.scanned_to.is_some()) else {
        return Ok(Reply::Done);
    };
    draft.require([page.clone(), Key::EventName(name.clone()), Key::Waits(wait.index.clone())])?;
    let events = draft.page(page);
    for event in events {
        let view = event_view(&event.name, &event.id.to_string(), &event.data);
        if deliver(draft, &wait, event, &view)? {
            return Ok(Reply::Done);
        }
    }
    wait.scanned_to = events.last().filter(|_| events.len() == EVENT_PAGE).map(|event| event.seq);
    if let Some(after) = wait.scanned_to {
        let page = Key::Events { name: name.clone(), after, until: *until };
        draft.follow_up(Command::Scan { run, idx, page });
    }
    draft.run(run)?.change_wait(wait);
    Ok(Reply::Done)
}

/// An open entry's timer is due.
pub(super) fn fire(draft: &mut Draft<'_>, run: RunId, idx: u32) -> Part<()> {
    match draft.run(run)?.entry(idx).kind {
        EntryKind::Sleep => draft.settle(run, idx, Outcome::Ok(Payload::null())),
        EntryKind::Step => step::due(draft, run, idx),
        EntryKind::Fetch => fetch::due(draft, run, idx),
        _ => draft.settle(run, idx, Outcome::Timeout),
    }
}

/// How long a wait still lasts, for people.
pub(super) fn until(due: Option<Timestamp>) -> String {
    due.map(|due| format!(" until {due}")).unwrap_or_default()
}

/// What a length of time from now means as a timer.
pub(super) fn due_after(now: Timestamp, timeout: Option<Span>) -> Option<Timestamp> {
    timeout.map(|timeout| now.after(timeout))
}
