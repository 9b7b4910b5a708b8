//! The conformance corpus, read by its third reader: every answer in it is taken, every invocation in it is what this
//! server would send, every vector holds.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use backstitch_server::dialect::native::{
    Access, Report, decode_answer, decode_report, encode, encode_entry, encode_page, encode_reply,
};
use backstitch_server::model::{
    Answer, Entry, EntryKind, EntryStatus, FunctionId, HandlerOp, News, Outcome, Payload, Retry, RunHead, Snapshot,
    Span, Stop, Timestamp, Told, TriggerKind, digest_of,
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
    /// Nothing where it does not matter.
    answer: Option<Expected>,
    #[serde(default)]
    checkpoints: Vec<Exchange>,
    #[serde(default)]
    pages: BTreeMap<String, Value>,
}

/// A request and what came of it.
#[derive(serde::Deserialize)]
struct Exchange {
    request: Asked,
    #[serde(default)]
    reply: Option<Value>,
}

#[derive(serde::Deserialize)]
struct Asked {
    n: u32,
    seen: u32,
    ops: Vec<Box<RawValue>>,
}

#[derive(serde::Deserialize)]
struct Expected {
    seen: u32,
    ops: Vec<Box<RawValue>>,
    #[serde(default)]
    awaiting: Option<Value>,
}

/// What a case needs that this dialect does not speak yet.
const LATER: [&str; 0] = [];

fn read(path: &str) -> String {
    fs::read_to_string(format!("{FOLDER}/{path}")).expect(path)
}

