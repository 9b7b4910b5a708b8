//! Events come in: they are recorded, they start runs of the functions they trigger, and they are delivered to open
//! waits, one run a command. What is left to deliver is an entity of its own, so a crash in between forgets nothing.

use std::cell::OnceCell;

use super::cancel::{cancel, is_cancellation};
use super::command::{AcceptedEvent, Command, Reply};
use super::draft::{Draft, Part};
use super::filter::{Variables, event_index, event_view};
use super::start::{Birth, caused_id, create};
use crate::limits::MARK_MS;
use crate::model::{
    Event, EventDraft, EventId, FunctionId, Key, Labels, MarkKey, MarkScope, Outcome, Payload, RunId, Span, StateKey,
    StateRow, Timestamp, Trigger, TriggerKind, Verdict, Wait,
};

/// Accepts events from outside: all of them, in order.
pub(super) fn ingest(draft: &mut Draft<'_>, events: &[EventDraft]) -> Part<Reply> {
    accept_all(draft, events, None).map(Reply::Accepted)
}

/// Accepts events, from outside or from a run.
pub(super) fn accept_all(
    draft: &mut Draft<'_>,
    events: &[EventDraft],
    source: Option<RunId>,
) -> Part<Vec<AcceptedEvent>> {
    draft.require(events.iter().flat_map(|event| {
        let mark = event.client_id.clone().map(|key| Key::Mark(MarkKey { scope: MarkScope::Event, key }));
        [Some(Key::EventName(event.name.clone())), mark].into_iter().flatten()
    }))?;
    events.iter().map(|event| accept(draft, event, source)).collect()
}

