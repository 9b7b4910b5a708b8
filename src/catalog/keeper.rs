//! The loop: requests, ticks and hints come in, questions to apps go out many at a time, and what they answer is written
//! and published one by one. An error of an app is kept with the app and logged when it is new.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{mpsc, watch};
use tokio::time::MissedTickBehavior;

use super::healing::{Healer, News};
use super::{CatalogError, Parts, Reply, Request, Synced};
use crate::dispatch::{Discovered, DiscoveryError};
use crate::limits::{APPS_MAX, CATALOG_QUEUE_MAX, NAME_BYTES_MAX, SYNC_MS, SYNC_PARALLEL_MAX};
use crate::model::{
    App, Deployment, DeploymentId, DeploymentState, FunctionId, Registry, Text, Timestamp, derive, partition_key,
};

/// A question to an app.
struct Question {
    app: Text,
    url: String,
    headers: Vec<(String, String)>,
    asker: Asker,
}

/// Who wants to know.
enum Asker {
    /// Someone who registers the app.
    Owner(Reply<Synced>),
    /// Someone who wants it fetched now.
    Operator(Reply<Synced>),
    /// The catalog itself.
    Routine,
}

type Asked = (Question, Result<Discovered, DiscoveryError>);

pub(super) struct Keeper {
    pub(super) parts: Parts,
    requests: mpsc::Receiver<Request>,
    waiting: VecDeque<Question>,
    asking: FuturesUnordered<BoxFuture<'static, Asked>>,
    routine: BTreeSet<Text>,
    healer: Healer,
}

impl Keeper {
    pub(super) fn new(parts: Parts, requests: mpsc::Receiver<Request>) -> Keeper {
        let healer = Healer::new(parts.store.clone(), parts.cluster.clone(), parts.partitions.clone());
        let (waiting, asking, routine) = (VecDeque::new(), FuturesUnordered::new(), BTreeSet::new());
        Keeper { parts, requests, waiting, asking, routine, healer }
    }

    pub(super) async fn run(mut self) {
        let mut ticks = tokio::time::interval(self.parts.every.std());
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stop = self.parts.stop.clone();
        self.keep_schedules().await;
        loop {
            while self.asking.len() < SYNC_PARALLEL_MAX
                && let Some(question) = self.waiting.pop_front()
            {
                self.asking.push(ask(self.parts.discovery.clone(), question));
            }
            tokio::select! {
                () = stopped(&mut stop) => return,
                Some(request) = self.requests.recv(), if self.waiting.len() < CATALOG_QUEUE_MAX => self.take(request).await,
                Some(asked) = self.asking.next() => self.answered(asked).await,
                Some(app) = self.parts.drift.recv() => self.ask_routinely(&app),
                _ = ticks.tick() => {
                    self.ask_all();
                    self.tidy().await;
                    self.keep_schedules().await;
                }
                () = self.healer.work() => {}
            }
        }
    }

    async fn take(&mut self, request: Request) {
        match request {
            Request::Register { app, url, headers, reply } => match self.may_register(&app) {
                Ok(()) => self.waiting.push_back(Question { app, url, headers, asker: Asker::Owner(reply) }),
                Err(error) => answer(reply, Err(error)),
            },
            Request::Sync { app, reply } => match self.registry().apps.get(&app) {
                Some(row) => self.waiting.push_back(question(row, Asker::Operator(reply))),
                None => answer(reply, Err(CatalogError::Unknown(app))),
            },
            Request::Remove { app, reply } => answer(reply, self.remove(app).await),
            Request::Pause { function, paused, reply } => answer(reply, self.pause(&function, paused).await),
            Request::Drain { app, deployment, reply } => answer(reply, self.drain(&app, deployment).await),
            Request::Retire { app, deployment, reply } => answer(reply, self.retire(&app, deployment).await),
        }
    }

    fn may_register(&self, app: &Text) -> Result<(), CatalogError> {
        if app.is_empty() || app.len() > NAME_BYTES_MAX || app.chars().any(|c| c == '/' || c.is_control()) {
            return Err(CatalogError::Name);
        }
        let registry = self.registry();
        if !registry.apps.contains_key(app) && registry.apps.len() >= APPS_MAX {
            return Err(CatalogError::TooMany);
        }
        Ok(())
    }

