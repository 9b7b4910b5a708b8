//! `backstitch start`: a server where it matters.

use anyhow::Result;
use clap::Args;

use super::serve::{self, Announcement, Stops};
use super::style::{BOLD, DIM, styled};
use super::{Exit, screen};
use crate::config::{Mode, Server, ServerFlags};

/// Run a server.
#[derive(Debug, Args)]
#[command(after_help = "Example: BACKSTITCH_KEY=bsk_… backstitch start --data-dir /var/lib/backstitch")]
pub(super) struct Start {
    /// Print where it listens as a JSON object on the first line.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Start {
    pub(super) async fn execute(self) -> Result<Exit> {
        let config = Server::load(self.flags, Mode::Start)?;
        // Before the node, so that a signal that comes while it starts is not lost.
        let stops = Stops::listen()?;
        let node = serve::open(&config).await?;
        if self.json {
            screen::json(&Announcement::of(&node, &config))?;
        } else {
            let dir = config.storage.data_dir.display();
            let about = format!("environment {}, data in {dir}", config.environment);
            screen::line(format!(
                "backstitch {} listens on {}  {}",
                env!("CARGO_PKG_VERSION"),
                styled(BOLD, node.url()),
                styled(DIM, about)
            ))?;
        }
        serve::run(node, stops, std::future::pending()).await
    }
}
