//! What several tests need: an app behind its tower service, and an invocation to send it.

use axum::body::Body;
use backstitch::{App, Service};
use http::{Request, Response};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower_service::Service as _;

/// An app that takes unsigned requests.
pub(crate) fn open_app() -> App {
    App::new("shop").keys("").dev(true)
}

/// An invocation of `function` with this journal.
pub(crate) fn invocation(function: &str, journal: &Value) -> Value {
    json!({
        "run": {"id": "run_01hzy3v7q8k2m4n6p8r0s2t4v6", "app": "shop", "function": function, "attempt": 1,
                "startedAt": "2026-03-01T12:00:00.000Z", "secret": "00ff"},
        "trigger": {"kind": "call"}, "input": null, "journal": journal, "token": "inv_1",
    })
}

/// A settled entry.
pub(crate) fn settled(id: &str, op: &str, seq: u64, ok: &Value) -> Value {
    json!({"id": id, "op": op, "seq": seq, "at": format!("2026-03-01T12:00:{seq:02}.000Z"), "ok": ok})
}

pub(crate) fn post(body: &Value) -> Request<Body> {
    let request = Request::post("/").header("backstitch-protocol", "1").header("content-type", "application/json");
    request.body(Body::from(body.to_string())).unwrap()
}

/// Sends a request to an app; gives its status, headers and body.
pub(crate) async fn send(service: &mut Service, request: Request<Body>) -> Response<Vec<u8>> {
    let response = service.call(request).await.unwrap();
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes().to_vec();
    Response::from_parts(head, body)
}

/// The ops of the answer to an invocation.
pub(crate) async fn ops(app: App, function: &str, journal: Value) -> Vec<Value> {
    let response = send(&mut app.service(), post(&invocation(function, &journal))).await;
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(response.status(), 200, "{answer}");
    answer["ops"].as_array().unwrap().clone()
}
