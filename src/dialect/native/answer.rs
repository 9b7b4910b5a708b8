//! A handler's answer: read in one pass over its bytes, every bound checked, nothing of a user's parsed. What it refuses
//! it refuses by name: which op, which field, what was expected.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::op::{OpError, UNDO, WireOp};
use super::ops::{self, OpsError, Said};
use super::reader::{Bounded, FieldProblem, present, read, shown, text_problem};
use crate::limits::{ENTRY_ID_BYTES_MAX, OPS_MAX};
use crate::model::{Answer, Awaiting, EntryId};

/// Bytes that the groups of `awaiting` may have together: every entry's id once, with its quotes and comma.
const AWAITING_BYTES_MAX: usize = OPS_MAX * (ENTRY_ID_BYTES_MAX + 8);

/// Why an answer is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// It is not JSON at all.
    #[error("failed to read the answer: it is not a JSON object but {0}")]
    NotJson(String),
    /// A field of the answer itself is missing or of another type.
    #[error("failed to read the answer: {0}")]
    Field(FieldProblem),
    /// It belongs to another invocation. Tokens are secrets and are not repeated.
    #[error(
        "failed to take the answer: it bears the token of another invocation than this one. Does something between server and handler keep old responses?"
    )]
    OtherToken,
    /// It answers another journal than the one that was sent.
    #[error("failed to take the answer: `seen` is {found}, and the journal of this invocation goes up to {expected}")]
    Seen {
        /// The greatest `seq` that was sent.
        expected: u32,
        /// What the answer says.
        found: u32,
    },
    /// The ops are not well formed.
    #[error("failed to read the answer: {0}")]
    Ops(#[from] OpsError),
}

impl AnswerError {
    /// Whether the answer has an op that this server does not know, and a newer one may.
    pub fn is_of_a_newer_sdk(&self) -> bool {
        matches!(self, AnswerError::Ops(OpsError::Op { problem: OpError::UnknownKind(_), .. }))
    }
}

/// Reads the body of a 200. `token` is the invocation's as it was sent, `seen` the greatest `seq` that was sent with it;
/// replies to checkpoints may have told the handler of more since.
pub fn decode_answer(body: &Bytes, token: &str, seen: u32) -> Result<Answer, AnswerError> {
    let wire: WireAnswer<'_> = read(body).map_err(|problem| unreadable(body, problem))?;
    if wire.token != token {
        return Err(AnswerError::OtherToken);
    }
    if wire.seen < seen {
        return Err(AnswerError::Seen { expected: seen, found: wire.seen });
    }
    answer(body, wire.seen, &wire.ops.0, wire.awaiting)
}

/// The answer that these fields make.
pub(super) fn answer(
    body: &Bytes,
    seen: u32,
    ops: &[WireOp<'_>],
    groups: Option<&RawValue>,
) -> Result<Answer, AnswerError> {
    Ok(match ops::of_answer(body, ops)? {
        Said::Mismatch(mismatch) => Answer::Mismatch(mismatch),
        Said::Did(ops, end) => {
            let awaiting = awaiting(groups).map_err(AnswerError::Field)?;
            Answer::Ops { seen, ops, end, awaiting }
        }
    })
}

#[derive(Deserialize)]
struct WireAnswer<'a> {
    #[serde(borrow)]
    token: Cow<'a, str>,
    seen: u32,
    #[serde(borrow)]
    ops: Bounded<WireOp<'a>, OPS_MAX>,
    #[serde(borrow, default, deserialize_with = "present")]
    awaiting: Option<&'a RawValue>,
}

/// Reads the groups. They are a hint: an empty group says nothing and is dropped.
fn awaiting(raw: Option<&RawValue>) -> Result<Awaiting, FieldProblem> {
    let Some(raw) = raw.filter(|raw| raw.get() != "null") else { return Ok(Awaiting::new()) };
    if raw.get().len() > AWAITING_BYTES_MAX {
        let problem = format!("has {} bytes, at most {AWAITING_BYTES_MAX} are allowed", raw.get().len());
        return Err(FieldProblem::new("awaiting", problem));
    }
    let groups: Vec<Vec<EntryId>> = read(raw.get().as_bytes()).map_err(|problem| problem.within("awaiting"))?;
    if groups.iter().map(Vec::len).sum::<usize>() > OPS_MAX {
        return Err(FieldProblem::new("awaiting", format!("names more than {OPS_MAX} ids")));
    }
    let mut ids = groups.iter().flatten();
    if let Some(problem) = ids.find_map(|id| text_problem(id.strip_prefix(UNDO).unwrap_or(id), ENTRY_ID_BYTES_MAX)) {
        return Err(FieldProblem::new("awaiting", format!("has an id that {problem}")));
    }
    Ok(groups.into_iter().filter(|group| !group.is_empty()).collect())
}

/// Says what the body is when it is not JSON, else which field cannot be read.
fn unreadable(body: &Bytes, problem: FieldProblem) -> AnswerError {
    match not_json(body) {
        Some(what) => AnswerError::NotJson(what),
        None => AnswerError::Field(problem),
    }
}

/// What a body is that is no JSON object, if it is none.
pub(super) fn not_json(body: &Bytes) -> Option<String> {
    let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
    let start = text.trim_start();
    if body.iter().all(u8::is_ascii_whitespace) {
        Some("empty".to_owned())
    } else if start.starts_with('<') {
        Some(format!("an HTML page: {}", shown(start, 200)))
    } else if !start.starts_with('{') {
        Some(format!("text that begins with: {}", shown(start, 200)))
    } else {
        None
    }
}
