//! `backstitch move`: moves a run to another deployment of its app.

use anyhow::Result;
use clap::Args;
use reqwest::Method;

use super::client::Client;
use super::{Exit, screen, target};
use crate::api::StatusJson;
use crate::config::ClientFlags;

/// Move a run to another deployment of its app. If it is held because of what its old one is, it goes on.
#[derive(Debug, Args)]
pub(super) struct Move {
    /// The run: its id, or app/function/name.
    run: String,
    /// Where to: a deployment's id, or the app's newest.
    #[arg(long, value_name = "DEPLOYMENT", default_value = "current")]
    to: String,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

impl Move {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let run = target::run(&client, &self.run).await?;
        let body = serde_json::json!({ "to": self.to });
        let now: StatusJson = client.write(Method::POST, &["v1", "runs", &run.to_string(), "move"], &[], &body).await?;
        if self.json {
            screen::json(&now)?;
        } else {
            screen::line(format!("{} is moved: it is {}", now.id, now.status))?;
        }
        Ok(Exit::Done)
    }
}
