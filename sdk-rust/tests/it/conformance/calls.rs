//! The corpus' calls of the server, in terms of the SDK's public surface.

use backstitch::{Ctx, Fetch};
use serde_json::Value;

use super::interpreter::retry;
use super::values::{duration, text};

/// The call that a statement asks for.
pub(super) fn fetch(ctx: &Ctx, id: &str, request: &Value, options: &Value) -> Fetch {
    let mut call = ctx.fetch(id, text(&request["url"]));
    if let Some(method) = request.get("method") {
        call = call.method(text(method));
    }
    for (name, value) in request.get("headers").and_then(Value::as_object).into_iter().flatten() {
        call = call.header(name, text(value));
    }
    call = match request.get("body") {
        None => call,
        Some(Value::String(body)) => call.body(body),
        Some(body) => call.json(body),
    };
    if let Some(timeout) = options.get("timeout") {
        call = call.timeout(duration(timeout));
    }
    if let Some(limit) = options.get("scheduleToClose") {
        call = call.schedule_to_close(duration(limit));
    }
    if let Some(retry) = retry(options) {
        call = call.retry(retry);
    }
    match options.get("retryOn") {
        Some(statuses) => call.retry_on(serde_json::from_value::<Vec<u16>>(statuses.clone()).unwrap()),
        None => call,
    }
}
