//! Invocations and discovery over real sockets, against peers that behave, misbehave and die.

mod answers;
mod discovery;
mod fetches;
mod guard;
mod requests;
mod world;
