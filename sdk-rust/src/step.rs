//! Steps: memoized units of user code.
//!
//! [`Run`] is the future of one. Its body is polled inside it, so it may borrow from the handler; it runs only when the
//! journal has no outcome, and only once everything that the journal does have has been delivered. A body that is dropped
//! with its future (the loser of a `select!`) goes unreported, and so does one that a cancellation interrupts: being
//! dropped is how a body is told to stop.

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::duration;
use crate::error::{Error, Failure};
use crate::fan_out::Entered;
use crate::policy::Retry;
use crate::raw::{ObjectWriter, Raw};
use crate::replay::call::{Call, Replay};
use crate::replay::frame;
use crate::replay::ids;
use crate::replay::state::{Arrived, SlotKey, StepPoll};
use crate::replay::undo::{Undo, UndoBody};
use crate::time;
use crate::wait::bounded;
use crate::wire::{Due, NOTE_BYTES_MAX, OpKind, Report, UNDO};

/// What a step's body knows about itself.
#[derive(Clone)]
pub struct Step {
    attempt: u32,
    idempotency_key: String,
    deadline: Option<SystemTime>,
    last_error: Option<Failure>,
    details: Option<Raw>,
    pulse: Pulse,
}

/// The way of a body's signs of life.
#[derive(Clone)]
struct Pulse {
    replay: Arc<Replay>,
    slot: SlotKey,
    params: Raw,
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

    /// Says that the body is alive and how far it has come: the next attempt gets it as [`Step::details`]. Call it as often
    /// as you like, from wherever the body works; at most one a second is sent. At most 64 KiB.
    ///
    /// ```
    /// # use backstitch::{Ctx, DurationExt, Error};
    /// # async fn copy(row: u64) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn migrate(ctx: Ctx, rows: u64) -> Result<(), Error> {
    ///     ctx.run("copy", |step| async move {
    ///         for row in step.details::<u64>()?.unwrap_or(0)..rows {
    ///             copy(row).await?;
    ///             step.heartbeat(row + 1)?;
    ///         }
    ///         backstitch::Ok(())
    ///     })
    ///     .heartbeat(1.minutes())
    ///     .await
    /// }
    /// ```
    pub fn heartbeat(&self, details: impl Serialize) -> Result<(), Error> {
        let what = "the details of a heartbeat";
        let advice = "say how far the body has come, and keep the rest elsewhere";
        let details = Raw::bounded(&details, what, NOTE_BYTES_MAX, advice)?;
        let Pulse { replay, slot, params } = &self.pulse;
        let waker = replay.core().heartbeat(*slot, params.clone(), self.attempt, details);
        // Whoever polls the body right now looks by itself what there is to send.
        if let Some(waker) = waker.filter(|_| frame::current() != Some(replay.frame(true))) {
            waker.wake();
        }
        Ok(())
    }

    /// The way of what the body publishes.
    pub(crate) fn voice(&self) -> (&Arc<Replay>, SlotKey) {
        (&self.pulse.replay, self.pulse.slot)
    }

    /// What the last heartbeat of an attempt before this one said; `None` on the first, and if there was none.
    pub fn details<T: DeserializeOwned>(&self) -> Result<Option<T>, Error> {
        self.details.as_ref().map(|details| details.decode("what the last heartbeat said")).transpose()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut step = f.debug_struct("Step");
        step.field("attempt", &self.attempt).field("idempotency_key", &self.idempotency_key);
        step.field("deadline", &self.deadline).field("last_error", &self.last_error).field("details", &self.details);
        step.finish_non_exhaustive()
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
    options: Options,
    undo: Option<Undo>,
    body: Option<F>,
    running: Option<Running<F::Future>>,
    value: PhantomData<fn() -> T>,
}

/// What a step's op says about it.
#[derive(Default)]
struct Options {
    retry: Option<Retry>,
    timeout: Option<Duration>,
    heartbeat: Option<Duration>,
    schedule_to_close: Option<Duration>,
    schedule_to_start: Option<Duration>,
    compensate: bool,
    /// The step that this one undoes.
    compensates: Option<String>,
}

struct Running<Fut> {
    body: Pin<Box<Fut>>,
    limit: Option<Pin<Box<tokio::time::Sleep>>>,
    /// Until when the body may be silent, unless it has given a sign of life since.
    silence: Option<Pin<Box<tokio::time::Sleep>>>,
    attempt: u32,
    started_at: SystemTime,
}

// Nothing is pinned in place: the body has a box of its own.
impl<F: Body<T>, T> Unpin for Run<F, T> {}

impl<F: Body<T>, T> Run<F, T> {
    pub(crate) fn new(call: Call, body: F) -> Run<F, T> {
        let options = Options::default();
        Run { call, options, undo: None, body: Some(body), running: None, value: PhantomData }
    }

