//! What `dev` and `start` have in common: settings become a node, the node runs until it is told to stop or cannot go on.
//! The first Ctrl-C (or SIGTERM) stops it in order, the second one at once.

use std::sync::Arc;

use anyhow::Result;
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::exit::{Exit, down};
use super::screen;
use crate::config::{Mode, Server};
use crate::dispatch::Faults;
use crate::node::{Node, Settings};
use crate::telemetry;

/// What programs read on the first line of the standard output, with `--json`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Announcement {
    url: String,
    data_dir: String,
    environment: String,
    version: &'static str,
    pid: u32,
}

impl Announcement {
    pub(super) fn of(node: &Node, config: &Server) -> Announcement {
        Announcement {
            url: node.url(),
            data_dir: config.storage.data_dir.display().to_string(),
            environment: config.environment.to_string(),
            version: env!("CARGO_PKG_VERSION"),
            pid: std::process::id(),
        }
    }
}

/// Starts logging and the node.
pub(super) async fn open(config: &Server) -> Result<Node> {
    open_with(config, None).await
}

/// The same, with calls that are disturbed on purpose.
pub(super) async fn open_with(config: &Server, faults: Option<Arc<Faults>>) -> Result<Node> {
    telemetry::start(config.log.levels.clone(), config.log.format, screen::error_is_terminal())?;
    for variable in &config.unknown_variables {
        tracing::warn!(variable, "an environment variable looks like a setting and is none");
    }
    if config.mode == Mode::Start && config.calls.key.is_none() {
        tracing::warn!("requests to apps are not signed, since there is no key: `backstitch keys new` makes one");
    }
    let settings = Settings {
        data_dir: config.storage.data_dir.clone(),
        durability: config.storage.durability,
        listen: config.listen.address,
        environment: config.environment.clone(),
        public_url: config.listen.public_url.clone(),
        key: config.calls.key.clone(),
        cors_origins: config.cors_origins.clone(),
        egress: config.calls.egress.clone(),
        dev: config.mode == Mode::Dev,
        faults,
    };
    Node::start(settings).await.map_err(|error| down(error.to_string()))
}

/// Somebody wants the process to stop.
pub(super) struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    /// Listens from now on.
    pub(super) fn listen() -> std::io::Result<Stops> {
        Ok(Stops { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Returns at the next one.
    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Runs until somebody wants it to stop, or until it cannot go on. Then it stops, whatever `beside` is doing, which runs as
/// long as the node does.
pub(super) async fn run(mut node: Node, mut stops: Stops, beside: impl Future<Output = ()>) -> Result<Exit> {
    let failure = tokio::select! {
        () = stops.next() => None,
        error = node.failed() => Some(error),
        () = async { beside.await; std::future::pending().await } => None,
    };
    match &failure {
        None => tracing::info!("stopping; a second signal ends it at once"),
        Some(error) => tracing::error!(%error, "the server cannot go on"),
    }
    tokio::select! {
        stopped = node.stop() => match (failure, stopped) {
            (Some(error), _) | (None, Err(error)) => Err(down(error.to_string())),
            (None, Ok(())) => Ok(Exit::Done),
        },
        () = stops.next() => {
            screen::note("stopped at once; everything that was acknowledged is on the disk");
            Ok(Exit::Interrupted)
        }
    }
}
