//! The nightly import: a night with a torn file fails and is told, the file is mended, one job goes on with what failed.

use serde_json::{Value, json};

use super::world::{Kind, World};

#[tokio::test]
async fn in_typescript() {
    let world = World::start(Kind::Node, "nightly-import", "imports").await;
    let (well, said) = world.run("start", &["2026-03-01"]).end().await;
    assert!(well && said.contains("b-bad.csv has a torn line"), "{said}");
    world.printed("the import 2026-03-01 failed").await;

    let (well, said) = world.run("repair", &["b-bad.csv"]).end().await;
    assert!(well && said.contains("1 to retry") && said.contains("retried 1 of 1, 0 could not be"), "{said}");
    let runs = world.get("/v1/runs?app=imports&function=night").await;
    let retried = runs["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(runs["items"][0]["previous"]["origin"], "fork", "{runs}");
    let result = world.result(&retried).await;
    assert_eq!((&result["status"], &result["ok"]), (&json!("completed"), &json!({"rows": 300})), "{result}");

    // The table was swapped by the night that came to it, once; the index outlives its parent.
    let ledger = std::fs::read_to_string(world.folder.path().join("ledger.jsonl")).unwrap();
    let lines: Vec<Value> = ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["renamed"].is_string()).count(), 2, "{ledger}");
    let indexes = world.get("/v1/runs?app=imports&function=index").await;
    let index = indexes["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.result(&index).await["ok"], "index of orders");
}
