//! The write-ahead log of the connection that writes: how large it is, when it is copied into the file, and the room that
//! is made for it ahead of time. It writes no rows, and none of its failures is anybody's but its own.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, MAIN_DB};

use super::Durability;
use super::writer::Opening;
use crate::limits;

/// A page in the log, with the header of its frame.
pub(super) const WAL_FRAME_BYTES: u64 = 4_096 + 24;

/// The write-ahead log of a connection: how many pages it has, and when it is copied.
pub(super) struct Log {
    pages: Arc<AtomicU32>,
    /// Pages at which the next copy is made without waiting for silence.
    bound: std::cell::Cell<u32>,
    /// Its file, where commits wait for the disk.
    path: Option<PathBuf>,
}

impl Log {
    pub(super) fn watch(connection: &mut Connection, opening: &Opening) -> Log {
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

    pub(super) fn copy_if_large(&self, connection: &Connection) {
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
    pub(super) fn copy(&self, connection: &Connection) {
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
    pub(super) fn lengthen(&self) {
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

    pub(super) fn start_over(&self, connection: &Connection) {
        let _ = connection.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::TRUNCATE);
    }
}
