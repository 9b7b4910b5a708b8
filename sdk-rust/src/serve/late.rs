//! Answers that outlive their connection.
//!
//! The answer goes to the response as a parcel that knows whether it was opened. One that is dropped unopened, since the
//! connection is gone, comes back to the task that made it, and the task brings it to the server's link.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;

use crate::endpoint::{Invoked, Late};
use crate::invocations::Invocations;
use crate::port::{PAUSE, PAUSE_MAX, REQUEST, Request, Response, is_passing};
use crate::time;
use crate::wire::Written;

/// For how long a late answer is tried.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer on its way into a response.
pub(super) struct Parcel {
    answer: Option<Written>,
    /// Where it goes if nobody opens it.
    back: Option<oneshot::Sender<Written>>,
}

impl Parcel {
    /// The answer's bytes, which are now the response's.
    pub(super) fn open(mut self) -> Bytes {
        self.answer.take().map(|answer| answer.bytes).unwrap_or_default()
    }
}

impl Body for Parcel {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let answer = self.get_mut().answer.take();
        Poll::Ready(answer.map(|answer| Ok(Frame::data(answer.bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.answer.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.answer.as_ref().map_or(0, |answer| answer.bytes.len() as u64))
    }
}

impl Drop for Parcel {
    fn drop(&mut self) {
        if let (Some(answer), Some(back)) = (self.answer.take(), self.back.take()) {
            // Whoever waits for it has ended with its runtime, if at all.
            let _ = back.send(answer);
        }
    }
}

/// The answer to an invocation, which goes on without whoever waits for it if it can report to the server.
pub(super) fn answer(invocations: &Invocations, invoked: Invoked) -> BoxFuture<'static, Parcel> {
    let Some(late) = invoked.late() else {
        return async { Parcel { answer: Some(invoked.answer().await), back: None } }.boxed();
    };
    let (hand_over, handed) = oneshot::channel();
    let invocation = async move {
        let (back, returned) = oneshot::channel();
        let parcel = Parcel { answer: Some(invoked.answer().await), back: Some(back) };
        // A parcel that cannot be handed over is dropped, and comes back by that.
        drop(hand_over.send(parcel));
        if let Ok(answer) = returned.await {
            deliver(&late, answer.late()).await;
        }
    };
    invocations.spawn(invocation.boxed());
    async {
        match handed.await {
            Ok(parcel) => parcel,
            // The task panicked, which no handler can make it do, or its runtime has ended, and this one with it.
            Err(_) => std::future::pending().await,
        }
    }
    .boxed()
}

/// Brings an answer to the server.
async fn deliver(late: &Late, body: Bytes) {
    let begun = time::instant();
    let mut pause = PAUSE;
    loop {
        let request = Request {
            url: Arc::clone(&late.url),
            token: late.token.clone(),
            body: Some(body.clone()),
            timeout: REQUEST,
            together: None,
        };
        let why = match late.outbound.port.send(request).await {
            Ok(Response { status, .. }) if status < 300 || status == 409 => return,
            Ok(Response { status, .. }) if !is_passing(status) => {
                return tracing::warn!(url = %late.url, status, "the server refused an answer that came late");
            }
            Ok(Response { status, .. }) => format!("the server answered with status {status}"),
            Err(why) => why,
        };
        if begun.elapsed() > PATIENCE {
            return tracing::warn!(url = %late.url, reason = %why, "failed to deliver an answer whose connection was gone");
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}
