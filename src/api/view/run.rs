//! A run in JSON.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::there;
use crate::limits::FAILURE_SHOWN_CHARS_MAX;
use crate::model::{
    AttributeValue, DeploymentId, EventId, Failure, Hold, HoldKind, Mismatch, Origin, Outcome, Payload, Previous,
    RunHead, RunId, RunStatus, ScheduleKey, Text, Timestamp, TriggerKind,
};
use crate::store::RunView;

/// A run. In lists without input and outcome, but for a word on what went wrong.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Run)]
pub struct RunJson {
    /// Its id, `run_…`.
    #[schema(value_type = String)]
    pub id: RunId,
    /// The app whose function it executes.
    #[schema(value_type = String)]
    pub app: Text,
    /// The function's id in its app.
    #[schema(value_type = String)]
    pub function: Text,
    /// The name that its client chose (`runId` at its start), unique for the function.
    #[schema(value_type = Option<String>)]
    pub name: Option<Text>,
    /// Where it stands: `queued`, `ready`, `suspended`, `backoff`, `paused`, `completed`, `failed`, `cancelled` or `continued`.
    #[schema(value_type = String)]
    pub status: RunStatus,
    /// What started it: `event`, `call`, `invoke`, `failure` or `schedule`.
    #[schema(value_type = String)]
    pub trigger: TriggerKind,
    /// The event that started it.
    #[schema(value_type = Option<String>)]
    pub event: Option<EventId>,
    /// The schedule that it is for, as `app/schedule`.
    #[schema(value_type = Option<String>)]
    pub schedule: Option<ScheduleKey>,
    /// Which of the schedule's times it is for.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub scheduled_at: Option<Timestamp>,
    /// The run that waits for it, and the position of its entry there.
    pub parent: Option<ParentJson>,
    /// The first run of its family.
    #[schema(value_type = String)]
    pub root: RunId,
    /// The deployment it is pinned to, when that is immutable.
    #[schema(value_type = Option<String>)]
    pub deployment: Option<DeploymentId>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it may first run: its creation, or its delay's end.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
    /// When it moves by itself, if a timer is all that it needs.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub wake_at: Option<Timestamp>,
    /// Failed invocations since its last progress.
    pub failures: u32,
    /// Invocations lost in flight since its last progress.
    pub losses: u32,
    /// The last failed invocation's error, while there is one.
    #[schema(value_type = Option<Object>)]
    pub last_error: Option<Payload>,
    /// Why it is held.
    pub hold: Option<HoldJson>,
    /// The key of the object that it belongs to.
    #[schema(value_type = Option<String>)]
    pub key: Option<Text>,
    /// When it fails if it has not ended.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub deadline: Option<Timestamp>,
    /// The run that this one goes on from.
    pub previous: Option<PreviousJson>,
    /// The run that it went on in, of one that is `continued`; left out in lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    pub continued_as: Option<RunId>,
    /// What its handler shows of it: any JSON.
    #[schema(value_type = Value)]
    pub value: Option<Payload>,
    /// What it is found by.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    pub tags: BTreeSet<Text>,
    /// What it is found by: texts, numbers and booleans by name.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub attributes: BTreeMap<Text, AttributeValue>,
    /// What it was started with; left out in lists.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub input: Option<Payload>,
    /// The value that it ended with; left out in lists.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    pub ok: Option<Payload>,
    /// The error that it ended with, `{name, message, code?, data?, stack?, cause?}`; in lists only its name and the first 200
    /// characters of its message.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Object)]
    pub err: Option<Payload>,
}

/// The run that a run ended itself for, if it did.
pub(in crate::api) fn continued_as(view: &RunView) -> Option<RunId> {
    #[derive(Deserialize)]
    struct Next {
        run: RunId,
    }
    let outcome = view.outcome.as_ref().filter(|_| view.head.status == RunStatus::Continued)?;
    outcome.outcome.as_ref()?.payload()?.read::<Next>().ok().map(|next| next.run)
}

/// The run that another one goes on from.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Previous)]
pub struct PreviousJson {
    /// That run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// How: `fork` (this one began with entries of it) or `continue` (it ended itself with an input for this one).
    #[schema(value_type = String)]
    pub origin: Origin,
}

impl From<Previous> for PreviousJson {
    fn from(previous: Previous) -> PreviousJson {
        PreviousJson { run: previous.run, origin: previous.origin }
    }
}

