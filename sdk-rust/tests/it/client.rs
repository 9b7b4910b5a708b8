//! The client's requests and what it makes of answers, against a stand-in that answers as `docs/reference/api.md` says.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use backstitch::client::{ForkPlan, Job, RunFilter, SubscriptionScope};
use backstitch::prelude::*;
use backstitch::{Client, FunctionRef, ObjectRef};
use serde_json::{Value, json};

const ORDER: FunctionRef<u64, String> = FunctionRef::new("order");
const CART: ObjectRef = ObjectRef::new("cart");
const CHARGE: FunctionRef<u64, String> = FunctionRef::new("billing/charge");

type Seen = Arc<Mutex<Vec<(String, Value)>>>;

/// Answers by path; results are there at the second asking.
fn answer(seen: &Seen, method: &Method, uri: &Uri, headers: &HeaderMap, body: &[u8]) -> (StatusCode, String) {
    assert_eq!(headers["authorization"], "Bearer bsk_x");
    let line = format!("{method} {uri}");
    let asked = seen.lock().unwrap().iter().filter(|(before, _)| *before == line).count();
    seen.lock().unwrap().push((line, serde_json::from_slice(body).unwrap_or_default()));
    let dry = seen.lock().unwrap().last().is_some_and(|(_, body)| body.get("dryRun").is_some());
    let (status, body) = match uri.path() {
        "/v1/runs/run_1/updates/change%2F1" => (202, json!({"id": "u1"})),
        "/v1/runs/run_1/updates/u1" if asked == 0 => (202, json!({"id": "u1"})),
        "/v1/runs/run_1/updates/u1" => (200, json!({"id": "u1", "ok": {"fee": 3}})),
        "/v1/runs/run_1/updates/late" => {
            (200, json!({"id": "u2", "err": {"name": "TooLate", "message": "it has left", "code": "E1"}}))
        }
        "/v1/runs/run_1/status" => (200, json!({"id": "run_1", "status": "suspended", "value": {"phase": "asked"}})),
        "/v1/runs/run_1/kill" | "/v1/runs/run_1/pause" | "/v1/runs/run_1/resume" | "/v1/runs/run_1/move" => {
            (202, json!({}))
        }
        "/v1/runs/run_1/fork" | "/v1/runs/run_1/retry" if dry => (200, json!({"copied": ["a"], "again": ["b"]})),
        "/v1/runs/run_1/fork" | "/v1/runs/run_1/retry" => (201, json!({"id": "run_9", "copied": 1, "created": true})),
        "/v1/jobs" if dry => (200, json!({"total": 12})),
        "/v1/jobs" => (202, json!({"id": "job_1"})),
        "/v1/jobs/job_1" => {
            let status = if asked == 0 { "running" } else { "done" };
            (200, json!({"id": "job_1", "status": status, "done": 12, "failed": 1, "total": 12, "lastError": null}))
        }
        "/v1/objects/shop/cart/user%2F17/add" => (202, json!({"id": "run_1", "created": true})),
        "/v1/objects/shop/cart/user%2F17/state" => (200, json!({"state": {"total": 3}, "holder": null, "waiting": 0})),
        "/v1/events" => (202, json!({"events": [{"id": "evt_1", "created": true, "runs": []}]})),
        "/v1/runs/run_1/result" if asked == 0 => (202, json!({"id": "run_1", "status": "running"})),
        "/v1/runs/run_1/result" => (200, json!({"id": "run_1", "status": "completed", "ok": "shipped"})),
        "/v1/runs/run_2/result" => {
            (200, json!({"id": "run_2", "status": "failed", "err": {"name": "Unpaid", "message": "nobody paid"}}))
        }
        "/v1/functions/shop/order/runs" | "/v1/functions/billing/charge/runs" => {
            (202, json!({"id": "run_1", "created": true}))
        }
        "/v1/subscriptions" => (201, json!({"token": "sub_x", "expiresAt": "2026-01-01T00:05:00.000Z"})),
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

#[tokio::test]
async fn updates_are_waited_for_and_fail_with_their_rejection() {
    let (client, seen) = server().await;
    let run = client.run::<String>("run_1");
    let reply: Value = run.update("change/1", "Elm").id("u1").send().await.unwrap();
    assert_eq!(reply, json!({"fee": 3}));
    let late = run.update::<Value>("late", ()).within(5.seconds()).await.unwrap_err();
    assert_eq!((late.name(), late.code()), ("TooLate", Some("E1")));
    assert_eq!(run.update::<Value>("change/1", ()).within(0.seconds()).await.unwrap(), None);
    let status = run.status().await.unwrap();
    assert_eq!((status.status.as_str(), &status.value["phase"]), ("suspended", &json!("asked")));
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen[0].0, "POST /v1/runs/run_1/updates/change%2F1?wait=30s");
    assert_eq!(seen[0].1, json!({"data": "Elm", "id": "u1"}));
    assert_eq!(seen[1].0, "GET /v1/runs/run_1/updates/u1?wait=30s");
    assert_eq!(seen[4].0, "POST /v1/runs/run_1/updates/change%2F1?wait=0ms");
}

#[tokio::test]
async fn runs_are_held_forked_and_retried() {
    let (client, seen) = server().await;
    let run = client.run::<String>("run_1");
    run.pause().await.unwrap();
    run.resume().await.unwrap();
    run.kill().await.unwrap();
    run.move_to(None).await.unwrap();
    let moved = seen.lock().unwrap().pop().unwrap();
    assert_eq!(moved, ("POST /v1/runs/run_1/move".to_owned(), json!({"to": "current"})));
    let fork = || run.fork().at("ship").edit("charge", json!({"id": "ch_1"})).input(5);
    let plan = ForkPlan { copied: vec!["a".to_owned()], again: vec!["b".to_owned()] };
    assert_eq!(fork().plan().await.unwrap(), plan);
    assert_eq!(fork().edit_error("b", Error::terminal("No", "no")).send().await.unwrap().id(), "run_9");
    assert_eq!(run.retry().plan().await.unwrap(), plan);
    assert_eq!(run.retry().idempotency_key("k").send().await.unwrap().id(), "run_9");
    let bodies: Vec<Value> = seen.lock().unwrap()[3..].iter().map(|(_, body)| body.clone()).collect();
    let (ok, err) = (json!({"ok": {"id": "ch_1"}}), json!({"err": {"name": "No", "message": "no"}}));
    assert_eq!(bodies[0], json!({"at": "ship", "edits": {"charge": ok}, "input": 5, "dryRun": true}));
    assert_eq!(bodies[1], json!({"at": "ship", "edits": {"charge": ok, "b": err}, "input": 5}));
    assert_eq!(bodies[2..], [json!({"dryRun": true}), json!({})]);
}

#[tokio::test]
async fn jobs_are_counted_begun_watched_and_stopped() {
    let (client, seen) = server().await;
    let filter = RunFilter::new().app("shop").status("failed").since(std::time::SystemTime::UNIX_EPOCH);
    let job = Job::fork(filter, Some("ship"));
    assert_eq!(client.count(&job).await.unwrap(), 12);
    client.begin(&Job::move_to(RunFilter::new().deployment("dep_1"), Some("dep_2"))).await.unwrap();
    let moving = json!({"action": "move", "filter": {"deployment": "dep_1"}, "options": {"to": "dep_2"}});
    assert_eq!(seen.lock().unwrap().pop().unwrap().1, moving);
    let handle = client.begin(&job).await.unwrap();
    let ended = handle.ended(10.seconds()).await.unwrap();
    assert_eq!((ended.status.as_str(), ended.done, ended.failed), ("done", 12, 1));
    handle.stop().await.unwrap();
    let seen = seen.lock().unwrap().clone();
    let filter = json!({"app": "shop", "status": ["failed"], "since": "1970-01-01T00:00:00.000Z"});
    let options = json!({"at": "ship"});
    assert_eq!(seen[0].1, json!({"action": "fork", "filter": filter, "options": options, "dryRun": true}));
    assert_eq!(seen[1].1, json!({"action": "fork", "filter": filter, "options": options}));
    assert_eq!(seen.last().unwrap().0, "DELETE /v1/jobs/job_1");
}

#[tokio::test]
async fn handlers_of_objects_are_called_under_their_key() {
    let (client, seen) = server().await;
    let add = CART.handler::<u64, String>("add");
    assert_eq!(client.call(add.key("user/17"), 3).await.unwrap(), "shipped");
    let run = client.start(add.key("user/17"), 3).idempotency_key("k").send().await.unwrap();
    assert_eq!(run.id(), "run_1");
    let state: Value = client.state(CART.key("user/17")).await.unwrap();
    assert_eq!(state, json!({"total": 3}));
    let far = ObjectRef::new("billing/cart").handler::<u64, String>("add");
    assert!(client.start(far.key("user/17"), 3).send().await.err().unwrap().message().contains("no such run"));
    assert_eq!(client.start(add.key(""), 3).send().await.err().unwrap().name(), "InvalidKeyError");
    let seen = seen.lock().unwrap().clone();
    assert_eq!(seen[0].0, "POST /v1/objects/shop/cart/user%2F17/add?mode=send");
    assert_eq!(seen[3].1, json!({"input": 3, "idempotencyKey": "k"}));
    assert_eq!(seen[5].0, "POST /v1/objects/billing/cart/user%2F17/add?mode=send");
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

#[tokio::test]
async fn a_token_for_a_browser_is_asked_for_with_its_scope() {
    let (client, seen) = server().await;
    let narrow = SubscriptionScope::run("run_1").topics(["tokens", "stage"]).ttl(10.minutes());
    let token = client.subscription_token(&narrow).await.unwrap();
    assert_eq!(token.token, "sub_x");
    let until = token.expires_at.duration_since(std::time::UNIX_EPOCH).unwrap();
    assert_eq!(until, Duration::from_secs(1_767_225_900));
    assert!(!format!("{token:?}").contains("sub_x"), "whoever prints it does not give it away");
    client.subscription_token(&SubscriptionScope::channel("prices")).await.unwrap();
    let asked: Vec<Value> = seen.lock().unwrap().iter().map(|(_, body)| body.clone()).collect();
    assert_eq!(
        asked,
        [json!({"run": "run_1", "topics": ["tokens", "stage"], "ttl": "10m"}), json!({"channel": "prices"})]
    );
    assert!(seen.lock().unwrap().iter().all(|(line, _)| line == "POST /v1/subscriptions"));
}
