//! Who writes. One thread takes requests in order and answers each exactly once; a small commit that finds it idle is made
//! where it is asked for, since to wake the thread and to be woken by it costs as much as the disk. Beside that the thread
//! takes care of the write-ahead log. A connection that misbehaved is given up and opened again; a panic costs one request,
//! never the thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::oneshot;

use super::Durability;
use super::commit::Committer;
use super::error::sorted;
use super::log::Log;
use super::schema;
use crate::clock::Stopwatch;
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
    shared: Arc<Shared>,
    /// A message without a request says that commits are made elsewhere, and that the log is to be looked after.
    requests: Option<SyncSender<Option<Request>>>,
    thread: Option<JoinHandle<()>>,
}

/// What the thread and those who ask share.
struct Shared {
    opening: Opening,
    /// Whoever holds it writes. Nothing: the connection was given up, and the next request opens another.
    desk: Mutex<Option<Desk>>,
    /// Requests that the thread has not taken up.
    waiting: AtomicUsize,
    /// How many commits in a row were small and quick, up to as many as allow one to be made where it is asked for.
    calm: AtomicU32,
    /// Counts the commits that were.
    in_place: AtomicU64,
    /// Whether the thread sleeps until it is asked for something.
    asleep: AtomicBool,
}

/// A connection that is trusted, and its log.
struct Desk {
    connection: Connection,
    log: Log,
}

