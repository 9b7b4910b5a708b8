//! The auditor over a real partition and tables that somebody damaged: it finds what nothing would wake, counts it, and asks
//! the owner, which goes by its own rules. It finds nothing where nothing is wrong.

use std::sync::Arc;

use backstitch_server::auditor;
use backstitch_server::clock::{Clock, SystemClock};
use backstitch_server::cluster::Cluster;
use backstitch_server::dispatch::{Egress, HttpClient, HttpFetcher, Invoker};
use backstitch_server::limits::AUDIT_RUNS;
use backstitch_server::model::{
    Answer, Batch, Change, Deployment, Entry, EntryKind, Home, Payload, Registry, RunHead, RunId, RunStatus, Snapshot,
    Span, Terminal, Timestamp,
};
use backstitch_server::processor;
use backstitch_server::store::memory::MemoryStore;
use backstitch_server::store::{Commit, Store};
use backstitch_server::telemetry::Metrics;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

use crate::support::runs;

/// A handler that ends at once.
struct Done;

impl Invoker for Done {
    fn invoke(&self, _: Snapshot, _: Arc<Deployment>) -> BoxFuture<'static, Answer> {
        let end = Some(Terminal::Done(Payload::null()));
        std::future::ready(Answer::Ops { seen: 0, ops: Vec::new(), end, awaiting: Vec::new() }).boxed()
    }
}

/// A run with its number and an entry 0.
fn run(number: i64) -> (RunHead, Entry) {
    let id = RunId::new(Timestamp(1), number as u64, 0);
    let head = RunHead { run_no: number, id, root: id, ..runs::head() };
    (head, Entry { run_no: number, ..runs::input("{}") })
}

/// Tables with these runs.
async fn tables(heads: Vec<(RunHead, Vec<Entry>)>) -> MemoryStore {
    let store = MemoryStore::new();
    let epoch = store.take_ownership(0).await.expect("takes").epoch;
    let changes = heads.into_iter().flat_map(|(head, entries)| {
        std::iter::once(Change::RunCreated(head)).chain(entries.into_iter().map(Change::EntryAdded))
    });
    let batch = Batch { partition: 0, epoch, commit_no: 1, now: Timestamp(1), changes: changes.collect() };
    assert!(matches!(store.commit(Arc::new(batch)).await, Commit::Done));
    store
}

