//! Every call of a store fails in turn: before it does anything, after it has done all, and with its caller gone. A
//! writer that follows the rules (take the ownership again, read the commit number, go on from there) loses nothing and
//! writes nothing twice.

use backstitch_server::model::Change;
use backstitch_server::store::memory::MemoryStore;
use backstitch_server::store::{Commit, Dump, Store};
use futures_util::FutureExt as _;

use super::world::{Dice, World};
use crate::support::fault::{Fault, FaultStore};

fn story() -> Vec<Vec<Change>> {
    let (mut world, mut dice) = (World::default(), Dice(42));
    (0..12).map(|_| (0..6).flat_map(|_| world.changes(&mut dice)).collect()).collect()
}

/// Commits the story as an owner does who believes nothing but the tables.
async fn tell(store: &dyn Store, story: &[Vec<Change>]) {
    'owner: loop {
        let Ok(owned) = store.take_ownership(0).await else { continue };
        for commit_no in owned.commit_no + 1.. {
            let Some(changes) = story.get(usize::try_from(commit_no).unwrap() - 1) else { return };
            match store.commit(super::batch(owned.epoch, commit_no, changes.clone())).await {
                Commit::Done => {}
                Commit::Failed(_) | Commit::Unknown(_) => continue 'owner,
            }
        }
    }
}

async fn untroubled() -> Dump {
    let oracle = MemoryStore::new();
    tell(&oracle, &story()).await;
    oracle.dump(0).await.unwrap()
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_whichever_call_fails() {
    let expected = untroubled().await;
    for after in [false, true] {
        let mut nth = 1;
        loop {
            let dir = tempfile::tempdir().unwrap();
            let faulty = FaultStore::new(super::sqlite(dir.path()), Fault { nth, after });
            tell(&faulty, &story()).await;
            assert_eq!(faulty.dump(0).await.unwrap(), expected, "call {nth}, after it was done: {after}");
            if faulty.calls() < nth {
                break;
            }
            nth += 1;
        }
        assert!(nth > story().len() as u64, "every call was failed once");
    }
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_a_whole_batch_or_none() {
    let expected = untroubled().await;
    let story = story();
    for nth in 0..story.len() {
        let dir = tempfile::tempdir().unwrap();
        let store = super::sqlite(dir.path());
        let owned = store.take_ownership(0).await.unwrap();
        for (at, changes) in story.iter().enumerate().take(nth + 1) {
            let commit = store.commit(super::batch(owned.epoch, at as u64 + 1, changes.clone()));
            if at < nth {
                assert!(matches!(commit.await, Commit::Done));
            } else {
                // Polled once, so it is under way; then dropped.
                assert!(commit.now_or_never().is_none_or(|commit| matches!(commit, Commit::Done)));
            }
        }
        tell(&store, &story).await;
        assert_eq!(store.dump(0).await.unwrap(), expected, "dropped in commit {nth}");
    }
}
