//! Events: named, immutable JSON facts, and the verdicts on what they did not start.

use super::{EventId, Payload, Text, Timestamp};

/// Names of the events that the server sends of itself begin so; nobody else's may.
pub const OWN_EVENTS: &str = "backstitch/";

/// An accepted event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Ordinal of acceptance in the partition, from 1.
    pub seq: i64,
    /// Its id.
    pub id: EventId,
    /// Its name, such as `order/created`.
    pub name: Text,
    /// Its data.
    pub data: Payload,
    /// When it was accepted.
    pub at: Timestamp,
    /// The id its sender gave it, by which repeats are recognised.
    pub client_id: Option<Text>,
    /// The run that sent it, if one did.
    pub source: Option<super::RunId>,
}

/// Why an accepted event started no run of a function that it triggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The trigger's filter said no.
    Filtered,
    /// The trigger's filter could not be evaluated on this event.
    FilterFailed(String),
}

impl Verdict {
    /// The word in SQL and on the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Filtered => "filtered",
            Verdict::FilterFailed(_) => "filterFailed",
        }
    }

    /// What else there is to say, for people.
    pub fn detail(&self) -> Option<&str> {
        match self {
            Verdict::Filtered => None,
            Verdict::FilterFailed(detail) => Some(detail),
        }
    }
}