fn cases() -> Vec<Case> {
    let files = fs::read_dir(format!("{FOLDER}/cases")).expect("the corpus has cases");
    let mut names: Vec<String> =
        files.map(|file| file.expect("a file").file_name().into_string().expect("UTF-8")).collect();
    names.sort();
    let texts = names.iter().map(|name| (name, read(&format!("cases/{name}"))));
    let skipped = |text: &str| {
        let (_, rest) = text.split_once("\"needs\": [").unwrap_or_default();
        let needs = rest.split(']').next().unwrap_or_default();
        LATER.iter().any(|word| needs.contains(&format!("\"{word}\"")))
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

/// Ops as an SDK sends them: with the times that cases leave out.
fn sent_ops(ops: &[Box<RawValue>]) -> String {
    let op = |raw: &RawValue| {
        let text = compact(raw.get());
        let step = text.starts_with(r#"{"op":"step""#);
        let times = r#"{"startedAt":"2026-03-01T12:00:00.000Z","endedAt":"2026-03-01T12:00:00.001Z","#;
        if step { text.replacen('{', times, 1) } else { text }
    };
    ops.iter().map(|raw| op(raw)).collect::<Vec<String>>().join(",")
}

/// The answer as an SDK sends it.
fn answer_body(expected: &Expected) -> String {
    let ops = sent_ops(&expected.ops);
    let awaiting = expected.awaiting.as_ref().map_or_else(String::new, |groups| format!(",\"awaiting\":{groups}"));
    format!(r#"{{"token":"{}","seen":{},"ops":[{ops}]{awaiting}}}"#, token(), expected.seen)
}

/// The event for later is the one op of the corpus that this version of the server refuses.
const REFUSED: &str = "sends";

#[test]
fn every_answer_is_taken() {
    let mut taken = 0;
    for case in cases() {
        for transcript in &case.transcripts {
            let Some(expected) = &transcript.answer else { continue };
            let body = with_messages(&answer_body(expected));
            let answer = decode_answer(&body.clone().into(), &token().to_string(), expected.seen);
            match answer {
                Ok(Answer::Ops { ops, end, .. }) => {
                    assert_eq!(ops.len() + usize::from(end.is_some()), expected.ops.len(), "{}: {body}", case.name);
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
    let answered = case.transcripts.iter().flat_map(|transcript| &transcript.answer).flat_map(|answer| &answer.ops);
    let exchanges = case.transcripts.iter().flat_map(|transcript| &transcript.checkpoints);
    let ops = answered.chain(exchanges.flat_map(|exchange| &exchange.request.ops));
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
            details: run.get("details").map(json),
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
        // A body that does not hold the whole journal has a test of its own.
        for transcript in case.transcripts.iter().filter(|transcript| transcript.pages.is_empty()) {
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
            let expected = Value::Object(expected);
            let journal = expected["journal"].as_array().expect("a list");
            if journal.iter().any(|written| EntryKind::parse(text(&written["op"])).is_none()) {
                // Ops of the protocol that this version of the server does not have.
                continue;
            }
            if journal.iter().any(|written| written["ref"] == true) {
                // Small ones stand for large ones here; what the server leaves out is tested where the sizes are real.
                continue;
            }
            invocations += 1;
            let access =
                Access { secret: text(&expected["run"]["secret"]), token: text(&expected["token"]), home: None };
            let sent = encode(&snapshot_of(&expected, &params), access, 1 << 20).expect("it fits");
            let mut sent: Value = serde_json::from_slice(&sent.body).expect("it is JSON");
            // A digest in the journal is checked where the case also shows the op that was sent with it.
            for (ours, theirs) in sent["journal"]
                .as_array_mut()
                .expect("a list")
                .iter_mut()
                .zip(expected["journal"].as_array().expect("a list"))
            {
                if !params.contains_key(text(&theirs["id"]))
                    // One whose id stands for other parameters elsewhere in the case is not compared.
                    || ["edited-parameters", "objects"].contains(&&*case.name)
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
            if let Some(labels) = trigger.get("labels") {
                event["labels"] = labels.clone();
            }
            (TriggerKind::Event, event)
        }
        "invoke" => (TriggerKind::Invoke, trigger.clone()),
        "schedule" => (TriggerKind::Schedule, trigger.clone()),
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
        function: FunctionId::new("conformance", text(&run["function"])),
        key: run["key"].as_str().map(Into::into),
        name: run["name"].as_str().map(Into::into),
        started_at: text(&run["startedAt"]).parse().expect("a time"),
        seed: run["seed"].as_str().map(|seed| seed.parse().expect("a run's id")),
        deadline: run["deadline"].as_str().map(|at| at.parse().expect("a time")),
        ..head()
    };
    let mut snapshot = Snapshot {
        token: token(),
        head: Arc::new(head),
        attempt: run["attempt"].as_u64().expect("an attempt") as u32,
        seen: run["seen"].as_u64().unwrap_or(0) as u32,
        entries: std::iter::once(start).chain(entries).map(Arc::new).collect(),
        state: invocation.get("state").map(|state| Payload::trusted(state.to_string())),
        published: run["published"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(id, n)| (id.as_str().into(), n.as_u64().expect("a count") as u32))
            .collect(),
    };
    // Entries that have not settled come in the order of their creation.
    snapshot.entries[1..].sort_by_key(|entry| entry.idx);
    snapshot
}

/// What is written without the digests, which cases mostly leave out of replies and pages.
fn without_digests(body: &[u8]) -> Value {
    let mut value: Value = serde_json::from_slice(body).expect("it is JSON");
    for list in ["settled", "journal"] {
        for entry in value.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            entry.as_object_mut().expect("an object").remove("digest");
        }
    }
    value
}

/// A reply as the engine makes it.
fn news(reply: &Value, params: &BTreeMap<String, Payload>) -> News {
    let told = |(n, written): (usize, &Value)| {
        let own = ["ok", "err", "timeout"].iter().all(|outcome| written.get(outcome).is_none());
        let mut written = written.clone();
        if own {
            written["ok"] = json!("what the request brought");
        }
        Told { entry: Arc::new(kept(n, &written, params)), own }
    };
    let again = |written: &Value| Retry {
        id: text(&written["id"]).into(),
        attempt: written["attempt"].as_u64().expect("an attempt") as u32,
        due_in: Span(written["dueIn"].as_u64().expect("milliseconds")),
        error: written.get("error").map(|error| Payload::trusted(error.to_string())),
        details: written.get("details").map(|details| Payload::trusted(details.to_string())),
    };
    News {
        settled: reply["settled"].as_array().expect("a list").iter().enumerate().map(told).collect(),
        retry: reply["retry"].as_array().into_iter().flatten().map(again).collect(),
        told: 0,
        stop: reply.get("stop").map(|_| Stop::Drain),
    }
}

#[test]
fn every_checkpoint_is_taken_and_every_reply_can_be_said() {
    let (mut taken, mut said) = (0, 0);
    for case in cases() {
        let params = params_of(&case);
        for Exchange { request, reply } in case.transcripts.iter().flat_map(|transcript| &transcript.checkpoints) {
            let Asked { n, seen, ops } = request;
            let body = with_messages(&format!(r#"{{"n":{n},"seen":{seen},"ops":[{}]}}"#, sent_ops(ops)));
            let read = decode_report(&body.clone().into()).unwrap_or_else(|error| panic!("{}: {error}", case.name));
            let Report::Checkpoint { checkpoint, wait: Span(0) } = read else { panic!("{}: {body}", case.name) };
            assert_eq!((checkpoint.n, checkpoint.seen, checkpoint.ops.len()), (*n, *seen, ops.len()), "{}", case.name);
            taken += ops.len();
            let Some(reply) = reply else { continue };
            let mut expected = reply.clone();
            expected.as_object_mut().expect("an object").entry("retry").or_insert_with(|| json!([]));
            for entry in expected["settled"].as_array_mut().expect("a list") {
                entry.as_object_mut().expect("an object").remove("digest");
            }
            assert_eq!(without_digests(&encode_reply(&news(reply, &params))), expected, "{}", case.name);
            said += 1;
        }
    }
    assert!(taken > 30 && said > 20, "only {taken} ops were taken and {said} replies said");
}

#[test]
fn every_page_can_be_said() {
    let mut pages = 0;
    for case in cases() {
        let params = params_of(&case);
        for (query, page) in case.transcripts.iter().flat_map(|transcript| &transcript.pages) {
            let written = page["journal"].as_array().expect("a list");
            let large = Payload::trusted(format!("\"{}\"", "x".repeat(300_000)));
            let entries: Vec<Entry> = written
                .iter()
                .enumerate()
                .map(|(n, written)| {
                    let mut plain = written.clone();
                    let left_out = plain.as_object_mut().expect("an object").remove("ref").is_some();
                    if left_out {
                        plain["ok"] = json!(null);
                    }
                    let entry = kept(n, &plain, &params);
                    if left_out { Entry { outcome: Some(Outcome::Ok(large.clone())), ..entry } } else { entry }
                })
                .collect();
            let one = query.starts_with("id=");
            let said = without_digests(&if one { encode_entry(entries.first()) } else { encode_page(&entries) });
            let expected = without_digests(page.to_string().as_bytes());
            assert_eq!(said["journal"], expected["journal"], "{}, {query}", case.name);
            assert!(!one || said["before"].is_null());
            pages += 1;
        }
    }
    assert!(pages > 4, "only {pages} pages were compared");
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
        let Ok(Answer::Ops { ops, .. }) = decode_answer(&body.into(), &token().to_string(), 0) else {
            panic!("{vector}")
        };
        assert!(matches!(&ops[0], HandlerOp::Marker { id, .. } if **id == *text(&vector["wire"])));
    }
    assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
}
