//! The SDK from outside: its surface, its HTTP side, its conformance.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on should stop")]

mod conformance;
mod handlers;
mod macros;
mod serve;
mod support;
mod testing;
