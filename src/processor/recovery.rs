//! Taking a partition: its epoch grows, its near timers come into memory, and what was left undone goes on. Everything
//! else stays in the tables until it is needed.

use std::sync::Arc;

use super::owner::{Halted, Owner, Parts};
use crate::engine::{Command, Partition};
use crate::limits::{TIMER_HORIZON_MS, TIMER_PAGE};
use crate::model::{Key, Span, Timestamp};
use crate::store::{Store, StoreError, Timer, TimerKey};

/// A partition that was just taken.
pub(super) struct Taken {
    pub(super) partition: Partition,
    pub(super) epoch: u32,
    pub(super) commit_no: u64,
    pub(super) now: Timestamp,
    pub(super) horizon: Timestamp,
    pub(super) commands: Vec<Command>,
}

/// The result of one read of timers: the page, or where to go on.
pub(super) type Scan = Result<Vec<Timer>, StoreError>;

/// Takes the partition and loads what moves by itself within the horizon.
pub(super) async fn take(parts: &Parts) -> Result<Taken, StoreError> {
    let owned = parts.store.take_ownership(parts.partition).await?;
    let mut partition = Partition::new(owned.epoch, owned.run_no, owned.event_seq, owned.message_no);
    let now = parts.clock.wall().max(owned.now);
    let horizon = now.after(Span(TIMER_HORIZON_MS));
    // Set before the read, so that nothing that is decided meanwhile falls between.
    partition.set_horizon(horizon);
    for timer in timers_until(&parts.store, parts.partition, None, horizon).await? {
        add(&mut partition, timer);
    }
    let waits = parts.store.scanning_waits(parts.partition).await?;
    let commands = waits
        .into_iter()
        .map(|wait| {
            let after = wait.scanned_to.unwrap_or(wait.after_seq);
            let page = Key::Events { name: wait.index.event.clone(), after, until: wait.scan_end };
            Command::Scan { run: wait.run, idx: wait.idx, page }
        })
        .collect();
    Ok(Taken { partition, epoch: owned.epoch, commit_no: owned.commit_no, now, horizon, commands })
}

fn add(partition: &mut Partition, timer: Timer) {
    match timer.key {
        TimerKey::Run(run) => partition.add_run_timer(run, timer.at),
        TimerKey::State(key) => partition.add_state_timer(key, timer.at),
    }
}

/// When timers are read again: at half the horizon, so that none is late.
pub(super) fn rescan_at(horizon: Timestamp) -> Timestamp {
    Timestamp(horizon.0 - (TIMER_HORIZON_MS / 2) as i64)
}

async fn timers_until(
    store: &Arc<dyn Store>,
    partition: u16,
    after: Option<Timer>,
    until: Timestamp,
) -> Result<Vec<Timer>, StoreError> {
    let mut timers = Vec::new();
    let mut cursor = after;
    loop {
        let page = store.due(partition, cursor.take(), until, TIMER_PAGE).await?;
        cursor = page.last().cloned();
        let last = page.len() < TIMER_PAGE;
        timers.extend(page);
        if last {
            return Ok(timers);
        }
    }
}

impl Owner {
    /// Moves the horizon and reads the timers up to it.
    pub(super) fn scan_timers(&mut self) {
        let old = self.horizon;
        self.horizon = self.now().after(Span(TIMER_HORIZON_MS));
        self.partition.set_horizon(self.horizon);
        let (store, partition, until) = (self.parts.store.clone(), self.parts.partition, self.horizon);
        // What was due at the old horizon exactly may be read twice; that is harmless, a timer is a hint.
        let after = Timer { at: old, key: TimerKey::Run(crate::model::RunId(0)) };
        self.scans.spawn(async move { timers_until(&store, partition, Some(after), until).await });
    }

    /// Timers came from the tables.
    pub(super) async fn scanned(&mut self, scan: Result<Scan, tokio::task::JoinError>) -> Result<(), Halted> {
        let error = match scan {
            Ok(Ok(timers)) => {
                for timer in timers {
                    add(&mut self.partition, timer);
                }
                return Ok(());
            }
            Ok(Err(error)) => error,
            Err(panic) => StoreError::Unavailable(panic.to_string()),
        };
        self.reload(error).await
    }
}
