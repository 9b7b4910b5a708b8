//! One op of an answer: which kind it is, and its parameters, each field checked and bounded.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::fetch::fetch;
use super::labels;
use super::reader::{Bounded, FieldProblem, named, present, read, shown, source_problem};
use crate::limits::{
    ATTEMPTS_MAX, EVENT_BYTES_MAX, EVENTS_PER_SEND_MAX, FILTER_BYTES_MAX, NAME_BYTES_MAX, NON_RETRYABLE_MAX,
    NOTE_BYTES_MAX, OUTCOME_BYTES_MAX,
};
use crate::model::{
    EntryId, EventDraft, Failure, HandlerOp, Heartbeat, InvokeOp, Note, OWN_EVENTS, Payload, RetryPolicy, Settle, Span,
    StateOp, StepReport, StepResult, Terminal, Text, Timestamp, UPDATE, WaitEventOp, WaitSignalOp, names,
};

/// What is wrong with one op.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpError {
    /// The protocol has no such op.
    #[error(
        "there is no op `{0}`; this server knows step, heartbeat, sleep, waitSignal, waitEvent, invoke, fetch, send, marker, state, publish, \
         status, labels, reply, done, fail, yield, continueAsNew and mismatch"
    )]
    UnknownKind(String),
    /// An entry's id cannot be used.
    #[error("`id` {0}")]
    Id(String),
    /// A field is missing, of another type, or out of bounds.
    #[error("{0}")]
    Field(FieldProblem),
    /// The server keeps ids that begin with `$` for itself.
    #[error("`id` is `{0}`, and ids that begin with `$` belong to the server; `$` in a user's id is written %24")]
    Reserved(String),
}

impl From<FieldProblem> for OpError {
    fn from(problem: FieldProblem) -> OpError {
        OpError::Field(problem)
    }
}

/// The ops that make entries.
const ENTRY_OPS: [&str; 10] =
    ["step", "heartbeat", "sleep", "waitSignal", "waitEvent", "invoke", "fetch", "send", "marker", "state"];

/// What the ids of compensations begin with. They and the ids of writes of state are those of the ids with `$` that a
/// handler sends.
pub(super) const UNDO: &str = "$undo/";

/// The id of the first write of state; the others count on: `$state:1`.
const STATE: &str = "$state";

/// How a value of the answer is kept.
pub(super) type Keep<'a> = dyn Fn(&RawValue) -> Payload + 'a;

/// An op as it stands in the answer: every field that any kind of op may have. Values are slices of the answer.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WireOp<'a> {
    #[serde(borrow)]
    pub(super) op: Cow<'a, str>,
    #[serde(default)]
    pub(super) id: Option<Text>,
    #[serde(default)]
    pub(super) name: Option<Text>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) params: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) ok: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) err: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    value: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    input: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    tags: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "present")]
    attributes: Option<&'a RawValue>,
    #[serde(default)]
    update: Option<Text>,
    #[serde(borrow, default, deserialize_with = "present")]
    details: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) attempt: Option<u32>,
    #[serde(default)]
    started_at: Option<Timestamp>,
    #[serde(default)]
    ended_at: Option<Timestamp>,
    #[serde(default)]
    pub(super) channel: Option<Text>,
    #[serde(default)]
    pub(super) topic: Option<Text>,
    #[serde(default)]
    pub(super) index: Option<u32>,
    #[serde(borrow, default, deserialize_with = "present")]
    pub(super) data: Option<&'a RawValue>,
    #[serde(default)]
    pub(super) journal: Option<String>,
    #[serde(default)]
    pub(super) code: Option<String>,
}

