//! Updates: signals with a reply. Whoever sends one waits for what the handler answers.
//!
//! Data of another shape than the handler expects are rejected before it hears of them, and the wait goes on under the next
//! repeat of its id, for what is left of its time.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::{Error, Failure};
use crate::fan_out::Entered;
use crate::raw::{ObjectWriter, Raw};
use crate::replay::call::{Call, Replay};
use crate::replay::state::Arrived;
use crate::wait::bounded;

/// An update that has come. Answer it with [`Update::reply`] or [`Update::reject`]; the first answer counts. If the run ends
/// without one, its sender gets an error named `RunEnded`.
#[must_use = "whoever sent the update waits for `reply` or `reject`"]
pub struct Update<T> {
    /// What tells this update from others: the sender's own id, if it gave one.
    pub id: String,
    /// What was sent.
    pub data: T,
    answer: Answer,
}

/// The way back to an update's sender.
struct Answer {
    replay: Arc<Replay>,
    name: String,
}

impl<T> Update<T> {
    /// Answers with a value.
    pub fn reply(&self, value: impl Serialize) -> Result<(), Error> {
        let value = Raw::encode(&value, &format!("the reply to `{}`", self.answer.name))?;
        self.answer.send(&self.id, Ok(value))
    }

    /// Answers with an error, which the sender's call fails with.
    pub fn reject(&self, error: impl Into<Error>) -> Result<(), Error> {
        self.answer.send(&self.id, Err(error.into().into_failure()))
    }
}

impl Answer {
    fn send(&self, update: &str, outcome: Result<Raw, Failure>) -> Result<(), Error> {
        self.replay.check_place(&format!("the reply to {}", self.name))?;
        // Where it was thrown, and whether a retry helps, is the handler's affair.
        let plain = |failure: Failure| Failure {
            code: failure.code,
            data: failure.data,
            ..Failure::new(failure.name, failure.message, false)
        };
        self.replay.core().reply(update.to_owned(), outcome.map_err(plain));
        Ok(())
    }
}

/// A wait for an update, made by [`Ctx::update`](crate::Ctx::update).
#[must_use = "a wait does nothing unless it is awaited"]
pub struct UpdateWait<T>(Wait<T>);

/// A wait for an update that may be over first, made by [`UpdateWait::timeout`].
#[must_use = "a wait does nothing unless it is awaited"]
pub struct TimedUpdate<T>(Wait<T>);

impl<T: DeserializeOwned> UpdateWait<T> {
    pub(crate) fn new(call: Call, scope: &Arc<str>, name: &str) -> UpdateWait<T> {
        let scope = Arc::clone(scope);
        let decode = |data: &Raw, what: &str| data.decode(what);
        UpdateWait(Wait { call, scope, name: name.to_owned(), timeout: None, until: None, decode })
    }

    /// Gives `None` when nothing came within this time.
    pub fn timeout(self, timeout: Duration) -> TimedUpdate<T> {
        TimedUpdate(Wait { timeout: Some(timeout), ..self.0 })
    }
}

struct Wait<T> {
    call: Call,
    scope: Arc<str>,
    name: String,
    timeout: Option<Duration>,
    /// When the time is over, once the wait has begun.
    until: Option<SystemTime>,
    decode: fn(&Raw, &str) -> Result<T, Error>,
}

#[derive(Deserialize)]
struct Came<'a> {
    id: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

impl<T> Wait<T> {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Update<T>>, Error>> {
        loop {
            if let (Some(timeout), None) = (self.timeout, self.until) {
                self.until = self.call.replay.core().now().checked_add(timeout);
            }
            let (name, timeout) = (&self.name, self.timeout);
            let params = || {
                let params = ObjectWriter::new().text("signal", name).yes("update");
                Ok(params.duration("timeout", timeout.map(bounded).transpose()?).finish())
            };
            let value = match ready!(self.call.poll_outcome(cx, params)) {
                Ok(Arrived::Value(value)) => value,
                Ok(Arrived::Timeout) => return Poll::Ready(Ok(None)),
                Err(error) => return Poll::Ready(Err(error)),
            };
            let came: Came<'_> = match serde_json::from_slice(value.as_bytes()) {
                Ok(came) => came,
                Err(error) => {
                    let message = format!("`{}` was settled with what is no update: {error}", self.call.id);
                    return Poll::Ready(Err(Error::terminal("ProtocolError", message)));
                }
            };
            let answer = Answer { replay: Arc::clone(&self.call.replay), name: self.name.clone() };
            match (self.decode)(&value.part(came.data), &format!("the data of update `{}`", self.name)) {
                Ok(data) => return Poll::Ready(Ok(Some(Update { id: came.id, data, answer }))),
                Err(error) => {
                    let refusal = Failure::new("SchemaError".to_owned(), error.message().to_owned(), false);
                    if let Err(error) = answer.send(&came.id, Err(refusal)) {
                        return Poll::Ready(Err(error));
                    }
                }
            }
            let now = self.call.replay.core().now();
            self.timeout = self.until.map(|until| until.duration_since(now).unwrap_or_default());
            self.call = self.call.again(&self.scope);
        }
    }
}

impl<T> Future for UpdateWait<T> {
    type Output = Result<Update<T>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let came = ready!(self.0.poll(cx))?;
        let over =
            || Error::terminal("Timeout", format!("`{}` timed out, which the code does not expect", self.0.call.id));
        Poll::Ready(came.ok_or_else(over))
    }
}

impl<T> Future for TimedUpdate<T> {
    type Output = Result<Option<Update<T>>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

impl<T> Entered for UpdateWait<T> {
    fn call(&self) -> &Call {
        &self.0.call
    }
}

impl<T> Entered for TimedUpdate<T> {
    fn call(&self) -> &Call {
        &self.0.call
    }
}
