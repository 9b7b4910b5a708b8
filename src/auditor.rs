//! The auditor: looks for runs that nothing will wake and for timers that did not fire, a bounded number at a time, all the
//! while the server is at work. What it finds it counts, names in the log, and asks the owner to look at again.
//!
//! It repairs nothing: whether a run may go on, its owner decides, by its own rules. It should never find anything, and every
//! finding is a defect of the server.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::clock::Clock;
use crate::cluster::Cluster;
use crate::engine::Command;
use crate::limits::{AUDIT_LATE_MS, AUDIT_PAGE, AUDIT_RUNS};
use crate::model::{RunId, Span, StateKey, Timestamp};
use crate::processor::{Declined, Processor};
use crate::store::{RunFilter, Store, StoreError, Timer, TimerKey};
use crate::telemetry::Metrics;

/// Everything that the auditor works with.
pub struct Parts {
    /// The ledger.
    pub store: Arc<dyn Store>,
    /// Whom it asks to look again.
    pub cluster: Cluster,
    /// The partitions that it looks through.
    pub partitions: Vec<u16>,
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Where it counts.
    pub metrics: Arc<Metrics>,
    /// Pause between two looks.
    pub every: Span,
    /// Turns true when the server stops.
    pub stop: watch::Receiver<bool>,
}

/// Starts the loop. It ends when `parts.stop` turns true.
pub fn open(parts: Parts) -> JoinHandle<()> {
    tokio::spawn(Auditor { parts, next: 1, late: BTreeSet::new() }.run())
}

struct Auditor {
    parts: Parts,
    /// The number of the run that the next look begins at.
    next: i64,
    /// What was overdue at the last look: its owner may have been about to see to it.
    late: BTreeSet<Timer>,
}

impl Auditor {
    async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.parts.every.std());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = self.parts.stop.clone();
        loop {
            tokio::select! {
                // Whoever could stop the server may be gone, and the server with it.
                _ = stop.wait_for(|stop| *stop) => return,
                _ = ticks.tick() => {}
            }
            if let Err(error) = self.look().await {
                tracing::warn!(%error, "the auditor cannot read the tables; it tries again");
            }
        }
    }

    async fn look(&mut self) -> Result<(), StoreError> {
        for partition in self.parts.partitions.clone() {
            self.look_for_stuck(partition).await?;
            self.look_for_late(partition).await?;
            self.look_for_stuck_schedules(partition).await?;
        }
        Ok(())
    }

    async fn look_for_stuck(&mut self, partition: u16) -> Result<(), StoreError> {
        let store = &self.parts.store;
        let newest = store.runs(RunFilter { limit: 1, ..RunFilter::default() }).await?;
        let newest = newest.runs.first().map_or(0, |head| head.run_no);
        let (from, to) = (self.next, newest.min(self.next + AUDIT_RUNS - 1));
        self.next = if to >= newest { 1 } else { to + 1 };
        let stuck = store.stuck_runs(partition, from, to).await?;
        self.parts.metrics.audited_runs.add(u64::try_from(to - from + 1).unwrap_or(0));
        for run in stuck {
            self.parts.metrics.stuck_runs.add(1);
            tracing::warn!(
                run.id = %run,
                "nothing would have woken a run; its owner is asked to look at it. This is a defect of the server, please report it"
            );
            nudge(self.parts.cluster.owner_of(run), Command::Wake { run }).await;
        }
        Ok(())
    }

    async fn look_for_stuck_schedules(&self, partition: u16) -> Result<(), StoreError> {
        for key in self.parts.store.stuck_schedules(partition).await? {
            self.parts.metrics.stuck_schedules.add(1);
            tracing::warn!(
                schedule = %key,
                "nothing would have woken a schedule; its owner is asked to look at it. This is a defect of the server, please report it"
            );
            let owner = self.parts.cluster.owner_of_schedule(&key);
            nudge(owner, Command::WakeState { key: StateKey::Schedule(key.clone()) }).await;
        }
        Ok(())
    }

    async fn look_for_late(&mut self, partition: u16) -> Result<(), StoreError> {
        // What has no time of its own, and is ready, waits for its turn.
        let first = Timer { at: Timestamp(1), key: TimerKey::Run(RunId(0)) };
        let until = Timestamp(self.parts.clock.wall().0 - AUDIT_LATE_MS as i64);
        let late = self.parts.store.due(partition, Some(first), until, AUDIT_PAGE).await?;
        let late: BTreeSet<Timer> = late.into_iter().collect();
        for timer in late.intersection(&self.late) {
            self.parts.metrics.late_timers.add(1);
            tracing::warn!(
                due_at = %timer.at,
                what = ?timer.key,
                "a timer did not fire; its owner is asked to look at it. This is a defect of the server, please report it"
            );
            match timer.key.clone() {
                TimerKey::Run(run) => nudge(self.parts.cluster.owner_of(run), Command::Wake { run }).await,
                TimerKey::State(key) => {
                    for owner in self.parts.cluster.local() {
                        nudge(owner, Command::WakeState { key: key.clone() }).await;
                    }
                }
            }
        }
        self.late = late;
        Ok(())
    }
}

/// A hint. An owner that is busy is asked again at a later look.
async fn nudge(owner: &Processor, command: Command) {
    if let Err(declined @ (Declined::Busy { .. } | Declined::Unavailable(_))) = owner.submit(command).await {
        tracing::debug!(error = %declined, "an owner could not be asked to look at a run; it is asked again");
    }
}
