//! What a server for development keeps of its calls.

use serde_json::{Value, json};

use super::world::World;

#[tokio::test]
async fn the_last_calls_are_shown_as_they_were_sent_and_answered() {
    let world = World::open().await;
    let run = world.start("approval", json!({"input": {"cents": 17}})).await;
    world.reaches(&run, "suspended").await;
    let other = world.start("approval", json!({"input": 2})).await;
    world.reaches(&other, "suspended").await;
    let page = world.get(&format!("/dev/invocations?run={run}")).await.json();
    let items = page["items"].as_array().unwrap();
    assert_eq!(items.len(), 1, "{page}");
    let one = &items[0];
    assert_eq!((&one["run"], &one["app"], &one["function"]), (&json!(run), &json!("shop"), &json!("approval")));
    let sent: Value = serde_json::from_str(one["request"]["body"].as_str().unwrap()).unwrap();
    assert_eq!(sent["input"], json!({"cents": 17}));
    assert_eq!(one["request"]["bytes"], json!(one["request"]["body"].as_str().unwrap().len()));
    let headers = one["request"]["headers"].as_array().unwrap();
    assert!(headers.contains(&json!(["content-type", "application/json"])), "{headers:?}");
    assert_eq!(one["response"]["status"], 200);
    assert!(one["response"]["body"].as_str().unwrap().contains("waitSignal"), "{one}");
    assert!(one["tookMs"].as_i64().is_some_and(|took| took >= 0), "{one}");
    let all = world.get("/dev/invocations?limit=1").await.json();
    assert_eq!((all["items"].as_array().unwrap().len(), &all["items"][0]["run"]), (1, &json!(other)));
    world.get("/dev/invocations?run=nonsense").await.is_problem(422, "invalid", "run");
}
