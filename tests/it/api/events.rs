//! Events.

use axum::body::Body;
use http::Method;
use serde_json::json;

use super::world::{Answer, World, request};

async fn send(world: &World, kind: &str, body: &str) -> Answer {
    let request = request(Method::POST, "/v1/events").header("content-type", kind);
    world.send(request.body(Body::from(body.to_owned())).unwrap()).await
}

#[tokio::test]
async fn events_come_one_by_one_in_arrays_and_in_lines() {
    let world = World::open().await;
    let json = "application/json; charset=utf-8";
    let one = send(&world, json, r#"{"name":"order/created","data":{"id":1}}"#).await;
    assert_eq!((one.status, one.json()["events"].as_array().unwrap().len()), (202, 1), "{one:?}");
    let two = send(&world, json, r#" [{"name":"a"},{"name":"b","data":null,"at":"2020-01-01T00:00:00Z"}]"#).await;
    assert_eq!((two.status, two.json()["events"].as_array().unwrap().len()), (202, 2), "{two:?}");
    let lines = "{\"name\":\"a\"}\n\n{\"name\":\"b\",\"data\":[1, 2]}\r\n";
    let lines = send(&world, "application/x-ndjson", lines).await;
    assert_eq!((lines.status, lines.json()["events"].as_array().unwrap().len()), (202, 2), "{lines:?}");

    let page = world.get("/v1/events?name=b&limit=1").await.json();
    assert_eq!(page["items"][0]["data"], json!([1, 2]));
    let next = world.get(&format!("/v1/events?name=b&limit=1&cursor={}", page["next"].as_str().unwrap())).await.json();
    assert_eq!((&next["items"][0]["data"], &next["next"]), (&json!(null), &json!(null)));
}

#[tokio::test]
async fn events_start_what_they_trigger() {
    let world = World::open().await;
    let sent = world.post("/v1/events", r#"{"name":"order/paid","data":{"cents":  500.5}}"#).await.json();
    let event = &sent["events"][0];
    assert_eq!(event["runs"][0]["function"], "on-paid", "{sent}");
    let run = event["runs"][0]["id"].as_str().unwrap();
    let result = world.get(&format!("/v1/runs/{run}/result?wait=10s")).await;
    let expected = r#""ok":{"cents":  500.5}}"#;
    assert!(String::from_utf8_lossy(&result.body).ends_with(expected), "{result:?}");

    let shown = world.get(&format!("/v1/events/{}", event["id"].as_str().unwrap())).await.json();
    assert_eq!((&shown["name"], &shown["runs"][0]["id"]), (&json!("order/paid"), &json!(run)));

    let small = world.post("/v1/events", r#"{"name":"order/paid","data":{"cents":5.5}}"#).await;
    assert_eq!(small.status, 202, "{small:?}");
    let small = small.json();
    let shown = world.get(&format!("/v1/events/{}", small["events"][0]["id"].as_str().unwrap())).await.json();
    assert_eq!(shown["verdicts"], json!([{"app":"shop","function":"on-paid","verdict":"filtered","detail":null}]));
}

#[tokio::test]
async fn repeated_ids_change_nothing() {
    let world = World::open().await;
    let body = r#"{"name":"order/paid","data":{"cents":500},"id":"order-17"}"#;
    let first = world.post("/v1/events", body).await.json();
    let second = world.post("/v1/events", body).await.json();
    assert_eq!(first["events"][0]["id"], second["events"][0]["id"]);
    assert_eq!((&first["events"][0]["created"], &second["events"][0]["created"]), (&json!(true), &json!(false)));
    assert_eq!(second["events"][0]["runs"], json!([]));
}

#[tokio::test]
async fn an_idempotency_key_stands_for_ids() {
    let world = World::open().await;
    let keyed = async |body: &'static str| {
        let request = request(Method::POST, "/v1/events").header("content-type", "application/json");
        world.send(request.header("idempotency-key", "k1").body(Body::from(body)).unwrap()).await.json()
    };
    let first = keyed(r#"[{"name":"a"},{"name":"b","id":"own"}]"#).await;
    let second = keyed(r#"[{"name":"a"},{"name":"b","id":"own"}]"#).await;
    for n in 0..2 {
        assert_eq!(first["events"][n]["id"], second["events"][n]["id"]);
        assert_eq!(second["events"][n]["created"], false);
    }
    let single = keyed(r#"{"name":"a"}"#).await;
    assert_eq!(single["events"][0]["created"], true);
}

#[tokio::test]
async fn bad_events_are_refused_whole() {
    let world = World::open().await;
    let json = "application/json";
    let long = format!(r#"{{"name":"{}"}}"#, "x".repeat(257));
    let large = format!(r#"[{{"name":"a"}},{{"name":"a","data":"{}"}}]"#, "x".repeat(1 << 20));
    let many = format!("[{}]", vec![r#"{"name":"a"}"#; 1_001].join(","));
    for (kind, body, status, code, place) in [
        (json, "", 400, "malformed", ""),
        (json, "{", 400, "malformed", ""),
        (json, r#"{"name":"a"} {"name":"b"}"#, 400, "malformed", ""),
        (json, "{\"name\":\"\u{1}\"}", 400, "malformed", ""),
        (json, "17", 422, "invalid", ""),
        (json, "[]", 422, "invalid", ""),
        (json, "{}", 422, "invalid", ""),
        (json, r#"{"name":"a","dta":1}"#, 422, "invalid", "/dta"),
        (json, r#"[{"name":"a"},{"name":"b","name":"c"}]"#, 422, "invalid", "/1"),
        (json, r#"[{"name":"a"},["b"]]"#, 422, "invalid", "/1"),
        (json, r#"[{"name":"a"},{"name":7}]"#, 422, "invalid", "/1/name"),
        (json, r#"[{"name":"a"},{"name":""}]"#, 422, "invalid", "/1/name"),
        (json, r#"{"name":"a\u0000b"}"#, 422, "invalid", "/name"),
        (json, &long, 422, "invalid", "/name"),
        (json, r#"{"name":"a","id":""}"#, 422, "invalid", "/id"),
        (json, r#"{"name":"a","at":"tomorrow"}"#, 422, "invalid", "/at"),
        (json, r#"{"name":"a","at":"2999-01-01T00:00:00Z"}"#, 422, "invalid", "/at"),
        (json, &large, 413, "too_large", "/1/data"),
        (json, &many, 413, "too_large", ""),
        ("application/x-ndjson", "{\"name\":\"a\"}\n{\"nam\":\"a\"}", 422, "invalid", "/1/nam"),
        ("application/x-ndjson", "{\"name\":\"a\"}\n{", 400, "malformed", ""),
        ("application/x-ndjson", "\n\n", 422, "invalid", ""),
        ("text/plain", r#"{"name":"a"}"#, 415, "unsupported_media_type", ""),
        ("application/x-www-form-urlencoded", r#"{"name":"a"}"#, 415, "unsupported_media_type", ""),
    ] {
        send(&world, kind, body).await.is_problem(status, code, place);
    }
    let oversize = format!(r#"{{"name":"a","data":"{}"}}"#, "x".repeat(4 << 20));
    send(&world, json, &oversize).await.is_problem(413, "too_large", "");
    assert_eq!(world.get("/v1/events").await.json()["items"], json!([]));
}

#[tokio::test]
async fn bad_questions_about_events_are_refused() {
    let world = World::open().await;
    world.get("/v1/events?nam=a").await.is_problem(422, "invalid", "nam");
    world.get("/v1/events?limit=0").await.is_problem(422, "invalid", "limit");
    world.get("/v1/events?cursor=AAAA").await.is_problem(422, "invalid", "cursor");
    world.get("/v1/events/evt_x").await.is_problem(422, "invalid", "event");
    world.get("/v1/events/evt_00000000000000000000000000").await.is_problem(404, "unknown_event", "");
}
