//! The graceful stop: nothing new begins, what is under way may end, what is decided becomes durable. There is nothing
//! to save, because everything already is. HTTP calls for runs that take longer are given up, and made again after the start.

use std::time::Duration;

use tokio::task::JoinSet;

use super::fetching::Fetching;
use super::owner::{Halted, Owner};
use crate::limits::{DRAIN_MS, FETCH_DRAIN_MS};

impl Owner {
    /// The server stops: what is under way may end, what is decided becomes durable, nothing new begins.
    pub(super) async fn drain(mut self) -> Result<(), Halted> {
        self.outer.close();
        self.draining = true;
        let begun = self.parts.clock.monotonic_ms();
        let (deadline, fetch_deadline) = (begun + DRAIN_MS, begun + FETCH_DRAIN_MS);
        loop {
            while self.has_room() {
                let Some(envelope) = self.inner.pop_front() else { break };
                self.decide(envelope)?;
            }
            while self.has_room() {
                let Ok(envelope) = self.reports.try_recv().or_else(|_| self.outer.try_recv()) else { break };
                self.decide(envelope)?;
            }
            self.commit();
            let settled = self.committing.is_empty()
                && self.filling.changes.is_empty()
                && self.inner.is_empty()
                && self.parking.len() == 0;
            let now = self.parts.clock.monotonic_ms();
            let idle = self.calls.is_empty() && (self.fetching.is_empty() || now >= fetch_deadline);
            if settled && (idle || now >= deadline) {
                return Ok(());
            }
            let next = if now < fetch_deadline { fetch_deadline } else { deadline };
            let left = Duration::from_millis(next.saturating_sub(now).max(50));
            tokio::select! {
                biased;
                (commit_no, commit) = self.committing.next() => self.committed(commit_no, commit).await?,
                Some(Ok(ended)) = self.calls.join_next() => self.decide(ended.envelope())?,
                fetched = self.fetching.next() => {
                    if let Some(fetched) = fetched {
                        self.fetched(fetched)?;
                    }
                }
                Some(loaded) = self.loads.join_next() => self.loaded(loaded).await?,
                Some(envelope) = self.reports.recv() => self.decide(envelope)?,
                () = tokio::time::sleep(left) => {
                    let now = self.parts.clock.monotonic_ms();
                    if now >= deadline {
                        // Handlers that are still at work are invoked again after the next start.
                        self.calls = JoinSet::new();
                        self.fetching = Fetching::default();
                    }
                    if now >= deadline + DRAIN_MS {
                        return Ok(());
                    }
                }
            }
        }
    }
}