impl WireOp<'_> {
    /// Whether the other op says the same of the same entry.
    pub(super) fn repeats(&self, other: &WireOp<'_>) -> bool {
        let same = |a: Option<&RawValue>, b: Option<&RawValue>| a.map(RawValue::get) == b.map(RawValue::get);
        self.op == other.op
            && same(self.params, other.params)
            && same(self.ok, other.ok)
            && same(self.err, other.err)
            && self.attempt == other.attempt
    }

    /// The id under which the op makes an entry.
    pub(super) fn entry_id(&self) -> Result<EntryId, OpError> {
        let id = self.id.clone().ok_or_else(|| OpError::Id("is missing".to_owned()))?;
        match (&*self.op == "state", is_state_id(&id)) {
            (true, true) => return Ok(id),
            (true, false) => {
                let id = shown(&id, 60);
                return Err(OpError::Id(format!(
                    "is `{id}`; writes of state are called `$state`, `$state:1`, and so on"
                )));
            }
            (false, _) => {}
        }
        let step = id.strip_prefix(UNDO).filter(|_| matches!(&*self.op, "step" | "heartbeat"));
        if id.starts_with('$') && step.is_none() {
            return Err(OpError::Reserved(shown(&id, 60)));
        }
        match super::reader::text_problem(step.unwrap_or(&id), crate::limits::ENTRY_ID_BYTES_MAX) {
            Some(problem) => Err(OpError::Id(problem)),
            None => Ok(id),
        }
    }

    /// What the op makes of an entry.
    pub(super) fn entry_op(&self, keep: &Keep<'_>) -> Result<HandlerOp, OpError> {
        if !ENTRY_OPS.contains(&&*self.op) {
            return Err(OpError::UnknownKind(shown(&self.op, 60)));
        }
        let id = self.entry_id()?;
        let name = self.name.clone();
        if let Some(name) = &name {
            named("name", name, NAME_BYTES_MAX)?;
        }
        let raw = self.params.map_or("{}", RawValue::get);
        if raw.len() > OUTCOME_BYTES_MAX {
            return Err(FieldProblem::new("params", too_long(raw.len(), OUTCOME_BYTES_MAX)).into());
        }
        if !raw.starts_with('{') {
            return Err(FieldProblem::new("params", "must be an object").into());
        }
        let params = self.params.map_or_else(|| Payload::trusted("{}"), keep);
        let within = |problem: FieldProblem| problem.within("params");
        Ok(match &*self.op {
            "step" => HandlerOp::Step(self.step(id, name, params, raw, keep)?),
            "heartbeat" => HandlerOp::Heartbeat(self.heartbeat(id, name, params, raw, keep)?),
            "sleep" => {
                let (length, until) = sleep(raw).map_err(within)?;
                HandlerOp::Sleep { id, name, params, length, until }
            }
            "waitSignal" => {
                let (signal, timeout) = wait_signal(&id, raw).map_err(within)?;
                HandlerOp::WaitSignal(WaitSignalOp { id, name, params, signal, timeout })
            }
            "waitEvent" => HandlerOp::WaitEvent(wait_event(id, name, params, raw).map_err(within)?),
            "invoke" => HandlerOp::Invoke(invoke(id, name, params, raw, keep).map_err(within)?),
            "fetch" => HandlerOp::Fetch(fetch(id, name, params, raw).map_err(within)?),
            "send" => {
                let events = send(raw, keep).map_err(within)?;
                HandlerOp::Send { id, name, params, events }
            }
            "state" => {
                let writes = state(raw, keep).map_err(within)?;
                HandlerOp::State(StateOp { id, name, params, writes })
            }
            _ => HandlerOp::Marker { id, name, params },
        })
    }

    fn step(
        &self,
        id: EntryId,
        name: Option<Text>,
        params: Payload,
        raw: &str,
        keep: &Keep<'_>,
    ) -> Result<StepReport, OpError> {
        let (retry, attempt) = (step_params(raw)?, self.attempt()?);
        let result = match (self.ok, self.err) {
            (Some(value), None) if value.get().len() > OUTCOME_BYTES_MAX => {
                let (failure, raw) = value_too_large("the step's result", value.get().len());
                StepResult::Err(failure, raw)
            }
            (Some(value), None) => StepResult::Ok(keep(value)),
            (None, Some(raw)) => {
                let (failure, raw) = failure("err", raw, keep)?;
                StepResult::Err(failure, raw)
            }
            _ => return Err(FieldProblem::new("ok", "exactly one of `ok` and `err` must be there").into()),
        };
        let (started_at, ended_at) = (self.started_at, self.ended_at);
        Ok(StepReport { id, name, params, retry, result, attempt, started_at, ended_at })
    }

    fn heartbeat(
        &self,
        id: EntryId,
        name: Option<Text>,
        params: Payload,
        raw: &str,
        keep: &Keep<'_>,
    ) -> Result<Heartbeat, OpError> {
        step_params(raw)?;
        let attempt = self.attempt()?;
        match self.details {
            Some(details) if details.get().len() > NOTE_BYTES_MAX => {
                Err(FieldProblem::new("details", too_long(details.get().len(), NOTE_BYTES_MAX)).into())
            }
            Some(details) => Ok(Heartbeat { id, name, params, attempt, details: keep(details) }),
            None => Err(FieldProblem::new("details", "is missing; write null for none").into()),
        }
    }

    pub(super) fn attempt(&self) -> Result<u32, OpError> {
        let attempt = self.attempt.ok_or_else(|| FieldProblem::new("attempt", "is missing"))?;
        if attempt == 0 {
            return Err(FieldProblem::new("attempt", "must be at least 1, is 0").into());
        }
        Ok(attempt)
    }

    /// What the op says besides the journal, if it makes no entry.
    pub(super) fn note(&self, keep: &Keep<'_>) -> Result<Option<Note>, OpError> {
        match (&*self.op, self.value) {
            ("status", Some(value)) if value.get().len() > NOTE_BYTES_MAX => {
                Err(FieldProblem::new("value", too_long(value.get().len(), NOTE_BYTES_MAX)).into())
            }
            ("status", Some(value)) => Ok(Some(Note::Status(keep(value)))),
            ("status", None) => Err(FieldProblem::new("value", "is missing").into()),
            ("labels", _) => Ok(Some(labels::note(self.tags, self.attributes)?)),
            ("reply", _) => self.reply(keep).map(Some),
            _ => Ok(None),
        }
    }

    fn reply(&self, keep: &Keep<'_>) -> Result<Note, OpError> {
        let update = self.update.clone().ok_or_else(|| FieldProblem::new("update", "is missing"))?;
        named("update", &update, NAME_BYTES_MAX)?;
        let reply = match (self.ok, self.err) {
            (Some(value), None) if value.get().len() > OUTCOME_BYTES_MAX => {
                Settle::Err(value_too_large("the reply", value.get().len()).1)
            }
            (Some(value), None) => Settle::Ok(keep(value)),
            (None, Some(raw)) => Settle::Err(failure("err", raw, keep)?.1),
            _ => return Err(FieldProblem::new("", "exactly one of `ok` and `err` must be there").into()),
        };
        Ok(Note::Reply { update, reply })
    }

    fn next_input(&self, keep: &Keep<'_>) -> Result<Terminal, OpError> {
        match self.input {
            Some(input) if input.get().len() > OUTCOME_BYTES_MAX => {
                let (failure, raw) = value_too_large("the input of the next run", input.get().len());
                Ok(Terminal::Fail(failure, raw))
            }
            Some(input) => Ok(Terminal::ContinueAsNew(keep(input))),
            None => Err(FieldProblem::new("input", "is missing; write null for none").into()),
        }
    }

    /// How the run or the invocation ends, if the op says so.
    pub(super) fn terminal(&self, keep: &Keep<'_>) -> Result<Option<Terminal>, OpError> {
        match (&*self.op, self.ok, self.err) {
            ("done", Some(value), _) if value.get().len() > OUTCOME_BYTES_MAX => {
                let (failure, raw) = value_too_large("the function's result", value.get().len());
                Ok(Some(Terminal::Fail(failure, raw)))
            }
            ("done", Some(value), _) => Ok(Some(Terminal::Done(keep(value)))),
            ("done", None, _) => Err(FieldProblem::new("ok", "is missing").into()),
            ("fail", _, Some(raw)) => {
                let (failure, raw) = failure("err", raw, keep)?;
                Ok(Some(Terminal::Fail(failure, raw)))
            }
            ("fail", _, None) => Err(FieldProblem::new("err", "is missing").into()),
            ("yield", ..) => Ok(Some(Terminal::Yield)),
            ("continueAsNew", ..) => self.next_input(keep).map(Some),
            _ => Ok(None),
        }
    }
}

