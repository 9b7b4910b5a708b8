//! How JSON goes out: texts, numbers and entries of a journal. Payloads are copied as they were stored.

use std::io::Write;

use crate::model::{Entry, EntryKind, EntryStatus, Outcome, Payload, digest_of};

/// A body in the making. Writing to memory cannot fail.
pub(super) struct Body(pub(super) Vec<u8>);

/// How a settled entry is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// With its outcome.
    Whole,
    /// With a note that its outcome can be fetched.
    Reference,
    /// Without its outcome: the reader has it.
    Own,
}

/// `,"ref":true`
const REFERENCE: &str = ",\"ref\":true";

impl Body {
    pub(super) fn raw(&mut self, text: &str) -> &mut Body {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    pub(super) fn payload(&mut self, payload: &Payload) -> &mut Body {
        self.0.extend_from_slice(payload.bytes());
        self
    }

    pub(super) fn string(&mut self, text: &str) -> &mut Body {
        serde_json::to_writer(&mut self.0, text).expect("a text prints to memory");
        self
    }

    pub(super) fn display(&mut self, value: impl std::fmt::Display) -> &mut Body {
        write!(self.0, "{value}").expect("memory takes what is written");
        self
    }

    /// An entry of the journal. A settled one without an outcome is a reference: what it came to was not loaded.
    pub(super) fn entry(&mut self, entry: &Entry, form: Form) -> &mut Body {
        self.raw("{\"id\":").string(&entry.id).raw(",\"op\":\"").raw(entry.kind.as_str()).raw("\"");
        if let Some(name) = &entry.name {
            self.raw(",\"name\":").string(name);
        }
        if !matches!(entry.kind, EntryKind::Cancel | EntryKind::Failure) {
            self.raw(",\"digest\":\"").raw(&digest_of(&entry.params)).raw("\"");
        }
        match entry.status {
            EntryStatus::Settled => self.settled(entry, form),
            EntryStatus::Runnable => self.attempt(entry),
            EntryStatus::Waiting | EntryStatus::Backoff => self.raw(",\"pending\":true"),
        };
        self.raw("}")
    }

    fn settled(&mut self, entry: &Entry, form: Form) -> &mut Body {
        self.raw(",\"seq\":").display(entry.seq.unwrap_or(0));
        self.raw(",\"at\":\"").display(entry.settled_at.unwrap_or(entry.created_at)).raw("\"");
        match (form, &entry.outcome) {
            (Form::Own, _) => self,
            (Form::Reference, _) | (Form::Whole, None) => self.raw(REFERENCE),
            (Form::Whole, Some(Outcome::Ok(value))) => self.raw(",\"ok\":").payload(value),
            (Form::Whole, Some(Outcome::Err(failure))) => self.raw(",\"err\":").payload(failure),
            (Form::Whole, Some(Outcome::Timeout)) => self.raw(",\"timeout\":true"),
        }
    }

    fn attempt(&mut self, entry: &Entry) -> &mut Body {
        self.raw(",\"run\":{\"attempt\":").display(entry.failures.saturating_add(1));
        if let Some(error) = &entry.last_error {
            self.raw(",\"error\":").payload(error);
        }
        if let Some(details) = &entry.details {
            self.raw(",\"details\":").payload(details);
        }
        self.raw("}")
    }
}

/// Whether handlers see an entry of this kind.
pub(super) fn is_shown(entry: &Entry) -> bool {
    !matches!(entry.kind, EntryKind::Input | EntryKind::Outcome)
}

/// How many bytes the outcome of an entry has.
pub(super) fn outcome_bytes(entry: &Entry) -> usize {
    entry.outcome.as_ref().and_then(Outcome::payload).map_or(0, Payload::len)
}

/// How many bytes a settled entry takes as a reference, and whole.
pub(super) fn sizes(entry: &Entry) -> (usize, usize) {
    let mut scratch = Body(Vec::with_capacity(256));
    scratch.entry(entry, Form::Reference);
    let reference = scratch.0.len();
    let outcome = match &entry.outcome {
        None => REFERENCE.len(),
        Some(Outcome::Ok(value)) => ",\"ok\":".len() + value.len(),
        Some(Outcome::Err(failure)) => ",\"err\":".len() + failure.len(),
        Some(Outcome::Timeout) => ",\"timeout\":true".len(),
    };
    (reference, reference - REFERENCE.len() + outcome)
}
