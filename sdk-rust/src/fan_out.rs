//! Fan-out: one body for many items, side by side, each in a scope of its own; and many durable calls at once.
//!
//! Of the latter the SDK knows that nothing can follow before all of them have settled, and says so: waiting for a thousand
//! children is not a thousand invocations. What an `async` block does after its call nobody can see from outside, so of
//! [`Map`] and of `join!` nothing is said.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, TryFuture};

use crate::error::Error;
use crate::replay::call::{Call, Replay};
use crate::replay::state::SlotKey;

/// The future of a fan-out, made by [`Ctx::map`](crate::Ctx::map).
#[must_use = "a fan-out does nothing unless it is awaited"]
pub struct Map<Fut: TryFuture> {
    /// Not begun: futures do nothing before they are polled.
    waiting: VecDeque<Numbered<Fut>>,
    active: FuturesUnordered<Numbered<Fut>>,
    results: Vec<Option<Fut::Ok>>,
    at_once_max: usize,
    refused: Option<Error>,
}

// Nothing is pinned in place: the bodies have boxes of their own.
impl<Fut: TryFuture> Unpin for Map<Fut> {}

impl<Fut: TryFuture> Map<Fut> {
    /// One future per key, in the order of the items.
    pub(crate) fn new(bodies: Vec<(String, Fut)>) -> Map<Fut> {
        let mut keys = HashSet::with_capacity(bodies.len());
        let doubled = bodies.iter().find(|(key, _)| !keys.insert(key.as_str())).map(|(key, _)| {
            let message = format!("two items of a map have the key `{key}`: their entries could not be told apart");
            Error::terminal("InvalidIdError", message)
        });
        let results = bodies.iter().map(|_| None).collect();
        let numbered = |(position, (_, body))| Numbered { position, body: Box::pin(body) };
        Map {
            waiting: bodies.into_iter().enumerate().map(numbered).collect(),
            active: FuturesUnordered::new(),
            results,
            at_once_max: usize::MAX,
            refused: doubled,
        }
    }

    /// At most so many items at once, in their order; without it, all.
    pub fn concurrency(mut self, at_once_max: usize) -> Self {
        self.at_once_max = at_once_max.max(1);
        self
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
            while this.active.len() < this.at_once_max
                && let Some(next) = this.waiting.pop_front()
            {
                this.active.push(next);
            }
            match this.active.poll_next_unpin(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(this.results.drain(..).flatten().collect())),
                Poll::Ready(Some((position, Ok(value)))) => this.results[position] = Some(value),
                Poll::Ready(Some((_, Err(error)))) => {
                    this.waiting.clear();
                    this.active.clear();
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
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
        let named = |(position, call): (usize, Fut)| (position.to_string(), call);
        All { replay, calls: Map::new(calls.into_iter().enumerate().map(named).collect()), grouped: false }
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
            // All of them have been polled, and so are registered; those that are not have been refused.
            let slots: Vec<SlotKey> = this.calls.active.iter().filter_map(|call| call.body.call().slot()).collect();
            this.replay.core().group(&slots);
        }
        polled
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
