//! A stand-in for a payment provider: a ledger in a file that knows every request by its key, as real providers do. A
//! request that comes twice under one key moves money once and gets the same answer twice.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A line of the ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Booking {
    pub id: String,
    pub key: String,
    /// Negative where money goes back.
    pub cents: i64,
}

/// A ledger in a file.
#[derive(Clone)]
pub struct Ledger(PathBuf);

impl Ledger {
    /// The ledger of this file, which need not be there yet.
    pub fn at(file: impl Into<PathBuf>) -> Ledger {
        Ledger(file.into())
    }

    /// Takes money.
    pub(crate) async fn charge(&self, key: String, cents: i64) -> io::Result<Booking> {
        self.book("ch", key, cents)
    }

    /// Gives back what a charge took.
    pub(crate) async fn refund(&self, key: String, charge: &Booking) -> io::Result<Booking> {
        self.book("re", key, -charge.cents)
    }

    /// What has been booked, oldest first.
    pub fn bookings(&self) -> io::Result<Vec<Booking>> {
        match std::fs::read_to_string(&self.0) {
            Ok(text) => text.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    fn book(&self, kind: &str, key: String, cents: i64) -> io::Result<Booking> {
        let known = self.bookings()?;
        if let Some(booking) = known.iter().find(|booking| booking.key == key) {
            return Ok(booking.clone());
        }
        let booking = Booking { id: format!("{kind}_{}", known.len() + 1), key, cents };
        let mut file = OpenOptions::new().create(true).append(true).open(&self.0)?;
        writeln!(file, "{}", serde_json::to_string(&booking)?)?;
        file.sync_all()?;
        Ok(booking)
    }
}
