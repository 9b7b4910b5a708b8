//! Fan-out: one body for many items, side by side, each in a scope of its own; and many durable calls at once.
//!
//! Of the latter the SDK knows that nothing can follow before all of them have settled, and says so: waiting for a thousand
//! children is not a thousand invocations. What an `async` block does after its call nobody can see from outside, so of
//! [`Map`] and of `join!` nothing is said.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryFuture};

use crate::error::Error;
use crate::replay::call::{Call, Replay};
use crate::replay::state::SlotKey;
use crate::some_failed::{Tolerance, map_failed};

/// The future of a fan-out, made by [`Ctx::map`](crate::Ctx::map).
#[must_use = "a fan-out does nothing unless it is awaited"]
pub struct Map<Fut: TryFuture> {
    crew: Crew<Fut>,
    keys: Vec<String>,
    results: Vec<Option<Fut::Ok>>,
    refused: Option<Error>,
}

// Nothing is pinned in place: the bodies have boxes of their own.
impl<Fut: TryFuture> Unpin for Map<Fut> {}

impl<Fut: TryFuture> Map<Fut> {
    /// One future per key, in the order of the items.
    pub(crate) fn new(bodies: Vec<(String, Fut)>) -> Map<Fut> {
        let (keys, bodies): (Vec<String>, Vec<Fut>) = bodies.into_iter().unzip();
        let mut seen = HashSet::with_capacity(keys.len());
        let doubled = keys.iter().find(|key| !seen.insert(key.as_str())).map(|key| {
            let message = format!("two items of a map have the key `{key}`: their entries could not be told apart");
            Error::terminal("InvalidIdError", message)
        });
        let results = keys.iter().map(|_| None).collect();
        Map { crew: Crew::new(bodies), keys, results, refused: doubled }
    }

    /// At most so many items at once, in their order; without it, all.
    pub fn concurrency(mut self, at_once_max: usize) -> Self {
        self.crew.at_once_max = at_once_max.max(1);
        self
    }

    /// Lets so many items fail, or such a [share](Tolerance::percent) of them: the result then says of each item what it came
    /// to. When more fail, no further item begins, those that run are waited for, and the error is a `MapFailed`, whose data
    /// are a [`MapFailed`](crate::MapFailed).
    ///
    /// ```
    /// # use backstitch::{Ctx, Error, MapFailed, Tolerance};
    /// # async fn mail(to: &str) -> Result<(), std::io::Error> { Ok(()) }
    /// async fn newsletter(ctx: Ctx, to: Vec<String>) -> Result<usize, Error> {
    ///     let sent = ctx
    ///         .map("mails", &to, |to| to.to_string(), |ctx, to| async move { ctx.run("mail", |_| mail(to)).await })
    ///         .concurrency(10)
    ///         .tolerate(Tolerance::percent(1.0))
    ///         .await;
    ///     match sent {
    ///         Ok(sent) => Ok(sent.iter().filter(|mail| mail.is_ok()).count()),
    ///         Err(error) => match error.data::<MapFailed>() {
    ///             Some(failed) => ctx.run("tell", |_| async move { backstitch::Ok(failed.failures) }).await,
    ///             None => Err(error),
    ///         },
    ///     }
    /// }
    /// ```
    pub fn tolerate(self, failures: impl Into<Tolerance>) -> TolerantMap<Fut> {
        let Map { crew, keys, refused, .. } = self;
        let (tolerated, refused) = match failures.into().of(keys.len()) {
            Ok(tolerated) => (tolerated, refused),
            Err(error) => (0, Some(error)),
        };
        let ends = keys.iter().map(|_| None).collect();
        TolerantMap { crew, keys, ends, refused, tolerated, failures: 0, cancelled: None }
    }
}

