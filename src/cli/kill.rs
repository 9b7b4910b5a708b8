//! `backstitch kill`: ends a run at once.

use anyhow::Result;
use clap::Args;

use super::Exit;
use super::acts::OnRun;

/// End a run at once, as cancelled: its handler is not asked, and nothing is compensated.
#[derive(Debug, Args)]
pub(super) struct Kill {
    #[command(flatten)]
    on: OnRun,
}

impl Kill {
    pub(super) async fn execute(self) -> Result<Exit> {
        self.on.ask("kill", |now| format!("{} was killed: it is {}", now.id, now.status)).await
    }
}
