//! The program in Lambda's own runtime. Lambda's side of it, the Runtime API, is plain HTTP: here it hands out each of the
//! recorded requests in `tests/conformance/lambda`, and looks at what comes back.
#![cfg(test)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Path as Segment, State};
use axum::http::{HeaderMap, HeaderValue};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, mpsc};

/// How long a test waits for an answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The Runtime API with one instance of the function.
struct Lambda {
    events: mpsc::Sender<Value>,
    answers: mpsc::Receiver<Result<Value, Value>>,
    _function: Child,
}

/// What the Runtime API hands out, and where it puts what it takes.
struct Desk {
    events: Mutex<mpsc::Receiver<Value>>,
    answers: mpsc::Sender<Result<Value, Value>>,
}

impl Lambda {
    async fn start(environment: &[(&str, &str)]) -> Lambda {
        let (events, waiting) = mpsc::channel(1);
        let (taken, answers) = mpsc::channel(1);
        let desk = Arc::new(Desk { events: Mutex::new(waiting), answers: taken });
        let api = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(error))
            .with_state(desk);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move { axum::serve(listener, api).await });
        let function = Command::new(env!("CARGO_BIN_EXE_aws-lambda"))
            .env_remove("BACKSTITCH_KEY")
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", address.as_str()),
                ("AWS_LAMBDA_FUNCTION_NAME", "invoices"),
                ("AWS_LAMBDA_FUNCTION_VERSION", "7"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
                ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/invoices"),
                ("AWS_LAMBDA_LOG_STREAM_NAME", "1"),
            ])
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Lambda { events, answers, _function: function }
    }

    /// What the function makes of an event.
    async fn invoke(&mut self, event: Value) -> Result<Value, Value> {
        self.events.send(event).await.unwrap();
        tokio::time::timeout(PATIENCE, self.answers.recv()).await.expect("an answer in time").unwrap()
    }
}

async fn next(State(desk): State<Arc<Desk>>) -> (HeaderMap, Json<Value>) {
    let event = desk.events.lock().await.recv().await.expect("the test holds the other end");
    let mut headers = HeaderMap::new();
    headers.insert("lambda-runtime-aws-request-id", HeaderValue::from_static("5b1f2c3d-0a1b-4c2d-8e3f-000000000001"));
    headers.insert("lambda-runtime-deadline-ms", HeaderValue::from(now() + 300_000));
    headers.insert(
        "lambda-runtime-invoked-function-arn",
        HeaderValue::from_static("arn:aws:lambda:eu-central-1:123456789012:function:invoices"),
    );
    (headers, Json(event))
}

async fn response(State(desk): State<Arc<Desk>>, Segment(_): Segment<String>, body: String) {
    desk.answers.send(Ok(serde_json::from_str(&body).unwrap())).await.unwrap();
}

async fn error(State(desk): State<Arc<Desk>>, Segment(_): Segment<String>, body: String) {
    desk.answers.send(Err(serde_json::from_str(&body).unwrap_or(Value::Null))).await.unwrap();
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

/// Every recorded request, by its file's name.
fn shapes() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../tests/conformance/lambda");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let shapes = files.filter(|file| file.extension().is_some_and(|kind| kind == "json"));
    shapes
        .map(|file| {
            let name = file.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap())
        })
        .collect()
}

/// The recorded request with another method and body.
fn filled(shape: &Value, method: &str, body: &str, base64: bool) -> Value {
    let mut event = shape["event"].clone();
    for pointer in shape["put"]["method"].as_array().unwrap() {
        *event.pointer_mut(pointer.as_str().unwrap()).unwrap() = json!(method);
    }
    if let Some(pointer) = shape["put"]["at"].as_str() {
        *event.pointer_mut(pointer).unwrap() = json!(now());
    }
    event["body"] = json!(body);
    event["isBase64Encoded"] = json!(base64);
    event
}

/// The JSON of an answer, and one of its headers in the field that the sender reads.
fn read(shape: &Value, answer: &Value) -> (Value, String) {
    let mut text = answer["body"].as_str().unwrap().to_owned();
    if answer["isBase64Encoded"] == true {
        text = String::from_utf8(BASE64.decode(&text).unwrap()).unwrap();
    }
    let field = shape["answer"].as_str().unwrap();
    let headers =
        if answer[field].as_object().is_some_and(|map| !map.is_empty()) { field } else { "multiValueHeaders" };
    let sdk = &answer[headers]["backstitch-sdk"];
    (serde_json::from_str(&text).unwrap(), sdk.as_str().or_else(|| sdk[0].as_str()).unwrap_or_default().to_owned())
}

fn invocation() -> String {
    json!({
        "run": {"id": "run_01hzy3v7q8k2m4n6p8r0s2t4v6", "app": "invoices-rust", "function": "invoice", "name": null, "attempt": 1,
                "startedAt": "2026-03-01T12:00:00.000Z", "key": null, "secret": "00"},
        "trigger": {"kind": "event", "events": [{"id": "evt_1", "name": "invoice/written", "at": "2026-03-01T12:00:00.000Z",
                    "data": {"id": "17", "cents": 4900, "to": "Jürgen 🧵"}}]},
        "input": {"id": "17", "cents": 4900, "to": "Jürgen 🧵"},
        "journal": [], "links": {"checkpoint": null, "journal": null}, "token": "inv_1"
    })
    .to_string()
}

#[tokio::test]
async fn every_shape_of_request_is_answered_in_its_own() {
    let mut lambda = Lambda::start(&[("BACKSTITCH_DEV", "1")]).await;
    let shapes = shapes();
    assert!(shapes.len() >= 6);
    for (name, shape) in &shapes {
        let found = lambda.invoke(filled(shape, "GET", "", false)).await.unwrap();
        let (manifest, sdk) = read(shape, &found);
        assert_eq!((&found["statusCode"], sdk.split('/').next()), (&json!(200), Some("rust")), "{name}: {found}");
        assert_eq!(manifest["deployment"], json!({"id": "invoices-7", "immutable": false}), "{name}");
        let limits = json!({"requestBytes": 3_000_000, "responseBytes": 3_000_000, "streams": false, "outbound": true});
        assert_eq!(manifest["limits"], limits, "{name}");

        for base64 in [false, true] {
            let body = if base64 { BASE64.encode(invocation()) } else { invocation() };
            let (answer, _) = read(shape, &lambda.invoke(filled(shape, "POST", &body, base64)).await.unwrap());
            assert_eq!(answer["ops"][0]["id"], "invoice", "{name}: {answer}");
            assert_eq!(answer["ops"][0]["ok"], "run_01hzy3v7q8k2m4n6p8r0s2t4v6/invoice", "{name}");
        }
        for (method, body, status) in [("PUT", "{}", 405), ("POST", "{", 400), ("POST", &"x".repeat(3_000_001), 413)] {
            let refused = lambda.invoke(filled(shape, method, body, false)).await.unwrap();
            assert_eq!(refused["statusCode"], status, "{name}: {method}");
        }
    }
}

#[tokio::test]
async fn unsigned_requests_are_refused_and_what_is_no_request_is_an_error() {
    let key = format!("bsk_{}", "A".repeat(43));
    let mut lambda = Lambda::start(&[("BACKSTITCH_KEY", &key)]).await;
    let shape = &shapes()["function-url"];
    let refused = lambda.invoke(filled(shape, "POST", &invocation(), false)).await.unwrap();
    assert_eq!((&refused["statusCode"], &read(shape, &refused).0["code"]), (&json!(401), &json!("signature")));
    lambda.invoke(json!({"source": "aws.events", "detail-type": "Scheduled Event"})).await.unwrap_err();
}
