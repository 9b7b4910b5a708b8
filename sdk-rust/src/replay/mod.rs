//! The replay core: a journal and a handler in, ops out.
//!
//! Pure but for the user's own code: no I/O, no clock of its own, no knowledge of HTTP. Reading order: `ids` names
//! entries, `state` knows what is created, settled and delivered, `frame` knows who is being polled, `call` is the future
//! of one entry, and `drive` lets a handler run until it is quiet, delivers one outcome, and again.
//!
//! Invariants: outcomes reach the handler strictly in the order of `seq`, one at a time, live as on replay; a body runs
//! only if its entry is unsettled and the server says *run*; an outcome of this invocation is not delivered in it.

pub(crate) mod call;
pub(crate) mod drive;
pub(crate) mod frame;
pub(crate) mod ids;
pub(crate) mod state;
