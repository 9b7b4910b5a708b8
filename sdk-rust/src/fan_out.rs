//! Fan-out: one body for many items, side by side, each in a scope of its own.

use std::collections::{HashSet, VecDeque};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use crate::context::Ctx;
use crate::error::Error;

/// The future of a fan-out, made by [`Ctx::map`](crate::Ctx::map).
#[must_use = "a fan-out does nothing unless it is awaited"]
pub struct Map<I, F, Fut, T> {
    waiting: VecDeque<(usize, Ctx, I)>,
    body: F,
    active: FuturesUnordered<Numbered<Fut>>,
    results: Vec<Option<T>>,
    at_once_max: usize,
    refused: Option<Error>,
}

// Nothing is pinned in place: the bodies have boxes of their own.
impl<I, F, Fut, T> Unpin for Map<I, F, Fut, T> {}

impl<I, F, Fut, T> Map<I, F, Fut, T> {
    pub(crate) fn new(items: Vec<(String, I)>, scope: &Ctx, body: F) -> Map<I, F, Fut, T> {
        let mut keys = HashSet::with_capacity(items.len());
        let doubled = items.iter().find(|(key, _)| !keys.insert(key.as_str())).map(|(key, _)| {
            let message = format!("two items of a map have the key `{key}`: their entries could not be told apart");
            Error::terminal("InvalidIdError", message)
        });
        let results = items.iter().map(|_| None).collect();
        let waiting = items.into_iter().enumerate();
        let waiting = waiting.map(|(position, (key, item))| (position, scope.scope(&key), item)).collect();
        Map { waiting, body, active: FuturesUnordered::new(), results, at_once_max: usize::MAX, refused: doubled }
    }

    /// At most so many items at once, in their order; without it, all.
    pub fn concurrency(mut self, at_once_max: usize) -> Self {
        self.at_once_max = at_once_max.max(1);
        self
    }
}

impl<I, F, Fut, T, E> Future for Map<I, F, Fut, T>
where
    F: FnMut(Ctx, I) -> Fut,
    Fut: Future<Output = Result<T, E>>,
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
                && let Some((position, ctx, item)) = this.waiting.pop_front()
            {
                this.active.push(Numbered { position, body: Box::pin((this.body)(ctx, item)) });
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
