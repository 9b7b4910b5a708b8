//! The recorder: counts the open runs every so often, so that people see how the backlog came to be what it is. It reads, and
//! changes nothing; when the tables cannot be read it leaves a gap.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::clock::Clock;
use crate::model::{RunStatus, Span};
use crate::store::{RunFilter, Store, StoreError};
use crate::telemetry::{Metrics, Moment};

/// Everything that the recorder works with.
pub struct Parts {
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where it records.
    pub metrics: Arc<Metrics>,
    /// Pause between two looks.
    pub every: Span,
    /// Turns true when the server stops.
    pub stop: watch::Receiver<bool>,
}

/// Starts the loop. It ends when `parts.stop` turns true.
pub fn open(parts: Parts) -> JoinHandle<()> {
    tokio::spawn(run(parts))
}

async fn run(parts: Parts) {
    let mut ticks = tokio::time::interval(parts.every.std());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut stop = parts.stop.clone();
    loop {
        tokio::select! {
            // Whoever could stop the server may be gone, and the server with it.
            _ = stop.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        match look(&parts).await {
            Ok(moment) => parts.metrics.history.record(moment),
            Err(error) => tracing::warn!(%error, "the open runs could not be counted; charts have a gap there"),
        }
    }
}

async fn look(parts: &Parts) -> Result<Moment, StoreError> {
    let statuses = RunStatus::ALL.into_iter().filter(|status| !status.is_terminal()).collect();
    let counts = parts.store.count_runs(RunFilter { statuses, ..RunFilter::default() }).await?;
    Ok(Moment::of(parts.clock.wall(), |status| counts.of(status)))
}
