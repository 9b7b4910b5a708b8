//! How many runs were open, over the last month: the near past closely, the far past roughly, in a bounded number of points. It
//! is kept in memory, and begins anew with the process; the tables know everything else that charts show.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::limits::HISTORY_TIERS;
use crate::model::{RunStatus, Timestamp};

/// How many runs were open at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// When.
    pub at: Timestamp,
    /// Ready, or waiting for their start.
    pub backlog: u64,
    /// Waiting for a time, a signal, an event, a child.
    pub waiting: u64,
    /// Failing and tried again.
    pub failing: u64,
    /// Held.
    pub held: u64,
}

impl Moment {
    /// What is open by how many runs stand how.
    pub fn of(at: Timestamp, count: impl Fn(RunStatus) -> u64) -> Moment {
        Moment {
            at,
            backlog: count(RunStatus::Ready) + count(RunStatus::Queued),
            waiting: count(RunStatus::Suspended),
            failing: count(RunStatus::Backoff),
            held: count(RunStatus::Paused),
        }
    }

    /// The most of each, at the time of the first.
    fn or_more(self, other: Moment) -> Moment {
        Moment {
            at: self.at,
            backlog: self.backlog.max(other.backlog),
            waiting: self.waiting.max(other.waiting),
            failing: self.failing.max(other.failing),
            held: self.held.max(other.held),
        }
    }
}

/// What was recorded.
#[derive(Debug, Default)]
pub struct History {
    /// The same in several tiers, from the closest to the roughest: a point of a tier is the most of what it stands for.
    tiers: Mutex<[VecDeque<Moment>; HISTORY_TIERS.len()]>,
}

impl History {
    /// Records a moment. One that comes a little late counts for the time at which it comes.
    pub fn record(&self, moment: Moment) {
        // Numbers to look at: whoever panicked with them left nothing half done that would matter.
        let mut tiers = self.tiers.lock().unwrap_or_else(PoisonError::into_inner);
        for (tier, (every_ms, points)) in tiers.iter_mut().zip(HISTORY_TIERS) {
            match tier.back_mut() {
                Some(last) if moment.at.0 - last.at.0 < every_ms => *last = last.or_more(moment),
                _ => tier.push_back(moment),
            }
            if tier.len() > points {
                tier.pop_front();
            }
        }
    }

    /// The last moment.
    pub fn last(&self) -> Option<Moment> {
        self.tiers.lock().unwrap_or_else(PoisonError::into_inner)[0].back().copied()
    }

    /// The most between two times, the second left out, from the closest tier that goes back so far; nothing when nobody looked then.
    pub fn most(&self, from: Timestamp, until: Timestamp) -> Option<Moment> {
        let tiers = self.tiers.lock().unwrap_or_else(PoisonError::into_inner);
        let reaches = |tier: &&VecDeque<Moment>| tier.front().is_some_and(|first| first.at <= from);
        let tier = tiers.iter().find(reaches).or_else(|| tiers.last())?;
        let within = tier.iter().filter(|moment| (from..until).contains(&moment.at));
        within.copied().reduce(Moment::or_more)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at: i64, backlog: u64) -> Moment {
        Moment { at: Timestamp(at), backlog, waiting: 1, failing: 0, held: 0 }
    }

    #[test]
    fn the_near_past_is_known_closely_and_the_far_past_roughly() {
        let history = History::default();
        assert_eq!((history.last(), history.most(Timestamp(0), Timestamp(i64::MAX))), (None, None));
        let (every_ms, points) = HISTORY_TIERS[0];
        let count = 2 * i64::try_from(points).unwrap();
        for n in 0..count {
            history.record(moment(n * every_ms, n.unsigned_abs()));
        }
        let last = (count - 1) * every_ms;
        assert_eq!(history.last(), Some(moment(last, (count - 1).unsigned_abs())));
        let near = history.most(Timestamp(last - every_ms), Timestamp(last)).unwrap();
        assert_eq!(near.backlog, (count - 2).unsigned_abs(), "each point is known");
        let far = history.most(Timestamp(0), Timestamp(1)).unwrap();
        let (rough_ms, _) = HISTORY_TIERS[1];
        assert_eq!(far.backlog, (rough_ms / every_ms - 1).unsigned_abs(), "the most of what a rough point stands for");
        assert_eq!(history.most(Timestamp(last + 1), Timestamp(i64::MAX)), None);
        let kept: usize = history.tiers.lock().unwrap().iter().map(VecDeque::len).sum();
        assert!(kept <= HISTORY_TIERS.iter().map(|(_, points)| points).sum());
    }
}
