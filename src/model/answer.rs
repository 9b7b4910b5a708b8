//! What a handler answered to an invocation, as a dialect read it from the wire: parsed once, bounded, typed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    AttributeValue, EntryId, EntryKind, Failure, Labels, Outcome, Payload, RetryPolicy, Settle, Span, Text, Timestamp,
};

/// Groups of entry ids: the handler can go on once all of one group are settled, or any of it by an error. Empty
/// means any settlement.
pub type Awaiting = Vec<Vec<EntryId>>;

/// What came back from one invocation, or why nothing did.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The handler answered ops: they are applied in order, atomically.
    Ops {
        /// The greatest `seq` that the handler had been given.
        seen: u32,
        /// What it did.
        ops: Vec<HandlerOp>,
        /// How the run ended, if it did.
        end: Option<Terminal>,
        /// What it waits for.
        awaiting: Awaiting,
    },
    /// The handler's code contradicts the journal.
    Mismatch(Mismatch),
    /// The SDK itself refused the invocation.
    Problem(Problem),
    /// No answer of a handler arrived.
    Undelivered(Undelivered),
}

/// One thing that a handler did.
#[derive(Clone, Debug)]
pub enum HandlerOp {
    /// A step's body ran.
    Step(StepReport),
    /// A timer, for a length of time or until a point in time.
    Sleep { id: EntryId, name: Option<Text>, params: Payload, length: Option<Span>, until: Option<Timestamp> },
    /// A wait for a signal or an awakeable.
    WaitSignal(WaitSignalOp),
    /// A wait for an event.
    WaitEvent(WaitEventOp),
    /// A child run.
    Invoke(InvokeOp),
    /// An HTTP call that the server is to make.
    Fetch(FetchOp),
    /// Events to send with the entry.
    Send { id: EntryId, name: Option<Text>, params: Payload, events: Vec<EventDraft> },
    /// A fact about the code path.
    Marker { id: EntryId, name: Option<Text>, params: Payload },
    /// A write to the state of the run's object.
    State(StateOp),
    /// A step's body is at work.
    Heartbeat(Heartbeat),
    /// Messages for whoever reads the run's stream, or a channel.
    Publish(PublishOp),
    /// Something that makes no entry.
    Note(Note),
}

/// Messages that one place of the handler's code has published, one after the other.
#[derive(Clone, Debug)]
pub struct PublishOp {
    /// The step whose body said them; of the handler outside of bodies `$publish`, with its scopes before it.
    pub source: Text,
    /// Which attempt of the step, from 1; nothing of the handler.
    pub attempt: Option<u32>,
    /// Where they are read; nothing for the run's own channel.
    pub channel: Option<Text>,
    /// What they are about.
    pub topic: Text,
    /// The ordinal of the first of them at that place, from 0.
    pub index: u32,
    /// How many they are.
    pub count: u32,
    /// All of them, as a JSON array.
    pub data: Payload,
}

/// What a step's body says while it is at work.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// The entry's id.
    pub id: EntryId,
    /// What people see.
    pub name: Option<Text>,
    /// The step's options as sent.
    pub params: Payload,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// How far it is: the next attempt is given this.
    pub details: Payload,
}

/// What a handler says besides its journal.
#[derive(Clone, Debug)]
pub enum Note {
    /// What the run shows to whoever asks.
    Status(Payload),
    /// What people find the run by: all of its tags, or all of its attributes, or both.
    Labels {
        /// The tags, if they are said.
        tags: Option<BTreeSet<Text>>,
        /// The attributes, if they are said.
        attributes: Option<BTreeMap<Text, AttributeValue>>,
    },
    /// The reply to an update: the first one counts.
    Reply {
        /// The update's id.
        update: Text,
        /// A value, or an error.
        reply: Settle,
    },
}

