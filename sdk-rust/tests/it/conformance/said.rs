//! The words of the corpus that publish: from a handler, and from the body of a step.

use backstitch::{Ctx, Error, Step};
use serde_json::Value;

use super::values::text;

/// A handler publishes one message.
pub(super) fn publish(ctx: &Ctx, statement: &Value, topic: &Value, data: Value) -> Result<(), Error> {
    match statement.get("channel") {
        Some(channel) => ctx.publish_on(text(channel), text(topic), data),
        None => ctx.publish(text(topic), data),
    }
}

/// A body publishes what its statement lists.
pub(super) fn publish_all(step: &Step, statement: &Value) -> Result<(), Error> {
    for said in statement.get("publishes").and_then(Value::as_array).into_iter().flatten() {
        match said.get("channel") {
            Some(channel) => step.publish_on(text(channel), text(&said["topic"]), &said["data"])?,
            None => step.publish(text(&said["topic"]), &said["data"])?,
        }
    }
    Ok(())
}
