//! What the doors of the API open to: everything that a handler of a request may use. Built once by whoever assembles the
//! server, cheap to clone.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::watch;

use super::dev::Dev;
use super::error::Problem;
use super::guard::Guard;
use crate::auth::RunSecrets;
use crate::catalog::Catalog;
use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::dispatch::Wire;
use crate::engine::{Command, Reply};
use crate::jobs::Jobs;
use crate::model::{RunId, Text};
use crate::processor::Declined;
use crate::store::Store;
use crate::telemetry::Metrics;

/// What every request is handed: one count goes up, and nothing is copied.
pub type Doors = Arc<Rooms>;

/// Everything that requests may use.
pub struct Rooms {
    /// The ledger, for reads: it knows durable things only.
    pub store: Arc<dyn Store>,
    /// The way to whoever decides.
    pub cluster: Cluster,
    /// The registry and its keeper.
    pub catalog: Catalog,
    /// Actions on many runs.
    pub jobs: Jobs,
    /// Opens awakeable tokens.
    pub secrets: Arc<RunSecrets>,
    /// Time and chance.
    pub clock: Arc<dyn Clock>,
    /// The environment's name.
    pub environment: Text,
    /// Who may ask.
    pub guard: Guard,
    /// Turns true when the server stops: long waits end early then.
    pub stop: watch::Receiver<bool>,
    /// Turns true when the partitions begin to end, which is before that: handlers that wait for news are told.
    pub draining: watch::Receiver<bool>,
    /// The clients that watch right now.
    pub watching: Places,
    /// The clients that read streams right now.
    pub reading: Places,
    /// The origins whose web pages may read streams and results, with a token.
    pub cors_origins: Vec<String>,
    /// The handlers that wait for news right now.
    pub polling: Places,
    /// What the server counts.
    pub metrics: Arc<Metrics>,
    /// What went over the wire, on a server for development.
    pub wire: Option<Arc<Wire>>,
    /// What a developer may do, and nobody else.
    pub dev: Option<Dev>,
}

impl Rooms {
    /// Gives a command about a run to its owner.
    pub(super) async fn command(&self, run: RunId, command: Command) -> Result<Reply, Problem> {
        Ok(self.cluster.owner_of(run).submit(command).await?)
    }

    /// Gives the owner of a run what the handler of an open invocation reports.
    pub(super) async fn report(&self, run: RunId, command: Command) -> Result<Reply, Declined> {
        self.cluster.owner_of(run).report(command).await
    }

    /// Whether the server is stopping.
    pub(super) fn stopping(&self) -> bool {
        *self.stop.borrow()
    }

    /// Whether the server takes no new work any more.
    pub(super) fn draining(&self) -> bool {
        *self.draining.borrow() || self.stopping()
    }

    /// Returns when the server begins to take no new work.
    pub(super) async fn drained(&self) {
        let mut draining = self.draining.clone();
        if draining.wait_for(|draining| *draining).await.is_err() {
            // Whoever could stop the server is gone, and the server with it.
        }
    }

    /// Returns when the server begins to stop.
    pub(super) async fn stopped(&self) {
        let mut stop = self.stop.clone();
        if stop.wait_for(|stop| *stop).await.is_err() {
            // Whoever could stop the server is gone, and the server with it.
        }
    }
}

/// An answer of the engine to another question than was asked: a defect.
pub(super) fn unexpected(reply: &Reply) -> Problem {
    Problem::internal(format!("the engine answered a command with {reply:?}"))
}

/// Counts those who wait for something, so that they stay below their bound.
#[derive(Clone, Debug)]
pub struct Places {
    taken: Arc<AtomicUsize>,
    max: usize,
}

/// One of those who wait; leaves when dropped.
#[derive(Debug)]
pub(super) struct Place(Places);

impl Places {
    /// For so many at once.
    pub fn of(max: usize) -> Places {
        Places { taken: Arc::default(), max }
    }

    /// How many wait right now.
    pub(super) fn taken(&self) -> usize {
        self.taken.load(Ordering::Acquire)
    }

    /// Takes a place, if there is one.
    pub(super) fn enter(&self) -> Option<Place> {
        let fits = |taken: usize| (taken < self.max).then_some(taken + 1);
        let taken = self.taken.fetch_update(Ordering::AcqRel, Ordering::Acquire, fits);
        taken.ok().map(|_| Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::AcqRel);
    }
}
