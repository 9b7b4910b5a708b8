//! Who owns what. On one node with one partition every id leads to the one processor; callers ask all the same, so
//! that nothing else changes when there are more.

use crate::model::{Channel, FunctionId, RunId, ScheduleKey, Text};
use crate::processor::Processor;

/// The partitions that this node owns, and the way to them.
#[derive(Clone)]
pub struct Cluster {
    only: Processor,
}

impl Cluster {
    /// A cluster of one node with one partition.
    pub fn single(only: Processor) -> Cluster {
        Cluster { only }
    }

    /// The owner of a run.
    pub fn owner_of(&self, _run: RunId) -> &Processor {
        &self.only
    }

    /// The partition in which a start creates its run: by the client's name or key when there is one.
    pub fn home_of_start(&self, _function: &FunctionId, _client_key: Option<&Text>) -> &Processor {
        &self.only
    }

    /// The owner of a schedule.
    pub fn owner_of_schedule(&self, _schedule: &ScheduleKey) -> &Processor {
        &self.only
    }

    /// The partition that accepts events.
    pub fn home_of_events(&self) -> &Processor {
        &self.only
    }

    /// The partitions in which runs may publish on a channel: that of its run, or, of one with a name, all.
    pub fn homes_of_channel(&self, _channel: &Channel) -> impl Iterator<Item = &Processor> {
        std::iter::once(&self.only)
    }

    /// Every partition that this node owns.
    pub fn local(&self) -> impl Iterator<Item = &Processor> {
        std::iter::once(&self.only)
    }
}
