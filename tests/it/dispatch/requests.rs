//! What a handler is sent.

use std::sync::Arc;

use backstitch_server::auth::SigningKey;
use backstitch_server::dispatch::{Egress, Invoker};
use backstitch_server::model::{Answer, EntryKind};
use serde_json::Value;

use super::world::{answers_done, first, open, said, world};
use crate::support::peer::{Peer, response};
use crate::support::runs::{RUN, deployment, entry, head, input, ok, settled, snapshot, token};

#[tokio::test]
async fn a_request_says_what_the_protocol_wants() {
    let peer = Peer::start(answers_done).await;
    let headers = vec![("x-vercel-protection-bypass".to_owned(), "s3cret".to_owned())];
    let world = world(Egress::Open, Some(&SigningKey::shared([5; 32])), headers);
    let mut shop = deployment(&format!("{}?tenant=a%20b", peer.url()));
    shop.app = "conformance".into();
    world.invoker.invoke(first(), Arc::new(shop)).await;
    let request = peer.received().remove(0);
    assert_eq!((&*request.method, &*request.path), ("POST", "/api/backstitch?tenant=a%20b&fn=main"));
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("backstitch-protocol"), Some("1"));
    assert_eq!(request.header("host"), Some(&*peer.address.to_string()));
    assert_eq!(request.header("x-vercel-protection-bypass"), Some("s3cret"));
    assert!(request.header("user-agent").is_some_and(|agent| agent.starts_with("backstitch/")));
    assert!(request.header("authorization").is_some_and(|value| value.starts_with("Bearer ey")));
    let trace: Vec<&str> = request.header("traceparent").expect("a trace").split('-').collect();
    assert_eq!(trace[1], format!("{:032x}", token().run.0));
    assert_eq!((trace[0], trace[2].len(), trace[3]), ("00", 16, "01"));
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    assert_eq!((body["run"]["id"].as_str(), body["run"]["secret"].as_str().map(str::len)), (Some(RUN), Some(32)));
}

#[tokio::test]
async fn functions_are_encoded_into_the_query() {
    let peer = Peer::start(answers_done).await;
    let mut snapshot = first();
    let mut run = head();
    run.function.function = "a b&c=d/é".into();
    snapshot.head = Arc::new(run);
    open().invoker.invoke(snapshot, Arc::new(deployment(&peer.url()))).await;
    assert_eq!(peer.received()[0].path, "/api/backstitch?fn=a+b%26c%3Dd%2F%C3%A9");
}

#[tokio::test]
async fn without_a_key_nothing_is_signed() {
    let peer = Peer::start(answers_done).await;
    open().invoker.invoke(first(), Arc::new(deployment(&peer.url()))).await;
    assert_eq!(peer.received()[0].header("authorization"), None);
}

#[tokio::test]
async fn connections_are_used_again() {
    let peer = Peer::start(answers_done).await;
    let world = open();
    for _ in 0..5 {
        let answer = world.invoker.invoke(first(), Arc::new(deployment(&peer.url()))).await;
        assert!(matches!(answer, Answer::Ops { .. }), "{answer:?}");
    }
    assert_eq!((peer.received().len(), peer.connections()), (5, 1));
}

#[tokio::test]
async fn a_journal_that_does_not_fit_is_not_sent() {
    let peer = Peer::start(answers_done).await;
    let mut small = deployment(&peer.url());
    small.manifest.limits.request_bytes = 2_000;
    let big = settled(entry(1, "report", EntryKind::Step, "{}"), 1, ok(&format!("\"{}\"", "x".repeat(3_000))));
    let answer = open().invoker.invoke(snapshot(vec![input("null"), big]), Arc::new(small)).await;
    let said = said(&answer);
    assert!(said.starts_with("problem TooLarge") && said.contains("`report` (3002 bytes)"), "{said}");
    assert!(peer.received().is_empty());
}

#[tokio::test]
async fn another_manifest_is_noticed_once() {
    let changed = [("backstitch-sdk", "t/1"), ("backstitch-deployment", "v1;hash-2")];
    let same = Peer::start(answers_done).await;
    let other = Peer::start(move |request| response(200, &changed, &super::world::done(request))).await;
    let refusing = Peer::start(move |_| response(500, &changed, "")).await;
    let mut world = open();
    for peer in [&same, &other, &refusing, &other] {
        world.invoker.invoke(first(), Arc::new(deployment(&peer.url()))).await;
    }
    assert_eq!(world.drift.try_recv().as_deref(), Ok("conformance"));
    assert!(world.drift.try_recv().is_err());
}
