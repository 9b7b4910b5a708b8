//! The client's requests and what it makes of answers, against a stand-in that answers as `docs/reference/api.md` says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use backstitch::prelude::*;
use backstitch::{Client, FunctionRef};
use serde_json::{Value, json};

const ORDER: FunctionRef<u64, String> = FunctionRef::new("order");
const CHARGE: FunctionRef<u64, String> = FunctionRef::new("billing/charge");

type Seen = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers by path; results are there at the second asking.
fn answer(seen: &Seen, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (StatusCode, String) {
    assert_eq!(headers["authorization"], "Bearer bsk_x");
    let line = format!("{method} {uri}");
    let asked = seen.lock().unwrap().iter().filter(|(before, _)| *before == line).count();
    seen.lock().unwrap().push((line, serde_json::from_slice(body).unwrap_or_default()));
    let (status, body) = match uri.path() {
        "/v1/events" => (202, json!({"events": [{"id": "evt_1", "created": true, "runs": []}]})),
        "/v1/runs/run_1/result" if asked == 0 => (202, json!({"id": "run_1", "status": "running"})),
        "/v1/runs/run_1/result" => (200, json!({"id": "run_1", "status": "completed", "ok": "shipped"})),
        "/v1/runs/run_2/result" => {
            (200, json!({"id": "run_2", "status": "failed", "err": {"name": "Unpaid", "message": "nobody paid"}}))
        }
        "/v1/functions/shop/order/runs" | "/v1/functions/billing/charge/runs" => {
            (202, json!({"id": "run_1", "created": true}))
        }
        "/v1/runs/run_1/signals/approval%2F1" | "/v1/runs/run_1/cancel" | "/v1/awakeables/awk_1" => (202, json!({})),
        _ => (404, json!({"title": "Not found", "status": 404, "detail": "there is no such run"})),
    };
    (StatusCode::from_u16(status).unwrap(), body.to_string())
}

async fn server() -> (Client, Seen) {
    let seen = Seen::default();
    let record = Arc::clone(&seen);
    let router = Router::new().fallback(move |method: Method, uri: Uri, headers: HeaderMap, body: Bytes| {
        let record = Arc::clone(&record);
        async move { answer(&record, &method, &uri, &headers, &body) }
    });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    (Client::new("shop").url(url).key("bsk_x"), seen)
}

#[tokio::test]
async fn starts_signals_and_waits() {
    let (client, seen) = server().await;
    let run = client.start(ORDER, 400).run_id("order-1").delay(90.seconds()).send().await.unwrap();
    run.signal("approval/1", "ann").await.unwrap();
    assert_eq!(run.result().await.unwrap(), "shipped");
    run.cancel().await.unwrap();
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen[0].1, json!({"input": 400, "runId": "order-1", "delay": "1m30s"}));
    assert_eq!(seen[1].1, json!({"data": "ann"}));
    let asked = seen.iter().filter(|(line, _)| line == "GET /v1/runs/run_1/result?wait=30s").count();
    assert_eq!(asked, 2);
}

#[tokio::test]
async fn sends_calls_and_settles() {
    let (client, seen) = server().await;
    assert_eq!(client.send(Outgoing::new("order/created", 1).id("o-1")).await.unwrap(), "evt_1");
    assert_eq!(client.call(CHARGE, 5).await.unwrap(), "shipped");
    client.resolve("awk_1", 7).await.unwrap();
    client.reject("awk_1", Error::terminal("No", "not me")).await.unwrap();
    let bodies: Vec<Value> = seen.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    assert_eq!(bodies[0], json!([{"name": "order/created", "data": 1, "id": "o-1"}]));
    assert_eq!(bodies[4..], [json!({"ok": 7}), json!({"err": {"name": "No", "message": "not me"}})]);
}

/// The server is away, refuses, and is back; a start is not repeated for as long.
#[tokio::test]
async fn whoever_waits_sits_out_a_restart() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let client = Client::new("shop").url(format!("http://{address}")).key("bsk_x");
    assert!(client.start(ORDER, 400).send().await.is_err());
    let impatient = client.clone().outage(300.milliseconds());
    assert!(impatient.run::<String>("run_1").result().await.is_err());
    let back = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let asked = Arc::new(Mutex::new(0));
        let router = Router::new().fallback(move || {
            let mut asked = asked.lock().unwrap();
            *asked += 1;
            let (status, body) = match *asked {
                1 => (503, json!({"title": "Starting", "status": 503})),
                2 => (202, json!({"id": "run_1", "status": "running"})),
                _ => (200, json!({"id": "run_1", "status": "completed", "ok": "shipped"})),
            };
            async move { (StatusCode::from_u16(status).unwrap(), body.to_string()) }
        });
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        tokio::spawn(axum::serve(listener, router).into_future());
    };
    let run = client.run::<String>("run_1");
    let (result, ()) = tokio::join!(run.result(), back);
    assert_eq!(result.unwrap(), "shipped");
}

#[tokio::test]
async fn failures_are_errors_that_say_what_happened() {
    let (client, _) = server().await;
    let failed = client.run::<String>("run_2").result().await.unwrap_err();
    assert_eq!((failed.name(), failed.message()), ("Unpaid", "nobody paid"));
    let missing = client.run::<String>("run_3").result().await.unwrap_err();
    assert_eq!((missing.code(), missing.is_retryable()), (Some("404"), false));
    assert!(missing.message().contains("there is no such run"), "{missing}");
}
