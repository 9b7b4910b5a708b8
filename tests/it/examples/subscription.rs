//! The subscription: an update is rejected, another one is answered, periods go by in runs of their own, and the id of the first
//! run stands for all of them.

use serde_json::json;

use super::world::{Kind, World};

#[tokio::test]
async fn in_typescript() {
    let world = World::start(Kind::Node, "subscription", "subscriptions").await;
    let (well, said) = world.run("subscribe", &["ann"]).end().await;
    assert!(well, "{said}");
    assert!(said.contains("rejected: there is no plan \"gold\""), "{said}");
    assert!(said.contains("upgraded: { cents: 2900 }") && said.contains("left: { cents: 0 }"), "{said}");
    // Three periods have three runs.
    let ids = said.lines().filter(|line| line.starts_with("period ")).filter_map(|line| line.rsplit(' ').next());
    let ids: std::collections::BTreeSet<&str> = ids.collect();
    assert_eq!(ids.len(), 3, "{said}");

    let run = world.run_named("subscriptions/subscription", "ann").await;
    let last = world.get(&format!("/v1/runs/{run}")).await;
    assert_eq!((&last["status"], &last["previous"]["origin"]), (&json!("completed"), &json!("continue")), "{last}");
    let periods = last["ok"]["periods"].as_u64().unwrap();
    assert_eq!(last["ok"], json!({"customer": "ann", "periods": periods, "cents": 900 + (periods - 1) * 2_900}));

    // Whoever leaves for good is not asked.
    let input = json!({"customer": "bob", "plan": "pro", "periods": 0, "cents": 0});
    let bob = world.start_run("subscriptions/subscription", &json!({ "input": input })).await;
    let event = json!({"name": "customer/deleted", "data": {"customer": "bob"}});
    world.ask(reqwest::Method::POST, "/v1/events", &event).await;
    assert_eq!(world.result(&bob).await["status"], "cancelled");
}
