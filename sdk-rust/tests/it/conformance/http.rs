//! The corpus' whole requests: keys, signatures, bad bodies.

use axum::body::Body;
use backstitch::testing::with_clock;
use backstitch::{App, Ctx};
use http::{Request, Response};
use serde_json::Value;

use super::{corpus, matching, read};
use crate::support::send;

#[tokio::test]
async fn every_request() {
    let file = read(&corpus("http.json"));
    let now: jiff::Timestamp = file["now"].as_str().unwrap().parse().unwrap();
    let mut failures = Vec::new();
    for case in file["requests"].as_array().unwrap() {
        let app = App::new("conformance")
            .keys(case["key"].as_str().unwrap())
            .dev(case.get("dev").is_some_and(|dev| dev == true))
            .function_fn("main", |_: Ctx, _: Value| async { backstitch::Ok(1) });
        let mut service = with_clock(app, move || now.into()).service();
        let mut request =
            Request::builder().method(case["method"].as_str().unwrap()).uri(case["path"].as_str().unwrap());
        for (name, value) in case["headers"].as_object().unwrap() {
            request = request.header(name, value.as_str().unwrap());
        }
        let request = request.body(Body::from(case["body"].as_str().unwrap().to_owned())).unwrap();
        if let Err(reason) = check(case, &send(&mut service, request).await) {
            failures.push(format!("{}: {reason}", case["name"]));
        }
    }
    assert!(failures.is_empty(), "{} failed:\n{}", failures.len(), failures.join("\n"));
}

fn check(case: &Value, response: &Response<Vec<u8>>) -> Result<(), String> {
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let text = String::from_utf8_lossy(response.body()).into_owned();
    if case["status"] != response.status().as_u16() {
        return Err(format!("status {}: {text}", response.status()));
    }
    if !header("backstitch-sdk").starts_with("rust/") || !header("backstitch-deployment").contains(';') {
        return Err(format!("the SDK's headers are missing: {:?}", response.headers()));
    }
    let body: Value = serde_json::from_str(&text).map_err(|error| format!("{error}: {text}"))?;
    if case["status"] != 200 {
        let typed = header("content-type") == "application/problem+json" && body["status"] == case["status"];
        return if typed && body["code"] == case["code"] { Ok(()) } else { Err(text) };
    }
    if case["method"] == "GET" && header("cache-control") != "no-store" {
        return Err("a manifest must not be cached".to_owned());
    }
    match case.get("answer") {
        Some(answer) => matching::answer(answer, &body),
        None => Ok(()),
    }
}
