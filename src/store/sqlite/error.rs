//! What SQLite's errors mean here: the data's fault, the machine's, or the file's. It speaks to the one who reads the
//! log, and says what to do.

use rusqlite::{Error, ErrorCode};

use crate::store::StoreError;

/// Sorts an error that happened before COMMIT, or in a read.
pub(super) fn sorted(error: Error) -> StoreError {
    let Error::SqliteFailure(cause, _) = &error else {
        return StoreError::Corrupt(error.to_string());
    };
    match cause.code {
        ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch => {
            StoreError::Data(error.to_string())
        }
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase | ErrorCode::Unknown | ErrorCode::SchemaChanged => {
            StoreError::Corrupt(format!("{error}; restore the data directory from a backup"))
        }
        ErrorCode::DiskFull => {
            StoreError::Unavailable(format!("{error}; free space on the disk of the data directory"))
        }
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            StoreError::Unavailable(format!("{error}; make the data directory writable for this process"))
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            StoreError::Unavailable(format!("{error}; close the other program that writes to the file"))
        }
        _ => StoreError::Unavailable(error.to_string()),
    }
}
