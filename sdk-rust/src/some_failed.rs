//! What many at once fail with: how many may, and which did.

use serde::{Deserialize, Serialize};

use crate::error::Error;

/// Failures that an error lists: enough to see what is wrong; a journal has all.
const LISTED_MAX: usize = 100;
/// Characters of the message of each of them.
const MESSAGE_CHARS_MAX: usize = 512;
/// Failures that the error's message names.
const NAMED_MAX: usize = 3;

/// How many items of a fan-out may fail: a number, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance(Wanted);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Wanted {
    Count(usize),
    Percent(f64),
}

impl Tolerance {
    /// This share of the items, from 0 to 100, rounded down to whole ones.
    pub fn percent(percent: f64) -> Tolerance {
        Tolerance(Wanted::Percent(percent))
    }

    pub(crate) fn of(self, items: usize) -> Result<usize, Error> {
        match self.0 {
            Wanted::Count(count) => Ok(count),
            #[expect(
                clippy::cast_precision_loss,
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a journal has 10,000 entries"
            )]
            Wanted::Percent(percent) if (0.0..=100.0).contains(&percent) => {
                Ok((items as f64 * percent / 100.0) as usize)
            }
            Wanted::Percent(percent) => {
                let message =
                    format!("a map tolerates {percent} percent of its items failing, which is not from 0 to 100");
                Err(Error::terminal("MisuseError", message))
            }
        }
    }
}

impl From<usize> for Tolerance {
    fn from(count: usize) -> Tolerance {
        Tolerance(Wanted::Count(count))
    }
}

/// The data of the error `MapFailed`: more items of a fan-out have failed than may. Get it with
/// [`Error::data`](crate::Error::data). Everything that had begun has ended; what had not was not begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MapFailed {
    /// How many items there are.
    pub items: usize,
    /// How many have failed.
    pub failures: usize,
    /// How many may.
    pub tolerated: usize,
    /// Those that have, in their order: at most the first 100.
    pub failed: Vec<FailedBranch>,
}

/// The data of the error `AnyFailed`: every branch of a [`Ctx::any`](crate::Ctx::any) has failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnyFailed {
    /// How many there were.
    pub failures: usize,
    /// What they failed with, in their order: at most the first 100.
    pub failed: Vec<FailedBranch>,
}

/// A branch or an item that failed, as an error lists it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedBranch {
    /// Its place, from 0.
    pub index: usize,
    /// The item's key, in a fan-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// What it failed with.
    pub error: BranchError,
}

/// The error of a branch, as an error lists it: its message may be cut.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BranchError {
    /// Its name.
    pub name: String,
    /// Its message.
    pub message: String,
    /// Its code, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
}

/// More items than may have failed with these errors. The function's policy has its say only where what failed has had no
/// retries of its own.
pub(crate) fn map_failed(keys: &[String], errors: &[(usize, &Error)], tolerated: usize) -> Error {
    let failed = errors.iter().take(LISTED_MAX).map(|(index, error)| listed(*index, Some(keys[*index].clone()), error));
    let (items, failures, failed) = (keys.len(), errors.len(), failed.collect::<Vec<_>>());
    let message = format!("{failures} of {items} items failed, {tolerated} may: {}", named(&failed, failures));
    let is_final = errors.iter().filter(|(_, error)| !error.is_retryable()).count() > tolerated;
    made("MapFailed", message, is_final).with_data(MapFailed { items, failures, tolerated, failed })
}

/// All branches have failed with these errors.
pub(crate) fn any_failed(errors: &[&Error]) -> Error {
    let failed: Vec<_> =
        errors.iter().take(LISTED_MAX).enumerate().map(|(index, error)| listed(index, None, error)).collect();
    let failures = errors.len();
    let message = format!("all {failures} branches failed: {}", named(&failed, failures));
    let is_final = errors.iter().all(|error| !error.is_retryable());
    made("AnyFailed", message, is_final).with_data(AnyFailed { failures, failed })
}

fn made(name: &str, message: String, is_final: bool) -> Error {
    if is_final { Error::terminal(name, message) } else { Error::new(name, message) }
}

fn listed(index: usize, key: Option<String>, error: &Error) -> FailedBranch {
    let message = error.message().chars().take(MESSAGE_CHARS_MAX).collect();
    let error = BranchError { name: error.name().to_owned(), message, code: error.code().map(str::to_owned) };
    FailedBranch { index, key, error }
}

fn named(failed: &[FailedBranch], failures: usize) -> String {
    let one = |branch: &FailedBranch| {
        let name = branch.key.clone().unwrap_or_else(|| branch.index.to_string());
        format!("{name} ({}: {})", branch.error.name, branch.error.message)
    };
    let mut named: Vec<String> = failed.iter().take(NAMED_MAX).map(one).collect();
    if failures > named.len() {
        named.push("…".to_owned());
    }
    named.join(", ")
}
