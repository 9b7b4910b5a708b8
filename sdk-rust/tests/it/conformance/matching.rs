//! Compares answers as the corpus' README says.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::values::duration;

const DURATIONS: [&str; 8] = [
    "for",
    "timeout",
    "retryAfter",
    "initialInterval",
    "maxInterval",
    "heartbeat",
    "scheduleToClose",
    "scheduleToStart",
];
const ENDS: [&str; 4] = ["done", "fail", "yield", "continueAsNew"];
const TIMES: [&str; 2] = ["until", "at"];

/// Whether `got` answers as `expected` says, the token aside.
pub(super) fn answer(expected: &Value, got: &Value) -> Result<(), String> {
    if expected["seen"] != got["seen"] {
        return Err(format!("seen is {} instead of {}", got["seen"], expected["seen"]));
    }
    let (wanted, found) = (ops(expected), ops(got));
    let ids = |ops: &[Value]| ops.iter().map(name).collect::<Vec<_>>();
    let (mut wanted_ids, mut found_ids) = (ids(&wanted), ids(&found));
    let terminal = found.iter().position(|op| ENDS.contains(&id(&op["op"])));
    if terminal.is_some_and(|position| position + 1 != found.len()) {
        return Err("the terminal op is not the last".to_owned());
    }
    for (at, heartbeat) in found.iter().enumerate().filter(|(_, op)| op["op"] == "heartbeat" || op["op"] == "publish") {
        if found[..at].iter().any(|op| op["op"] == "step" && op["id"] == heartbeat["id"]) {
            return Err(format!("what {} says while it is at work stands after its report", heartbeat["id"]));
        }
    }
    wanted_ids.sort();
    found_ids.sort();
    if wanted_ids != found_ids {
        return Err(format!("the ops are {found_ids:?} instead of {wanted_ids:?}"));
    }
    for op in &wanted {
        let twin = found.iter().find(|twin| name(twin) == name(op)).unwrap();
        compare_op(op, twin)?;
    }
    awaiting(expected, got)
}

/// What tells an op from the others of one answer.
fn name(op: &Value) -> String {
    match id(&op["op"]) {
        "reply" => format!("reply {}", id(&op["update"])),
        "heartbeat" => format!("heartbeat {}", id(&op["id"])),
        "publish" => format!("publish {} {} {}", id(&op["id"]), id(&op["topic"]), op["index"]),
        note @ ("status" | "labels") => note.to_owned(),
        end if ENDS.contains(&end) => "end".to_owned(),
        _ => id(&op["id"]).to_owned(),
    }
}

/// Whether the ops that must stand in an order do.
pub(super) fn order(transcript: &Value, got: &Value) -> Result<(), String> {
    let Some(ordered) = transcript.get("ordered").and_then(Value::as_array) else { return Ok(()) };
    let found: Vec<Value> = ops(got).into_iter().map(|op| op["id"].clone()).filter(|id| ordered.contains(id)).collect();
    if &found == ordered { Ok(()) } else { Err(format!("the order is {found:?} instead of {ordered:?}")) }
}

/// Whether the bodies that have begun are those that had to.
pub(super) fn bodies(transcript: &Value, begun: &[String]) -> Result<(), String> {
    let wanted: Vec<String> = match transcript.get("bodies") {
        Some(Value::Null) => return Ok(()),
        Some(bodies) => bodies.as_array().unwrap().iter().map(|body| id(body).to_owned()).collect(),
        None => attempts(transcript),
    };
    let (mut wanted, mut begun) = (wanted, begun.to_vec());
    wanted.sort();
    begun.sort();
    if wanted == begun { Ok(()) } else { Err(format!("the bodies {begun:?} have begun instead of {wanted:?}")) }
}

/// Whether the bodies that had to be told to stop were: in this language by being dropped.
pub(super) fn stopped(transcript: &Value, stopped: &[String]) -> Result<(), String> {
    let Some(wanted) = transcript.get("stopped").and_then(Value::as_array) else { return Ok(()) };
    match wanted.iter().find(|wanted| !stopped.iter().any(|body| body == id(wanted))) {
        Some(missing) => Err(format!("the body {missing} was not stopped")),
        None => Ok(()),
    }
}

