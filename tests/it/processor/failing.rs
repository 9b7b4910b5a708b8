//! Stores that fail before or after they do what they are asked, and stores that take their time: nothing leaves before
//! it is durable, nothing acknowledged is lost, and the partition goes on by itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use backstitch_server::engine::Command;
use backstitch_server::model::{Labels, Outcome, Payload, RunStatus};
use backstitch_server::processor::{Declined, Halted};
use backstitch_server::store::memory::MemoryStore;
use backstitch_server::store::{Store, StoreError};

use super::world::{Script, World, order};
use crate::support::fault::{Fault, FaultStore};

#[tokio::test]
async fn every_store_call_may_fail_before_or_after_it_is_done() {
    for after in [false, true] {
        for nth in 1..=24 {
            let memory = MemoryStore::new();
            let store: Arc<dyn Store> = Arc::new(FaultStore::new(memory.clone(), Fault { nth, after }));
            let Ok(world) = World::open(store, Script::new(order)).await else {
                // The very first calls open the partition: a caller sees that and tries again.
                continue;
            };
            let run = loop {
                match world.start("order-1").await {
                    Ok(run) => break run,
                    Err(Declined::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
                    Err(other) => panic!("call {nth}, after {after}: {other}"),
                }
            };
            let signal = || Command::Signal {
                run,
                name: "approve".into(),
                id: Some("once".into()),
                settle: Outcome::Ok(Payload::trusted("true")),
            };
            while let Err(error) = world.processor.submit(signal()).await {
                assert!(matches!(error, Declined::Unavailable(_)), "call {nth}, after {after}: {error}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let checked: Arc<dyn Store> = Arc::new(memory);
            let ended = async {
                loop {
                    let view = checked.run(run).await.expect("reads").expect("an acknowledged run exists");
                    if view.head.status.is_terminal() {
                        return view.head.status;
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
            assert_eq!(ended, Ok(RunStatus::Completed), "call {nth}, after {after}");
            world.crash();
        }
    }
}

#[tokio::test]
async fn nothing_leaves_before_it_is_durable() {
    let memory = MemoryStore::new();
    let slow = Arc::new(FaultStore::new(memory.clone(), Fault::never()));
    let called = Arc::new(AtomicBool::new(false));
    let seen = called.clone();
    let script = Script::new(move |snapshot| {
        seen.store(true, Ordering::SeqCst);
        order(snapshot)
    });
    let world = World::open(slow.clone(), script).await.expect("opens");
    slow.hold_commits();
    let start = tokio::spawn({
        let processor = world.processor.clone();
        async move {
            let start = backstitch_server::engine::Start {
                function: super::world::function(),
                input: Payload::null(),
                name: None,
                idempotency_key: None,
                delay: None,
                key: None,
                labels: Labels::default(),
            };
            processor.submit(Command::Start(start)).await
        }
    });
    let refused = tokio::spawn({
        let processor = world.processor.clone();
        async move {
            // Let the start be decided first: the rejection then reflects memory that is not durable.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let run = backstitch_server::model::RunId(1);
            processor.submit(Command::Cancel { run }).await
        }
    });
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert!(!start.is_finished(), "a start was answered before its commit");
    assert!(!refused.is_finished(), "a rejection left before the commit that it reflects");
    assert!(!called.load(Ordering::SeqCst), "a handler was called before the commit of its run");
    slow.let_commits_go();
    assert!(start.await.expect("runs").is_ok());
    assert!(refused.await.expect("runs").is_err());
    world.crash();
}

#[tokio::test]
async fn a_partition_that_was_taken_over_stops() {
    let memory = MemoryStore::new();
    let store: Arc<dyn Store> = Arc::new(memory.clone());
    let world = World::open(store, Script::new(order)).await.expect("opens");
    memory.take_ownership(0).await.expect("another owner takes it");
    let answer = world.start("order-1").await;
    assert!(matches!(answer, Err(Declined::Unavailable(_))), "{answer:?}");
    let ended = world.stop().await;
    assert!(matches!(ended, Err(Halted::Store(StoreError::Fenced { .. }))), "{ended:?}");
}
