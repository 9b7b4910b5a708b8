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
