//! The graceful stop: nothing new begins, what is under way may end, what is decided becomes durable. There is nothing
//! to save, because everything already is.

use std::time::Duration;

use tokio::task::JoinSet;

use super::owner::{Halted, Owner};
use crate::limits::DRAIN_MS;

impl Owner {
    /// The server stops: what is under way may end, what is decided becomes durable, nothing new begins.
    pub(super) async fn drain(mut self) -> Result<(), Halted> {
        self.outer.close();
        self.draining = true;
        let deadline = self.parts.clock.monotonic_ms() + DRAIN_MS;
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
            if settled && (self.calls.is_empty() || self.parts.clock.monotonic_ms() >= deadline) {
                return Ok(());
            }
            let left = Duration::from_millis(deadline.saturating_sub(self.parts.clock.monotonic_ms()).max(50));
            tokio::select! {
                biased;
                Some(done) = self.committing.join_next() => self.committed(done).await?,
                Some(Ok(ended)) = self.calls.join_next() => self.decide(ended.envelope())?,
                Some(loaded) = self.loads.join_next() => self.loaded(loaded).await?,
                Some(envelope) = self.reports.recv() => self.decide(envelope)?,
                () = tokio::time::sleep(left) => {
                    // Handlers that are still at work are invoked again after the next start.
                    self.calls = JoinSet::new();
                    if self.parts.clock.monotonic_ms() >= deadline + DRAIN_MS {
                        return Ok(());
                    }
                }
            }
        }
    }
}
