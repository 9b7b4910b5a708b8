//! The research agent: with a model that fails now and then, a tool that waits for a person, and a report at the end.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Kind, World};

/// Runs the agent until it asks, answers with a signal, and gives its result.
async fn answered(kind: Kind, wait: &str, signal: &str, data: Value) -> (World, String, Value) {
    let (app, input) = match kind {
        Kind::Node => ("research", json!({ "question": "Why do seams hold?" })),
        Kind::Rust => ("research-rust", json!("Why do seams hold?")),
    };
    let world = World::start(kind, "research-agent", app).await;
    let run = world.start_run(&format!("{app}/research"), &json!({ "input": input })).await;
    assert_eq!(world.entry(&run, wait).await["status"], "waiting");
    world.ask(Method::POST, &format!("/v1/runs/{run}/signals/{signal}"), &json!({ "data": data })).await;
    let result = world.result(&run).await;
    assert_eq!(result["status"], "completed", "{result}");
    (world, run, result["ok"].clone())
}

async fn check_approved(kind: Kind, wait: &str, data: Value) {
    let (world, run, result) = answered(kind, wait, "approve", data).await;
    let report = result["report"].as_str().unwrap();
    assert!(report.contains("held in 40") && report.contains(&format!("under {run}/turn-3/tool")), "{report}");
    // The stand-in's first request is a 500, and the archive opens at the second attempt.
    for id in ["plan", "turn-2/tool"] {
        let entry = world.entry(&run, id).await;
        assert_eq!((entry["status"].as_str(), entry["failures"].as_u64()), (Some("settled"), Some(1)), "{entry:#}");
    }
}

async fn check_rejected(kind: Kind, wait: &str, data: Value) {
    let (_world, _, result) = answered(kind, wait, "reject", data).await;
    assert_eq!(result["notes"][2]["found"], "not allowed: too dear");
}

#[tokio::test]
async fn approved_in_typescript() {
    check_approved(Kind::Node, "turn-3/approved", json!({ "by": "ann" })).await;
}

#[tokio::test]
async fn rejected_in_typescript() {
    check_rejected(Kind::Node, "turn-3/approved", json!({ "by": "bob", "reason": "too dear" })).await;
}

#[tokio::test]
async fn approved_in_rust() {
    check_approved(Kind::Rust, "turn-3/approve", json!("ann")).await;
}

#[tokio::test]
async fn rejected_in_rust() {
    check_rejected(Kind::Rust, "turn-3/approve", json!("too dear")).await;
}
