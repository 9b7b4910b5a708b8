//! Whole journeys: both SDKs, every primitive, restarts in the middle.

use serde_json::{Value, json};

use super::handlers::{AppProcess, rust_app};
use super::server::{Place, Server};

async fn start(server: &Server, function: &str, body: Value) -> String {
    let (status, body) = server.post(&format!("/v1/functions/{function}/runs"), body).await;
    assert_eq!(status, 202, "{body}");
    body["id"].as_str().expect("a start is answered with the run's id").to_owned()
}

#[tokio::test]
async fn an_order_in_typescript_survives_both_sides() {
    let place = Place::new();
    let app = AppProcess::start(0).await;
    let port = app.port();
    let server = Server::start(&place).await;
    let (status, body) = server.put_app("web", &app.url).await;
    assert!(status < 300, "{body}");
    let event = json!({"name": "web/placed", "id": "once", "data": {"id": "7"}});
    let (_, first) = server.post("/v1/events", event.clone()).await;
    let run = first["events"][0]["runs"][0]["id"].as_str().expect("the event starts a run").to_owned();
    server.until(&format!("/v1/runs/{run}/journal"), |journal| has(journal, "twice", "settled")).await;

    // The handler dies; the event that wakes the run comes while nobody answers; then the server dies too.
    app.kill().await;
    server.post("/v1/events", json!({"name": "web/paid", "data": {"id": "8"}})).await;
    server.post("/v1/events", json!({"name": "web/paid", "data": {"id": "7", "cents": 5}})).await;
    server.until(&format!("/v1/runs/{run}/explain"), |said| said["reason"] == "unreachable").await;
    server.kill().await;
    let server = Server::start(&place).await;
    let (_, again) = server.post("/v1/events", event).await;
    assert_eq!(again["events"][0]["id"], first["events"][0]["id"]);
    assert_eq!(again["events"][0]["created"], false);
    let signal = json!({"data": {"by": "me"}, "id": "s1"});
    let (status, body) = server.post(&format!("/v1/runs/{run}/signals/approve"), signal.clone()).await;
    assert!(status < 300, "{body}");
    server.post(&format!("/v1/runs/{run}/signals/approve"), signal).await;
    let app = AppProcess::start(port).await;

    let result = server.result(&run).await;
    assert_eq!(result["status"], "completed", "{result}");
    assert_eq!(result["ok"]["charge"], json!({"id": "ch_7", "attempt": 2}));
    assert_eq!(result["ok"]["twice"], 42);
    assert_eq!(result["ok"]["paid"]["data"], json!({"id": "7", "cents": 5}));
    assert_eq!(result["ok"]["parts"], json!([1, 4, 9]));
    assert_eq!(result["ok"]["approved"], true);
    app.kill().await;
    server.kill().await;
}

fn has(journal: &Value, id: &str, status: &str) -> bool {
    journal["entries"].as_array().is_some_and(|entries| entries.iter().any(|e| e["id"] == id && e["status"] == status))
}

#[tokio::test]
async fn an_awakeable_is_settled_by_whoever_holds_its_token() {
    let place = Place::new();
    let app = AppProcess::start(0).await;
    let server = Server::start(&place).await;
    server.put_app("web", &app.url).await;
    let run = start(&server, "web/link", json!({"input": null})).await;
    let journal = server.until(&format!("/v1/runs/{run}/journal"), |journal| has(journal, "mail", "settled")).await;
    let mail = journal["entries"].as_array().into_iter().flatten().find(|entry| entry["id"] == "mail");
    let token = mail.and_then(|entry| entry["ok"].as_str()).expect("the mail carries the token").to_owned();
    let other = if token.ends_with('0') { '1' } else { '0' };
    let forged = format!("{}{other}", &token[..token.len() - 1]);
    let (status, _) = server.post(&format!("/v1/awakeables/{forged}"), json!({"ok": 1})).await;
    assert_eq!(status, 403, "a forged token was taken");
    let (status, body) = server.post(&format!("/v1/awakeables/{token}"), json!({"ok": {"name": "Ada"}})).await;
    assert!(status < 300, "{body}");
    let result = server.result(&run).await;
    assert_eq!(result["status"], "completed", "{result}");
    let (status, _) = server.post(&format!("/v1/awakeables/{token}"), json!({"ok": 2})).await;
    assert_eq!(status, 409);
    app.kill().await;
}

#[tokio::test]
async fn a_call_waits_for_its_result_and_says_when_it_fails() {
    let place = Place::new();
    let app = AppProcess::start(0).await;
    let server = Server::start(&place).await;
    server.put_app("web", &app.url).await;
    let (status, body) = server.post("/v1/functions/web/double/call?wait=20s", json!({"input": {"n": 4}})).await;
    assert_eq!((status, &body["ok"]), (200, &json!(8)), "{body}");
    let (status, body) = server.post("/v1/functions/web/fails/call?wait=20s", json!({"input": null})).await;
    assert_eq!((status, &body["status"]), (200, &json!("failed")), "{body}");
    assert_eq!(body["err"]["message"], "out of stock");
    app.kill().await;
}

#[tokio::test]
async fn a_cancelled_run_ends_and_takes_no_more() {
    let place = Place::new();
    let app = rust_app().await;
    let server = Server::start(&place).await;
    server.put_app("shop", &app.url).await;
    let run = start(&server, "shop/order", json!({"input": {"id": "c"}, "runId": "order-c"})).await;
    server.until(&format!("/v1/runs/{run}/journal"), |journal| has(journal, "approve", "waiting")).await;
    let (status, body) = server.post(&format!("/v1/runs/{run}/cancel"), json!({})).await;
    assert!(status < 300, "{body}");
    let result = server.result(&run).await;
    assert_eq!(result["status"], "cancelled", "{result}");
    let (status, body) = server.post(&format!("/v1/runs/{run}/signals/approve"), json!({"data": true})).await;
    assert_eq!(status, 409, "{body}");
    let (status, body) = server.get("/v1/functions/shop/order/runs/order-c").await;
    assert_eq!((status, &body["id"]), (200, &json!(run)), "{body}");
    let input = json!({"input": {"id": "other"}, "runId": "order-c"});
    let (status, body) = server.post("/v1/functions/shop/order/runs", input).await;
    assert_eq!(status, 409, "{body}");
}
