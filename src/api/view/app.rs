//! Apps, deployments and functions in JSON.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::catalog::Synced;
use crate::model::{
    App, CancelOn, Deployment, DeploymentId, DeploymentState, FunctionConfig, FunctionId, RetryPolicy, Span, Text,
    Timestamp, Trigger,
};

/// A function as its app's newest deployment declares it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Function)]
pub struct FunctionJson {
    /// Its app.
    #[schema(value_type = String)]
    pub app: Text,
    /// Its id in the app.
    #[schema(value_type = String)]
    pub function: Text,
    /// What people see.
    pub name: Option<String>,
    /// What starts it by itself: `{event, if?, schema?}`. A schema is the JSON Schema of the event's data, if its app says one; the server
    /// does not check events.
    #[schema(value_type = Vec<Object>)]
    pub triggers: Vec<Trigger>,
    /// How its failures are tried again.
    #[schema(value_type = Object)]
    pub retry: RetryPolicy,
    /// Whether somebody paused it: its runs are accepted and wait.
    pub paused: bool,
    /// How long a run may wait for its start, in milliseconds.
    #[schema(value_type = Option<u64>)]
    pub start_timeout: Option<Span>,
    /// How long a run may take, in milliseconds.
    #[schema(value_type = Option<u64>)]
    pub run_timeout: Option<Span>,
    /// Events that cancel its runs: `{event, if}`.
    #[schema(value_type = Vec<Object>)]
    pub cancel_on: Vec<CancelOn>,
    /// The function whose failed runs it is started for.
    #[schema(value_type = Option<String>)]
    pub failure_of: Option<Text>,
    /// JSON Schema of its input, if its app says one. The server does not check inputs.
    #[schema(value_type = Option<Object>)]
    pub input: Option<serde_json::Value>,
}

impl FunctionJson {
    /// A function of the registry.
    pub fn new(id: &FunctionId, config: &FunctionConfig, paused: bool) -> FunctionJson {
        FunctionJson {
            app: id.app.clone(),
            function: id.function.clone(),
            name: config.name.clone(),
            triggers: config.triggers.clone(),
            retry: config.retry.clone(),
            paused,
            start_timeout: config.start_timeout,
            run_timeout: config.run_timeout,
            cancel_on: config.cancel_on.clone(),
            failure_of: config.failure_of.clone(),
            input: config.input.clone(),
        }
    }
}

/// An app.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = App)]
pub struct AppJson {
    /// Its name.
    #[schema(value_type = String)]
    pub name: Text,
    /// Where it was registered.
    pub url: String,
    /// The names of its extra request headers; their values are secret.
    pub headers: Vec<String>,
    /// The deployment that new runs go to.
    pub deployment: Option<DeploymentJson>,
    /// The ids of its functions.
    #[schema(value_type = Vec<String>)]
    pub functions: Vec<Text>,
    /// When it was registered.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When its manifest was last fetched.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub synced_at: Option<Timestamp>,
    /// Why the last fetch failed.
    pub sync_error: Option<String>,
    /// What the manifest asks for and this server does not do; in answers to a registration or a sync.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A deployment of an app.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Deployment)]
pub struct DeploymentJson {
    /// The server's id for it, `dep_…`.
    #[schema(value_type = String)]
    pub id: DeploymentId,
    /// What it calls itself: a commit, a manifest hash.
    pub version: String,
    /// The SDK and its version.
    pub sdk: String,
    /// Where its handler answers.
    pub url: String,
    /// Whether that address will always serve exactly this code.
    pub immutable: bool,
    /// Whether it is its app's newest: new runs begin there.
    pub current: bool,
    /// What somebody wants to become of it: `active`, `draining` (retired as soon as its last run has ended) or `retired`.
    #[schema(value_type = String)]
    pub state: DeploymentState,
    /// Runs that are pinned to it and have not ended; left out where an app is shown. Only immutable deployments have any:
    /// other runs follow their app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_runs: Option<u64>,
    /// When it was first seen.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Timestamp,
    /// When it was last found to be its app's newest, give or take a minute.
    #[schema(value_type = String, format = DateTime)]
    pub seen_at: Timestamp,
}

impl DeploymentJson {
    /// A deployment without the number of its runs.
    pub fn new(deployment: &Deployment, current: bool) -> DeploymentJson {
        DeploymentJson {
            id: deployment.id,
            version: deployment.manifest.version.clone(),
            sdk: deployment.manifest.sdk.clone(),
            url: deployment.url.clone(),
            immutable: deployment.manifest.immutable,
            current,
            state: deployment.state,
            open_runs: None,
            created_at: deployment.created_at,
            seen_at: deployment.seen_at,
        }
    }
}

impl AppJson {
    /// An app with its deployment.
    pub fn new(app: &App, deployment: Option<&Deployment>) -> AppJson {
        let functions = deployment.map(|deployment| deployment.manifest.functions.as_slice()).unwrap_or_default();
        AppJson {
            name: app.name.clone(),
            url: app.url.clone(),
            headers: app.headers.iter().map(|(name, _)| name.clone()).collect(),
            deployment: deployment.map(|deployment| DeploymentJson::new(deployment, true)),
            functions: functions.iter().map(|function| function.id.clone()).collect(),
            created_at: app.created_at,
            synced_at: app.synced_at,
            sync_error: app.sync_error.clone(),
            warnings: Vec::new(),
        }
    }

    /// An app whose manifest has just been fetched.
    pub fn synced(synced: Synced) -> AppJson {
        AppJson { warnings: synced.warnings, ..AppJson::new(&synced.app, Some(&synced.deployment)) }
    }
}
