//! The body of an invocation.

use backstitch_server::dialect::native::{Access, EncodeError, encode};
use backstitch_server::model::{
    Entry, EntryKind, EntryStatus, Outcome, Payload, RunHead, Snapshot, TriggerKind, digest_of,
};
use serde_json::{Value, json};

use crate::support::runs::{RUN, entry, head, input, ok, settled, snapshot};

const SECRET: &str = "8f1d0c5a7b3e92644d6f8a1b2c3d4e5f";
const TOKEN: &str = "inv_1.1.01hzy3v7q8k2m4n6p8r0s2t4v6.0f";

fn access(home: Option<&str>) -> Access<'_> {
    Access { secret: SECRET, token: TOKEN, home }
}

fn body(snapshot: &Snapshot) -> (Value, u32) {
    let invocation = encode(snapshot, access(None), 1 << 20).expect("it fits");
    (serde_json::from_slice(&invocation.body).expect("it is JSON"), invocation.seen)
}

#[test]
fn a_run_that_has_done_nothing() {
    let (body, seen) = body(&snapshot(vec![input(r#"{"a": [1.50]}"#)]));
    assert_eq!(seen, 0);
    assert_eq!(
        body,
        json!({
            "run": {
                "id": RUN, "function": "main", "app": "conformance", "name": null, "attempt": 1,
                "startedAt": "2026-03-01T12:00:00.000Z", "deadline": null, "key": null, "secret": SECRET,
            },
            "trigger": {"kind": "call"},
            "input": {"a": [1.5]},
            "journal": [],
            "links": {"checkpoint": null, "reports": null, "journal": null},
            "token": TOKEN,
        })
    );
}

#[test]
fn payloads_keep_their_bytes() {
    let odd = r#"{"b":1.0e2,  "a":"\u00fc","a":18446744073709551616}"#;
    let step = settled(entry(1, "s", EntryKind::Step, "{}"), 1, ok(odd));
    let invocation = encode(&snapshot(vec![input(odd), step]), access(None), 1 << 20).expect("it fits");
    let text = String::from_utf8(invocation.body.to_vec()).expect("it is UTF-8");
    assert_eq!(text.matches(odd).count(), 2, "{text}");
}

#[test]
fn settled_entries_come_by_seq_and_then_the_others() {
    let failure = r#"{"name":"E","message":"m","retryable":false}"#;
    let runnable = Entry {
        status: EntryStatus::Runnable,
        failures: 2,
        last_error: Some(Payload::trusted(failure)),
        ..entry(4, "pack", EntryKind::Step, r#"{"for":"1h"}"#)
    };
    let entries = vec![
        input("null"),
        settled(entry(1, "late", EntryKind::Sleep, r#"{"for":"1h"}"#), 3, ok("null")),
        settled(entry(2, "first", EntryKind::Step, "{}"), 1, Outcome::Err(Payload::trusted(failure))),
        Entry { status: EntryStatus::Backoff, ..entry(3, "off", EntryKind::Step, "{}") },
        runnable,
        settled(entry(5, "w", EntryKind::WaitSignal, r#"{"signal":"approve","timeout":"3d"}"#), 2, Outcome::Timeout),
        settled(entry(6, "$cancel", EntryKind::Cancel, "{}"), 4, ok("null")),
        Entry { name: Some("n \"1\"".into()), ..entry(7, "a/b:1", EntryKind::WaitEvent, r#"{"event":"x"}"#) },
    ];
    let (body, seen) = body(&snapshot(entries));
    assert_eq!(seen, 4);
    let failure: Value = serde_json::from_str(failure).expect("JSON");
    assert_eq!(
        body["journal"],
        json!([
            {"id": "first", "op": "step", "digest": "44136fa355b3678a", "seq": 1, "at": "2026-03-01T12:00:01.000Z", "err": failure},
            {"id": "w", "op": "waitSignal", "digest": "c3a314e209cdaa19", "seq": 2, "at": "2026-03-01T12:00:02.000Z", "timeout": true},
            {"id": "late", "op": "sleep", "digest": "d9608eabe3e0f2fb", "seq": 3, "at": "2026-03-01T12:00:03.000Z", "ok": null},
            {"id": "$cancel", "op": "cancel", "seq": 4, "at": "2026-03-01T12:00:04.000Z", "ok": null},
            {"id": "off", "op": "step", "digest": "44136fa355b3678a", "pending": true},
            {"id": "pack", "op": "step", "digest": "d9608eabe3e0f2fb", "run": {"attempt": 3, "error": failure}},
            {"id": "a/b:1", "op": "waitEvent", "name": "n \"1\"", "digest": digest_of(&Payload::trusted(r#"{"event":"x"}"#)), "pending": true},
        ])
    );
}

#[test]
fn an_event_is_the_trigger_and_its_data_the_input() {
    let event = r#"{"kind":"event","id":"evt_01hzy3v7q8k2m4n6p8r0s2t4v7","name":"order/\"new\"","at":"2026-03-01T11:59:59.000Z"}"#;
    let start = Entry { params: Payload::trusted(event), ..input(r#"{"total":5}"#) };
    let mut snapshot = snapshot(vec![start]);
    snapshot.head = RunHead { trigger: TriggerKind::Event, name: Some("order-\"1\"".into()), ..head() }.into();
    let (body, _) = body(&snapshot);
    assert_eq!(
        body["trigger"],
        json!({"kind": "event", "events": [{
            "id": "evt_01hzy3v7q8k2m4n6p8r0s2t4v7", "name": "order/\"new\"", "data": {"total": 5}, "at": "2026-03-01T11:59:59.000Z",
        }]})
    );
    assert_eq!((&body["input"], &body["run"]["name"]), (&json!({"total": 5}), &json!("order-\"1\"")));
}

#[test]
fn what_does_not_fit_names_the_biggest() {
    let big = |idx: u32, id: &str, bytes: usize| {
        settled(entry(idx, id, EntryKind::Step, "{}"), idx, ok(&format!("\"{}\"", "x".repeat(bytes))))
    };
    let snapshot = snapshot(vec![input("1"), big(1, "small", 10), big(2, "big", 900), big(3, "middle", 300)]);
    for limit in [1_024, 1_400] {
        let error = encode(&snapshot, access(None), limit).expect_err("it does not fit");
        let EncodeError::TooLarge { limit: told, biggest, bytes } = &error else { panic!("{error}") };
        assert_eq!(*told, limit);
        assert!(*bytes as u64 > limit);
        let ids: Vec<&str> = biggest.iter().map(|(id, _)| &**id).collect();
        assert_eq!(ids, ["big", "middle", "small", "$input"]);
        assert!(error.to_string().contains("`big` (902 bytes)"), "{error}");
    }
}