/// The parent's entry that a run's outcome settles.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Parent)]
pub struct ParentJson {
    /// The parent run.
    #[schema(value_type = String)]
    pub run: RunId,
    /// The position of its entry.
    pub idx: u32,
}

/// Why a run is held.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Hold)]
pub struct HoldJson {
    /// Why, for programs: `mismatch`, `signature`, `unknownFunction`, `protocol`, `tooLarge`, `lost`,
    /// `quarantine` or `operator`.
    #[schema(value_type = String)]
    pub kind: HoldKind,
    /// Why, and what to do, for people.
    pub detail: String,
    /// Since when.
    #[schema(value_type = String, format = DateTime)]
    pub since: Timestamp,
    /// The deployment that was asked.
    #[schema(value_type = Option<String>)]
    pub deployment: Option<DeploymentId>,
    /// Of a `mismatch`: both sides, as `{"id", "journal", "code"}`: the entry, what the journal has there, and what the code asks
    /// for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub mismatch: Option<Mismatch>,
}

impl From<&Hold> for HoldJson {
    fn from(hold: &Hold) -> HoldJson {
        HoldJson {
            kind: hold.kind,
            detail: hold.detail.clone(),
            since: hold.since,
            deployment: hold.deployment,
            mismatch: hold.mismatch.clone(),
        }
    }
}

impl From<&RunHead> for RunJson {
    fn from(head: &RunHead) -> RunJson {
        RunJson {
            id: head.id,
            app: head.function.app.clone(),
            function: head.function.function.clone(),
            name: head.name.clone(),
            status: head.status,
            trigger: head.trigger,
            event: head.event,
            schedule: head.tick.as_ref().map(|tick| tick.schedule.clone()),
            scheduled_at: head.tick.as_ref().map(|tick| tick.at),
            parent: head.parent.map(|parent| ParentJson { run: parent.run, idx: parent.idx }),
            root: head.root,
            deployment: head.deployment,
            created_at: head.created_at,
            started_at: head.started_at,
            ended_at: head.ended_at,
            // 0 means "now or being worked on" inside, and is no time that people want to see.
            wake_at: head.wake_at.filter(|at| *at > Timestamp::ZERO),
            failures: head.failures,
            losses: head.losses,
            last_error: head.last_error.clone(),
            hold: head.hold.as_ref().map(HoldJson::from),
            key: head.key.clone(),
            deadline: head.deadline,
            previous: head.previous.map(PreviousJson::from),
            continued_as: None,
            value: head.value.clone(),
            tags: head.labels.tags.clone(),
            attributes: head.labels.attributes.clone(),
            input: None,
            ok: None,
            err: None,
        }
    }
}

impl From<&RunView> for RunJson {
    fn from(view: &RunView) -> RunJson {
        let input = view.input.outcome.as_ref().and_then(Outcome::payload).cloned();
        if let Some(next) = continued_as(view) {
            return RunJson { input, continued_as: Some(next), ..RunJson::from(&view.head) };
        }
        let (ok, err) = match view.outcome.as_ref().and_then(|entry| entry.outcome.as_ref()) {
            Some(Outcome::Ok(value)) => (Some(value.clone()), None),
            Some(Outcome::Err(error)) => (None, Some(error.clone())),
            Some(Outcome::Timeout) | None => (None, None),
        };
        RunJson { input, ok, err, ..RunJson::from(&view.head) }
    }
}

impl RunJson {
    /// A run as a row of a list.
    pub(in crate::api) fn row(view: &RunView) -> RunJson {
        let failed = view.outcome.as_ref().filter(|_| view.head.status == RunStatus::Failed);
        let failure = failed.and_then(|entry| entry.outcome.as_ref()?.payload()).map(Failure::from_payload);
        RunJson { err: failure.as_ref().map(RunJson::short), ..RunJson::from(&view.head) }
    }

    /// What a row says of a failure.
    pub(in crate::api) fn short(failure: &Failure) -> Payload {
        let Failure { name, message, .. } = failure.brief();
        let mut shown: String = message.chars().take(FAILURE_SHOWN_CHARS_MAX).collect();
        if shown.len() < failure.message.len() {
            shown.push('…');
        }
        Failure::new(&name, shown).payload()
    }
}
