//! Tells whoever waits for a run that something about it has become durable. It says that, not what: readers read the
//! store, which only knows durable things.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use crate::model::RunId;

/// The runs that someone follows.
#[derive(Default)]
pub struct Watchers {
    runs: Mutex<BTreeMap<RunId, watch::Sender<u64>>>,
}

impl Watchers {
    /// Follows a run from now on.
    pub fn subscribe(self: &Arc<Self>, run: RunId) -> Watch {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = runs.entry(run).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Watch { run, receiver, watchers: self.clone() }
    }

    /// Whether anyone follows anything: spares the loop the look-ups.
    pub fn is_empty(&self) -> bool {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Something about these runs has become durable.
    pub fn notify(&self, changed: impl Iterator<Item = RunId>) {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        for run in changed {
            if let Some(sender) = runs.get(&run) {
                sender.send_modify(|count| *count += 1);
            }
        }
    }
}

/// One follower of one run.
pub struct Watch {
    run: RunId,
    receiver: watch::Receiver<u64>,
    watchers: Arc<Watchers>,
}

impl Watch {
    /// Waits for the next change after the subscription or after the last call. Changes in between count as one.
    pub async fn changed(&mut self) {
        if self.receiver.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut runs = self.watchers.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if runs.get(&self.run).is_some_and(|sender| sender.receiver_count() <= 1) {
            runs.remove(&self.run);
        }
    }
}
