//! The loop that owns a partition: mailbox, decide, commit, gate, actions.

mod handle;
mod watch;

pub use handle::{Declined, Processor};
pub use watch::{Watch, Watchers};
