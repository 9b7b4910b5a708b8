//! Calls of the server in a test: what the test says stands in for the other side, tried again as the server would, with
//! pauses that are skipped.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Error, Failure};
use crate::fetch::FetchResponse;
use crate::policy::Retry;
use crate::raw::Raw;
use crate::testing::encode;
use crate::testing::ops::{as_duration, wait};
use crate::testing::server::Server;
use crate::wire::Outcome as Settled;

/// What the other side of a call answers to each attempt.
pub(super) type Answer = Arc<dyn Fn(u32) -> Result<FetchResponse, Error> + Send + Sync>;

/// Answers by entry id.
pub(super) type Answers = HashMap<String, Answer>;

const RETRY_ON: [u16; 6] = [408, 429, 500, 502, 503, 504];

impl Server {
    /// Asks at once, as often as it takes; what comes of it settles when the pauses are over.
    pub(super) fn fetch(&mut self, index: usize, params: &Value) {
        let id = self.entries[index].entry.id.clone();
        let Some(answer) = self.fetches.get(&id).cloned() else { return };
        let (outcome, pauses) = asked(&answer, params);
        if pauses.is_zero() {
            return self.settle(index, outcome);
        }
        self.entries[index].due = Some(self.now() + pauses);
        self.answers.insert(id, outcome);
    }
}

fn asked(answer: &Answer, params: &Value) -> (Settled, Duration) {
    let retry: Retry = params.get("retry").and_then(|it| serde_json::from_value(it.clone()).ok()).unwrap_or_default();
    let statuses = params.get("retryOn").and_then(|it| serde_json::from_value::<Vec<u16>>(it.clone()).ok());
    let statuses = statuses.unwrap_or_else(|| RETRY_ON.to_vec());
    let limit = params.get("scheduleToClose").and_then(as_duration);
    let mut pauses = Duration::ZERO;
    for attempt in 1.. {
        let (outcome, failure) = match answer(attempt) {
            Ok(response) => {
                let later = statuses.contains(&response.status).then(|| busy(&response));
                (Settled::Ok(encode(&response)), later)
            }
            Err(error) => {
                let failure = error.into_failure();
                let mut last = Failure::new("FetchFailed".to_owned(), failure.message.clone(), false);
                last.code = Some("lost".into());
                (Settled::Err(last), Some(failure))
            }
        };
        let pause = failure.and_then(|failure| wait(&retry, attempt, &failure));
        match pause {
            Some(pause) if limit.is_none_or(|limit| pauses + pause <= limit) => pauses += pause,
            _ => return (outcome, pauses),
        }
    }
    (Settled::Ok(Raw::null()), pauses)
}

fn busy(response: &FetchResponse) -> Failure {
    let message = format!("the other side answered {}", response.status);
    let seconds = response.headers.get("retry-after").and_then(|text| text.parse().ok());
    let error = Error::new("HttpStatus", message);
    match seconds {
        Some(seconds) => error.retry_after(Duration::from_secs(seconds)),
        None => error,
    }
    .into_failure()
}
