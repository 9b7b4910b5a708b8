//! Schedules: what starts runs of a function at times. Plain data: when the times are, `timetable.rs` says; what happens at
//! one of them, the engine decides.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{FunctionId, Payload, RunId, RunStatus, Span, Text, Timestamp, Timetable, Timing, TimingProblem};
use crate::limits::{JITTER_MS_MAX, SCHEDULE_INPUT_BYTES_MAX};

/// What one schedule is called: its app and its id there.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ScheduleKey {
    /// The app whose function it starts.
    pub app: Text,
    /// Its id in the app.
    pub schedule: Text,
}

impl ScheduleKey {
    /// Composes a key from its two names.
    pub fn new(app: impl Into<Text>, schedule: impl Into<Text>) -> ScheduleKey {
        ScheduleKey { app: app.into(), schedule: schedule.into() }
    }
}

impl fmt::Display for ScheduleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.schedule)
    }
}

impl fmt::Debug for ScheduleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text is no schedule's key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no schedule: write `app/schedule`, as `backstitch schedules` shows them")]
pub struct ScheduleKeyError(String);

impl FromStr for ScheduleKey {
    type Err = ScheduleKeyError;

    fn from_str(text: &str) -> Result<ScheduleKey, ScheduleKeyError> {
        match text.split_once('/') {
            Some((app, schedule)) if !app.is_empty() && !schedule.is_empty() && !schedule.contains('/') => {
                Ok(ScheduleKey::new(app, schedule))
            }
            _ => Err(ScheduleKeyError(text.chars().take(100).collect())),
        }
    }
}

impl Serialize for ScheduleKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ScheduleKey {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<ScheduleKey, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Which time of which schedule a run is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tick {
    /// The schedule.
    pub schedule: ScheduleKey,
    /// The logical time.
    pub at: Timestamp,
}

/// What becomes of a tick while the run of an earlier one goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Overlap {
    /// It has no run.
    #[default]
    Skip,
    /// It waits for the other to end, and a later one that comes meanwhile takes its place.
    BufferOne,
    /// It waits for its turn, and so do those that come meanwhile.
    BufferAll,
    /// The other is cancelled, and it begins when that has ended.
    CancelOther,
    /// It begins at once.
    Allow,
}

impl Overlap {
    /// Every policy.
    pub const ALL: [Overlap; 5] =
        [Overlap::Skip, Overlap::BufferOne, Overlap::BufferAll, Overlap::CancelOther, Overlap::Allow];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Overlap::Skip => "skip",
            Overlap::BufferOne => "bufferOne",
            Overlap::BufferAll => "bufferAll",
            Overlap::CancelOther => "cancelOther",
            Overlap::Allow => "allow",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Overlap> {
        Overlap::ALL.into_iter().find(|overlap| overlap.as_str() == word)
    }

    /// Every word, for messages.
    pub fn words() -> String {
        Overlap::ALL.map(Overlap::as_str).join(", ")
    }
}

/// What a schedule is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScheduleSpec {
    /// The function of its app that it starts.
    pub function: Text,
    /// When.
    pub timing: Timing,
    /// By how much at most a tick is put off.
    pub jitter: Span,
    /// What becomes of a tick while an earlier run goes on.
    pub overlap: Overlap,
    /// How late a tick may still have its run.
    pub catch_up: Span,
    /// The input of its runs.
    pub input: Payload,
}

impl ScheduleSpec {
    /// What is wrong with it, if anything.
    pub fn problem(&self) -> Option<TimingProblem> {
        if let Err(problem) = Timetable::of(&self.timing) {
            return Some(problem);
        }
        let most = Span(JITTER_MS_MAX);
        if self.jitter > most {
            let message = format!("is {}, and a tick is put off by at most {most}", self.jitter);
            return Some(TimingProblem { field: "jitter", message });
        }
        let bytes = self.input.len();
        (bytes > SCHEDULE_INPUT_BYTES_MAX).then(|| TimingProblem {
            field: "input",
            message: format!(
                "has {bytes} bytes, and the input of a schedule has at most {SCHEDULE_INPUT_BYTES_MAX}; let the function fetch what it needs"
            ),
        })
    }
}

