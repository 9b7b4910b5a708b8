//! HTTP calls for runs, as the other side sees them, and everything that can come back.

use std::sync::Arc;
use std::time::Duration;

use backstitch_server::clock::SystemClock;
use backstitch_server::dispatch::{Egress, Fetcher, HttpClient, HttpFetcher};
use backstitch_server::limits::OUTCOME_BYTES_MAX;
use backstitch_server::model::{Failure, FetchCall, FetchEnd, FetchToken, Payload, RunId, names};
use serde_json::{Value, json};

use super::guard::FORBIDDEN;
use crate::support::peer::{Peer, Received, Say, response};

fn call(params: &Value) -> FetchCall {
    let token = FetchToken { run: RunId(7), idx: 1, counter: 1 };
    FetchCall { token, entry: "ask/élan".into(), attempt: 1, params: Payload::trusted(params.to_string()) }
}

async fn fetch_by(egress: Egress, params: Value) -> FetchEnd {
    let client = HttpClient::new(egress).expect("a client");
    HttpFetcher::new(client, Arc::new(SystemClock::new())).fetch(call(&params)).await
}

async fn fetch(params: Value) -> FetchEnd {
    fetch_by(Egress::Open, params).await
}

/// What comes of a call to a peer that does this, and what the peer was asked.
async fn fetched(script: impl Fn(&Received) -> Vec<Say> + Send + Sync + 'static) -> (FetchEnd, Vec<Received>) {
    let peer = Peer::start(script).await;
    let end = fetch(json!({ "request": { "url": peer.url() } })).await;
    (end, peer.received())
}

fn value(end: &FetchEnd) -> Value {
    match end {
        FetchEnd::Answered { value, .. } => value.read().expect("JSON"),
        FetchEnd::Failed { failure, .. } => panic!("{failure:?}"),
    }
}

fn failure(end: FetchEnd) -> Failure {
    match end {
        FetchEnd::Failed { failure, .. } => *failure,
        FetchEnd::Answered { said, .. } => panic!("{said}"),
    }
}

