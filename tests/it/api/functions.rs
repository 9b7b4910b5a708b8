//! Functions: what there is, starting, calling, finding.

use axum::body::Body;
use http::Method;
use serde_json::json;

use super::world::{World, request};

const RUNS: &str = "/v1/functions/shop/echo/runs";
const CALL: &str = "/v1/functions/shop/echo/call";

#[tokio::test]
async fn functions_are_listed() {
    let world = World::open().await;
    let page = world.get("/v1/functions").await.json();
    let items = page["items"].as_array().unwrap();
    let paid = items.iter().find(|item| item["function"] == "on-paid").unwrap();
    assert_eq!(paid["app"], "shop");
    assert_eq!(paid["triggers"], json!([{"event": "order/paid", "if": "event.data.cents > 100"}]));
}

#[tokio::test]
async fn a_call_answers_with_the_bytes_of_the_result() {
    let world = World::open().await;
    let input = "{\"a\":  1.0e0,\n \"b\": \"\\u00fc\\ud83d\\ude00\", \"a\": 12345678901234567890123456789}";
    let answer = world.post(CALL, format!(r#"{{"input":{input}}}"#)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains(r#""status":"completed""#), "{text}");
    assert!(text.ends_with(&format!(r#""ok":{input}}}"#)), "{text}");
}

#[tokio::test]
async fn a_call_that_takes_longer_says_where_to_ask() {
    let world = World::open().await;
    let answer = world.post("/v1/functions/shop/approval/call?wait=50ms", "{}").await;
    assert_eq!(answer.status, 202, "{answer:?}");
    let run = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(answer.header("location"), Some(format!("/v1/runs/{run}/result").as_str()));
    let still = world.get(answer.header("location").unwrap()).await;
    assert_eq!((still.status, &still.json()["id"]), (202, &json!(run)));
}

#[tokio::test]
async fn failures_are_results() {
    let world = World::open().await;
    let answer = world.post("/v1/functions/shop/fail/call", "").await;
    assert_eq!((answer.status, &answer.json()["status"]), (200, &json!("failed")));
    assert_eq!(answer.json()["err"]["name"], "Broken");
}

#[tokio::test]
async fn names_and_keys_make_starts_repeatable() {
    let world = World::open().await;
    let first = world.post(RUNS, r#"{"input":1,"runId":"order 17/x"}"#).await;
    assert_eq!((first.status, &first.json()["created"]), (202, &json!(true)));
    let id = first.json()["id"].clone();
    assert_eq!(first.header("location"), Some(format!("/v1/runs/{}", id.as_str().unwrap()).as_str()));
    let second = world.post(RUNS, r#"{"input":1,"runId":"order 17/x"}"#).await.json();
    assert_eq!((&second["id"], &second["created"]), (&id, &json!(false)));
    world.post(RUNS, r#"{"input":2,"runId":"order 17/x"}"#).await.is_problem(409, "conflict", "");
    let found = world.get(&format!("{RUNS}/order%2017%2Fx")).await.json();
    assert_eq!((&found["id"], &found["name"], &found["input"]), (&id, &json!("order 17/x"), &json!(1)));
    world.get(&format!("{RUNS}/nobody")).await.is_problem(404, "unknown_run", "");

    let keyed = async |key: &str, body: &'static str| {
        let request = request(Method::POST, RUNS).header("content-type", "application/json");
        world.send(request.header("idempotency-key", key).body(Body::from(body)).unwrap()).await
    };
    let first = keyed("k", r#"{"input":1}"#).await.json();
    let second = world.post(RUNS, r#"{"input":1,"idempotencyKey":"k"}"#).await.json();
    assert_eq!((&first["id"], &second["created"]), (&second["id"], &json!(false)));
    keyed("k", r#"{"input":1,"idempotencyKey":"other"}"#).await.is_problem(422, "invalid", "/idempotencyKey");
    keyed("", "{}").await.is_problem(422, "invalid", "idempotency-key");
}

#[tokio::test]
async fn a_delay_holds_the_start() {
    let world = World::open().await;
    let run = world.start("echo", json!({"delay": "1h30m"})).await;
    let shown = world.get(&format!("/v1/runs/{run}")).await.json();
    assert_eq!(shown["status"], "queued");
    let why = world.get(&format!("/v1/runs/{run}/explain")).await.json();
    assert_eq!((&why["reason"], &why["nextAt"]), (&json!("delayed"), &shown["startedAt"]));
}

#[tokio::test]
async fn bad_starts_are_refused() {
    let world = World::open().await;
    let large = format!(r#"{{"input":"{}"}}"#, "x".repeat(4 << 20));
    let larger = format!(r#"{{"input":"{}"}}"#, "x".repeat(5 << 20));
    for (path, body, status, code, place) in [
        ("/v1/functions/shop/ech/runs", "{}", 404, "unknown_function", ""),
        ("/v1/functions/shop/ech/call", "{}", 404, "unknown_function", ""),
        ("/v1/functions/nobody/echo/runs", "{}", 404, "unknown_function", ""),
        (RUNS, "{", 400, "malformed", ""),
        (RUNS, "[]", 422, "invalid", ""),
        (RUNS, "[17]", 422, "invalid", ""),
        (RUNS, r#"{"inputs":1}"#, 422, "invalid", "/inputs"),
        (RUNS, r#"{"runId":""}"#, 422, "invalid", "/runId"),
        (RUNS, r#"{"runId":7}"#, 422, "invalid", "/runId"),
        (RUNS, r#"{"delay":"1.5h"}"#, 422, "invalid", "/delay"),
        (RUNS, r#"{"delay":"11000000000000"}"#, 422, "invalid", "/delay"),
        (RUNS, r#"{"idempotencyKey":"a\nb"}"#, 422, "invalid", "/idempotencyKey"),
        (RUNS, r#"{"tags":["a",""]}"#, 422, "invalid", "/tags/1"),
        (RUNS, r#"{"tags":"a"}"#, 422, "invalid", "/tags"),
        (RUNS, r#"{"attributes":{"a b":1}}"#, 422, "invalid", "/attributes/a b"),
        (RUNS, r#"{"attributes":{"a":null}}"#, 422, "invalid", "/attributes/a"),
        (RUNS, r#"{"attributes":{"a":9007199254740992}}"#, 422, "invalid", "/attributes/a"),
        (RUNS, &large, 413, "too_large", "/input"),
        (RUNS, &larger, 413, "too_large", ""),
        ("/v1/functions/shop/echo/call?wait=6m", "{}", 422, "invalid", "wait"),
        ("/v1/functions/shop/echo/call?wait=soon", "{}", 422, "invalid", "wait"),
        ("/v1/functions/shop/echo/call?wat=1s", "{}", 422, "invalid", "wat"),
    ] {
        world.post(path, body.to_owned()).await.is_problem(status, code, place);
    }
    assert_eq!(world.get("/v1/runs").await.json()["items"], json!([]));
}
