//! What is true of every address: ids, problems, methods, hosts, origins, slow bodies, health.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use backstitch_server::api::Guard;
use futures_util::StreamExt as _;
use http::Method;

use super::world::{World, request};

#[tokio::test]
async fn every_response_bears_an_id() {
    let world = World::open().await;
    let first = world.get("/healthz").await;
    let second = world.get("/nowhere").await;
    let ids = [first.header("x-request-id").unwrap(), second.header("x-request-id").unwrap()];
    assert!(ids[0] != ids[1] && ids.iter().all(|id| id.starts_with("req_")), "{ids:?}");
    let named = request(Method::GET, "/healthz").header("x-request-id", "mine-1").body(Body::empty()).unwrap();
    assert_eq!(world.send(named).await.header("x-request-id"), Some("mine-1"));
    let spaced = request(Method::GET, "/healthz").header("x-request-id", "two words").body(Body::empty()).unwrap();
    assert!(world.send(spaced).await.header("x-request-id").unwrap().starts_with("req_"));
}

#[tokio::test]
async fn strange_addresses_and_methods_are_problems() {
    let world = World::open().await;
    world.get("/v1").await.is_problem(404, "unknown_route", "");
    world.get("/v1/run").await.is_problem(404, "unknown_route", "");
    world.post("/v1/functions/shop/echo", "{}").await.is_problem(404, "unknown_route", "");
    let wrong = world.send(request(Method::DELETE, "/v1/events").body(Body::empty()).unwrap()).await;
    wrong.is_problem(405, "method_not_allowed", "");
    let allow = wrong.header("allow").unwrap_or_default();
    assert!(allow.contains("POST") && allow.contains("GET"), "{allow:?}");
}

#[tokio::test]
async fn a_local_server_knows_its_names() {
    let world = World::open().await;
    let from = async |world: &World, host: &str, origin: Option<&str>| {
        let mut request = http::Request::post("/v1/events").header("host", host);
        request = request.header("content-type", "application/json");
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        world.send(request.body(Body::from(r#"{"name":"a"}"#)).unwrap()).await
    };
    assert_eq!(from(&world, "127.0.0.1:8484", None).await.status, 202);
    assert_eq!(from(&world, "localhost:8484", Some("http://localhost:8484")).await.status, 202);
    from(&world, "rebound.example", None).await.is_problem(421, "unknown_host", "");
    from(&world, "localhost:8484", Some("https://evil.example")).await.is_problem(403, "cross_origin", "");
    let open = World::guarded(Guard::anywhere(None)).await;
    assert_eq!(from(&open, "backstitch.internal", None).await.status, 202);
    from(&open, "backstitch.internal", Some("https://evil.example")).await.is_problem(403, "cross_origin", "");
}

/// The clock stands but for timers: the 30 seconds pass at once.
#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::open().await;
    tokio::time::pause();
    let begun = futures_util::stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"{\"name\":"))]);
    let body = Body::from_stream(begun.chain(futures_util::stream::pending()));
    let request = request(Method::POST, "/v1/events").header("content-type", "application/json");
    world.send(request.body(body).unwrap()).await.is_problem(408, "slow_body", "");
}

#[tokio::test]
async fn a_body_without_a_length_has_a_bound_too() {
    let world = World::open().await;
    let endless = futures_util::stream::repeat_with(|| Ok::<_, Infallible>(Bytes::from_static(&[b' '; 4_096])));
    let request = request(Method::POST, "/v1/apps/shop/sync/x").header("content-type", "application/json");
    world.send(request.body(Body::empty()).unwrap()).await.is_problem(404, "unknown_route", "");
    let request = self::request(Method::PUT, "/v1/apps/shop").header("content-type", "application/json");
    world.send(request.body(Body::from_stream(endless)).unwrap()).await.is_problem(413, "too_large", "");
}

#[tokio::test]
async fn health_says_who_it_is() {
    let world = World::open().await;
    for path in ["/healthz", "/readyz"] {
        let answer = world.get(path).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        assert_eq!((json["status"].as_str(), json["environment"].as_str()), (Some("ok"), Some("test")));
        assert_eq!(json["version"], env!("CARGO_PKG_VERSION"));
    }
}

#[tokio::test]
async fn numbers_are_in_the_format_of_prometheus() {
    let world = World::open().await;
    let answer = world.get("/metrics").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; version=0.0.4; charset=utf-8")));
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    let lines: Vec<&str> = page.lines().collect();
    for three in lines.chunks(3) {
        let name = three[2].split(' ').next().unwrap();
        assert!(three[0].starts_with(&format!("# HELP {name} ")) && three[0].ends_with('.'), "{page}");
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        assert_eq!(three[1], format!("# TYPE {name} {kind}"));
        assert!(three[2].split(' ').nth(1).unwrap().parse::<u64>().is_ok(), "{page}");
    }
    for line in ["backstitch_audit_stuck_runs_total 0", "backstitch_audit_late_timers_total 0", "backstitch_apps 1"] {
        assert!(lines.contains(&line), "`{line}` is missing: {page}");
    }
}
