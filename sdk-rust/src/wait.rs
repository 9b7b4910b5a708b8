//! Waits: sleeps, signals, events and awakeables.
//!
//! A wait without a time-out gives its value; `.timeout(…)` makes it give `None` when nothing came in time. Its entry is
//! registered when it is first polled, an awakeable's already when its token is taken: whoever answers must find the wait.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::duration::{self, DURATION_MS_MAX};
use crate::error::Error;
use crate::event::Received;
use crate::fan_out::Entered;
use crate::raw::{ObjectWriter, Raw};
use crate::replay::call::Call;
use crate::replay::ids;
use crate::replay::state::Arrived;
use crate::time;

/// The future of a sleep, made by [`Ctx::sleep`](crate::Ctx::sleep).
#[must_use = "a sleep does nothing unless it is awaited"]
pub struct Sleep {
    call: Call,
    end: End,
}

#[derive(Clone, Copy)]
enum End {
    For(Duration),
    Until(SystemTime),
}

impl Sleep {
    pub(crate) fn lasting(call: Call, duration: Duration) -> Sleep {
        Sleep { call, end: End::For(duration) }
    }

    pub(crate) fn until(call: Call, time: SystemTime) -> Sleep {
        Sleep { call, end: End::Until(time) }
    }
}

impl Future for Sleep {
    type Output = Result<(), Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let end = self.end;
        let params = || match end {
            End::For(duration) => Ok(ObjectWriter::new().duration("for", Some(bounded(duration)?)).finish()),
            End::Until(time) => Ok(ObjectWriter::new().text("until", &time::format(time)).finish()),
        };
        let outcome = ready!(self.call.poll_outcome(cx, params));
        Poll::Ready(outcome.map(|_| ()))
    }
}

impl Entered for Sleep {
    fn call(&self) -> &Call {
        &self.call
    }
}

/// A wait for a signal, made by [`Ctx::signal`](crate::Ctx::signal).
#[must_use = "a wait does nothing unless it is awaited"]
pub struct Signal<T>(Wait<T>);

impl<T: DeserializeOwned> Signal<T> {
    pub(crate) fn new(call: Call, name: &str) -> Signal<T> {
        Signal(Wait::new(call, Spec::Signal(name.to_owned()), value::<T>))
    }

    /// Gives `None` when nothing came within this time.
    pub fn timeout(self, timeout: Duration) -> Signal<Option<T>> {
        Signal(self.0.timeout(timeout, optional::<T>))
    }
}

/// A wait for an event, made by [`Ctx::event`](crate::Ctx::event).
#[must_use = "a wait does nothing unless it is awaited"]
pub struct EventWait<T>(Wait<T>);

impl<T: DeserializeOwned> EventWait<Received<T>> {
    pub(crate) fn new(call: Call, name: &str) -> EventWait<Received<T>> {
        let spec = Spec::Event { name: name.to_owned(), when: None, since_now: false };
        EventWait(Wait::new(call, spec, received::<T>))
    }

    /// Gives `None` when nothing came within this time.
    pub fn timeout(self, timeout: Duration) -> EventWait<Option<Received<T>>> {
        EventWait(self.0.timeout(timeout, optional_received::<T>))
    }
}

impl<T> EventWait<T> {
    /// Only events for which this CEL expression holds: `event` is the run's trigger, `async` the awaited one, as in
    /// `async.data.id == event.data.id`.
    pub fn when(mut self, expression: impl Into<String>) -> Self {
        if let Spec::Event { when, .. } = &mut self.0.spec {
            *when = Some(expression.into());
        }
        self
    }

    /// Only events that are accepted after the wait is registered, instead of all since the run was created.
    pub fn since_now(mut self) -> Self {
        if let Spec::Event { since_now, .. } = &mut self.0.spec {
            *since_now = true;
        }
        self
    }
}

/// A wait with a token, made by [`Ctx::awakeable`](crate::Ctx::awakeable).
#[must_use = "a wait does nothing unless it is awaited, or its token taken"]
pub struct Awakeable<T>(Wait<T>);

impl<T: DeserializeOwned> Awakeable<T> {
    pub(crate) fn new(call: Call) -> Awakeable<T> {
        Awakeable(Wait::new(call, Spec::Awakeable, value::<T>))
    }

    /// Gives `None` when nobody answered within this time. Goes before [`Awakeable::token`].
    pub fn timeout(self, timeout: Duration) -> Awakeable<Option<T>> {
        Awakeable(self.0.timeout(timeout, optional::<T>))
    }
}

