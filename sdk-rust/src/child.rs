//! Children and events: what a run sets going outside itself.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Failure, StepError};
use crate::event::{self, Outgoing};
use crate::fan_out::Entered;
use crate::function::Callable;
use crate::labels::{AttributeValue, Labels};
use crate::object;
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
    parent_close: Option<ParentClose>,
    value: PhantomData<fn() -> T>,
}

/// The future of a detached child's run id, made by [`Ctx::start`](crate::Ctx::start).
#[must_use = "a child is not started unless this is awaited"]
pub struct Start {
    call: Call,
    child: Child,
}

/// What becomes of a child when the run that waits for it ends first: [`Invoke::parent_close`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParentClose {
    /// It is cancelled. So it is, too, where nothing is said.
    Cancel,
    /// It is left alone.
    Abandon,
    /// The run does not end before the child has.
    Wait,
}

impl ParentClose {
    fn as_str(self) -> &'static str {
        match self {
            ParentClose::Cancel => "cancel",
            ParentClose::Abandon => "abandon",
            ParentClose::Wait => "wait",
        }
    }
}

/// Which function, with what.
struct Child {
    target: String,
    key: Option<String>,
    input: Option<Result<Raw, Error>>,
    labels: Labels,
}

impl<T> Invoke<T> {
    pub(crate) fn new<C: Callable>(call: Call, function: &C, input: &C::Input) -> Invoke<T> {
        Invoke { call, child: Child::new(function, input), timeout: None, parent_close: None, value: PhantomData }
    }

    /// Gives up after this time, with an error named `Timeout`; the child is cancelled.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// A tag that people find the child by, besides those that were named.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.child.labels.tags.insert(tag.into());
        self
    }

    /// An attribute that people find the child by, besides those that were named.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
        self.child.labels.attributes.insert(name.into(), value.into());
        self
    }

    /// What becomes of the child when this run ends before it, as when the wait lost a `select!`.
    pub fn parent_close(mut self, policy: ParentClose) -> Self {
        self.parent_close = Some(policy);
        self.call.hold_end(policy == ParentClose::Wait);
        self
    }
}

impl<T: DeserializeOwned> Future for Invoke<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let (child, timeout, parent_close) = (&mut this.child, this.timeout, this.parent_close);
        let params =
            || Ok(child.params(timeout)?.optional_text("parentClose", parent_close.map(ParentClose::as_str)).finish());
        let arrived = ready!(this.call.poll_outcome(cx, params));
        Poll::Ready(match arrived {
            Ok(Arrived::Value(value)) => value.decode(&format!("the result of child `{}`", this.call.id)),
            Ok(Arrived::Timeout) => Err(child_timed_out(&this.call.id)),
            Err(error) => Err(error),
        })
    }
}

impl Start {
    pub(crate) fn new<C: Callable>(call: Call, function: &C, input: &C::Input) -> Start {
        Start { call, child: Child::new(function, input) }
    }

    /// A tag that people find the child by, besides those that were named.
    pub fn tag(mut self, tag: impl Into<String>) -> Self {
        self.child.labels.tags.insert(tag.into());
        self
    }

    /// An attribute that people find the child by, besides those that were named.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<AttributeValue>) -> Self {
        self.child.labels.attributes.insert(name.into(), value.into());
        self
    }
}

impl Future for Start {
    type Output = Result<String, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let child = &mut this.child;
        let arrived = ready!(this.call.poll_outcome(cx, || Ok(child.params(None)?.yes("detached").finish())));
        Poll::Ready(arrived.and_then(|arrived| ids(&arrived)).and_then(first))
    }
}

impl Child {
    fn new<C: Callable>(function: &C, input: &C::Input) -> Child {
        let target = function.target().to_owned();
        let input = Raw::encode(input, &format!("the input of `{target}`"));
        Child { target, key: function.key().map(str::to_owned), input: Some(input), labels: Labels::default() }
    }

    /// Asked for once: an entry's parameters stand from its registration on.
    fn params(&mut self, timeout: Option<Duration>) -> Result<ObjectWriter, Error> {
        let input = self.input.take().unwrap_or_else(|| Ok(Raw::null()))?;
        let key = self.key.as_deref();
        if let Some(key) = key {
            object::check_key(key)?;
        }
        let (app, function) = object::app_of(&self.target, key.is_some());
        let params = ObjectWriter::new()
            .optional_text("app", app)
            .text("function", function)
            .optional_text("key", key)
            .raw("input", &input)
            .duration("timeout", timeout.map(bounded).transpose()?);
        self.labels.write(params)
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
