//! The engine: a deterministic state machine over plain data.

mod command;

pub use command::{AcceptedEvent, Command, Decision, Explanation, Refusal, Reply, Start, Transition};
