//! The op `publish`: messages that one place of the handler's code has said, one after the other, counted there.

use serde_json::value::RawValue;

use super::op::{Keep, OpError, UNDO, WireOp, too_long};
use super::reader::{Bounded, FieldProblem, named, read as read_json, shown, text_problem};
use crate::limits::{ENTRY_ID_BYTES_MAX, MESSAGE_BYTES_MAX, MESSAGES_PER_OP_MAX, NAME_BYTES_MAX};
use crate::model::{PublishOp, Stream, Text};

/// Reads the op, if it is one.
pub(super) fn read(op: &WireOp<'_>, keep: &Keep<'_>) -> Result<Option<PublishOp>, OpError> {
    if &*op.op != "publish" {
        return Ok(None);
    }
    let source = source(op)?;
    let attempt = op.attempt.map(|_| op.attempt()).transpose()?;
    if let Some(channel) = &op.channel {
        name("channel", channel)?;
    }
    let topic = op.topic.clone().ok_or_else(|| FieldProblem::new("topic", "is missing"))?;
    name("topic", &topic)?;
    let index = op.index.ok_or_else(|| FieldProblem::new("index", "is missing"))?;
    let data = op.data.ok_or_else(|| FieldProblem::new("data", "is missing"))?;
    if data.get().len() > MESSAGE_BYTES_MAX {
        return Err(FieldProblem::new("data", too_long(data.get().len(), MESSAGE_BYTES_MAX)).into());
    }
    let messages: Bounded<&RawValue, MESSAGES_PER_OP_MAX> =
        read_json(data.get().as_bytes()).map_err(|problem| problem.within("data"))?;
    let count = u32::try_from(messages.0.len()).unwrap_or(u32::MAX);
    if count == 0 {
        return Err(FieldProblem::new("data", "is empty; send at least one message").into());
    }
    Ok(Some(PublishOp { source, attempt, channel: op.channel.clone(), topic, index, count, data: keep(data) }))
}

/// Which place of the code it was: a step, or the handler in one of its scopes.
fn source(op: &WireOp<'_>) -> Result<Text, OpError> {
    let id = op.id.clone().ok_or_else(|| OpError::Id("is missing".to_owned()))?;
    let path = match op.attempt {
        Some(_) => id.strip_prefix(UNDO).unwrap_or(&id),
        // What a handler says outside of bodies counts for its scope.
        None => match id.strip_suffix(Stream::HANDLER) {
            Some("") => return Ok(id),
            Some(scope) => scope.strip_suffix('/').unwrap_or("$"),
            None => {
                let id = shown(&id, 60);
                return Err(OpError::Id(format!(
                    "is `{id}`; with an `attempt` it is that of a step, without one it is `$publish` with its scopes before it"
                )));
            }
        },
    };
    if path.contains('$') {
        return Err(OpError::Reserved(shown(&id, 60)));
    }
    match text_problem(path, ENTRY_ID_BYTES_MAX) {
        Some(problem) => Err(OpError::Id(problem)),
        None => Ok(id),
    }
}

/// Channels and topics are names that users choose; `$` begins those of the server.
fn name(field: &str, text: &Text) -> Result<(), OpError> {
    named(field, text, NAME_BYTES_MAX)?;
    if text.starts_with('$') {
        return Err(FieldProblem::new(field, "begins with `$`: such names belong to the server").into());
    }
    Ok(())
}
