//! Jobs: one action on every run that a filter matches, done little by little, whatever happens to the server meanwhile.

use serde::{Deserialize, Serialize};

use super::{
    AttributeTest, Backfill, DeploymentId, EntryId, EventId, JobId, MoveTo, RunId, RunStatus, ScheduleKey, Text,
    Timestamp, TriggerKind,
};

/// What a job does with each run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobAction {
    /// Asks it to stop.
    Cancel,
    /// Ends it at once, without its handler.
    Kill,
    /// Holds it.
    Pause,
    /// Lifts its hold.
    Resume,
    /// Starts it again from its first failure, unless it has a fork already.
    Retry,
    /// Starts a run that goes on from a point of it.
    Fork,
    /// Moves it to another deployment of its app.
    Move,
    /// Starts the runs of a schedule's times in a range.
    Backfill,
}

impl JobAction {
    /// Every action.
    pub const ALL: [JobAction; 8] = [
        JobAction::Cancel,
        JobAction::Kill,
        JobAction::Pause,
        JobAction::Resume,
        JobAction::Retry,
        JobAction::Fork,
        JobAction::Move,
        JobAction::Backfill,
    ];

    /// The word on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            JobAction::Cancel => "cancel",
            JobAction::Kill => "kill",
            JobAction::Pause => "pause",
            JobAction::Resume => "resume",
            JobAction::Retry => "retry",
            JobAction::Fork => "fork",
            JobAction::Move => "move",
            JobAction::Backfill => "backfill",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<JobAction> {
        JobAction::ALL.into_iter().find(|action| action.as_str() == word)
    }

    /// Which runs it can be about, for filters that name no status; empty means all.
    pub fn statuses(self) -> Vec<RunStatus> {
        match self {
            JobAction::Cancel | JobAction::Kill | JobAction::Move => {
                RunStatus::ALL.into_iter().filter(|status| !status.is_terminal()).collect()
            }
            JobAction::Pause => {
                let moves = |status: &RunStatus| !status.is_terminal() && *status != RunStatus::Paused;
                RunStatus::ALL.into_iter().filter(moves).collect()
            }
            JobAction::Resume => vec![RunStatus::Paused],
            JobAction::Retry => vec![RunStatus::Failed, RunStatus::Cancelled],
            JobAction::Fork | JobAction::Backfill => Vec::new(),
        }
    }
}

/// Which runs a job is about. Everything left out matches.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobFilter {
    /// Any of these statuses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<RunStatus>,
    /// Of this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<Text>,
    /// Of the function with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub function: Option<Text>,
    /// Pinned to this deployment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deployment: Option<DeploymentId>,
    /// That go on from this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<RunId>,
    /// For a time of this schedule, `app/schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduleKey>,
    /// That this run waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<RunId>,
    /// Of the family of this run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<RunId>,
    /// That this event started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<EventId>,
    /// Started in this way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerKind>,
    /// Of objects with this key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text>,
    /// Whose name begins so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Text>,
    /// With all of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tag: Vec<Text>,
    /// With attributes that pass all of these tests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attribute: Vec<AttributeTest>,
    /// With this in one of the texts that it is known by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<Text>,
    /// With an error of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Text>,
    /// With an error whose message is like this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<Text>,
    /// Created at or after.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Created before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What an action needs to know besides the run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JobOptions {
    /// Of a fork: the entry to do again. Without it nothing is copied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<EntryId>,
    /// Of a move: where to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<MoveTo>,
    /// Of a backfill: which times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backfill: Option<Backfill>,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobStatus {
    /// It has runs left.
    Running,
    /// It came to its end.
    Done,
    /// Somebody stopped it.
    Stopped,
}

impl JobStatus {
    /// The word on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            JobStatus::Running => "running",
            JobStatus::Done => "done",
            JobStatus::Stopped => "stopped",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<JobStatus> {
        [JobStatus::Running, JobStatus::Done, JobStatus::Stopped].into_iter().find(|status| status.as_str() == word)
    }
}

/// One action on every run that a filter matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// What it does.
    pub action: JobAction,
    /// To which runs.
    pub filter: JobFilter,
    /// How.
    pub options: JobOptions,
    /// Where it stands.
    pub status: JobStatus,
    /// Runs that matched when it was made.
    pub total: u64,
    /// Runs that were acted upon.
    pub done: u64,
    /// Runs that could not be.
    pub failed: u64,
    /// Why the last of those could not be.
    pub last_error: Option<String>,
    /// The number below which runs are still to come: it goes from the newest to the oldest, and leaves later ones alone. Of
    /// a backfill the time up to which all is done.
    pub position: i64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it came to its end, or was stopped.
    pub ended_at: Option<Timestamp>,
}
