//! Tells whoever waits for a run's end how it ended, as soon as that is durable. An end never changes again, so it is told
//! as it is, and waiting for one costs no read. How a run stands before its end is the business of [`super::watch`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::model::{Outcome, RunId, RunStatus};

/// How a run ended. Durable when it is told.
#[derive(Clone, Debug)]
pub struct End {
    /// The run.
    pub run: RunId,
    /// Its last status.
    pub status: RunStatus,
    /// Its outcome; what it went on with, if that is how it ended.
    pub outcome: Option<Outcome>,
}

/// Those who wait for the ends of runs.
#[derive(Default)]
pub struct Ends {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    next: u64,
    /// By run, and by the number of whoever waits.
    lines: BTreeMap<(RunId, u64), oneshot::Sender<End>>,
}

impl Ends {
    /// Waits for a run's end from now on.
    pub fn wait(self: &Arc<Self>, run: RunId) -> EndWatch {
        let (sender, end) = oneshot::channel();
        let mut waiting = self.held();
        waiting.next += 1;
        let number = waiting.next;
        waiting.lines.insert((run, number), sender);
        EndWatch { run, number, end: Some(end), ends: self.clone() }
    }

    /// Whether anyone waits for the end of a run.
    pub(super) fn is_awaited(&self, run: RunId) -> bool {
        self.held().lines.range((run, 0)..=(run, u64::MAX)).next().is_some()
    }

    /// These runs have ended, durably.
    pub(super) fn tell(&self, ended: Vec<End>) {
        for end in ended {
            let mut waiting = self.held();
            while let Some((key, _)) = waiting.lines.range((end.run, 0)..=(end.run, u64::MAX)).next() {
                let key = *key;
                if let Some(sender) = waiting.lines.remove(&key) {
                    // Whoever waited may be gone.
                    let _ = sender.send(end.clone());
                }
            }
        }
    }

    fn held(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Someone who waits for one run's end.
pub struct EndWatch {
    run: RunId,
    number: u64,
    /// Nothing once the end was told.
    end: Option<oneshot::Receiver<End>>,
    ends: Arc<Ends>,
}

impl EndWatch {
    /// Waits for the end, which is told once. Never returns if the run ended before the wait began, or when the loop is gone.
    pub async fn ended(&mut self) -> End {
        let Some(end) = &mut self.end else { return std::future::pending().await };
        let end = end.await;
        self.end = None;
        match end {
            Ok(end) => end,
            Err(_) => std::future::pending().await,
        }
    }
}

impl Drop for EndWatch {
    fn drop(&mut self) {
        self.ends.held().lines.remove(&(self.run, self.number));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn an_end_reaches_those_who_wait_for_it_and_nobody_else() {
        let ends = Arc::new(Ends::default());
        let (mut first, mut second, mut other) = (ends.wait(RunId(1)), ends.wait(RunId(1)), ends.wait(RunId(2)));
        drop(ends.wait(RunId(3)));
        assert!(ends.is_awaited(RunId(1)) && !ends.is_awaited(RunId(3)));
        ends.tell(vec![End { run: RunId(1), status: RunStatus::Completed, outcome: None }]);
        assert!(first.ended().now_or_never().is_some() && second.ended().now_or_never().is_some());
        assert!(first.ended().now_or_never().is_none(), "an end is told once");
        assert!(other.ended().now_or_never().is_none());
        assert!(!ends.is_awaited(RunId(1)) && ends.is_awaited(RunId(2)));
    }
}