fn accept(draft: &mut Draft<'_>, incoming: &EventDraft, source: Option<RunId>) -> Part<AcceptedEvent> {
    let mark = incoming.client_id.clone().map(|key| StateKey::Mark(MarkKey { scope: MarkScope::Event, key }));
    if let Some(row) = mark.as_ref().and_then(|mark| draft.state(mark))
        && row.wake_at.is_none_or(|expiry| expiry > draft.now())
        && let Some(id) = marked_event(row)
    {
        return Ok(AcceptedEvent { id, fresh: false, runs: Vec::new() });
    }
    let chance = draft.chance_bits();
    let partition = source.map_or((chance & 0xffff) as u16, RunId::partition_key);
    let id = EventId::new(draft.now(), chance, partition);
    if let Some(key) = mark {
        let wake_at = Some(draft.now().after(Span(MARK_MS)));
        draft.put_state(StateRow {
            key,
            wake_at,
            value: Payload::trusted(format!(r#"{{"format":1,"event":"{id}"}}"#)),
        });
    }
    let event = Event {
        seq: draft.next_event_seq(),
        id,
        name: incoming.name.clone(),
        data: incoming.data.clone(),
        at: draft.now(),
        client_id: incoming.client_id.clone(),
        source,
    };
    draft.add_event(event.clone());
    let runs = trigger(draft, &event)?;
    let awaited = draft.event_name(&event.name).is_some_and(|facts| !facts.paths.is_empty());
    if awaited || draft.opened_wait_for(&event.name) {
        let key = StateKey::Fanout(id);
        draft.put_state(StateRow { key, wake_at: Some(Timestamp::ZERO), value: Payload::trusted(r#"{"format":1}"#) });
        draft.follow_up(Command::Fanout { event: id, after: None });
    }
    Ok(AcceptedEvent { id, fresh: true, runs })
}

fn marked_event(row: &StateRow) -> Option<EventId> {
    #[derive(serde::Deserialize)]
    struct Mark {
        event: EventId,
    }
    row.value.read::<Mark>().ok().map(|mark| mark.event)
}

/// Starts the functions of which one trigger says yes; of the others it keeps why the first said no.
fn trigger(draft: &mut Draft<'_>, event: &Event) -> Part<Vec<(FunctionId, RunId)>> {
    let registry = draft.registry;
    let view = OnceCell::new();
    let mut started: Vec<(FunctionId, RunId)> = Vec::new();
    let mut refused: Vec<(FunctionId, Verdict)> = Vec::new();
    for (function, trigger) in registry.triggered_by(&event.name) {
        if started.iter().any(|(other, _)| other == function) {
            continue;
        }
        match verdict(draft, trigger, event, &view) {
            None => {
                refused.retain(|(other, _)| other != function);
                started.push((function.clone(), start_by_event(draft, function, event)?));
            }
            Some(_) if refused.iter().any(|(other, _)| other == function) => {}
            Some(verdict) => refused.push((function.clone(), verdict)),
        }
    }
    for (function, verdict) in refused {
        draft.add_verdict(event.id, function, verdict);
    }
    Ok(started)
}

/// Why a trigger says no. The event is parsed for the first filter that looks at it.
fn verdict(draft: &Draft<'_>, trigger: &Trigger, event: &Event, view: &OnceCell<serde_json::Value>) -> Option<Verdict> {
    let source = trigger.filter.as_ref()?;
    let view = view.get_or_init(|| event_view(&event.name, &event.id.to_string(), &event.data));
    let variables = Variables { event: view, awaited: None };
    match draft.filters().compile(source).and_then(|filter| filter.matches(variables)) {
        Ok(true) => None,
        Ok(false) => Some(Verdict::Filtered),
        Err(error) => Some(Verdict::FilterFailed(error.to_string())),
    }
}

fn start_by_event(draft: &mut Draft<'_>, function: &FunctionId, event: &Event) -> Part<RunId> {
    let cause = event.id.to_bytes();
    create(
        draft,
        Birth {
            id: caused_id(event.id.at(), event.id.partition_key(), &cause, &function.to_string()),
            function: function.clone(),
            name: None,
            trigger: TriggerKind::Event,
            event: Some(event.id),
            parent: None,
            root: None,
            facts: event_facts(event),
            input: event.data.clone(),
            delay: None,
            key: None,
            tick: None,
            labels: Labels::default(),
        },
    )
}

/// What entry 0 says of the event that started the run, besides its data.
fn event_facts(event: &Event) -> Payload {
    let facts = serde_json::json!({
        "kind": "event", "id": event.id, "name": event.name, "at": event.at,
    });
    Payload::trusted(facts.to_string())
}

/// Delivers an event to the next open wait that may match it, and comes back for the one after.
pub(super) fn fanout(draft: &mut Draft<'_>, id: EventId, after: Option<(i64, u32)>) -> Part<Reply> {
    draft.require([Key::Event(id)])?;
    let Some(event) = draft.event(id) else {
        draft.delete_state(StateKey::Fanout(id));
        return Ok(Reply::Done);
    };
    draft.require([Key::EventName(event.name.clone())])?;
    let view = draft.filters().view(&event);
    let paths =
        draft.event_name(&event.name).map(|facts| facts.paths.keys().cloned().collect::<Vec<_>>()).unwrap_or_default();
    let indexes: Vec<_> = paths.iter().filter_map(|path| event_index(&event, &view, path)).collect();
    draft.require(indexes.iter().cloned().map(Key::Waits))?;
    let next = indexes
        .iter()
        .filter_map(|index| draft.waits_after(index, after).find(|wait| wait.after_seq < event.seq))
        .min_by_key(|wait| (wait.run_no, wait.idx));
    let Some(wait) = next else {
        draft.filters().forget_view();
        draft.delete_state(StateKey::Fanout(id));
        return Ok(Reply::Done);
    };
    deliver(draft, wait, &event, &view)?;
    draft.follow_up(Command::Fanout { event: id, after: Some((wait.run_no, wait.idx)) });
    Ok(Reply::Done)
}

/// Settles a wait with an event if its filter says yes. Says whether it did.
pub(super) fn deliver(draft: &mut Draft<'_>, wait: &Wait, event: &Event, view: &serde_json::Value) -> Part<bool> {
    let trigger = draft.run(wait.run)?.trigger_view();
    let matched = match wait.filter.as_ref().and_then(|filter| filter.read::<String>().ok()) {
        None => true,
        // A filter that cannot be evaluated on this event does not match it: another event may.
        Some(source) => draft
            .filters()
            .compile(&source.into())
            .and_then(|filter| filter.matches(Variables { event: &trigger, awaited: Some(view) }))
            .unwrap_or(false),
    };
    if matched && is_cancellation(wait.idx) {
        cancel(draft, wait.run)?;
        draft.run(wait.run)?.close_wait(wait.idx);
    } else if matched {
        draft.settle(wait.run, wait.idx, Outcome::Ok(event_payload(event)))?;
    }
    Ok(matched)
}

/// An event as a wait settles with it: `{"id","name","data","at"}`, with the data's own bytes.
fn event_payload(event: &Event) -> Payload {
    let name = serde_json::Value::from(&*event.name);
    let mut json = format!(r#"{{"id":"{}","name":{name},"data":"#, event.id).into_bytes();
    json.extend_from_slice(event.data.bytes());
    json.extend_from_slice(format!(r#","at":"{}"}}"#, event.at).as_bytes());
    Payload::trusted(json)
}
