//! The file's own life: who may open it, what is refused, what happens when there is no room, and what a strange row
//! leads to.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use backstitch_server::limits::PAYLOAD_INLINE_BYTES_MAX;
use backstitch_server::model::{
    Change, Entry, EventId, Key, MarkKey, MarkScope, Outcome, Payload, RunHead, RunStatus, StateKey, StateRow,
    Timestamp,
};
use backstitch_server::store::sqlite::{SqliteConfig, SqliteStore};
use backstitch_server::store::{Commit, RunFilter, Store, StoreError};
use rusqlite::Connection;

use super::world::{Dice, World};
use super::{batch, config, done, refused, sqlite};

fn raw(dir: &Path) -> Connection {
    Connection::open(dir.join("backstitch.db")).unwrap()
}

fn opening_fails(dir: &Path) -> String {
    match SqliteStore::open(&config(dir)) {
        Err(StoreError::Open(message)) => message,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was opened"),
    }
}

async fn filled(dir: &Path) -> (SqliteStore, World) {
    let (store, mut world, mut dice) = (sqlite(dir), World::default(), Dice(7));
    let epoch = store.take_ownership(0).await.unwrap().epoch;
    let changes = (0..300).flat_map(|_| world.changes(&mut dice)).collect();
    done(&store, epoch, 1, changes).await;
    (store, world)
}

#[tokio::test]
async fn a_second_server_is_kept_out_and_told_by_whom() {
    let dir = tempfile::tempdir().unwrap();
    let first = sqlite(dir.path());
    let message = opening_fails(dir.path());
    assert!(message.contains(&dir.path().display().to_string()), "{message}");
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    first.ping().await.unwrap();
    drop(first);
    sqlite(dir.path()).ping().await.unwrap();
}

#[tokio::test]
async fn nobody_else_can_read_the_files() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("deep/data");
    let store = SqliteStore::open(&config(&data)).unwrap();
    store.take_ownership(0).await.unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let files: Vec<_> = std::fs::read_dir(&data).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 4, "the database, its log, the log's index, the lock: {files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[tokio::test]
async fn a_newer_or_a_foreign_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(sqlite(dir.path()));
    raw(dir.path()).pragma_update(None, "user_version", 99).unwrap();
    let message = opening_fails(dir.path());
    assert!(message.contains("newer version of Backstitch (schema 99, this version knows"), "{message}");

    let foreign = tempfile::tempdir().unwrap();
    raw(foreign.path()).execute_batch("create table songs (title text)").unwrap();
    let message = opening_fails(foreign.path());
    assert!(message.contains("a database of another program"), "{message}");

    let noise = tempfile::tempdir().unwrap();
    std::fs::write(noise.path().join("backstitch.db"), vec![b'x'; 9_000]).unwrap();
    let message = opening_fails(noise.path());
    assert!(message.contains("not a database"), "{message}");
}

#[tokio::test]
async fn a_full_disk_stops_writes_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let big = |n: u64| {
        let key = StateKey::Fanout(EventId::new(Timestamp(1), n, 0));
        vec![Change::StatePut(StateRow { key, wake_at: None, value: Payload::trusted(vec![b'7'; 50_000]) })]
    };
    let before = {
        let store = SqliteStore::open(&SqliteConfig { pages_max: Some(300), ..config(dir.path()) }).unwrap();
        let epoch = store.take_ownership(0).await.unwrap().epoch;
        let mut commit_no = 1;
        let error = loop {
            match store.commit(batch(epoch, commit_no, big(commit_no))).await {
                Commit::Done => commit_no += 1,
                Commit::Failed(error) => break error,
                other => panic!("{other:?}"),
            }
        };
        assert!(matches!(&error, StoreError::Unavailable(why) if why.contains("free space")), "{error}");
        assert!(commit_no > 5, "some batches fitted");
        // The refused batch left nothing, and what is small still fits.
        let small = MarkKey { scope: MarkScope::Event, key: "small".into() };
        let put = StateRow { key: StateKey::Mark(small), wake_at: None, value: Payload::null() };
        done(&store, epoch, commit_no, vec![Change::StatePut(put)]).await;
        let dump = store.dump(0).await.unwrap();
        assert_eq!((dump.commit_no, dump.state.len() as u64), (commit_no, commit_no));
        dump
    };
    // With room again it goes on from there.
    let store = sqlite(dir.path());
    assert_eq!(store.dump(0).await.unwrap(), before);
    let owned = store.take_ownership(0).await.unwrap();
    done(&store, owned.epoch, owned.commit_no + 1, big(owned.commit_no + 1)).await;
}

