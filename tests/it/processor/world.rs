//! A partition with everything around it, small enough to see through.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use backstitch_server::clock::SystemClock;
use backstitch_server::dispatch::{Egress, HttpClient, HttpFetcher, Invoker};
use backstitch_server::engine::{Command, Reply, Start};
use backstitch_server::model::{
    Answer, App, Deployment, DeploymentId, DeploymentLimits, DeploymentState, EntryId, FunctionConfig, FunctionId,
    HandlerOp, Labels, Manifest, Outcome, Payload, Registry, RetryPolicy, RunId, RunStatus, Snapshot, Span, StepReport,
    StepResult, Terminal, Timestamp, Trigger, WaitSignalOp,
};
use backstitch_server::processor::{self, Declined, Halted, Parts, Processor};
use backstitch_server::store::{Store, StoreError};
use futures_util::future::BoxFuture;
use tokio::sync::watch;
use tokio::task::JoinHandle;

type Handler = dyn Fn(&Snapshot) -> Answer + Send + Sync;

/// Handlers as functions; counts the calls.
pub(super) struct Script {
    handler: Box<Handler>,
    pub(super) calls: AtomicUsize,
}

impl Script {
    pub(super) fn new(handler: impl Fn(&Snapshot) -> Answer + Send + Sync + 'static) -> Arc<Script> {
        Arc::new(Script { handler: Box::new(handler), calls: AtomicUsize::new(0) })
    }
}

impl Invoker for Script {
    fn invoke(&self, snapshot: Snapshot, _deployment: Arc<Deployment>) -> BoxFuture<'static, Answer> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let answer = (self.handler)(&snapshot);
        Box::pin(async move {
            tokio::task::yield_now().await;
            answer
        })
    }
}

/// A running partition.
pub(super) struct World {
    pub(super) processor: Processor,
    pub(super) store: Arc<dyn Store>,
    stop: watch::Sender<bool>,
    task: JoinHandle<Result<(), Halted>>,
    _registry: watch::Sender<Arc<Registry>>,
}

impl World {
    pub(super) async fn open(store: Arc<dyn Store>, script: Arc<Script>) -> Result<World, StoreError> {
        let (stop, stopped) = watch::channel(false);
        let (registry_sender, registry) = watch::channel(Arc::new(registry()));
        let clock = Arc::new(SystemClock::new());
        let parts = Parts {
            partition: 0,
            store: store.clone(),
            clock: clock.clone(),
            invoker: script,
            fetcher: Arc::new(HttpFetcher::new(HttpClient::new(Egress::Open).expect("a client"), clock)),
            registry,
            stop: stopped,
        };
        let (processor, task) = processor::open(parts).await?;
        Ok(World { processor, store, stop, task, _registry: registry_sender })
    }

    /// Stops in order, and says how the loop ended. No run is left without a reason to move.
    pub(super) async fn stop(self) -> Result<(), Halted> {
        self.stop.send_replace(true);
        let ended = self.task.await.expect("the loop does not panic");
        let stuck = self.store.stuck_runs(0, 0, i64::MAX).await.expect("the store answers");
        assert_eq!(stuck, [], "nothing will wake these runs");
        ended
    }

    /// Ends as a crash does: at once, wherever the loop is.
    pub(super) fn crash(self) {
        self.task.abort();
    }

    pub(super) async fn start(&self, name: &str) -> Result<RunId, Declined> {
        let start = Start {
            function: function(),
            input: Payload::trusted("{}"),
            name: Some(name.into()),
            idempotency_key: None,
            delay: None,
            key: None,
            labels: Labels::default(),
        };
        match self.processor.submit(Command::Start(start)).await? {
            Reply::Run { id, .. } => Ok(id),
            other => panic!("a start is answered with {other:?}"),
        }
    }

    /// Waits until the run has ended, by what is durable.
    pub(super) async fn ended(&self, run: RunId) -> RunStatus {
        let mut watch = self.processor.watch(run);
        loop {
            let view = self.store.run(run).await.expect("the store answers").expect("the run exists");
            if view.head.status.is_terminal() {
                return view.head.status;
            }
            tokio::time::timeout(std::time::Duration::from_secs(10), watch.changed()).await.expect("the run moves");
        }
    }
}