    pub(super) fn registry(&self) -> Arc<Registry> {
        self.parts.registry.borrow().clone()
    }

    fn ask_all(&mut self) {
        let names: Vec<Text> = self.registry().apps.keys().cloned().collect();
        names.iter().for_each(|app| self.ask_routinely(app));
    }

    /// Asks an app without anyone waiting for it, unless that is under way already.
    fn ask_routinely(&mut self, app: &Text) {
        if let Some(row) = self.registry().apps.get(app)
            && self.routine.insert(app.clone())
        {
            self.waiting.push_back(question(row, Asker::Routine));
        }
    }

    async fn answered(&mut self, (question, result): Asked) {
        let Question { app, url, headers, asker } = question;
        let known = self.registry().apps.get(&app).cloned();
        // While it was asked the app may have been forgotten, or moved: then the answer is about something else.
        let current = known.filter(|row| row.url == url && row.headers == headers);
        match asker {
            Asker::Owner(reply) => {
                let synced = match result {
                    Ok(found) => self.write(&app, url, headers, found, News::Asked).await,
                    Err(error) => Err(error.into()),
                };
                answer(reply, synced);
            }
            Asker::Operator(reply) => {
                let synced = match (result, current) {
                    (_, None) => Err(CatalogError::Unknown(app)),
                    (Ok(found), _) => self.write(&app, url, headers, found, News::Asked).await,
                    (Err(error), Some(row)) => {
                        self.note_failure(row, &error).await;
                        Err(error.into())
                    }
                };
                answer(reply, synced);
            }
            Asker::Routine => {
                self.routine.remove(&app);
                match (result, current) {
                    (_, None) => {}
                    (Ok(found), _) => {
                        if let Err(error) = self.write(&app, url, headers, found, News::Routine).await {
                            tracing::warn!(app = &*app, %error, "the catalog could not write what the app is now");
                        }
                    }
                    (Err(error), Some(row)) => self.note_failure(row, &error).await,
                }
            }
        }
    }

    /// Writes and publishes what an app is. What is as it was is written now and then only, to show that it was asked.
    async fn write(
        &mut self,
        name: &Text,
        url: String,
        headers: Vec<(String, String)>,
        found: Discovered,
        news: News,
    ) -> Result<Synced, CatalogError> {
        let now = self.parts.clock.wall();
        let registry = self.registry();
        let before = registry.apps.get(name);
        let created_at = before.map_or(now, |row| row.created_at);
        let url = found_at(url, &found);
        let deployment = deployment(&registry, name, created_at, now, found.manifest, found.url);
        let known = before.filter(|row| row.url == url && row.headers == headers && row.sync_error.is_none());
        let same = known.is_some_and(|row| row.current == Some(deployment.id))
            && registry.deployments.get(&deployment.id).is_some_and(|known| is_as_before(known, &deployment));
        let news = if same { news } else { news.max(News::Changed) };
        let app = App {
            name: name.clone(),
            url,
            headers,
            current: Some(deployment.id),
            created_at,
            synced_at: Some(now),
            sync_error: None,
            paused: before.map_or_else(BTreeSet::new, |row| row.paused.clone()),
        };
        let fresh = known.and_then(|row| row.synced_at).is_some_and(|at| now.since(at).0 < SYNC_MS);
        let deployment = Arc::new(deployment);
        if !(same && fresh) {
            self.parts.store.put_app(app.clone(), Some(Deployment::clone(&deployment))).await?;
            self.publish(registry.with(app.clone(), Some(deployment.clone())));
        } else if news == News::Asked {
            // Nothing is new but that it can be reached: whoever waits for it may try again at once.
            self.publish(Registry::clone(&registry));
        }
        self.healer.heal(name.clone(), news, deployment.clone());
        if !same {
            log_change(&deployment, &found.warnings);
            self.keep_schedules().await;
            self.tidy().await;
        }
        Ok(Synced { app, deployment, warnings: found.warnings, changed: !same })
    }

    /// Replaces the registry as a whole.
    pub(super) fn publish(&self, registry: Registry) {
        self.parts.registry.send_replace(Arc::new(registry));
    }

