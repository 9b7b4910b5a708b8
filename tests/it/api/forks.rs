//! Forks and retries over HTTP: provenance, edits, dry runs, and what is refused.

use serde_json::{Value, json};

use super::world::World;

async fn fork(world: &World, run: &str, body: Value) -> Value {
    let answer = world.post(&format!("/v1/runs/{run}/fork"), body.to_string()).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

#[tokio::test]
async fn a_fork_says_where_it_comes_from() {
    let world = World::open().await;
    let run = world.start("flaky", json!({"input": 1})).await;
    world.result(&run).await;
    let edits = json!({"edits": {"try": {"ok": "edited"}}});
    let forked = fork(&world, &run, edits).await;
    assert_eq!((&forked["copied"], &forked["created"]), (&json!(1), &json!(true)));
    let id = forked["id"].as_str().unwrap();
    assert_eq!(world.result(id).await["ok"], "edited");
    let journal = world.get(&format!("/v1/runs/{id}/journal")).await.json();
    assert_eq!(journal["run"]["previous"], json!({"run": run, "origin": "fork"}));
    let copies: Vec<&Value> = journal["entries"].as_array().unwrap().iter().map(|entry| &entry["copied"]).collect();
    assert_eq!(copies, [&Value::Null, &json!(true), &Value::Null]);
    let whole = fork(&world, &run, json!({"input": {"n": 2}})).await;
    assert_eq!(whole["copied"], 0);
    let whole = whole["id"].as_str().unwrap().to_owned();
    assert_eq!(world.result(&whole).await["ok"], "at last", "the step ran again");
    assert_eq!(world.get(&format!("/v1/runs/{whole}")).await.json()["input"], json!({"n": 2}));
    let listed = world.get(&format!("/v1/runs?previous={run}&status=completed")).await.json();
    let listed: Vec<&Value> = listed["items"].as_array().unwrap().iter().map(|item| &item["id"]).collect();
    assert_eq!(listed, [&json!(whole), &json!(id)]);
    let original = world.get(&format!("/v1/runs/{run}")).await.json();
    assert_eq!((&original["ok"], &original["previous"]), (&json!("at last"), &Value::Null));
}

#[tokio::test]
async fn a_dry_run_starts_nothing() {
    let world = World::open().await;
    let run = world.start("flaky", json!({})).await;
    world.result(&run).await;
    for (at, plan) in
        [("try", json!({"copied": [], "again": ["try"]})), ("$outcome", json!({"copied": ["try"], "again": []}))]
    {
        let body = json!({"at": at, "dryRun": true});
        let answer = world.post(&format!("/v1/runs/{run}/fork"), body.to_string()).await;
        assert_eq!((answer.status, answer.json()), (200, plan));
    }
    assert_eq!(world.get("/v1/runs").await.json()["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn only_failures_are_retried_and_a_key_retries_once() {
    let world = World::open().await;
    let run = world.start("fail", json!({})).await;
    world.result(&run).await;
    let retry = async || {
        let request = super::world::request(http::Method::POST, &format!("/v1/runs/{run}/retry"));
        let request = request.header("idempotency-key", "once").body(axum::body::Body::empty()).unwrap();
        let answer = world.send(request).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        answer.json()
    };
    let (first, second) = (retry().await, retry().await);
    assert_eq!((&first["id"], &first["created"], &second["created"]), (&second["id"], &json!(true), &json!(false)));
    assert_eq!(world.result(first["id"].as_str().unwrap()).await["status"], "failed");
    let other = world.start("echo", json!({})).await;
    world.result(&other).await;
    world.post(&format!("/v1/runs/{other}/retry"), "").await.is_problem(409, "not_failed", "");
}

#[tokio::test]
async fn what_cannot_be_forked_is_said() {
    let world = World::open().await;
    let run = world.start("approval", json!({})).await;
    world.reaches(&run, "suspended").await;
    for (body, status, code, place) in [
        (json!({"at": "nothing"}), 404, "unknown_entry", ""),
        (json!({"edits": {"nothing": {"ok": 1}}}), 404, "unknown_entry", ""),
        (json!({"edits": {"approval": {"ok": 1}}}), 422, "invalid", "/edits/approval"),
        (json!({"edits": {"$input": {"ok": 1}}}), 422, "invalid", "/edits/$input"),
        (json!({"edits": {"approval": {}}}), 422, "invalid", "/edits/approval"),
        (json!({"edits": {"approval": {"err": {"name": "E"}}}}), 422, "invalid", "/edits/approval/err"),
        (json!({"to": "x"}), 422, "invalid", "/to"),
        (json!({"at": ""}), 422, "invalid", "/at"),
    ] {
        world.post(&format!("/v1/runs/{run}/fork"), body.to_string()).await.is_problem(status, code, place);
    }
    for verb in ["fork", "retry"] {
        let nobody = format!("/v1/runs/run_00000000000000000000000000/{verb}");
        world.post(&nobody, "").await.is_problem(404, "unknown_run", "");
    }
    world.get("/v1/runs?previous=x").await.is_problem(422, "invalid", "previous");
}
