//! What is asked of one run and answered with where it stands: the common part of `cancel`, `kill`, `pause`, `resume`.

use anyhow::Result;
use clap::Args;

use super::client::Client;
use super::{Exit, screen, target};
use crate::api::StatusJson;
use crate::config::ClientFlags;

/// Which run, and how to answer.
#[derive(Debug, Args)]
pub(super) struct OnRun {
    /// The run: its id, or app/function/name.
    run: String,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

impl OnRun {
    /// Asks, and tells people what came of it.
    pub(super) async fn ask(self, act: &str, tell: impl FnOnce(&StatusJson) -> String) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let run = target::run(&client, &self.run).await?;
        let now: StatusJson = client.act(&["v1", "runs", &run.to_string(), act]).await?;
        if self.json {
            screen::json(&now)?;
        } else {
            screen::line(tell(&now))?;
        }
        Ok(Exit::Done)
    }
}
