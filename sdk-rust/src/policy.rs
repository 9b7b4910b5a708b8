//! How often and how fast things are tried again, and how long they may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::raw::Raw;

/// A retry policy. What is not said is the server's default: 5 attempts, 1 s, doubling, at most 1 h, 20 % jitter.
#[derive(Clone, Default, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Retry {
    #[serde(skip_serializing_if = "Option::is_none")]
    attempts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none", with = "written")]
    initial_interval: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    factor: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", with = "written")]
    max_interval: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jitter: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    non_retryable: Vec<String>,
}

impl Retry {
    /// So many attempts in all; 1 means no retry.
    pub fn attempts(attempts: u32) -> Retry {
        Retry { attempts: Some(attempts), ..Retry::default() }
    }

    /// The wait before the second attempt.
    #[must_use]
    pub fn initial_interval(mut self, interval: Duration) -> Retry {
        self.initial_interval = Some(interval);
        self
    }

    /// By how much each wait is longer than the one before; at least 1.
    #[must_use]
    pub fn factor(mut self, factor: f64) -> Retry {
        self.factor = Some(factor);
        self
    }

    /// The longest wait.
    #[must_use]
    pub fn max_interval(mut self, interval: Duration) -> Retry {
        self.max_interval = Some(interval);
        self
    }

    /// By which share, from 0 to 1, waits vary, so that many runs do not come back at once.
    #[must_use]
    pub fn jitter(mut self, share: f64) -> Retry {
        self.jitter = Some(share);
        self
    }

    /// Names of errors that no retry will help.
    #[must_use]
    pub fn non_retryable<S: Into<String>>(mut self, names: impl IntoIterator<Item = S>) -> Retry {
        self.non_retryable = names.into_iter().map(Into::into).collect();
        self
    }

    pub(crate) fn to_raw(&self) -> Raw {
        Raw::written(serde_json::to_vec(self).expect("numbers and text are JSON"))
    }

    /// The wait after the failure of this attempt, without jitter; `None` when it was the last.
    pub(crate) fn wait_after(&self, attempt: u32) -> Option<Duration> {
        if attempt >= self.attempts.unwrap_or(5) {
            return None;
        }
        let initial = self.initial_interval.unwrap_or(Duration::from_secs(1));
        let longest = self.max_interval.unwrap_or(Duration::from_secs(3600));
        let times = self.factor.unwrap_or(2.0).powi(i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX));
        Some(Duration::try_from_secs_f64(initial.as_secs_f64() * times).unwrap_or(longest).min(longest))
    }

    /// Whether an error of this name is final.
    pub(crate) fn is_final(&self, name: &str) -> bool {
        self.non_retryable.iter().any(|known| known == name)
    }
}

/// Time-outs of a function; all optional.
#[derive(Clone, Copy, Default, Debug, PartialEq, Serialize)]
pub struct Timeouts {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written::serialize")]
    start: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written::serialize")]
    pub(crate) run: Option<Duration>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "written::serialize")]
    pub(crate) invocation: Option<Duration>,
}

impl Timeouts {
    /// How long a run may be queued before it starts.
    #[must_use]
    pub fn start(mut self, timeout: Duration) -> Timeouts {
        self.start = Some(timeout);
        self
    }

    /// How long a run may take in all, waits included.
    #[must_use]
    pub fn run(mut self, timeout: Duration) -> Timeouts {
        self.run = Some(timeout);
        self
    }

    /// How long one HTTP call of the handler may take; 15 minutes without it.
    #[must_use]
    pub fn invocation(mut self, timeout: Duration) -> Timeouts {
        self.invocation = Some(timeout);
        self
    }

    pub(crate) fn is_empty(&self) -> bool {
        *self == Timeouts::default()
    }
}

/// Durations of options, as the wire writes them.
mod written {
    use std::time::Duration;

    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use crate::duration;

    #[expect(clippy::ref_option, reason = "the signature is serde's")]
    pub(super) fn serialize<S: Serializer>(duration: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match duration {
            Some(duration) => serializer.serialize_str(&duration::format(*duration)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        let text = String::deserialize(deserializer)?;
        duration::parse(&text).map(Some).map_err(D::Error::custom)
    }
}
