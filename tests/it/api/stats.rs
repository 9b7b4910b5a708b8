//! The figures of charts: what was created, how it ended, how long it took, and what was open.

use backstitch_server::model::Span;
use backstitch_server::recorder;
use serde_json::{Value, json};

use super::world::World;

fn sum(stats: &Value, status: &str) -> u64 {
    stats["pieces"].as_array().unwrap().iter().filter_map(|piece| piece["statuses"][status].as_u64()).sum()
}

#[tokio::test]
async fn figures_are_of_the_span_and_of_what_is_asked_for() {
    let world = World::open().await;
    let none = world.get("/v1/stats").await.json();
    assert_eq!((none["pieces"].as_array().unwrap().len(), &none["took"]), (30, &Value::Null));
    for function in ["echo", "echo", "fail"] {
        let run = world.start(function, json!({})).await;
        world.result(&run).await;
    }
    let waiting = world.start("approval", json!({})).await;
    world.reaches(&waiting, "suspended").await;

    let all = world.get("/v1/stats?span=24h").await.json();
    let counted = ["completed", "failed", "suspended", "cancelled"].map(|status| sum(&all, status));
    assert_eq!(counted, [2, 1, 1, 0], "{all:#}");
    assert_eq!(all["took"]["of"], 3);
    assert!(all["took"]["p50"].as_u64() <= all["took"]["p95"].as_u64());
    let piece = &all["pieces"][29];
    let open = json!({"backlog": 0, "waiting": 1, "failing": 0, "held": 0});
    assert_eq!((&piece["took"]["of"], &piece["open"]), (&json!(3), &open), "what is open this moment is known");
    assert_eq!(all["pieces"][0]["open"], Value::Null, "a day ago nobody counted");
    let echoes = world.get("/v1/stats?app=shop&function=echo").await.json();
    assert_eq!((sum(&echoes, "completed"), sum(&echoes, "failed"), &echoes["took"]["of"]), (2, 0, &json!(2)));
    for span in ["1s", "91d", "soon", ""] {
        world.get(&format!("/v1/stats?span={span}")).await.is_problem(422, "invalid", "span");
    }
    world.get("/v1/stats?status=failed").await.is_problem(422, "invalid", "status");
}

#[tokio::test]
async fn open_runs_are_counted_every_so_often() {
    let world = World::open().await;
    let waiting = world.start("approval", json!({})).await;
    world.reaches(&waiting, "suspended").await;
    let (stop, stopping) = tokio::sync::watch::channel(false);
    let (store, clock, metrics) = (world.store.clone(), world.clock.clone(), world.metrics.clone());
    let recorder = recorder::open(recorder::Parts { store, clock, metrics, every: Span(5), stop: stopping });
    let counted = async || {
        let page = world.get("/metrics").await;
        String::from_utf8_lossy(&page.body).contains("\nbackstitch_runs_waiting 1\n")
    };
    while !counted().await {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let of_one = world.get("/v1/stats?span=1m&app=shop").await.json();
    assert!(of_one["pieces"].as_array().unwrap().iter().all(|piece| piece["open"].is_null()), "they are of all apps");
    stop.send_replace(true);
    recorder.await.unwrap();
}
