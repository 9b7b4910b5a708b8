//! Statements about what a run is found by.

use std::collections::BTreeMap;

use backstitch::{AttributeValue, Ctx, Error, Invoke, Start};
use serde_json::{Value, json};

use super::values::text;

/// What the statement does to the run's own tags and attributes, or asks of them, if it is about those.
pub(super) fn of_run(ctx: &Ctx, s: &Value, eval: impl Fn(&Value) -> Value) -> Option<Result<Value, Error>> {
    if s.get("labels").is_some() {
        return Some(Ok(json!({"tags": ctx.tags(), "attributes": ctx.attributes()})));
    }
    let texts = |verb: &str| s.get(verb).map(|it| serde_json::from_value::<Vec<String>>(eval(it)).unwrap());
    let done = match (texts("addTags"), texts("removeTags"), texts("setTags"), texts("removeAttributes")) {
        (Some(tags), ..) => ctx.add_tags(tags),
        (_, Some(tags), ..) => ctx.remove_tags(tags),
        (_, _, Some(tags), _) => ctx.set_tags(tags),
        (.., Some(names)) => ctx.remove_attributes(names),
        _ => ctx.set_attributes(read(&eval(s.get("setAttributes")?))),
    };
    Some(done.map(|()| Value::Null))
}

/// What an awaited child is to be found by.
pub(super) fn of_call<T>(call: Invoke<T>, s: &Value) -> Invoke<T> {
    let call = tags(s).fold(call, Invoke::tag);
    attributes(s).into_iter().fold(call, |call, (name, value)| call.attribute(name, value))
}

/// What a detached child is to be found by.
pub(super) fn of_start(start: Start, s: &Value) -> Start {
    let start = tags(s).fold(start, Start::tag);
    attributes(s).into_iter().fold(start, |start, (name, value)| start.attribute(name, value))
}

fn tags(s: &Value) -> impl Iterator<Item = &str> {
    s.get("tags").and_then(Value::as_array).into_iter().flatten().map(text)
}

fn attributes(s: &Value) -> BTreeMap<String, AttributeValue> {
    s.get("attributes").map(read).unwrap_or_default()
}

fn read(attributes: &Value) -> BTreeMap<String, AttributeValue> {
    serde_json::from_value(attributes.clone()).unwrap()
}