/// The ids of the step ops of a transcript, each attempt once: a checkpoint may be sent twice.
fn attempts(transcript: &Value) -> Vec<String> {
    let checkpoints = transcript.get("checkpoints").and_then(Value::as_array).into_iter().flatten();
    let reports = checkpoints.map(|checkpoint| &checkpoint["request"]).chain([&transcript["answer"]]);
    let steps = reports.flat_map(ops).filter(|op| op["op"] == "step");
    let attempts: BTreeSet<(String, u64)> =
        steps.map(|op| (id(&op["id"]).to_owned(), op["attempt"].as_u64().unwrap_or_default())).collect();
    attempts.into_iter().map(|(id, _)| id).collect()
}

fn awaiting(expected: &Value, got: &Value) -> Result<(), String> {
    let groups = |answer: &Value| {
        let groups = answer.get("awaiting")?.as_array().unwrap();
        let group = |group: &Value| group.as_array().unwrap().iter().map(|entry| id(entry).to_owned()).collect();
        Some(groups.iter().map(group).collect::<BTreeSet<BTreeSet<String>>>())
    };
    match (groups(expected), groups(got)) {
        (_, None) => Ok(()),
        (wanted, found) if wanted == found => Ok(()),
        // One id each means the same as no groups at all.
        (None, Some(found)) if found.iter().all(|group| group.len() == 1) => Ok(()),
        (wanted, found) => Err(format!("awaiting is {found:?} instead of {wanted:?}")),
    }
}

fn compare_op(wanted: &Value, found: &Value) -> Result<(), String> {
    let mut found = found.as_object().unwrap().clone();
    let mut wanted = wanted.as_object().unwrap().clone();
    if wanted.get("op").is_some_and(|op| op == "step") {
        for time in ["startedAt", "endedAt"] {
            let at = found.remove(time).unwrap_or_default();
            let at = at.as_str().ok_or_else(|| format!("{time} is missing"))?;
            if at.len() != "2026-03-01T12:00:00.000Z".len() || at.parse::<jiff::Timestamp>().is_err() {
                return Err(format!("{time} is `{at}`"));
            }
        }
    }
    if wanted.get("params").is_some_and(|params| params == &Value::Object(Map::new())) && !found.contains_key("params")
    {
        wanted.remove("params");
    }
    if let Some(error) = wanted.remove("err") {
        let got = found.remove("err").ok_or("there is no err")?;
        compare_error(&error, &got)?;
    }
    let (wanted, found) = (Value::Object(wanted), Value::Object(found));
    if equal(None, &wanted, &found) { Ok(()) } else { Err(format!("the op is {found} instead of {wanted}")) }
}

fn compare_error(wanted: &Value, found: &Value) -> Result<(), String> {
    for (key, value) in wanted.as_object().unwrap() {
        if !found.get(key).is_some_and(|got| equal(Some(key), value, got)) {
            return Err(format!("{key} of the error is {} instead of {value}", found[key]));
        }
    }
    let extra = ["code", "data", "retryAfter"].into_iter();
    match extra.filter(|key| found.get(key).is_some()).find(|key| wanted.get(key).is_none()) {
        Some(key) => Err(format!("the error has {key}: {}", found[key])),
        None => Ok(()),
    }
}

fn equal(key: Option<&str>, wanted: &Value, found: &Value) -> bool {
    match (wanted, found) {
        _ if key.is_some_and(|key| DURATIONS.contains(&key)) => duration(wanted) == duration(found),
        (Value::String(a), Value::String(b)) if key.is_some_and(|key| TIMES.contains(&key)) => {
            a.parse::<jiff::Timestamp>().ok() == b.parse::<jiff::Timestamp>().ok()
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, value)| b.get(key).is_some_and(|other| equal(Some(key), value, other)))
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(None, a, b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        _ => wanted == found,
    }
}

fn ops(answer: &Value) -> Vec<Value> {
    answer["ops"].as_array().cloned().unwrap_or_default()
}

fn id(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