pub(super) fn function() -> FunctionId {
    FunctionId::new("shop", "order")
}

fn registry() -> Registry {
    let id = DeploymentId(1);
    let manifest = Manifest {
        app: "shop".into(),
        sdk: "test/0".to_owned(),
        version: "1".to_owned(),
        hash: "h".to_owned(),
        immutable: false,
        limits: DeploymentLimits {
            request_bytes: 1 << 25,
            response_bytes: 1 << 25,
            seconds: None,
            streams: true,
            outbound: true,
        },
        functions: vec![FunctionConfig {
            id: "order".into(),
            name: None,
            triggers: vec![Trigger { event: "order/created".into(), filter: None, schema: None }],
            retry: RetryPolicy { initial_interval: Some(Span(10)), ..RetryPolicy::default() },
            invocation_timeout: None,
            ..FunctionConfig::default()
        }],
    };
    let deployment = Deployment {
        id,
        app: "shop".into(),
        manifest,
        url: "http://127.0.0.1:1/".to_owned(),
        created_at: Timestamp(0),
        seen_at: Timestamp(0),
        state: DeploymentState::Active,
    };
    let app = App {
        name: "shop".into(),
        url: deployment.url.clone(),
        headers: Vec::new(),
        current: Some(id),
        created_at: Timestamp(0),
        synced_at: None,
        sync_error: None,
        paused: std::collections::BTreeSet::new(),
    };
    Registry::new(vec![app], vec![deployment])
}

/// The greatest `seq` that a snapshot shows.
pub(super) fn seen(snapshot: &Snapshot) -> u32 {
    snapshot.entries.iter().filter_map(|entry| entry.seq).max().unwrap_or(0)
}

/// The outcome of an entry, if it is settled.
pub(super) fn outcome<'a>(snapshot: &'a Snapshot, id: &str) -> Option<&'a Outcome> {
    snapshot.entries.iter().find(|entry| &*entry.id == id)?.outcome.as_ref()
}

pub(super) fn step(id: &str) -> HandlerOp {
    HandlerOp::Step(StepReport {
        id: id.into(),
        name: None,
        params: Payload::trusted("{}"),
        retry: RetryPolicy::default(),
        result: StepResult::Ok(Payload::trusted(format!("\"{id}\""))),
        attempt: 1,
        started_at: None,
        ended_at: None,
    })
}

pub(super) fn sleep(id: &str, ms: u64) -> HandlerOp {
    let params = Payload::trusted(format!(r#"{{"for":{ms}}}"#));
    HandlerOp::Sleep { id: id.into(), name: None, params, length: Some(Span(ms)), until: None }
}

pub(super) fn wait(id: &str, signal: &str) -> HandlerOp {
    let params = Payload::trusted(format!(r#"{{"signal":"{signal}"}}"#));
    HandlerOp::WaitSignal(WaitSignalOp {
        id: EntryId::from(id),
        name: None,
        params,
        signal: signal.into(),
        timeout: None,
    })
}

pub(super) fn answer(snapshot: &Snapshot, ops: Vec<HandlerOp>) -> Answer {
    Answer::Ops { seen: seen(snapshot), ops, end: None, awaiting: Vec::new() }
}

pub(super) fn done(snapshot: &Snapshot) -> Answer {
    Answer::Ops {
        seen: seen(snapshot),
        ops: Vec::new(),
        end: Some(Terminal::Done(Payload::trusted("\"done\""))),
        awaiting: Vec::new(),
    }
}

/// Charges, naps, waits for `approve`, ships, and is done: one thing an invocation.
pub(super) fn order(snapshot: &Snapshot) -> Answer {
    let next = ["charge", "nap", "approve", "ship"].into_iter().find(|id| outcome(snapshot, id).is_none());
    match next {
        Some("nap") if snapshot.entries.iter().any(|entry| &*entry.id == "nap") => answer(snapshot, Vec::new()),
        Some("approve") if snapshot.entries.iter().any(|entry| &*entry.id == "approve") => answer(snapshot, Vec::new()),
        Some("nap") => answer(snapshot, vec![sleep("nap", 30)]),
        Some("approve") => answer(snapshot, vec![wait("approve", "approve")]),
        Some(id) => answer(snapshot, vec![step(id)]),
        None => done(snapshot),
    }
}
