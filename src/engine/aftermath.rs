//! What follows from a run's bad end, in the same transition: the function that its author wrote for that case is
//! started, and whoever follows such events is told.

use super::draft::{Draft, Part};
use super::ingest::accept_all;
use super::run_draft::RunDraft;
use super::start::{Birth, caused_id, create};
use crate::model::{EventDraft, Key, Labels, OWN_EVENTS, Outcome, Payload, RunId, RunStatus, Text, TriggerKind};

/// Starts what is to be started after a run failed, and tells of a run that failed or was cancelled.
pub(super) fn follow(draft: &mut Draft<'_>, id: RunId, status: RunStatus, outcome: &Outcome) -> Part<()> {
    let word = match status {
        RunStatus::Failed => "failed",
        RunStatus::Cancelled => "cancelled",
        _ => return Ok(()),
    };
    let error = outcome.payload().cloned().unwrap_or_else(Payload::null);
    if status == RunStatus::Failed {
        handle(draft, id, &error)?;
    }
    tell(draft, id, &format!("{OWN_EVENTS}run.{word}").into(), &error)
}

/// Starts the function's failure handler, if its app has one. What such a handler waits for has none: that would have no end.
fn handle(draft: &mut Draft<'_>, id: RunId, error: &Payload) -> Part<()> {
    let run = draft.run(id)?;
    let (head, input) = (run.head.clone(), super::run::value_of(run.entry(0)));
    let Some(function) = draft.registry.failure_handler(&head.function) else { return Ok(()) };
    if is_awaited_by_a_handler(draft, id)? {
        return Ok(());
    }
    let facts = serde_json::json!({"kind": TriggerKind::Failure.as_str(), "run": id}).to_string();
    let birth = Birth {
        id: caused_id(id.at(), id.partition_key(), &id.to_bytes(), "$failure"),
        function,
        name: None,
        trigger: TriggerKind::Failure,
        event: None,
        parent: None,
        root: Some(head.root),
        facts: Payload::trusted(facts),
        input: report(draft, id, error, Some(&input))?,
        delay: None,
        key: None,
        tick: None,
        labels: Labels::default(),
    };
    create(draft, birth).map(drop)
}

/// Whether a failure handler waits for the run, or for one that does, and so on.
fn is_awaited_by_a_handler(draft: &mut Draft<'_>, id: RunId) -> Part<bool> {
    let mut next = draft.run(id)?.head.parent;
    while let Some(link) = next {
        let Some(run) = draft.find_run(link.run)? else { return Ok(false) };
        if run.head.trigger == TriggerKind::Failure {
            return Ok(true);
        }
        next = run.head.parent;
    }
    Ok(false)
}

/// Accepts an event of the server's own, if anyone would notice. A run that such an event started makes no other, nor do its
/// children: that would have no end.
fn tell(draft: &mut Draft<'_>, id: RunId, name: &Text, error: &Payload) -> Part<()> {
    draft.require([Key::EventName(name.clone())])?;
    let awaited = draft.event_name(name).is_some_and(|facts| !facts.paths.is_empty());
    if !awaited && draft.registry.triggered_by(name).is_empty() {
        return Ok(());
    }
    let root = draft.run(id)?.head.root;
    for run in [id, root] {
        let run = draft.find_run(run)?;
        let started_so = |run: &mut RunDraft<'_>| {
            run.head.event.is_some() && run.trigger_name().is_some_and(|name| name.starts_with(OWN_EVENTS))
        };
        if run.is_some_and(started_so) {
            return Ok(());
        }
    }
    let data = report(draft, id, error, None)?;
    accept_all(draft, &[EventDraft { name: name.clone(), data, client_id: None }], Some(id)).map(drop)
}

/// `{"run": {"id", "app", "function", "name"}, "error": …, "input"?: …}`, with the bytes of error and input.
fn report(draft: &mut Draft<'_>, id: RunId, error: &Payload, input: Option<&Payload>) -> Part<Payload> {
    let head = &draft.run(id)?.head;
    let run = serde_json::json!({
        "id": id, "app": &*head.function.app, "function": &*head.function.function, "name": head.name.as_deref(),
    });
    let mut json = format!(r#"{{"run":{run},"error":"#).into_bytes();
    json.extend_from_slice(error.bytes());
    if let Some(input) = input {
        json.extend_from_slice(br#","input":"#);
        json.extend_from_slice(input.bytes());
    }
    json.push(b'}');
    Ok(Payload::trusted(json))
}
