//! The corpus' vectors: inputs and outputs of the protocol's pure functions.

use std::time::Duration;

use serde_json::Value;

use crate::duration;
use crate::raw::Raw;
use crate::replay::ids::{self, Numbers};
use crate::wire::digest;

fn vectors(of: &str) -> Vec<Value> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance/vectors.json");
    let all: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let vectors = all[of].as_array().unwrap().clone();
    assert!(!vectors.is_empty());
    vectors
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn entry_ids() {
    for vector in vectors("ids") {
        let mut numbers = Numbers::default();
        let scope = vector["scopes"].as_array().unwrap().iter();
        let scope = scope.fold(String::new(), |scope, name| numbers.scope(&scope, text(name)));
        for _ in 0..vector["repeat"].as_u64().unwrap() {
            let _ = numbers.entry(&scope, text(&vector["id"]));
        }
        let id = numbers.entry(&scope, text(&vector["id"])).ok();
        assert_eq!(id.as_deref(), vector["wire"].as_str(), "{vector}");
    }
}

#[test]
fn digests_over_the_bytes_as_sent() {
    for vector in vectors("digests") {
        assert_eq!(digest(text(&vector["bytes"]).as_bytes()), text(&vector["digest"]));
    }
    assert_eq!(Raw::empty_object().as_bytes(), b"{}");
}

#[test]
fn chance() {
    for vector in vectors("chance") {
        let draw = ids::chance(text(&vector["run"]), text(&vector["scope"]), vector["counter"].as_u64().unwrap());
        assert_eq!(Some(ids::random(draw)), vector["random"].as_f64());
        assert_eq!(ids::uuid(draw), text(&vector["uuid"]));
    }
}

#[test]
fn awakeable_tokens() {
    for vector in vectors("awakeables") {
        let token = ids::awakeable_token(text(&vector["run"]), text(&vector["secret"]), text(&vector["entry"]));
        assert_eq!(token, text(&vector["token"]));
    }
}

#[test]
fn durations() {
    for vector in vectors("durations") {
        // Integers are milliseconds, which a `Duration` cannot hold wrongly.
        let Some(text) = vector["text"].as_str() else { continue };
        let read = duration::parse(text).ok();
        assert_eq!(read, vector["ms"].as_u64().map(Duration::from_millis), "{text}");
        if let Some(read) = read {
            assert_eq!(duration::parse(&duration::format(read)).ok(), Some(read));
        }
    }
}
