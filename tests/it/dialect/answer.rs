//! Answers: what is taken, and the words in which the rest is refused.

use backstitch_server::dialect::native::{AnswerError, OpsError, decode_answer};
use backstitch_server::limits::{EVENT_BYTES_MAX, NOTE_BYTES_MAX, OPS_MAX, OUTCOME_BYTES_MAX};
use backstitch_server::model::{Answer, HandlerOp, Note, Outcome, Payload, Span, StepResult, Terminal};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::support::runs::token;

pub(super) fn decode(body: impl Into<Bytes>, seen: u32) -> Result<Answer, AnswerError> {
    decode_answer(&body.into(), &token().to_string(), seen)
}

fn decode_ops(ops: &Value) -> Result<Answer, AnswerError> {
    decode(json!({"token": token().to_string(), "seen": 3, "ops": ops, "unknown": {"field": 1}}).to_string(), 3)
}

fn ops(ops: &Value) -> (Vec<HandlerOp>, Option<Terminal>) {
    match decode_ops(ops).unwrap_or_else(|error| panic!("{ops}: {error}")) {
        Answer::Ops { seen: 3, ops, end, .. } => (ops, end),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_op_is_read() {
    let (ops, end) = ops(&json!([
        {"op": "step", "id": "a", "name": "A", "params": {"retry": {"attempts": 3, "initialInterval": "2s", "new": 1}, "timeout": 5},
         "ok": null, "attempt": 2, "startedAt": "2026-03-01T12:00:00.000Z", "endedAt": "2026-03-01T12:00:01.000Z"},
        {"op": "step", "id": "b", "err": {"name": "E", "message": "m", "retryAfter": "1m", "retryable": true, "data": [1]}, "attempt": 1},
        {"op": "sleep", "id": "c", "params": {"for": "1h"}},
        {"op": "sleep", "id": "d", "params": {"until": "2026-03-02T00:00:00Z"}},
        {"op": "waitSignal", "id": "e", "params": {"signal": "go", "timeout": "3d"}},
        {"op": "waitSignal", "id": "s/f:1", "params": {"awakeable": true}},
        {"op": "waitEvent", "id": "g", "params": {"event": "paid", "if": "async.data.id\n\t== 1", "since": "now"}},
        {"op": "invoke", "id": "h", "params": {"function": "bill", "input": null, "detached": true, "app": "billing"}},
        {"op": "send", "id": "i", "params": {"events": [{"name": "x", "data": {"a": 1}, "id": "x-1"}]}},
        {"op": "marker", "id": "j"},
        {"op": "done", "ok": {"total": 1.50}},
    ]));
    let kinds: Vec<&str> = ops.iter().map(|op| op.kind().expect("an entry").as_str()).collect();
    let expected =
        ["step", "step", "sleep", "sleep", "waitSignal", "waitSignal", "waitEvent", "invoke", "send", "marker"];
    assert_eq!(kinds, expected);
    let HandlerOp::Step(a) = &ops[0] else { panic!("{:?}", ops[0]) };
    assert_eq!((a.attempt, a.retry.attempts, a.retry.initial_interval), (2, Some(3), Some(Span(2_000))));
    assert!(matches!(&a.result, StepResult::Ok(value) if value.bytes().as_ref() == b"null"));
    assert_eq!(a.ended_at.expect("a time").since(a.started_at.expect("a time")), Span(1_000));
    let HandlerOp::Step(b) = &ops[1] else { panic!("{:?}", ops[1]) };
    let StepResult::Err(failure, raw) = &b.result else { panic!("{b:?}") };
    assert_eq!((failure.retryable, failure.retry_after), (Some(true), Some(Span(60_000))));
    assert_eq!(raw.read::<Value>().expect("JSON")["data"], json!([1]));
    assert_eq!(b.params.bytes().as_ref(), b"{}");
    let HandlerOp::WaitSignal(awakeable) = &ops[5] else { panic!("{:?}", ops[5]) };
    assert_eq!(*awakeable.signal, *backstitch_server::engine::awakeable_signal("s/f:1"));
    let HandlerOp::WaitEvent(wait) = &ops[6] else { panic!("{:?}", ops[6]) };
    assert!(!wait.since_run && wait.filter.is_some());
    assert!(matches!(end, Some(Terminal::Done(value)) if value.bytes().as_ref() == br#"{"total":1.5}"#));
}

#[test]
fn a_step_beats_and_is_reported_in_one_answer() {
    let params = json!({"heartbeat": "30s", "scheduleToClose": "1h", "scheduleToStart": 5});
    let beat =
        |details: Value| json!({"op": "heartbeat", "id": "a", "params": params, "attempt": 2, "details": details});
    let report = json!({"op": "step", "id": "a", "params": params, "attempt": 2, "err": {"name": "E", "message": "m"}});
    let (ops, _) = ops(&json!([beat(json!({"done": 3})), beat(json!(null)), report]));
    let [HandlerOp::Heartbeat(first), HandlerOp::Heartbeat(_), HandlerOp::Step(_)] = &ops[..] else {
        panic!("{ops:?}")
    };
    assert_eq!((&*first.id, first.attempt, first.details.bytes().as_ref()), ("a", 2, &br#"{"done":3}"#[..]));
}

#[test]
fn compensations_are_steps_of_the_handler() {
    let (step, undo) = ("x".repeat(256), format!("$undo/{}", "x".repeat(256)));
    let (ops, _) = ops(&json!([
        {"op": "step", "id": step, "params": {"compensate": true}, "attempt": 1, "ok": 1},
        {"op": "step", "id": undo, "params": {"compensates": step}, "attempt": 1, "ok": null},
    ]));
    assert_eq!(ops[1].id().map(|id| &**id), Some(&*undo));
}

#[test]
fn updates_are_waited_for_and_replied_to() {
    let (ops, _) = ops(&json!([
        {"op": "waitSignal", "id": "a", "params": {"signal": "change", "update": true}},
        {"op": "reply", "update": "upd_1", "ok": null},
        {"op": "reply", "update": "upd_2", "err": {"name": "E", "message": "m"}},
        {"op": "reply", "update": "upd_3", "ok": "x".repeat(OUTCOME_BYTES_MAX)},
    ]));
    let HandlerOp::WaitSignal(wait) = &ops[0] else { panic!("{:?}", ops[0]) };
    assert_eq!(&*wait.signal, "$update/change");
    let reply = |at: usize| match &ops[at] {
        HandlerOp::Note(Note::Reply { update, reply }) => (update.to_string(), reply.clone()),
        other => panic!("{other:?}"),
    };
    assert_eq!(reply(1), ("upd_1".to_owned(), Outcome::Ok(Payload::null())));
    assert!(matches!(reply(2), (id, Outcome::Err(_)) if id == "upd_2"));
    let (_, Outcome::Err(large)) = reply(3) else { panic!("{ops:?}") };
    assert_eq!(large.read::<Value>().expect("JSON")["name"], "TooLarge");
}

#[test]
fn leading_white_space_and_hints_are_fine() {
    let body = format!(
        "\n\n\n {}",
        json!({"token": token().to_string(), "seen": 0, "ops": [], "awaiting": [["a", "b"], [], ["c"]]})
    );
    let Answer::Ops { awaiting, ops, end, .. } = decode(body, 0).expect("it is an answer") else { panic!() };
    assert_eq!(awaiting, vec![vec!["a".into(), "b".into()], vec!["c".into()]]);
    assert!(ops.is_empty() && end.is_none());
    let nothing = json!({"token": token().to_string(), "seen": 0, "ops": [], "awaiting": null}).to_string();
    assert!(matches!(decode(nothing, 0), Ok(Answer::Ops { awaiting, .. }) if awaiting.is_empty()));
}

#[test]
fn a_mismatch_stands_alone() {
    let mismatch = json!({"op": "mismatch", "id": "a", "journal": "sleep", "code": "step"});
    let Ok(Answer::Mismatch(read)) = decode_ops(&json!([mismatch])) else { panic!() };
    assert_eq!((&*read.id, &*read.journal, &*read.code), ("a", "sleep", "step"));
    let error = decode_ops(&json!([{"op": "marker", "id": "m"}, mismatch])).expect_err("not alone");
    assert_eq!(error, AnswerError::Ops(OpsError::MismatchNotAlone { index: 1, ops: 2 }));
}

#[test]
fn the_same_said_twice_counts_once() {
    let step = json!({"op": "step", "id": "a", "ok": 1, "attempt": 1});
    assert_eq!(ops(&json!([step, step])).0.len(), 1);
    let error =
        decode_ops(&json!([step, {"op": "marker", "id": "m"}, {"op": "step", "id": "a", "ok": 2, "attempt": 1}]));
    let conflict = OpsError::Conflict { id: "a".into(), first: 0, second: 2 };
    assert_eq!(error.expect_err("two results"), AnswerError::Ops(conflict));
    let other_kind = decode_ops(&json!([step, {"op": "sleep", "id": "a", "params": {"for": 1}}]));
    assert!(matches!(other_kind, Err(AnswerError::Ops(OpsError::Conflict { .. }))));
}

/// Each bad answer, and words that its error must have.
#[test]
fn what_is_wrong_is_named() {
    let long = "x".repeat(257);
    let cases = [
        (json!([{"op": "teleport", "id": "f"}]), vec!["ops[0] (teleport \"f\")", "no op `teleport`"]),
        (json!([{"id": "f"}]), vec!["ops[0]", "missing field `op`"]),
        (json!([{"op": "marker", "id": "ok"}, {"op": "marker"}]), vec!["ops[1] (marker)", "`id` is missing"]),
        (json!([{"op": "marker", "id": ""}]), vec!["`id` is empty"]),
        (json!([{"op": "marker", "id": long}]), vec!["257 bytes, at most 256"]),
        (json!([{"op": "marker", "id": "a\u{0}b"}]), vec!["U+0000"]),
        (json!([{"op": "marker", "id": "$cancel"}]), vec!["`$cancel`", "belong to the server"]),
        (json!([{"op": "marker", "id": 7}]), vec!["ops[0].id", "expected a string"]),
        (json!([{"op": "marker", "id": "a", "name": ""}]), vec!["`name`: is empty"]),
        (json!([{"op": "marker", "id": "a", "params": []}]), vec!["`params`: must be an object"]),
        (json!([{"op": "step", "id": "a", "attempt": 1}]), vec!["exactly one of `ok` and `err`"]),
        (
            json!([{"op": "step", "id": "a", "attempt": 1, "ok": 1, "err": {"name": "E", "message": ""}}]),
            vec!["exactly one"],
        ),
        (json!([{"op": "step", "id": "a", "ok": 1}]), vec!["`attempt`: is missing"]),
        (json!([{"op": "step", "id": "a", "ok": 1, "attempt": 0}]), vec!["`attempt`: must be at least 1"]),
        (json!([{"op": "step", "id": "a", "ok": 1, "attempt": -1}]), vec!["ops[0].attempt", "-1"]),
        (
            json!([{"op": "step", "id": "a", "ok": 1, "attempt": 1, "startedAt": "noon"}]),
            vec!["ops[0].startedAt", "noon", "RFC 3339"],
        ),
        (
            json!([{"op": "step", "id": "a", "err": {"message": "m"}, "attempt": 1}]),
            vec!["`err`: missing field `name`"],
        ),
        (json!([{"op": "step", "id": "a", "err": "boom", "attempt": 1}]), vec!["`err`:"]),
        (
            json!([{"op": "step", "id": "a", "ok": 1, "attempt": 1, "params": {"timeout": "1.5h"}}]),
            vec!["`params.timeout`", "1.5h"],
        ),
        (
            json!([{"op": "step", "id": "a", "ok": 1, "attempt": 1, "params": {"retry": {"initialInterval": "soon"}}}]),
            vec!["`params.retry.initialInterval`", "soon"],
        ),
        (
            json!([{"op": "step", "id": "a", "ok": 1, "attempt": 1, "params": {"retry": {"attempts": 0}}}]),
            vec!["`params.retry.attempts`", "between 1 and"],
        ),
        (
            json!([{"op": "step", "id": "a", "ok": 1, "attempt": 1, "params": {"retry": {"factor": 0.5}}}]),
            vec!["`params.retry.factor`"],
        ),
        (
            json!([{"op": "step", "id": "a", "ok": 1, "attempt": 1, "params": {"retry": {"jitter": 2}}}]),
            vec!["`params.retry.jitter`"],
        ),
        (json!([{"op": "marker", "id": "a\u{1f}b"}]), vec!["control characters"]),
        (json!([{"op": "marker", "id": "a", "name": "line\nbreak"}]), vec!["`name`: contains control characters"]),
        (
            json!([{"op": "waitSignal", "id": "a", "params": {"signal": "a\u{1f}b"}}]),
            vec!["`params.signal`: contains control characters"],
        ),
        (
            json!([{"op": "waitEvent", "id": "a", "params": {"event": "a\u{85}b"}}]),
            vec!["`params.event`: contains control characters"],
        ),
        (
            json!([{"op": "send", "id": "a", "params": {"events": [{"name": "x", "data": 1, "id": "a\tb"}]}}]),
            vec!["`params.events[0].id`: contains control characters"],
        ),
        (
            json!([{"op": "invoke", "id": "a", "params": {"function": "a\u{1f}b", "input": 1}}]),
            vec!["`params.function`: contains control characters"],
        ),
        (json!([{"op": "sleep", "id": "a"}]), vec!["`params`: exactly one of `for` and `until`"]),
        (
            json!([{"op": "sleep", "id": "a", "params": {"for": 1, "until": "2026-03-02T00:00:00Z"}}]),
            vec!["exactly one"],
        ),
        (json!([{"op": "sleep", "id": "a", "params": {"for": "11y"}}]), vec!["`params.for`", "11y"]),
        (json!([{"op": "sleep", "id": "a", "params": {"for": "4000d"}}]), vec!["`params.for`", "10 years"]),
        (json!([{"op": "sleep", "id": "a", "params": {"for": 1.5}}]), vec!["`params.for`", "integer milliseconds"]),
        (json!([{"op": "waitSignal", "id": "a", "params": {}}]), vec!["exactly one of `signal` and `awakeable: true`"]),
        (
            json!([{"op": "waitSignal", "id": "a", "params": {"signal": "$x"}}]),
            vec!["`params.signal`", "belong to the server"],
        ),
        (
            json!([{"op": "waitSignal", "id": "a", "params": {"awakeable": true, "update": true}}]),
            vec!["`params.update`", "no reply"],
        ),
        (json!([{"op": "sleep", "id": "$undo/a", "params": {"for": 1}}]), vec!["`$undo/a`", "belong to the server"]),
        (json!([{"op": "step", "id": "$undo/", "attempt": 1, "ok": 1}]), vec!["`id` is empty"]),
        (json!([{"op": "heartbeat", "id": "a", "attempt": 1}]), vec!["`details`: is missing"]),
        (json!([{"op": "heartbeat", "id": "a", "details": 1}]), vec!["`attempt`: is missing"]),
        (json!([{"op": "heartbeat", "attempt": 1, "details": 1}]), vec!["`id` is missing"]),
        (
            json!([{"op": "heartbeat", "id": "a", "attempt": 1, "details": "x".repeat(NOTE_BYTES_MAX)}]),
            vec!["`details`", "at most"],
        ),
        (
            json!([{"op": "heartbeat", "id": "a", "attempt": 1, "details": 1, "params": {"scheduleToClose": "soon"}}]),
            vec!["`params.scheduleToClose`", "soon"],
        ),
        (json!([{"op": "reply", "ok": 1}]), vec!["(reply)", "`update`: is missing"]),
        (json!([{"op": "reply", "update": "", "ok": 1}]), vec!["`update`: is empty"]),
        (json!([{"op": "reply", "update": "u"}]), vec!["exactly one of `ok` and `err`"]),
        (json!([{"op": "reply", "update": "u", "err": "no"}]), vec!["`err`:"]),
        (json!([{"op": "waitEvent", "id": "a", "params": {"event": ""}}]), vec!["`params.event`: is empty"]),
        (
            json!([{"op": "waitEvent", "id": "a", "params": {"event": "x", "since": "ever"}}]),
            vec!["`params.since`", "\"ever\""],
        ),
        (
            json!([{"op": "waitEvent", "id": "a", "params": {"event": "x", "if": "y".repeat(5_000)}}]),
            vec!["`params.if`", "5000 bytes"],
        ),
        (json!([{"op": "invoke", "id": "a", "params": {"input": 1}}]), vec!["`params`", "missing field `function`"]),
        (json!([{"op": "invoke", "id": "a", "params": {"function": "f"}}]), vec!["`params.input`: is missing"]),
        (
            json!([{"op": "send", "id": "a", "params": {"events": [{"name": "x", "data": 1}, {"data": 1}]}}]),
            vec!["params.events[1]", "missing field `name`"],
        ),
        (
            json!([{"op": "send", "id": "a", "params": {"events": [{"name": "x"}]}}]),
            vec!["`params.events[0].data`: is missing"],
        ),
        (
            json!([{"op": "send", "id": "a", "params": {"events": [{"name": "x", "data": "d".repeat(EVENT_BYTES_MAX)}]}}]),
            vec!["`params.events[0].data`", "1048578 bytes"],
        ),
        (
            json!([{"op": "send", "id": "a", "params": {"events": [{"name": "x", "data": 1, "at": "2026-03-02T00:00:00Z"}]}}]),
            vec!["`params.events[0].at`", "not supported"],
        ),
        (
            json!([{"op": "send", "id": "a", "params": {"events": vec![json!({"name": "x", "data": 1}); 1_001]}}]),
            vec!["params.events", "more than 1000"],
        ),
        (json!([{"op": "done"}]), vec!["ops[0] (done)", "`ok`: is missing"]),
        (json!([{"op": "fail"}]), vec!["`err`: is missing"]),
        (
            json!([{"op": "done", "ok": 1}, {"op": "marker", "id": "a"}]),
            vec!["ops[0] (`done`)", "must stand last", "1 more"],
        ),
        (
            json!([{"op": "fail", "err": {"name": "E", "message": "m"}}, {"op": "done", "ok": 1}]),
            vec!["(`fail`)", "must stand last"],
        ),
        (json!([{"op": "mismatch", "id": "a", "journal": "step"}]), vec!["(mismatch \"a\")", "`code`: is missing"]),
        (json!({}), vec!["`ops`", "a list"]),
    ];
    for (ops, words) in cases {
        let shown: String = ops.to_string().chars().take(150).collect();
        let error = decode_ops(&ops).err().unwrap_or_else(|| panic!("{shown} was taken")).to_string();
        for word in words {
            assert!(error.contains(word), "{shown}: `{word}` is not in: {error}");
        }
    }
}

#[test]
fn what_is_wrong_with_the_whole_is_named() {
    let token = token().to_string();
    let cases = [
        (String::new(), "empty"),
        (" \n ".to_owned(), "empty"),
        ("<!DOCTYPE html><html><title>Sign in</title>".to_owned(), "an HTML page: <!DOCTYPE html>"),
        ("Internal Server Error".to_owned(), "begins with: Internal Server Error"),
        ("[]".to_owned(), "begins with: []"),
        ("null".to_owned(), "begins with: null"),
        ("{".to_owned(), "EOF"),
        (json!({"token": token, "seen": 3}).to_string(), "missing field `ops`"),
        (json!({"seen": 3, "ops": []}).to_string(), "missing field `token`"),
        (json!({"token": token, "ops": []}).to_string(), "missing field `seen`"),
        (
            json!({"token": token, "seen": 2, "ops": []}).to_string(),
            "`seen` is 2, and the journal of this invocation goes up to 3",
        ),
        (
            json!({"token": "inv_1.0.01hzy3v7q8k2m4n6p8r0s2t4v6", "seen": 3, "ops": []}).to_string(),
            "bears the token of another invocation",
        ),
        (json!({"token": "nonsense", "seen": 3, "ops": []}).to_string(), "bears the token of another invocation"),
        (json!({"token": token, "seen": 3, "ops": [], "awaiting": [[1]]}).to_string(), "awaiting"),
        (
            json!({"token": token, "seen": 3, "ops": [], "awaiting": [[""]]}).to_string(),
            "`awaiting`: has an id that is empty",
        ),
        (format!("{} trailing", json!({"token": token, "seen": 3, "ops": []})), "trailing characters"),
    ];
    for (body, word) in cases {
        let error = decode(body.clone(), 3).err().unwrap_or_else(|| panic!("{body} was taken")).to_string();
        assert!(error.contains(word), "{body}: `{word}` is not in: {error}");
    }
}

#[test]
fn answers_are_bounded() {
    let many = vec![json!({}); 3_000_000];
    let error = decode_ops(&json!(many)).expect_err("too many").to_string();
    assert!(error.contains("ops"), "{error}");
    let markers: Vec<Value> = (0..=OPS_MAX).map(|n| json!({"op": "marker", "id": n.to_string()})).collect();
    let error = decode_ops(&json!(markers)).expect_err("too many").to_string();
    assert!(error.contains("`ops`") && error.contains("10001"), "{error}");
    assert_eq!(ops(&json!(markers[..OPS_MAX])).0.len(), OPS_MAX);
    let ids = vec![vec!["a"; 600]; 20];
    let body = json!({"token": token().to_string(), "seen": 3, "ops": [], "awaiting": ids}).to_string();
    assert!(decode(body, 3).expect_err("too many").to_string().contains("`awaiting`: names more than"));
}

#[test]
fn values_that_are_too_large_settle_as_errors() {
    let big = "x".repeat(OUTCOME_BYTES_MAX);
    let (ops, end) = ops(&json!([{"op": "step", "id": "a", "ok": big, "attempt": 1}, {"op": "done", "ok": big}]));
    let HandlerOp::Step(step) = &ops[0] else { panic!("{:?}", ops[0]) };
    let StepResult::Err(failure, raw) = &step.result else { panic!("a value of 4 MiB and 2 bytes was kept") };
    assert_eq!((&*failure.name, failure.retryable), ("TooLarge", Some(false)));
    assert!(failure.message.contains("4194306 bytes") && raw.len() < 1_000);
    assert!(
        matches!(end, Some(Terminal::Fail(failure, _)) if failure.name == "TooLarge" && failure.retryable == Some(false))
    );
}

#[test]
fn errors_that_are_too_large_are_cut() {
    let err = json!({"name": "Deep", "message": "m".repeat(2_000), "stack": "s".repeat(OUTCOME_BYTES_MAX), "retryable": true});
    let (ops, _) = ops(&json!([{"op": "step", "id": "a", "err": err, "attempt": 1}]));
    let HandlerOp::Step(step) = &ops[0] else { panic!("{:?}", ops[0]) };
    let StepResult::Err(failure, raw) = &step.result else { panic!("{step:?}") };
    assert_eq!((&*failure.name, failure.retryable, raw.len() < 2_000), ("Deep", Some(true), true));
}

/// What a call of the server may not be, and words that the error must have.
#[test]
fn what_is_wrong_with_a_call_is_named() {
    let long = "x".repeat(9_000);
    let many: serde_json::Map<String, serde_json::Value> = (0..65).map(|n| (format!("h{n}"), json!(""))).collect();
    let url = "https://a.example/";
    let cases = [
        (json!({}), vec!["`params`", "missing field `request`"]),
        (json!({"request": {}}), vec!["params.request", "missing field `url`"]),
        (json!({"request": {"url": 7}}), vec!["params.request.url"]),
        (json!({"request": {"url": long}}), vec!["`params.request.url`: has 9000 bytes, at most 8192"]),
        (
            json!({"request": {"url": url, "method": "get"}}),
            vec!["`params.request.method`", "one of GET", "in capitals"],
        ),
        (json!({"request": {"url": url, "method": "CONNECT"}}), vec!["`params.request.method`"]),
        (json!({"request": {"url": url, "headers": {"a": 1}}}), vec!["params.request.headers"]),
        (json!({"request": {"url": url, "headers": many}}), vec!["`params.request.headers`: are 65, at most 64"]),
        (
            json!({"request": {"url": url, "headers": {"a": long}}}),
            vec!["`params.request.headers`: has `a`", "8192 bytes"],
        ),
        (json!({"request": {"url": url, "headers": {"a\r\nb": ""}}}), vec!["a name that contains control characters"]),
        (json!({"request": {"url": url, "encoding": "hex"}}), vec!["params.request.encoding"]),
        (json!({"request": {"url": url}, "timeout": "2h"}), vec!["`params.timeout`: is 2h, at most 1h"]),
        (json!({"request": {"url": url}, "timeout": 0}), vec!["`params.timeout`"]),
        (json!({"request": {"url": url}, "timeout": "soon"}), vec!["params.timeout"]),
        (json!({"request": {"url": url}, "retry": {"attempts": 0}}), vec!["`params.retry.attempts`: must be between"]),
        (json!({"request": {"url": url}, "retryOn": [99]}), vec!["`params.retryOn`: must be at most 100 statuses"]),
        (json!({"request": {"url": url}, "retryOn": ["503"]}), vec!["params.retryOn"]),
    ];
    for (params, words) in cases {
        let error =
            decode_ops(&json!([{"op": "fetch", "id": "f", "params": params}])).expect_err("is wrong").to_string();
        for word in words {
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
        assert!(!error.contains(&long), "values are not repeated: {error}");
    }
    let params =
        json!({"request": {"url": url, "more": 1}, "timeout": "1h", "retryOn": [], "scheduleToClose": "2h", "more": 1});
    let (ops, _) = ops(&json!([{"op": "fetch", "id": "f", "name": "n", "params": params}]));
    let [HandlerOp::Fetch(op)] = &*ops else { panic!("{ops:?}") };
    assert_eq!((&*op.id, op.schedule_to_close), ("f", Some(Span(7_200_000))));
}
