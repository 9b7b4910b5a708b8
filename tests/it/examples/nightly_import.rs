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

    // Nights and files are found by what they are about.
    let found = async |query: &str| {
        let runs = world.get(&format!("/v1/runs?app=imports&{query}")).await;
        runs["items"].as_array().unwrap().iter().map(|run| run["id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found("tag=nightly&attribute=rows:gte:300").await, std::slice::from_ref(&retried));
    assert_eq!(found("function=night&tag=nightly&attribute=files:eq:3").await.len(), 2);
    assert!(!found("tag=nightly&attribute=file:eq:b-bad.csv&status=completed").await.is_empty());

    // The table was swapped by the night that came to it, once; the index outlives its parent.
    let ledger = std::fs::read_to_string(world.folder.path().join("ledger.jsonl")).unwrap();
    let lines: Vec<Value> = ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.iter().filter(|line| line["renamed"].is_string()).count(), 2, "{ledger}");
    let indexes = world.get("/v1/runs?app=imports&function=index").await;
    let index = indexes["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(world.result(&index).await["ok"], "index of orders");
}

#[tokio::test]
async fn the_totals_of_a_range_of_days_are_filled_up() {
    let world = World::start(Kind::Node, "nightly-import", "imports").await;
    let schedule = world.get("/v1/schedules/imports/totals").await;
    assert_eq!((&schedule["source"], &schedule["tz"]), (&json!("manifest"), &json!("Europe/Berlin")), "{schedule}");
    let (well, said) = world.run("backfill", &["2026-02-10", "2026-02-20"]).end().await;
    assert!(well && said.contains("10 of 10 days to do") && said.contains("9 done, 1 failed"), "{said}");
    let (well, said) = world.run("backfill", &["2026-02-10", "2026-02-20", "failed"]).end().await;
    assert!(well && said.contains("1 of 10 days to do") && said.contains("10 done, 0 failed"), "{said}");
    let ledger = std::fs::read_to_string(world.folder.path().join("ledger.jsonl")).unwrap();
    let lines: Vec<Value> = ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut days: Vec<&str> = lines.iter().filter_map(|line| line["totals"].as_str()).collect();
    days.sort_unstable();
    let expected: Vec<String> = (10..20).map(|day| format!("2026-02-{day}")).collect();
    assert_eq!(days, expected, "{ledger}");
    let run = world.get("/v1/schedules/imports/totals/runs/2026-02-15T04:00:00Z").await;
    assert_eq!((&run["ok"]["day"], &run["previous"]["origin"]), (&json!("2026-02-14"), &json!("fork")), "{run}");
}
