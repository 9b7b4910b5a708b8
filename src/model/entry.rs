//! Entries: the records of a run's journal. Each has an id that the handler chose, parameters, and at most one outcome.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{DeploymentId, Payload, Text, Timestamp};

/// The wire id of an entry: scopes and id, percent-encoded, joined by `/`, repeats numbered `:k`; at most 256 bytes.
/// Ids that start with `$` are the server's own: `$input`, `$cancel`, `$failure`, `$outcome`; or of compensations: `$undo/` and
/// the id of the step that is undone; or of writes of state: `$state`, `$state:1`, and so on.
pub type EntryId = Text;

/// What an entry stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryKind {
    /// Entry 0: what the run was started with.
    Input,
    /// A memoized unit of user code.
    Step,
    /// A timer.
    Sleep,
    /// Waits for a signal, or for whoever holds its awakeable token.
    WaitSignal,
    /// Waits for an event that matches a filter.
    WaitEvent,
    /// A child run: awaited, or detached and then settled at once.
    Invoke,
    /// An HTTP call that the server makes.
    Fetch,
    /// Events sent; settled at once.
    Send,
    /// A fact about the code path; settled at once.
    Marker,
    /// A write to the state of an object; settled at once.
    State,
    /// The run was asked to stop; delivered in its turn.
    Cancel,
    /// The run has failed for good and has steps to undo; delivered in its turn.
    Failure,
    /// The last entry: how the run ended.
    Outcome,
}

impl EntryKind {
    /// Every kind.
    pub const ALL: [EntryKind; 13] = [
        EntryKind::Input,
        EntryKind::Step,
        EntryKind::Sleep,
        EntryKind::WaitSignal,
        EntryKind::WaitEvent,
        EntryKind::Invoke,
        EntryKind::Fetch,
        EntryKind::Send,
        EntryKind::Marker,
        EntryKind::State,
        EntryKind::Cancel,
        EntryKind::Failure,
        EntryKind::Outcome,
    ];

    /// The word on the wire, in SQL and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryKind::Input => "input",
            EntryKind::Step => "step",
            EntryKind::Sleep => "sleep",
            EntryKind::WaitSignal => "waitSignal",
            EntryKind::WaitEvent => "waitEvent",
            EntryKind::Invoke => "invoke",
            EntryKind::Fetch => "fetch",
            EntryKind::Send => "send",
            EntryKind::Marker => "marker",
            EntryKind::State => "state",
            EntryKind::Cancel => "cancel",
            EntryKind::Failure => "failure",
            EntryKind::Outcome => "outcome",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<EntryKind> {
        EntryKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where an entry stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EntryStatus {
    /// Waits for something outside the handler: a timer, a signal, an event, a child, the answer to a call.
    Waiting,
    /// A step, or a call of the server, whose last attempt failed; its next one is due at `due_at`.
    Backoff,
    /// A step that the handler is to run now.
    Runnable,
    /// Settled; the outcome says how.
    Settled,
}

impl EntryStatus {
    /// Every status.
    pub const ALL: [EntryStatus; 4] =
        [EntryStatus::Waiting, EntryStatus::Backoff, EntryStatus::Runnable, EntryStatus::Settled];

    /// The word in SQL and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryStatus::Waiting => "waiting",
            EntryStatus::Backoff => "backoff",
            EntryStatus::Runnable => "runnable",
            EntryStatus::Settled => "settled",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<EntryStatus> {
        EntryStatus::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// The one outcome of a settled entry. `Err` holds a [`super::Failure`] as JSON, with the bytes the thrower sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded with this value.
    Ok(Payload),
    /// It failed for good.
    Err(Payload),
    /// Nothing came in time.
    Timeout,
}

impl Outcome {
    /// The column value that goes with the outcome: `ok`, `err` or `timeout`.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Ok(_) => "ok",
            Outcome::Err(_) => "err",
            Outcome::Timeout => "timeout",
        }
    }

    /// The JSON that the outcome carries.
    pub fn payload(&self) -> Option<&Payload> {
        match self {
            Outcome::Ok(payload) | Outcome::Err(payload) => Some(payload),
            Outcome::Timeout => None,
        }
    }
}

/// One record of a run's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The run's integer key.
    pub run_no: i64,
    /// Position in the journal: 0 is the input, then in order of creation, without gaps.
    pub idx: u32,
    /// The id that the handler gave it.
    pub id: EntryId,
    /// What it stands for.
    pub kind: EntryKind,
    /// What people see; the id when empty.
    pub name: Option<Text>,
    /// The parameters as the handler sent them. For the input, the trigger:
    /// `{"kind":"event","id","name","at"}`, `{"kind":"call"}` or `{"kind":"invoke","parent":{"run","entry"}}`;
    /// the input itself, for an event its data, is its outcome.
    pub params: Payload,
    /// Where it stands.
    pub status: EntryStatus,
    /// Its one outcome; present exactly when settled.
    pub outcome: Option<Outcome>,
    /// Ordinal of its settlement in the run, from 1; present exactly when settled, but for the input, which has none.
    pub seq: Option<u32>,
    /// When its own timer fires: a sleep's end, a wait's time-out, the next attempt or the end of the time of a step or a call.
    pub due_at: Option<Timestamp>,
    /// Attempts of a step or of a call that have failed.
    pub failures: u32,
    /// The last failed attempt's [`super::Failure`] as JSON, while it is to be tried again.
    pub last_error: Option<Payload>,
    /// The deployment whose code created it.
    pub deployment: Option<DeploymentId>,
    /// The child run of an awaited invoke.
    pub child: Option<super::RunId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it settled.
    pub settled_at: Option<Timestamp>,
    /// What the last heartbeat of a step said. For the input of a shared handler's run, the state that the run is shown.
    pub details: Option<Payload>,
    /// Whether it was copied from the run that this one was forked from.
    pub copied: bool,
}

impl Entry {
    /// Whether the entry has its outcome.
    pub fn is_settled(&self) -> bool {
        self.status == EntryStatus::Settled
    }

    /// How many payload bytes the entry holds in memory.
    pub fn payload_bytes(&self) -> usize {
        self.params.len()
            + self.details.as_ref().map_or(0, Payload::len)
            + self.outcome.as_ref().and_then(Outcome::payload).map_or(0, Payload::len)
    }
}

/// The first 16 hex digits of SHA-256 over the parameters as the handler sent them.
pub fn digest_of(params: &Payload) -> String {
    // Most ops have no parameters.
    if params.bytes().as_ref() == b"{}" {
        return EMPTY_DIGEST.to_owned();
    }
    super::hex(&Sha256::digest(params.bytes())[..8])
}

const EMPTY_DIGEST: &str = "44136fa355b3678a";

/// One failed attempt of a step, a call of the server or an invocation, kept so that people can see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The run's integer key.
    pub run_no: i64,
    /// The step's or the call's position, or nothing for an attempt to invoke the handler.
    pub idx: Option<u32>,
    /// Which attempt failed, from 1.
    pub number: u32,
    /// When it began, if known.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// A [`super::Failure`] as JSON.
    pub error: Payload,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_protocol() {
        assert_eq!(super::super::hex(&Sha256::digest(b"{}")[..8]), EMPTY_DIGEST);
        assert_eq!(digest_of(&Payload::trusted(r#"{"for":"1h"}"#)), "d9608eabe3e0f2fb");
    }
}