    /// How often and how fast failed attempts are repeated; without it five attempts, from 1 s on, doubling.
    pub fn retry(mut self, retry: Retry) -> Self {
        self.options.retry = Some(retry);
        self
    }

    /// How long one attempt may take; what takes longer is dropped and fails with a retryable `Timeout`.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// How long an attempt may go without a [`Step::heartbeat`]; what is silent for longer is dropped and fails with a
    /// retryable `Timeout`. So a body that died is found long before a time-out that a living one may need.
    pub fn heartbeat(mut self, silence: Duration) -> Self {
        self.options.heartbeat = Some(silence);
        self
    }

    /// How long the step may take in all, over attempts and the pauses between them. When it is over the step fails with
    /// `Timeout`, whose data has the `lastError`; no attempt begins that would be too late.
    pub fn schedule_to_close(mut self, timeout: Duration) -> Self {
        self.options.schedule_to_close = Some(timeout);
        self
    }

    /// How long an attempt that is due may wait for the handler to begin it, as when no process serves the app.
    pub fn schedule_to_start(mut self, timeout: Duration) -> Self {
        self.options.schedule_to_start = Some(timeout);
        self
    }

    /// How often and how fast failed attempts to undo the step are repeated; without it ten attempts. When none is left the
    /// run is held, until somebody resumes it or says that it was undone by hand.
    pub fn compensate_retry(mut self, retry: Retry) -> Self {
        if let Some(undo) = &mut self.undo {
            undo.retry = Some(retry);
        } else {
            let message = format!("`{}` has a policy for being undone and nothing that undoes it", self.call.name);
            self.call.refuse(Error::terminal("MisuseError", message + ": call `compensate` before `compensate_retry`"));
        }
        self
    }
}

impl<F: Body<T>, T: DeserializeOwned + 'static> Run<F, T> {
    /// How the step is undone, given its result. When the run fails for good, or ends with its cancellation, what succeeded
    /// is undone: the last first, one after the other, each as a step of its own that is retried. Then the run ends.
    ///
    /// ```
    /// # use backstitch::{Ctx, Error, Step};
    /// # async fn pay(cents: u64, key: String) -> Result<String, std::io::Error> { Ok(key) }
    /// # async fn refund(charge: String, key: String) -> Result<(), std::io::Error> { Ok(()) }
    /// # async fn ship() -> Result<(), Error> { Ok(()) }
    /// async fn order(ctx: Ctx, cents: u64) -> Result<(), Error> {
    ///     ctx.run("charge", |step| pay(cents, step.idempotency_key()))
    ///         .compensate(|charge, step: Step| refund(charge, step.idempotency_key()))
    ///         .await?;
    ///     // Whatever fails for good from here on, the money goes back.
    ///     ctx.run("ship", |_| ship()).await
    /// }
    /// ```
    ///
    /// What undoes outlives the handler, so it owns what it uses.
    pub fn compensate<C, Fut, U, E>(mut self, compensation: C) -> Self
    where
        C: FnOnce(T, Step) -> Fut + Send + 'static,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
        U: Serialize,
        E: Into<Error>,
    {
        if let Err(error) = ids::check_undo(&self.call.id) {
            self.call.refuse(error);
        }
        let body: UndoBody = Box::new(move |result, step| {
            let future = result.decode::<T>("the outcome that is to be undone").map(|value| compensation(value, step));
            async move {
                let value = future?.await.map_err(Into::into)?;
                written(&Raw::encode(&value, "the outcome of the compensation")?)
            }
            .boxed()
        });
        self.options.compensate = true;
        self.undo = Some(Undo { body, retry: None });
        self
    }
}

type Undoing = Box<dyn FnOnce(Step) -> BoxFuture<'static, Result<Box<RawValue>, Error>> + Send>;

