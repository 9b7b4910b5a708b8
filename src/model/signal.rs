//! Signals that came before anything waited for them: kept in order with their run until a wait consumes them.

use super::{Outcome, Text, Timestamp};

/// What a signal settles its wait with: a value, or (awakeables only) a failure.
pub type Settle = Outcome;

/// An early signal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The run's integer key.
    pub run_no: i64,
    /// Order of arrival in the run, from 0.
    pub order: u32,
    /// The signal's name; for an awakeable `$awakeable/` and the entry's id.
    pub name: Text,
    /// The id its sender gave it, by which repeats are recognised.
    pub id: Option<Text>,
    /// What the wait that consumes it settles with.
    pub settle: Settle,
    /// When it was accepted.
    pub at: Timestamp,
    /// The entry that consumed it.
    pub consumed_by: Option<u32>,
    /// Whether it is an update: its sender waits for a reply.
    pub wants_reply: bool,
    /// What the handler replied.
    pub reply: Option<Settle>,
}
