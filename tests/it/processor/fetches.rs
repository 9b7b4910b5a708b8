//! HTTP calls for runs with a real service at the other end: made beside the handlers, made again, given up.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use backstitch_server::clock::{Clock, SystemClock};
use backstitch_server::engine::Command;
use backstitch_server::model::{Answer, FetchOp, HandlerOp, Outcome, Payload, RunStatus, Snapshot};
use backstitch_server::store::Store;
use backstitch_server::store::memory::MemoryStore;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpListener;

use super::world::{Script, World, answer, done, outcome};
use crate::support::peer::{Peer, Received, Say, response};

/// Fetches from there, and is done.
fn asks(url: String, retry: &'static str) -> impl Fn(&Snapshot) -> Answer + Send + Sync + 'static {
    move |snapshot| {
        if outcome(snapshot, "ask").is_some() {
            return done(snapshot);
        }
        let params = Payload::trusted(format!(r#"{{"request":{{"url":"{url}"}},"retry":{retry}}}"#));
        let op = FetchOp { id: "ask".into(), name: None, params, schedule_to_close: None };
        answer(snapshot, vec![HandlerOp::Fetch(op)])
    }
}

const SOON: &str = r#"{"initialInterval":1}"#;

fn store() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

/// Waits until the service was asked so many times.
async fn asked(peer: &Peer, times: usize) -> Vec<Received> {
    let waiting = async {
        while peer.received().len() < times {
            tokio::task::yield_now().await;
        }
        peer.received()
    };
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("the service is asked")
}

#[tokio::test]
async fn no_handler_waits_while_the_server_does() {
    let peer = Peer::start(|_| [vec![Say::Pause(Duration::from_millis(50))], response(200, &[], "42")].concat()).await;
    let (store, script) = (store(), Script::new(asks(peer.url(), SOON)));
    let world = World::open(store.clone(), script.clone()).await.expect("opens");
    let run = world.start("a").await.expect("starts");
    asked(&peer, 1).await;
    assert_eq!(script.calls.load(Ordering::SeqCst), 1);
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(script.calls.load(Ordering::SeqCst), 2, "one invocation asks, the next has the answer");
    let journal = store.journal(run).await.expect("reads").expect("exists");
    let Some(Outcome::Ok(value)) = &journal.entries[1].outcome else { panic!("{:?}", journal.entries[1]) };
    assert_eq!(value.read::<serde_json::Value>().expect("JSON")["body"], "42");
    world.stop().await.expect("stops in order");
}

#[tokio::test]
async fn a_service_that_is_busy_is_asked_again_with_the_same_key() {
    let count = std::sync::atomic::AtomicU32::new(0);
    let peer = Peer::start(move |_| match count.fetch_add(1, Ordering::SeqCst) {
        0 => response(503, &[], "busy"),
        1 => vec![Say::Reset],
        _ => response(200, &[], "at last"),
    })
    .await;
    let store = store();
    let world = World::open(store.clone(), Script::new(asks(peer.url(), SOON))).await.expect("opens");
    let run = world.start("a").await.expect("starts");
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    let journal = store.journal(run).await.expect("reads").expect("exists");
    let errors: Vec<String> =
        journal.attempts.iter().map(|attempt| String::from_utf8_lossy(attempt.error.bytes()).into_owned()).collect();
    assert_eq!(errors.len(), 2);
    assert!(
        errors[0].contains("answered 503 Service Unavailable: busy") && errors[1].contains("FetchFailed"),
        "{errors:?}"
    );
    let keys: Vec<_> = peer.received().iter().map(|asked| asked.header("idempotency-key").map(str::to_owned)).collect();
    assert!(keys.len() == 3 && keys.iter().all(|key| *key == Some(format!("{run}/ask"))), "{keys:?}");
    world.stop().await.expect("stops in order");
}

#[tokio::test]
async fn a_call_outlives_the_process_that_made_it() {
    let peer = Peer::start(|_| vec![Say::Pause(Duration::from_secs(60))]).await;
    let store = store();
    let world = World::open(store.clone(), Script::new(asks(peer.url(), SOON))).await.expect("opens");
    let run = world.start("a").await.expect("starts");
    asked(&peer, 1).await;
    world.crash();
    let world = World::open(store.clone(), Script::new(asks(peer.url(), SOON))).await.expect("opens again");
    asked(&peer, 2).await;
    // A stop waits a little for an answer, and then gives the call up: nothing is lost but the time.
    let clock = SystemClock::new();
    let begun = clock.monotonic_ms();
    world.stop().await.expect("stops in order");
    assert!(clock.monotonic_ms() - begun < 9_000, "a slow service held up the stop");
    let view = store.run(run).await.expect("reads").expect("exists");
    assert_eq!(view.head.status, RunStatus::Suspended);
    let address = peer.address.port();
    drop(peer);
    let quick = loop {
        // The old listener's task ends when it is polled next.
        if std::net::TcpListener::bind(("127.0.0.1", address)).is_ok() {
            break Peer::start_on(address, |_| response(200, &[], "")).await;
        }
        tokio::task::yield_now().await;
    };
    let world = World::open(store.clone(), Script::new(asks(quick.url(), SOON))).await.expect("opens once more");
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    world.stop().await.expect("stops in order");
}

#[tokio::test]
async fn a_run_that_is_killed_hangs_up() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/", listener.local_addr().expect("is bound"));
    let world = World::open(store(), Script::new(asks(url, SOON))).await.expect("opens");
    let run = world.start("a").await.expect("starts");
    let (mut stream, _) = listener.accept().await.expect("a call");
    let mut head = [0; 4_096];
    assert!(stream.read(&mut head).await.expect("is read") > 0);
    world.processor.submit(Command::Kill { run }).await.expect("is killed");
    let hung_up = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut head)).await.expect("hangs up");
    assert!(hung_up.is_err() || hung_up.is_ok_and(|bytes| bytes == 0));
    world.stop().await.expect("stops in order");
}

#[tokio::test]
async fn many_calls_to_a_slow_host_hold_up_nobody_else() {
    let slow = Peer::start(|_| vec![Say::Pause(Duration::from_secs(60))]).await;
    let quick = Peer::start(|_| response(200, &[], "")).await;
    let (slow_url, quick_url) = (slow.url(), quick.url());
    let script = Script::new(move |snapshot: &Snapshot| {
        let name = snapshot.head.name.as_deref().unwrap_or_default();
        let url = if name.starts_with("slow") { &slow_url } else { &quick_url };
        asks(url.clone(), SOON)(snapshot)
    });
    let world = World::open(store(), script).await.expect("opens");
    for n in 0..backstitch_server::limits::FETCHES_PER_HOST_MAX + 50 {
        world.start(&format!("slow-{n}")).await.expect("starts");
    }
    asked(&slow, backstitch_server::limits::FETCHES_PER_HOST_MAX).await;
    let run = world.start("quick").await.expect("starts");
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    assert_eq!(slow.received().len(), backstitch_server::limits::FETCHES_PER_HOST_MAX);
    world.crash();
}
