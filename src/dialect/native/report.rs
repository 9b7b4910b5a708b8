//! A report of a handler at work: a checkpoint, or the answer of an invocation whose connection is gone. Read like an
//! answer: in one pass, every bound checked, nothing of a user's parsed.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{AnswerError, answer, not_json};
use super::op::WireOp;
use super::ops::{self, OpsError};
use super::reader::{Bounded, FieldProblem, present, read};
use crate::limits::{OPS_MAX, POLL_MS_MAX};
use crate::model::{Answer, Checkpoint, Span};

/// What a handler reports.
#[derive(Debug)]
pub enum Report {
    /// What it did so far, and what it knows; it goes on.
    Checkpoint {
        /// The report itself.
        checkpoint: Checkpoint,
        /// How long the reply may wait for something to tell.
        wait: Span,
    },
    /// What it would have answered.
    Final(Answer),
}

/// Why a report is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReportError {
    /// It is not JSON at all.
    #[error("failed to read the checkpoint: it is not a JSON object but {0}")]
    NotJson(String),
    /// A field of the report itself is missing, of another type, or out of bounds.
    #[error("failed to read the checkpoint: {0}")]
    Field(FieldProblem),
    /// The ops are not well formed.
    #[error("failed to read the checkpoint: {0}")]
    Ops(#[from] OpsError),
    /// The answer that it stands for is none.
    #[error(transparent)]
    Final(#[from] AnswerError),
}

#[derive(Deserialize)]
struct WireReport<'a> {
    #[serde(default, rename = "final")]
    is_final: bool,
    #[serde(default)]
    n: Option<u32>,
    seen: u32,
    #[serde(borrow)]
    ops: Bounded<WireOp<'a>, OPS_MAX>,
    #[serde(default)]
    wait: Option<Span>,
    #[serde(borrow, default, deserialize_with = "present")]
    awaiting: Option<&'a RawValue>,
}

/// Reads the body of a report.
///
/// # Errors
/// [`ReportError`], which names the op and the field.
pub fn decode_report(body: &Bytes) -> Result<Report, ReportError> {
    let wire: WireReport<'_> = read(body).map_err(|problem| match not_json(body) {
        Some(what) => ReportError::NotJson(what),
        None => ReportError::Field(problem),
    })?;
    let wrong = |field: &str, problem: &str| ReportError::Field(FieldProblem::new(field, problem));
    let ops = wire.ops.0;
    if wire.is_final {
        return Ok(Report::Final(answer(body, wire.seen, &ops, wire.awaiting)?));
    }
    let n = wire.n.ok_or_else(|| wrong("n", "is missing"))?;
    if n == 0 && !ops.is_empty() {
        return Err(wrong("n", "must be at least 1 in a checkpoint that brings ops, is 0"));
    }
    let wait = wire.wait.unwrap_or(Span(0));
    if wait.0 > POLL_MS_MAX {
        return Err(wrong("wait", &format!("is {wait}; at most {} are allowed", Span(POLL_MS_MAX))));
    }
    let ops = ops::of_checkpoint(body, &ops)?;
    Ok(Report::Checkpoint { checkpoint: Checkpoint { n, seen: wire.seen, ops }, wait })
}
