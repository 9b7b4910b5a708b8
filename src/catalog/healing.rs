//! Lifts holds. A run that was parked because of what its app was goes on when the app is something else. Which holds
//! a piece of news can heal is decided here; whether the run may go on, its owner decides.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};

use crate::cluster::Cluster;
use crate::engine::Command;
use crate::limits::{BUSY_PAUSE_MS, HELD_PAGE, RESUME_PARALLEL_MAX};
use crate::model::{Deployment, Hold, HoldKind, RunHead, RunId, Text};
use crate::processor::Declined;
use crate::store::Store;

/// What has happened to an app, from the least to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum News {
    /// It answered as before.
    Routine,
    /// Its manifest, version or address is another.
    Changed,
    /// Someone asks for it: everything that may be worth another try is tried.
    Asked,
}

/// Lifts holds, one app at a time.
pub(super) struct Healer {
    store: Arc<dyn Store>,
    cluster: Cluster,
    partitions: Vec<u16>,
    waiting: BTreeMap<Text, (News, Arc<Deployment>)>,
    at_work: Option<BoxFuture<'static, ()>>,
}

impl Healer {
    pub(super) fn new(store: Arc<dyn Store>, cluster: Cluster, partitions: Vec<u16>) -> Healer {
        Healer { store, cluster, partitions, waiting: BTreeMap::new(), at_work: None }
    }

    /// Remembers that an app's runs are to be looked through.
    pub(super) fn heal(&mut self, app: Text, news: News, deployment: Arc<Deployment>) {
        let before = self.waiting.get(&app).map_or(News::Routine, |(before, _)| *before);
        self.waiting.insert(app, (news.max(before), deployment));
    }

    /// Works on one app; never ends while there is nothing to do. May be dropped and called again at any time.
    pub(super) async fn work(&mut self) {
        if self.at_work.is_none()
            && let Some((_, (news, deployment))) = self.waiting.pop_first()
        {
            let visit =
                Visit { store: self.store.clone(), cluster: self.cluster.clone(), partitions: self.partitions.clone() };
            self.at_work = Some(visit.run(news, deployment).boxed());
        }
        match &mut self.at_work {
            Some(work) => work.await,
            None => std::future::pending().await,
        }
        self.at_work = None;
    }
}

/// One look through the held runs of one app.
struct Visit {
    store: Arc<dyn Store>,
    cluster: Cluster,
    partitions: Vec<u16>,
}

impl Visit {
    async fn run(self, news: News, deployment: Arc<Deployment>) {
        let mut resumed = 0;
        for partition in &self.partitions {
            let mut after = 0;
            loop {
                let page = self.store.held_runs(*partition, deployment.app.clone(), after, HELD_PAGE).await;
                let page = match page {
                    Ok(page) => page,
                    Err(error) => {
                        tracing::warn!(app = &*deployment.app, %error, "held runs cannot be looked through; the next sync tries again");
                        return;
                    }
                };
                let Some(last) = page.last() else { break };
                after = last.run_no;
                let healed: Vec<RunId> =
                    page.iter().filter(|run| may_heal(run, news, &deployment)).map(|run| run.id).collect();
                resumed += self.resume(healed).await;
            }
        }
        if resumed > 0 {
            tracing::info!(app = &*deployment.app, runs = resumed, "held runs go on");
        }
    }

    /// Resumes runs and returns how many went on.
    async fn resume(&self, runs: Vec<RunId>) -> usize {
        let resumed = stream::iter(runs).map(|run| self.resume_one(run)).buffer_unordered(RESUME_PARALLEL_MAX);
        resumed.filter(|resumed| std::future::ready(*resumed)).count().await
    }

    async fn resume_one(&self, run: RunId) -> bool {
        loop {
            match self.cluster.owner_of(run).submit(Command::Resume { run }).await {
                Ok(_) => return true,
                Err(Declined::Busy { .. }) => tokio::time::sleep(Duration::from_millis(BUSY_PAUSE_MS)).await,
                // It went on, ended or was cancelled meanwhile; or the server stops, and the next sync tries again.
                Err(Declined::Refused(_) | Declined::Unavailable(_)) => return false,
            }
        }
    }
}

/// Whether the news may heal what holds a run.
fn may_heal(run: &RunHead, news: News, current: &Deployment) -> bool {
    let Some(hold) = &run.hold else { return false };
    match hold.kind {
        HoldKind::Quarantine | HoldKind::Operator => false,
        _ if news == News::Asked => true,
        // That the app answered shows that it takes our signature.
        HoldKind::Signature => true,
        // A pinned run stays where it is, so it is not concerned.
        _ if run.deployment.is_some_and(|pinned| pinned != current.id) => false,
        HoldKind::UnknownFunction => current.function(&run.function.function).is_some(),
        HoldKind::Mismatch | HoldKind::Protocol | HoldKind::TooLarge | HoldKind::Lost | HoldKind::Compensation => {
            news == News::Changed || held_elsewhere(hold, current)
        }
    }
}

/// Whether the hold is about another deployment than the app's newest.
fn held_elsewhere(hold: &Hold, current: &Deployment) -> bool {
    hold.deployment.is_some_and(|asked| asked != current.id)
}
