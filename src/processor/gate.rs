//! The gate: write, then speak. Everything that leaves a partition passes here with the newest batch that its content
//! reflects, and leaves only when that batch is durable. There is no other way out.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::sync::oneshot;

use super::handle::Declined;
use crate::engine::Reply;
use crate::model::{Deployment, RunId, Snapshot};

/// Something that wants to leave.
pub(super) enum Outgoing {
    /// An answer to a caller.
    Reply(oneshot::Sender<Result<Reply, Declined>>, Result<Reply, Declined>),
    /// An invocation.
    Invoke(Box<Snapshot>, Arc<Deployment>),
}

/// What waits for batches to become durable, in their order.
#[derive(Default)]
pub(super) struct Gate {
    waiting: VecDeque<(u64, Outgoing)>,
    changed: VecDeque<(u64, RunId)>,
}

impl Gate {
    /// Holds something back until `batch` is durable.
    pub(super) fn hold(&mut self, batch: u64, outgoing: Outgoing) {
        let at = self.waiting.partition_point(|(other, _)| *other <= batch);
        self.waiting.insert(at, (batch, outgoing));
    }

    /// Remembers that a run changes in `batch`, for whoever follows it.
    pub(super) fn changed(&mut self, batch: u64, run: RunId) {
        if self.changed.back() != Some(&(batch, run)) {
            self.changed.push_back((batch, run));
        }
    }

    /// What may leave now that everything up to `batch` is durable.
    pub(super) fn open(&mut self, batch: u64) -> (Vec<Outgoing>, Vec<RunId>) {
        let leaving = self.waiting.partition_point(|(other, _)| *other <= batch);
        let changed = self.changed.partition_point(|(other, _)| *other <= batch);
        let outgoing = self.waiting.drain(..leaving).map(|(_, outgoing)| outgoing).collect();
        (outgoing, self.changed.drain(..changed).map(|(_, run)| run).collect())
    }

    /// Nothing of what waits will ever be durable: callers are told, invocations are not made.
    pub(super) fn abandon(&mut self, why: &Declined) {
        self.changed.clear();
        for (_, outgoing) in self.waiting.drain(..) {
            if let Outgoing::Reply(caller, _) = outgoing {
                // A caller that has gone away needs no answer.
                let _ = caller.send(Err(why.clone()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_leaves_before_its_batch() {
        let mut gate = Gate::default();
        let (early, mut early_answer) = oneshot::channel();
        let (late, mut late_answer) = oneshot::channel();
        gate.hold(2, Outgoing::Reply(late, Ok(Reply::Done)));
        gate.hold(1, Outgoing::Reply(early, Ok(Reply::Done)));
        gate.changed(2, RunId(7));
        let (outgoing, changed) = gate.open(1);
        assert_eq!((outgoing.len(), changed.len()), (1, 0));
        for item in outgoing {
            if let Outgoing::Reply(caller, answer) = item {
                caller.send(answer).expect("the caller waits");
            }
        }
        assert!(early_answer.try_recv().is_ok() && late_answer.try_recv().is_err());
        gate.abandon(&Declined::Unavailable("disk full".to_owned()));
        assert!(matches!(late_answer.try_recv(), Ok(Err(Declined::Unavailable(_)))));
        assert_eq!(gate.open(9).1, []);
    }
}
