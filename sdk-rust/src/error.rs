//! Errors that cross the journal.
//!
//! There is one error type in handlers and step bodies. Whatever implements `std::error::Error` becomes one by `?` and is
//! retryable; [`Error::terminal`] makes one that is not. What the journal holds of an error (`Failure`) is what a handler
//! gets back, on the first try as on every replay. `Error` deliberately does not implement `std::error::Error` itself:
//! that is what lets `?` convert every error that does.

use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::duration;

/// Causes kept of one error: enough to see where it came from, bounded because chains can be loops.
const CAUSES_MAX: usize = 8;

/// Why a step, a wait, a child or a whole run failed.
///
/// ```
/// use backstitch::{DurationExt, Error};
///
/// // Any error is retryable as it comes ...
/// let io: Error = std::io::Error::other("connection reset").into();
/// assert!(io.is_retryable());
///
/// // ... and these say what should happen.
/// let declined = Error::terminal("CardDeclined", "the bank said no").with_code("51");
/// assert!(!declined.is_retryable());
/// let busy = Error::new("Busy", "the warehouse is counting").retry_after(5.minutes());
/// assert!(busy.is_retryable());
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    failure: Failure,
    origin: Origin,
}

/// Where an error comes from: what decides whether failing with it is final.
enum Origin {
    /// Made by the user's code, or by the SDK about it.
    Own,
    /// The recorded outcome of an entry.
    Entry(StepError),
}

/// Facts about the entry whose recorded failure an [`Error`] is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepError {
    /// The entry's id in the journal, scopes included.
    pub id: String,
    /// What kind of entry it is: `step`, `invoke`, `waitSignal` ...
    pub op: &'static str,
}

impl Error {
    /// The name of the error that a cancelled run's waits and steps end with.
    pub(crate) const CANCELLED: &str = "CancelledError";

    /// A retryable error: the policy of the step or function decides how often.
    pub fn new(name: impl Into<String>, message: impl Into<String>) -> Error {
        Error::own(Failure::new(name.into(), message.into(), true))
    }

    /// An error that no retry will help.
    pub fn terminal(name: impl Into<String>, message: impl Into<String>) -> Error {
        Error::own(Failure::new(name.into(), message.into(), false))
    }

    /// The same error, retryable, and not before `delay` has passed.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Error {
        self.0.failure.retryable = true;
        self.0.failure.retry_after = Some(Delay::Text(duration::format(delay)));
        self
    }

    /// Adds a code for programs, next to the name.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Error {
        self.0.failure.code = Some(Value::String(code.into()));
        self
    }

    /// Adds data for whoever catches the error. What JSON cannot hold is left out.
    #[must_use]
    pub fn with_data(mut self, data: impl Serialize) -> Error {
        self.0.failure.data = serde_json::to_value(data).ok();
        self
    }

    /// Adds what led to this error.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Error>) -> Error {
        self.0.failure.cause = Some(Box::new(cause.into().0.failure));
        self
    }

    /// The error's kind, such as `CardDeclined`; for converted errors the name of their type.
    pub fn name(&self) -> &str {
        &self.0.failure.name
    }

    /// What happened, for people.
    pub fn message(&self) -> &str {
        &self.0.failure.message
    }

    /// The code, if the error has one that is a string.
    pub fn code(&self) -> Option<&str> {
        self.0.failure.code.as_ref().and_then(Value::as_str)
    }

    /// The data, decoded; `None` if there is none or it is of another shape.
    pub fn data<T: DeserializeOwned>(&self) -> Option<T> {
        self.0.failure.data.as_ref().and_then(|data| T::deserialize(data).ok())
    }

    /// What led to this error, as an error of its own.
    pub fn cause(&self) -> Option<Error> {
        self.0.failure.cause.as_deref().map(|cause| Error::own(cause.clone()))
    }

    /// Whether a retry may help. A recorded failure is final: its retries are over.
    pub fn is_retryable(&self) -> bool {
        self.0.failure.retryable
    }

    /// Whether this is the run's cancellation. Entries that are created afterwards run normally until the grace ends, so
    /// that what was done can be undone.
    pub fn is_cancelled(&self) -> bool {
        self.step().is_some() && self.name() == Error::CANCELLED
    }

    /// The entry whose recorded failure this is; `None` for errors of the handler's own.
    pub fn step(&self) -> Option<&StepError> {
        match &self.0.origin {
            Origin::Own => None,
            Origin::Entry(step) => Some(step),
        }
    }

    pub(crate) fn own(failure: Failure) -> Error {
        Error(Box::new(Inner { failure, origin: Origin::Own }))
    }

    /// The recorded failure of an entry. It is final whatever it was when it was thrown.
    pub(crate) fn recorded(mut failure: Failure, step: StepError) -> Error {
        failure.retryable = false;
        failure.retry_after = None;
        Error(Box::new(Inner { failure, origin: Origin::Entry(step) }))
    }

    /// What an entry ends with that was open when the run was cancelled.
    pub(crate) fn cancelled(step: StepError) -> Error {
        let message = format!("the run was cancelled while `{}` was open", step.id);
        Error::recorded(Failure::new(Error::CANCELLED.to_owned(), message, false), step)
    }

    /// What a panic with this payload becomes: retryable, since a deployment may heal it.
    pub(crate) fn panic(payload: &(dyn std::any::Any + Send), place: &str) -> Error {
        let said = payload
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| payload.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "a value that is no text".to_owned());
        Error::new("Panic", format!("{place} panicked: {said}"))
    }

    pub(crate) fn into_failure(self) -> Failure {
        self.0.failure
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Error {
        let mut failure = Failure::new(type_name::<E>(), error.to_string(), true);
        failure.cause = causes(error.source(), CAUSES_MAX);
        Error::own(failure)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.message())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")?;
        if let Some(step) = self.step() {
            write!(f, " (recorded by {} `{}`)", step.op, step.id)?;
        }
        let mut cause = self.0.failure.cause.as_deref();
        while let Some(failure) = cause {
            write!(f, "\n  caused by {}: {}", failure.name, failure.message)?;
            cause = failure.cause.as_deref();
        }
        Ok(())
    }
}

