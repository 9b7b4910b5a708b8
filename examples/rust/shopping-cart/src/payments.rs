//! A stand-in for a payment provider that knows its requests by their keys, as real ones do: the same key pays once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use backstitch::Error;

/// What was charged, by the keys of the requests.
#[derive(Clone, Default)]
pub struct Payments(Arc<Mutex<BTreeMap<String, u64>>>);

impl Payments {
    /// Takes money; gives the charge's id.
    pub(crate) async fn charge(&self, key: String, cents: u64) -> Result<String, Error> {
        let id = format!("ch_{key}");
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_insert(cents);
        Ok(id)
    }

    /// What was taken in all.
    pub fn taken(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }
}