fn in_params(problem: FieldProblem) -> OpError {
    OpError::Field(problem.within("params"))
}

/// Checks the options of a step, and returns its policy.
fn step_params(raw: &str) -> Result<RetryPolicy, OpError> {
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params {
        #[serde(default)]
        retry: Option<RetryPolicy>,
        // The SDK enforces these; here they only have to be durations.
        #[serde(default, rename = "timeout")]
        _timeout: Option<Span>,
        #[serde(default, rename = "heartbeat")]
        _heartbeat: Option<Span>,
        #[serde(default, rename = "compensates")]
        _compensates: Option<Text>,
        // The engine reads these when it needs them.
        #[serde(default, rename = "compensate")]
        _compensate: bool,
        #[serde(default, rename = "scheduleToClose")]
        _schedule_to_close: Option<Span>,
        #[serde(default, rename = "scheduleToStart")]
        _schedule_to_start: Option<Span>,
    }
    let read: Params = if raw == "{}" { Params::default() } else { read(raw.as_bytes()).map_err(in_params)? };
    let retry = read.retry.unwrap_or_default();
    policy_problem(&retry).map_or(Ok(()), |problem| Err(in_params(problem.within("retry"))))?;
    Ok(retry)
}

fn sleep(raw: &str) -> Result<(Option<Span>, Option<Timestamp>), FieldProblem> {
    #[derive(Deserialize)]
    struct Params {
        #[serde(default, rename = "for")]
        length: Option<Span>,
        #[serde(default)]
        until: Option<Timestamp>,
    }
    let params: Params = read(raw.as_bytes())?;
    match (params.length, params.until) {
        (Some(_), None) | (None, Some(_)) => Ok((params.length, params.until)),
        _ => Err(FieldProblem::new("", "exactly one of `for` and `until` must be there")),
    }
}

