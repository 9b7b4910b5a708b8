//! The gate: write, then speak. Everything that leaves a partition passes here with the newest batch that its content
//! reflects, and leaves only when that batch is durable. There is no other way out.

use std::collections::VecDeque;
use std::sync::Arc;

use super::ends::End;
use super::handle::{Caller, Declined};
use super::watch::Followed;
use crate::engine::Reply;
use crate::model::{Deployment, FetchCall, Snapshot};

/// Something that wants to leave.
pub(super) enum Outgoing {
    /// An answer to a caller.
    Reply(Caller, Result<Reply, Declined>),
    /// An invocation.
    Invoke(Box<Snapshot>, Arc<Deployment>),
    /// An HTTP call for a run.
    Fetch(FetchCall),
}

/// What waits for batches to become durable, in their order.
#[derive(Default)]
pub(super) struct Gate {
    waiting: VecDeque<(u64, Outgoing)>,
    changed: VecDeque<(u64, Followed)>,
    ended: VecDeque<(u64, End)>,
}

/// What may leave.
#[derive(Default)]
pub(super) struct Opened {
    pub(super) outgoing: Vec<Outgoing>,
    /// Runs and channels that changed.
    pub(super) changed: Vec<Followed>,
    /// Runs that ended and whose end somebody waits for.
    pub(super) ended: Vec<End>,
}

impl Gate {
    /// Holds something back until `batch` is durable.
    pub(super) fn hold(&mut self, batch: u64, outgoing: Outgoing) {
        let at = self.waiting.partition_point(|(other, _)| *other <= batch);
        self.waiting.insert(at, (batch, outgoing));
    }

    /// Remembers that something changes in `batch`, for whoever follows it.
    pub(super) fn changed(&mut self, batch: u64, what: Followed) {
        if self.changed.back().is_none_or(|last| *last != (batch, what.clone())) {
            self.changed.push_back((batch, what));
        }
    }

    /// Holds back how a run ended in `batch`, for whoever waits for that.
    pub(super) fn ended(&mut self, batch: u64, end: End) {
        self.ended.push_back((batch, end));
    }

    /// What may leave now that everything up to `batch` is durable.
    pub(super) fn open(&mut self, batch: u64) -> Opened {
        Opened {
            outgoing: up_to(&mut self.waiting, batch),
            changed: up_to(&mut self.changed, batch),
            ended: up_to(&mut self.ended, batch),
        }
    }

    /// Nothing of what waits will ever be durable: callers are told, invocations are not made.
    pub(super) fn abandon(&mut self, why: &Declined) {
        self.changed.clear();
        self.ended.clear();
        for (_, outgoing) in self.waiting.drain(..) {
            if let Outgoing::Reply(caller, _) = outgoing {
                caller.tell(Err(why.clone()));
            }
        }
    }
}

fn up_to<T>(line: &mut VecDeque<(u64, T)>, batch: u64) -> Vec<T> {
    let leaving = line.partition_point(|(other, _)| *other <= batch);
    line.drain(..leaving).map(|(_, item)| item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{RunId, RunStatus};

    #[test]
    fn nothing_leaves_before_its_batch() {
        let mut gate = Gate::default();
        let (early, mut early_answer) = Caller::new(false);
        let (late, mut late_answer) = Caller::new(false);
        gate.hold(2, Outgoing::Reply(late, Ok(Reply::Done)));
        gate.hold(1, Outgoing::Reply(early, Ok(Reply::Done)));
        gate.changed(2, Followed::Run(RunId(7)));
        gate.ended(2, End { run: RunId(7), status: RunStatus::Completed, outcome: None });
        let opened = gate.open(1);
        assert_eq!((opened.outgoing.len(), opened.changed.len(), opened.ended.len()), (1, 0, 0));
        for item in opened.outgoing {
            if let Outgoing::Reply(caller, answer) = item {
                caller.tell(answer);
            }
        }
        assert!(early_answer.try_recv().is_ok() && late_answer.try_recv().is_err());
        gate.abandon(&Declined::Unavailable("disk full".to_owned()));
        assert!(matches!(late_answer.try_recv(), Ok(Err(Declined::Unavailable(_)))));
        let opened = gate.open(9);
        assert_eq!((opened.changed.len(), opened.ended.len()), (0, 0));
    }
}
