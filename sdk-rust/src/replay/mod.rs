//! The replay core: a journal and a handler in, ops out.
//!
//! Knows no HTTP and no clock but the runtime's. Reading order: `ids` names entries, `state` knows what is created, settled
//! and delivered, `merge` takes in what the server says meanwhile, `frame` knows who is being polled, `call` is the future
//! of one entry, `link` has the requests that are under way while the handler runs, and `drive` lets a handler run until it
//! is quiet, delivers one outcome, and again. `delivery` is whose turn it is, `notes` what makes no entry that anybody waits
//! for, `undo` the handler that undoes what another did.
//!
//! Invariants: outcomes reach the handler strictly in the order of `seq`, one at a time, live as on replay; a body runs
//! only if its entry is unsettled and the server says *run*; an outcome is delivered only when it is durable.

pub(crate) mod call;
pub(crate) mod delivery;
pub(crate) mod drive;
pub(crate) mod frame;
pub(crate) mod ids;
pub(crate) mod link;
pub(crate) mod merge;
pub(crate) mod notes;
mod signal;
pub(crate) mod state;
pub(crate) mod undo;
pub(crate) mod voice;