/// Who made a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScheduleSource {
    /// The app declares it, and it ends when the app no longer does.
    Manifest,
    /// Somebody made it by the API.
    Api,
}

/// A hold on a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulePause {
    /// Since when.
    pub since: Timestamp,
    /// What whoever paused it says about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<Text>,
}

/// Ticks that wait for an earlier run to end: those of the timetable later than one time, up to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// Ticks later than this one.
    pub after: Timestamp,
    /// Up to this one.
    pub until: Timestamp,
    /// How many they are.
    pub count: u64,
}

/// Ticks of one kind: how many there were, and the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// The logical time of the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Timestamp>,
}

impl Tally {
    /// Counts one more.
    pub fn add(&mut self, at: Timestamp) {
        self.count += 1;
        self.last = Some(at);
    }
}

/// A schedule and how far it has come: what its row holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Schedule {
    /// The layout of this JSON.
    pub format: u32,
    /// Who made it.
    pub source: ScheduleSource,
    /// What it is to do.
    pub spec: ScheduleSpec,
    /// When it was made.
    pub created_at: Timestamp,
    /// When what it is to do was said last.
    pub updated_at: Timestamp,
    /// Why it stands still, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<SchedulePause>,
    /// Every tick up to this time is seen to: it has its run, waits, or has none for good.
    pub position: Timestamp,
    /// The first tick after it; nothing when there is none.
    pub next: Option<Timestamp>,
    /// The run of the last tick that began, or that of its chain which began first.
    pub running: Option<RunId>,
    /// Ticks that wait for that run to end, in order; what lies between two of these does not wait.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waiting: Vec<Waiting>,
    /// Ticks that had their run.
    pub started: Tally,
    /// Ticks that had none since an earlier run went on.
    pub skipped: Tally,
    /// Ticks that had none since the server was too late for them, or could not start the function.
    pub missed: Tally,
    /// Why the last tick that could not start the function could not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl Schedule {
    /// The function that a schedule of this name starts.
    pub fn function(&self, key: &ScheduleKey) -> FunctionId {
        FunctionId::new(key.app.clone(), self.spec.function.clone())
    }
}

/// What a backfill does with a time that has its run already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Reprocess {
    /// Nothing.
    #[default]
    None,
    /// A new one, if the last one failed or was cancelled.
    Failed,
    /// A new one, if the last one has ended.
    All,
}

impl Reprocess {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Reprocess::None => "none",
            Reprocess::Failed => "failed",
            Reprocess::All => "all",
        }
    }

    /// Whether a run that has ended so is made again.
    pub fn applies_to(self, status: RunStatus) -> bool {
        match self {
            Reprocess::None => false,
            Reprocess::Failed => matches!(status, RunStatus::Failed | RunStatus::Cancelled),
            Reprocess::All => status.is_terminal(),
        }
    }
}

/// The ticks of a range of time, each with a run of its own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Backfill {
    /// Of which schedule.
    pub schedule: ScheduleKey,
    /// At or after this time.
    pub from: Timestamp,
    /// Before this time.
    pub until: Timestamp,
    /// How many runs there are at a time.
    pub concurrency: u32,
    /// What becomes of times that have a run.
    pub reprocess: Reprocess,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_survive_printing() {
        let key: ScheduleKey = "shop/nightly".parse().unwrap();
        assert_eq!((&*key.app, &*key.schedule, key.to_string().as_str()), ("shop", "nightly", "shop/nightly"));
        for text in ["", "shop", "/nightly", "shop/", "shop/a/b"] {
            assert!(text.parse::<ScheduleKey>().is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn timings_are_told_apart_by_their_fields() {
        for json in [
            r#"{"cron":"0 9 * * *","tz":"Europe/Berlin"}"#,
            r#"{"cron":"@daily"}"#,
            r#"{"every":"15m"}"#,
            r#"{"every":"15m","offset":"1m"}"#,
        ] {
            let timing: Timing = serde_json::from_str(json).unwrap();
            assert_eq!(serde_json::to_string(&timing).unwrap(), json);
        }
    }
}
