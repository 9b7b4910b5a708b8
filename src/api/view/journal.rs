//! A run's journal in JSON: entries with their outcomes and failed attempts.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{RunJson, redact, there};
use crate::model::{
    Attempt, DeploymentId, Entry, EntryKind, EntryStatus, Outcome, Payload, RunId, Signal, Text, Timestamp, UPDATE,
};
use crate::store::Journal;

/// One entry of a journal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Entry)]
pub struct EntryJson {
    /// Its position: 0 is the input, then in order of creation.
    pub idx: u32,
    /// The id that the handler gave it.
    #[schema(value_type = String)]
    pub id: Text,
    /// What it stands for: `input`, `step`, `sleep`, `waitSignal`, `waitEvent`, `invoke`, `fetch`, `send`, `marker`, `state`,
    /// `cancel`, `failure` or `outcome`.
    #[schema(value_type = String)]
    pub op: EntryKind,
    /// What people see.
    #[schema(value_type = Option<String>)]
    pub name: Option<Text>,
    /// Where it stands: `waiting`, `backoff`, `runnable` or `settled`.
    #[schema(value_type = String)]
    pub status: EntryStatus,
    /// The ordinal of its settlement in the run, from 1.
    pub seq: Option<u32>,
    /// The parameters as the handler sent them, but for the credentials of HTTP calls; for the input, what started the run.
    #[schema(value_type = Object)]
    pub params: Payload,
    /// It settled with this value.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub ok: Option<Payload>,
    /// It failed for good with this error: `{name, message, code?, data?, stack?, cause?}`.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub err: Option<Payload>,
    /// Nothing came in time.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub timeout: bool,
    /// When its own timer fires: a sleep's end, a wait's time-out, the next attempt of a step or a call.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub due_at: Option<Timestamp>,
    /// Attempts of a step, or of a call of the server, that have failed.
    pub failures: u32,
    /// The last failed attempt's error, while it is to be tried again.
    #[schema(value_type = Option<Object>)]
    pub last_error: Option<Payload>,
    /// What the last heartbeat of a step said, until it settles.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub details: Option<Payload>,
    /// The deployment whose code created it.
    #[schema(value_type = Option<String>)]
    pub deployment: Option<DeploymentId>,
    /// The child run of an awaited invoke.
    #[schema(value_type = Option<String>)]
    pub child: Option<RunId>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it settled.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub settled_at: Option<Timestamp>,
    /// Whether it was copied from the run that this one was forked from: what it stands for was done there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub copied: bool,
    /// Its attempts that failed, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptJson>,
}

impl EntryJson {
    /// An entry with the attempts that are its own.
    pub fn new(entry: &Entry, attempts: &[Attempt]) -> EntryJson {
        let (ok, err, timeout) = match redact::outcome(entry) {
            Some(Outcome::Ok(value)) => (Some(value), None, false),
            Some(Outcome::Err(error)) => (None, Some(error), false),
            Some(Outcome::Timeout) => (None, None, true),
            None => (None, None, false),
        };
        EntryJson {
            idx: entry.idx,
            id: entry.id.clone(),
            op: entry.kind,
            name: entry.name.clone(),
            status: entry.status,
            seq: entry.seq,
            params: redact::params(entry),
            ok,
            err,
            timeout,
            due_at: entry.due_at,
            failures: entry.failures,
            last_error: entry.last_error.clone(),
            details: entry.details.clone(),
            deployment: entry.deployment,
            child: entry.child,
            created_at: entry.created_at,
            settled_at: entry.settled_at,
            copied: entry.copied,
            attempts: attempts.iter().filter(|a| a.idx == Some(entry.idx)).map(AttemptJson::from).collect(),
        }
    }
}

/// One attempt that failed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Attempt)]
pub struct AttemptJson {
    /// Which attempt, from 1.
    pub number: u32,
    /// When it began.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = String, format = DateTime)]
    pub ended_at: Timestamp,
    /// How it failed.
    #[schema(value_type = Object)]
    pub error: Payload,
}

impl From<&Attempt> for AttemptJson {
    fn from(attempt: &Attempt) -> AttemptJson {
        AttemptJson {
            number: attempt.number,
            started_at: attempt.started_at,
            ended_at: attempt.ended_at,
            error: attempt.error.clone(),
        }
    }
}

/// A signal that came before anything waited for it, or an update.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = EarlySignal)]
pub struct SignalJson {
    /// Its name.
    #[schema(value_type = String)]
    pub name: Text,
    /// The id that its sender gave it.
    #[schema(value_type = Option<String>)]
    pub id: Option<Text>,
    /// When it was accepted.
    #[schema(value_type = String, format = DateTime)]
    pub at: Timestamp,
    /// The position of the entry that consumed it.
    pub consumed_by: Option<u32>,
    /// Whether it is an update: its sender waits for a reply.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub update: bool,
    /// What the handler replied to the update.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub ok: Option<Payload>,
    /// The error that the handler replied with.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub err: Option<Payload>,
}

impl From<&Signal> for SignalJson {
    fn from(signal: &Signal) -> SignalJson {
        let (ok, err) = match &signal.reply {
            Some(Outcome::Ok(value)) => (Some(value.clone()), None),
            Some(Outcome::Err(error)) => (None, Some(error.clone())),
            Some(Outcome::Timeout) | None => (None, None),
        };
        SignalJson {
            name: signal.name.strip_prefix(UPDATE).map_or_else(|| signal.name.clone(), Text::from),
            id: signal.id.clone(),
            at: signal.at,
            consumed_by: signal.consumed_by,
            update: signal.wants_reply,
            ok,
            err,
        }
    }
}

/// A run's whole journal.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Journal)]
pub struct JournalJson {
    /// The run.
    pub run: RunJson,
    /// Its entries in order of creation, each with its failed attempts.
    pub entries: Vec<EntryJson>,
    /// Invocations that failed, oldest first.
    pub attempts: Vec<AttemptJson>,
    /// Signals that came early, and all updates, in order of arrival.
    pub signals: Vec<SignalJson>,
}

impl From<&Journal> for JournalJson {
    fn from(journal: &Journal) -> JournalJson {
        JournalJson {
            run: RunJson::from(&journal.head),
            entries: journal.entries.iter().map(|entry| EntryJson::new(entry, &journal.attempts)).collect(),
            attempts: journal.attempts.iter().filter(|a| a.idx.is_none()).map(AttemptJson::from).collect(),
            signals: journal.signals.iter().map(SignalJson::from).collect(),
        }
    }
}
