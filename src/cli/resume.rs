//! `backstitch resume`: lifts a run's hold.

use anyhow::Result;
use clap::Args;

use super::Exit;
use super::acts::OnRun;

/// Let a held run go on, after its reason is gone.
#[derive(Debug, Args)]
pub(super) struct Resume {
    #[command(flatten)]
    on: OnRun,
}

impl Resume {
    pub(super) async fn execute(self) -> Result<Exit> {
        self.on.ask("resume", |now| format!("{} goes on: it is {}", now.id, now.status)).await
    }
}
