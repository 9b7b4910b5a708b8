//! What this process has fetched of journals that do not fit into a request: the next invocation of such a run fetches only
//! what has settled since. Settled entries never change, so nothing kept here is ever old. It keeps a bounded number of bytes,
//! and lets go of the run that has not been seen for longest.

use std::collections::HashMap;

use crate::wire::{Entry, EntryState};

/// Bytes of pages that are kept, by a process for all its runs.
const BYTES_MAX: usize = 32 * 1024 * 1024;

/// The journals that one process keeps, by run.
pub(super) struct KeptJournals {
    runs: HashMap<String, Kept>,
    bytes: usize,
    bytes_max: usize,
    /// Counts the looks, so that the run is known that was seen least lately.
    looks: u64,
}

/// The oldest entries of one run's journal.
#[derive(Clone, Default)]
pub(super) struct Kept {
    /// Every settled entry up to `until`, by `seq`.
    pub(super) entries: Vec<Entry>,
    pub(super) until: u64,
    /// Bytes of the pages that they came in, which they hold in memory.
    pub(super) bytes: usize,
    seen: u64,
}

impl Default for KeptJournals {
    fn default() -> KeptJournals {
        KeptJournals { runs: HashMap::new(), bytes: 0, bytes_max: BYTES_MAX, looks: 0 }
    }
}

impl KeptJournals {
    /// What is kept of a run, or nothing of it. It counts as seen.
    pub(super) fn get(&mut self, key: &str) -> Kept {
        self.looks += 1;
        let Some(kept) = self.runs.get_mut(key) else { return Kept::default() };
        kept.seen = self.looks;
        kept.clone()
    }

    /// Keeps this in the place of what was there. What alone is too much is not kept.
    pub(super) fn put(&mut self, key: String, kept: Kept) {
        self.looks += 1;
        self.forget(&key);
        if kept.bytes > self.bytes_max {
            return;
        }
        self.bytes += kept.bytes;
        self.runs.insert(key, Kept { seen: self.looks, ..kept });
        while self.bytes > self.bytes_max
            && let Some((oldest, _)) = self.runs.iter().min_by_key(|(_, kept)| kept.seen)
        {
            let oldest = oldest.clone();
            self.forget(&oldest);
        }
    }

    fn forget(&mut self, key: &str) {
        self.bytes -= self.runs.remove(key).map_or(0, |kept| kept.bytes);
    }
}

impl Kept {
    /// With a page that follows on it in time, and perhaps overlaps.
    pub(super) fn and(mut self, later: Vec<Entry>, until: u64, bytes: usize) -> Kept {
        let from = self.until;
        self.entries.extend(later.into_iter().filter(|entry| seq(entry) > from));
        Kept { until: self.until.max(until), bytes: self.bytes + bytes, ..self }
    }

    /// Its entries before this `seq`.
    pub(super) fn before(mut self, end: u64) -> Vec<Entry> {
        self.entries.retain(|entry| seq(entry) < end);
        self.entries
    }
}

fn seq(entry: &Entry) -> u64 {
    match entry.state {
        EntryState::Settled { seq, .. } => seq,
        // No page has such an entry.
        EntryState::Pending | EntryState::Run(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: usize) -> Kept {
        Kept { bytes, until: 1, ..Kept::default() }
    }

    #[test]
    fn so_much_is_kept_and_no_more_of_the_runs_that_were_seen_last() {
        let mut kept = KeptJournals { bytes_max: 10, ..KeptJournals::default() };
        kept.put("a".to_owned(), of(4));
        kept.put("b".to_owned(), of(4));
        assert_eq!(kept.get("a").until, 1);
        kept.put("c".to_owned(), of(4));
        assert_eq!(["a", "b", "c"].map(|key| kept.get(key).bytes), [4, 0, 4]);
        kept.put("a".to_owned(), of(11));
        assert_eq!(
            ["a", "c"].map(|key| kept.get(key).bytes),
            [0, 4],
            "what is too much takes nothing away from others"
        );
        kept.put("c".to_owned(), of(6));
        kept.put("d".to_owned(), of(4));
        assert_eq!(["c", "d"].map(|key| kept.get(key).bytes), [6, 4], "what was replaced does not count");
    }
}
