//! Where a payload of a batch goes: into its row, or from a bound on into `payloads`, once for all rows of the batch
//! that share its bytes.

use std::collections::HashMap;

use rusqlite::{Connection, params};

use super::error::sorted;
use super::plan::Place;
use super::sql;
use crate::model::Payload;
use crate::store::StoreError;

/// The large payloads of the batch that is being written.
pub(super) struct Payloads<'c> {
    connection: &'c Connection,
    uses: HashMap<Place, u32>,
    numbers: HashMap<Place, i64>,
}

impl<'c> Payloads<'c> {
    /// No batch yet.
    pub(super) fn new(connection: &'c Connection) -> Payloads<'c> {
        Payloads { connection, uses: HashMap::new(), numbers: HashMap::new() }
    }

    /// Starts a batch; `uses` says how many of its rows refer to each large payload.
    pub(super) fn begin(&mut self, uses: &HashMap<Place, u32>) {
        self.uses.clone_from(uses);
        self.numbers.clear();
    }

    /// The two columns of a payload: its bytes, or its number in `payloads`.
    pub(super) fn place<'p>(
        &mut self,
        payload: Option<&'p Payload>,
    ) -> Result<(Option<&'p [u8]>, Option<i64>), StoreError> {
        let Some(payload) = payload else { return Ok((None, None)) };
        let Some(place) = Place::of_large(payload) else { return Ok((Some(payload.bytes()), None)) };
        if let Some(number) = self.numbers.get(&place) {
            return Ok((None, Some(*number)));
        }
        let uses = self.uses.get(&place).copied().unwrap_or(1);
        let insert = self.connection.prepare_cached(sql::PAYLOAD_INSERT);
        insert.and_then(|mut insert| insert.execute(params![uses, &**payload.bytes()])).map_err(sorted)?;
        let number = self.connection.last_insert_rowid();
        self.numbers.insert(place, number);
        Ok((None, Some(number)))
    }
}
