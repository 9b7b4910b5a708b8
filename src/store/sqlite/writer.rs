//! The one thread that writes. It takes requests in order, answers each exactly once, and copies the write-ahead log
//! into the file when nobody asks for anything, or when the log has grown enough, and in silence makes room for it to
//! grow. A connection that misbehaved is given
//! up and opened again; a panic costs one request, never the thread.

use std::io::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::Durability;
use super::commit::Committer;
use super::error::sorted;
use super::schema;
use crate::limits;
use crate::model::Batch;
use crate::store::{Commit, StoreError};

/// Something to write besides a batch; it runs in a transaction of its own.
type Job = Box<dyn FnOnce(Result<&Connection, StoreError>) + Send>;

enum Request {
    Commit(Arc<Batch>, oneshot::Sender<Commit>),
    Job(Job),
}

/// How the writer opens its connection.
pub(super) struct Opening {
    /// The database's file.
    pub(super) path: PathBuf,
    /// What a commit waits for.
    pub(super) durability: Durability,
    /// A bound on the file's pages.
    pub(super) pages_max: Option<u32>,
}

/// The handle of the writer's thread. Dropping it finishes what was asked for and closes the file.
pub(super) struct Writer {
    requests: Option<SyncSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread with its first connection, which the caller has opened.
    pub(super) fn start(opening: Opening, connection: Connection) -> Result<Writer, StoreError> {
        let (requests, incoming) = sync_channel(limits::WRITES_WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || serve(&opening, connection, &incoming))
            .map_err(|error| StoreError::Open(format!("the writer's thread could not be started: {error}")))?;
        Ok(Writer { requests: Some(requests), thread: Some(thread) })
    }

    /// Writes a batch.
    pub(super) async fn commit(&self, batch: Arc<Batch>) -> Commit {
        let (reply, answer) = oneshot::channel();
        if let Err(error) = self.send(Request::Commit(batch, reply)) {
            return Commit::Failed(error);
        }
        // The thread took the batch and lost the answer: only the tables know what became of it.
        answer.await.unwrap_or_else(|_| Commit::Unknown(lost()))
    }

