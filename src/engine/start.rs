//! Runs begin: by REST, by an event, by another run. A run's id follows from its cause, so a repeated cause makes the
//! same run.

use super::command::{Refusal, Reply, Start};
use super::draft::{Draft, Part};
use super::run::fresh_entry;
use super::{cancel, object, trigger};
use crate::limits::MARK_MS;
use crate::model::{
    EntryKind, EntryStatus, EventId, FunctionId, Key, Labels, MarkKey, MarkScope, ObjectKey, Outcome, ParentLink,
    Payload, RunHead, RunId, RunStatus, Span, StateKey, StateRow, Text, Tick, Timestamp, TriggerKind, derive,
    digest_of, partition_key,
};

/// The id of entry 0.
pub(super) const INPUT_ID: &str = "$input";

/// Everything that a new run is made from.
pub(super) struct Birth {
    pub(super) id: RunId,
    pub(super) function: FunctionId,
    pub(super) name: Option<Text>,
    pub(super) trigger: TriggerKind,
    pub(super) event: Option<EventId>,
    pub(super) parent: Option<ParentLink>,
    pub(super) root: Option<RunId>,
    pub(super) facts: Payload,
    pub(super) input: Payload,
    pub(super) delay: Option<Span>,
    pub(super) key: Option<Text>,
    pub(super) tick: Option<Tick>,
    pub(super) labels: Labels,
}

