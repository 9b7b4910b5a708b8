//! A whole server but for its doors, and an app whose behaviour can be changed.

use std::sync::{Arc, Mutex};

use backstitch_server::auth::{RunSecrets, Signer};
use backstitch_server::catalog::{self, Catalog};
use backstitch_server::clock::SystemClock;
use backstitch_server::cluster::Cluster;
use backstitch_server::dispatch::{Discovery, Drift, Egress, HttpClient, HttpFetcher, HttpInvoker};
use backstitch_server::engine::{Command, Reply, Start};
use backstitch_server::model::{App, FunctionId, Home, Labels, Payload, RunHead, RunId, Span};
use backstitch_server::processor::{self, Halted, Processor};
use backstitch_server::store::Store;
use backstitch_server::store::memory::MemoryStore;
use serde_json::json;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::peer::{Peer, Received, Say, response};

pub(super) const HOUR: Span = Span::minutes(60);

/// What an app does.
#[derive(Clone, Copy)]
pub(super) struct Behaviour {
    pub(super) version: &'static str,
    /// It shows a web page to whoever asks what it is.
    pub(super) broken: bool,
    /// It refuses invocations with this status and code.
    pub(super) refuses: Option<(u16, &'static str)>,
    /// Something before it says that it is away, for a minute.
    pub(super) away: bool,
    /// A trigger of its function.
    pub(super) trigger: Option<&'static str>,
}

impl Default for Behaviour {
    fn default() -> Behaviour {
        Behaviour { version: "v1", broken: false, refuses: None, away: false, trigger: None }
    }
}

/// The app `shop` with the function `order`, which ends at once.
pub(super) struct Shop {
    pub(super) peer: Peer,
    behaviour: Arc<Mutex<Behaviour>>,
    requests: watch::Receiver<usize>,
}

impl Shop {
    async fn open() -> Shop {
        let behaviour = Arc::new(Mutex::new(Behaviour::default()));
        let (count, requests) = watch::channel(0);
        let shared = behaviour.clone();
        let peer = Peer::start(move |request| {
            count.send_modify(|count| *count += 1);
            shop(request, *shared.lock().expect("no test panics with the lock"))
        })
        .await;
        Shop { peer, behaviour, requests }
    }

    pub(super) fn url(&self) -> String {
        self.peer.url()
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        *self.behaviour.lock().expect("no test panics with the lock") = behaviour;
    }

    /// Waits until so many requests have come.
    pub(super) async fn asked(&self, times: usize) {
        self.requests.clone().wait_for(|count| *count >= times).await.expect("the app runs");
    }
}

fn shop(request: &Received, behaviour: Behaviour) -> Vec<Say> {
    let deployment = format!("{0};hash-{0}", behaviour.version);
    let headers = [("backstitch-sdk", "test/1.0"), ("backstitch-deployment", &*deployment)];
    if request.method == "GET" && behaviour.broken {
        return response(200, &[("content-type", "text/html")], "<html><title>Deploying</title>");
    }
    if request.method == "GET" {
        let trigger: Vec<serde_json::Value> =
            behaviour.trigger.iter().map(|text| serde_json::from_str(text).expect("is JSON")).collect();
        let manifest = json!({
            "protocol": {"min": 1, "max": 1}, "sdk": "test/1.0", "app": "shop",
            "deployment": {"id": behaviour.version, "immutable": false}, "functions": [{"id": "order", "triggers": trigger}],
        });
        return response(200, &headers, &manifest.to_string());
    }
    if behaviour.away {
        return response(503, &[("retry-after", "60")], "");
    }
    if let Some((status, code)) = behaviour.refuses {
        return response(status, &headers, &json!({"code": code, "detail": "no"}).to_string());
    }
    let done = json!({"token": request.token(), "seen": 0, "ops": [{"op": "done", "ok": null}]});
    response(200, &headers, &done.to_string())
}

pub(super) struct World {
    pub(super) app: Shop,
    pub(super) store: Arc<MemoryStore>,
    pub(super) catalog: Catalog,
    pub(super) processor: Processor,
    stop: watch::Sender<bool>,
    tasks: (JoinHandle<Result<(), Halted>>, JoinHandle<()>),
}

impl World {
    pub(super) async fn open(every: Span) -> World {
        World::over(Shop::open().await, Arc::new(MemoryStore::new()), every).await
    }

    pub(super) async fn registered(every: Span) -> World {
        let world = World::open(every).await;
        world.catalog.register("shop", &world.app.url(), vec![]).await.expect("an app");
        world
    }

    async fn over(app: Shop, store: Arc<MemoryStore>, every: Span) -> World {
        let clock = Arc::new(SystemClock::new());
        let (stop, stopped) = watch::channel(false);
        let registry = catalog::load(&*store, Home::default()).await.expect("the tables");
        let client = HttpClient::new(Egress::Open).expect("a client");
        let signer = Arc::new(Signer::new("test", None, clock.clone()));
        let (report, drift) = Drift::channel(clock.clone());
        let secrets = Arc::new(RunSecrets::new(&[1; 32]));
        let invoker = HttpInvoker::new(
            client.clone(),
            signer.clone(),
            secrets,
            registry.subscribe(),
            report,
            clock.clone(),
            None,
        );
        let parts = processor::Parts {
            partition: 0,
            store: store.clone(),
            clock: clock.clone(),
            invoker: Arc::new(invoker),
            fetcher: Arc::new(HttpFetcher::new(client.clone(), clock.clone())),
            registry: registry.subscribe(),
            stop: stopped.clone(),
        };
        let (processor, owner) = processor::open(parts).await.expect("a partition");
        let (catalog, keeper) = catalog::open(catalog::Parts {
            store: store.clone(),
            discovery: Discovery::new(client, signer),
            cluster: Cluster::single(processor.clone()),
            partitions: vec![0],
            clock,
            registry,
            drift,
            every,
            stop: stopped,
        });
        World { app, store, catalog, processor, stop, tasks: (owner, keeper) }
    }

    /// Stops in order and opens again over the same tables, with the same app.
    pub(super) async fn restart(self, every: Span) -> World {
        self.stop.send_replace(true);
        self.tasks.0.await.expect("no panic").expect("an orderly end");
        self.tasks.1.await.expect("no panic");
        World::over(self.app, self.store, every).await
    }

    pub(super) async fn start(&self, function: &str) -> RunId {
        let start = Start {
            function: FunctionId::new("shop", function),
            input: Payload::null(),
            name: None,
            idempotency_key: None,
            delay: None,
            key: None,
            labels: Labels::default(),
        };
        match self.processor.submit(Command::Start(start)).await {
            Ok(Reply::Run { id, .. }) => id,
            other => panic!("{other:?}"),
        }
    }

    /// The run's row, as soon as it is as wanted.
    pub(super) async fn run_when(&self, run: RunId, wanted: impl Fn(&RunHead) -> bool) -> RunHead {
        let mut watch = self.processor.watch(run);
        loop {
            let head = self.store.run(run).await.expect("the tables").expect("the run").head;
            if wanted(&head) {
                return head;
            }
            watch.changed().await;
        }
    }

    /// The app's row, as soon as it is as wanted.
    pub(super) async fn app_when(&self, wanted: impl Fn(&App) -> bool) -> App {
        let mut registry = self.catalog.subscribe();
        let found = registry.wait_for(|registry| registry.apps.get("shop").is_some_and(&wanted)).await;
        found.expect("the catalog runs").apps["shop"].clone()
    }
}
