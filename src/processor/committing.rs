//! The one commit that is under way. The loop polls it itself: a task of its own would cost two wake-ups of another thread for
//! every commit, which is most of what a lone run waits for besides the disk.

use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll, Waker};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::owner::panic_text;
use crate::store::{Commit, StoreError};

/// Nothing, or a commit with its number.
#[derive(Default)]
pub(super) struct Committing(Option<(u64, Stage)>);

enum Stage {
    Open(BoxFuture<'static, Commit>),
    Over(Commit),
}

impl Committing {
    /// Whether none is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Begins a commit: the ledger has it when this returns.
    pub(super) fn begin(&mut self, commit_no: u64, commit: impl Future<Output = Commit> + Send + 'static) {
        debug_assert!(self.is_empty(), "one commit at a time");
        let safe = AssertUnwindSafe(commit).catch_unwind().map(|done| {
            // Nobody knows how far it came.
            done.unwrap_or_else(|panic| Commit::Unknown(StoreError::Unavailable(panic_text(&*panic))))
        });
        let mut open = safe.boxed();
        let stage = match open.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(commit) => Stage::Over(commit),
            Poll::Pending => Stage::Open(open),
        };
        self.0 = Some((commit_no, stage));
    }

    /// In the place of what is under way comes this failure.
    pub(super) fn fail(&mut self, error: StoreError) {
        self.0 = Some((0, Stage::Over(Commit::Failed(error))));
    }

    /// What came of the commit, once; never while there is none. May be dropped and called again.
    pub(super) async fn next(&mut self) -> (u64, Commit) {
        poll_fn(|cx| {
            let Some((commit_no, stage)) = self.0.take() else { return Poll::Pending };
            match stage {
                Stage::Over(commit) => Poll::Ready((commit_no, commit)),
                Stage::Open(mut open) => match open.as_mut().poll(cx) {
                    Poll::Ready(commit) => Poll::Ready((commit_no, commit)),
                    Poll::Pending => {
                        self.0 = Some((commit_no, Stage::Open(open)));
                        Poll::Pending
                    }
                },
            }
        })
        .await
    }
}
