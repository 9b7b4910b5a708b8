//! What the loop does when the ledger fails: it drops what is not known to be durable, takes the partition again, and
//! begins from the tables. It never repeats a commit blindly.

use std::time::Duration;

use tokio::task::JoinSet;

use super::committing::Committing;
use super::fetching::Fetching;
use super::gate::Outgoing;
use super::handle::Declined;
use super::owner::{Filling, Halted, Owner};
use super::recovery::{self, Taken};
use crate::engine::Command;
use crate::limits::BATCH_COMMANDS_MAX;
use crate::store::StoreError;

impl Owner {
    /// One command's data was refused: from now on one command a commit, until the culprit is alone and known.
    pub(super) async fn refused_data(&mut self, detail: String) -> Result<(), Halted> {
        let alone = self.single > 0;
        let culprit = self.lone.take();
        tracing::error!(error = detail, alone, "the ledger refused a batch for its data");
        self.single = BATCH_COMMANDS_MAX * 2;
        self.reload(StoreError::Data(detail.clone())).await?;
        if let (true, Some(run)) = (alone, culprit) {
            self.follow(vec![Command::Quarantine { run, detail }]);
        }
        Ok(())
    }

    /// The batch may or may not be durable: taking the ownership again ends the doubt.
    pub(super) async fn resolve_unknown(&mut self, commit_no: u64, error: StoreError) -> Result<(), Halted> {
        tracing::warn!(error = %error, commit_no, "a commit's outcome is unknown; taking the partition again");
        let taken = self.take_again().await?;
        if taken.commit_no >= commit_no {
            self.durable = commit_no;
            let opened = self.gate.open(commit_no);
            for item in opened.outgoing {
                if let Outgoing::Reply(caller, answer) = item {
                    caller.tell(answer);
                }
            }
            self.watchers.notify(opened.changed.into_iter());
            self.ends.tell(opened.ended);
        }
        self.restart_from(taken, &error);
        Ok(())
    }

    /// Memory is not what the tables are: drop it and everything that came of it, and begin again from the tables.
    pub(super) async fn reload(&mut self, error: StoreError) -> Result<(), Halted> {
        tracing::warn!(error = %error, "the ledger failed; reloading the partition");
        let taken = self.take_again().await?;
        self.restart_from(taken, &error);
        Ok(())
    }

    /// Takes the partition again, for as long as it takes; whoever asks meanwhile is told to come back.
    async fn take_again(&mut self) -> Result<Taken, Halted> {
        let mut pause = Duration::from_millis(100);
        self.committing = Committing::default();
        let mut stop = self.parts.stop.clone();
        loop {
            let error = match recovery::take(&self.parts).await {
                Ok(taken) => return Ok(taken),
                Err(error @ (StoreError::Open(_) | StoreError::Fenced { .. })) => return Err(error.into()),
                Err(error) => error,
            };
            let declined = Declined::Unavailable(error.to_string());
            while let Ok(envelope) = self.outer.try_recv() {
                if let Some(caller) = envelope.reply {
                    caller.tell(Err(declined.clone()));
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(Duration::from_secs(5)),
                _ = stop.changed() => return Err(error.into()),
            }
        }
    }

    fn restart_from(&mut self, taken: Taken, error: &StoreError) {
        let declined = Declined::Unavailable(error.to_string());
        self.gate.abandon(&declined);
        for envelope in self.parking.abandon() {
            if let Some(caller) = envelope.reply {
                caller.tell(Err(declined.clone()));
            }
        }
        self.filling = Filling::default();
        self.committing = Committing::default();
        self.loads = JoinSet::new();
        self.scans = JoinSet::new();
        self.calls = JoinSet::new();
        self.fetching = Fetching::default();
        self.deferred_loads.clear();
        self.inner.clear();
        self.partition = taken.partition;
        self.epoch = taken.epoch;
        self.durable = taken.commit_no;
        self.horizon = taken.horizon;
        self.partition.begin_batch(self.durable + 1);
        self.follow(taken.commands);
    }
}
