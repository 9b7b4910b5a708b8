//! The invocations of an app that are under way: who wants to stop tells them, and waits for them.
//!
//! Behind axum each invocation that can report to the server is a task of its own, which outlives its connection. Here is
//! where they are known, so that none is left behind unobserved.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::watch;

/// The invocations of an app that are under way, made by [`App::invocations`](crate::App::invocations).
///
/// ```no_run
/// # use backstitch::{App, DurationExt};
/// # async fn serve(app: App, stopped: impl Future<Output = ()> + Send + 'static) -> std::io::Result<()> {
/// let invocations = app.invocations();
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
/// let drain = invocations.clone();
/// let shutdown = async move {
///     stopped.await;
///     // Runs give their turn back to the server after the body that they are in.
///     drain.drain();
/// };
/// axum::serve(listener, app.router()).with_graceful_shutdown(shutdown).await?;
/// // axum has waited for those with a connection; these have lost theirs and still deliver what they did.
/// invocations.finish(30.seconds()).await;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Invocations {
    /// How many tasks there are.
    open: Arc<watch::Sender<usize>>,
    draining: Arc<watch::Sender<bool>>,
}

impl Default for Invocations {
    fn default() -> Invocations {
        Invocations { open: Arc::new(watch::Sender::new(0)), draining: Arc::new(watch::Sender::new(false)) }
    }
}

impl Invocations {
    /// Lets no further body begin, except the first of an invocation: whatever runs comes to its end, and the server goes
    /// on with the runs elsewhere or later.
    pub fn drain(&self) {
        self.draining.send_replace(true);
    }

    /// Drains, and waits until no invocation is under way, at most this long. Gives how many are left; they end with the
    /// runtime, and their runs go on when the server misses them.
    pub async fn finish(&self, patience: Duration) -> usize {
        self.drain();
        let mut open = self.open.subscribe();
        let none = open.wait_for(|open| *open == 0);
        // Neither outcome matters by itself: what is left says it all.
        let _ = tokio::time::timeout(patience, none).await;
        *self.open.borrow()
    }

    /// How many tasks are under way.
    pub fn open(&self) -> usize {
        *self.open.borrow()
    }

    /// Ends when the invocations are to end.
    pub(crate) fn drained(&self) -> BoxFuture<'static, ()> {
        let mut draining = self.draining.subscribe();
        async move {
            if draining.wait_for(|draining| *draining).await.is_err() {
                // The app is gone, and nobody is left who could say so.
                std::future::pending::<()>().await;
            }
        }
        .boxed()
    }

    /// Runs an invocation as a task that is counted.
    #[cfg(feature = "axum")]
    pub(crate) fn spawn(&self, invocation: BoxFuture<'static, ()>) {
        let counted = Counted::new(Arc::clone(&self.open));
        tokio::spawn(async move {
            let _counted = counted;
            invocation.await;
        });
    }
}

/// One of those under way, until it is dropped: by its end, by a panic, or by the end of the runtime.
#[cfg(feature = "axum")]
struct Counted(Arc<watch::Sender<usize>>);

#[cfg(feature = "axum")]
impl Counted {
    fn new(open: Arc<watch::Sender<usize>>) -> Counted {
        open.send_modify(|open| *open += 1);
        Counted(open)
    }
}

#[cfg(feature = "axum")]
impl Drop for Counted {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open -= 1);
    }
}
