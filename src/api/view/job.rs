//! A job in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::{Job, JobAction, JobFilter, JobId, JobOptions, JobStatus, Timestamp};

/// One action on every run that a filter matches.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Job)]
pub struct JobJson {
    /// Its id, `job_…`.
    #[schema(value_type = String)]
    pub id: JobId,
    /// What it does: `cancel`, `kill`, `pause`, `resume`, `retry`, `fork`, `move` or `backfill`.
    #[schema(value_type = String)]
    pub action: JobAction,
    /// With which runs.
    #[schema(value_type = Object)]
    pub filter: JobFilter,
    /// How.
    #[schema(value_type = Object)]
    pub options: JobOptions,
    /// Where it stands: `running`, `done` or `stopped`.
    #[schema(value_type = String)]
    pub status: JobStatus,
    /// Runs that matched when it was made.
    pub total: u64,
    /// Runs that were acted upon.
    pub done: u64,
    /// Runs that could not be.
    pub failed: u64,
    /// Why the last of those could not be.
    pub last_error: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it came to its end, or was stopped.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub ended_at: Option<Timestamp>,
}

impl From<&Job> for JobJson {
    fn from(job: &Job) -> JobJson {
        JobJson {
            id: job.id,
            action: job.action,
            filter: job.filter.clone(),
            options: job.options.clone(),
            status: job.status,
            total: job.total,
            done: job.done,
            failed: job.failed,
            last_error: job.last_error.clone(),
            created_at: job.created_at,
            ended_at: job.ended_at,
        }
    }
}
