//! Keeps the registry in step with what apps declare: registers, asks again at intervals and when an answer looks
//! changed, writes what it finds, publishes it, and lifts the holds that the news may have healed.
//!
//! One loop does all of it, one write at a time, so that two requests about one app cannot cross. It decides nothing
//! about runs: it asks their owners to resume them.

mod deployments;
mod error;
mod healing;
mod keeper;
mod schedules;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use deployments::open_runs;
pub use error::CatalogError;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::dispatch::Discovery;
use crate::limits::CATALOG_QUEUE_MAX;
use crate::model::{App, Deployment, DeploymentId, FunctionId, Home, Registry, Span, Text};
use crate::store::{Store, StoreError};

/// Everything that the catalog's loop works with.
pub struct Parts {
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Asks apps what they are.
    pub discovery: Discovery,
    /// Where runs are resumed.
    pub cluster: Cluster,
    /// The partitions whose runs are looked through.
    pub partitions: Vec<u16>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// What is registered, as [`load`] made it.
    pub registry: watch::Sender<Arc<Registry>>,
    /// Names of apps that answer with another manifest than the registered one.
    pub drift: mpsc::Receiver<Text>,
    /// How often every app is asked.
    pub every: Span,
    /// Turns true when the server stops.
    pub stop: watch::Receiver<bool>,
}

/// What is registered, from the tables, at a server that is reached there. Whoever needs the registry subscribes to it; the catalog alone changes it.
pub async fn load(store: &dyn Store, home: Home) -> Result<watch::Sender<Arc<Registry>>, StoreError> {
    let (apps, deployments) = store.registry().await?;
    Ok(watch::Sender::new(Arc::new(Registry::new(apps, deployments).at(home))))
}

/// Starts the loop. It asks every app at once, and ends when `parts.stop` turns true.
pub fn open(parts: Parts) -> (Catalog, JoinHandle<()>) {
    let (requests, asked) = mpsc::channel(CATALOG_QUEUE_MAX);
    let registry = parts.registry.subscribe();
    let keeper = keeper::Keeper::new(parts, asked);
    (Catalog { requests, registry }, tokio::spawn(keeper.run()))
}

/// The catalog as others see it. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    requests: mpsc::Sender<Request>,
    registry: watch::Receiver<Arc<Registry>>,
}

/// What a fetch of a manifest led to.
#[derive(Clone, Debug)]
pub struct Synced {
    /// The app's row.
    pub app: App,
    /// Its deployment now.
    pub deployment: Arc<Deployment>,
    /// What the manifest asks for and this version of the server does not do.
    pub warnings: Vec<String>,
    /// Whether anything is other than before.
    pub changed: bool,
}

impl Catalog {
    /// Registers an app, or gives it another address: asks it what it is, and writes both. Durable when it returns.
    /// When the app cannot be asked nothing is written.
    pub async fn register(&self, app: &str, url: &str, headers: Vec<(String, String)>) -> Result<Synced, CatalogError> {
        let (app, url) = (app.into(), url.to_owned());
        self.ask(|reply| Request::Register { app, url, headers, reply }).await
    }

    /// Asks a registered app what it is now, and lifts the holds of its runs.
    pub async fn sync(&self, app: &str) -> Result<Synced, CatalogError> {
        let app = app.into();
        self.ask(|reply| Request::Sync { app, reply }).await
    }

    /// Forgets an app. Its deployments stay for the runs that are pinned to them. False when there was none.
    pub async fn remove(&self, app: &str) -> Result<bool, CatalogError> {
        let app = app.into();
        self.ask(|reply| Request::Remove { app, reply }).await
    }

    /// Holds back the runs of a function, or lets them go. Durable when it returns. True when that is news.
    pub async fn pause(&self, function: FunctionId, paused: bool) -> Result<bool, CatalogError> {
        self.ask(|reply| Request::Pause { function, paused, reply }).await
    }

    /// Takes a deployment out of use as soon as its last run has ended. Durable when it returns; retired at once if there is
    /// none.
    pub async fn drain(&self, app: &str, deployment: DeploymentId) -> Result<Arc<Deployment>, CatalogError> {
        let app = app.into();
        self.ask(|reply| Request::Drain { app, deployment, reply }).await
    }

    /// Takes a deployment out of use that no run is pinned to. Durable when it returns.
    pub async fn retire(&self, app: &str, deployment: DeploymentId) -> Result<Arc<Deployment>, CatalogError> {
        let app = app.into();
        self.ask(|reply| Request::Retire { app, deployment, reply }).await
    }

    /// What is registered now.
    pub fn registry(&self) -> Arc<Registry> {
        self.registry.borrow().clone()
    }

    /// What is registered, and what will be.
    pub fn subscribe(&self) -> watch::Receiver<Arc<Registry>> {
        self.registry.clone()
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, CatalogError> {
        let (reply, answer) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| CatalogError::Stopping)?;
        answer.await.unwrap_or(Err(CatalogError::Stopping))
    }
}

/// Where the answer to a request goes.
type Reply<T> = oneshot::Sender<Result<T, CatalogError>>;

/// What someone wants of the catalog.
enum Request {
    Register { app: Text, url: String, headers: Vec<(String, String)>, reply: Reply<Synced> },
    Sync { app: Text, reply: Reply<Synced> },
    Remove { app: Text, reply: Reply<bool> },
    Pause { function: FunctionId, paused: bool, reply: Reply<bool> },
    Drain { app: Text, deployment: DeploymentId, reply: Reply<Arc<Deployment>> },
    Retire { app: Text, deployment: DeploymentId, reply: Reply<Arc<Deployment>> },
}