impl<T> Awakeable<T> {
    /// The token with which anyone may settle this wait: `POST /v1/awakeables/{token}` with `{"ok": …}` or
    /// `{"err": {"name", "message"}}`. Taking it registers the wait, so nobody can answer too early. Fails where durable
    /// calls fail: in a step's body and in a spawned task.
    pub fn token(&mut self) -> Result<String, Error> {
        let wait = &mut self.0;
        wait.call.register(|| wait.spec.params(wait.timeout))?;
        let run = &wait.call.replay.run;
        Ok(ids::awakeable_token(&run.id, &run.secret, &wait.call.id))
    }
}

macro_rules! future_of_its_wait {
    ($($wait:ident),*) => {$(
        impl<T> Future for $wait<T> {
            type Output = Result<T, Error>;

            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.0.poll(cx)
            }
        }

        impl<T> Entered for $wait<T> {
            fn call(&self) -> &Call {
                &self.0.call
            }
        }
    )*};
}

future_of_its_wait!(Signal, EventWait, Awakeable);

/// What the three have in common.
struct Wait<T> {
    call: Call,
    spec: Spec,
    timeout: Option<Duration>,
    read: Read<T>,
}

/// Makes the wait's value of what arrived; the text names the entry.
type Read<T> = fn(Arrived, &str) -> Result<T, Error>;

enum Spec {
    Signal(String),
    Event { name: String, when: Option<String>, since_now: bool },
    Awakeable,
}

impl<T> Wait<T> {
    fn new(call: Call, spec: Spec, read: Read<T>) -> Wait<T> {
        Wait { call, spec, timeout: None, read }
    }

    fn timeout<U>(self, timeout: Duration, read: Read<U>) -> Wait<U> {
        Wait { call: self.call, spec: self.spec, timeout: Some(timeout), read }
    }

    fn poll(&mut self, cx: &Context<'_>) -> Poll<Result<T, Error>> {
        let (spec, timeout) = (&self.spec, self.timeout);
        let arrived = ready!(self.call.poll_outcome(cx, || spec.params(timeout)));
        Poll::Ready(arrived.and_then(|arrived| (self.read)(arrived, &self.call.id)))
    }
}

impl Spec {
    fn params(&self, timeout: Option<Duration>) -> Result<Raw, Error> {
        let timeout = timeout.map(bounded).transpose()?;
        let params = ObjectWriter::new();
        Ok(match self {
            Spec::Signal(name) => params.text("signal", name).duration("timeout", timeout),
            Spec::Awakeable => params.yes("awakeable").duration("timeout", timeout),
            Spec::Event { name, when, since_now } => params
                .text("event", name)
                .optional_text("if", when.as_deref())
                .duration("timeout", timeout)
                .optional_text("since", since_now.then_some("now")),
        }
        .finish())
    }
}

fn value<T: DeserializeOwned>(arrived: Arrived, id: &str) -> Result<T, Error> {
    match arrived {
        Arrived::Value(value) => value.decode(&format!("what `{id}` waited for")),
        Arrived::Timeout => {
            Err(Error::terminal("Timeout", format!("`{id}` timed out, which the code does not expect")))
        }
    }
}

fn optional<T: DeserializeOwned>(arrived: Arrived, id: &str) -> Result<Option<T>, Error> {
    match arrived {
        Arrived::Timeout => Ok(None),
        arrived => value(arrived, id).map(Some),
    }
}

fn received<T: DeserializeOwned>(arrived: Arrived, id: &str) -> Result<Received<T>, Error> {
    #[derive(Deserialize)]
    struct EventBody<T> {
        id: String,
        name: String,
        data: T,
        at: String,
    }
    let event: EventBody<T> = value(arrived, id)?;
    let at = time::parse(&event.at).map_err(|reason| Error::terminal("DeserializationError", reason))?;
    Ok(Received { id: event.id, name: event.name, data: event.data, at })
}

fn optional_received<T: DeserializeOwned>(arrived: Arrived, id: &str) -> Result<Option<Received<T>>, Error> {
    match arrived {
        Arrived::Timeout => Ok(None),
        arrived => received(arrived, id).map(Some),
    }
}

/// A duration that the server takes.
pub(crate) fn bounded(duration: Duration) -> Result<Duration, Error> {
    if duration::to_ms(duration) > DURATION_MS_MAX {
        let message = format!("a wait of {duration:?} is longer than ten years");
        return Err(Error::terminal("InvalidDurationError", message));
    }
    Ok(duration)
}