#[tokio::test]
async fn a_request_goes_out_as_it_was_asked_for() {
    let peer =
        Peer::start(|_| response(201, &[("x-a", "1"), ("x-a", "2"), ("content-type", "text/plain")], "grüezi")).await;
    let request = json!({
        "url": format!("http://{}/v1/ask?q=1#part", peer.address), "method": "PUT",
        "headers": { "Authorization": "Bearer s3cret", "content-type": "application/json" },
        "body": "{\"a\":\"é\"}"
    });
    let end = fetch(json!({ "request": request, "timeout": "5s" })).await;
    let value = value(&end);
    assert_eq!((&value["status"], &value["body"], &value["encoding"]), (&json!(201), &json!("grüezi"), &json!("utf8")));
    assert_eq!((&value["headers"]["x-a"], &value["headers"]["content-type"]), (&json!("1, 2"), &json!("text/plain")));
    let asked = &peer.received()[0];
    assert_eq!((&*asked.method, &*asked.path, &*asked.body), ("PUT", "/v1/ask?q=1", "{\"a\":\"é\"}".as_bytes()));
    assert_eq!(asked.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    assert!(asked.header("user-agent").is_some_and(|agent| agent.starts_with("backstitch/")));
    // The same for every attempt, and fit for a header whatever the entry is called.
    let key = format!("{}/ask/%C3%A9lan", RunId(7));
    assert_eq!(asked.header("idempotency-key"), Some(&*key));
    assert!(asked.header("backstitch-protocol").is_none(), "a call for a run is none of a handler");
}

#[tokio::test]
async fn what_the_author_says_counts_before_what_the_server_would_say() {
    let peer = Peer::start(|_| response(200, &[], "")).await;
    let headers = json!({ "Idempotency-Key": "mine", "User-Agent": "own", "accept-encoding": "gzip" });
    let request =
        json!({ "url": peer.url(), "method": "POST", "headers": headers, "body": "AP8=", "encoding": "base64" });
    value(&fetch(json!({ "request": request })).await);
    let asked = &peer.received()[0];
    assert_eq!(asked.headers.iter().filter(|(name, _)| name == "idempotency-key").count(), 1);
    assert_eq!((asked.header("idempotency-key"), asked.header("user-agent")), (Some("mine"), Some("own")));
    assert_eq!((asked.header("accept-encoding"), &*asked.body), (Some("gzip"), [0, 255].as_slice()));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_kept_in_base64() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n\x00\xff\x01".to_vec();
    let (end, _) = fetched(move |_| vec![Say::Bytes(bytes.clone())]).await;
    assert_eq!((&value(&end)["body"], &value(&end)["encoding"]), (&json!("AP8B"), &json!("base64")));
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_nobody_is_asked_there() {
    let (end, asked) = fetched(|_| response(302, &[("location", "http://169.254.169.254/latest")], "")).await;
    assert_eq!((&value(&end)["status"], asked.len()), (&json!(302), 1));
    assert_eq!(value(&end)["headers"]["location"], "http://169.254.169.254/latest");
}

#[tokio::test]
async fn an_error_page_is_an_answer_and_says_when_to_come_back() {
    let (end, _) =
        fetched(|_| response(503, &[("retry-after", "7"), ("content-type", "text/html")], "<title>Busy</title>")).await;
    let FetchEnd::Answered { status, retry_after, said, .. } = end else { panic!("is an answer") };
    assert_eq!((status, retry_after.map(|after| after.0)), (503, Some(7_000)));
    assert!(said.contains("answered 503") && said.contains("Busy"), "{said}");
}

#[tokio::test]
async fn what_is_too_large_is_not_read_to_its_end() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let (end, _) = fetched(move |_| vec![Say::text(head), Say::Forever(vec![b'x'; 65_536])]).await;
    let failed = failure(end);
    assert_eq!((&*failed.name, failed.retryable), (names::TOO_LARGE, Some(false)));
    assert!(failed.message.contains(&OUTCOME_BYTES_MAX.to_string()), "{}", failed.message);
    // It fits as bytes, and not as JSON.
    let (end, _) = fetched(|_| response(200, &[], &"\"".repeat(OUTCOME_BYTES_MAX * 2 / 3))).await;
    assert_eq!(failure(end).name, names::TOO_LARGE);
    let (end, _) = fetched(|_| response(200, &[], &"x".repeat(OUTCOME_BYTES_MAX - 200))).await;
    assert_eq!(value(&end)["body"].as_str().map(str::len), Some(OUTCOME_BYTES_MAX - 200));
}

#[tokio::test]
async fn no_answer_is_a_failure_that_may_pass() {
    let peer = Peer::start(|_| vec![Say::Pause(Duration::from_secs(30))]).await;
    let late = failure(fetch(json!({ "request": { "url": peer.url() }, "timeout": 60 })).await);
    assert_eq!((late.code.as_deref(), late.retryable), (Some("lost"), Some(true)));
    assert!(late.message.contains("no complete answer within 60ms"), "{}", late.message);
    let (end, _) = fetched(|_| vec![Say::text("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nab"), Say::Close]).await;
    assert_eq!(failure(end).code.as_deref(), Some("lost"));
    drop(peer);
    let refused = failure(fetch(json!({ "request": { "url": "http://127.0.0.1:1/x?key=s3cret" } })).await);
    assert_eq!((refused.code.as_deref(), refused.retryable), (Some("unreachable"), Some(true)));
    assert!(refused.message.starts_with("http://127.0.0.1:1/x: connection refused"), "{}", refused.message);
    assert!(!refused.message.contains("s3cret"));
}

#[tokio::test]
async fn what_the_egress_policy_forbids_is_never_called() {
    let peer = Peer::start(|_| response(200, &[], "")).await;
    let port = peer.address.port();
    for form in FORBIDDEN {
        let url = form.replace("PORT", &port.to_string());
        let failed = failure(fetch_by(Egress::public_only(), json!({ "request": { "url": url } })).await);
        assert_eq!(failed.name, names::FETCH_FAILED, "{form}");
        // Not every resolver knows `localhost.` with its dot.
        let unknown = failed.message.contains("the name localhost. cannot be resolved");
        let refused = failed.code.as_deref() == Some("forbidden") && failed.retryable == Some(false);
        assert!(refused || unknown, "{form}: {failed:?}");
    }
    assert_eq!(peer.connections(), 0);
    let allowed: Egress = "127.0.0.1/32".parse().expect("a policy");
    let url = format!("http://localhost:{port}/");
    value(&fetch_by(allowed, json!({ "request": { "url": url } })).await);
}

#[tokio::test]
async fn a_request_that_is_none_is_not_sent() {
    let peer = Peer::start(|_| response(200, &[], "")).await;
    let request = |name: &str, value: &str| json!({ "request": { "url": peer.url(), "headers": { name: value } } });
    let body = json!({ "request": { "url": peer.url(), "body": "no base64", "encoding": "base64" } });
    let others = ["ftp://a/", "file:///etc/passwd", "http://a:b@c/", "shop", "http://a b/", ""];
    let urls = others.map(|url| json!({ "request": { "url": url } }));
    let headers = [
        request("host", "evil.example"),
        request("Content-Length", "5"),
        request("transfer-encoding", "chunked"),
        request("x", "a\r\ny: z"),
        request("a b", "x"),
        body,
    ];
    for params in urls.into_iter().chain(headers) {
        let failed = failure(fetch(params.clone()).await);
        assert_eq!((failed.code.as_deref(), failed.retryable), (Some("invalid"), Some(false)), "{params}");
    }
    assert_eq!(peer.received().len(), 0);
}
