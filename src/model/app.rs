//! Apps and their deployments: who serves which functions, where, and within which limits.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{DeploymentId, FunctionConfig, Text, Timestamp};

/// A named set of functions that one code base serves.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// Its name.
    pub name: Text,
    /// Where it was registered.
    pub url: String,
    /// Extra request headers, secret and write-only: for gateways and protection bypasses.
    pub headers: Vec<(String, String)>,
    /// The deployment that new runs and unpinned runs go to.
    pub current: Option<DeploymentId>,
    /// When it was registered.
    pub created_at: Timestamp,
    /// When its manifest was last fetched.
    pub synced_at: Option<Timestamp>,
    /// Why the last fetch failed.
    pub sync_error: Option<String>,
    /// Functions that are paused: their runs are accepted and wait.
    pub paused: BTreeSet<Text>,
}

/// One version of an app at one URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// The server's id for it.
    pub id: DeploymentId,
    /// The app.
    pub app: Text,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Where its handler answers.
    pub url: String,
    /// When it was first seen.
    pub created_at: Timestamp,
    /// When it was last found to be its app's newest.
    pub seen_at: Timestamp,
    /// What somebody wants to become of it.
    pub state: DeploymentState,
}

/// What somebody wants to become of a deployment. Whatever it is, the runs that are pinned to it go on there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DeploymentState {
    /// Nothing.
    #[default]
    Active,
    /// It is retired as soon as its last run has ended.
    Draining,
    /// It is not used any more, and may be switched off.
    Retired,
}

impl DeploymentState {
    /// The word on the wire and in SQL.
    pub fn as_str(self) -> &'static str {
        match self {
            DeploymentState::Active => "active",
            DeploymentState::Draining => "draining",
            DeploymentState::Retired => "retired",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<DeploymentState> {
        let all = [DeploymentState::Active, DeploymentState::Draining, DeploymentState::Retired];
        all.into_iter().find(|state| state.as_str() == word)
    }
}

/// Where a run is moved to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MoveTo {
    /// The app's newest deployment; if that is not immutable the run follows the app from then on.
    Current,
    /// One deployment.
    Deployment(DeploymentId),
}

impl std::fmt::Display for MoveTo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MoveTo::Current => f.write_str(CURRENT),
            MoveTo::Deployment(id) => id.fmt(f),
        }
    }
}

/// The word for an app's newest deployment.
const CURRENT: &str = "current";

impl std::str::FromStr for MoveTo {
    type Err = MoveToError;

    fn from_str(text: &str) -> Result<MoveTo, MoveToError> {
        match text {
            CURRENT => Ok(MoveTo::Current),
            id => id.parse().map(MoveTo::Deployment).map_err(|_| MoveToError(id.chars().take(60).collect())),
        }
    }
}

/// A text says of no deployment that runs are moved there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `current` nor a deployment's id (`dep_…`)")]
pub struct MoveToError(String);

impl Serialize for MoveTo {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for MoveTo {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<MoveTo, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What a deployment says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The app's name.
    pub app: Text,
    /// The SDK and its version, such as `typescript/0.1.0`.
    pub sdk: String,
    /// The deployment's own id, such as a commit or a manifest hash.
    pub version: String,
    /// The manifest hash that the SDK puts on every answer.
    pub hash: String,
    /// Whether the URL will always serve exactly this code.
    pub immutable: bool,
    /// What its host allows.
    pub limits: DeploymentLimits,
    /// What it serves.
    pub functions: Vec<FunctionConfig>,
}

/// What a deployment's host allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeploymentLimits {
    /// Greatest request body in bytes.
    pub request_bytes: u64,
    /// Greatest response body in bytes.
    pub response_bytes: u64,
    /// Longest invocation in seconds, where the host has such a limit.
    pub seconds: Option<u64>,
    /// Whether the host passes on what is written before the answer is complete.
    pub streams: bool,
    /// Whether the handler can reach the server.
    pub outbound: bool,
}
