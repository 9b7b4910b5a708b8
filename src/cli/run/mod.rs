//! `backstitch run`: shows one run as a tree of its entries, once or while it moves; or what it publishes.

mod branches;
mod messages;
pub(super) mod result;
mod stream;
pub(super) mod tree;
mod watch;

use anyhow::Result;
use clap::Args;

use super::client::Client;
use super::{Exit, screen, target};
use crate::api::view::{JournalJson, RunJson};
use crate::clock::{Clock as _, SystemClock};
use crate::config::ClientFlags;
use crate::model::RunStatus;

/// Show a run with its journal.
#[derive(Debug, Args)]
#[command(after_help = "Example: backstitch run run_01… --watch")]
pub(super) struct Run {
    /// The run: its id, or app/function/name.
    run: String,
    /// Follow it until it ends. The exit code says how it ended.
    #[arg(long, short)]
    watch: bool,
    /// Print what it publishes, as it comes, until it ends: the tokens of a model, how far an import is.
    #[arg(long, short, conflicts_with = "watch")]
    stream: bool,
    /// With --stream: of these topics only, separated by commas.
    #[arg(long, requires = "stream")]
    topics: Option<String>,
    /// Print the journal as the API shows it; with --watch, each change on a line; with --stream, each event.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

impl Run {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let id = target::run(&client, &self.run).await?;
        if self.watch {
            return watch::follow(&client, id, self.json).await;
        }
        if self.stream {
            return stream::follow(&client, id, self.topics.as_deref(), self.json).await;
        }
        let mut journal: JournalJson = client.read(&["v1", "runs", &id.to_string(), "journal"], &[]).await?;
        if self.json {
            screen::json(&journal)?;
            return Ok(Exit::Done);
        }
        // The journal's own run is without input and outcome.
        journal.run = client.read::<RunJson>(&["v1", "runs", &id.to_string()], &[]).await?;
        let now = SystemClock::new().wall();
        let mut lines = tree::lines(&journal.run, &journal.entries, now);
        let top = tree::top(&journal.run, now).len();
        lines.splice(top..top, tree::invocations(&journal));
        lines.iter().try_for_each(screen::line)?;
        Ok(Exit::Done)
    }
}

/// The way out that says how a run ended.
pub(super) fn exit_of(status: RunStatus) -> Exit {
    match status {
        RunStatus::Completed | RunStatus::Continued => Exit::Done,
        RunStatus::Failed | RunStatus::Cancelled => Exit::No,
        _ => Exit::Pending,
    }
}
