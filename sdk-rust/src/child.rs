//! Children and events: what a run sets going outside itself.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Failure, StepError};
use crate::event::{self, Outgoing};
use crate::fan_out::Entered;
use crate::raw::{ObjectWriter, Raw};
use crate::replay::call::Call;
use crate::replay::state::Arrived;
use crate::wait::bounded;
use crate::wire::OpKind;

/// The future of a child's result, made by [`Ctx::call`](crate::Ctx::call).
#[must_use = "a child is not started unless this is awaited"]
pub struct Invoke<T> {
    call: Call,
    child: Child,
    timeout: Option<Duration>,
    value: PhantomData<fn() -> T>,
}

/// The future of a detached child's run id, made by [`Ctx::start`](crate::Ctx::start).
#[must_use = "a child is not started unless this is awaited"]
pub struct Start {
    call: Call,
    child: Child,
}

/// Which function, with what.
struct Child {
    target: String,
    input: Option<Result<Raw, Error>>,
}

impl<T> Invoke<T> {
    pub(crate) fn new<I: Serialize>(call: Call, target: &str, input: &I) -> Invoke<T> {
        Invoke { call, child: Child::new(target, input), timeout: None, value: PhantomData }
    }

    /// Gives up after this time, with an error named `Timeout`; the child is cancelled.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<T: DeserializeOwned> Future for Invoke<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (child, timeout) = (&mut this.child, this.timeout);
        let arrived = ready!(this.call.poll_outcome(cx, || child.params(timeout, false)));
        Poll::Ready(match arrived {
            Ok(Arrived::Value(value)) => value.decode(&format!("the result of child `{}`", this.call.id)),
            Ok(Arrived::Timeout) => Err(child_timed_out(&this.call.id)),
            Err(error) => Err(error),
        })
    }
}

impl Start {
    pub(crate) fn new<I: Serialize>(call: Call, target: &str, input: &I) -> Start {
        Start { call, child: Child::new(target, input) }
    }
}

impl Future for Start {
    type Output = Result<String, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let child = &mut this.child;
        let arrived = ready!(this.call.poll_outcome(cx, || child.params(None, true)));
        Poll::Ready(arrived.and_then(|arrived| ids(&arrived)).and_then(first))
    }
}

impl Child {
    fn new<I: Serialize>(target: &str, input: &I) -> Child {
        Child { target: target.to_owned(), input: Some(Raw::encode(input, &format!("the input of `{target}`"))) }
    }

    /// Asked for once: an entry's parameters stand from its registration on.
    fn params(&mut self, timeout: Option<Duration>, detached: bool) -> Result<Raw, Error> {
        let input = self.input.take().unwrap_or_else(|| Ok(Raw::null()))?;
        let (app, function) = match self.target.split_once('/') {
            Some((app, function)) => (Some(app), function),
            None => (None, self.target.as_str()),
        };
        let params = ObjectWriter::new()
            .optional_text("app", app)
            .text("function", function)
            .raw("input", &input)
            .duration("timeout", timeout.map(bounded).transpose()?);
        Ok(if detached { params.yes("detached") } else { params }.finish())
    }
}

/// The future of sent events' ids, made by [`Ctx::send`](crate::Ctx::send).
#[must_use = "nothing is sent unless this is awaited"]
pub struct Sending<T> {
    call: Call,
    events: Vec<Outgoing>,
    read: fn(Vec<String>) -> Result<T, Error>,
}

impl Sending<String> {
    pub(crate) fn one(call: Call, event: Outgoing) -> Sending<String> {
        Sending { call, events: vec![event], read: first }
    }
}

impl Sending<Vec<String>> {
    pub(crate) fn all(call: Call, events: Vec<Outgoing>) -> Sending<Vec<String>> {
        Sending { call, events, read: Ok }
    }
}

impl<T> Future for Sending<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let events = &this.events;
        let params = || Ok(ObjectWriter::new().raw("events", &event::write_all(events)?).finish());
        let arrived = ready!(this.call.poll_outcome(cx, params));
        Poll::Ready(arrived.and_then(|arrived| ids(&arrived)).and_then(this.read))
    }
}

impl<T> Entered for Invoke<T> {
    fn call(&self) -> &Call {
        &self.call
    }
}

impl Entered for Start {
    fn call(&self) -> &Call {
        &self.call
    }
}

impl<T> Entered for Sending<T> {
    fn call(&self) -> &Call {
        &self.call
    }
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<String>,
}

fn ids(arrived: &Arrived) -> Result<Vec<String>, Error> {
    match arrived {
        Arrived::Value(value) => Ok(value.decode::<Ids>("the list of ids")?.ids),
        Arrived::Timeout => Err(Error::terminal("ProtocolError", "an entry that settles at once has timed out")),
    }
}

fn first(ids: Vec<String>) -> Result<String, Error> {
    ids.into_iter().next().ok_or_else(|| Error::terminal("ProtocolError", "the server gave no id"))
}

fn child_timed_out(id: &str) -> Error {
    let failure = Failure::new("Timeout".to_owned(), format!("the child `{id}` took too long"), false);
    Error::recorded(failure, StepError { id: id.to_owned(), op: OpKind::Invoke.as_str() })
}