fn wait_signal(id: &EntryId, raw: &str) -> Result<(Text, Option<Span>), FieldProblem> {
    #[derive(Deserialize)]
    struct Params {
        #[serde(default)]
        signal: Option<Text>,
        #[serde(default)]
        awakeable: bool,
        #[serde(default)]
        update: bool,
        #[serde(default)]
        timeout: Option<Span>,
    }
    let params: Params = read(raw.as_bytes())?;
    let signal = match (params.signal, params.awakeable) {
        (None, true) if params.update => {
            return Err(FieldProblem::new("update", "goes with `signal`: an awakeable's token gets no reply"));
        }
        (None, true) => format!("$awakeable/{id}").into(),
        (Some(signal), false) if signal.starts_with('$') => {
            return Err(FieldProblem::new("signal", "names that begin with `$` belong to the server"));
        }
        (Some(signal), false) => {
            named("signal", &signal, NAME_BYTES_MAX)?;
            if params.update { format!("{UPDATE}{signal}").into() } else { signal }
        }
        _ => return Err(FieldProblem::new("", "exactly one of `signal` and `awakeable: true` must be there")),
    };
    Ok((signal, params.timeout))
}

fn wait_event(id: EntryId, name: Option<Text>, params: Payload, raw: &str) -> Result<WaitEventOp, FieldProblem> {
    #[derive(Deserialize)]
    struct Params {
        event: Text,
        #[serde(default, rename = "if")]
        filter: Option<Text>,
        #[serde(default)]
        timeout: Option<Span>,
        #[serde(default)]
        since: Option<Text>,
    }
    let wire: Params = read(raw.as_bytes())?;
    named("event", &wire.event, NAME_BYTES_MAX)?;
    if let Some(problem) = wire.filter.as_ref().and_then(|filter| source_problem(filter, FILTER_BYTES_MAX)) {
        return Err(FieldProblem::new("if", problem));
    }
    let since_run = match wire.since.as_deref() {
        None | Some("run") => true,
        Some("now") => false,
        Some(other) => {
            let problem = format!("must be \"run\" or \"now\", is \"{}\"", shown(other, 40));
            return Err(FieldProblem::new("since", problem));
        }
    };
    Ok(WaitEventOp { id, name, params, event: wire.event, filter: wire.filter, timeout: wire.timeout, since_run })
}

