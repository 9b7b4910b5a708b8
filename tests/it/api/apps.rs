//! Apps: registered, shown, synced, forgotten; and every way in which an app can be missing.

use axum::body::Body;
use http::Method;
use serde_json::{Value, json};

use super::world::{Answer, World, manifest, request, shop};
use crate::support::peer::{Peer, SDK, response};

async fn put(world: &World, app: &str, body: Value) -> Answer {
    let request = request(Method::PUT, &format!("/v1/apps/{app}")).header("content-type", "application/json");
    world.send(request.body(Body::from(body.to_string())).unwrap()).await
}

async fn act(world: &World, method: Method, path: &str) -> Answer {
    world.send(request(method, path).body(Body::empty()).unwrap()).await
}

#[tokio::test]
async fn apps_are_registered_shown_and_forgotten() {
    let world = World::open().await;
    let shown = world.get("/v1/apps/shop").await.json();
    assert_eq!((&shown["name"], &shown["url"]), (&json!("shop"), &json!(world.peer.url())));
    assert_eq!(
        shown["functions"],
        json!([
            "echo",
            "fail",
            "flaky",
            "approval",
            "form",
            "work",
            "on-paid",
            "desk",
            "ask",
            "trip",
            "ticker",
            "cart/add",
            "cart/hold",
            "cart/show"
        ])
    );
    assert_eq!((&shown["deployment"]["version"], &shown["syncError"]), (&json!("v1"), &json!(null)));

    let moved = Peer::start(shop).await;
    let answer = put(&world, "shop", json!({"url": moved.url(), "headers": {"x-bypass": "s3cret"}})).await;
    assert_eq!((answer.status, &answer.json()["url"]), (200, &json!(moved.url())), "{answer:?}");
    assert_eq!(answer.json()["headers"], json!(["x-bypass"]));
    assert!(!String::from_utf8_lossy(&answer.body).contains("s3cret"));
    assert_eq!(moved.received()[0].header("x-bypass"), Some("s3cret"));

    let synced = act(&world, Method::POST, "/v1/apps/shop/sync").await;
    assert_eq!((synced.status, &synced.json()["name"]), (200, &json!("shop")));
    assert_eq!(world.get("/v1/apps").await.json()["items"].as_array().unwrap().len(), 1);

    assert_eq!(act(&world, Method::DELETE, "/v1/apps/shop").await.status, 204);
    act(&world, Method::DELETE, "/v1/apps/shop").await.is_problem(404, "unknown_app", "");
    act(&world, Method::POST, "/v1/apps/shop/sync").await.is_problem(404, "unknown_app", "");
    world.get("/v1/apps/shop").await.is_problem(404, "unknown_app", "");
    world.post("/v1/functions/shop/echo/runs", "{}").await.is_problem(404, "unknown_function", "");
}

#[tokio::test]
async fn what_is_no_app_is_refused() {
    let world = World::open().await;
    let gone = Peer::start(shop).await;
    let nobody = gone.url();
    drop(gone);
    let page = Peer::start(|_| response(200, &[("content-type", "text/html")], "<!doctype html><h1>Hi</h1>")).await;
    let plain = Peer::start(|_| response(404, &[("content-type", "application/json")], "{}")).await;
    let signed = Peer::start(|_| {
        let headers = [("content-type", "application/problem+json"), SDK[0], SDK[1]];
        response(401, &headers, r#"{"title":"Unauthorized","status":401,"code":"signature","detail":"no key"}"#)
    })
    .await;
    let broken = Peer::start(|_| {
        let mut manifest = manifest("shop");
        manifest["functions"][6]["triggers"][0]["if"] = json!("event.data.cents >");
        response(200, &SDK, &manifest.to_string())
    })
    .await;
    let other = Peer::start(|_| response(200, &SDK, &manifest("store").to_string())).await;
    let headers = json!({"url": world.peer.url(), "headers": {"host": "x"}});
    for (body, status, code, place) in [
        (json!({"url": nobody}), 502, "app_unreachable", ""),
        (json!({"url": page.url()}), 502, "not_an_app", ""),
        (json!({"url": plain.url()}), 502, "not_an_app", ""),
        (json!({"url": signed.url()}), 502, "app_signature", ""),
        (json!({"url": broken.url()}), 422, "invalid_manifest", "/functions/6/triggers/0/if"),
        (json!({"url": other.url()}), 422, "invalid", "app"),
        (json!({"url": "localhost:3000"}), 422, "invalid", "/url"),
        (json!({"url": "ftp://x/"}), 422, "invalid", "/url"),
        (json!({"uri": "x"}), 422, "invalid", "/uri"),
        (json!({}), 422, "invalid", ""),
        (json!({"url": 7}), 422, "invalid", "/url"),
        (json!({"url": nobody, "headers": {"a": 1}}), 422, "invalid", "/headers/a"),
        (headers, 422, "invalid", "/headers"),
    ] {
        put(&world, "shop", body).await.is_problem(status, code, place);
    }
    put(&world, "a%2Fb", json!({"url": world.peer.url()})).await.is_problem(422, "invalid", "app");
    // Nothing was written on the way.
    assert_eq!(world.get("/v1/apps").await.json()["items"].as_array().unwrap().len(), 1);
    assert_eq!(world.get("/v1/apps/shop").await.json()["url"], world.peer.url());
}
