//! An error as it crosses the wire and rests in the journal: a name that code can match, a message that people can read.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Payload, Span};

/// Names of the failures that the server itself writes into journals and outcomes. Handlers may match on them.
pub mod names {
    /// An awaited child run failed.
    pub const CHILD_FAILED: &str = "ChildFailed";
    /// An awaited child run was cancelled.
    pub const CHILD_CANCELLED: &str = "ChildCancelled";
    /// The run was cancelled.
    pub const CANCELLED: &str = "CancelledError";
    /// The op names a function that no app has.
    pub const UNKNOWN_FUNCTION: &str = "UnknownFunction";
    /// A run made more entries than it may.
    pub const TOO_MANY_ENTRIES: &str = "TooManyEntries";
    /// A run's journal grew larger than it may.
    pub const JOURNAL_TOO_LARGE: &str = "JournalTooLarge";
    /// A handler's answer broke the protocol.
    pub const PROTOCOL: &str = "ProtocolError";
    /// An invocation was lost in flight.
    pub const LOST: &str = "LostInFlight";
    /// The code contradicts the journal.
    pub const MISMATCH: &str = "Mismatch";
    /// A wait's filter cannot be compiled.
    pub const INVALID_FILTER: &str = "InvalidFilter";
    /// Too many waits for one event name cannot be looked up by a value.
    pub const TOO_MANY_WAITS: &str = "TooManyWaits";
    /// Something took longer than it was allowed to.
    pub const TIMEOUT: &str = "Timeout";
    /// A run ended and left an update without a reply.
    pub const RUN_ENDED: &str = "RunEnded";
    /// A call of an object's handler names no key that can be used, or a call of a function names one.
    pub const INVALID_KEY: &str = "InvalidKey";
    /// A call would wait for a key that is held by a run which waits for the caller.
    pub const DEADLOCK: &str = "Deadlock";
    /// A value of an object's state has a name that cannot be used.
    pub const INVALID_NAME: &str = "InvalidName";
    /// A call that the server made for a run had no answer.
    pub const FETCH_FAILED: &str = "FetchFailed";
    /// A call that the server made for a run was answered with a status that is tried again.
    pub const HTTP_STATUS: &str = "HttpStatus";
    /// A value is greater than the server keeps.
    pub const TOO_LARGE: &str = "TooLarge";
}

/// A failure of a step, a run or an invocation.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What kind of error: a class name such as `CardDeclined`.
    pub name: String,
    /// What happened, for people.
    pub message: String,
    /// A machine-readable code, when the thrower has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Any JSON that the thrower attached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Payload>,
    /// Where it was thrown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stack: Option<String>,
    /// The failure that led to this one, as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Payload>,
    /// Whether another attempt may succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retryable: Option<bool>,
    /// When the thrower wants the next attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Span>,
}

impl Failure {
    /// A failure that the server itself reports.
    pub fn new(name: &str, message: impl Into<String>) -> Failure {
        Failure { name: name.to_owned(), message: message.into(), ..Failure::default() }
    }

    /// Attaches JSON for programs.
    #[must_use]
    pub fn with_data(mut self, data: Payload) -> Failure {
        self.data = Some(data);
        self
    }

    /// The failure as JSON.
    pub fn payload(&self) -> Payload {
        Payload::of(self).unwrap_or_else(|_| Payload::trusted(r#"{"name":"Error","message":"unprintable failure"}"#))
    }

    /// Reads a failure that rests in a journal; anything that is not one is shown as its own message.
    pub fn from_payload(payload: &Payload) -> Failure {
        payload.read::<Failure>().unwrap_or_else(|_| {
            let text = payload.read::<&RawValue>().map(RawValue::get).unwrap_or_default();
            Failure::new("Error", text.chars().take(1_000).collect::<String>())
        })
    }
}
