//! `backstitch explain`: the one reason why a run does not move.

use anyhow::Result;
use clap::Args;

use super::client::Client;
use super::run::tree::failure_line;
use super::style::{DIM, styled};
use super::{Exit, screen, target};
use crate::api::ExplanationJson;
use crate::api::view::RunJson;
use crate::config::ClientFlags;
use crate::model::{HoldKind, RunId};

/// Say why a run does not move.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The run: its id, or app/function/name.
    run: String,
    /// Print the API's answer.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: ClientFlags,
}

/// Whether a run stays on the deployment that it began with, whose code is never another.
async fn is_pinned(client: &Client, run: RunId) -> Result<bool> {
    let run: RunJson = client.read(&["v1", "runs", &run.to_string()], &[]).await?;
    Ok(run.deployment.is_some())
}

impl Explain {
    pub(super) async fn execute(self) -> Result<Exit> {
        let client = Client::new(self.flags)?;
        let run = target::run(&client, &self.run).await?;
        let why: ExplanationJson = client.read(&["v1", "runs", &run.to_string(), "explain"], &[]).await?;
        if self.json {
            screen::json(&why)?;
            return Ok(Exit::Done);
        }
        screen::line(screen::plain(&why.sentence, 2_000))?;
        if let Some(error) = &why.error {
            screen::line(format!("  last failure: {}", failure_line(error)))?;
        }
        if let Some(hold) = &why.hold {
            let act = if hold.kind == HoldKind::Mismatch && is_pinned(&client, run).await? { "move" } else { "resume" };
            screen::line(styled(DIM, format!("  when that is put right: backstitch {act} {run}")))?;
        }
        Ok(Exit::Done)
    }
}
