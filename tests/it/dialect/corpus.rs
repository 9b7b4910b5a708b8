//! The conformance corpus, read by its third reader: every answer in it is taken, every invocation in it is what this
//! server would send, every vector holds.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use backstitch_server::dialect::native::{decode_answer, encode};
use backstitch_server::model::{
    Answer, Entry, EntryKind, EntryStatus, HandlerOp, Outcome, Payload, RunHead, Snapshot, Span, Timestamp,
    TriggerKind, digest_of,
};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::support::runs::{entry, head, input, settled, token};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance");

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    transcripts: Vec<Transcript>,
}

#[derive(serde::Deserialize)]
struct Transcript {
    when: String,
    invocation: Map<String, Value>,
    answer: Expected,
}

#[derive(serde::Deserialize)]
struct Expected {
    seen: u32,
    ops: Vec<Box<RawValue>>,
    #[serde(default)]
    awaiting: Option<Value>,
}

/// What a case needs if it is made of more than one request.
const TALKS: [&str; 2] = ["checkpoints", "pages"];

/// What a case needs that this dialect does not speak yet.
const LATER: [&str; 10] = [
    "status",
    "heartbeats",
    "stepTimeouts",
    "undo",
    "updates",
    "patches",
    "parentClose",
    "continueAsNew",
    "deadline",
    "objects",
];

fn read(path: &str) -> String {
    fs::read_to_string(format!("{FOLDER}/{path}")).expect(path)
}

fn cases() -> Vec<Case> {
    let files = fs::read_dir(format!("{FOLDER}/cases")).expect("the corpus has cases");
    let mut names: Vec<String> =
        files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    let texts = names.iter().map(|name| (name, read(&format!("cases/{name}"))));
    // Checkpoints and pages are conversations, not an invocation and its answer.
    let skipped = |text: &str| {
        let (_, rest) = text.split_once("\"needs\": [").unwrap_or_default();
        let needs = rest.split(']').next().unwrap_or_default();
        TALKS.iter().chain(&LATER).any(|word| needs.contains(&format!("\"{word}\"")))
    };
    let alone = texts.filter(|(_, text)| !skipped(text));
    let cases: Vec<Case> = alone.map(|(name, text)| serde_json::from_str(&text).expect(name)).collect();
    assert!(cases.len() > 40, "only {} cases were found", cases.len());
    cases
}

/// JSON without the white space that it was written down with, its fields in their order.
fn compact(json: &str) -> String {
    let (mut out, mut in_text, mut escaped) = (String::new(), false, false);
    for c in json.chars() {
        if in_text || !c.is_whitespace() {
            out.push(c);
        }
        in_text ^= c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
    }
    out
}

/// The answer as an SDK sends it: with the times that cases leave out.
fn answer_body(expected: &Expected) -> String {
    let op = |raw: &RawValue| {
        let text = compact(raw.get());
        let step = text.starts_with(r#"{"op":"step""#);
        let times = r#"{"startedAt":"2026-03-01T12:00:00.000Z","endedAt":"2026-03-01T12:00:00.001Z","#;
        if step { text.replacen('{', times, 1) } else { text }
    };
    let ops: Vec<String> = expected.ops.iter().map(|raw| op(raw)).collect();
    let awaiting = expected.awaiting.as_ref().map_or_else(String::new, |groups| format!(",\"awaiting\":{groups}"));
    format!(r#"{{"token":"{}","seen":{},"ops":[{}]{awaiting}}}"#, token(), expected.seen, ops.join(","))
}

/// The event for later is the one op of the corpus that this version of the server refuses.
const REFUSED: &str = "sends";

#[test]
fn every_answer_is_taken() {
    let mut taken = 0;
    for case in cases() {
        for transcript in &case.transcripts {
            let body = with_messages(&answer_body(&transcript.answer));
            let answer = decode_answer(&body.clone().into(), &token(), transcript.answer.seen);
            match answer {
                Ok(Answer::Ops { ops, end, .. }) => {
                    assert_eq!(
                        ops.len() + usize::from(end.is_some()),
                        transcript.answer.ops.len(),
                        "{}: {body}",
                        case.name
                    );
                    taken += ops.len();
                }
                Ok(Answer::Mismatch(_)) => assert!(case.name.contains("mismatch"), "{}", case.name),
                Err(error) => {
                    assert!(
                        case.name == REFUSED && error.to_string().contains("events[1].at"),
                        "{}, {}: {error}",
                        case.name,
                        transcript.when
                    );
                }
                Ok(other) => panic!("{}, {}: {other:?}", case.name, transcript.when),
            }
        }
    }
    assert!(taken > 60, "only {taken} ops were read");
}

/// Errors of the SDK's own wording stand without a message in the cases; on the wire they have one.
fn with_messages(body: &str) -> String {
    fn complete(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                if let Some(Value::Object(error)) = fields.get_mut("err") {
                    error.entry("message").or_insert_with(|| json!("its own words"));
                }
                fields.values_mut().for_each(complete);
            }
            Value::Array(items) => items.iter_mut().for_each(complete),
            _ => {}
        }
    }
    let mut value: Value = serde_json::from_str(body).expect(body);
    complete(&mut value);
    value.to_string()
}

