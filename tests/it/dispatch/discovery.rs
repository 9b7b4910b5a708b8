//! Asking an app what it is, and each way in which that goes wrong.

use std::time::Duration;

use backstitch_server::auth::SigningKey;
use backstitch_server::dispatch::{DiscoveryError, Egress};
use serde_json::{Value, json};

use super::world::{open, world};
use crate::support::peer::{Peer, SDK, Say, response};

fn manifest() -> Value {
    json!({
        "protocol": {"min": 1, "max": 1}, "sdk": "test/1.0", "app": "shop",
        "deployment": {"id": "v1", "immutable": false}, "functions": [{"id": "order", "triggers": []}],
    })
}

type Headers = &'static [(&'static str, &'static str)];

async fn error_of(status: u16, headers: Headers, body: String) -> DiscoveryError {
    let peer = Peer::start(move |_| response(status, headers, &body)).await;
    open().discovery.discover(&peer.url(), &[], Some("shop")).await.expect_err("it is no app")
}

#[tokio::test]
async fn an_app_is_found() {
    let peer = Peer::start(|_| response(200, &SDK, &manifest().to_string())).await;
    let world = world(Egress::Open, Some(&SigningKey::private([5; 32])), Vec::new());
    let headers = vec![("x-bypass".to_owned(), "s3cret".to_owned())];
    let found = world.discovery.discover(&peer.url(), &headers, Some("shop")).await.expect("an app");
    assert_eq!((&*found.manifest.app, &*found.manifest.hash, found.url), ("shop", "hash-1", peer.url()));
    let request = peer.received().remove(0);
    assert_eq!((&*request.method, &*request.path, request.body.len()), ("GET", "/api/backstitch", 0));
    assert_eq!(request.header("x-bypass"), Some("s3cret"));
    assert_eq!(request.header("backstitch-protocol"), Some("1"));
    assert!(request.header("authorization").is_some());
}

#[tokio::test]
async fn an_immutable_deployment_has_its_own_address() {
    let mut own = manifest();
    own["deployment"] = json!({"id": "v1", "immutable": true, "url": "https://shop-v1.example/api"});
    let peer = Peer::start(move |_| response(200, &SDK, &own.to_string())).await;
    let found = open().discovery.discover(&peer.url(), &[], None).await.expect("an app");
    assert_eq!(found.url, "https://shop-v1.example/api");
}

#[tokio::test]
async fn each_failure_has_its_own_words() {
    const PAGE: &[(&str, &str)] = &[("content-type", "text/html")];
    let sdk: &'static [(&str, &str)] = &SDK;
    let problem = r#"{"code":"signature","detail":"the signature is missing"}"#.to_owned();
    let version = json!({"protocol": {"min": 2, "max": 2}}).to_string();
    let mut other = manifest();
    other["app"] = json!("billing");
    let mut faulty = manifest();
    faulty["functions"][0]["triggers"] = json!([{"cron": "nonsense"}]);
    let cases: Vec<(u16, Headers, String, &str)> = vec![
        (200, PAGE, "<html><title>My shop</title>".to_owned(), "an HTML page titled \"My shop\""),
        (404, PAGE, "<html>not found".to_owned(), "This is a web page, not a Backstitch endpoint"),
        (404, &[], "no".to_owned(), "This is not a Backstitch endpoint: is the address right?"),
        (
            401,
            sdk,
            problem,
            "does not take this server's signature (the signature is missing). This server has no signing key",
        ),
        (401, PAGE, "<html>log in".to_owned(), "asks for credentials: register it with `headers`"),
        (403, &[], String::new(), "asks for credentials"),
        (302, &[("location", "/login")], String::new(), "answered 302 Found to /login. Redirects are not followed"),
        (200, sdk, version, "the SDK speaks versions 2 to 2, this server speaks version 1; update the server"),
        (200, sdk, other.to_string(), "failed to register `shop`: the app at http://127.0.0.1"),
        (200, sdk, faulty.to_string(), "/functions/0/triggers/0/cron: is no cron line"),
        (200, sdk, "{".to_owned(), "failed to read the manifest: EOF"),
        (500, sdk, String::new(), "failed to ask the app what it is"),
        (200, sdk, " ".repeat(5 << 20), "larger than 4194304 bytes"),
    ];
    for (status, headers, body, words) in cases {
        let error = error_of(status, headers, body).await.to_string();
        assert!(error.contains(words), "{status}: `{words}` is not in: {error}");
    }
}

#[tokio::test]
async fn what_cannot_be_asked_is_said_before_or_after_trying() {
    let discovery = open().discovery;
    let error = |url: &'static str, headers: Vec<(String, String)>| {
        let discovery = discovery.clone();
        async move { discovery.discover(url, &headers, None).await.expect_err(url).to_string() }
    };
    assert!(error("shop.example/api", vec![]).await.contains("write it in full"));
    assert!(error("http://u:p@shop.example/", vec![]).await.contains("credentials"));
    assert!(error("http://a/", vec![("host".into(), "b".into())]).await.contains("`host`: the server sets it itself"));
    assert!(
        error("http://127.0.0.1:1/", vec![]).await.contains("connection refused by 127.0.0.1:1; is the app running?")
    );
    assert!(error("http://no-such-host.invalid/", vec![]).await.contains("cannot be resolved"));
}

#[tokio::test]
async fn an_app_that_dies_is_lost() {
    let peer = Peer::start(|_| vec![Say::Pause(Duration::from_millis(5)), Say::Close]).await;
    let error = open().discovery.discover(&peer.url(), &[], None).await.expect_err("it died");
    assert!(matches!(error, DiscoveryError::Lost { .. }), "{error}");
}