    /// Keeps with an app why it could not be asked. The same reason again is no news.
    async fn note_failure(&mut self, row: App, error: &DiscoveryError) {
        let text = error.to_string();
        if row.sync_error.as_deref() == Some(&text) {
            return;
        }
        tracing::warn!(
            // `dev` tells it itself, and leaves these lines out by this name.
            target: "backstitch_server::catalog::unreachable",
            app = &*row.name,
            error = text,
            "an app cannot be asked what it is; its deployment stays in use"
        );
        let app = App { sync_error: Some(text), ..row };
        match self.parts.store.put_app(app.clone(), None).await {
            Ok(()) => self.publish(self.registry().with(app, None)),
            Err(error) => {
                tracing::warn!(app = &*app.name, %error, "the catalog could not write why an app cannot be asked")
            }
        }
    }

    /// Holds back the runs of a function, or lets them go. True when that is news.
    async fn pause(&mut self, function: &FunctionId, paused: bool) -> Result<bool, CatalogError> {
        let registry = self.registry();
        let Some(row) = registry.apps.get(&function.app) else {
            return Err(CatalogError::Unknown(function.app.clone()));
        };
        if paused && registry.function(function).is_none() {
            return Err(CatalogError::UnknownFunction(function.clone()));
        }
        let mut app = row.clone();
        let news =
            if paused { app.paused.insert(function.function.clone()) } else { app.paused.remove(&function.function) };
        if news {
            self.parts.store.put_app(app.clone(), None).await?;
            self.publish(registry.with(app, None));
            tracing::info!(
                app = &*function.app,
                function = &*function.function,
                paused,
                "a function was paused or resumed"
            );
        }
        Ok(news)
    }

    async fn remove(&mut self, app: Text) -> Result<bool, CatalogError> {
        let existed = self.parts.store.delete_app(app.clone()).await?;
        self.publish(self.registry().without(&app));
        if existed {
            self.keep_schedules().await;
            tracing::info!(app = &*app, "an app was forgotten");
        }
        Ok(existed)
    }
}

/// Returns when the server stops, or when nobody is left who could stop it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

fn ask(discovery: crate::dispatch::Discovery, question: Question) -> BoxFuture<'static, Asked> {
    async move {
        let result = discovery.discover(&question.url, &question.headers, Some(&question.app)).await;
        (question, result)
    }
    .boxed()
}

fn question(row: &App, asker: Asker) -> Question {
    Question { app: row.name.clone(), url: row.url.clone(), headers: row.headers.clone(), asker }
}

/// Where the app is asked the next time: the address as it was read, unless the deployment has one of its own.
fn found_at(asked: String, found: &Discovered) -> String {
    if found.manifest.immutable { asked } else { found.url.clone() }
}

/// The deployment of an app: one for each version and address. Its id follows from what it is, so that finding it again
/// finds the same.
fn deployment(
    registry: &Registry,
    app: &Text,
    app_created_at: Timestamp,
    now: Timestamp,
    manifest: crate::model::Manifest,
    url: String,
) -> Deployment {
    let cause = derive(&[app.as_bytes(), manifest.version.as_bytes(), url.as_bytes()]);
    let id = DeploymentId::new(app_created_at, cause, partition_key(&[app.as_bytes()]));
    let created_at = registry.deployments.get(&id).map_or(now, |known| known.created_at);
    // Whatever was wanted of it before: it is the newest now.
    let state = DeploymentState::Active;
    Deployment { id, app: app.clone(), manifest, url, created_at, seen_at: now, state }
}

/// Whether a deployment is what it was, but for having been seen again.
fn is_as_before(known: &Deployment, deployment: &Deployment) -> bool {
    *known == Deployment { seen_at: known.seen_at, ..deployment.clone() }
}

fn log_change(deployment: &Deployment, warnings: &[String]) {
    tracing::info!(
        app = &*deployment.app,
        deployment = %deployment.id,
        version = deployment.manifest.version,
        functions = deployment.manifest.functions.len(),
        "an app has a new deployment"
    );
    for warning in warnings {
        tracing::warn!(app = &*deployment.app, warning, "the manifest asks for something that has no effect");
    }
}

/// Whoever asked may have gone away.
fn answer<T>(reply: Reply<T>, result: Result<T, CatalogError>) {
    let _ = reply.send(result);
}
