//! `backstitch cancel`: asks a run to stop.

use anyhow::Result;
use clap::Args;

use super::Exit;
use super::acts::OnRun;
use crate::api::StatusJson;

/// Ask a run to stop. Its handler is told and may put things right first.
#[derive(Debug, Args)]
pub(super) struct Cancel {
    #[command(flatten)]
    on: OnRun,
}

impl Cancel {
    pub(super) async fn execute(self) -> Result<Exit> {
        let tell = |now: &StatusJson| {
            let told =
                if now.status.is_terminal() { "" } else { "; its handler is told, and may put things right first" };
            format!("{} was asked to stop: it is {}{told}", now.id, now.status)
        };
        self.on.ask("cancel", tell).await
    }
}
