//! Tells whoever follows a run, all runs, or a channel, that something about it has become durable. It says that, not what:
//! readers read the store, which only knows durable things.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Notify, watch};

use crate::limits::WATCH_ALL_RUNS_MAX;
use crate::model::{Channel, RunId};

/// What can be followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Followed {
    /// A run: its row and its journal.
    Run(RunId),
    /// The messages on a channel.
    Channel(Channel),
}

/// What someone follows, and those who follow all runs.
#[derive(Default)]
pub struct Watchers {
    followed: Mutex<BTreeMap<Followed, watch::Sender<u64>>>,
    all: Mutex<Vec<Weak<Changed>>>,
}

impl Watchers {
    /// Follows something from now on.
    pub fn subscribe(self: &Arc<Self>, what: Followed) -> Watch {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = followed.entry(what.clone()).or_insert_with(|| watch::Sender::new(0)).subscribe();
        Watch { what, receiver, watchers: self.clone() }
    }

    /// Tells a follower of all runs of these ones, too, from now on.
    pub fn subscribe_all(&self, follower: &WatchAll) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&follower.changed));
    }

    /// Whether anyone follows anything: spares the loop the look-ups.
    pub fn is_empty(&self) -> bool {
        let nobody = self.all.lock().unwrap_or_else(PoisonError::into_inner).is_empty();
        nobody && self.followed.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Something about these has become durable.
    pub fn notify(&self, changed: impl Iterator<Item = Followed>) {
        let changed: Vec<Followed> = changed.collect();
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        for what in &changed {
            if let Some(sender) = followed.get(what) {
                sender.send_modify(|count| *count += 1);
            }
        }
        drop(followed);
        let run = |what: Followed| if let Followed::Run(run) = what { Some(run) } else { None };
        let changed: Vec<RunId> = changed.into_iter().filter_map(run).collect();
        // Followers that are gone leave here: they have no way to the partitions that they followed.
        self.all
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|follower| follower.upgrade().inspect(|follower| follower.add(&changed)).is_some());
    }
}

/// One follower of all runs of the partitions that it was handed to. What changes while it does not look is gathered, each run
/// once and up to a bound; what is beyond it is counted.
#[derive(Default)]
pub struct WatchAll {
    changed: Arc<Changed>,
}

/// What has changed since a follower looked last.
#[derive(Debug, Default)]
pub struct Changes {
    /// These runs, the oldest first.
    pub runs: BTreeSet<RunId>,
    /// And so many changes more, of whatever runs.
    pub missed: usize,
}

#[derive(Default)]
struct Changed {
    gathered: Mutex<Changes>,
    wake: Notify,
}

impl Changed {
    fn add(&self, changed: &[RunId]) {
        let mut gathered = self.gathered.lock().unwrap_or_else(PoisonError::into_inner);
        for run in changed {
            if gathered.runs.len() < WATCH_ALL_RUNS_MAX || gathered.runs.contains(run) {
                gathered.runs.insert(*run);
            } else {
                gathered.missed += 1;
            }
        }
        drop(gathered);
        if !changed.is_empty() {
            self.wake.notify_one();
        }
    }
}

impl WatchAll {
    /// Waits until something has changed since the last look.
    pub async fn changed(&self) {
        self.changed.wake.notified().await;
    }

    /// What has changed since the last look.
    pub fn take(&self) -> Changes {
        std::mem::take(&mut *self.changed.gathered.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// One follower of one thing.
pub struct Watch {
    what: Followed,
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
        let mut followed = self.watchers.followed.lock().unwrap_or_else(PoisonError::into_inner);
        if followed.get(&self.what).is_some_and(|sender| sender.receiver_count() <= 1) {
            followed.remove(&self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn followers_of_all_runs_are_told_of_each_once_and_up_to_a_bound() {
        let watchers = Watchers::default();
        assert!(watchers.is_empty());
        let follower = WatchAll::default();
        watchers.subscribe_all(&follower);
        assert!(!watchers.is_empty());
        watchers.notify([RunId(2), RunId(1), RunId(2)].map(Followed::Run).into_iter());
        follower.changed().await;
        let changes = follower.take();
        assert_eq!((changes.runs, changes.missed), ([RunId(1), RunId(2)].into(), 0));
        watchers.notify((0..WATCH_ALL_RUNS_MAX as u128 + 7).map(RunId).map(Followed::Run));
        follower.changed().await;
        let changes = follower.take();
        assert_eq!((changes.runs.len(), changes.missed), (WATCH_ALL_RUNS_MAX, 7));
        drop(follower);
        watchers.notify([Followed::Run(RunId(3))].into_iter());
        assert!(watchers.is_empty(), "a follower that is gone is not kept");
    }
}