/// Starts a run by REST, or finds the one that the same start made before: the run of the client's name, else that of
/// its key. A key that stands for a run of another name is refused, since either answer would be wrong.
pub(super) fn start(draft: &mut Draft<'_>, start: &Start) -> Part<Reply> {
    let function = &start.function;
    let mark = start
        .idempotency_key
        .as_ref()
        .map(|key| MarkKey { scope: MarkScope::Start(function.clone()), key: key.clone() });
    let keys = [
        start.name.as_ref().map(|name| Key::RunName(function.clone(), name.clone())),
        mark.as_ref().map(|mark| Key::Mark(mark.clone())),
    ];
    draft.require(keys.into_iter().flatten())?;
    let by_key = mark.as_ref().and_then(|mark| marked_run(draft, mark));
    let mut key_is_free = true;
    if let (Some(key), Some(run)) = (&start.idempotency_key, by_key)
        && let Some(existing) = draft.find_run(run)?
    {
        key_is_free = false;
        let has = existing.head.name.clone();
        if let Some(name) = start.name.as_ref().filter(|name| has.as_ref() != Some(name)) {
            let (function, name, key) = (function.clone(), name.clone(), key.clone());
            return Err(Refusal::TwoRuns { function, name, key, run, has }.into());
        }
    }
    if let Some(name) = &start.name
        && let Some(run) = draft.named(function, name)
        && let Some(reply) = same_start(draft, start, run, "run id", name)?
    {
        if let Some(mark) = mark.filter(|_| key_is_free) {
            put_mark(draft, mark, run);
        }
        return Ok(reply);
    }
    if let (Some(key), Some(run)) = (&start.idempotency_key, by_key)
        && let Some(reply) = same_start(draft, start, run, "idempotency key", key)?
    {
        return Ok(reply);
    }
    let Some(config) = draft.registry.function(function) else {
        return Err(Refusal::UnknownFunction(function.clone()).into());
    };
    if let Some(why) = object::key_problem(config.mode, function, start.key.as_ref()) {
        return Err(Refusal::Key(function.clone(), why).into());
    }
    let client_key = start.name.as_ref().or(start.idempotency_key.as_ref());
    let chance = draft.chance_bits();
    let of_object = start.key.as_ref().and_then(|key| ObjectKey::new(function, key));
    let partition = match (of_object, client_key) {
        (Some(object), _) => partition_key(&[object.line().as_bytes()]),
        (None, Some(key)) => partition_key(&[function.to_string().as_bytes(), key.as_bytes()]),
        (None, None) => (chance & 0xffff) as u16,
    };
    let id = RunId::new(draft.now(), chance, partition);
    create(
        draft,
        Birth {
            id,
            function: function.clone(),
            name: start.name.clone(),
            trigger: TriggerKind::Call,
            event: None,
            parent: None,
            root: None,
            facts: Payload::trusted(r#"{"kind":"call"}"#),
            input: start.input.clone(),
            delay: start.delay,
            key: start.key.clone(),
            tick: None,
            labels: start.labels.clone(),
        },
    )?;
    if let Some(mark) = mark {
        put_mark(draft, mark, id);
    }
    Ok(Reply::Run { id, created: true })
}

/// The run that a client's key stands for, as long as the key is remembered.
fn marked_run(draft: &Draft<'_>, mark: &MarkKey) -> Option<RunId> {
    #[derive(serde::Deserialize)]
    struct Mark {
        run: RunId,
    }
    let row = draft.state(&StateKey::Mark(mark.clone()))?;
    let remembered = row.wake_at.is_none_or(|expiry| expiry > draft.now());
    row.value.read::<Mark>().ok().filter(|_| remembered).map(|mark| mark.run)
}

/// Remembers for a day which run a client's key stands for.
fn put_mark(draft: &mut Draft<'_>, mark: MarkKey, run: RunId) {
    let wake_at = Some(draft.now().after(Span(MARK_MS)));
    let value = Payload::trusted(format!(r#"{{"format":1,"run":"{run}"}}"#));
    draft.put_state(StateRow { key: StateKey::Mark(mark), wake_at, value });
}

/// The run that the same start made before, unless it is gone: then the start begins anew.
fn same_start(draft: &mut Draft<'_>, start: &Start, run: RunId, what: &'static str, key: &Text) -> Part<Option<Reply>> {
    let Some(existing) = draft.find_run(run)? else { return Ok(None) };
    if existing.head.chain.is_some() {
        // Its input is its predecessor's, and not a client's.
        return Ok(Some(Reply::Run { id: run, created: false }));
    }
    let input = existing.entry(0).outcome.as_ref().and_then(Outcome::payload);
    let same_key = existing.head.key == start.key;
    if same_key && input.is_some_and(|input| digest_of(input) == digest_of(&start.input)) {
        return Ok(Some(Reply::Run { id: run, created: false }));
    }
    Err(Refusal::Conflict { function: start.function.clone(), what, key: key.clone(), run }.into())
}

/// The id of the run that a cause makes of a function: of an event, or of a parent's entry.
pub(super) fn caused_id(at: Timestamp, partition: u16, cause: &[u8], part: &str) -> RunId {
    RunId::new(at, derive(&[cause, part.as_bytes()]), partition)
}

/// Adds a run. Its function must be known.
pub(super) fn create(draft: &mut Draft<'_>, birth: Birth) -> Part<RunId> {
    let now = draft.now();
    let view = object::view(draft, &birth.function, birth.key.as_ref())?;
    let config = draft.registry.function(&birth.function);
    let cancel_on = config.map_or(&[][..], |config| &config.cancel_on);
    let (start_timeout, run_timeout) = config.map_or((None, None), |c| (c.start_timeout, c.run_timeout));
    let pinned = draft.registry.current(&birth.function.app).filter(|d| d.manifest.immutable).map(|d| d.id);
    let started_at = birth.delay.map_or(now, |delay| now.after(delay));
    let delayed = started_at > now;
    let head = RunHead {
        run_no: draft.next_run_no(),
        id: birth.id,
        function: birth.function,
        name: birth.name,
        status: if delayed { RunStatus::Queued } else { RunStatus::Ready },
        trigger: birth.trigger,
        event: birth.event,
        born_seq: draft.last_event_seq(),
        parent: birth.parent,
        root: birth.root.unwrap_or(birth.id),
        deployment: pinned,
        created_at: now,
        started_at,
        ended_at: None,
        failures: 0,
        losses: 0,
        last_error: None,
        awaiting: Vec::new(),
        hold: None,
        wake_at: Some(if delayed { started_at } else { Timestamp::ZERO }),
        cancel_by: None,
        mismatch_since: None,
        seen: 0,
        open_token: None,
        key: birth.key,
        queue: None,
        start_by: start_timeout.map(|timeout| started_at.after(timeout)),
        deadline: run_timeout.map(|timeout| started_at.after(timeout)),
        previous: None,
        chain: None,
        seed: None,
        value: None,
        tick: birth.tick,
        labels: birth.labels,
    };
    let facts = trigger::with_labels(birth.facts, &head.labels);
    let mut input = fresh_entry(INPUT_ID.into(), EntryKind::Input, facts, now, None);
    input.status = EntryStatus::Settled;
    input.outcome = Some(Outcome::Ok(birth.input));
    input.settled_at = Some(now);
    input.details = view;
    draft.add_run(head, input);
    if !delayed {
        object::arrive(draft, birth.id)?;
    }
    cancel::listen(draft, birth.id, cancel_on)?;
    Ok(birth.id)
}