fn invoke(
    id: EntryId,
    name: Option<Text>,
    params: Payload,
    raw: &str,
    keep: &Keep<'_>,
) -> Result<InvokeOp, FieldProblem> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Params<'a> {
        #[serde(default)]
        app: Option<Text>,
        function: Text,
        #[serde(default)]
        key: Option<Text>,
        #[serde(borrow, default, deserialize_with = "present")]
        input: Option<&'a RawValue>,
        #[serde(default)]
        timeout: Option<Span>,
        #[serde(default)]
        detached: bool,
        #[serde(default)]
        parent_close: Option<String>,
        #[serde(borrow, default)]
        tags: Option<&'a RawValue>,
        #[serde(borrow, default)]
        attributes: Option<&'a RawValue>,
    }
    let wire: Params<'_> = read(raw.as_bytes())?;
    named("function", &wire.function, NAME_BYTES_MAX)?;
    if let Some(app) = &wire.app {
        named("app", app, NAME_BYTES_MAX)?;
    }
    // What it means the engine reads from the parameters, when the parent ends.
    if let Some(policy) = wire.parent_close.filter(|policy| !PARENT_CLOSE.contains(&&**policy)) {
        let problem = format!("is `{}`; it must be one of {}", shown(&policy, 40), PARENT_CLOSE.join(", "));
        return Err(FieldProblem::new("parentClose", problem));
    }
    let input = wire.input.ok_or_else(|| FieldProblem::new("input", "is missing; write null for none"))?;
    Ok(InvokeOp {
        id,
        name,
        params,
        app: wire.app,
        function: wire.function,
        key: wire.key,
        input: keep(input),
        timeout: wire.timeout,
        detached: wire.detached,
        labels: labels::of_child(wire.tags, wire.attributes)?,
    })
}

/// What becomes of an awaited child when its parent ends first. `wait` is kept by the SDK: the parent does not end first.
const PARENT_CLOSE: [&str; 3] = ["cancel", "abandon", "wait"];

/// Whether an id is that of a write of state: `$state`, or `$state:` and a count.
fn is_state_id(id: &str) -> bool {
    let Some(rest) = id.strip_prefix(STATE) else { return false };
    let count = rest.strip_prefix(':');
    rest.is_empty()
        || count.is_some_and(|count| {
            (1..10).contains(&count.len()) && !count.starts_with('0') && count.bytes().all(|byte| byte.is_ascii_digit())
        })
}

/// What is written under which names. Of a name that is set twice the last counts, as everywhere in JSON.
fn state(raw: &str, keep: &Keep<'_>) -> Result<Vec<(Text, Option<Payload>)>, FieldProblem> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow, default)]
        set: Option<BTreeMap<Text, &'a RawValue>>,
        #[serde(default)]
        clear: Option<BTreeSet<Text>>,
    }
    let wire: Params<'_> = read(raw.as_bytes())?;
    match (wire.set, wire.clear) {
        (Some(set), None) => Ok(set.into_iter().map(|(name, value)| (name, Some(keep(value)))).collect()),
        (None, Some(clear)) => Ok(clear.into_iter().map(|name| (name, None)).collect()),
        _ => Err(FieldProblem::new("", "exactly one of `set` and `clear` must be there")),
    }
}

fn send(raw: &str, keep: &Keep<'_>) -> Result<Vec<EventDraft>, FieldProblem> {
    #[derive(Deserialize)]
    struct Params<'a> {
        #[serde(borrow)]
        events: Bounded<WireEvent<'a>, EVENTS_PER_SEND_MAX>,
    }
    let wire: Params<'_> = read(raw.as_bytes())?;
    let events = wire.events.0.into_iter().enumerate();
    events.map(|(n, event)| event.draft(keep).map_err(|problem| problem.within(&format!("events[{n}]")))).collect()
}