impl<Fut, T, E> Future for Map<Fut>
where
    Fut: Future<Output = Result<T, E>> + TryFuture<Ok = T, Error = E>,
    E: Into<Error>,
{
    type Output = Result<Vec<T>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(error) = this.refused.take() {
            return Poll::Ready(Err(error));
        }
        loop {
            match ready!(this.crew.poll_end(cx)) {
                None => return Poll::Ready(Ok(this.results.drain(..).flatten().collect())),
                Some((position, Ok(value))) => this.results[position] = Some(value),
                Some((_, Err(error))) => {
                    this.crew.waiting.clear();
                    this.crew.active.clear();
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
    }
}

/// The future of a fan-out of which some may fail, made by [`Map::tolerate`].
#[must_use = "a fan-out does nothing unless it is awaited"]
pub struct TolerantMap<Fut: TryFuture> {
    crew: Crew<Fut>,
    keys: Vec<String>,
    ends: Vec<Option<Result<Fut::Ok, Error>>>,
    refused: Option<Error>,
    tolerated: usize,
    failures: usize,
    /// The run was cancelled, which is no failure that may be tolerated.
    cancelled: Option<usize>,
}

impl<Fut: TryFuture> Unpin for TolerantMap<Fut> {}

impl<Fut: TryFuture> TolerantMap<Fut> {
    /// At most so many items at once, in their order; without it, all.
    pub fn concurrency(mut self, at_once_max: usize) -> Self {
        self.crew.at_once_max = at_once_max.max(1);
        self
    }

    fn end(&mut self) -> Result<Vec<Result<Fut::Ok, Error>>, Error> {
        if let Some(Err(error)) = self.cancelled.and_then(|position| self.ends[position].take()) {
            return Err(error);
        }
        if self.failures > self.tolerated {
            let errors = self.ends.iter().enumerate();
            let errors = errors.filter_map(|(index, end)| end.as_ref()?.as_ref().err().map(|error| (index, error)));
            return Err(map_failed(&self.keys, &errors.collect::<Vec<_>>(), self.tolerated));
        }
        Ok(self.ends.drain(..).flatten().collect())
    }
}

impl<Fut, T, E> Future for TolerantMap<Fut>
where
    Fut: Future<Output = Result<T, E>> + TryFuture<Ok = T, Error = E>,
    E: Into<Error>,
{
    type Output = Result<Vec<Result<T, Error>>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Some(error) = this.refused.take() {
            return Poll::Ready(Err(error));
        }
        while let Some((position, end)) = ready!(this.crew.poll_end(cx)) {
            let end = end.map_err(Into::into);
            if let Err(error) = &end {
                this.failures += 1;
                if error.is_cancelled() {
                    this.cancelled.get_or_insert(position);
                }
                if this.cancelled.is_some() || this.failures > this.tolerated {
                    this.crew.waiting.clear();
                }
            }
            this.ends[position] = Some(end);
        }
        Poll::Ready(this.end())
    }
}

/// A durable call's own future: what [`Ctx::all`](crate::Ctx::all) takes. Nobody else can implement it.
#[expect(private_bounds, reason = "what makes a future durable is the SDK's own affair")]
pub trait Durable: Future + Entered {}

impl<F: Future + Entered> Durable for F {}

/// A future that ends with its entry.
pub(crate) trait Entered {
    fn call(&self) -> &Call;
}

/// The future of many durable calls, made by [`Ctx::all`](crate::Ctx::all).
#[must_use = "durable calls do nothing unless they are awaited"]
pub struct All<Fut: TryFuture> {
    replay: Arc<Replay>,
    calls: Map<Fut>,
    grouped: bool,
}

impl<Fut: TryFuture> Unpin for All<Fut> {}

impl<Fut: TryFuture> All<Fut> {
    pub(crate) fn new(replay: Arc<Replay>, calls: Vec<Fut>) -> All<Fut> {
        All { replay, calls: numbered(calls), grouped: false }
    }
}

impl<Fut, T> Future for All<Fut>
where
    Fut: Durable + Future<Output = Result<T, Error>> + TryFuture<Ok = T, Error = Error>,
{
    type Output = Result<Vec<T>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.calls).poll(cx);
        if polled.is_pending() && !std::mem::replace(&mut this.grouped, true) {
            this.calls.crew.group(&this.replay);
        }
        polled
    }
}

/// The future of what many durable calls come to, made by [`Ctx::all_settled`](crate::Ctx::all_settled).
#[must_use = "durable calls do nothing unless they are awaited"]
pub struct AllSettled<Fut: TryFuture> {
    replay: Arc<Replay>,
    calls: TolerantMap<Fut>,
    grouped: bool,
}

impl<Fut: TryFuture> Unpin for AllSettled<Fut> {}

impl<Fut: TryFuture> AllSettled<Fut> {
    pub(crate) fn new(replay: Arc<Replay>, calls: Vec<Fut>) -> AllSettled<Fut> {
        let tolerated = calls.len();
        AllSettled { replay, calls: numbered(calls).tolerate(tolerated), grouped: false }
    }
}

impl<Fut, T> Future for AllSettled<Fut>
where
    Fut: Durable + Future<Output = Result<T, Error>> + TryFuture<Ok = T, Error = Error>,
{
    type Output = Result<Vec<Result<T, Error>>, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let polled = Pin::new(&mut this.calls).poll(cx);
        if polled.is_pending() && !std::mem::replace(&mut this.grouped, true) {
            this.calls.crew.group(&this.replay);
        }
        polled
    }
}

fn numbered<Fut: TryFuture>(calls: Vec<Fut>) -> Map<Fut> {
    Map::new(calls.into_iter().enumerate().map(|(position, call)| (position.to_string(), call)).collect())
}

/// Bodies side by side, at most so many at once.
struct Crew<Fut> {
    /// Not begun: futures do nothing before they are polled.
    waiting: VecDeque<Numbered<Fut>>,
    active: FuturesUnordered<Numbered<Fut>>,
    at_once_max: usize,
}

impl<Fut: Future> Crew<Fut> {
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Option<(usize, Fut::Output)>> {
        while self.active.len() < self.at_once_max
            && let Some(next) = self.waiting.pop_front()
        {
            self.active.push(next);
        }
        self.active.poll_next_unpin(cx)
    }
}

impl<Fut> Crew<Fut> {
    fn new(bodies: Vec<Fut>) -> Crew<Fut> {
        let numbered = |(position, body)| Numbered { position, body: Box::pin(body) };
        let waiting = bodies.into_iter().enumerate().map(numbered).collect();
        Crew { waiting, active: FuturesUnordered::new(), at_once_max: usize::MAX }
    }
}

impl<Fut: Durable> Crew<Fut> {
    /// Says that nothing follows before all of them have settled. They have been polled, and so are registered; those that
    /// are not have been refused.
    fn group(&self, replay: &Replay) {
        let slots: Vec<SlotKey> = self.active.iter().filter_map(|call| call.body.call().slot()).collect();
        replay.core().group(&slots);
    }
}

/// A body that knows whose result it makes.
struct Numbered<Fut> {
    position: usize,
    body: Pin<Box<Fut>>,
}

impl<Fut: Future> Future for Numbered<Fut> {
    type Output = (usize, Fut::Output);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let position = self.position;
        self.body.as_mut().poll(cx).map(|value| (position, value))
    }
}
