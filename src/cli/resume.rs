//! `backstitch resume`: lifts a run's hold.

use anyhow::Result;
use clap::Args;

use super::client::Client;
use super::{Exit, screen, target};
use crate::api::StatusJson;
use crate::config::ClientFlags;

/// Let a held run go on, after its reason is gone.
#[derive(Debug, Args)]
pub(super) struct Resume {
    /// The run: its id, or app/function/name.
    run: String,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

impl Resume {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let run = target::run(&client, &self.run).await?;
        let now: StatusJson = client.act(&["v1", "runs", &run.to_string(), "resume"]).await?;
        if self.json {
            screen::json(&now)?;
        } else {
            screen::line(format!("{} goes on: it is {}", now.id, now.status))?;
        }
        Ok(Exit::Done)
    }
}
