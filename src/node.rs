//! The composition root: builds every part, starts them in order, stops them in the reverse order, and joins them all.
//! Nothing else in the server knows how it is put together.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::api::{self, Dev, Guard, Places, Rooms};
use crate::auditor;
use crate::auth::{RunSecrets, Signer, SigningKey};
use crate::catalog::{self, Catalog};
use crate::clock::{Clock, DevClock, SystemClock};
use crate::cluster::Cluster;
use crate::dashboard;
use crate::dispatch::{
    ClientError, Discovery, Drift, Egress, Faults, HttpClient, HttpFetcher, HttpInvoker, Invoker, Wire,
};
use crate::jobs;
use crate::limits::{AUDIT_MS, POLLS_MAX, RECORD_MS, STREAM_READERS_MAX, SYNC_DEV_MS, SYNC_MS, WATCHES_MAX};
use crate::model::{Home, Span, Text};
use crate::processor::{self, Halted};
use crate::recorder;
use crate::store::sqlite::{Durability, SqliteConfig, SqliteStore};
use crate::store::{Store, StoreError};
use crate::telemetry::Metrics;

/// The one partition of an embedded server.
const PARTITION: u16 = 0;

/// What a server is started with.
pub struct Settings {
    /// Where the data is; made if it is not there.
    pub data_dir: PathBuf,
    /// What an acknowledged write survives.
    pub durability: Durability,
    /// Where the server listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The environment's name, as handlers see it in signatures.
    pub environment: Text,
    /// The address under which clients and handlers reach the server, when that is not where it listens.
    pub public_url: Option<String>,
    /// The origins whose web pages may read streams and results, with a token; `*` for all.
    pub cors_origins: Vec<String>,
    /// What requests to handlers are signed with. Nothing means that they are not signed.
    pub key: Option<SigningKey>,
    /// Which addresses the server may call.
    pub egress: Egress,
    /// Whether it is a developer's: apps are asked for changes every other second, and the clock can be skipped.
    pub dev: bool,
    /// What is done to calls on purpose. Handlers do not reach the server then, so that each operation is a call.
    pub faults: Option<Arc<Faults>>,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The data directory cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The address is taken, or not this machine's.
    #[error("failed to listen on {address}: {error}; choose another with --listen, or stop what listens there")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// Outgoing calls cannot be set up.
    #[error(transparent)]
    Client(#[from] ClientError),
}

/// Why a server that ran cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// A partition stays down.
    #[error(transparent)]
    Halted(#[from] Halted),
    /// A part ended that should not have.
    #[error("failed to keep `{0}` running; this is a defect of the server, please report it")]
    Ended(&'static str),
}

/// A running server.
pub struct Node {
    address: SocketAddr,
    catalog: Catalog,
    stop_doors: watch::Sender<bool>,
    stop_loops: watch::Sender<bool>,
    api: JoinHandle<()>,
    keeper: JoinHandle<()>,
    runner: JoinHandle<()>,
    auditor: JoinHandle<()>,
    recorder: JoinHandle<()>,
    partition: Option<JoinHandle<Result<(), Halted>>>,
}

impl Node {
    /// Starts a server: the ledger, the partition, the catalog, and last the doors. What can fail fails before the
    /// first request is taken.
    pub async fn start(settings: Settings) -> Result<Node, StartError> {
        let listener = TcpListener::bind(settings.listen)
            .await
            .map_err(|error| StartError::Listen { address: settings.listen, error })?;
        let address = listener.local_addr().map_err(|error| StartError::Listen { address: settings.listen, error })?;
        let real: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let dev = settings.dev.then(|| Dev::new(Arc::new(DevClock::new())));
        let clock: Arc<dyn Clock> = match &dev {
            Some(dev) => dev.clock.clone(),
            None => real.clone(),
        };
        let store = open_store(&settings).await?;
        let secrets = Arc::new(RunSecrets::new(&store.secret(fresh_secret(&*clock)).await?));
        let client = HttpClient::new(settings.egress.clone())?;
        let signer = Arc::new(Signer::new(settings.environment.to_string(), settings.key.as_ref(), real.clone()));
        let (drift, drifted) = Drift::channel(clock.clone());
        let registry = catalog::load(&*store, home(&settings, address)).await?;
        let wire = settings.dev.then(|| Arc::new(Wire::default()));
        let called: Arc<dyn Invoker> = Arc::new(HttpInvoker::new(
            client.clone(),
            signer.clone(),
            secrets.clone(),
            registry.subscribe(),
            drift,
            clock.clone(),
            wire.clone(),
        ));
        let invoker = match &settings.faults {
            Some(faults) => Arc::new(faults.around(called)) as Arc<dyn Invoker>,
            None => called,
        };
        let (stop_doors, doors_stop) = watch::channel(false);
        let (stop_loops, loops_stop) = watch::channel(false);
        let (processor, partition) = processor::open(processor::Parts {
            partition: PARTITION,
            store: store.clone(),
            clock: clock.clone(),
            invoker,
            fetcher: Arc::new(HttpFetcher::new(client.clone(), clock.clone())),
            registry: registry.subscribe(),
            stop: loops_stop.clone(),
        })
        .await?;
        let cluster = Cluster::single(processor);
        let (catalog, keeper) = catalog::open(catalog::Parts {
            store: store.clone(),
            discovery: Discovery::new(client, signer),
            cluster: cluster.clone(),
            partitions: vec![PARTITION],
            clock: clock.clone(),
            registry,
            drift: drifted,
            every: Span(if settings.dev { SYNC_DEV_MS } else { SYNC_MS }),
            stop: loops_stop.clone(),
        });
        let (jobs, runner) = jobs::open(jobs::Parts {
            store: store.clone(),
            cluster: cluster.clone(),
            clock: clock.clone(),
            stop: loops_stop.clone(),
        });
        let metrics = Arc::new(Metrics::default());
        let auditor = auditor::open(auditor::Parts {
            store: store.clone(),
            cluster: cluster.clone(),
            partitions: vec![PARTITION],
            clock: clock.clone(),
            metrics: metrics.clone(),
            every: Span(AUDIT_MS),
            stop: loops_stop.clone(),
        });
        let recorder = recorder::open(recorder::Parts {
            store: store.clone(),
            clock: clock.clone(),
            metrics: metrics.clone(),
            every: Span(RECORD_MS),
            stop: loops_stop.clone(),
        });
        let public_url = settings.public_url.as_deref();
        let local = address.ip().is_loopback();
        let doors = Arc::new(Rooms {
            store,
            cluster,
            catalog: catalog.clone(),
            jobs,
            secrets,
            clock,
            environment: settings.environment,
            guard: if local { Guard::local(public_url) } else { Guard::anywhere(public_url) },
            stop: doors_stop.clone(),
            draining: loops_stop,
            watching: Places::of(WATCHES_MAX),
            reading: Places::of(STREAM_READERS_MAX),
            cors_origins: settings.cors_origins,
            polling: Places::of(POLLS_MAX),
            metrics,
            wire,
            dev,
        });
        let router = api::router(doors, dashboard::routes());
        let api = tokio::spawn(api::serve(listener, router, doors_stop));
        let partition = Some(partition);
        Ok(Node { address, catalog, stop_doors, stop_loops, api, keeper, runner, auditor, recorder, partition })
    }

    /// Where the server listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the server is found from its own machine.
    pub fn url(&self) -> String {
        url_on_this_machine(self.address)
    }

    /// The registry's keeper.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Returns when the server cannot go on, with the reason; never while all is well. May be called once.
    pub async fn failed(&mut self) -> NodeError {
        let Some(partition) = &mut self.partition else { return std::future::pending().await };
        let ended = partition.await;
        self.partition = None;
        match ended {
            Ok(Err(halted)) => NodeError::Halted(halted),
            Ok(Ok(())) | Err(_) => NodeError::Ended("partition"),
        }
    }

    /// Stops in order: no new work; handlers that are at work are told, and may end or yield; all that was decided is
    /// durable; then the doors close, and open requests end. Returns when everything has ended.
    pub async fn stop(self) -> Result<(), NodeError> {
        self.stop_loops.send_replace(true);
        let partition = match self.partition {
            Some(partition) => partition.await.map_err(|_| NodeError::Ended("partition")),
            None => Ok(Ok(())),
        };
        self.stop_doors.send_replace(true);
        self.api.await.map_err(|_| NodeError::Ended("api"))?;
        self.keeper.await.map_err(|_| NodeError::Ended("catalog"))?;
        self.runner.await.map_err(|_| NodeError::Ended("jobs"))?;
        self.auditor.await.map_err(|_| NodeError::Ended("auditor"))?;
        self.recorder.await.map_err(|_| NodeError::Ended("recorder"))?;
        partition?.map_err(NodeError::Halted)
    }
}

async fn open_store(settings: &Settings) -> Result<Arc<dyn Store>, StoreError> {
    let config = SqliteConfig { durability: settings.durability, ..SqliteConfig::new(settings.data_dir.clone()) };
    let opened = tokio::task::spawn_blocking(move || SqliteStore::open(&config)).await;
    let store = opened.map_err(|panic| StoreError::Open(format!("opening panicked: {panic}")))??;
    Ok(Arc::new(store))
}

/// Where handlers reach the server: at its public address, and on this machine if it listens there.
fn home(settings: &Settings, address: SocketAddr) -> Home {
    match settings.faults {
        Some(_) => Home { public_url: None, local_url: None },
        None => home_at(settings.public_url.as_deref(), address),
    }
}

fn home_at(public_url: Option<&str>, address: SocketAddr) -> Home {
    let local = address.ip().to_canonical().is_loopback() || address.ip().is_unspecified();
    Home {
        public_url: public_url.map(|url| url.trim_end_matches('/').to_owned()),
        local_url: local.then(|| url_on_this_machine(address)),
    }
}

/// The address that leads to a listener from its own machine.
fn url_on_this_machine(mut address: SocketAddr) -> String {
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() });
    }
    format!("http://{address}")
}

fn fresh_secret(clock: &dyn Clock) -> [u8; 32] {
    let mut secret = [0; 32];
    secret[..16].copy_from_slice(&clock.entropy().to_be_bytes());
    secret[16..].copy_from_slice(&clock.entropy().to_be_bytes());
    secret
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(public_url: Option<&str>, listen: &str, expected: (Option<&str>, Option<&str>)) {
        let Home { public_url, local_url } = home_at(public_url, listen.parse().unwrap());
        assert_eq!((public_url.as_deref(), local_url.as_deref()), expected, "{listen}");
    }

    #[test]
    fn handlers_are_given_an_address_that_leads_here() {
        check(None, "127.0.0.1:8484", (None, Some("http://127.0.0.1:8484")));
        check(None, "0.0.0.0:1", (None, Some("http://127.0.0.1:1")));
        check(None, "[::]:1", (None, Some("http://[::1]:1")));
        check(Some("https://x.example/b/"), "10.0.0.5:8484", (Some("https://x.example/b"), None));
    }
}
