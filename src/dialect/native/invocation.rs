//! The body of an invocation, from a snapshot. Payloads are concatenated as they were stored; nothing of a user's is
//! parsed. Settled entries come in the order of their settlement, then those that have none.

use std::io::Write;

use bytes::Bytes;
use serde::Deserialize;

use crate::limits::BIGGEST_ENTRIES_SHOWN;
use crate::model::{Entry, EntryKind, EntryStatus, Outcome, Payload, Snapshot, Text, TriggerKind, digest_of};

/// What an entry costs besides its payload, roughly: field names, digest, time.
const ENTRY_BYTES: usize = 160;

/// An invocation as it goes out.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The request's body.
    pub body: Bytes,
    /// The greatest `seq` in it: what the answer must say it has seen.
    pub seen: u32,
}

/// Why a snapshot cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The body does not fit into one request to this deployment.
    #[error(
        "failed to send the run's journal: it has {bytes} bytes, and the deployment takes {limit} in one request. The \
         biggest: {}. Store large values elsewhere and keep references in the journal, or raise the deployment's \
         `limits.requestBytes`", list(.biggest)
    )]
    TooLarge {
        /// What the body has at least.
        bytes: usize,
        /// What the deployment allows.
        limit: u64,
        /// The biggest entries, biggest first; the input is `$input`.
        biggest: Vec<(Text, usize)>,
    },
    /// The run's first entry is not what this server writes.
    #[error("failed to read entry 0 of the run's journal: {0}; this is a defect of the server, please report it")]
    Corrupt(String),
}

/// Builds the body. `secret` is the run's own, `request_bytes` what the deployment takes.
pub fn encode(snapshot: &Snapshot, secret: &str, request_bytes: u64) -> Result<Invocation, EncodeError> {
    let weight: usize = snapshot.entries.iter().map(|entry| outcome_bytes(entry)).sum();
    if weight as u64 > request_bytes {
        return Err(too_large(snapshot, weight, request_bytes));
    }
    let input = snapshot.entries.first().filter(|entry| entry.kind == EntryKind::Input);
    let input = input.ok_or_else(|| EncodeError::Corrupt("it is not the input".to_owned()))?;
    let mut body = Body(Vec::with_capacity(weight + 512 + snapshot.entries.len() * ENTRY_BYTES));
    body.run(snapshot, secret);
    body.trigger(snapshot, input)?;
    body.raw(",\"input\":").payload(outcome_payload(input));
    let seen = body.journal(&snapshot.entries);
    body.raw(",\"links\":{\"checkpoint\":null,\"journal\":null},\"token\":")
        .string(&snapshot.token.to_string())
        .raw("}");
    let Body(bytes) = body;
    if bytes.len() as u64 > request_bytes {
        return Err(too_large(snapshot, bytes.len(), request_bytes));
    }
    Ok(Invocation { body: bytes.into(), seen })
}

/// A body in the making. Writing to memory cannot fail.
struct Body(Vec<u8>);

