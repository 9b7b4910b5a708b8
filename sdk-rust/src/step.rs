//! Steps: memoized units of user code.
//!
//! [`Run`] is the future of one. Its body is polled inside it, so it may borrow from the handler; it runs only when the
//! journal has no outcome, and only once everything that the journal does have has been delivered. A body that is dropped
//! with its future (the loser of a `select!`) goes unreported, and so does one that a cancellation interrupts: being
//! dropped is how a body is told to stop.

use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::duration;
use crate::error::{Error, Failure};
use crate::fan_out::Entered;
use crate::function::Retry;
use crate::raw::{ObjectWriter, Raw};
use crate::replay::call::{Call, Replay};
use crate::replay::frame;
use crate::replay::state::{Arrived, StepPoll};
use crate::wire::Report;

/// What a step's body knows about itself.
#[derive(Debug, Clone)]
pub struct Step {
    attempt: u32,
    idempotency_key: String,
    deadline: Option<SystemTime>,
    last_error: Option<Failure>,
}

impl Step {
    /// Which attempt this is, from 1.
    pub fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Text that is equal over all attempts of this step and belongs to it alone: hand it to the payment provider.
    pub fn idempotency_key(&self) -> String {
        self.idempotency_key.clone()
    }

    /// When the body will be given up, if the step has a time-out.
    pub fn deadline(&self) -> Option<SystemTime> {
        self.deadline
    }

    /// Why the attempt before this one failed.
    pub fn last_error(&self) -> Option<Error> {
        self.last_error.clone().map(Error::own)
    }
}

/// What a step runs: a function of [`Step`] that gives a future of a result.
///
/// Implemented for closures. It ties the future's type to the closure's, so that a step whose body borrows can be joined
/// with others in a handler that must be `Send`: with the two as separate parameters the compiler cannot see that they
/// borrow the same.
pub trait Body<T> {
    /// The body's future.
    type Future: Future<Output = Result<T, Self::Error>>;
    /// What it fails with.
    type Error: Into<Error>;

    /// Makes the future; what this does itself belongs to the body.
    fn begin(self, step: Step) -> Self::Future;
}

impl<F, Fut, T, E> Body<T> for F
where
    F: FnOnce(Step) -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: Into<Error>,
{
    type Future = Fut;
    type Error = E;

    fn begin(self, step: Step) -> Fut {
        self(step)
    }
}

/// The future of a step, made by [`Ctx::run`](crate::Ctx::run).
#[must_use = "a step does nothing unless it is awaited"]
pub struct Run<F: Body<T>, T> {
    call: Call,
    retry: Option<Retry>,
    timeout: Option<Duration>,
    body: Option<F>,
    running: Option<Running<F::Future>>,
    value: PhantomData<fn() -> T>,
}

struct Running<Fut> {
    body: Pin<Box<Fut>>,
    limit: Option<Pin<Box<tokio::time::Sleep>>>,
    attempt: u32,
    started_at: SystemTime,
}

// Nothing is pinned in place: the body has a box of its own.
impl<F: Body<T>, T> Unpin for Run<F, T> {}

impl<F: Body<T>, T> Run<F, T> {
    pub(crate) fn new(call: Call, body: F) -> Run<F, T> {
        Run { call, retry: None, timeout: None, body: Some(body), running: None, value: PhantomData }
    }

    /// How often and how fast failed attempts are repeated; without it five attempts, from 1 s on, doubling.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// How long one attempt may take; what takes longer is dropped and fails with a retryable `Timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

impl<F: Body<T>, T: Serialize + DeserializeOwned> Future for Run<F, T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        if this.running.is_some() {
            if let Poll::Ready(outcome) = this.call.poll_interruption(cx) {
                this.stop();
                return Poll::Ready(decode(outcome, &this.call.id));
            }
        } else {
            let (retry, timeout) = (this.retry.as_ref(), this.timeout);
            match this.call.poll_step(cx, || Ok(params(retry, timeout))) {
                StepPoll::Pending => return Poll::Pending,
                StepPoll::Outcome(outcome) => return Poll::Ready(decode(outcome, &this.call.id)),
                StepPoll::Start { attempt, error } => this.start(attempt, error),
            }
        }
        this.poll_body(cx);
        Poll::Pending
    }
}

