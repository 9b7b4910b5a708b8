//! `backstitch cancel`: asks a run to stop.

use anyhow::Result;
use clap::Args;

use super::client::Client;
use super::{Exit, screen, target};
use crate::api::StatusJson;
use crate::config::ClientFlags;

/// Ask a run to stop. Its handler is told and may put things right first.
#[derive(Debug, Args)]
pub(super) struct Cancel {
    /// The run: its id, or app/function/name.
    run: String,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

impl Cancel {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let run = target::run(&client, &self.run).await?;
        let now: StatusJson = client.act(&["v1", "runs", &run.to_string(), "cancel"]).await?;
        if self.json {
            screen::json(&now)?;
        } else {
            let told =
                if now.status.is_terminal() { "" } else { "; its handler is told, and may put things right first" };
            screen::line(format!("{} was asked to stop: it is {}{told}", now.id, now.status))?;
        }
        Ok(Exit::Done)
    }
}