impl Body {
    fn raw(&mut self, text: &str) -> &mut Body {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    fn payload(&mut self, payload: &Payload) -> &mut Body {
        self.0.extend_from_slice(payload.bytes());
        self
    }

    fn string(&mut self, text: &str) -> &mut Body {
        serde_json::to_writer(&mut self.0, text).expect("a text prints to memory");
        self
    }

    fn display(&mut self, value: impl std::fmt::Display) -> &mut Body {
        write!(self.0, "{value}").expect("memory takes what is written");
        self
    }

    fn run(&mut self, snapshot: &Snapshot, secret: &str) {
        let head = &snapshot.head;
        self.raw("{\"run\":{\"id\":\"").display(head.id).raw("\",\"function\":").string(&head.function.function);
        self.raw(",\"app\":").string(&head.function.app).raw(",\"name\":");
        match &head.name {
            Some(name) => self.string(name),
            None => self.raw("null"),
        };
        self.raw(",\"attempt\":").display(snapshot.attempt).raw(",\"startedAt\":\"").display(head.started_at);
        self.raw("\",\"deadline\":");
        match head.deadline {
            Some(deadline) => self.raw("\"").display(deadline).raw("\""),
            None => self.raw("null"),
        };
        self.raw(",\"key\":null,\"secret\":").string(secret).raw("}");
    }

    fn trigger(&mut self, snapshot: &Snapshot, input: &Entry) -> Result<(), EncodeError> {
        self.raw(",\"trigger\":");
        if snapshot.head.trigger != TriggerKind::Event {
            self.payload(&input.params);
            return Ok(());
        }
        #[derive(Deserialize)]
        struct Facts {
            id: String,
            name: String,
            at: String,
        }
        let facts: Facts = input.params.read().map_err(|error| EncodeError::Corrupt(error.to_string()))?;
        self.raw("{\"kind\":\"event\",\"events\":[{\"id\":").string(&facts.id).raw(",\"name\":").string(&facts.name);
        self.raw(",\"data\":").payload(outcome_payload(input)).raw(",\"at\":").string(&facts.at).raw("}]}");
        Ok(())
    }

    /// Writes the entries that a handler sees and returns the greatest `seq`.
    fn journal(&mut self, entries: &[std::sync::Arc<Entry>]) -> u32 {
        let shown = |entry: &&Entry| !matches!(entry.kind, EntryKind::Input | EntryKind::Outcome);
        let (mut settled, open): (Vec<&Entry>, Vec<&Entry>) =
            entries.iter().map(|entry| &**entry).filter(shown).partition(|entry| entry.is_settled());
        settled.sort_unstable_by_key(|entry| entry.seq);
        self.raw(",\"journal\":[");
        for (position, entry) in settled.iter().chain(&open).enumerate() {
            self.raw(if position == 0 { "" } else { "," }).entry(entry);
        }
        self.raw("]");
        settled.last().and_then(|entry| entry.seq).unwrap_or(0)
    }

    fn entry(&mut self, entry: &Entry) {
        self.raw("{\"id\":").string(&entry.id).raw(",\"op\":\"").raw(entry.kind.as_str()).raw("\"");
        if let Some(name) = &entry.name {
            self.raw(",\"name\":").string(name);
        }
        if entry.kind != EntryKind::Cancel {
            self.raw(",\"digest\":\"").raw(&digest_of(&entry.params)).raw("\"");
        }
        match (entry.status, &entry.outcome) {
            (EntryStatus::Settled, Some(outcome)) => self.outcome(entry, outcome),
            (EntryStatus::Runnable, _) => self.attempt(entry),
            _ => self.raw(",\"pending\":true"),
        };
        self.raw("}");
    }

    fn outcome(&mut self, entry: &Entry, outcome: &Outcome) -> &mut Body {
        self.raw(",\"seq\":").display(entry.seq.unwrap_or(0));
        self.raw(",\"at\":\"").display(entry.settled_at.unwrap_or(entry.created_at)).raw("\"");
        match outcome {
            Outcome::Ok(value) => self.raw(",\"ok\":").payload(value),
            Outcome::Err(failure) => self.raw(",\"err\":").payload(failure),
            Outcome::Timeout => self.raw(",\"timeout\":true"),
        }
    }

    fn attempt(&mut self, entry: &Entry) -> &mut Body {
        self.raw(",\"run\":{\"attempt\":").display(entry.failures.saturating_add(1));
        if let Some(error) = &entry.last_error {
            self.raw(",\"error\":").payload(error);
        }
        self.raw("}")
    }
}

fn outcome_payload(input: &Entry) -> &Payload {
    static NULL: std::sync::LazyLock<Payload> = std::sync::LazyLock::new(Payload::null);
    input.outcome.as_ref().and_then(Outcome::payload).unwrap_or(&NULL)
}

/// What an entry adds to the body besides its frame. An event's data is there twice: as the input and in the trigger.
fn outcome_bytes(entry: &Entry) -> usize {
    entry.outcome.as_ref().and_then(Outcome::payload).map_or(0, Payload::len)
}

fn too_large(snapshot: &Snapshot, bytes: usize, limit: u64) -> EncodeError {
    let mut biggest: Vec<(Text, usize)> =
        snapshot.entries.iter().map(|entry| (entry.id.clone(), outcome_bytes(entry))).collect();
    biggest.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    biggest.truncate(BIGGEST_ENTRIES_SHOWN);
    EncodeError::TooLarge { bytes, limit, biggest }
}

fn list(biggest: &[(Text, usize)]) -> String {
    biggest.iter().map(|(id, bytes)| format!("`{id}` ({bytes} bytes)")).collect::<Vec<_>>().join(", ")
}
