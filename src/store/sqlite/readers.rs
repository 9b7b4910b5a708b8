//! Read-only connections, each on a thread of its own. A lane is a line with a few of them behind it; a caller waits in
//! the line and, when that is full, at its door. A read that panics costs its caller an error, and nobody else anything.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::{mpsc, oneshot};

use super::error::sorted;
use super::schema;
use crate::limits;
use crate::store::StoreError;

type Job = Box<dyn FnOnce(&Connection) + Send>;

/// A line with readers behind it. Dropping it finishes the reads that wait and closes the connections.
pub(super) struct Lane {
    jobs: Option<mpsc::Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl Lane {
    /// Opens the connections.
    pub(super) fn open(path: &Path, name: &str) -> Result<Lane, StoreError> {
        let (jobs, line) = mpsc::channel(limits::READS_WAITING_MAX);
        let line = Arc::new(Mutex::new(line));
        let mut lane = Lane { jobs: Some(jobs), threads: Vec::new() };
        for number in 0..limits::READERS_PER_LANE {
            let connection = schema::open_reader(path)?;
            let line = line.clone();
            let thread = std::thread::Builder::new()
                .name(format!("{name}-{number}"))
                .spawn(move || serve(&connection, &line))
                .map_err(|error| StoreError::Open(format!("a reader's thread could not be started: {error}")))?;
            lane.threads.push(thread);
        }
        Ok(lane)
    }

    /// Runs `read` on one snapshot of the database, begun after this call.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let lost = || StoreError::Unavailable("a read failed inside; the log says why".to_owned());
        let (reply, answer) = oneshot::channel();
        let job: Job = Box::new(move |connection| {
            // A read that nobody waits for any more is not worth its time.
            if !reply.is_closed() {
                let _ = reply.send(in_snapshot(connection, read));
            }
        });
        let Some(jobs) = &self.jobs else { return Err(lost()) };
        jobs.send(job).await.map_err(|_| lost())?;
        answer.await.unwrap_or_else(|_| Err(lost()))
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, line: &Mutex<mpsc::Receiver<Job>>) {
    loop {
        // Whoever holds the line waits in it for all; the others wait for the line.
        let job = line.lock().unwrap_or_else(PoisonError::into_inner).blocking_recv();
        let Some(job) = job else { return };
        if catch_unwind(AssertUnwindSafe(|| job(connection))).is_err() {
            tracing::error!("failed to read: the reader panicked; its caller was told");
        }
    }
}

fn in_snapshot<T>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    // Ends when it is dropped, after a panic too.
    let snapshot = Transaction::new_unchecked(connection, TransactionBehavior::Deferred).map_err(sorted)?;
    read(&snapshot)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::{Durability, query};

    #[tokio::test]
    async fn a_panic_costs_one_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("backstitch.db");
        std::fs::File::create(&path).unwrap();
        let writer = schema::open_writer(&path, Durability::Relaxed, None).unwrap();
        let lane = Lane::open(&path, "test").unwrap();
        for _ in 0..=limits::READERS_PER_LANE {
            let panicked = lane.read(|_| -> Result<(), StoreError> { panic!("on purpose") }).await;
            assert!(matches!(panicked, Err(StoreError::Unavailable(_))), "{panicked:?}");
        }
        lane.read(query::ping).await.unwrap();
        drop(writer);
    }
}
