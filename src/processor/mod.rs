//! The loop that owns a partition: bounded mailbox, decide, commit, gate, actions; timers; recovery. It owns the order
//! of things and nothing else: what happens is the engine's, what is durable the store's, who is called dispatch's.

mod committing;
mod drain;
mod ends;
mod failure;
mod fetching;
mod gate;
mod handle;
mod loading;
mod owner;
mod parking;
mod recovery;
mod watch;

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use ends::{End, EndWatch, Ends};
pub use handle::{Declined, Processor};
pub use owner::{Halted, Parts};
pub use watch::{Changes, Followed, Watch, WatchAll, Watchers};

use crate::limits::{OUTER_QUEUE_MAX, REPORTS_QUEUE_MAX};
use crate::store::StoreError;

/// Takes a partition, recovers it, and starts its loop. The loop ends when `parts.stop` turns true, or with the reason
/// why the partition cannot go on.
pub async fn open(parts: Parts) -> Result<(Processor, JoinHandle<Result<(), Halted>>), StoreError> {
    let taken = recovery::take(&parts).await?;
    let (outer, mailbox) = mpsc::channel(OUTER_QUEUE_MAX);
    let (reports, inner) = mpsc::channel(REPORTS_QUEUE_MAX);
    let (watchers, ends) = (Arc::new(Watchers::default()), Arc::new(Ends::default()));
    let owner = owner::Owner::new(parts, (inner, mailbox), watchers.clone(), ends.clone(), taken);
    let task = tokio::spawn(owner.run());
    Ok((Processor { outer, reports, watchers, ends }, task))
}
