//! Checkpoints: what a handler reports while its invocation is open, and what it is told in turn.

use std::sync::Arc;

use super::{Entry, EntryId, HandlerOp, Payload, Span};

/// What a handler reports while its invocation is open.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    /// Numbers the checkpoints of an invocation that bring ops, from 1. One that was taken already is only answered.
    pub n: u32,
    /// The greatest `seq` that the handler knows.
    pub seen: u32,
    /// What it did: applied in order, atomically.
    pub ops: Vec<HandlerOp>,
}

/// What has become of a run since its handler last asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// What has settled since, by `seq`.
    pub settled: Vec<Told>,
    /// Steps that are to run again.
    pub retry: Vec<Retry>,
    /// The greatest `seq` that the handler has been told of before, by another reply perhaps that is on its way.
    pub told: u32,
    /// Why the handler should stop, if it should.
    pub stop: Option<Stop>,
}

/// One entry that a handler is told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The entry as it settled.
    pub entry: Arc<Entry>,
    /// Whether its outcome is exactly what this very checkpoint brought, so that nobody needs to be told.
    pub own: bool,
}

/// A step that is to run again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Which.
    pub id: EntryId,
    /// Which attempt is next, from 1.
    pub attempt: u32,
    /// How long to wait before.
    pub due_in: Span,
    /// The last failure as JSON.
    pub error: Option<Payload>,
    /// What the last heartbeat said, as JSON.
    pub details: Option<Payload>,
}

/// Why a handler that is at work should stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The invocation is not the run's current one any more: nothing of it counts from now on.
    Stale,
    /// The server is about to stop: the handler should answer as soon as no body runs.
    Drain,
}
