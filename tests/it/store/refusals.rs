//! What every store refuses: batches of a lost ownership, batches out of order, and changes that break what the engine
//! promises. A refused batch leaves nothing, not even its good changes.

use backstitch_server::model::{
    Change, Entry, EntryStatus, Outcome, RunHead, RunStatus, Text, Timestamp, Wait, WaitIndex,
};
use backstitch_server::store::memory::MemoryStore;
use backstitch_server::store::{Store, StoreError};

use super::world::{Dice, World};
use super::{done, refused};

/// A run with its input, and an entry that waits.
fn beginning() -> (RunHead, Entry, Entry) {
    let (run, input) = World::default().begin_run(&mut Dice(1));
    let mut waiting = Entry { idx: 1, id: Text::from("nap"), ..input.clone() };
    (waiting.status, waiting.outcome, waiting.settled_at) = (EntryStatus::Waiting, None, None);
    (RunHead { name: Some(Text::from("order-1")), status: RunStatus::Ready, ..run }, input, waiting)
}

async fn check(store: &dyn Store) {
    let epoch = store.take_ownership(0).await.unwrap().epoch;
    let (run, input, waiting) = beginning();
    let good = || Change::EntryAdded(Entry { idx: 9, id: Text::from("good"), ..input.clone() });
    let settled =
        Entry { status: EntryStatus::Settled, outcome: Some(Outcome::Timeout), seq: Some(1), ..waiting.clone() };
    let later = RunHead { status: RunStatus::Failed, ended_at: Some(Timestamp(6)), ..run.clone() };
    let ended = RunHead { status: RunStatus::Failed, ended_at: Some(Timestamp(5)), ..run.clone() };
    let other = RunHead { run_no: 2, id: backstitch_server::model::RunId(77), name: None, root: run.id, ..run.clone() };
    let begin =
        vec![Change::RunCreated(run.clone()), Change::EntryAdded(input.clone()), Change::EntryAdded(waiting.clone())];
    done(store, epoch, 1, begin).await;
    let wait = Wait {
        run: run.id,
        run_no: run.run_no,
        idx: 1,
        index: WaitIndex { event: Text::from("e"), path: Text::from(""), value: 0 },
        after_seq: 0,
        scanned_to: None,
        scan_end: 0,
        filter: None,
    };
    let before = store.dump(0).await.unwrap();
    let cases: Vec<(&str, Vec<Change>)> = vec![
        ("a run twice", vec![Change::RunCreated(run.clone())]),
        ("a run's number twice", vec![Change::RunCreated(RunHead { run_no: 1, ..other.clone() })]),
        ("a run's id twice", vec![Change::RunCreated(RunHead { id: run.id, ..other.clone() })]),
        ("a run's name twice", vec![Change::RunCreated(RunHead { name: run.name.clone(), ..other.clone() })]),
        ("twice in one batch", vec![Change::RunCreated(other.clone()), Change::RunCreated(other.clone())]),
        ("a run that is not there", vec![Change::RunChanged(other.clone())]),
        ("a run that becomes another", vec![Change::RunChanged(RunHead { id: other.id, ..run.clone() })]),
        ("a run after its end", vec![Change::RunChanged(ended.clone()), Change::RunChanged(run.clone())]),
        ("the end of a run that ended", vec![Change::RunChanged(ended.clone()), Change::RunChanged(later.clone())]),
        ("an entry twice", vec![Change::EntryAdded(waiting.clone())]),
        ("an entry that is not there", vec![Change::EntryChanged(Entry { idx: 5, ..waiting.clone() })]),
        ("a settled entry", vec![Change::EntryChanged(input.clone())]),
        ("settled and then", vec![Change::EntryChanged(settled.clone()), Change::EntryChanged(settled.clone())]),
        ("a wait twice", vec![Change::WaitOpened(wait.clone()), Change::WaitOpened(wait.clone())]),
        ("a wait that is not there", vec![Change::WaitChanged(wait.clone())]),
        ("a NUL", vec![Change::EntryAdded(Entry { idx: 2, id: Text::from("a\0b"), ..input.clone() })]),
    ];
    for (what, bad) in cases {
        let mut changes = vec![good()];
        changes.extend(bad);
        let error = refused(store, epoch, 2, changes).await;
        assert!(matches!(error, StoreError::Data(_)), "{what}: {error}");
        assert_eq!(store.dump(0).await.unwrap(), before, "{what} left something");
    }
    let error = refused(store, epoch, 3, vec![good()]).await;
    assert!(matches!(error, StoreError::Data(_)), "a gap: {error}");
    let error = refused(store, epoch, 1, vec![good()]).await;
    assert!(matches!(error, StoreError::Data(_)), "a repeat: {error}");

    let next = store.take_ownership(0).await.unwrap();
    assert_eq!((next.epoch, next.commit_no, next.run_no), (epoch + 1, 1, run.run_no));
    let error = refused(store, epoch, 2, vec![good()]).await;
    assert!(matches!(error, StoreError::Fenced { partition: 0, .. }), "{error}");
    assert_eq!(store.dump(0).await.unwrap(), before);
    done(store, next.epoch, 2, vec![Change::EntryChanged(settled), Change::RunChanged(ended)]).await;
    assert!(matches!(store.take_ownership(1).await, Err(StoreError::Data(_))));
}

#[tokio::test]
async fn the_oracle_refuses() {
    check(&MemoryStore::new()).await;
}

#[tokio::test]
async fn sqlite_refuses() {
    let dir = tempfile::tempdir().unwrap();
    check(&super::sqlite(dir.path())).await;
}
