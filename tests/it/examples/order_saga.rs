//! The order saga: started by its starter, approved, shipped; and refunded when its reservation fails.

use reqwest::Method;
use serde_json::{Value, json};

use super::world::{Kind, World};

async fn check(kind: Kind, app: &str, starter: &str, approval: &str) {
    let function = format!("{app}/order");
    let world = World::start(kind, "order-saga", app).await;
    let lamp = world.run(starter, &["17", "lamp"]);
    let vase = world.run(starter, &["18", "vase"]);

    let run = world.run_named(&function, "order-17").await;
    let again = world.run(starter, &["17", "lamp"]);
    assert_eq!(world.entry(&run, approval).await["status"], "waiting");
    world.ask(Method::POST, &format!("/v1/runs/{run}/signals/approve"), &json!({ "data": { "by": "ann" } })).await;
    let result = world.result(&run).await;
    assert_eq!((&result["status"], &result["ok"]["parcel"]), (&json!("completed"), &json!("1Z-4-lamp")), "{result}");
    // A name that is taken finds the run that has it: both starters wait for one order.
    for starter in [lamp, again] {
        let (succeeded, printed) = starter.end().await;
        assert!(succeeded && printed.contains("1Z-4-lamp"), "{printed}");
        assert!(printed.contains(&run), "{printed}");
    }

    let (succeeded, printed) = vase.end().await;
    assert!(!succeeded && printed.contains("OutOfStock"), "{printed}");
    let run = world.run_named(&function, "order-18").await;
    let reserve = world.entry(&run, "reserve").await;
    assert_eq!(reserve["err"]["name"], "OutOfStock");
    assert!(world.entry(&run, "$undo/charge").await["ok"].is_object());
    let ledger = std::fs::read_to_string(world.folder.path().join("ledger.jsonl")).unwrap();
    let cents: Vec<Value> =
        ledger.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["cents"].clone()).collect();
    assert_eq!(cents, [4_900, 4_900, -4_900], "two charges and one refund");
}

#[tokio::test]
async fn in_typescript() {
    check(Kind::Node, "shop", "start-order", "approval").await;
}

#[tokio::test]
async fn in_rust() {
    check(Kind::Rust, "shop-rust", "start", "approve").await;
}