    /// Runs `write` in a transaction.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        write: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let job = move |connection: Result<&Connection, StoreError>| {
            let done = connection.and_then(|connection| in_transaction(connection, write));
            // Whoever asked may be gone.
            let _ = reply.send(done);
        };
        self.send(Request::Job(Box::new(job)))?;
        answer.await.unwrap_or_else(|_| Err(lost()))
    }

    fn send(&self, request: Request) -> Result<(), StoreError> {
        let Some(requests) = &self.requests else { return Err(lost()) };
        requests.try_send(request).map_err(|error| match error {
            TrySendError::Full(_) => {
                StoreError::Unavailable(format!("{} writes wait already", limits::WRITES_WAITING_MAX))
            }
            TrySendError::Disconnected(_) => lost(),
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the writer failed inside; its log says why".to_owned())
}

fn in_transaction<T>(
    connection: &Connection,
    write: impl FnOnce(&Connection) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate).map_err(sorted)?;
    let done = write(&transaction)?;
    transaction.commit().map_err(sorted)?;
    Ok(done)
}

/// What ended the work with one connection.
enum End {
    Closed,
    Broken,
}

fn serve(opening: &Opening, connection: Connection, incoming: &Receiver<Request>) {
    let mut current = Some(connection);
    loop {
        let Some(mut connection) = current.take().or_else(|| reopen(opening, incoming)) else { return };
        let log = Log::watch(&mut connection, opening);
        if let End::Closed = serve_with(&connection, &log, incoming) {
            log.start_over(&connection);
            return;
        }
    }
}

/// Opens the file again, at every request once, and answers requests with the reason as long as that fails.
fn reopen(opening: &Opening, incoming: &Receiver<Request>) -> Option<Connection> {
    loop {
        let error = match schema::open_writer(&opening.path, opening.durability, opening.pages_max) {
            Ok(connection) => return Some(connection),
            Err(error) => StoreError::Unavailable(error.to_string()),
        };
        match incoming.recv().ok()? {
            Request::Commit(_, reply) => drop(reply.send(Commit::Failed(error))),
            Request::Job(job) => drop(catch_unwind(AssertUnwindSafe(|| job(Err(error))))),
        }
    }
}

fn serve_with(connection: &Connection, log: &Log, incoming: &Receiver<Request>) -> End {
    let Ok(mut committer) = Committer::new(connection) else { return refuse_one(incoming) };
    loop {
        let request = match incoming.recv_timeout(Duration::from_millis(limits::CHECKPOINT_IDLE_MS)) {
            Ok(request) => request,
            Err(RecvTimeoutError::Disconnected) => return End::Closed,
            Err(RecvTimeoutError::Timeout) => {
                log.copy(connection);
                log.lengthen();
                let Ok(request) = incoming.recv() else { return End::Closed };
                request
            }
        };
        if let End::Broken = answer(connection, &mut committer, request) {
            return End::Broken;
        }
        log.copy_if_large(connection);
    }
}

/// The schema is not what it was: says so to whoever asks next, and lets the connection be opened again.
fn refuse_one(incoming: &Receiver<Request>) -> End {
    let error = StoreError::Corrupt("the tables are not those of this version; was the file replaced?".to_owned());
    match incoming.recv() {
        Ok(Request::Commit(_, reply)) => drop(reply.send(Commit::Failed(error))),
        Ok(Request::Job(job)) => job(Err(error)),
        Err(_) => return End::Closed,
    }
    End::Broken
}

/// Answers one request. `Broken` when the connection cannot be trusted after it; `Closed` stands for all is well.
fn answer(connection: &Connection, committer: &mut Committer<'_>, request: Request) -> End {
    let done = catch_unwind(AssertUnwindSafe(|| match request {
        Request::Commit(batch, reply) => {
            let commit = committer.commit(&batch);
            let doubtful = matches!(commit, Commit::Unknown(_));
            // Whoever asked may be gone; the tables know.
            let _ = reply.send(commit);
            doubtful
        }
        Request::Job(job) => {
            job(Ok(connection));
            false
        }
    }));
    if matches!(done, Ok(false)) && connection.is_autocommit() {
        return End::Closed;
    }
    tracing::error!(
        panicked = done.is_err(),
        "failed to write in a way that leaves doubts; opening the database again"
    );
    End::Broken
}

/// A page in the log, with the header of its frame.
const WAL_FRAME_BYTES: u64 = 4_096 + 24;

/// The write-ahead log of a connection: how many pages it has, and when it is copied.
struct Log {
    pages: Arc<AtomicU32>,
    /// Pages at which the next copy is made without waiting for silence.
    bound: std::cell::Cell<u32>,
    /// Its file, where commits wait for the disk.
    path: Option<PathBuf>,
}

impl Log {
    fn watch(connection: &mut Connection, opening: &Opening) -> Log {
        let pages = Arc::new(AtomicU32::new(0));
        let seen = pages.clone();
        let hook = move |_: &mut rusqlite::hooks::Wal, pages: i32| {
            seen.store(u32::try_from(pages).unwrap_or(0), Ordering::Relaxed);
            Ok(())
        };
        // Without the hook the log is copied in silence and at the end only.
        let _ = connection.wal_hook(Some(hook));
        let path = matches!(opening.durability, Durability::Full).then(|| opening.path.with_extension("db-wal"));
        Log { pages, bound: std::cell::Cell::new(limits::WAL_PAGES), path }
    }

    fn copy_if_large(&self, connection: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages >= self.bound.get() {
            self.copy(connection);
            // A reader of an old state keeps the log from starting over: try again only after it has grown as much.
            self.bound.set(pages.saturating_add(limits::WAL_PAGES));
        } else if pages < limits::WAL_PAGES {
            self.bound.set(limits::WAL_PAGES);
        }
    }

    /// A copy that fails is made later; the log stays right without it.
    fn copy(&self, connection: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if pages >= limits::WAL_PAGES_MAX {
            // It starts over once no reader needs it. Ours are quick; one that is not must not hold up commits for long.
            let _ = connection.busy_timeout(Duration::from_millis(limits::WAL_READERS_WAIT_MS));
            let _ = connection.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::RESTART);
            let _ = connection.busy_timeout(Duration::from_millis(limits::DATABASE_BUSY_MS));
        } else if pages > 0 {
            let _ = connection.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::PASSIVE);
        }
    }

    /// Fills the log with zeros up to the size at which it is copied and starts over: a commit into blocks that have been
    /// written before has no new size of the file to write. Behind its last frame SQLite reads
    /// nothing that has not the checksum of a frame. Without it commits are slower, and as safe.
    fn lengthen(&self) {
        static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
        let Some(path) = &self.path else { return };
        let lengthened = || -> std::io::Result<()> {
            let mut file = std::fs::OpenOptions::new().append(true).open(path)?;
            let (mut length, wanted) = (file.metadata()?.len(), u64::from(limits::WAL_PAGES) * WAL_FRAME_BYTES);
            if length >= wanted {
                return Ok(());
            }
            while length < wanted {
                let more = usize::try_from(wanted - length).unwrap_or(usize::MAX).min(ZEROS.len());
                file.write_all(&ZEROS[..more])?;
                length += more as u64;
            }
            file.sync_data()
        };
        if let Err(error) = lengthened() {
            tracing::debug!(error = %error, "the write-ahead log could not be made longer ahead of time");
        }
    }

    fn start_over(&self, connection: &Connection) {
        let _ = connection.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::TRUNCATE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Timestamp;
    use crate::store::sqlite::registry;

    fn opening(dir: &tempfile::TempDir) -> Opening {
        let path = dir.path().join("backstitch.db");
        std::fs::File::create(&path).unwrap();
        Opening { path, durability: Durability::Relaxed, pages_max: None }
    }

    fn connection(opening: &Opening) -> Connection {
        schema::open_writer(&opening.path, opening.durability, None).unwrap()
    }

    fn batch(epoch: u32, commit_no: u64) -> Arc<Batch> {
        Arc::new(Batch { partition: 0, epoch, commit_no, now: Timestamp(1), changes: Vec::new() })
    }

    #[tokio::test]
    async fn a_panic_costs_one_request() {
        let dir = tempfile::tempdir().unwrap();
        let opening = opening(&dir);
        let first = connection(&opening);
        let writer = Writer::start(opening, first).unwrap();
        let owned = writer.write(|db| registry::take_ownership(db, 0)).await.unwrap();
        let panicked = writer
            .write(|db| -> Result<(), StoreError> {
                registry::take_ownership(db, 0)?;
                panic!("on purpose")
            })
            .await;
        assert!(matches!(panicked, Err(StoreError::Unavailable(_))), "{panicked:?}");
        // The half-done takeover is gone, and the next requests find a sound connection.
        assert!(matches!(writer.commit(batch(owned.epoch, 1)).await, Commit::Done));
        assert_eq!(writer.write(|db| registry::take_ownership(db, 0)).await.unwrap().epoch, owned.epoch + 1);
    }

    #[tokio::test]
    async fn an_error_in_commit_is_unknown_and_the_file_knows() {
        let dir = tempfile::tempdir().unwrap();
        let opening = opening(&dir);
        let mut first = connection(&opening);
        let epoch = in_transaction(&first, |db| registry::take_ownership(db, 0)).unwrap().epoch;
        // The first connection turns every COMMIT into an error; the one that is opened in its place does not.
        first.commit_hook(Some(|| true)).unwrap();
        let writer = Writer::start(opening, first).unwrap();
        let commit = writer.commit(batch(epoch, 1)).await;
        assert!(matches!(commit, Commit::Unknown(_)), "{commit:?}");
        let owned = writer.write(|db| registry::take_ownership(db, 0)).await.unwrap();
        assert_eq!((owned.epoch, owned.commit_no), (epoch + 1, 0));
        assert!(matches!(writer.commit(batch(owned.epoch, 1)).await, Commit::Done));
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_opened_again_is_said_at_every_request() {
        let dir = tempfile::tempdir().unwrap();
        let opening = opening(&dir);
        let (path, away) = (opening.path.clone(), dir.path().join("away"));
        let first = connection(&opening);
        let writer = Writer::start(opening, first).unwrap();
        std::fs::rename(&path, &away).unwrap();
        let lost = writer.write(|_| -> Result<(), StoreError> { panic!("on purpose") }).await;
        assert!(matches!(lost, Err(StoreError::Unavailable(_))), "{lost:?}");
        let commit = writer.commit(batch(1, 1)).await;
        assert!(matches!(commit, Commit::Failed(StoreError::Unavailable(_))), "{commit:?}");
        std::fs::rename(&away, &path).unwrap();
        // A connection that was opened while the file was away is given up at its first write, the next one is sound.
        for _ in 0..20 {
            if writer.write(|db| registry::take_ownership(db, 0)).await.is_ok() {
                return;
            }
        }
        panic!("the file is back and cannot be written");
    }

    /// What a crash leaves of a log with room behind its last frame is read to that frame, and no further.
    #[tokio::test]
    async fn a_log_that_was_filled_ahead_is_read_to_its_last_frame() {
        let dir = tempfile::tempdir().unwrap();
        let opening = Opening { durability: Durability::Full, ..opening(&dir) };
        let first = schema::open_writer(&opening.path, opening.durability, None).unwrap();
        let (path, log) = (opening.path.clone(), opening.path.with_extension("db-wal"));
        let writer = Writer::start(opening, first).unwrap();
        let epoch = writer.write(|db| registry::take_ownership(db, 0)).await.unwrap().epoch;
        let whole = u64::from(limits::WAL_PAGES) * WAL_FRAME_BYTES;
        while std::fs::metadata(&log).unwrap().len() < whole {
            tokio::task::yield_now().await;
        }
        for commit_no in 1..=3 {
            assert!(matches!(writer.commit(batch(epoch, commit_no)).await, Commit::Done));
        }
        assert_eq!(std::fs::metadata(&log).unwrap().len(), whole, "commits go into what was filled");
        let crashed = dir.path().join("crashed");
        std::fs::create_dir(&crashed).unwrap();
        for file in [&path, &log] {
            std::fs::copy(file, crashed.join(file.file_name().unwrap())).unwrap();
        }
        let image = schema::open_writer(&crashed.join("backstitch.db"), Durability::Full, None).unwrap();
        let told = |text: &str| image.query_row(text, [], |row| row.get::<_, String>(0)).unwrap();
        assert_eq!(told("select cast(commit_no as text) from partitions"), "3");
        assert_eq!(told("pragma integrity_check"), "ok");
    }

    #[tokio::test]
    async fn the_log_is_copied_in_silence_and_cut_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let opening = opening(&dir);
        let (path, log) = (opening.path.clone(), opening.path.with_extension("db-wal"));
        let first = connection(&opening);
        let (before, reader) = (std::fs::metadata(&path).unwrap().len(), schema::open_reader(&path).unwrap());
        let writer = Writer::start(opening, first).unwrap();
        writer.write(|db| registry::secret(db, [7; 32])).await.unwrap();
        while std::fs::metadata(&path).unwrap().len() == before {
            tokio::task::yield_now().await;
        }
        assert!(std::fs::metadata(&log).unwrap().len() > 0);
        drop(writer);
        assert_eq!(std::fs::metadata(&log).unwrap().len(), 0);
        drop(reader);
    }
}
