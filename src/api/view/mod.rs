//! How runs, entries, events and apps look in JSON: one struct for each, written here and read by the command line.
//! Payloads are the bytes that came in.

mod app;
mod event;
mod job;
mod journal;
mod redact;
mod run;
mod schedule;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use app::{AppJson, DeploymentJson, FunctionJson};
pub use event::{EventJson, VerdictJson};
pub use job::JobJson;
pub use journal::{AttemptJson, EntryJson, JournalJson, SignalJson};
pub use run::{HoldJson, ParentJson, RunJson};
pub use schedule::{ScheduleJson, TallyJson, WaitingJson};

pub(super) use run::continued_as;

use crate::model::Payload;

/// One page of a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Page)]
pub struct PageJson<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// The cursor of the page after it; nothing when this is the last.
    pub next: Option<String>,
}

/// Reads a payload that is there: `null` is a value, not an absence.
pub(super) fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Payload>, D::Error> {
    Payload::deserialize(deserializer).map(Some)
}
