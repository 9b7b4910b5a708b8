//! Rows that nobody wrote so: what needs them is refused with a reason, and everything else goes on.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use backstitch_server::engine::Command;
use backstitch_server::model::{Outcome, Payload, RunId, RunStatus};
use backstitch_server::processor::Declined;
use backstitch_server::store::Store;
use backstitch_server::store::sqlite::{Durability, SqliteConfig, SqliteStore};
use rusqlite::Connection;

use super::world::{Script, World, order};

fn open(dir: &Path) -> Arc<dyn Store> {
    let config = SqliteConfig { durability: Durability::Relaxed, ..SqliteConfig::new(dir) };
    Arc::new(SqliteStore::open(&config).expect("opens"))
}

fn approve(run: RunId) -> Command {
    Command::Signal { run, name: "approve".into(), id: None, settle: Outcome::Ok(Payload::trusted("true")) }
}

/// Runs that wait for their approval, in a file.
async fn waiting(dir: &Path, count: usize) -> Vec<RunId> {
    let world = World::open(open(dir), Script::new(order)).await.expect("opens");
    let mut runs = Vec::new();
    for n in 0..count {
        runs.push(world.start(&format!("order-{n}")).await.expect("starts"));
    }
    for run in &runs {
        let waits = async {
            let waits = |id: &str| id == "approve";
            while !world.store.journal(*run).await.expect("reads").expect("exists").entries.iter().any(|e| waits(&e.id))
            {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), waits).await.expect("comes to its approval");
    }
    world.stop().await.expect("stops in order");
    runs
}

#[tokio::test]
async fn a_damaged_run_is_refused_and_the_others_go_on() {
    for (damage, reason) in [
        ("delete from entries where run_no = 3 and idx = 1", "its entry 1 is missing"),
        ("delete from entries where run_no = 3 and idx = 0", "its first entry is not the input"),
        ("delete from entries where run_no = 3", "it has no entries"),
        ("update entries set seq = 4000000000 where run_no = 3 and seq = 1", "cannot be the 4000000000. that settled"),
        ("update entries set op = 'jump' where run_no = 3 and idx = 1", "the column `op` holds"),
        ("update runs set failures = -1 where run_no = 3", "the column `failures` holds"),
    ] {
        let dir = tempfile::tempdir().expect("a directory");
        let runs = waiting(dir.path(), 6).await;
        let file = Connection::open(dir.path().join("backstitch.db")).expect("opens");
        // All are in line when the partition opens, so that they are loaded together.
        file.execute_batch(&format!("update runs set status = 'ready', wake_at = 0; {damage}")).expect(damage);
        drop(file);
        let world = World::open(open(dir.path()), Script::new(order)).await.expect("opens");
        for (n, run) in runs.iter().enumerate() {
            let answer = world.processor.submit(approve(*run)).await;
            match answer {
                Err(Declined::Unavailable(why)) if n == 2 => assert!(why.contains(reason), "{damage}: {why}"),
                answer => assert_eq!((answer.is_ok(), n == 2), (true, false), "{damage}: {answer:?}"),
            }
        }
        for run in runs.iter().enumerate().filter(|(n, _)| *n != 2).map(|(_, run)| run) {
            assert_eq!(world.ended(*run).await, RunStatus::Completed, "{damage}");
        }
        world.stop().await.expect("the loop lives");
    }
}

#[tokio::test]
async fn runs_that_are_loaded_with_a_damaged_one_get_their_turn() {
    let dir = tempfile::tempdir().expect("a directory");
    let runs = waiting(dir.path(), 6).await;
    let file = Connection::open(dir.path().join("backstitch.db")).expect("opens");
    let damage = "update runs set status = 'ready', wake_at = 0; delete from entries where run_no = 3 and idx = 1";
    file.execute_batch(damage).expect("is damaged");
    drop(file);
    let script = Script::new(order);
    let world = World::open(open(dir.path()), script.clone()).await.expect("opens");
    let others = |status: RunStatus| status == RunStatus::Suspended;
    let all_called = async {
        for run in runs.iter().enumerate().filter(|(n, _)| *n != 2).map(|(_, run)| run) {
            while !others(world.store.run(*run).await.expect("reads").expect("exists").head.status) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(10), all_called).await.expect("each of them is called and waits again");
    world.stop().await.expect("the loop lives");
}
