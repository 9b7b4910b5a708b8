//! The ops of a report, one after the other: each is well formed, an id is answered once, and what ends the run or the
//! invocation stands last.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use super::op::{Keep, OpError, UNDO, WireOp};
use super::publish;
use super::reader::{FieldProblem, shown, text_problem};
use crate::limits::{ENTRY_ID_BYTES_MAX, NAME_BYTES_MAX, PAYLOAD_INLINE_BYTES_MAX};
use crate::model::{EntryId, HandlerOp, Mismatch, Payload, Terminal};

/// What is wrong with the ops of a report.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpsError {
    /// One op is not well formed.
    #[error("ops[{index}]{label}: {problem}")]
    Op {
        /// Which op.
        index: usize,
        /// Its kind and id, as far as known: ` (step "charge")`.
        label: String,
        /// What is wrong.
        problem: OpError,
    },
    /// Something follows the op that ends the run or the invocation.
    #[error("ops[{index}] (`{kind}`) ends the invocation and must stand last, and {after} more follow")]
    TerminalNotLast {
        /// Which op.
        index: usize,
        /// `done`, `fail` or `yield`.
        kind: String,
        /// How many follow.
        after: usize,
    },
    /// A mismatch came with other ops.
    #[error("ops[{index}] is a mismatch and must be the only op of its answer, and there are {ops}")]
    MismatchNotAlone {
        /// Which op.
        index: usize,
        /// How many ops there are.
        ops: usize,
    },
    /// An op that belongs into an answer came with a checkpoint.
    #[error("ops[{index}] (`{kind}`) belongs into the answer, not into a checkpoint")]
    OnlyInAnswers {
        /// Which op.
        index: usize,
        /// Its kind.
        kind: String,
    },
    /// One entry got two outcomes at once.
    #[error("ops[{first}] and ops[{second}] both have the id `{id}` and say different things")]
    Conflict {
        /// The entry's id.
        id: EntryId,
        /// The first op with it.
        first: usize,
        /// The other one.
        second: usize,
    },
}

/// What the ops of a report say.
pub(super) enum Said {
    /// What the handler did, and how it ended, if it did.
    Did(Vec<HandlerOp>, Option<Terminal>),
    /// Its code contradicts the journal.
    Mismatch(Mismatch),
}

/// Reads all ops of an answer.
pub(super) fn of_answer(body: &Bytes, ops: &[WireOp<'_>]) -> Result<Said, OpsError> {
    if let Some(index) = ops.iter().position(|op| &*op.op == "mismatch") {
        return mismatch(ops, index).map(Said::Mismatch);
    }
    let taken = taken(body, ops)?;
    Ok(Said::Did(taken.ops, taken.end))
}

/// Reads all ops of a checkpoint.
pub(super) fn of_checkpoint(body: &Bytes, ops: &[WireOp<'_>]) -> Result<Vec<HandlerOp>, OpsError> {
    let ends = |op: &WireOp<'_>| matches!(&*op.op, "done" | "fail" | "yield" | "mismatch");
    if let Some(index) = ops.iter().position(ends) {
        return Err(OpsError::OnlyInAnswers { index, kind: ops[index].op.to_string() });
    }
    taken(body, ops).map(|taken| taken.ops)
}

fn taken<'a>(body: &Bytes, ops: &'a [WireOp<'a>]) -> Result<Taken<'a>, OpsError> {
    let keep = |raw: &RawValue| keep(body, raw);
    let mut taken = Taken { ops: Vec::with_capacity(ops.len()), end: None, first_with: BTreeMap::new() };
    for index in 0..ops.len() {
        taken.take(ops, index, &keep)?;
    }
    Ok(taken)
}

/// The ops that were taken so far.
struct Taken<'a> {
    ops: Vec<HandlerOp>,
    end: Option<Terminal>,
    first_with: BTreeMap<&'a str, usize>,
}

impl<'a> Taken<'a> {
    fn take(&mut self, all: &'a [WireOp<'a>], index: usize, keep: &Keep<'_>) -> Result<(), OpsError> {
        let op = &all[index];
        let located = |problem| OpsError::Op { index, label: label(op), problem };
        if let Some(end) = op.terminal(keep).map_err(located)? {
            let after = all.len() - index - 1;
            if after > 0 {
                return Err(OpsError::TerminalNotLast { index, kind: op.op.to_string(), after });
            }
            self.end = Some(end);
            return Ok(());
        }
        if let Some(note) = op.note(keep).map_err(located)? {
            self.ops.push(HandlerOp::Note(note));
            return Ok(());
        }
        if let Some(messages) = publish::read(op, keep).map_err(located)? {
            self.ops.push(HandlerOp::Publish(messages));
            return Ok(());
        }
        let entry = op.entry_op(keep).map_err(located)?;
        if matches!(entry, HandlerOp::Heartbeat(_)) {
            // Several may come of one step, and its report after them.
            self.ops.push(entry);
            return Ok(());
        }
        let id = op.id.as_deref().unwrap_or_default();
        match self.first_with.get(id) {
            Some(&first) if !all[first].repeats(op) => {
                return Err(OpsError::Conflict { id: id.into(), first, second: index });
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

fn mismatch(ops: &[WireOp<'_>], index: usize) -> Result<Mismatch, OpsError> {
    if ops.len() > 1 {
        return Err(OpsError::MismatchNotAlone { index, ops: ops.len() });
    }
    let op = &ops[index];
    let located = |problem| OpsError::Op { index, label: label(op), problem };
    let side = |field: &str, value: &Option<String>| {
        let value = value.as_deref().ok_or_else(|| located(FieldProblem::new(field, "is missing").into()))?;
        Ok(shown(value, NAME_BYTES_MAX))
    };
    // The server's own ids, such as `$cancel`, can be contradicted, too.
    let id = op.id.clone().unwrap_or_default();
    if let Some(problem) = text_problem(id.strip_prefix(UNDO).unwrap_or(&id), ENTRY_ID_BYTES_MAX) {
        return Err(located(OpError::Id(problem)));
    }
    Ok(Mismatch { id, journal: side("journal", &op.journal)?, code: side("code", &op.code)? })
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
