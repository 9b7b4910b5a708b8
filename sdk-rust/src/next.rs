//! Going on in a new run: for functions that never end, whose journal would.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use crate::error::Error;
use crate::raw::Raw;
use crate::replay::call::Replay;

/// The end of a run that goes on in a new one, made by [`Ctx::continue_as_new`](crate::Ctx::continue_as_new). It gives
/// nothing but errors of its use, so it stands for a result of any type.
#[must_use = "the run goes on as it is unless this is awaited"]
pub struct ContinueAsNew<T> {
    replay: Arc<Replay>,
    input: Option<Result<Raw, Error>>,
    value: PhantomData<fn() -> T>,
}

impl<T> ContinueAsNew<T> {
    pub(crate) fn new(replay: &Arc<Replay>, input: Result<Raw, Error>) -> ContinueAsNew<T> {
        ContinueAsNew { replay: Arc::clone(replay), input: Some(input), value: PhantomData }
    }
}

impl<T> Future for ContinueAsNew<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(input) = self.input.take() {
            self.replay.check_place("continue_as_new")?;
            let input = input?;
            self.replay.core().go_on_with(input);
        }
        Poll::Pending
    }
}
