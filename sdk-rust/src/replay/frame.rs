//! Who is being polled on this thread.
//!
//! The driver marks the thread while it polls a handler, a step marks it while it polls its body. So a durable call can
//! tell its own handler from a spawned task and from a body, and answer with an error where it would otherwise hang or
//! number its entries differently on every replay.

use std::cell::Cell;

/// Whose code runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The run, by the address of its replay; compared, never followed.
    pub(crate) run: usize,
    /// Inside a step's body.
    pub(crate) body: bool,
}

thread_local! {
    static CURRENT: Cell<Option<Frame>> = const { Cell::new(None) };
}

/// The innermost frame of this thread.
pub(crate) fn current() -> Option<Frame> {
    CURRENT.get()
}

/// Marks the thread until the guard is dropped, also by a panic.
pub(crate) fn enter(frame: Frame) -> Guard {
    Guard { outer: CURRENT.replace(Some(frame)) }
}

/// Puts back the frame that was there before.
pub(crate) struct Guard {
    outer: Option<Frame>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        CURRENT.set(self.outer);
    }
}