impl<F: Body<T>, T: Serialize + DeserializeOwned> Run<F, T> {
    fn start(&mut self, attempt: u32, last_error: Option<Failure>) {
        let Some(body) = self.body.take() else { return };
        let replay = Arc::clone(&self.call.replay);
        let started_at = replay.host.clock.now();
        if let Some(outcome) = replay.stub(&self.call.id) {
            return self.end(outcome, attempt, started_at);
        }
        let step = Step {
            attempt,
            idempotency_key: format!("{}/{}", replay.run.id, self.call.id),
            deadline: self.timeout.and_then(|timeout| started_at.checked_add(timeout)),
            last_error,
        };
        let timeout = self.timeout;
        let begun = inside(&replay, || {
            (Box::pin(body.begin(step)), timeout.map(|timeout| Box::pin(tokio::time::sleep(timeout))))
        });
        match begun {
            Ok((body, limit)) => self.running = Some(Running { body, limit, attempt, started_at }),
            Err(panic) => self.end(Err(panic), attempt, started_at),
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) {
        let Some(running) = &mut self.running else { return };
        let (attempt, started_at) = (running.attempt, running.started_at);
        let replay = Arc::clone(&self.call.replay);
        let polled = inside(&replay, || {
            if let Poll::Ready(result) = running.body.as_mut().poll(cx) {
                let what = "the step's outcome";
                return Poll::Ready(result.map_err(Into::into).and_then(|value| Raw::encode(&value, what)));
            }
            match running.limit.as_mut().map(|limit| limit.as_mut().poll(cx)) {
                Some(Poll::Ready(())) => Poll::Ready(Err(timed_out(self.timeout))),
                _ => Poll::Pending,
            }
        });
        match polled {
            Ok(Poll::Pending) => {}
            Ok(Poll::Ready(outcome)) => self.end(outcome, attempt, started_at),
            Err(panic) => self.end(Err(panic), attempt, started_at),
        }
    }

    fn end(&mut self, outcome: Result<Raw, Error>, attempt: u32, started_at: SystemTime) {
        self.stop();
        let outcome = outcome.map_err(Error::into_failure);
        let ended_at = self.call.replay.host.clock.now();
        self.call.report(Report { outcome, attempt, started_at, ended_at });
    }

    /// Drops the body, whether it has ended or not.
    fn stop(&mut self) {
        let running = self.running.take();
        // A destructor in the body is the body's, and so is its panic; the outcome stands.
        let _ = inside(&self.call.replay, || drop(running));
    }
}

impl<F: Body<T>, T> Entered for Run<F, T> {
    fn call(&self) -> &Call {
        &self.call
    }
}

/// Runs a piece of the body: marked as such, and with its panics turned into errors.
fn inside<R>(replay: &Replay, piece: impl FnOnce() -> R) -> Result<R, Error> {
    let _frame = frame::enter(replay.frame(true));
    catch_unwind(AssertUnwindSafe(piece)).map_err(|payload| Error::panic(payload.as_ref(), "the step's body"))
}

fn decode<T: DeserializeOwned>(outcome: Result<Arrived, Error>, id: &str) -> Result<T, Error> {
    match outcome? {
        Arrived::Value(value) => value.decode(&format!("the outcome of `{id}`")),
        Arrived::Timeout => Err(Error::terminal("Timeout", format!("`{id}` took too long"))),
    }
}

fn params(retry: Option<&Retry>, timeout: Option<Duration>) -> Raw {
    if retry.is_none() && timeout.is_none() {
        return Raw::empty_object();
    }
    let mut params = ObjectWriter::new();
    if let Some(retry) = retry {
        params = params.raw("retry", &retry.to_raw());
    }
    params.duration("timeout", timeout).finish()
}

fn timed_out(timeout: Option<Duration>) -> Error {
    Error::new("Timeout", format!("the body took longer than {}", duration::format(timeout.unwrap_or_default())))
}