/// A partition over the tables, and an auditor that looks again and again. Dropping it stops both.
struct World {
    store: MemoryStore,
    metrics: Arc<Metrics>,
    stop: watch::Sender<bool>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl World {
    async fn open(store: MemoryStore) -> World {
        World::over(store.clone(), store).await
    }

    /// The same, with an auditor that is shown other tables than the partition has.
    async fn over(store: MemoryStore, shown: MemoryStore) -> World {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let deployment = runs::deployment("http://127.0.0.1:1/");
        let app = backstitch_server::model::App {
            name: deployment.app.clone(),
            url: deployment.url.clone(),
            headers: Vec::new(),
            current: Some(deployment.id),
            created_at: Timestamp(0),
            synced_at: None,
            sync_error: None,
            paused: Default::default(),
        };
        let registry = Registry::new(vec![app], vec![deployment]).at(Home::default());
        let (stop, stopped) = watch::channel(false);
        let (_registry, registry) = watch::channel(Arc::new(registry));
        let parts = processor::Parts {
            partition: 0,
            store: Arc::new(store.clone()),
            clock: clock.clone(),
            invoker: Arc::new(Done),
            fetcher: Arc::new(HttpFetcher::new(HttpClient::new(Egress::Open).expect("a client"), clock.clone())),
            registry,
            stop: stopped.clone(),
        };
        let (processor, partition) = processor::open(parts).await.expect("a partition");
        let metrics: Arc<Metrics> = Arc::default();
        let auditor = auditor::open(auditor::Parts {
            store: Arc::new(shown),
            cluster: Cluster::single(processor),
            partitions: vec![0],
            clock,
            metrics: metrics.clone(),
            every: Span(5),
            stop: stopped,
        });
        let partition = tokio::spawn(async move { partition.await.expect("no panic").expect("an orderly end") });
        World { store, metrics, stop, tasks: vec![partition, auditor] }
    }

    /// Waits until so many runs were looked at.
    async fn audited(&self, runs: u64) {
        while self.metrics.audited_runs.value() < runs {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    }

    async fn reaches(&self, id: RunId, status: RunStatus) {
        for _ in 0..2_000 {
            if self.store.run(id).await.expect("reads").expect("it exists").head.status == status {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        panic!("{id} never became {status}");
    }

    async fn close(self) {
        self.stop.send_replace(true);
        for task in self.tasks {
            task.await.expect("it ends");
        }
    }
}

fn suspended(number: i64, kind: EntryKind, params: &str, due_at: Option<Timestamp>) -> (RunHead, Vec<Entry>) {
    let (head, input) = run(number);
    let open = Entry { run_no: number, due_at, ..runs::entry(1, "a", kind, params) };
    (RunHead { status: RunStatus::Suspended, wake_at: due_at, ..head }, vec![input, open])
}

#[tokio::test]
async fn nothing_is_found_where_nothing_is_wrong() {
    let later = Some(Timestamp(4_000_000_000_000));
    let mut all = vec![
        suspended(1, EntryKind::WaitSignal, r#"{"signal":"s"}"#, None),
        suspended(2, EntryKind::Sleep, "{}", later),
    ];
    let (head, input) = run(3);
    all.push((head.clone(), vec![input]));
    let world = World::open(tables(all).await).await;
    world.reaches(head.id, RunStatus::Completed).await;
    let before = world.metrics.audited_runs.value();
    world.audited(before + 9).await;
    assert_eq!((world.metrics.stuck_runs.value(), world.metrics.late_timers.value()), (0, 0));
    world.close().await;
}

/// Somebody forgot the timer of one run, and that another is ready. Both go on, however far behind the first page they are.
#[tokio::test]
async fn runs_that_nothing_wakes_are_found_counted_and_go_on() {
    let far = AUDIT_RUNS + 10;
    let (mut asleep, entries) = suspended(far, EntryKind::Sleep, "{}", Some(Timestamp(5)));
    asleep.wake_at = None;
    let (head, input) = run(far - 1);
    let ready = RunHead { wake_at: None, ..head };
    let first = suspended(1, EntryKind::WaitSignal, r#"{"signal":"s"}"#, None);
    let all = vec![first.clone(), (ready.clone(), vec![input]), (asleep.clone(), entries)];
    let world = World::open(tables(all).await).await;
    world.reaches(asleep.id, RunStatus::Completed).await;
    world.reaches(ready.id, RunStatus::Completed).await;
    let before = world.metrics.audited_runs.value();
    world.audited(before + 2 * far as u64).await;
    assert_eq!(world.metrics.stuck_runs.value(), 2, "each is found once: its owner saw to it");
    world.reaches(first.0.id, RunStatus::Suspended).await;
    world.close().await;
}

/// A run that waits for something that cannot be, and that its owner has no reason to let go, is named again and again and never
/// repaired.
#[tokio::test]
async fn nothing_is_repaired_by_force() {
    let lost = suspended(1, EntryKind::Invoke, "{}", None);
    let id = lost.0.id;
    let world = World::open(tables(vec![lost]).await).await;
    while world.metrics.stuck_runs.value() < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    world.reaches(id, RunStatus::Suspended).await;
    world.close().await;
}

/// The tables say that a timer was due long ago, and its owner has not seen to it: it does not know of it.
#[tokio::test]
async fn timers_that_did_not_fire_are_found() {
    let overdue = suspended(1, EntryKind::Sleep, "{}", Some(Timestamp(5)));
    let world = World::over(MemoryStore::new(), tables(vec![overdue]).await).await;
    while world.metrics.late_timers.value() < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(world.metrics.stuck_runs.value(), 0, "it has a reason to move");
    world.close().await;
}
