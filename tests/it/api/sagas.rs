//! Runs that failed and undo what they did, and what people can do about compensations that cannot be made.

use serde_json::json;

use super::world::World;

async fn held(world: &World) -> String {
    let run = world.start("trip", json!({})).await;
    world.reaches(&run, "paused").await;
    run
}

#[tokio::test]
async fn a_compensation_that_cannot_be_made_is_settled_by_hand() {
    let world = World::open().await;
    let run = held(&world).await;
    let explained = world.get(&format!("/v1/runs/{run}/explain")).await.json();
    assert_eq!(explained["hold"]["kind"], "compensation", "{explained}");
    assert!(explained["sentence"].as_str().unwrap().contains("`$undo/hotel`"), "{explained}");
    let settle = format!("/v1/runs/{run}/entries/%24undo%2Fhotel/settle");
    let settled = world.post(&settle, r#"{"ok":{"by":"ann"}}"#).await;
    assert_eq!((settled.status, settled.json()), (202, json!({"id": run, "status": "failed"})), "{settled:?}");
    let result = world.result(&run).await;
    assert_eq!((&result["status"], &result["err"]["name"]), (&json!("failed"), &json!("NoSeat")));
    let journal = world.get(&format!("/v1/runs/{run}/journal")).await.json();
    let ids: Vec<&str> = journal["entries"].as_array().unwrap().iter().map(|e| e["id"].as_str().unwrap()).collect();
    assert_eq!(ids, ["$input", "hotel", "$failure", "$undo/hotel", "$outcome"]);
    assert_eq!(journal["entries"][3]["ok"], json!({"by": "ann"}));
    world.post(&settle, r#"{"skip":true}"#).await.is_problem(409, "run_ended", "");
}

#[tokio::test]
async fn only_what_is_owed_is_settled() {
    let world = World::open().await;
    let run = held(&world).await;
    let settle = |entry: &str| format!("/v1/runs/{run}/entries/{entry}/settle");
    for entry in ["hotel", "%24undo%2Fflight", "%24failure"] {
        world.post(&settle(entry), r#"{"skip":true}"#).await.is_problem(409, "nothing_to_undo", "");
    }
    let undo = settle("%24undo%2Fhotel");
    for body in ["{}", r#"{"skip":false}"#, r#"{"ok":1,"skip":true}"#] {
        world.post(&undo, body).await.is_problem(422, "invalid", "");
    }
    let large = format!(r#"{{"ok":"{}"}}"#, "x".repeat(4 << 20));
    world.post(&undo, large).await.is_problem(413, "too_large", "/ok");
    assert_eq!(world.post(&undo, r#"{"skip":true}"#).await.status, 202);
    assert_eq!(world.result(&run).await["status"], "failed");
}
