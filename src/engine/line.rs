//! A line of runs that wait for one key, as far as it is in memory: its head, and how many stand behind. A line costs disk;
//! what is here is exact up to its last run and counts the others.

use std::collections::BTreeMap;

use crate::model::RunId;

/// The head of a line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    first: BTreeMap<i64, RunId>,
    beyond: u64,
    page: usize,
}

impl Line {
    /// A line of so many runs, and the first of them, of which at most `page` are kept.
    pub(super) fn new(mut first: Vec<(i64, RunId)>, waiting: u64, page: usize) -> Line {
        first.truncate(page);
        let beyond = waiting.saturating_sub(first.len() as u64);
        Line { first: first.into_iter().collect(), beyond, page }
    }

    /// Whether it is known who is the first, or that nobody is.
    pub(super) fn is_known(&self) -> bool {
        !self.first.is_empty() || self.beyond == 0
    }

    /// Takes the first of those behind, when everybody known has gone. What is known already is newer and stays.
    pub(super) fn refill(&mut self, mut first: Vec<(i64, RunId)>) {
        if !self.is_known() {
            first.truncate(self.page);
            self.beyond = self.beyond.saturating_sub(first.len() as u64);
            self.first = first.into_iter().collect();
        }
    }

    /// A run comes, behind all others.
    pub(super) fn join(&mut self, order: i64, run: RunId) {
        if self.beyond == 0 && self.first.len() < self.page {
            self.first.insert(order, run);
        } else {
            self.beyond += 1;
        }
    }

    /// A run goes, from wherever it stands.
    pub(super) fn leave(&mut self, order: i64) {
        if self.first.remove(&order).is_none() {
            self.beyond = self.beyond.saturating_sub(1);
        }
    }

    /// Who is next.
    pub(super) fn first(&self) -> Option<RunId> {
        self.first.first_key_value().map(|(_, run)| *run)
    }

    /// The place of a run from 1, if it is known.
    pub(super) fn place(&self, order: i64) -> Option<u64> {
        self.first.contains_key(&order).then(|| self.first.range(..=order).count() as u64)
    }

    /// Those who are known, in order.
    pub(super) fn known(&self) -> Vec<(i64, RunId)> {
        self.first.iter().map(|(order, run)| (*order, *run)).collect()
    }
}
