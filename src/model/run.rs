//! Runs: the narrow row of one durable execution. Its input is entry 0 of its journal, its outcome the last entry.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Awaiting, DeploymentId, EventId, FunctionId, Labels, Mismatch, RunId, Text, Tick, Timestamp, Token};

/// Where a run stands. While a handler is executing, the run is still `Ready`: nothing about the start of an
/// invocation is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RunStatus {
    /// Not to be started before its `wake_at`.
    Queued,
    /// To be invoked, or being invoked.
    Ready,
    /// Waits for entries to settle.
    Suspended,
    /// The last invocation failed; the next is due at `wake_at`.
    Backoff,
    /// Held, by an operator or by the engine; `hold` says why.
    Paused,
    /// Ended with a value.
    Completed,
    /// Ended with a failure.
    Failed,
    /// Ended because it was cancelled.
    Cancelled,
    /// Ended itself to go on in a new run with another input.
    Continued,
}

impl RunStatus {
    /// Every status.
    pub const ALL: [RunStatus; 9] = [
        RunStatus::Queued,
        RunStatus::Ready,
        RunStatus::Suspended,
        RunStatus::Backoff,
        RunStatus::Paused,
        RunStatus::Completed,
        RunStatus::Failed,
        RunStatus::Cancelled,
        RunStatus::Continued,
    ];

    /// Whether status, outcome and entries can never change again.
    pub fn is_terminal(self) -> bool {
        matches!(self, RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled | RunStatus::Continued)
    }

    /// The word on the wire, in SQL and in messages.
    pub fn as_str(self) -> &'static str {
        match self {
            RunStatus::Queued => "queued",
            RunStatus::Ready => "ready",
            RunStatus::Suspended => "suspended",
            RunStatus::Backoff => "backoff",
            RunStatus::Paused => "paused",
            RunStatus::Completed => "completed",
            RunStatus::Failed => "failed",
            RunStatus::Cancelled => "cancelled",
            RunStatus::Continued => "continued",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<RunStatus> {
        RunStatus::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a run is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum HoldKind {
    /// The handler contradicts the journal.
    Mismatch,
    /// The handler refused the server's signature, or has no way to check it.
    Signature,
    /// The app no longer has the function.
    UnknownFunction,
    /// The handler says that the server broke the protocol, or answered what the protocol does not allow.
    Protocol,
    /// The journal does not fit into one request.
    TooLarge,
    /// Invocations get lost in flight again and again: the handler dies at or after one entry.
    Lost,
    /// A decision about this run failed inside the server.
    Quarantine,
    /// A compensation failed for good, or was not made.
    Compensation,
    /// Somebody paused it.
    Operator,
}

/// A hold on a run that is not terminal. It is lifted by an operator's resume, or by the next sync of its app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Hold {
    /// Why, for programs.
    pub kind: HoldKind,
    /// Why, and what to do, for people.
    pub detail: String,
    /// Since when.
    pub since: Timestamp,
    /// The deployment that was asked, if one was.
    pub deployment: Option<DeploymentId>,
    /// Both sides of a contradiction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mismatch: Option<Mismatch>,
}

/// The parent's entry that a child's outcome settles.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParentLink {
    /// The parent run.
    pub run: RunId,
    /// The position of its invoke entry.
    pub idx: u32,
}

/// What started a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TriggerKind {
    /// An event; entry 0 holds its data, and `event` its id.
    Event,
    /// A start or call by REST.
    Call,
    /// Another run.
    Invoke,
    /// The final failure of another run.
    Failure,
    /// A time of a schedule.
    Schedule,
}

impl TriggerKind {
    /// Every kind.
    pub const ALL: [TriggerKind; 5] =
        [TriggerKind::Event, TriggerKind::Call, TriggerKind::Invoke, TriggerKind::Failure, TriggerKind::Schedule];

    /// The word on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            TriggerKind::Event => "event",
            TriggerKind::Call => "call",
            TriggerKind::Invoke => "invoke",
            TriggerKind::Failure => "failure",
            TriggerKind::Schedule => "schedule",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<TriggerKind> {
        TriggerKind::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The row of one run: everything about it but its journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunHead {
    /// Integer key in order of creation.
    pub run_no: i64,
    /// The run's own id.
    pub id: RunId,
    /// The function it executes.
    pub function: FunctionId,
    /// The name that its client chose, unique per function.
    pub name: Option<Text>,
    /// Where it stands.
    pub status: RunStatus,
    /// What started it.
    pub trigger: TriggerKind,
    /// The event that started it.
    pub event: Option<EventId>,
    /// The greatest event number when it was created: later events can settle its waits.
    pub born_seq: i64,
    /// Who waits for it.
    pub parent: Option<ParentLink>,
    /// The first run of its family; itself when it has no parent, attached or not.
    pub root: RunId,
    /// The deployment it is pinned to, when that is immutable.
    pub deployment: Option<DeploymentId>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it may first run: its creation, or its delay's end. `now()` of a handler that has seen nothing yet.
    pub started_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Failed invocations since the last progress, by the retry policy.
    pub failures: u32,
    /// Invocations lost in flight since the last progress.
    pub losses: u32,
    /// The last invocation's failure as JSON, while `failures` or `losses` is not 0.
    pub last_error: Option<super::Payload>,
    /// What the suspended handler waits for; empty means any settlement.
    pub awaiting: Awaiting,
    /// Why it is held.
    pub hold: Option<Hold>,
    /// When it moves by itself: 0 = ready or with work left, else the earliest of its timers. Nothing: it does not.
    pub wake_at: Option<Timestamp>,
    /// When a cancellation that the handler was told of is forced.
    pub cancel_by: Option<Timestamp>,
    /// Since when the handler contradicts the journal, while that may still heal.
    pub mismatch_since: Option<Timestamp>,
    /// The greatest `seq` that the handler had seen when the run last came to rest.
    pub seen: u32,
    /// The invocation that has been open for a while: after a restart its handler may still be at work.
    pub open_token: Option<Token>,
    /// The key of the object that the run belongs to.
    pub key: Option<Text>,
    /// Where it waits in line, while it does.
    pub queue: Option<QueuePlace>,
    /// When it fails if no handler has taken it up.
    pub start_by: Option<Timestamp>,
    /// When it fails if it has not ended.
    pub deadline: Option<Timestamp>,
    /// The run that this one goes on from.
    pub previous: Option<Previous>,
    /// The first run of its chain, if its previous run ended itself to go on in this one.
    pub chain: Option<RunId>,
    /// The run whose id chance follows from, if it is not this one: a fork goes the way of what it copied.
    pub seed: Option<RunId>,
    /// What the handler shows of the run to whoever asks, without being invoked.
    pub value: Option<super::Payload>,
    /// The time of a schedule that it is for.
    pub tick: Option<Tick>,
    /// What people find it by.
    pub labels: Labels,
}

/// A place in a line of runs. Lines are rows: whoever waits costs disk, not memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuePlace {
    /// Which line.
    pub key: Text,
    /// The smaller comes first.
    pub order: i64,
}

/// The run that another goes on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Previous {
    /// That run.
    pub run: RunId,
    /// In which way.
    pub origin: Origin,
}

/// How a run goes on from another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Origin {
    /// The other ended itself with a new input for this one.
    Continue,
    /// Somebody copied the other's journal up to a point.
    Fork,
}

impl Origin {
    /// The word on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::Continue => "continue",
            Origin::Fork => "fork",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Origin> {
        [Origin::Continue, Origin::Fork].into_iter().find(|origin| origin.as_str() == word)
    }
}
