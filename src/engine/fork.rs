//! Forks: a new run that begins with settled entries of another one. What the copied entries did is not done again: no
//! event is sent and no child is started, nothing that was pending comes along, and the original stays as it is.

use std::collections::BTreeMap;

use super::command::{Fork, ForkFrom, ForkPlan, Refusal, Reply};
use super::draft::{Draft, Part};
use super::run::is_update;
use super::run_draft::RunDraft;
use super::start::{Birth, caused_id, create};
use super::{object, saga, trigger, update};
use crate::model::{Entry, EntryId, EntryKind, Origin, Outcome, Payload, Previous, RunId, RunStatus, Text};

/// Makes a run that goes on from a point of another one, or says what it would be made from.
pub(super) fn fork(draft: &mut Draft<'_>, fork: &Fork) -> Part<Reply> {
    let original = draft.run(fork.run)?;
    let edits: BTreeMap<&Text, &Outcome> = fork.edits.iter().map(|(id, outcome)| (id, outcome)).collect();
    let end = end_of_copies(original, fork, &edits)?;
    let copied: Vec<Entry> = copied(original, end, &edits);
    let plan = ForkPlan {
        copied: copied.iter().map(|entry| entry.id.clone()).collect(),
        again: (1..original.len())
            .map(|idx| original.entry(idx))
            .filter(|entry| !entry.id.starts_with('$') && entry.seq.is_none_or(|seq| seq >= end))
            .map(|entry| entry.id.clone())
            .collect(),
    };
    if fork.dry_run {
        return Ok(Reply::ForkPlan(plan));
    }
    if let Some(id) = found(draft, fork)? {
        return Ok(Reply::Forked { id, copied: plan.copied.len(), created: false });
    }
    let id = begin(draft, fork, copied, &edits)?;
    Ok(Reply::Forked { id, copied: plan.copied.len(), created: true })
}

/// The fork that the same cause made before.
fn found(draft: &mut Draft<'_>, fork: &Fork) -> Part<Option<RunId>> {
    let Some(id) = derived(fork) else { return Ok(None) };
    Ok(draft.find_run(id)?.is_some().then_some(id))
}

fn derived(fork: &Fork) -> Option<RunId> {
    fork.cause.as_ref().map(|cause| fork_id(fork.run, cause))
}

/// The id of the fork that a cause makes of a run.
pub fn fork_id(run: RunId, cause: &str) -> RunId {
    let from = [b"fork".as_slice(), &run.to_bytes()].concat();
    caused_id(run.at(), run.partition_key(), &from, cause)
}

/// The least `seq` that is not copied.
fn end_of_copies(original: &RunDraft<'_>, fork: &Fork, edits: &BTreeMap<&Text, &Outcome>) -> Part<u32> {
    // From where the run was told to stop, or to put things right, its journal is about that.
    let verdict = |entry: &&Entry| matches!(entry.kind, EntryKind::Cancel | EntryKind::Failure | EntryKind::Outcome);
    let entries = || (0..original.len()).map(|idx| original.entry(idx));
    let all = entries().filter(verdict).filter_map(|entry| entry.seq).min().unwrap_or(original.last_seq() + 1);
    let end = match &fork.from {
        ForkFrom::Entry(id) => match original.find(id).map(|idx| original.entry(idx)) {
            None => return Err(Refusal::UnknownEntry { run: fork.run, entry: id.clone() }.into()),
            Some(entry) if entry.kind == EntryKind::Input => 1,
            // What is pending lies behind everything that is settled.
            Some(entry) => entry.seq.map_or(all, |seq| seq.min(all)),
        },
        ForkFrom::Edits => {
            let last = edits.keys().filter_map(|id| original.find(id)).filter_map(|idx| original.entry(idx).seq).max();
            last.map_or(1, |last| (last + 1).min(all))
        }
        ForkFrom::Failure => {
            let status = original.head.status;
            if !matches!(status, RunStatus::Failed | RunStatus::Cancelled) {
                return Err(Refusal::NotFailed(fork.run, status).into());
            }
            let failed = |entry: &&Entry| matches!(entry.outcome, Some(Outcome::Err(_)));
            let first = entries().filter(failed).filter_map(|entry| entry.seq).min();
            // What was undone is done again.
            [first, saga::first_undone(original)].into_iter().flatten().fold(all, u32::min)
        }
    };
    for id in edits.keys() {
        check_edit(original, fork.run, id, end)?;
    }
    Ok(end)
}

