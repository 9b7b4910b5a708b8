//! What can go wrong with registering, fetching and forgetting apps.

use crate::dispatch::DiscoveryError;
use crate::limits::{APPS_MAX, NAME_BYTES_MAX};
use crate::model::{DeploymentId, FunctionId, Text};
use crate::store::StoreError;

/// The statuses of runs that have not ended, as a parameter of the API.
const OPEN: &str = "queued,ready,suspended,backoff,paused";

/// Why the catalog did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CatalogError {
    /// No app has the name.
    #[error("failed to find the app `{0}`: no app of this name is registered")]
    Unknown(Text),
    /// The app has no such function.
    #[error("failed to find the function `{0}`: its app does not have it; look at `backstitch apps` for what there is")]
    UnknownFunction(FunctionId),
    /// The name cannot be one.
    #[error(
        "failed to register the app: a name has 1 to {NAME_BYTES_MAX} bytes and neither `/` nor control characters"
    )]
    Name,
    /// The app has no such deployment.
    #[error(
        "failed to find deployment {1} of app `{0}`: it was never seen here, or it was forgotten after its runs had ended; look at \
         `backstitch apps deployments {0}` for what there is"
    )]
    UnknownDeployment(Text, DeploymentId),
    /// New runs begin there.
    #[error(
        "failed to take deployment {1} out of use: it is the current one of app `{0}`, so new runs begin on it; deploy another \
         version and sync the app, or forget the app with `backstitch apps remove {0}`"
    )]
    CurrentDeployment(Text, DeploymentId),
    /// Runs are pinned to it.
    #[error(
        "failed to retire deployment {id} of app `{app}`: {runs} runs that have not ended are pinned to it, see \
         /v1/runs?deployment={id}&status={OPEN}; drain it to retire it when they have ended, move them with \
         `backstitch apps move {app} {id}`, or cancel them"
    )]
    DeploymentInUse {
        /// The app.
        app: Text,
        /// The deployment.
        id: DeploymentId,
        /// How many there are.
        runs: u64,
    },
    /// There are too many apps.
    #[error("failed to register the app: there are {APPS_MAX} apps already, the most that one server keeps")]
    TooMany,
    /// The app could not be asked, or what it says cannot be used.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// It could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The server stops.
    #[error("failed to do it: the server is stopping")]
    Stopping,
}
