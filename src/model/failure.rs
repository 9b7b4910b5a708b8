//! An error as it crosses the wire and rests in the journal: a name that code can match, a message that people can read.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Payload, Span, Text};
use crate::limits::{FAILURE_MESSAGE_BYTES_MAX, FAILURE_NAME_BYTES_MAX, FAILURE_SHAPE_BYTES_MAX};

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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

    /// What lists say of it: its name, and the beginning of its message.
    pub fn brief(&self) -> Failure {
        Failure::new(cut(&self.name, FAILURE_NAME_BYTES_MAX), cut(&self.message, FAILURE_MESSAGE_BYTES_MAX))
    }

    /// Reads a failure that rests in a journal; anything that is not one is shown as its own message.
    pub fn from_payload(payload: &Payload) -> Failure {
        payload.read::<Failure>().unwrap_or_else(|_| {
            let text = payload.read::<&RawValue>().map(RawValue::get).unwrap_or_default();
            Failure::new("Error", text.chars().take(1_000).collect::<String>())
        })
    }
}

/// Which failures are meant: those that pass both conditions, where they are there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailureTest {
    name: Option<Text>,
    shape: Option<String>,
}

impl FailureTest {
    /// Failures of this name, with a message like this one: the same but for words with digits in them.
    pub fn new(name: Option<&str>, message: Option<&str>) -> FailureTest {
        FailureTest { name: name.map(|name| cut(name, FAILURE_NAME_BYTES_MAX).into()), shape: message.map(shape) }
    }

    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        self.name.is_none() && self.shape.is_none()
    }

    /// Whether a failure is meant.
    pub fn matches(&self, failure: &Failure) -> bool {
        self.name.as_deref().is_none_or(|name| name == cut(&failure.name, FAILURE_NAME_BYTES_MAX))
            && self.shape.as_ref().is_none_or(|wanted| *wanted == shape(&failure.message))
    }
}

/// What messages of one kind have in common: `…` stands for words that have digits in them, such as ids and amounts, and one space for
/// all that is between two words on one line or several. The shape of a shape is the same.
pub fn shape(message: &str) -> String {
    let of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':');
    let mut shape = String::new();
    let mut rest = cut(message, FAILURE_SHAPE_BYTES_MAX);
    while !rest.is_empty() {
        let end = rest.find(|c| !of_word(c)).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        let bare = word.trim_end_matches(['.', ':', '-']);
        if bare.contains(|c: char| c.is_ascii_digit()) {
            shape.push('…');
            shape.push_str(&word[bare.len()..]);
        } else {
            shape.push_str(word);
        }
        let between = after.find(of_word).unwrap_or(after.len());
        for c in after[..between].chars() {
            match c.is_whitespace() {
                true if shape.ends_with(' ') => {}
                true => shape.push(' '),
                false => shape.push(c),
            }
        }
        rest = &after[between..];
    }
    // A sign may be longer than the word that it stands for.
    shape.truncate(cut(&shape, FAILURE_SHAPE_BYTES_MAX).len());
    shape
}

/// As much of a text as fits.
fn cut(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_varies_is_left_out() {
        for (message, common) in [
            ("", ""),
            ("card declined", "card declined"),
            ("order 17 costs 12.50.", "order … costs …."),
            ("no run run_01kdvqx0000000000000000001: gone", "no run …: gone"),
            ("`a1` is not `b`", "`…` is not `b`"),
            (" 3c9d1f50-aa6b-4b62-9a4e-0a8f2a1b8f00 ", " … "),
            ("two\n\n lines\tand more", "two lines and more"),
            ("zu spät: 2026-11-30T22:00:00Z", "zu spät: …"),
        ] {
            assert_eq!(shape(message), common);
        }
    }

    #[test]
    fn the_shape_of_a_shape_is_the_same() {
        for word in ["wörd ", "1 ", "a:1. ", "…1-", "x1…", " \n", "\u{a0} a"] {
            let shaped = shape(&word.repeat(10_000));
            assert!(shaped.len() <= FAILURE_SHAPE_BYTES_MAX, "{word}");
            assert_eq!(shape(&shaped), shaped, "{word}");
        }
    }

    #[test]
    fn failures_are_told_by_name_and_shape() {
        let failure = Failure::new("CardDeclined", "card 17 was declined");
        for (name, message, meant) in [
            (None, None, true),
            (Some("CardDeclined"), None, true),
            (Some("Card"), None, false),
            (None, Some("card … was declined"), true),
            (None, Some("card 4711 was declined"), true),
            (None, Some("card was declined"), false),
            (Some("CardDeclined"), Some("card … was lost"), false),
        ] {
            assert_eq!(FailureTest::new(name, message).matches(&failure), meant, "{name:?} {message:?}");
        }
        let long = Failure::new(&"n".repeat(9_000), "m".repeat(9_000));
        let test = FailureTest::new(Some(&long.name), Some(&long.message));
        assert!(test.matches(&long) && test.matches(&long.brief()), "what lists say is enough to tell it");
        assert!(long.brief().message.len() <= FAILURE_MESSAGE_BYTES_MAX);
    }
}