/// An error as the journal holds it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Failure {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) code: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) data: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) stack: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) cause: Option<Box<Failure>>,
    #[serde(default)]
    pub(crate) retryable: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<Delay>,
}

/// A duration as the wire may write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Delay {
    Millis(u64),
    Text(String),
}

impl Failure {
    pub(crate) fn new(name: String, message: String, retryable: bool) -> Failure {
        Failure { name, message, code: None, data: None, stack: None, cause: None, retryable, retry_after: None }
    }
}

/// The last segment of a type's path, without generics: `ParseIntError` of `core::num::error::ParseIntError`.
fn type_name<E>() -> String {
    let path = std::any::type_name::<E>();
    let path = path.split('<').next().unwrap_or(path);
    let name = path.rsplit("::").next().unwrap_or(path);
    name.trim_start_matches('&').to_owned()
}

fn causes(source: Option<&(dyn std::error::Error + 'static)>, left: usize) -> Option<Box<Failure>> {
    let source = source.filter(|_| left > 0)?;
    let mut failure = Failure::new("Error".to_owned(), source.to_string(), true);
    failure.cause = causes(source.source(), left - 1);
    Some(Box::new(failure))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_with_name_and_causes() {
        #[derive(Debug)]
        struct PaymentFailed(std::num::ParseIntError);
        impl fmt::Display for PaymentFailed {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the amount is unreadable")
            }
        }
        impl std::error::Error for PaymentFailed {
            fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
                Some(&self.0)
            }
        }
        let error = Error::from(PaymentFailed("x".parse::<i32>().unwrap_err()));
        assert_eq!(error.name(), "PaymentFailed");
        assert!(error.is_retryable());
        assert_eq!(error.cause().unwrap().message(), "invalid digit found in string");
    }

    #[test]
    fn a_recorded_failure_is_final() {
        let step = StepError { id: "charge".to_owned(), op: "step" };
        let error = Error::recorded(Failure::new("Down".to_owned(), "no".to_owned(), true), step);
        assert!(!error.is_retryable());
        assert_eq!(error.step().unwrap().id, "charge");
    }

    #[test]
    fn writes_only_what_it_has() {
        let error = Error::new("Busy", "later").retry_after(Duration::from_secs(90)).with_data(7);
        let text = serde_json::to_string(&error.into_failure()).unwrap();
        assert_eq!(text, r#"{"name":"Busy","message":"later","data":7,"retryable":true,"retryAfter":"1m30s"}"#);
    }
}
