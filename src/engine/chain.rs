//! Chains: a run that would go on for ever ends itself and goes on in a new one, with another input and an empty journal.
//! To everybody else the chain is one run: the new one takes over the name, the parent, the key of its object, what cancels
//! it, and the signals that nobody has consumed; and what is addressed to an older run reaches the newest.

use super::draft::{Draft, Part};
use super::start::{Birth, caused_id, create};
use super::turns::Turn;
use super::{cancel, end, object};
use crate::limits::{CONTINUE_PAUSE_MS, MARK_MS};
use crate::model::{
    Entry, EntryKind, EventId, Key, MarkKey, MarkScope, Origin, Outcome, Payload, Previous, RunId, RunStatus, Signal,
    Span, StateKey, StateRow, Text,
};

/// The run of a chain that what is addressed to one of its runs is for: the newest.
pub(super) fn newest(draft: &mut Draft<'_>, id: RunId) -> Part<RunId> {
    let head = &draft.run(id)?.head;
    if head.status != RunStatus::Continued {
        return Ok(id);
    }
    let first = head.chain.unwrap_or(id);
    draft.require([Key::Chain(first)])?;
    Ok(draft.newest_of_chain(first).unwrap_or(id))
}

/// The run to which a message that is addressed to an older run of the chain was delivered before, if it was. Otherwise it is
/// remembered from now on, for a day, that it went to the newest.
pub(super) fn delivered_to(draft: &mut Draft<'_>, addressed: RunId, newest: RunId, id: Text) -> Part<Option<RunId>> {
    #[derive(serde::Deserialize)]
    struct Mark {
        run: RunId,
    }
    if addressed == newest {
        return Ok(None);
    }
    let first = draft.run(newest)?.head.chain.unwrap_or(newest);
    let mark = MarkKey { scope: MarkScope::Signal(first), key: id };
    draft.require([Key::Mark(mark.clone())])?;
    let key = StateKey::Mark(mark);
    let now = draft.now();
    let row = draft.state(&key).filter(|row| row.wake_at.is_none_or(|expiry| expiry > now));
    if let Some(mark) = row.and_then(|row| row.value.read::<Mark>().ok()) {
        return Ok(Some(mark.run));
    }
    let wake_at = Some(now.after(Span(MARK_MS)));
    let value = Payload::trusted(format!(r#"{{"format":1,"run":"{newest}"}}"#));
    draft.put_state(StateRow { key, wake_at, value });
    Ok(None)
}

/// The handler wants to go on in a new run.
pub(super) fn continue_as_new(draft: &mut Draft<'_>, turn: &Turn, seen: u32, input: &Payload) -> Part<()> {
    let id = turn.token.run;
    let run = draft.run(id)?;
    if run.settled_after(seen).iter().any(|entry| would_be_lost(entry)) {
        // It decided without knowing that; with it, it may decide otherwise.
        run.make_ready();
        return Ok(());
    }
    if run.find(cancel::CANCEL_ID).is_some() {
        // Like one that returns it is done with what it did: there is nothing to undo.
        return cancel::force(draft, id);
    }
    go_on(draft, id, input)
}

/// Whether nobody would hear of an outcome any more: it came from outside and is for this run alone.
fn would_be_lost(entry: &Entry) -> bool {
    matches!(entry.kind, EntryKind::WaitSignal | EntryKind::WaitEvent | EntryKind::Cancel)
}

fn go_on(draft: &mut Draft<'_>, id: RunId, input: &Payload) -> Part<()> {
    let now = draft.now();
    let born_seq = last_event(draft, id)?;
    let run = draft.run(id)?;
    let head = run.head.clone();
    let facts = run.trigger_facts();
    let idle = run.len() == 1 && now.since(head.started_at).0 < CONTINUE_PAUSE_MS;
    let listened = run.waits.values().filter(|wait| cancel::is_cancellation(wait.idx)).map(|wait| wait.after_seq).min();
    let moved: Vec<Signal> = run.signals().filter(|signal| is_moved(signal)).cloned().collect();
    let next = caused_id(now, id.partition_key(), &id.to_bytes(), "$continue");
    let outcome = Payload::trusted(format!(r#"{{"run":"{next}"}}"#));
    object::hand_over(draft, id, next)?;
    end::end(draft, id, RunStatus::Continued, Outcome::Ok(outcome))?;
    create(
        draft,
        Birth {
            id: next,
            function: head.function,
            name: head.name,
            trigger: head.trigger,
            event: head.event,
            parent: head.parent,
            root: Some(head.root),
            facts,
            input: input.clone(),
            // A loop that does nothing is slowed down, and not a busy server.
            delay: idle.then_some(Span(CONTINUE_PAUSE_MS)),
            key: head.key,
            tick: head.tick,
            labels: head.labels,
        },
    )?;
    if let Some(link) = head.parent
        && let Some(parent) = draft.find_run(link.run)?
        && !parent.head.status.is_terminal()
        && !parent.entry(link.idx).is_settled()
    {
        parent.entry_mut(link.idx).child = Some(next);
    }
    let run = draft.run(next)?;
    run.head.previous = Some(Previous { run: id, origin: Origin::Continue });
    run.head.chain = Some(head.chain.unwrap_or(id));
    run.head.born_seq = born_seq;
    run.head.value = head.value;
    if let Some(after_seq) = listened {
        run.listen_from(after_seq);
    }
    moved.into_iter().for_each(|signal| run.add_signal(signal));
    Ok(())
}

/// Whether a signal goes with its sender's intention to the new run: nobody has consumed it, and it is for no entry of the
/// old one.
fn is_moved(signal: &Signal) -> bool {
    signal.consumed_by.is_none() && !signal.name.starts_with(super::run::AWAKEABLE)
}

/// The number of the newest event that a wait of the run has settled with, or else of the newest when the run was born:
/// events after it are news to the new run.
fn last_event(draft: &mut Draft<'_>, id: RunId) -> Part<i64> {
    #[derive(serde::Deserialize)]
    struct Taken {
        id: EventId,
    }
    let run = draft.run(id)?;
    let born_seq = run.head.born_seq;
    let taken: Vec<EventId> = run
        .settled_after(0)
        .iter()
        .filter(|entry| entry.kind == EntryKind::WaitEvent)
        .filter_map(|entry| match &entry.outcome {
            Some(Outcome::Ok(event)) => event.read::<Taken>().ok().map(|taken| taken.id),
            _ => None,
        })
        .collect();
    // Ids begin with the time.
    let latest = taken.iter().map(|id| id.at()).max();
    let taken: Vec<EventId> = taken.into_iter().filter(|id| Some(id.at()) == latest).collect();
    draft.require(taken.iter().copied().map(Key::Event))?;
    Ok(taken.into_iter().filter_map(|id| draft.event(id)).map(|event| event.seq).fold(born_seq, i64::max))
}
