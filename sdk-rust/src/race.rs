//! Races: many at once, of which one counts.
//!
//! The branches are polled in their order, and the replay hands over one outcome between two polls, so that each replay finds
//! the same winner. The others are dropped: what is open of them stays open at the server until the run ends.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::error::Error;
use crate::some_failed::any_failed;

/// The future of a race, made by [`Ctx::race`](crate::Ctx::race).
#[must_use = "a race does nothing unless it is awaited"]
pub struct Race<Fut> {
    branches: Vec<Pin<Box<Fut>>>,
}

impl<Fut> Race<Fut> {
    pub(crate) fn new(branches: impl IntoIterator<Item = Fut>) -> Race<Fut> {
        Race { branches: branches.into_iter().map(Box::pin).collect() }
    }
}

impl<Fut, T, E> Future for Race<Fut>
where
    Fut: Future<Output = Result<T, E>>,
    E: Into<Error>,
{
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.branches.is_empty() {
            return Poll::Ready(Err(without_branches("race", "none would ever win")));
        }
        for branch in &mut self.branches {
            if let Poll::Ready(end) = branch.as_mut().poll(cx) {
                self.branches.clear();
                return Poll::Ready(end.map_err(Into::into));
            }
        }
        Poll::Pending
    }
}

/// The future of the first that succeeds, made by [`Ctx::any`](crate::Ctx::any).
#[must_use = "branches do nothing unless they are awaited"]
pub struct Any<Fut> {
    branches: Vec<Ran<Fut>>,
}

enum Ran<Fut> {
    On(Pin<Box<Fut>>),
    Failed(Error),
}

impl<Fut> Unpin for Any<Fut> {}

impl<Fut> Any<Fut> {
    pub(crate) fn new(branches: impl IntoIterator<Item = Fut>) -> Any<Fut> {
        Any { branches: branches.into_iter().map(|branch| Ran::On(Box::pin(branch))).collect() }
    }

    fn failed(&mut self) -> Error {
        let errors = self.branches.drain(..).filter_map(|ran| match ran {
            Ran::On(_) => None,
            Ran::Failed(error) => Some(error),
        });
        let mut errors: Vec<Error> = errors.collect();
        match errors.iter().position(Error::is_cancelled) {
            Some(position) => errors.swap_remove(position),
            None => any_failed(&errors.iter().collect::<Vec<_>>()),
        }
    }
}

impl<Fut, T, E> Future for Any<Fut>
where
    Fut: Future<Output = Result<T, E>>,
    E: Into<Error>,
{
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.branches.is_empty() {
            return Poll::Ready(Err(without_branches("any", "none could succeed")));
        }
        let mut goes_on = false;
        for ran in &mut self.branches {
            let Ran::On(branch) = ran else { continue };
            match branch.as_mut().poll(cx) {
                Poll::Pending => goes_on = true,
                Poll::Ready(Ok(value)) => {
                    self.branches.clear();
                    return Poll::Ready(Ok(value));
                }
                Poll::Ready(Err(error)) => *ran = Ran::Failed(error.into()),
            }
        }
        if goes_on { Poll::Pending } else { Poll::Ready(Err(self.failed())) }
    }
}

fn without_branches(what: &str, why: &str) -> Error {
    Error::terminal("MisuseError", format!("`{what}` was given no branches, so {why}"))
}
