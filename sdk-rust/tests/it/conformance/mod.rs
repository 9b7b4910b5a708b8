//! Runs the conformance corpus (`tests/conformance/` of the repository) through the SDK's HTTP side.
//!
//! `standin` is the server that a handler reports to while it runs, over a real socket; `interpreter` turns the corpus' programs into calls of the public surface, `values` knows what they are made of, `matching` compares answers, `http` runs the
//! whole requests. What the corpus says is the norm: a case that fails here is a bug of the SDK.

mod calls;
mod http;
mod interpreter;
mod labels;
mod matching;
mod modes;
mod said;
mod standin;
mod values;

use std::path::PathBuf;
use std::time::Duration;

use axum::body::Body;
use backstitch::App;
use serde_json::Value;

use crate::support::send;

use interpreter::Seen;
use standin::StandIn;

/// What this SDK does not have by design.
const LACKS: [&str; 0] = [];

fn corpus(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance").join(file)
}

fn read(path: &PathBuf) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn cases() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(corpus("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn every_case() {
    let defaults = read(&corpus("defaults.json"));
    let paths = cases();
    let (mut passed, mut failures) = (0, Vec::new());
    for path in paths {
        let case = read(&path);
        let needs = case.get("needs").and_then(Value::as_array).into_iter().flatten();
        if let Some(lacking) = needs.filter_map(Value::as_str).find(|need| LACKS.contains(need)) {
            println!("skipped {}: this SDK has no `{lacking}`", path.display());
            continue;
        }
        for transcript in case["transcripts"].as_array().unwrap() {
            match run(&case, &defaults, transcript).await {
                Ok(()) => passed += 1,
                Err(reason) => failures.push(format!("{} / {}: {reason}", case["name"], transcript["when"])),
            }
        }
    }
    assert!(failures.is_empty(), "{passed} passed, {} failed:\n{}", failures.len(), failures.join("\n"));
    assert!(passed > 200, "only {passed} transcripts were found");
}

async fn run(case: &Value, defaults: &Value, transcript: &Value) -> Result<(), String> {
    let seen = Seen::default();
    let app = interpreter::define(App::new("conformance").keys("").dev(true), case, &seen);
    // A case says what comes of each request; waiting for more would only take time.
    let app = app.linger(Duration::ZERO);
    let mut invocation = lay_over(defaults, &transcript["invocation"]);
    let server = StandIn::start(transcript, invocation["token"].as_str().unwrap()).await;
    invocation["links"] = server.links();
    let request = ::http::Request::post("/?fn=main")
        .header("content-type", "application/json")
        .header("backstitch-protocol", "1")
        .body(Body::from(invocation.to_string()))
        .unwrap();
    let mut service = app.service();
    let response = tokio::time::timeout(Duration::from_secs(5), send(&mut service, request)).await;
    let response = response.map_err(|_| format!("took longer than 5 s; {:?}", server.finish()))?;
    let text = String::from_utf8_lossy(response.body()).into_owned();
    if response.status() != 200 {
        return Err(format!("status {}: {text}", response.status()));
    }
    server.finish().map_err(|reason| format!("{reason}\n    got {text}"))?;
    let answer: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    if answer["token"] != invocation["token"] {
        return Err(format!("the token is {}", answer["token"]));
    }
    if !transcript["answer"].is_null() {
        matching::answer(&transcript["answer"], &answer).map_err(|reason| format!("{reason}\n    got {text}"))?;
        matching::order(transcript, &answer)?;
    }
    let seen = seen.lock().unwrap();
    matching::bodies(transcript, &seen.begun)?;
    matching::stopped(transcript, &seen.stopped)
}

/// Each top-level field replaces the default one; the fields of `run` one by one.
fn lay_over(defaults: &Value, given: &Value) -> Value {
    let mut whole = defaults.clone();
    for (key, value) in given.as_object().unwrap() {
        match (key.as_str(), value) {
            ("run", Value::Object(fields)) => {
                for (field, value) in fields {
                    whole["run"][field] = value.clone();
                }
            }
            _ => whole[key] = value.clone(),
        }
    }
    whole
}