#[derive(Deserialize)]
struct WireEvent<'a> {
    name: Text,
    #[serde(borrow, default, deserialize_with = "present")]
    data: Option<&'a RawValue>,
    #[serde(default)]
    id: Option<Text>,
    #[serde(default)]
    at: Option<Timestamp>,
}

impl WireEvent<'_> {
    fn draft(self, keep: &Keep<'_>) -> Result<EventDraft, FieldProblem> {
        named("name", &self.name, NAME_BYTES_MAX)?;
        if self.name.starts_with(OWN_EVENTS) {
            let problem = format!("begins with `{OWN_EVENTS}`: such events are the server's own");
            return Err(FieldProblem::new("name", problem));
        }
        if let Some(id) = &self.id {
            named("id", id, NAME_BYTES_MAX)?;
        }
        if self.at.is_some() {
            let problem = "events for later are not supported by this version of the server: sleep, then send";
            return Err(FieldProblem::new("at", problem));
        }
        let data = self.data.ok_or_else(|| FieldProblem::new("data", "is missing; write null for none"))?;
        if data.get().len() > EVENT_BYTES_MAX {
            return Err(FieldProblem::new("data", too_long(data.get().len(), EVENT_BYTES_MAX)));
        }
        Ok(EventDraft { name: self.name, data: keep(data), client_id: self.id })
    }
}

/// What a retry policy asks for that it may not have, if anything.
pub(super) fn policy_problem(policy: &RetryPolicy) -> Option<FieldProblem> {
    let in_range = |field: &str, value: Option<f64>, low: f64, high: f64| {
        let value = value.filter(|value| !(low..=high).contains(value))?;
        Some(FieldProblem::new(field, format!("must be between {low} and {high}, is {value}")))
    };
    let attempts = policy
        .attempts
        .filter(|attempts| !(1..=ATTEMPTS_MAX).contains(attempts))
        .map(|attempts| FieldProblem::new("attempts", format!("must be between 1 and {ATTEMPTS_MAX}, is {attempts}")));
    let names = (policy.non_retryable.len() > NON_RETRYABLE_MAX)
        .then(|| FieldProblem::new("nonRetryable", format!("has more than {NON_RETRYABLE_MAX} names")));
    attempts
        .or_else(|| in_range("factor", policy.factor, 1.0, 1_000.0))
        .or_else(|| in_range("jitter", policy.jitter, 0.0, 1.0))
        .or(names)
}

/// Reads an error. One that is too large to keep is cut down to its name and the beginning of its message.
fn failure(field: &str, raw: &RawValue, keep: &Keep<'_>) -> Result<(Box<Failure>, Payload), FieldProblem> {
    let failure: Failure = read(raw.get().as_bytes()).map_err(|problem| problem.within(field))?;
    if raw.get().len() <= OUTCOME_BYTES_MAX {
        return Ok((Box::new(failure), keep(raw)));
    }
    let message: String = failure.message.chars().take(1_000).collect();
    let name: String = failure.name.chars().take(NAME_BYTES_MAX).collect();
    let cut = Failure {
        name,
        message: format!("{message} (cut: the error had {} bytes)", raw.get().len()),
        retryable: failure.retryable,
        retry_after: failure.retry_after,
        ..Failure::default()
    };
    let payload = cut.payload();
    Ok((Box::new(cut), payload))
}

/// A value that is too large settles as an error that another attempt would not change.
fn value_too_large(what: &str, bytes: usize) -> (Box<Failure>, Payload) {
    let message = format!(
        "{what} has {bytes} bytes, at most {OUTCOME_BYTES_MAX} are kept; store it elsewhere and return a reference"
    );
    let failure = Failure { retryable: Some(false), ..Failure::new(names::TOO_LARGE, message) };
    let payload = failure.payload();
    (Box::new(failure), payload)
}

pub(super) fn too_long(bytes: usize, max: usize) -> String {
    format!("has {bytes} bytes, at most {max} are allowed")
}
