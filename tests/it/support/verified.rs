//! Databases that tests leave behind are in order: what `backstitch verify` promises is so.

use std::path::Path;
use std::sync::Arc;

use backstitch_server::model::{Batch, Change, Registry, Timestamp};
use backstitch_server::store::sqlite::{self, Durability, SqliteConfig, SqliteStore};
use backstitch_server::store::{Commit, Dump, Store as _};

/// Fails with what was found in a data directory, if anything was.
#[track_caller]
pub(crate) fn check(dir: &Path) {
    let found = faults(dir);
    assert!(found.is_empty(), "the database in {} is not in order: {found:#?}", dir.display());
}

/// What was found in a data directory: `check: run: what`.
pub(crate) fn faults(dir: &Path) -> Vec<String> {
    let Some(verified) = sqlite::verify(dir).expect("the database can be read") else { return Vec::new() };
    let faults = verified.checks.iter().flat_map(|check| {
        assert_eq!(check.found == 0, check.examples.is_empty(), "{check:?}");
        check
            .examples
            .iter()
            .map(|example| format!("{}: {}: {}", check.name, example.run.as_deref().unwrap_or("-"), example.what))
    });
    faults.collect()
}

/// The same for tables that are in no file yet.
#[track_caller]
pub(crate) fn check_tables(dump: &Dump, registry: &Registry) {
    let dir = tempfile::tempdir().expect("a temporary directory can be made");
    write(dir.path(), dump, registry);
    check(dir.path());
}

/// Writes tables into a data directory.
pub(crate) fn write(dir: &Path, dump: &Dump, registry: &Registry) {
    let mut changes: Vec<Change> = Vec::new();
    changes.extend(dump.events.iter().cloned().map(Change::EventAdded));
    changes.extend(dump.runs.iter().cloned().map(Change::RunCreated));
    changes.extend(dump.entries.iter().cloned().map(Change::EntryAdded));
    changes.extend(dump.attempts.iter().cloned().map(Change::AttemptAdded));
    changes.extend(
        dump.verdicts.iter().cloned().map(|(event, function, verdict)| Change::VerdictAdded(event, function, verdict)),
    );
    changes.extend(dump.waits.iter().cloned().map(Change::WaitOpened));
    changes.extend(dump.signals.iter().cloned().map(Change::SignalAdded));
    changes.extend(dump.state.iter().cloned().map(Change::StatePut));
    changes.extend(dump.messages.iter().cloned().map(Change::MessagesAdded));
    changes.extend(dump.streams.iter().cloned().map(Change::StreamPut));
    let store = SqliteStore::open(&SqliteConfig { durability: Durability::Relaxed, ..SqliteConfig::new(dir) });
    let store = store.expect("a store can be made");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime can be made");
    runtime.block_on(async {
        let epoch = store.take_ownership(0).await.expect("takes").epoch;
        let batch = Batch { partition: 0, epoch, commit_no: 1, now: Timestamp(1), changes };
        let commit = store.commit(Arc::new(batch)).await;
        assert!(matches!(commit, Commit::Done), "{commit:?}");
        for app in registry.apps.values() {
            store.put_app(app.clone(), None).await.expect("writes");
        }
        for deployment in registry.deployments.values() {
            store.put_deployment((**deployment).clone()).await.expect("writes");
        }
    });
}
