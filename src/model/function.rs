//! Functions: their names, triggers and policies, as an app's manifest declares them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{ObjectMode, ScheduleSpec, Span};

/// A short shared text, such as a name.
pub type Text = Arc<str>;

/// The full name of a function: `{app}/{function}`. A handler of an object is a function, too: its id is `{object}/{handler}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FunctionId {
    /// The app that serves it.
    pub app: Text,
    /// Its id, unique in the app.
    pub function: Text,
}

impl FunctionId {
    /// Names a function of an app.
    pub fn new(app: impl Into<Text>, function: impl Into<Text>) -> FunctionId {
        FunctionId { app: app.into(), function: function.into() }
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.app, self.function)
    }
}

impl fmt::Debug for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What starts runs of a function by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// The event's name.
    pub event: Text,
    /// A CEL filter over `event`; nothing means every event of the name.
    #[serde(rename = "if", default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Text>,
    /// JSON Schema of the event's data, for people and tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<serde_json::Value>,
}

/// How often and how soon something that failed is tried again.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RetryPolicy {
    /// How many attempts in all, the first included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempts: Option<u32>,
    /// The pause after the first failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial_interval: Option<Span>,
    /// By how much the pause grows with every failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// The longest pause.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_interval: Option<Span>,
    /// The share of the pause, 0 to 1, that chance may add or take away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jitter: Option<f64>,
    /// Names of failures that are never tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub non_retryable: Vec<String>,
}

/// What a policy means where it is silent.
pub mod policy_defaults {
    use super::Span;

    /// Attempts in all.
    pub const ATTEMPTS: u32 = 5;
    /// Pause after the first failure.
    pub const INITIAL_INTERVAL: Span = Span::seconds(1);
    /// Growth of the pause.
    pub const FACTOR: f64 = 2.0;
    /// Longest pause.
    pub const MAX_INTERVAL: Span = Span::minutes(60);
    /// Share left to chance.
    pub const JITTER: f64 = 0.2;
}

impl RetryPolicy {
    /// This policy, with what it leaves open taken from `fallback`.
    #[must_use]
    pub fn or(&self, fallback: &RetryPolicy) -> RetryPolicy {
        RetryPolicy {
            attempts: self.attempts.or(fallback.attempts),
            initial_interval: self.initial_interval.or(fallback.initial_interval),
            factor: self.factor.or(fallback.factor),
            max_interval: self.max_interval.or(fallback.max_interval),
            jitter: self.jitter.or(fallback.jitter),
            non_retryable: if self.non_retryable.is_empty() {
                fallback.non_retryable.clone()
            } else {
                self.non_retryable.clone()
            },
        }
    }

    /// How many attempts there are in all.
    pub fn attempts(&self) -> u32 {
        self.attempts.unwrap_or(policy_defaults::ATTEMPTS)
    }

    /// The pause after the `failures`-th failure. `chance` is in 0..1.
    pub fn pause(&self, failures: u32, chance: f64) -> Span {
        let initial = self.initial_interval.unwrap_or(policy_defaults::INITIAL_INTERVAL).0 as f64;
        let longest = self.max_interval.unwrap_or(policy_defaults::MAX_INTERVAL).0 as f64;
        let factor = self.factor.unwrap_or(policy_defaults::FACTOR).max(1.0);
        let jitter = self.jitter.unwrap_or(policy_defaults::JITTER).clamp(0.0, 1.0);
        let exponent = i32::try_from(failures.saturating_sub(1)).unwrap_or(i32::MAX);
        let plain = (initial * factor.powi(exponent)).min(longest);
        Span((plain * (1.0 + jitter * (2.0 * chance - 1.0))).round().max(0.0) as u64)
    }
}

/// One function of a manifest.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FunctionConfig {
    /// Its id, unique in the app.
    pub id: Text,
    /// What people see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What starts it by itself.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
    /// The times at which it is started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub schedules: Vec<DeclaredSchedule>,
    /// The policy of its invocations, and of its steps where they have none.
    #[serde(default)]
    pub retry: RetryPolicy,
    /// The longest that one invocation may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocation_timeout: Option<Span>,
    /// How long a run may wait until a handler first takes it up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timeout: Option<Span>,
    /// How long a run may take in all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_timeout: Option<Span>,
    /// Events that cancel its runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cancel_on: Vec<CancelOn>,
    /// How it works with the key of its object, if it is a handler of one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<ObjectMode>,
    /// The function of the same app whose failed runs it is started for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure_of: Option<Text>,
    /// JSON Schema of its input, for people and tools.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<serde_json::Value>,
}

/// A schedule that an app declares.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DeclaredSchedule {
    /// Its id, unique in the app.
    pub id: Text,
    /// What it is to do.
    pub spec: ScheduleSpec,
}

/// An event that cancels runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CancelOn {
    /// The event's name.
    pub event: Text,
    /// A CEL filter over `event` (the run's trigger) and `async` (the event), with an equality to look runs up by.
    #[serde(rename = "if")]
    pub filter: Text,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_bound_and_stay_within_jitter() {
        let policy = RetryPolicy { jitter: Some(0.0), ..RetryPolicy::default() };
        let pauses: Vec<u64> = [1, 2, 3, 13, 4_000_000].map(|n| policy.pause(n, 0.5).0).to_vec();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 3_600_000, 3_600_000]);
        let jittered = RetryPolicy::default();
        assert_eq!(jittered.pause(1, 0.0), Span(800));
        assert_eq!(jittered.pause(1, 1.0), Span(1_200));
    }
}
