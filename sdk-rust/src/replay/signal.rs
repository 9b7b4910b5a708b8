//! The handler's waker.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};

use futures_util::task::AtomicWaker;

/// The handler's waker. While the driver itself polls, a wake-up is only noted: it polls again anyway.
#[derive(Default)]
pub(super) struct Signal {
    woken: AtomicBool,
    polling: AtomicBool,
    host: AtomicWaker,
}

impl Signal {
    pub(super) fn attach(&self, host: &Waker) {
        self.host.register(host);
        self.polling.store(true, Ordering::SeqCst);
    }

    /// Hands wake-ups to the host again, and those too that came meanwhile.
    pub(super) fn detach(&self) {
        self.polling.store(false, Ordering::SeqCst);
        if self.is_woken() {
            self.host.wake();
        }
    }

    /// Says that the handler is to be polled.
    pub(super) fn set(&self) {
        self.woken.store(true, Ordering::SeqCst);
    }

    pub(super) fn reset(&self) {
        self.woken.store(false, Ordering::SeqCst);
    }

    pub(super) fn is_woken(&self) -> bool {
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
