//! What can go wrong with making and stopping jobs.

use crate::limits::JOBS_RUNNING_MAX;
use crate::model::JobId;
use crate::store::StoreError;

/// Why a job was not made or stopped.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// There is no such job.
    #[error("failed to find job {0}: it was never made here, or it ended long ago")]
    Unknown(JobId),
    /// Too many are running.
    #[error("failed to start a job: {JOBS_RUNNING_MAX} are running already; wait for one, or stop one")]
    TooMany,
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server stops.
    #[error("failed to do it: the server is stopping")]
    Stopping,
}
