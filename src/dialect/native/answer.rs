//! A handler's answer: read in one pass over its bytes, every bound checked, nothing of a user's parsed. What it refuses
//! it refuses by name: which op, which field, what was expected.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::op::{Keep, OpError, WireOp};
use super::reader::{Bounded, FieldProblem, present, read, shown, text_problem};
use crate::limits::{ENTRY_ID_BYTES_MAX, NAME_BYTES_MAX, OPS_MAX, PAYLOAD_INLINE_BYTES_MAX};
use crate::model::{Answer, Awaiting, EntryId, HandlerOp, Mismatch, Payload, Terminal, Token};

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
    /// It belongs to another invocation.
    #[error(
        "failed to take the answer: it bears the token `{found}`, and this invocation's is `{expected}`. Does something between server and handler keep old responses?"
    )]
    OtherToken {
        /// This invocation's token.
        expected: Token,
        /// What the answer says.
        found: String,
    },
    /// It answers another journal than the one that was sent.
    #[error("failed to take the answer: `seen` is {found}, and the journal of this invocation goes up to {expected}")]
    Seen {
        /// The greatest `seq` that was sent.
        expected: u32,
        /// What the answer says.
        found: u32,
    },
    /// One op is not well formed.
    #[error("failed to read the answer: ops[{index}]{label}: {problem}")]
    Op {
        /// Which op.
        index: usize,
        /// Its kind and id, as far as known: ` (step "charge")`.
        label: String,
        /// What is wrong.
        problem: OpError,
    },
    /// Something follows the op that ends the run.
    #[error(
        "failed to read the answer: ops[{index}] (`{kind}`) ends the run and must stand last, and {after} more follow"
    )]
    TerminalNotLast {
        /// Which op.
        index: usize,
        /// `done` or `fail`.
        kind: String,
        /// How many follow.
        after: usize,
    },
    /// A mismatch came with other ops.
    #[error(
        "failed to read the answer: ops[{index}] is a mismatch and must be the only op of its answer, and there are {ops}"
    )]
    MismatchNotAlone {
        /// Which op.
        index: usize,
        /// How many ops there are.
        ops: usize,
    },
    /// One entry got two outcomes in one answer.
    #[error(
        "failed to read the answer: ops[{first}] and ops[{second}] both have the id `{id}` and say different things"
    )]
    Conflict {
        /// The entry's id.
        id: EntryId,
        /// The first op with it.
        first: usize,
        /// The other one.
        second: usize,
    },
}

/// Reads the body of a 200. `token` and `seen` are those of the invocation that it answers.
pub fn decode_answer(body: &Bytes, token: &Token, seen: u32) -> Result<Answer, AnswerError> {
    let wire: WireAnswer<'_> = read(body).map_err(|problem| unreadable(body, problem))?;
    if wire.token.parse() != Ok(*token) {
        return Err(AnswerError::OtherToken { expected: *token, found: shown(&wire.token, 80) });
    }
    if wire.seen != seen {
        return Err(AnswerError::Seen { expected: seen, found: wire.seen });
    }
    let ops = wire.ops.0;
    if let Some(index) = ops.iter().position(|op| &*op.op == "mismatch") {
        return mismatch(&ops, index);
    }
    let awaiting = awaiting(wire.awaiting).map_err(AnswerError::Field)?;
    let keep = |raw: &RawValue| keep(body, raw);
    let mut taken = Taken { ops: Vec::with_capacity(ops.len()), end: None, first_with: BTreeMap::new() };
    for index in 0..ops.len() {
        taken.take(&ops, index, &keep)?;
    }
    Ok(Answer::Ops { seen, ops: taken.ops, end: taken.end, awaiting })
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

/// The ops that were taken so far.
struct Taken<'a> {
    ops: Vec<HandlerOp>,
    end: Option<Terminal>,
    first_with: BTreeMap<&'a str, usize>,
}

