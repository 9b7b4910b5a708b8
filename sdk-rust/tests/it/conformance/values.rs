//! Values of the corpus: templates filled in, errors, times and durations.

use std::time::{Duration, SystemTime};

use backstitch::{DurationExt, Error, Received};
use serde_json::{Value, json};

pub(super) fn substitute(template: &Value, lookup: &dyn Fn(&str) -> Option<Value>) -> Value {
    match template {
        Value::Object(fields) if fields.len() == 1 && fields.contains_key("$") => {
            lookup(text(&fields["$"])).unwrap_or_else(|| template.clone())
        }
        Value::Object(fields) => fields
            .iter()
            .map(|(key, value)| (key.clone(), substitute(value, lookup)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        Value::Array(values) => values.iter().map(|value| substitute(value, lookup)).collect(),
        other => other.clone(),
    }
}

/// What the path says after its head.
pub(super) fn field(root: &Value, path: &str) -> Value {
    path.split('.').skip(1).fold(root.clone(), |value, segment| match segment.parse::<usize>() {
        Ok(index) if value.is_array() => value.get(index).cloned().unwrap_or_default(),
        _ => value.get(segment).cloned().unwrap_or_default(),
    })
}

pub(super) fn make_error(error: &Value) -> Error {
    let (name, message) = (text(&error["name"]), text(&error["message"]));
    let mut made = match error.get("retryable") {
        Some(Value::Bool(false)) => Error::terminal(name, message),
        _ => Error::new(name, message),
    };
    if let Some(code) = error.get("code") {
        made = made.with_code(text(code));
    }
    if let Some(data) = error.get("data") {
        made = made.with_data(data);
    }
    match error.get("retryAfter") {
        Some(delay) => made.retry_after(duration(delay)),
        None => made,
    }
}

pub(super) fn describe(error: &Error) -> Value {
    let mut described = json!({"name": error.name(), "message": error.message()});
    if let Some(code) = error.code() {
        described["code"] = json!(code);
    }
    if let Some(data) = error.data::<Value>() {
        described["data"] = data;
    }
    described
}

pub(super) fn event(event: Received<Value>) -> Value {
    let at = format!("{:.3}", jiff::Timestamp::try_from(event.at).unwrap());
    json!({"id": event.id, "name": event.name, "data": event.data, "at": at})
}

pub(super) fn timed(data: Option<Value>) -> Value {
    match data {
        Some(data) => json!({"timedOut": false, "data": data}),
        None => json!({"timedOut": true}),
    }
}

pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

pub(super) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap_or_else(|| panic!("no list: {value}"))
}

pub(super) fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}"))
}

pub(super) fn instant(value: &Value) -> SystemTime {
    text(value).parse::<jiff::Timestamp>().unwrap().into()
}

/// A duration of the corpus.
pub(super) fn duration(value: &Value) -> Duration {
    if let Some(ms) = value.as_u64() {
        return ms.milliseconds();
    }
    let (mut total, mut rest) = (Duration::ZERO, text(value));
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|letter: char| letter.is_ascii_digit()).unwrap_or(tail.len());
        let number: u64 = number.parse().unwrap();
        total += match &tail[..letters] {
            "ms" => number.milliseconds(),
            "s" => number.seconds(),
            "m" => number.minutes(),
            "h" => number.hours(),
            "d" => number.days(),
            "w" => number.weeks(),
            unit => panic!("no unit: {unit}"),
        };
        rest = &tail[letters..];
    }
    total
}
