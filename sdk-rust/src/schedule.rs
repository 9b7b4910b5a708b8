//! Schedules: the times at which a function is started, and which of them a run is for.

use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;

/// What becomes of a tick while the run of an earlier one goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Overlap {
    /// It has no run.
    #[default]
    Skip,
    /// It waits for the other to end, and a later one takes its place.
    BufferOne,
    /// It waits for its turn, and so do later ones.
    BufferAll,
    /// The other is cancelled, and it begins when that has ended.
    CancelOther,
    /// It begins at once.
    Allow,
}

/// The times at which a function is started: for [`FunctionOptions::schedule`](crate::FunctionOptions::schedule) and
/// [`ScheduleHandle::put`](crate::client::ScheduleHandle::put).
///
/// ```
/// use backstitch::{DurationExt, FunctionOptions, Overlap, Schedule};
///
/// let nightly = Schedule::cron("0 3 * * *").tz("Europe/Berlin").overlap(Overlap::BufferOne).catch_up(6.hours());
/// let options = FunctionOptions::new("import").schedule(nightly);
/// # drop(options);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    #[serde(skip_serializing_if = "Option::is_none")]
    cron: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tz: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    every: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    overlap: Option<Overlap>,
    #[serde(skip_serializing_if = "Option::is_none")]
    catch_up: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Value>,
}

impl Schedule {
    fn new() -> Schedule {
        let (cron, tz, every, offset) = (None, None, None, None);
        Schedule { cron, tz, every, offset, id: None, jitter: None, overlap: None, catch_up: None, input: None }
    }

    /// At the local times of a cron line: minute, hour, day of month, month, day of week; with seconds in front, if there are
    /// six fields; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. In UTC unless [`Schedule::tz`] says otherwise.
    pub fn cron(line: impl Into<String>) -> Schedule {
        Schedule { cron: Some(line.into()), ..Schedule::new() }
    }

    /// At equal intervals of at least a second, counted from the beginning of 1970.
    pub fn every(interval: Duration) -> Schedule {
        Schedule { every: Some(milliseconds(interval)), ..Schedule::new() }
    }

    /// The time zone of the cron line, such as `Europe/Berlin`.
    #[must_use]
    pub fn tz(mut self, zone: impl Into<String>) -> Schedule {
        self.tz = Some(zone.into());
        self
    }

    /// How much later than the multiples of the interval.
    #[must_use]
    pub fn offset(mut self, offset: Duration) -> Schedule {
        self.offset = Some(milliseconds(offset));
        self
    }

    /// What the schedule is called, unique in the app: the function's id if left out. A function with several gives each its own.
    #[must_use]
    pub fn id(mut self, id: impl Into<String>) -> Schedule {
        self.id = Some(id.into());
        self
    }

    /// By how much at most a tick is put off; always the same for the same tick.
    #[must_use]
    pub fn jitter(mut self, jitter: Duration) -> Schedule {
        self.jitter = Some(milliseconds(jitter));
        self
    }

    /// What becomes of a tick while the run of an earlier one goes on; [`Overlap::Skip`] if left out.
    #[must_use]
    pub fn overlap(mut self, overlap: Overlap) -> Schedule {
        self.overlap = Some(overlap);
        self
    }

    /// How late a tick may still have its run, when the server was away: a day if left out.
    #[must_use]
    pub fn catch_up(mut self, window: Duration) -> Schedule {
        self.catch_up = Some(milliseconds(window));
        self
    }

    /// The input of its runs; null if left out.
    #[must_use]
    pub fn input(mut self, input: impl Into<Value>) -> Schedule {
        self.input = Some(input.into());
        self
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The time of a schedule that a run is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The schedule, as `app/schedule`.
    pub schedule: String,
    /// The logical time: when the tick was due, however late or often its run is made.
    pub at: SystemTime,
    /// The logical time of the tick before it that had a run; `None` for the first. In a backfill, the time before it.
    pub previous: Option<SystemTime>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::duration::DurationExt as _;

    /// A trigger of the corpus in the words of this SDK.
    fn declared(trigger: &Value) -> Schedule {
        let text = |name: &str| trigger[name].as_str();
        let span = |name: &str| match text(name)? {
            "15m" => Some(15.minutes()),
            "1m" => Some(1.minutes()),
            "5m" => Some(5.minutes()),
            "1h" => Some(1.hours()),
            "6h" => Some(6.hours()),
            "30s" => Some(30.seconds()),
            other => panic!("{other} is new in the corpus"),
        };
        let mut schedule = match text("cron") {
            Some(line) => Schedule::cron(line),
            None => Schedule::every(span("every").unwrap()),
        };
        schedule.tz = text("tz").map(str::to_owned);
        schedule.id = text("id").map(str::to_owned);
        schedule.offset = span("offset").map(milliseconds);
        schedule.jitter = span("jitter").map(milliseconds);
        schedule.catch_up = span("catchUp").map(milliseconds);
        schedule.input = trigger.get("input").cloned();
        let policies = [Overlap::Skip, Overlap::BufferOne, Overlap::BufferAll, Overlap::CancelOther, Overlap::Allow];
        let named = |overlap: &Overlap| serde_json::to_value(overlap).unwrap() == trigger["overlap"];
        schedule.overlap = policies.into_iter().find(named);
        schedule
    }

    #[test]
    fn what_a_function_is_started_by_stands_in_the_manifest() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/conformance/schedules.json");
        let corpus: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let cases = corpus["schedules"].as_array().unwrap().iter().filter(|case| case.get("refused").is_none());
        let mut compared = 0;
        for case in cases {
            let trigger = &case["trigger"];
            let mut expected = trigger.clone();
            let schedule = declared(trigger);
            let spans = [
                ("every", schedule.every),
                ("offset", schedule.offset),
                ("jitter", schedule.jitter),
                ("catchUp", schedule.catch_up),
            ];
            // Durations go out as milliseconds.
            for (name, ms) in spans.into_iter().filter_map(|(name, ms)| Some((name, ms?))) {
                expected[name] = ms.into();
            }
            assert_eq!(serde_json::to_value(&schedule).unwrap(), expected, "{}", case["name"]);
            compared += 1;
        }
        assert!(compared > 8);
    }
}