impl Run<Undoing, Box<RawValue>> {
    /// The step that undoes another one, which has come to `result`.
    pub(crate) fn undoing(replay: &Arc<Replay>, id: &str, result: Raw, undo: Undo) -> Run<Undoing, Box<RawValue>> {
        let name = format!("undo {}", ids::name_of(id));
        let call = Call::known(replay, OpKind::Step, format!("{UNDO}{id}"), name);
        let Undo { body, retry } = undo;
        let mut run: Run<Undoing, Box<RawValue>> = Run::new(call, Box::new(move |step| body(result, step)));
        run.options = Options { retry, compensates: Some(id.to_owned()), ..Options::default() };
        run
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
            let options = &this.options;
            let polled = this.call.poll_step(cx, || options.params());
            if let Some(slot) = this.call.slot()
                && let Some(undo) = this.undo.take()
            {
                this.call.replay.core().keep_undo(slot, undo);
            }
            match polled {
                StepPoll::Pending => return Poll::Pending,
                StepPoll::Outcome(outcome) => return Poll::Ready(decode(outcome, &this.call.id)),
                StepPoll::Start(due) => this.start(due),
            }
        }
        this.poll_body(cx);
        Poll::Pending
    }
}

impl<F: Body<T>, T: Serialize + DeserializeOwned> Run<F, T> {
    fn start(&mut self, due: Due) {
        let (Some(body), Some((slot, params))) = (self.body.take(), self.call.registered()) else { return };
        let replay = Arc::clone(&self.call.replay);
        let started_at = replay.host.clock.now();
        let Due { attempt, error: last_error, details } = due;
        if let Some(outcome) = replay.stub(&self.call.id, attempt) {
            return self.end(outcome, attempt, started_at);
        }
        let Options { timeout, heartbeat, .. } = self.options;
        let step = Step {
            attempt,
            idempotency_key: format!("{}/{}", replay.run.id, self.call.id),
            deadline: timeout.and_then(|timeout| started_at.checked_add(timeout)),
            last_error,
            details,
            pulse: Pulse { replay: Arc::clone(&replay), slot, params },
        };
        let timer = |limit: Duration| Box::pin(tokio::time::sleep(limit));
        let begun = inside(&replay, || (Box::pin(body.begin(step)), timeout.map(timer), heartbeat.map(timer)));
        match begun {
            Ok((body, limit, silence)) => {
                self.running = Some(Running { body, limit, silence, attempt, started_at });
            }
            Err(panic) => self.end(Err(panic), attempt, started_at),
        }
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) {
        let (Some(running), Some(slot)) = (&mut self.running, self.call.slot()) else { return };
        let (attempt, started_at) = (running.attempt, running.started_at);
        let replay = Arc::clone(&self.call.replay);
        let Options { timeout, heartbeat, .. } = self.options;
        let polled = inside(&replay, || {
            if let Poll::Ready(result) = running.body.as_mut().poll(cx) {
                let what = "the step's outcome";
                return Poll::Ready(result.map_err(Into::into).and_then(|value| Raw::encode(&value, what)));
            }
            if let Some(limit) = &mut running.limit
                && limit.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(Err(timed_out("the body took longer than", timeout)));
            }
            if let (Some(silence), Some(heartbeat)) = (&mut running.silence, heartbeat) {
                while silence.as_mut().poll(cx).is_ready() {
                    let until = replay.core().alive_at(slot).and_then(|alive_at| alive_at.checked_add(heartbeat));
                    match until.filter(|until| *until > time::instant()) {
                        Some(until) => silence.as_mut().reset(until),
                        None => return Poll::Ready(Err(timed_out("the body gave no heartbeat for", Some(heartbeat)))),
                    }
                }
            }
            Poll::Pending
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

impl Options {
    fn params(&self) -> Result<Raw, Error> {
        let Options { retry, timeout, heartbeat, schedule_to_close, schedule_to_start, compensate, compensates } = self;
        let durations = [*timeout, *heartbeat, *schedule_to_close, *schedule_to_start];
        if retry.is_none() && durations.iter().all(Option::is_none) && !compensate && compensates.is_none() {
            return Ok(Raw::empty_object());
        }
        for duration in durations.into_iter().flatten() {
            bounded(duration)?;
        }
        let mut params = ObjectWriter::new().optional_text("compensates", compensates.as_deref());
        if let Some(retry) = retry {
            params = params.raw("retry", &retry.to_raw());
        }
        let names = ["timeout", "heartbeat", "scheduleToClose", "scheduleToStart"];
        for (name, duration) in names.into_iter().zip(durations) {
            params = params.duration(name, duration);
        }
        Ok(if *compensate { params.yes("compensate") } else { params }.finish())
    }
}

fn written(value: &Raw) -> Result<Box<RawValue>, Error> {
    value.decode("the outcome of the compensation")
}

fn timed_out(what: &str, limit: Option<Duration>) -> Error {
    Error::new("Timeout", format!("{what} {}", duration::format(limit.unwrap_or_default())))
}
