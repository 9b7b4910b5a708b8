//! The ledger from outside: SQLite against the oracle, faults at every call, and the file's own life.

mod asking;
mod differential;
mod faults;
mod file;
mod kill;
mod refusals;
mod said;
mod schedules;
mod world;

use std::path::Path;

use backstitch_server::model::{Batch, Change, Timestamp};
use backstitch_server::store::sqlite::{Durability, SqliteConfig, SqliteStore};
use backstitch_server::store::{Commit, Store, StoreError};

/// A store that does not wait for the disk.
fn sqlite(dir: &Path) -> SqliteStore {
    SqliteStore::open(&config(dir)).unwrap()
}

fn config(dir: &Path) -> SqliteConfig {
    SqliteConfig { durability: Durability::Relaxed, ..SqliteConfig::new(dir) }
}

fn batch(epoch: u32, commit_no: u64, changes: Vec<Change>) -> std::sync::Arc<Batch> {
    let now = Timestamp(1_700_000_000_000 + i64::try_from(commit_no).unwrap());
    std::sync::Arc::new(Batch { partition: 0, epoch, commit_no, now, changes })
}

async fn done(store: &dyn Store, epoch: u32, commit_no: u64, changes: Vec<Change>) {
    let commit = store.commit(batch(epoch, commit_no, changes)).await;
    assert!(matches!(commit, Commit::Done), "{commit:?}");
}

/// Commits what must be refused, and says why it was.
async fn refused(store: &dyn Store, epoch: u32, commit_no: u64, changes: Vec<Change>) -> StoreError {
    match store.commit(batch(epoch, commit_no, changes)).await {
        Commit::Failed(error) => error,
        other => panic!("{other:?} instead of a refusal"),
    }
}
