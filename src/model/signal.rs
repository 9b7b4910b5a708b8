//! Signals that came before anything waited for them, kept in order with their run until a wait consumes them; and
//! updates, which are signals whose sender waits for a reply and which are kept until their run is gone.

use super::{Failure, Outcome, RunStatus, Text, Timestamp, names};

/// What a signal settles its wait with: a value, or (awakeables only) a failure.
pub type Settle = Outcome;

/// What the signal names of updates start with. Names that people choose cannot: `$` is reserved.
pub const UPDATE: &str = "$update/";

/// An early signal, or an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signal {
    /// The run's integer key.
    pub run_no: i64,
    /// Order of arrival in the run, from 0.
    pub order: u32,
    /// The signal's name; for an awakeable `$awakeable/` and the entry's id, for an update `$update/` and its name.
    pub name: Text,
    /// The id its sender gave it, by which repeats are recognised. An update always has one.
    pub id: Option<Text>,
    /// What the wait that consumes it settles with; for an update `{"id", "data"}`.
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

impl Signal {
    /// Whether something about it is still to come: a wait that consumes it, or the reply.
    pub fn is_open(&self) -> bool {
        if self.wants_reply { self.reply.is_none() } else { self.consumed_by.is_none() }
    }
}

/// What the sender of an update is told, if it can be told anything yet: a run that ends leaves no update unanswered.
pub fn update_outcome(run: RunStatus, reply: Option<Settle>) -> Option<Settle> {
    reply.or_else(|| {
        let message = format!("the run is {run} and has not replied to the update");
        run.is_terminal().then(|| Outcome::Err(Failure::new(names::RUN_ENDED, message).payload()))
    })
}