/// The parameters of every entry of a case, as its op was sent.
fn params_of(case: &Case) -> BTreeMap<String, Payload> {
    #[derive(serde::Deserialize)]
    struct Op {
        op: String,
        #[serde(default)]
        id: String,
        #[serde(default)]
        params: Option<Box<RawValue>>,
    }
    let ops = case.transcripts.iter().flat_map(|transcript| &transcript.answer.ops);
    let ops = ops.map(|raw| serde_json::from_str::<Op>(raw.get()).expect("an op"));
    ops.filter(|op| op.op != "mismatch")
        .map(|op| (op.id, Payload::trusted(op.params.map_or_else(|| "{}".to_owned(), |params| compact(params.get())))))
        .collect()
}

/// An entry of a journal as the server keeps it.
fn kept(n: usize, written: &Value, params: &BTreeMap<String, Payload>) -> Entry {
    let text = |field: &str| written[field].as_str().unwrap_or_default();
    let json = |value: &Value| Payload::trusted(value.to_string());
    let kind = EntryKind::parse(text("op")).expect("a kind");
    let params = params.get(text("id")).cloned().unwrap_or_else(|| Payload::trusted("{}"));
    let open =
        Entry { name: written["name"].as_str().map(Into::into), params, ..entry(n as u32 + 1, text("id"), kind, "{}") };
    let outcome = match (written.get("ok"), written.get("err"), written.get("timeout")) {
        (Some(value), _, _) => Some(Outcome::Ok(json(value))),
        (_, Some(error), _) => Some(Outcome::Err(json(error))),
        (_, _, Some(_)) => Some(Outcome::Timeout),
        _ => None,
    };
    match (outcome, written.get("run")) {
        (Some(outcome), _) => {
            let seq = written["seq"].as_u64().expect("a settled entry has a seq") as u32;
            Entry { settled_at: text("at").parse().ok(), ..settled(open, seq, outcome) }
        }
        (None, Some(run)) => Entry {
            status: EntryStatus::Runnable,
            failures: run["attempt"].as_u64().expect("an attempt") as u32 - 1,
            last_error: run.get("error").map(json),
            ..open
        },
        (None, None) => open,
    }
}

