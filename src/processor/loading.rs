//! Bringing keys into memory: loads run beside the loop, and commands that need them are parked.

use tokio::task::JoinError;

use super::handle::Declined;
use super::owner::{Halted, Owner};
use crate::model::{Key, Loaded};
use crate::store::StoreError;

/// What one load brought, or which keys it could not bring.
pub(super) type Load = Result<Vec<(Key, Loaded)>, (Vec<Key>, StoreError)>;

impl Owner {
    /// Asks the tables for what a decision needs and is not being loaded already.
    pub(super) fn load(&mut self, keys: &[Key]) {
        let wanted = self.partition.want(keys);
        if wanted.is_empty() {
            return;
        }
        // A page of events must contain everything that was decided before it was asked for, and so must more of a line.
        let pages = |key: &Key| matches!(key, Key::Events { .. } | Key::Line(_));
        let (pages, keys): (Vec<Key>, Vec<Key>) = wanted.into_iter().partition(pages);
        if !pages.is_empty() {
            self.deferred_loads.push((self.newest(), pages));
            self.start_deferred_loads();
        }
        self.start_load(keys);
    }

    pub(super) fn start_load(&mut self, keys: Vec<Key>) {
        if keys.is_empty() {
            return;
        }
        let (store, partition) = (self.parts.store.clone(), self.parts.partition);
        self.loads.spawn(async move {
            match store.load(partition, keys.clone()).await.and_then(sound) {
                Ok(loaded) => Ok(keys.into_iter().zip(loaded).collect()),
                Err(error) => Err((keys, error)),
            }
        });
    }

    pub(super) fn start_deferred_loads(&mut self) {
        let durable = self.durable;
        let (now, later) =
            std::mem::take(&mut self.deferred_loads).into_iter().partition(|(batch, _)| *batch <= durable);
        self.deferred_loads = later;
        let ready: Vec<(u64, Vec<Key>)> = now;
        for (_, keys) in ready {
            self.start_load(keys);
        }
    }

    /// Keys came from the tables: whoever waits only for them is decided again.
    pub(super) async fn loaded(&mut self, loaded: Result<Load, JoinError>) -> Result<(), Halted> {
        match loaded {
            Ok(Ok(loaded)) => {
                let keys: Vec<Key> = loaded.iter().map(|(key, _)| key.clone()).collect();
                for (key, loaded) in loaded {
                    self.partition.install(key, loaded);
                }
                for envelope in self.parking.release(&keys) {
                    self.decide(envelope)?;
                }
                Ok(())
            }
            // One of them cannot be read: the others must not suffer for it.
            Ok(Err((mut keys, StoreError::Corrupt(_)))) if keys.len() > 1 => {
                let rest = keys.split_off(keys.len() / 2);
                self.start_load(keys);
                self.start_load(rest);
                Ok(())
            }
            Ok(Err((keys, error @ StoreError::Corrupt(_)))) => {
                tracing::error!(error = %error, keys = ?keys, "what the tables hold cannot be read; what needs it is refused");
                for key in &keys {
                    self.partition.unwant(key);
                }
                for envelope in self.parking.release(&keys) {
                    self.say(envelope, Err(Declined::Unavailable(error.to_string())));
                }
                Ok(())
            }
            Ok(Err((_, error))) => self.reload(error).await,
            Err(panic) => self.reload(StoreError::Unavailable(panic.to_string())).await,
        }
    }
}

/// Refuses runs that could not have been written: deciding on them would panic.
fn sound(loaded: Vec<Loaded>) -> Result<Vec<Loaded>, StoreError> {
    for loaded in &loaded {
        if let Loaded::Run(Some(run)) = loaded
            && let Some(flaw) = run.flaw()
        {
            return Err(StoreError::Corrupt(format!(
                "the run {} cannot be read: {flaw}; restore the data directory from a backup",
                run.head.id
            )));
        }
    }
    Ok(loaded)
}
