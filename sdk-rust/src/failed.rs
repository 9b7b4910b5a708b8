//! What a function is started with whose business is the failures of another.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Failure};

/// A run that has failed for good: the input of what
/// [`FunctionOptions::on_failure`](crate::FunctionOptions::on_failure) starts. `I` is the input of the function that failed.
#[derive(Debug, Deserialize)]
pub struct Failed<I = serde_json::Value> {
    /// The run.
    pub run: FailedRun,
    /// Why it failed.
    #[serde(deserialize_with = "error")]
    pub error: Error,
    /// What it was started with.
    pub input: I,
}

/// Which run has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedRun {
    /// Its id, `run_…`.
    pub id: String,
    /// Its app.
    pub app: String,
    /// Its function.
    pub function: String,
    /// The name that its starter gave it.
    #[serde(default)]
    pub name: Option<String>,
}

fn error<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Error, D::Error> {
    Failure::deserialize(deserializer).map(Error::own)
}