#[test]
fn every_invocation_is_what_the_server_sends() {
    let defaults: Map<String, Value> = serde_json::from_str(&read("defaults.json")).expect("the defaults");
    let (mut digests, mut invocations) = (0, 0);
    for case in cases() {
        let params = params_of(&case);
        for transcript in &case.transcripts {
            let mut expected = defaults.clone();
            for (field, value) in &transcript.invocation {
                match (field.as_str(), value) {
                    ("run", Value::Object(fields)) => {
                        let run = expected["run"].as_object_mut().expect("an object");
                        run.extend(fields.clone());
                    }
                    _ => drop(expected.insert(field.clone(), value.clone())),
                }
            }
            let mut expected = Value::Object(expected);
            let journal = expected["journal"].as_array().expect("a list");
            if journal.iter().any(|written| EntryKind::parse(text(&written["op"])).is_none()) {
                // Ops of the protocol that this version of the server does not have.
                continue;
            }
            invocations += 1;
            // The server does not say what was seen before.
            expected["run"].as_object_mut().expect("an object").remove("seen");
            let sent =
                encode(&snapshot_of(&expected, &params), text(&expected["run"]["secret"]), 1 << 20).expect("it fits");
            let mut sent: Value = serde_json::from_slice(&sent.body).expect("it is JSON");
            // A digest in the journal is checked where the case also shows the op that was sent with it.
            for (ours, theirs) in sent["journal"]
                .as_array_mut()
                .expect("a list")
                .iter_mut()
                .zip(expected["journal"].as_array().expect("a list"))
            {
                if !params.contains_key(text(&theirs["id"]))
                    || case.name == "edited-parameters"
                    || theirs.get("digest").is_none()
                {
                    ours.as_object_mut().expect("an object").remove("digest");
                    if let Some(digest) = theirs.get("digest") {
                        ours["digest"] = digest.clone();
                    }
                } else {
                    digests += 1;
                }
            }
            assert_eq!(sent, expected, "{}, {}", case.name, transcript.when);
        }
    }
    assert!(digests > 50 && invocations > 100, "only {digests} digests of {invocations} invocations were compared");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn snapshot_of(invocation: &Value, params: &BTreeMap<String, Payload>) -> Snapshot {
    let (run, trigger) = (&invocation["run"], &invocation["trigger"]);
    let mut start = input(&invocation["input"].to_string());
    let (kind, facts) = match text(&trigger["kind"]) {
        "event" => {
            let mut event = trigger["events"][0].clone();
            event["kind"] = json!("event");
            (TriggerKind::Event, event)
        }
        "invoke" => (TriggerKind::Invoke, trigger.clone()),
        _ => (TriggerKind::Call, trigger.clone()),
    };
    start.params = Payload::trusted(facts.to_string());
    if kind == TriggerKind::Event {
        start.outcome = Some(Outcome::Ok(Payload::trusted(trigger["events"][0]["data"].to_string())));
    }
    let journal = invocation["journal"].as_array().expect("a list");
    // The server keeps entries in the order of their creation, which no transcript shows; any order must do.
    let entries = journal.iter().enumerate().rev().map(|(n, written)| kept(n, written, params));
    let head = RunHead {
        trigger: kind,
        name: run["name"].as_str().map(Into::into),
        started_at: text(&run["startedAt"]).parse().expect("a time"),
        ..head()
    };
    let mut snapshot = Snapshot {
        token: text(&invocation["token"]).parse().expect("a token"),
        head: Arc::new(head),
        attempt: run["attempt"].as_u64().expect("an attempt") as u32,
        seen: 0,
        entries: std::iter::once(start).chain(entries).map(Arc::new).collect(),
    };
    // Entries that have not settled come in the order of their creation.
    snapshot.entries[1..].sort_by_key(|entry| entry.idx);
    snapshot
}

#[test]
fn every_vector_holds() {
    let vectors: Value = serde_json::from_str(&read("vectors.json")).expect("the vectors");
    for vector in vectors["digests"].as_array().expect("a list") {
        assert_eq!(digest_of(&Payload::trusted(text(&vector["bytes"]).to_owned())), text(&vector["digest"]));
    }
    for vector in vectors["durations"].as_array().expect("a list") {
        let read = serde_json::from_value::<Span>(vector["text"].clone()).ok().map(|span| span.0);
        assert_eq!(read, vector["ms"].as_u64(), "{}", vector["text"]);
    }
    for vector in vectors["ids"].as_array().expect("a list").iter().filter(|vector| vector["wire"].is_string()) {
        let op = json!({"op": "marker", "id": vector["wire"]});
        let body = json!({"token": token().to_string(), "seen": 0, "ops": [op]}).to_string();
        let Ok(Answer::Ops { ops, .. }) = decode_answer(&body.into(), &token(), 0) else { panic!("{vector}") };
        assert!(matches!(&ops[0], HandlerOp::Marker { id, .. } if **id == *text(&vector["wire"])));
    }
    assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
}
