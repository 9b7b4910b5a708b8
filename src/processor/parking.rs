//! Commands that wait for keys to be loaded: each is decided again, in its order, once all its keys are resident.

use std::collections::{BTreeMap, BTreeSet};

use super::handle::Envelope;
use crate::model::Key;

/// Parked commands by order of arrival.
#[derive(Default)]
pub(super) struct Parking {
    next: u64,
    parked: BTreeMap<u64, (Envelope, BTreeSet<Key>)>,
    waiting: BTreeMap<Key, BTreeSet<u64>>,
}

impl Parking {
    /// How many commands wait.
    pub(super) fn len(&self) -> usize {
        self.parked.len()
    }

    /// Puts a command aside until all these keys are resident.
    pub(super) fn park(&mut self, envelope: Envelope, keys: Vec<Key>) {
        self.next += 1;
        for key in &keys {
            self.waiting.entry(key.clone()).or_default().insert(self.next);
        }
        self.parked.insert(self.next, (envelope, keys.into_iter().collect()));
    }

    /// Keys became resident: the commands that wait for nothing any more, in their order.
    pub(super) fn release(&mut self, keys: &[Key]) -> Vec<Envelope> {
        let mut free = BTreeSet::new();
        for key in keys {
            for id in self.waiting.remove(key).unwrap_or_default() {
                if let Some((_, missing)) = self.parked.get_mut(&id) {
                    missing.remove(key);
                    if missing.is_empty() {
                        free.insert(id);
                    }
                }
            }
        }
        free.into_iter().filter_map(|id| self.parked.remove(&id)).map(|(envelope, _)| envelope).collect()
    }

    /// Everything that waits, in order: nothing will be loaded for it.
    pub(super) fn abandon(&mut self) -> Vec<Envelope> {
        self.waiting.clear();
        std::mem::take(&mut self.parked).into_values().map(|(envelope, _)| envelope).collect()
    }
}
