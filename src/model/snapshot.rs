//! What one invocation is made from: a run as it stood at one moment, shared with the engine, never copied.

use std::sync::Arc;

use super::{Entry, Payload, RunHead, Text, Token};

/// The content of one invocation. It leaves the house only after everything that it shows is durable.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The invocation's identity.
    pub token: Token,
    /// The run's row.
    pub head: Arc<RunHead>,
    /// Which try this is to get an answer without progress, from 1.
    pub attempt: u32,
    /// The greatest `seq` that an earlier invocation has come to.
    pub seen: u32,
    /// The whole journal by position; entry 0 is the input.
    pub entries: Vec<Arc<Entry>>,
    /// The state of its object as of its first invocation: one JSON object. Nothing for a function.
    pub state: Option<Payload>,
    /// How many messages its handler has published outside of steps' bodies, by the place in its code.
    pub published: Vec<(Text, u32)>,
}
