//! Shields: parts of a handler that a cancellation does not tear in the middle.
//!
//! While one is open, all is as if the cancellation had not come. Whether one is open follows from what the handler was given,
//! so live and replay decide alike; the server knows nothing of it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::replay::call::Replay;

/// The future of a part that a cancellation does not tear, made by [`Ctx::shield`](crate::Ctx::shield). It is open from its
/// first poll until the part has ended, or is dropped.
#[must_use = "a part of a handler does nothing unless it is awaited"]
pub struct Shield<Fut> {
    replay: Arc<Replay>,
    part: Pin<Box<Fut>>,
    open: bool,
}

impl<Fut> Shield<Fut> {
    pub(crate) fn new(replay: Arc<Replay>, part: Fut) -> Shield<Fut> {
        Shield { replay, part: Box::pin(part), open: false }
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.open) {
            self.replay.core().close_shield();
        }
    }
}

impl<Fut: Future> Future for Shield<Fut> {
    type Output = Fut::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Fut::Output> {
        if !std::mem::replace(&mut self.open, true) {
            self.replay.core().open_shield();
        }
        let polled = self.part.as_mut().poll(cx);
        if polled.is_ready() {
            self.close();
        }
        polled
    }
}

impl<Fut> Drop for Shield<Fut> {
    fn drop(&mut self) {
        self.close();
    }
}
