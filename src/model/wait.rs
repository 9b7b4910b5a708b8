//! Open waits for events, and the index under which an event finds them.

use super::{Payload, RunId, Text};

/// Where an event looks for waits: its name, a path into it, and the value there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitIndex {
    /// The event's name.
    pub event: Text,
    /// The path after `async.`, such as `data.orderId`; empty for a wait without an equality to look up by.
    pub path: Text,
    /// A digest of the value at the path; 0 for the empty path.
    pub value: i64,
}

/// One open wait for an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// The waiting run.
    pub run: RunId,
    /// The waiting run's integer key.
    pub run_no: i64,
    /// The position of its waitEvent entry.
    pub idx: u32,
    /// Where events find it.
    pub index: WaitIndex,
    /// Only events with a greater number match.
    pub after_seq: i64,
    /// While older events are still being looked through: all up to this number have been.
    pub scanned_to: Option<i64>,
    /// The older events to look through end here.
    pub scan_end: i64,
    /// The filter as JSON, or nothing when every event of the name matches.
    pub filter: Option<Payload>,
}
