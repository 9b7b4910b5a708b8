//! What a run sends: child runs, awaited or detached, and events. Each exists from the same transition as its entry.

use super::draft::{Draft, Part};
use super::ingest::accept_all;
use super::object;
use super::start::{Birth, caused_id, create};
use super::turns::Turn;
use super::wait::{add, due_after};
use crate::model::{
    EntryId, EntryKind, EventDraft, Failure, FunctionId, InvokeOp, ObjectMode, Outcome, ParentLink, Payload, RunId,
    Text, TriggerKind, names,
};

/// Starts a child run. An awaited one settles the entry when it ends; a detached one settles it at once with its id.
pub(super) fn invoke(draft: &mut Draft<'_>, turn: &Turn, op: &InvokeOp) -> Part<()> {
    let parent = turn.token.run;
    let head = draft.run(parent)?.head.clone();
    let app = op.app.clone().unwrap_or(head.function.app.clone());
    let function = FunctionId::new(app, op.function.clone());
    let due = if op.detached { None } else { due_after(draft.now(), op.timeout) };
    let idx = add(draft, turn, EntryKind::Invoke, &op.id, op.name.clone(), &op.params, due)?;
    let held = if op.detached { Vec::new() } else { object::held(draft.run(parent)?) };
    if let Some(failure) = impossible(draft, op, &function, parent, &held) {
        return draft.settle(parent, idx, Outcome::Err(failure.payload()));
    }
    let mut facts = serde_json::json!({"kind": "invoke", "parent": {"run": parent, "entry": &*op.id}});
    if !held.is_empty() {
        facts["held"] = serde_json::json!(held);
    }
    let child = create(
        draft,
        Birth {
            id: caused_id(parent.at(), parent.partition_key(), &parent.to_bytes(), &op.id),
            function,
            name: None,
            trigger: TriggerKind::Invoke,
            event: None,
            parent: (!op.detached).then_some(ParentLink { run: parent, idx }),
            root: Some(head.root),
            facts: Payload::trusted(facts.to_string()),
            input: op.input.clone(),
            delay: None,
            key: op.key.clone(),
            tick: None,
            labels: op.labels.clone(),
        },
    )?;
    if op.detached {
        let ids = Payload::trusted(serde_json::json!({ "ids": [child] }).to_string());
        return draft.settle(parent, idx, Outcome::Ok(ids));
    }
    draft.run(parent)?.entry_mut(idx).child = Some(child);
    Ok(())
}

/// Why there can be no such child, if so.
fn impossible(
    draft: &Draft<'_>,
    op: &InvokeOp,
    function: &FunctionId,
    parent: RunId,
    held: &[object::Held],
) -> Option<Failure> {
    let error = |name, message| Failure { retryable: Some(false), ..Failure::new(name, message) };
    let Some(config) = draft.registry.function(function) else {
        let message = format!("no registered app has the function `{function}`; register its app, or correct the name");
        return Some(error(names::UNKNOWN_FUNCTION, message));
    };
    if let Some(why) = object::key_problem(config.mode, function, op.key.as_ref()) {
        return Some(error(names::INVALID_KEY, why));
    }
    let waits = config.mode == Some(ObjectMode::Exclusive) && !op.detached;
    if waits { object::deadlock(held, parent, function, op.key.as_ref()) } else { None }
}

/// Sends events; the entry settles at once with their ids.
pub(super) fn send(
    draft: &mut Draft<'_>,
    turn: &Turn,
    id: &EntryId,
    name: Option<Text>,
    params: &Payload,
    events: &[EventDraft],
) -> Part<()> {
    let run = turn.token.run;
    let accepted = accept_all(draft, events, Some(run))?;
    let idx = add(draft, turn, EntryKind::Send, id, name, params, None)?;
    let ids: Vec<String> = accepted.iter().map(|event| event.id.to_string()).collect();
    let ids = Payload::trusted(serde_json::json!({ "ids": ids }).to_string());
    draft.settle(run, idx, Outcome::Ok(ids))
}
