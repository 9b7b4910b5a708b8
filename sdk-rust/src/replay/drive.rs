//! Lets a handler run as far as it can go.
//!
//! One future wraps the handler. Whenever the handler is quiet, one known outcome is delivered and the handler is polled
//! again; when nothing is left to deliver, step bodies may start; when no body runs any more and the handler waits for the
//! server, its future is dropped and the answer goes out. Quiet means pending and not woken since: a handler that yields
//! (as large joins do) is polled again before anything is decided.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::BoxFuture;
use futures_util::task::AtomicWaker;

use crate::error::Error;
use crate::raw::Raw;
use crate::replay::call::Replay;
use crate::replay::frame;
use crate::wire::{Answer, Terminal};

/// A handler with its input and its context.
pub(crate) type Handler = BoxFuture<'static, Result<Raw, Error>>;

/// The invocation as a future of its answer. Dropping it drops the handler.
pub(crate) struct Drive {
    replay: Arc<Replay>,
    handler: Option<Handler>,
    signal: Arc<Signal>,
    waker: Waker,
}

impl Drive {
    pub(crate) fn new(replay: Arc<Replay>, handler: Handler) -> Drive {
        let signal = Arc::new(Signal::default());
        let waker = Waker::from(Arc::clone(&signal));
        Drive { replay, handler: Some(handler), signal, waker }
    }

    fn advance(&mut self) -> Option<Answer> {
        loop {
            if let Some(end) = self.poll_handler() {
                return Some(self.close(Some(end)));
            }
            let mut core = self.replay.core();
            if core.is_contradicted() {
                drop(core);
                return Some(self.close(None));
            }
            if self.signal.is_woken() {
                return None;
            }
            if let Some(wakers) = core.deliver_next().or_else(|| core.release_bodies()) {
                drop(core);
                wakers.into_iter().for_each(Waker::wake);
                continue;
            }
            if core.is_busy() || !core.is_waiting() {
                return None;
            }
            drop(core);
            return Some(self.close(None));
        }
    }

    fn poll_handler(&mut self) -> Option<Terminal> {
        let handler = self.handler.as_mut()?;
        let _frame = frame::enter(self.replay.frame(false));
        self.signal.reset();
        let mut cx = Context::from_waker(&self.waker);
        match catch_unwind(AssertUnwindSafe(|| handler.as_mut().poll(&mut cx))) {
            Ok(Poll::Pending) => None,
            Ok(Poll::Ready(Ok(value))) => Some(Terminal::Done(value)),
            Ok(Poll::Ready(Err(error))) => Some(Terminal::Fail(error.into_failure())),
            Err(payload) => Some(panicked(payload.as_ref())),
        }
    }

    fn close(&mut self, terminal: Option<Terminal>) -> Answer {
        let answer = self.replay.core().answer(terminal);
        let handler = self.handler.take();
        // A destructor of the user's that panics must not take the answer with it.
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(handler))) {
            let error = Error::panic(payload.as_ref(), "a destructor of the suspended handler");
            tracing::error!(run = %self.replay.run.id, %error, "a panic while a handler was dropped");
        }
        answer
    }
}

impl Future for Drive {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Answer> {
        self.signal.attach(cx.waker());
        match self.advance() {
            Some(answer) => Poll::Ready(answer),
            None => {
                self.signal.detach();
                Poll::Pending
            }
        }
    }
}

fn panicked(payload: &(dyn Any + Send)) -> Terminal {
    Terminal::Fail(Error::panic(payload, "the handler").into_failure())
}

/// The handler's waker. While the driver itself polls, a wake-up is only noted: it polls again anyway.
#[derive(Default)]
struct Signal {
    woken: AtomicBool,
    polling: AtomicBool,
    host: AtomicWaker,
}

impl Signal {
    fn attach(&self, host: &Waker) {
        self.host.register(host);
        self.polling.store(true, Ordering::SeqCst);
    }

    /// Hands wake-ups to the host again, and those too that came meanwhile.
    fn detach(&self) {
        self.polling.store(false, Ordering::SeqCst);
        if self.is_woken() {
            self.host.wake();
        }
    }

    fn reset(&self) {
        self.woken.store(false, Ordering::SeqCst);
    }

    fn is_woken(&self) -> bool {
        self.woken.load(Ordering::SeqCst)
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::SeqCst);
        if !self.polling.load(Ordering::SeqCst) {
            self.host.wake();
        }
    }
}
