//! What can go wrong with registering, fetching and forgetting apps.

use crate::dispatch::DiscoveryError;
use crate::limits::{APPS_MAX, NAME_BYTES_MAX};
use crate::model::{FunctionId, Text};
use crate::store::StoreError;

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
