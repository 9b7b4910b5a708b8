//! Runs from start to end, through crashes and stops.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use backstitch_server::engine::{Command, Reply};
use backstitch_server::model::{Outcome, Payload, RunId, RunStatus};
use backstitch_server::store::Store;
use backstitch_server::store::memory::MemoryStore;

use super::world::{Script, World, order};

fn approve(run: RunId) -> Command {
    Command::Signal { run, name: "approve".into(), id: None, settle: Outcome::Ok(Payload::trusted("true")) }
}

#[tokio::test]
async fn an_order_goes_from_start_to_end() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let script = Script::new(order);
    let world = World::open(store.clone(), script.clone()).await.expect("opens");
    let run = world.start("order-1").await.expect("starts");
    world.processor.submit(approve(run)).await.expect("the signal is taken, early or not");
    assert_eq!(world.ended(run).await, RunStatus::Completed);
    let journal = store.journal(run).await.expect("reads").expect("exists");
    let ids: Vec<&str> = journal.entries.iter().map(|entry| &*entry.id).collect();
    assert_eq!(ids, ["$input", "charge", "nap", "approve", "ship", "$outcome"]);
    assert!(journal.entries.iter().all(|entry| entry.outcome.is_some()));
    assert_eq!(world.start("order-1").await.expect("finds the same run"), run);
    world.stop().await.expect("stops in order");
}

#[tokio::test]
async fn a_crash_at_every_point_of_a_run_loses_nothing() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let world = World::open(store.clone(), Script::new(order)).await.expect("opens");
    let run = world.start("order-1").await.expect("starts");
    world.processor.submit(approve(run)).await.expect("is taken");
    world.crash();
    let mut crashes = 0;
    loop {
        let world = World::open(store.clone(), Script::new(order)).await.expect("opens again");
        // Long enough for some progress, too short for the whole order.
        let ended = tokio::time::timeout(std::time::Duration::from_millis(8), world.ended(run)).await;
        if ended.is_ok() {
            world.stop().await.expect("stops in order");
            break;
        }
        world.crash();
        crashes += 1;
        assert!(crashes < 500, "the run makes no progress across crashes");
    }
    let journal = store.journal(run).await.expect("reads").expect("exists");
    let settled: Vec<u32> = journal.entries.iter().filter_map(|entry| entry.seq).collect();
    assert_eq!(settled, [1, 2, 3, 4, 5]);
    assert!(crashes > 0, "the order was over before the first crash");
}

#[tokio::test]
async fn a_thousand_runs_at_once_all_end() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let script = Script::new(order);
    let world = Arc::new(World::open(store.clone(), script.clone()).await.expect("opens"));
    let mut runs = Vec::new();
    for n in 0..300 {
        let run = world.start(&format!("order-{n}")).await.expect("starts");
        runs.push(run);
        let reply = world.processor.submit(approve(run)).await.expect("is taken");
        assert_eq!(reply, Reply::Signalled { fresh: true });
    }
    for run in &runs {
        assert_eq!(world.ended(*run).await, RunStatus::Completed);
    }
    assert!(script.calls.load(Ordering::SeqCst) >= 300 * 4);
}