impl<'a> Taken<'a> {
    fn take(&mut self, all: &'a [WireOp<'a>], index: usize, keep: &Keep<'_>) -> Result<(), AnswerError> {
        let op = &all[index];
        let located = |problem| AnswerError::Op { index, label: label(op), problem };
        if let Some(end) = op.terminal(keep).map_err(located)? {
            let after = all.len() - index - 1;
            if after > 0 {
                return Err(AnswerError::TerminalNotLast { index, kind: op.op.to_string(), after });
            }
            self.end = Some(end);
            return Ok(());
        }
        if let Some(note) = op.note(keep).map_err(located)? {
            self.ops.push(HandlerOp::Note(note));
            return Ok(());
        }
        let entry = op.entry_op(keep).map_err(located)?;
        let id = op.id.as_deref().unwrap_or_default();
        match self.first_with.get(id) {
            Some(&first) if !all[first].repeats(op) => {
                return Err(AnswerError::Conflict { id: id.into(), first, second: index });
            }
            Some(_) => {}
            None => {
                self.first_with.insert(id, index);
                self.ops.push(entry);
            }
        }
        Ok(())
    }
}

fn mismatch(ops: &[WireOp<'_>], index: usize) -> Result<Answer, AnswerError> {
    if ops.len() > 1 {
        return Err(AnswerError::MismatchNotAlone { index, ops: ops.len() });
    }
    let op = &ops[index];
    let located = |problem| AnswerError::Op { index, label: label(op), problem };
    let side = |field: &str, value: &Option<String>| {
        let value = value.as_deref().ok_or_else(|| located(FieldProblem::new(field, "is missing").into()))?;
        Ok(shown(value, NAME_BYTES_MAX))
    };
    // The server's own ids, such as `$cancel`, can be contradicted, too.
    let id = op.id.clone().unwrap_or_default();
    if let Some(problem) = text_problem(&id, ENTRY_ID_BYTES_MAX) {
        return Err(located(OpError::Id(problem)));
    }
    Ok(Answer::Mismatch(Mismatch { id, journal: side("journal", &op.journal)?, code: side("code", &op.code)? }))
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
    if let Some(problem) = ids.find_map(|id| text_problem(id, ENTRY_ID_BYTES_MAX)) {
        return Err(FieldProblem::new("awaiting", format!("has an id that {problem}")));
    }
    Ok(groups.into_iter().filter(|group| !group.is_empty()).collect())
}

/// Keeps a value of the answer. A large one that makes up most of the answer shares the answer's memory; any other is
/// copied, so that it does not hold the rest of the answer in memory for as long as it lives itself.
fn keep(body: &Bytes, raw: &RawValue) -> Payload {
    let bytes = raw.get().len();
    if bytes >= PAYLOAD_INLINE_BYTES_MAX && bytes * 2 > body.len() {
        Payload::trusted(body.slice_ref(raw.get().as_bytes()))
    } else {
        Payload::from(raw)
    }
}

/// ` (step "charge")`.
fn label(op: &WireOp<'_>) -> String {
    let kind = shown(&op.op, 40);
    op.id.as_deref().map_or_else(|| format!(" ({kind})"), |id| format!(" ({kind} \"{}\")", shown(id, 80)))
}

/// Says what the body is when it is not JSON, else which field cannot be read.
fn unreadable(body: &Bytes, problem: FieldProblem) -> AnswerError {
    let text = String::from_utf8_lossy(&body[..body.len().min(400)]);
    let start = text.trim_start();
    if body.iter().all(u8::is_ascii_whitespace) {
        AnswerError::NotJson("empty".to_owned())
    } else if start.starts_with('<') {
        AnswerError::NotJson(format!("an HTML page: {}", shown(start, 200)))
    } else if !start.starts_with('{') {
        AnswerError::NotJson(format!("text that begins with: {}", shown(start, 200)))
    } else {
        AnswerError::Field(problem)
    }
}
