//! `backstitch pause`: holds a run.

use anyhow::Result;
use clap::Args;

use super::Exit;
use super::acts::OnRun;

/// Hold a run until somebody resumes it. Its timers and waits go on.
#[derive(Debug, Args)]
pub(super) struct Pause {
    #[command(flatten)]
    on: OnRun,
}

impl Pause {
    pub(super) async fn execute(self) -> Result<Exit> {
        self.on
            .ask("pause", |now| {
                format!("{} is held: it is {}; let it go on with `backstitch resume {}`", now.id, now.status, now.id)
            })
            .await
    }
}
