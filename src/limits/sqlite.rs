//! Bounds of the embedded ledger: who waits for it, its caches, its write-ahead log.

/// Writes that wait for the database's writer: one batch and what administrators do.
pub const WRITES_WAITING_MAX: usize = 64;

/// Reads of one lane that wait for a connection before more have to wait at its door.
pub const READS_WAITING_MAX: usize = 256;

/// Connections that read for decisions, and as many that read for people: neither can starve the other.
pub const READERS_PER_LANE: usize = 2;

/// Page cache of the connection that writes, in KiB: the pages under hot indexes stay in memory.
pub const WRITER_CACHE_KIB: i64 = 128 << 10;

/// Page cache of a connection that reads, in KiB.
pub const READER_CACHE_KIB: i64 = 16 << 10;

/// How long a connection waits for a lock that some tool of the operator holds, in milliseconds.
pub const DATABASE_BUSY_MS: u64 = 5_000;

/// Changes of a batch that may be committed where it is asked for: a few commands, for which the disk takes longer than SQLite.
pub const COMMIT_IN_PLACE_CHANGES_MAX: usize = 8;

/// Small and quick commits in a row after which the next is made where it is asked for.
pub const COMMIT_IN_PLACE_AFTER: u32 = 16;

/// A commit that took longer, in microseconds, sends the next one to the writer's thread: the disk is slow.
pub const COMMIT_IN_PLACE_US_MAX: u64 = 1_000;

/// Silence after which the write-ahead log is copied into the file, in milliseconds.
pub const CHECKPOINT_IDLE_MS: u64 = 20;

/// Pages in the write-ahead log at which it is copied without waiting for silence: 16 MiB.
pub const WAL_PAGES: u32 = 4_096;

/// Pages in the write-ahead log at which readers are waited for, so that it can start over: 256 MiB.
pub const WAL_PAGES_MAX: u32 = 65_536;

/// How long commits stand still for readers of an old state when the log has grown that far, in milliseconds.
pub const WAL_READERS_WAIT_MS: u64 = 100;

/// Size to which the write-ahead log's file is cut back when it starts over, in bytes.
pub const WAL_FILE_BYTES_MAX: i64 = 64 << 20;

const _: () = assert!(WAL_PAGES < WAL_PAGES_MAX && WAL_FILE_BYTES_MAX >= 4_096 * WAL_PAGES as i64);
