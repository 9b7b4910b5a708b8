//! What a batch comes to: several after-images of one run or entry become one row, and payloads that go into their own
//! table are counted, so that bytes shared by an event and its runs are written once. Nothing here touches the database.

use std::collections::HashMap;
use std::collections::hash_map;
use std::hash::Hash;

use crate::limits::PAYLOAD_INLINE_BYTES_MAX;
use crate::model::{Batch, Change, Entry, Outcome, Payload, RunHead};
use crate::store::StoreError;

/// How an image gets into its table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Write {
    /// A new row.
    Insert,
    /// An existing row is replaced.
    Update,
}

/// The last image of one row.
#[derive(Debug)]
pub(super) struct Image<'a, T> {
    /// How it is written.
    pub(super) write: Write,
    /// What is written.
    pub(super) row: &'a T,
}

/// Where a payload's bytes lie in memory: clones of one payload share them as long as the batch lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Place(usize, usize);

impl Place {
    /// The place of a payload that is too large for a row.
    pub(super) fn of_large(payload: &Payload) -> Option<Place> {
        let bytes = payload.bytes();
        (bytes.len() >= PAYLOAD_INLINE_BYTES_MAX).then_some(Place(bytes.as_ptr() as usize, bytes.len()))
    }
}

/// A batch, sorted by table.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Runs in the order of their first change.
    pub(super) runs: Vec<Image<'a, RunHead>>,
    /// Entries in the order of their first change.
    pub(super) entries: Vec<Image<'a, Entry>>,
    /// All other changes in their order.
    pub(super) others: Vec<&'a Change>,
    /// How many rows refer to each large payload.
    pub(super) uses: HashMap<Place, u32>,
    /// The greatest run number that is created; 0 when none is.
    pub(super) run_no: i64,
    /// The greatest event number that is accepted; 0 when none is.
    pub(super) event_seq: i64,
    /// The greatest number of a message; 0 when there is none.
    pub(super) message_no: i64,
}

/// Of a run that has ended, what is left to do after it may still come to its end; nothing else.
fn may_follow(old: &RunHead, new: &RunHead) -> bool {
    let finished = || RunHead { wake_at: old.wake_at, ..new.clone() } == *old;
    old.id == new.id && (!old.status.is_terminal() || finished())
}

impl<'a> Plan<'a> {
    /// Sorts a batch. Refuses changes that follow the last possible one of a row.
    pub(super) fn of(batch: &'a Batch) -> Result<Plan<'a>, StoreError> {
        let mut runs = Images::new();
        let mut entries = Images::new();
        let mut plan = Plan {
            runs: Vec::new(),
            entries: Vec::new(),
            others: Vec::new(),
            uses: HashMap::new(),
            run_no: 0,
            event_seq: 0,
            message_no: 0,
        };
        for change in &batch.changes {
            match change {
                Change::RunCreated(head) => {
                    plan.run_no = plan.run_no.max(head.run_no);
                    runs.insert(head.run_no, head)?;
                }
                Change::RunChanged(head) => {
                    runs.update(head.run_no, head, |old| may_follow(old, head))?;
                }
                Change::EntryAdded(entry) => entries.insert((entry.run_no, entry.idx), entry)?,
                Change::EntryChanged(entry) => {
                    entries.update((entry.run_no, entry.idx), entry, |old| !old.is_settled())?;
                }
                other => plan.other(other),
            }
        }
        plan.runs = runs.rows;
        plan.entries = entries.rows;
        plan.count_entries();
        Ok(plan)
    }

    fn other(&mut self, change: &'a Change) {
        match change {
            Change::EventAdded(event) => {
                self.event_seq = self.event_seq.max(event.seq);
                self.count(&event.data);
            }
            Change::MessagesAdded(messages) | Change::MessagesCut(messages) => {
                self.message_no = self.message_no.max(messages.no);
            }
            Change::AttemptAdded(attempt) => self.count(&attempt.error),
            Change::SignalAdded(signal) => self.count_outcome(&signal.settle),
            Change::SignalChanged(signal) => signal.reply.iter().for_each(|reply| self.count_outcome(reply)),
            _ => {}
        }
        self.others.push(change);
    }

    fn count_entries(&mut self) {
        for at in 0..self.entries.len() {
            let (write, row) = (self.entries[at].write, self.entries[at].row);
            if write == Write::Insert {
                self.count(&row.params);
            }
            if let Some(outcome) = &row.outcome {
                self.count_outcome(outcome);
            }
        }
    }

    fn count_outcome(&mut self, outcome: &Outcome) {
        if let Some(payload) = outcome.payload() {
            self.count(payload);
        }
    }

    fn count(&mut self, payload: &Payload) {
        if let Some(place) = Place::of_large(payload) {
            *self.uses.entry(place).or_default() += 1;
        }
    }
}

/// The last images of one table's rows.
struct Images<'a, K, T> {
    rows: Vec<Image<'a, T>>,
    places: HashMap<K, usize>,
}

impl<'a, K: Copy + Eq + Hash + std::fmt::Debug, T> Images<'a, K, T> {
    fn new() -> Images<'a, K, T> {
        Images { rows: Vec::new(), places: HashMap::new() }
    }

    fn insert(&mut self, key: K, row: &'a T) -> Result<(), StoreError> {
        match self.places.entry(key) {
            hash_map::Entry::Occupied(_) => Err(StoreError::Data(format!("the row {key:?} is created twice"))),
            hash_map::Entry::Vacant(place) => {
                place.insert(self.rows.len());
                self.rows.push(Image { write: Write::Insert, row });
                Ok(())
            }
        }
    }

    fn update(&mut self, key: K, row: &'a T, may_change: impl Fn(&T) -> bool) -> Result<(), StoreError> {
        match self.places.entry(key) {
            hash_map::Entry::Occupied(place) => {
                let image = &mut self.rows[*place.get()];
                if !may_change(image.row) {
                    return Err(StoreError::Data(format!("the row {key:?} is final or another one; it cannot change")));
                }
                image.row = row;
            }
            hash_map::Entry::Vacant(place) => {
                place.insert(self.rows.len());
                self.rows.push(Image { write: Write::Update, row });
            }
        }
        Ok(())
    }
}