fn check_edit(original: &RunDraft<'_>, run: RunId, id: &Text, end: u32) -> Part<()> {
    let refuse = |why| Err(Refusal::Edit { run, entry: id.clone(), why }.into());
    let Some(entry) = original.find(id).map(|idx| original.entry(idx)) else {
        return Err(Refusal::UnknownEntry { run, entry: id.clone() }.into());
    };
    let answers = [EntryKind::Step, EntryKind::WaitSignal, EntryKind::WaitEvent, EntryKind::Invoke, EntryKind::Fetch];
    match entry.seq {
        _ if !answers.contains(&entry.kind) => refuse("only steps, waits and calls have an outcome to edit"),
        None => refuse("it has no outcome yet"),
        Some(seq) if seq >= end => refuse("it is not copied: the fork begins at it or before it"),
        Some(_) => Ok(()),
    }
}

/// Settled entries before the end, with their edits, in order of creation.
fn copied(original: &RunDraft<'_>, end: u32, edits: &BTreeMap<&Text, &Outcome>) -> Vec<Entry> {
    let entries = (1..original.len()).map(|idx| original.entry(idx));
    let settled = entries.filter(|entry| entry.seq.is_some_and(|seq| seq < end));
    let copy = |entry: &Entry| {
        let edit = edits.get(&entry.id).map(|edit| edited(entry, edit));
        Entry { copied: true, details: None, outcome: edit.or_else(|| entry.outcome.clone()), ..entry.clone() }
    };
    settled.map(copy).collect()
}

/// What an entry settles with instead. Whoever edits an update says other data; that it is an update, and which, stays so.
fn edited(entry: &Entry, edit: &Outcome) -> Outcome {
    match edit {
        Outcome::Ok(data) if is_update(entry) => {
            let id = entry.outcome.as_ref().and_then(update::id_of).unwrap_or_else(|| "edited".into());
            Outcome::Ok(update::told(&id, data))
        }
        other => other.clone(),
    }
}

fn begin(draft: &mut Draft<'_>, fork: &Fork, copied: Vec<Entry>, edits: &BTreeMap<&EntryId, &Outcome>) -> Part<RunId> {
    let original = draft.run(fork.run)?;
    let head = original.head.clone();
    let trigger = original.entry(0).params.clone();
    // What its handler has set since, it sets again.
    let labels = trigger::labels(&trigger);
    let input = original.entry(0).outcome.as_ref().and_then(Outcome::payload).cloned();
    let Some(config) = draft.registry.function(&head.function) else {
        return Err(Refusal::UnknownFunction(head.function).into());
    };
    if let Some(why) = object::key_problem(config.mode, &head.function, head.key.as_ref()) {
        return Err(Refusal::Key(head.function, why).into());
    }
    let chance = draft.chance_bits();
    let id = derived(fork).unwrap_or_else(|| RunId::new(draft.now(), chance, fork.run.partition_key()));
    create(
        draft,
        Birth {
            id,
            function: head.function.clone(),
            name: None,
            trigger: head.trigger,
            event: head.event,
            parent: None,
            root: None,
            facts: trigger,
            input: fork.input.clone().or(input).unwrap_or_else(Payload::null),
            delay: None,
            key: head.key.clone(),
            tick: head.tick.clone(),
            labels,
        },
    )?;
    let run = draft.run(id)?;
    run.head.previous = Some(Previous { run: fork.run, origin: Origin::Fork });
    if !copied.is_empty() {
        // A handler's time begins where it began, or it would not go the way that the copies show.
        run.head.started_at = head.started_at;
        run.head.born_seq = head.born_seq;
        run.head.seed = Some(head.seed.unwrap_or(head.id));
        let first_edit =
            copied.iter().filter(|entry| edits.contains_key(&entry.id)).filter_map(|entry| entry.seq).min();
        let all = copied.iter().filter_map(|entry| entry.seq).max().unwrap_or(0);
        run.head.seen = head.seen.min(first_edit.map_or(all, |first| first - 1)).min(all);
    }
    copied.into_iter().for_each(|entry| run.copy(entry));
    Ok(id)
}