#[tokio::test]
async fn a_strange_row_is_named_and_does_not_stop_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let (store, world) = filled(dir.path()).await;
    let run = world.run_id(&mut Dice(1));
    for (damage, column) in [
        ("update runs set name = null, status = 'flying'", "status"),
        ("update runs set status = 'ready', hold = x'7b'", "hold"),
        ("update runs set hold = null, failures = -1", "failures"),
        ("update runs set failures = 0, root = 'run_x'", "root"),
        ("update runs set root = null, parent = null, parent_idx = 3", "parent_idx"),
        ("update runs set parent_idx = null; update entries set op = 'jump'", "op"),
        ("update entries set op = 'step', outcome = null, outcome_no = null, result = 'ok'", "outcome"),
    ] {
        raw(dir.path()).execute_batch(damage).unwrap();
        let error = store.load(0, vec![Key::Run(run)]).await.unwrap_err();
        let named = format!("the column `{column}` holds");
        assert!(matches!(&error, StoreError::Corrupt(why) if why.contains(&named)), "{damage}: {error}");
    }
    raw(dir.path()).execute_batch("insert into state (kind, key, value) values ('moon', 'x', x'30')").unwrap();
    assert!(matches!(store.dump(0).await.unwrap_err(), StoreError::Corrupt(_)));
    raw(dir.path()).execute_batch("delete from entries").unwrap();
    assert!(matches!(store.run(run).await.unwrap_err(), StoreError::Corrupt(_)));
    // Events are untouched, and the store is as good as before.
    let event = world.event_id(&mut Dice(1));
    assert!(store.event(event).await.unwrap().is_some());
    assert!(!store.runs(RunFilter { limit: 5, ..RunFilter::default() }).await.unwrap().runs.is_empty());
}

#[tokio::test]
async fn shared_bytes_are_written_once_and_images_coalesce() {
    let dir = tempfile::tempdir().unwrap();
    let (store, mut world) = (sqlite(dir.path()), World::default());
    let epoch = store.take_ownership(0).await.unwrap().epoch;
    let large = Payload::trusted(vec![b'7'; PAYLOAD_INLINE_BYTES_MAX]);
    let mut dice = Dice(3);
    let (mut runs, mut batch) = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let (run, input) = world.begin_run(&mut dice);
        let outcome = Some(Outcome::Ok(large.clone()));
        batch.push(Change::RunCreated(run.clone()));
        batch.push(Change::EntryAdded(Entry { outcome, params: Payload::null(), ..input }));
        for (failures, status) in [(1, RunStatus::Ready), (2, RunStatus::Backoff), (3, RunStatus::Completed)] {
            batch.push(Change::RunChanged(RunHead { failures, status, ..run.clone() }));
        }
        runs.push(run);
    }
    done(&store, epoch, 1, batch).await;
    let stored = raw(dir.path());
    let number = |sql: &str| stored.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    assert_eq!(number("select count(*) from payloads"), 1);
    assert_eq!(number("select uses from payloads"), runs.len() as i64);
    assert_eq!(number("select count(*) from entries where outcome is null"), runs.len() as i64);
    assert_eq!(number("select min(failures) from runs where status = 'completed'"), 3);
    // The views show people what the tables hold.
    let run = runs[0].id.to_string();
    let (input, status): (String, String) = stored
        .query_row("select input, status from v_runs where id = ?1", [&run], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap();
    assert_eq!((input.len(), status.as_str()), (PAYLOAD_INLINE_BYTES_MAX, "completed"));
    assert_eq!(number("select count(*) from v_steps"), runs.len() as i64);
    assert_eq!(number("select count(*) from v_waiting"), 0);
    // A last image is the last: nothing follows it in a later batch.
    let error = refused(&store, epoch, 2, vec![Change::RunChanged(runs[0].clone())]).await;
    assert!(matches!(error, StoreError::Data(_)), "{error}");
}