impl Writer {
    /// Starts the thread with its first connection, which the caller has opened.
    pub(super) fn start(opening: Opening, connection: Connection) -> Result<Writer, StoreError> {
        let (requests, incoming) = sync_channel(limits::WRITES_WAITING_MAX);
        let desk = Desk::new(connection, &opening);
        let shared = Arc::new(Shared {
            opening,
            desk: Mutex::new(Some(desk)),
            waiting: AtomicUsize::new(0),
            calm: AtomicU32::new(limits::COMMIT_IN_PLACE_AFTER),
            in_place: AtomicU64::new(0),
            asleep: AtomicBool::new(false),
        });
        let serving = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || serving.serve(&incoming))
            .map_err(|error| StoreError::Open(format!("the writer's thread could not be started: {error}")))?;
        Ok(Writer { shared, requests: Some(requests), thread: Some(thread) })
    }

    /// Writes a batch. A small one may be written before this returns for the first time.
    pub(super) async fn commit(&self, batch: Arc<Batch>) -> Commit {
        if let Some(commit) = self.commit_in_place(&batch) {
            return commit;
        }
        let (reply, answer) = oneshot::channel();
        if let Err(error) = self.send(Request::Commit(batch, reply)) {
            return Commit::Failed(error);
        }
        // The thread took the batch and lost the answer: only the tables know what became of it.
        answer.await.unwrap_or_else(|_| Commit::Unknown(lost()))
    }

    /// Writes a small batch here and now, unless anybody else writes or waits for that, there is much to do, or the disk is
    /// slow: whoever asks does nothing else meanwhile, and fills no next batch.
    fn commit_in_place(&self, batch: &Batch) -> Option<Commit> {
        let shared = &*self.shared;
        let calm = shared.calm.load(Ordering::Relaxed) >= limits::COMMIT_IN_PLACE_AFTER;
        if !calm || !is_small(batch) || shared.waiting.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let mut desk = shared.desk.try_lock().ok()?;
        let patience =
            |desk: &Option<Desk>, ms| desk.as_ref().map(|desk| desk.connection.busy_timeout(Duration::from_millis(ms)));
        patience(&desk, 0);
        let commit = shared.commit(&mut desk, batch)?;
        patience(&desk, limits::DATABASE_BUSY_MS);
        drop(desk);
        if matches!(commit, Commit::Failed(StoreError::Unavailable(_))) {
            // Nothing was written. Whatever is to be waited for, another program's lock most likely, the thread waits for.
            shared.calm.store(0, Ordering::Relaxed);
            return None;
        }
        shared.in_place.fetch_add(1, Ordering::SeqCst);
        if shared.asleep.swap(false, Ordering::SeqCst) {
            // Where there is no room the thread is awake.
            let _ = self.requests.as_ref().map(|requests| requests.try_send(None));
        }
        Some(commit)
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
        self.shared.waiting.fetch_add(1, Ordering::SeqCst);
        requests.try_send(Some(request)).map_err(|error| {
            self.shared.waiting.fetch_sub(1, Ordering::SeqCst);
            match error {
                TrySendError::Full(_) => {
                    StoreError::Unavailable(format!("{} writes wait already", limits::WRITES_WAITING_MAX))
                }
                TrySendError::Disconnected(_) => lost(),
            }
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

fn is_small(batch: &Batch) -> bool {
    batch.changes.len() <= limits::COMMIT_IN_PLACE_CHANGES_MAX
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

impl Desk {
    fn new(mut connection: Connection, opening: &Opening) -> Desk {
        let log = Log::watch(&mut connection, opening);
        Desk { connection, log }
    }
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Option<Desk>> {
        // Panics are caught where they happen, with the lock held outside.
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread.
    fn serve(&self, incoming: &Receiver<Option<Request>>) {
        let mut seen = 0;
        loop {
            match incoming.recv_timeout(Duration::from_millis(limits::CHECKPOINT_IDLE_MS)) {
                Ok(request) => request.into_iter().for_each(|request| self.answer(request)),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    let commits = self.in_place.load(Ordering::SeqCst);
                    if std::mem::replace(&mut seen, commits) != commits {
                        self.look_after_log(false);
                        continue;
                    }
                    self.look_after_log(true);
                    self.asleep.store(true, Ordering::SeqCst);
                    // Whoever commits from here on says so.
                    if self.in_place.load(Ordering::SeqCst) == commits {
                        let Ok(request) = incoming.recv() else { break };
                        request.into_iter().for_each(|request| self.answer(request));
                    }
                    self.asleep.store(false, Ordering::SeqCst);
                }
            }
        }
        if let Some(desk) = self.desk().take() {
            desk.log.start_over(&desk.connection);
        }
    }

    /// Copies the log into the file in silence, and makes room in it; else only when it is large.
    fn look_after_log(&self, silence: bool) {
        let desk = self.desk();
        let Some(Desk { connection, log }) = &*desk else { return };
        if silence {
            log.copy(connection);
            log.lengthen();
        } else {
            log.copy_if_large(connection);
        }
    }

    /// Answers one request, on another connection if the last one was given up; as long as none can be opened, with the reason.
    fn answer(&self, request: Request) {
        let mut desk = self.desk();
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        let opened = if desk.is_some() { Ok(()) } else { self.open().map(|fresh| *desk = Some(fresh)) };
        match (request, opened) {
            (Request::Commit(batch, reply), Ok(())) => {
                let commit = self.commit(&mut desk, &batch);
                // Before it is told, for who asked may want to commit the next in place.
                drop(desk);
                // Whoever asked may be gone; the tables know.
                let _ = reply.send(commit.unwrap_or_else(|| Commit::Failed(lost())));
            }
            (Request::Job(job), Ok(())) => {
                self.trusted(&mut desk, |connection| {
                    job(Ok(connection));
                    true
                });
                drop(desk);
            }
            (Request::Commit(_, reply), Err(error)) => return drop(reply.send(Commit::Failed(error))),
            (Request::Job(job), Err(error)) => return drop(catch_unwind(AssertUnwindSafe(|| job(Err(error))))),
        }
        self.look_after_log(false);
    }

    fn open(&self) -> Result<Desk, StoreError> {
        let Opening { path, durability, pages_max } = &self.opening;
        match schema::open_writer(path, *durability, *pages_max) {
            Ok(connection) => Ok(Desk::new(connection, &self.opening)),
            Err(error) => Err(StoreError::Unavailable(error.to_string())),
        }
    }

    /// Writes a batch. Nothing: there is no connection to write it with.
    fn commit(&self, desk: &mut Option<Desk>, batch: &Batch) -> Option<Commit> {
        let (began, mut done) = (Stopwatch::start(), None);
        desk.as_ref()?;
        self.trusted(desk, |connection| {
            let Ok(mut committer) = Committer::new(connection) else {
                let error = "the tables are not those of this version; was the file replaced?";
                done = Some(Commit::Failed(StoreError::Corrupt(error.to_owned())));
                return false;
            };
            let commit = committer.commit(batch);
            let certain = !matches!(commit, Commit::Unknown(_));
            done = Some(commit);
            certain
        });
        let quick = began.elapsed() < Duration::from_micros(limits::COMMIT_IN_PLACE_US_MAX);
        let calm = if quick && is_small(batch) { self.calm.load(Ordering::Relaxed) + 1 } else { 0 };
        self.calm.store(calm.min(limits::COMMIT_IN_PLACE_AFTER), Ordering::Relaxed);
        // What panicked may have come to its end or not: the tables know.
        Some(done.unwrap_or_else(|| Commit::Unknown(lost())))
    }

    /// Does something with the connection, and gives it up if that says no, panics, or leaves a transaction open.
    fn trusted(&self, desk: &mut Option<Desk>, work: impl FnOnce(&Connection) -> bool) {
        let Some(Desk { connection, .. }) = desk else { return };
        let done = catch_unwind(AssertUnwindSafe(|| work(connection)));
        if !matches!(done, Ok(true)) || !connection.is_autocommit() {
            tracing::error!(
                panicked = done.is_err(),
                "failed to write in a way that leaves doubts; opening the database again"
            );
            *desk = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Change, Channel, StateKey, Timestamp};
    use crate::store::sqlite::log::WAL_FRAME_BYTES;
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

    /// A writer whose partition is owned, and the epoch.
    async fn owner(opening: Opening, first: Connection) -> (Writer, u32) {
        let writer = Writer::start(opening, first).unwrap();
        let epoch = writer.write(|db| registry::take_ownership(db, 0)).await.unwrap().epoch;
        (writer, epoch)
    }

    /// Sends the next commit to the thread, or makes it in place once the thread is through with everything.
    fn next_in_place(writer: &Writer, in_place: bool) {
        while !writer.shared.asleep.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        let calm = if in_place { limits::COMMIT_IN_PLACE_AFTER } else { 0 };
        writer.shared.calm.store(calm, Ordering::Relaxed);
    }

    fn made_in_place(writer: &Writer) -> u64 {
        writer.shared.in_place.load(Ordering::SeqCst)
    }

    async fn an_error_in_commit_is_unknown(in_place: bool) {
        let dir = tempfile::tempdir().unwrap();
        let opening = opening(&dir);
        let mut first = connection(&opening);
        let epoch = in_transaction(&first, |db| registry::take_ownership(db, 0)).unwrap().epoch;
        // The first connection turns every COMMIT into an error; the one that is opened in its place does not.
        first.commit_hook(Some(|| true)).unwrap();
        let writer = Writer::start(opening, first).unwrap();
        next_in_place(&writer, in_place);
        let commit = writer.commit(batch(epoch, 1)).await;
        assert!(matches!(commit, Commit::Unknown(_)), "{commit:?}");
        assert_eq!(made_in_place(&writer), u64::from(in_place));
        let owned = writer.write(|db| registry::take_ownership(db, 0)).await.unwrap();
        assert_eq!((owned.epoch, owned.commit_no), (epoch + 1, 0));
        assert!(matches!(writer.commit(batch(owned.epoch, 1)).await, Commit::Done));
    }

    #[tokio::test]
    async fn an_error_in_commit_is_unknown_and_the_file_knows() {
        an_error_in_commit_is_unknown(true).await;
        an_error_in_commit_is_unknown(false).await;
    }

    /// What is large, what comes while others write or wait, and what comes after a slow commit goes to the thread.
    #[tokio::test]
    async fn small_commits_of_a_quick_disk_are_made_in_place() {
        let dir = tempfile::tempdir().unwrap();
        let opening = opening(&dir);
        let first = connection(&opening);
        let (writer, epoch) = owner(opening, first).await;
        let mut commit_no = 0;
        let mut made = async |in_place_before: bool, changes: usize| {
            next_in_place(&writer, in_place_before);
            commit_no += 1;
            let dropped = Change::StateDeleted(StateKey::Channel(Channel::parse("none".into())));
            let batch = Batch { changes: vec![dropped; changes], ..Batch::clone(&batch(epoch, commit_no)) };
            let before = made_in_place(&writer);
            assert!(matches!(writer.commit(Arc::new(batch)).await, Commit::Done));
            made_in_place(&writer) > before
        };
        assert!(made(true, 0).await);
        assert!(made(true, limits::COMMIT_IN_PLACE_CHANGES_MAX).await);
        assert!(!made(true, limits::COMMIT_IN_PLACE_CHANGES_MAX + 1).await);
        assert_eq!(writer.shared.calm.load(Ordering::Relaxed), 0, "there is much to do");
        assert!(!made(false, 0).await);
        let held = writer.shared.desk();
        let (asked, given) = (writer.commit(batch(epoch, 5)), async { drop(held) });
        assert!(matches!(tokio::join!(asked, given).0, Commit::Done));
        assert_eq!(made_in_place(&writer), 2, "a commit was made in place while somebody else wrote");
    }

    #[tokio::test]
    async fn the_lock_of_another_program_is_waited_for_by_the_thread() {
        let dir = tempfile::tempdir().unwrap();
        let opening = opening(&dir);
        let path = opening.path.clone();
        let first = connection(&opening);
        let (writer, epoch) = owner(opening, first).await;
        next_in_place(&writer, true);
        let other = schema::open_writer(&path, Durability::Relaxed, None).unwrap();
        let lock = Transaction::new_unchecked(&other, TransactionBehavior::Immediate).unwrap();
        let mut commit = std::pin::pin!(writer.commit(batch(epoch, 1)));
        assert!(futures_util::poll!(&mut commit).is_pending(), "it waits, and holds up nobody");
        lock.rollback().unwrap();
        assert!(matches!(commit.await, Commit::Done));
        assert_eq!(made_in_place(&writer), 0);
    }

    #[tokio::test]
    async fn a_slow_disk_is_noticed_and_a_quick_one_again() {
        let dir = tempfile::tempdir().unwrap();
        let opening = opening(&dir);
        let mut first = connection(&opening);
        let slow = Arc::new(AtomicBool::new(true));
        let asked = slow.clone();
        let hook = move || {
            if asked.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_micros(2 * limits::COMMIT_IN_PLACE_US_MAX));
            }
            false
        };
        first.commit_hook(Some(hook)).unwrap();
        let (writer, epoch) = owner(opening, first).await;
        next_in_place(&writer, true);
        for commit_no in 1..=2 {
            assert!(matches!(writer.commit(batch(epoch, commit_no)).await, Commit::Done));
        }
        assert_eq!(made_in_place(&writer), 1, "the second commit waits elsewhere");
        slow.store(false, Ordering::SeqCst);
        for commit_no in 3..2_000 {
            assert!(matches!(writer.commit(batch(epoch, commit_no)).await, Commit::Done));
            if made_in_place(&writer) > 1 {
                return;
            }
        }
        panic!("no commit was made in place on a quick disk");
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
        let (writer, epoch) = owner(opening, first).await;
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

    /// Nobody asks the thread for anything, and it still does its work.
    #[tokio::test]
    async fn what_was_committed_in_place_is_copied_in_silence() {
        let dir = tempfile::tempdir().unwrap();
        let opening = opening(&dir);
        let path = opening.path.clone();
        let first = connection(&opening);
        let (writer, epoch) = owner(opening, first).await;
        for commit_no in 1..=2 {
            next_in_place(&writer, true);
            assert!(matches!(writer.commit(batch(epoch, commit_no)).await, Commit::Done));
            // The file alone, without its log, has it only when the log was copied.
            let alone = dir.path().join(format!("alone-{commit_no}.db"));
            let mut found = 0_i64;
            while found < i64::try_from(commit_no).unwrap() {
                std::fs::copy(&path, &alone).unwrap();
                let image = Connection::open(&alone).unwrap();
                found = image.query_row("select commit_no from partitions", [], |row| row.get(0)).unwrap_or(0);
                tokio::task::yield_now().await;
            }
        }
        assert_eq!(made_in_place(&writer), 2);
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
