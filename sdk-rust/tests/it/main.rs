//! The SDK from outside: its surface, its HTTP side, its conformance.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod checkpoints;
#[cfg(feature = "client")]
mod client;
mod conformance;
mod disturbed;
mod guides;
mod handlers;
mod primitives;
mod publish;
mod reborn;
mod serve;
mod support;
mod testing;
