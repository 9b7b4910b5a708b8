//! Whatever comes in, nothing panics; and what goes out is what an SDK reads.

use std::collections::BTreeSet;

use backstitch_server::dialect::native::{
    Access, DeploymentHeader, Report, decode_manifest, decode_problem, decode_report, encode,
};
use backstitch_server::model::{Answer, Entry, EntryKind, EntryStatus, Outcome, Payload};
use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::answer::decode;
use crate::support::runs::{entry, input, ok, settled, snapshot, token};

/// Any JSON, of a few levels.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_filter("JSON has no others", |f| f.is_finite()).prop_map(Value::from),
        ".*".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((".*", inner), 0..4).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Something that looks like an op and may be one.
fn any_op() -> impl Strategy<Value = Value> {
    let kinds = [
        "step",
        "sleep",
        "waitSignal",
        "waitEvent",
        "invoke",
        "send",
        "marker",
        "done",
        "fail",
        "yield",
        "mismatch",
        "x",
    ];
    let fields = [
        "id",
        "name",
        "params",
        "ok",
        "err",
        "attempt",
        "startedAt",
        "journal",
        "code",
        "for",
        "until",
        "signal",
        "awakeable",
        "timeout",
        "event",
        "if",
        "since",
        "function",
        "input",
        "events",
        "data",
        "message",
        "retry",
    ];
    let sensible = prop_oneof![
        any_json(),
        Just(json!("a")),
        Just(json!("1h")),
        Just(json!(1)),
        Just(json!({"name": "E", "message": "m"})),
        Just(json!([{"name": "e", "data": 1}])),
        Just(json!("2026-03-01T12:00:00.000Z")),
    ];
    let object = |sensible| {
        vec((prop::sample::select(fields.to_vec()), sensible), 0..8).prop_map(|fields| {
            Value::Object(fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        })
    };
    let params = object(sensible.clone().boxed());
    (prop::sample::select(kinds.to_vec()), object(sensible.boxed()), proptest::option::of(params)).prop_map(
        |(kind, mut op, params)| {
            op["op"] = json!(kind);
            if let Some(params) = params {
                op["params"] = params;
            }
            op
        },
    )
}

fn any_outcome() -> impl Strategy<Value = Option<Outcome>> {
    prop_oneof![
        any_json().prop_map(|value| Some(ok(&value.to_string()))),
        ".*".prop_map(|text| Some(Outcome::Err(Payload::trusted(json!({"name": "E", "message": text}).to_string())))),
        Just(Some(Outcome::Timeout)),
        Just(None),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(body in vec(any::<u8>(), 0..600)) {
        let _ = decode(body.clone(), 0);
        let _ = decode_report(&body.clone().into());
        let _ = decode_manifest(&body, None, &|_, _| Ok(()));
        let _ = decode_problem(&body);
        let _ = DeploymentHeader::parse(&String::from_utf8_lossy(&body));
    }

    #[test]
    fn any_ops_are_read_or_refused(ops in vec(any_op(), 0..5), awaiting in any_json()) {
        let body = json!({"token": token().to_string(), "seen": 0, "ops": ops, "awaiting": awaiting}).to_string();
        let whole = decode(body.clone(), 0);
        let alone = json!({"token": token().to_string(), "seen": 0, "ops": ops}).to_string();
        if let Ok(answer) = decode(alone, 0) {
            // What is taken is not lost: every op is there, once for each id, or ended the run.
            let ids: BTreeSet<&str> = ops.iter().filter_map(|op| op["id"].as_str()).collect();
            if let Answer::Ops { ops: taken, end, .. } = answer {
                let terminal = usize::from(end.is_some());
                prop_assert!(taken.len() + terminal <= ops.len());
                prop_assert!(taken.iter().all(|op| op.id().is_none_or(|id| ids.contains(&**id))));
            }
        } else {
            prop_assert!(whole.is_err());
        }
        // Cut anywhere, it is an error and no panic.
        let cut = body.len() / 2;
        prop_assert!(decode(body.as_bytes()[..cut].to_vec(), 0).is_err());
    }

    #[test]
    fn any_report_is_read_like_an_answer(ops in vec(any_op(), 0..5), end in proptest::option::of(any::<bool>()),
        extra in vec((prop::sample::select(vec!["n", "wait", "awaiting", "seen"]), any_json()), 0..3)) {
        let mut report = json!({"n": 1, "seen": 0, "ops": ops});
        if let Some(end) = end {
            report["final"] = json!(end);
        }
        let read = decode_report(&report.to_string().into());
        let answer = decode(json!({"token": token().to_string(), "seen": 0, "ops": ops}).to_string(), 0);
        match (read, answer) {
            (Ok(Report::Final(_)), Ok(_)) => prop_assert_eq!(end, Some(true)),
            (Ok(Report::Checkpoint { checkpoint, .. }), Ok(Answer::Ops { ops, end: None, .. })) => {
                prop_assert_eq!(format!("{:?}", checkpoint.ops), format!("{ops:?}"));
            }
            (Err(_), Err(_)) => {}
            // What ends an invocation has no place in a checkpoint.
            (Err(_), Ok(Answer::Ops { end: Some(_), .. } | Answer::Mismatch(_))) => prop_assert_ne!(end, Some(true)),
            (read, answer) => prop_assert!(false, "{report}: {read:?}, {answer:?}"),
        }
        for (field, value) in extra {
            report[field] = value;
        }
        let body = report.to_string();
        let _ = decode_report(&body.clone().into());
        prop_assert!(decode_report(&body.as_bytes()[..body.len() / 2].to_vec().into()).is_err());
    }

    #[test]
    fn any_manifest_is_read_or_refused(fields in vec((prop::sample::select(vec![
        "app", "sdk", "deployment", "limits", "functions", "objects"]), any_json()), 0..6)) {
        let mut manifest: serde_json::Map<String, Value> = fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        manifest.insert("protocol".to_owned(), json!({"min": 1, "max": 1}));
        let _ = decode_manifest(Value::Object(manifest).to_string().as_bytes(), None, &|_, _| Ok(()));
    }

    #[test]
    fn a_journal_arrives_as_it_was(outcomes in vec(("[^\u{0}]{1,20}", any_outcome()), 0..12), given in any_json()) {
        let mut entries = vec![input(&given.to_string())];
        // Settled in the opposite order of their creation, so that the order in the body is the one of settlement.
        let mut seq = outcomes.iter().filter(|(_, outcome)| outcome.is_some()).count() as u32;
        for (n, (id, outcome)) in outcomes.iter().enumerate() {
            let open: Entry = entry(n as u32 + 1, id, EntryKind::WaitSignal, "{}");
            entries.push(match outcome {
                Some(outcome) => { seq -= 1; settled(open, seq + 1, outcome.clone()) }
                None => Entry { status: EntryStatus::Waiting, ..open },
            });
        }
        let access = Access { secret: "00", token: "inv_0", home: None };
        let invocation = encode(&snapshot(entries), access, 1 << 24).expect("it fits");
        let body: Value = serde_json::from_slice(&invocation.body).expect("it is JSON");
        prop_assert_eq!(&body["input"], &serde_json::from_str::<Value>(&given.to_string()).expect("JSON"));
        let journal = body["journal"].as_array().expect("a list");
        prop_assert_eq!(journal.len(), outcomes.len());
        let done: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_some()).rev().collect();
        let open: Vec<_> = outcomes.iter().filter(|(_, outcome)| outcome.is_none()).collect();
        for (n, (read, (id, outcome))) in journal.iter().zip(done.iter().chain(&open)).enumerate() {
            prop_assert_eq!(read["id"].as_str(), Some(id.as_str()));
            match outcome {
                Some(outcome) => {
                    prop_assert_eq!(read["seq"].as_u64(), Some(n as u64 + 1));
                    let value = outcome.payload().map(|payload| payload.read::<Value>().expect("JSON"));
                    prop_assert_eq!(read.get(outcome.word()), Some(&value.unwrap_or(json!(true))));
                }
                None => prop_assert_eq!(&read["pending"], &json!(true)),
            }
        }
        prop_assert_eq!(invocation.seen as usize, done.len());
    }
}
