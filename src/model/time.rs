//! Points in time, and the moment at which a decision is taken. Nothing here asks a clock: see `clock.rs`.

use serde::{Deserialize, Serialize};

use super::Span;

/// A point in time: milliseconds since the Unix epoch, UTC. On the wire it is RFC 3339 with milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Before everything: "now or being worked on" where a wake-up is meant.
    pub const ZERO: Timestamp = Timestamp(0);

    /// The point `span` later, saturating at the end of time.
    pub fn after(self, span: Span) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(span.0).unwrap_or(i64::MAX)))
    }

    /// How long from `earlier` to `self`; nothing when `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Span {
        Span(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

/// When a decision is taken, and the chance it may use. Time and chance enter the engine only through this value.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// The partition's time: never runs backwards.
    pub now: Timestamp,
    /// Entropy for ids and jitter of this one decision.
    pub seed: u128,
}
