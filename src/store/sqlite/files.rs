//! The data directory: its two files, who may read them, and the lock that keeps a second server out. The lock is the
//! operating system's, so it ends with the process that holds it, however that ends.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crate::store::StoreError;

/// The database's file in a data directory.
pub(super) const DATABASE: &str = "backstitch.db";

/// A data directory that this process holds. Dropping it lets the next one in.
#[derive(Debug)]
pub(super) struct DataDirectory {
    dir: PathBuf,
    lock: File,
}

impl DataDirectory {
    /// Makes the directory if needed, locks it, and sees to it that nobody else can read the database.
    pub(super) fn take(dir: &Path) -> Result<DataDirectory, StoreError> {
        let failed = |what: &str, error: std::io::Error| {
            StoreError::Open(format!("the data directory {} could not be {what}: {error}", dir.display()))
        };
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| failed("created", error))?;
        let lock = private(&dir.join(super::LOCK)).map_err(|error| failed("locked", error))?;
        let lock = locked(lock, dir)?;
        let held = DataDirectory { dir: dir.to_owned(), lock };
        // SQLite gives its side files the rights of the file that it finds.
        private(&held.database()).map_err(|error| failed("written to", error))?;
        Ok(held)
    }

    /// The database's file.
    pub(super) fn database(&self) -> PathBuf {
        self.dir.join(DATABASE)
    }
}

impl Drop for DataDirectory {
    fn drop(&mut self) {
        // Closing the file alone would not do: a child process that is being started shares it until it has begun.
        let _ = self.lock.unlock();
    }
}

fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

fn locked(mut lock: File, dir: &Path) -> Result<File, StoreError> {
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let known = lock.read_to_string(&mut holder).is_ok() && holder.trim().parse::<u32>().is_ok();
            let who = if known { format!("process {}", holder.trim()) } else { "another process".to_owned() };
            return Err(StoreError::Open(format!(
                "the data directory {} is in use by {who}; stop that server, or give this one a directory of its own",
                dir.display()
            )));
        }
        Err(TryLockError::Error(error)) => {
            return Err(StoreError::Open(format!(
                "the data directory {} could not be locked: {error}; it must be on a file system that knows locks",
                dir.display()
            )));
        }
    }
    // The number is for the message above only; a lock without it is still a lock.
    let note = format!("{}\n", std::process::id());
    let _ = lock.set_len(0).and_then(|()| lock.rewind()).and_then(|()| lock.write_all(note.as_bytes()));
    Ok(lock)
}
