//! Handlers that misbehave, against the real server: each gets its reason, nothing is lost, and the run goes on once the
//! handler is mended.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::server::{Place, Server};

/// How the handler behaves right now: from an invocation to an answer.
type Behaviour = fn(&Value) -> (StatusCode, &'static str, String);

#[derive(Clone)]
struct Handler(Arc<Mutex<Behaviour>>);

const OURS: [(&str, &str); 2] = [("backstitch-sdk", "test/0"), ("backstitch-deployment", "v1;hash")];

fn well(invocation: &Value) -> (StatusCode, &'static str, String) {
    let step = json!({"op": "step", "id": "a", "name": "a", "params": {}, "ok": 1, "attempt": 1});
    let done = json!({"op": "done", "ok": "mended"});
    ops(invocation, if invocation["journal"].as_array().is_some_and(Vec::is_empty) { vec![step] } else { vec![done] })
}

fn ops(invocation: &Value, ops: Vec<Value>) -> (StatusCode, &'static str, String) {
    let journal = invocation["journal"].as_array().into_iter().flatten();
    let seen = journal.filter_map(|entry| entry["seq"].as_u64()).max().unwrap_or(0);
    (StatusCode::OK, "ours", json!({"token": invocation["token"], "seen": seen, "ops": ops}).to_string())
}

impl Handler {
    fn now(&self, behaviour: Behaviour) {
        *self.0.lock().expect("nobody panics with the lock") = behaviour;
    }

    async fn serve(behaviour: Behaviour) -> (Handler, String) {
        let handler = Handler(Arc::new(Mutex::new(behaviour)));
        let router = Router::new().route("/", get(manifest).post(invoke)).with_state(handler.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        tokio::spawn(async move { axum::serve(listener, router).await.expect("it is served") });
        (handler, url)
    }
}

async fn manifest() -> Response {
    let manifest = json!({
        "protocol": {"min": 1, "max": 1}, "sdk": "test/0", "app": "odd",
        "deployment": {"id": "v1", "immutable": false},
        "limits": {"requestBytes": 1 << 20, "responseBytes": 1 << 20, "streams": false, "outbound": true},
        "functions": [{"id": "f", "triggers": [], "retry": {"attempts": 3, "initialInterval": "10ms"}}],
    });
    (OURS, manifest.to_string()).into_response()
}

async fn invoke(State(handler): State<Handler>, _headers: HeaderMap, body: Bytes) -> Response {
    let invocation: Value = serde_json::from_slice(&body).expect("the server sends JSON");
    let behaviour = *handler.0.lock().expect("nobody panics with the lock");
    match behaviour(&invocation) {
        (status, "ours", body) => (status, OURS, body).into_response(),
        (status, kind, body) => (status, [("content-type", kind)], body).into_response(),
    }
}

async fn world(behaviour: Behaviour) -> (Place, Server, Handler, String) {
    let place = Place::new();
    let server = Server::start(&place).await;
    let (handler, url) = Handler::serve(behaviour).await;
    let (status, body) = server.put_app("odd", &url).await;
    assert!(status < 300, "{body}");
    let (_, body) = server.post("/v1/functions/odd/f/runs", json!({"input": {}})).await;
    let run = body["id"].as_str().expect("it starts").to_owned();
    (place, server, handler, run)
}

async fn explained(server: &Server, run: &str, reason: &str) -> String {
    let said = server.until(&format!("/v1/runs/{run}/explain"), |said| said["reason"] == reason).await;
    said["sentence"].as_str().unwrap_or_default().to_owned()
}

/// The handler misbehaves, the run waits and says why, the handler is mended, the run ends.
async fn waits_and_heals(behaviour: Behaviour, reason: &str, words: &[&str], resume: bool) {
    let (_place, server, handler, run) = world(behaviour).await;
    let sentence = explained(&server, &run, reason).await;
    for word in words {
        assert!(sentence.contains(word), "`{sentence}` does not say `{word}`");
    }
    handler.now(well);
    if resume {
        let (status, body) = server.post(&format!("/v1/runs/{run}/resume"), json!({})).await;
        assert!(status < 300, "{body}");
    }
    let result = server.result(&run).await;
    assert_eq!(result["ok"], "mended", "{result}");
}

#[tokio::test]
async fn html_is_not_an_answer() {
    waits_and_heals(
        |_| (StatusCode::OK, "text/html", "<html>hello</html>".to_owned()),
        "unreachable",
        &["HTML"],
        false,
    )
    .await;
}

#[tokio::test]
async fn a_refused_signature_parks_the_run() {
    let refuse: Behaviour =
        |_| (StatusCode::UNAUTHORIZED, "ours", json!({"code": "signature", "title": "no key"}).to_string());
    waits_and_heals(refuse, "held", &["BACKSTITCH_KEY"], true).await;
}

#[tokio::test]
async fn an_unknown_function_parks_the_run() {
    let refuse: Behaviour =
        |_| (StatusCode::NOT_FOUND, "ours", json!({"code": "unknown_function", "title": "none"}).to_string());
    waits_and_heals(refuse, "held", &["odd/f"], true).await;
}

#[tokio::test]
async fn a_gateway_in_between_is_not_the_handler() {
    let between: [(Behaviour, &str); 3] = [
        (|_| (StatusCode::UNAUTHORIZED, "text/plain", "who are you".to_owned()), "401"),
        (|_| (StatusCode::NOT_FOUND, "text/plain", "nothing here".to_owned()), "404"),
        (|_| (StatusCode::BAD_GATEWAY, "text/plain", "try later".to_owned()), "502"),
    ];
    for (behaviour, status) in between {
        waits_and_heals(behaviour, "unreachable", &[status], false).await;
    }
}

/// What breaks the protocol counts as a failed invocation, and fails the run with that reason when it goes on.
async fn fails_with(behaviour: Behaviour, words: &[&str]) {
    let (_place, server, _handler, run) = world(behaviour).await;
    let result = server.result(&run).await;
    assert_eq!(result["status"], "failed", "{result}");
    let said = result["err"].to_string();
    for word in words {
        assert!(said.contains(word), "`{said}` does not say `{word}`");
    }
}

#[tokio::test]
async fn an_op_of_a_newer_sdk_parks_the_run() {
    let newer: Behaviour = |invocation| ops(invocation, vec![json!({"op": "teleport", "id": "x"})]);
    waits_and_heals(newer, "held", &["ops[0]", "teleport", "update the SDK or the server"], true).await;
}

#[tokio::test]
async fn an_id_twice_with_different_results_is_refused() {
    let twice: Behaviour = |invocation| {
        let step = |value: u32| json!({"op": "step", "id": "a", "params": {}, "ok": value, "attempt": 1});
        ops(invocation, vec![step(1), step(2)])
    };
    fails_with(twice, &["ops[0] and ops[1]", "`a`"]).await;
}

#[tokio::test]
async fn an_answer_with_nothing_pending_is_refused() {
    fails_with(|invocation| ops(invocation, Vec::new()), &["nothing pending"]).await;
}

#[tokio::test]
async fn a_stale_token_is_refused() {
    let stale: Behaviour = |invocation| {
        let token = format!("inv_1.1.{}", &"0".repeat(26));
        let (status, kind, body) = well(invocation);
        let mut body: Value = serde_json::from_str(&body).expect("JSON");
        body["token"] = json!(token);
        (status, kind, body.to_string())
    };
    fails_with(stale, &["token"]).await;
}

#[tokio::test]
async fn a_contradiction_parks_the_run_with_both_sides() {
    let contradict: Behaviour = |invocation| {
        if invocation["journal"].as_array().is_some_and(Vec::is_empty) {
            return well(invocation);
        }
        ops(invocation, vec![json!({"op": "mismatch", "id": "a", "journal": "step", "code": "sleep"})])
    };
    waits_and_heals(contradict, "held", &["`a`", "step", "sleep"], true).await;
}

#[tokio::test]
async fn a_second_server_on_the_same_data_is_refused() {
    let place = Place::new();
    let server = Server::start(&place).await;
    let said = Server::start_at(&place.path(), "127.0.0.1:0").await.err().expect("the second does not start");
    assert!(said.contains(&place.path().display().to_string()), "`{said}` does not name the directory");
    assert_eq!(server.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn what_clients_send_wrongly_is_named() {
    let (_place, server, _handler, _run) = world(well).await;
    let unknown = server.post("/v1/functions/odd/nope/runs", json!({"input": 1})).await;
    assert_eq!(unknown.0, 404, "{}", unknown.1);
    assert!(unknown.1["detail"].as_str().is_some_and(|detail| detail.contains("odd/nope")), "{}", unknown.1);
    let large = json!({"name": "big", "data": "x".repeat(1 << 20)});
    assert_eq!(server.post("/v1/events", large).await.0, 413);
    let http = reqwest::Client::new();
    let malformed =
        http.post(format!("{}/v1/events", server.url)).header("content-type", "application/json").body("{\"name\":");
    assert_eq!(malformed.send().await.expect("an answer").status().as_u16(), 400);
}