impl HandlerOp {
    /// The id of the entry that it makes, if it makes one.
    pub fn id(&self) -> Option<&EntryId> {
        Some(match self {
            HandlerOp::Step(StepReport { id, .. })
            | HandlerOp::Heartbeat(Heartbeat { id, .. })
            | HandlerOp::Sleep { id, .. }
            | HandlerOp::WaitSignal(WaitSignalOp { id, .. })
            | HandlerOp::WaitEvent(WaitEventOp { id, .. })
            | HandlerOp::Invoke(InvokeOp { id, .. })
            | HandlerOp::Fetch(FetchOp { id, .. })
            | HandlerOp::Send { id, .. }
            | HandlerOp::Marker { id, .. }
            | HandlerOp::State(StateOp { id, .. }) => id,
            HandlerOp::Note(_) | HandlerOp::Publish(_) => return None,
        })
    }

    /// Whether it brings the run forward. What a handler says before it fails again in the same way does not: else the
    /// bounds on failures would never be reached.
    pub fn is_progress(&self) -> bool {
        !matches!(self, HandlerOp::Note(_) | HandlerOp::Heartbeat(_) | HandlerOp::Publish(_))
    }

    /// The kind of the entry that it makes, if it makes one.
    pub fn kind(&self) -> Option<EntryKind> {
        Some(match self {
            HandlerOp::Step(_) | HandlerOp::Heartbeat(_) => EntryKind::Step,
            HandlerOp::Sleep { .. } => EntryKind::Sleep,
            HandlerOp::WaitSignal(_) => EntryKind::WaitSignal,
            HandlerOp::WaitEvent(_) => EntryKind::WaitEvent,
            HandlerOp::Invoke(_) => EntryKind::Invoke,
            HandlerOp::Fetch(_) => EntryKind::Fetch,
            HandlerOp::Send { .. } => EntryKind::Send,
            HandlerOp::Marker { .. } => EntryKind::Marker,
            HandlerOp::State(_) => EntryKind::State,
            HandlerOp::Note(_) | HandlerOp::Publish(_) => return None,
        })
    }
}

/// The result of one attempt of a step.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// The entry's id.
    pub id: EntryId,
    /// What people see.
    pub name: Option<Text>,
    /// The step's options as sent.
    pub params: Payload,
    /// The step's own retry policy.
    pub retry: RetryPolicy,
    /// What came of it.
    pub result: StepResult,
    /// Which attempt this was, from 1.
    pub attempt: u32,
    /// When the body began, by the handler's clock.
    pub started_at: Option<Timestamp>,
    /// When the body ended, by the handler's clock.
    pub ended_at: Option<Timestamp>,
}

/// What came of a step's attempt.
#[derive(Clone, Debug)]
pub enum StepResult {
    /// A value.
    Ok(Payload),
    /// A failure, and its JSON as the handler sent it.
    Err(Box<Failure>, Payload),
}

impl StepResult {
    /// The outcome if this attempt is the last.
    pub fn outcome(&self) -> Outcome {
        match self {
            StepResult::Ok(value) => Outcome::Ok(value.clone()),
            StepResult::Err(_, raw) => Outcome::Err(raw.clone()),
        }
    }
}

/// A wait for a signal by name, or an awakeable.
#[derive(Clone, Debug)]
pub struct WaitSignalOp {
    /// The entry's id.
    pub id: EntryId,
    /// What people see.
    pub name: Option<Text>,
    /// The parameters as sent.
    pub params: Payload,
    /// The signal's name; for an awakeable `$awakeable/` and the entry's id, for updates `$update/` and their name.
    pub signal: Text,
    /// After what time the wait gives up.
    pub timeout: Option<Span>,
}

/// A wait for an event.
#[derive(Clone, Debug)]
pub struct WaitEventOp {
    /// The entry's id.
    pub id: EntryId,
    /// What people see.
    pub name: Option<Text>,
    /// The parameters as sent.
    pub params: Payload,
    /// The event's name.
    pub event: Text,
    /// A CEL filter over `event` (the trigger) and `async` (the awaited event).
    pub filter: Option<Text>,
    /// After what time the wait gives up.
    pub timeout: Option<Span>,
    /// Whether events accepted since the run was created match, not only those after this wait.
    pub since_run: bool,
}

/// A child run.
#[derive(Clone, Debug)]
pub struct InvokeOp {
    /// The entry's id.
    pub id: EntryId,
    /// What people see.
    pub name: Option<Text>,
    /// The parameters as sent.
    pub params: Payload,
    /// The child's app; the parent's own when absent.
    pub app: Option<Text>,
    /// The child's function.
    pub function: Text,
    /// The key, for a handler of an object.
    pub key: Option<Text>,
    /// The child's input.
    pub input: Payload,
    /// After what time the parent stops waiting.
    pub timeout: Option<Span>,
    /// Whether the parent goes on at once with the child's id.
    pub detached: bool,
    /// What people find the child by.
    pub labels: Labels,
}

/// An HTTP call that the server is to make.
#[derive(Clone, Debug)]
pub struct FetchOp {
    /// The entry's id.
    pub id: EntryId,
    /// What people see.
    pub name: Option<Text>,
    /// The parameters as sent: the request, and how it is tried again.
    pub params: Payload,
    /// How long all attempts and pauses may take together.
    pub schedule_to_close: Option<Span>,
}

/// A write to the state of an object: values that are set, or names that are taken away.
#[derive(Clone, Debug)]
pub struct StateOp {
    /// The entry's id.
    pub id: EntryId,
    /// What people see.
    pub name: Option<Text>,
    /// The parameters as sent.
    pub params: Payload,
    /// What is written under which names, each once; nothing where a name is taken away.
    pub writes: Vec<(Text, Option<Payload>)>,
}

/// An event before it is accepted.
#[derive(Clone, Debug)]
pub struct EventDraft {
    /// Its name.
    pub name: Text,
    /// Its data.
    pub data: Payload,
    /// The id its sender gave it.
    pub client_id: Option<Text>,
}

/// How a run or its invocation ended.
#[derive(Clone, Debug)]
pub enum Terminal {
    /// With a value.
    Done(Payload),
    /// With a failure, and its JSON as the handler sent it.
    Fail(Box<Failure>, Payload),
    /// By going on in a new run with this input.
    ContinueAsNew(Payload),
    /// Not at all: the invocation ends, and the run is invoked again at once.
    Yield,
}

/// Code and journal disagree about an entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mismatch {
    /// The entry's id.
    pub id: EntryId,
    /// What the journal has there.
    pub journal: String,
    /// What the code asks for there.
    pub code: String,
}

/// A typed refusal by an SDK, or an answer that the protocol does not allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What kind.
    pub code: ProblemCode,
    /// What the SDK, or the dialect, said about it.
    pub detail: String,
}

/// The kinds of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemCode {
    /// 401: the signature is missing or wrong. Parks the app's runs.
    Signature,
    /// 500: something in the app's host read the body before the SDK, which cannot check the signature. Parks the app's runs.
    RawBodyUnavailable,
    /// 404: the app has no such function. Parks the function's runs.
    UnknownFunction,
    /// 400: the SDK could not read the request. Parks the run.
    Protocol,
    /// 413: the request was too large. Parks the run.
    TooLarge,
    /// 500 inside the SDK, or an answer that breaks the protocol. Follows the function's retry policy.
    Sdk,
}

/// Why no handler's answer arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The request did not reach a handler: retried without limit.
    NotReached {
        /// What happened, for people: `connection refused by 127.0.0.1:3000`.
        reason: String,
        /// When the other side wants to be asked again.
        retry_after: Option<Span>,
    },
    /// The request reached it and no answer came back: bounded, the handler may be dying of it.
    Lost {
        /// What happened, for people.
        reason: String,
    },
}
