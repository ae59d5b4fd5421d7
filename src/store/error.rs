//! What can go wrong in the store, by whose fault it is. SQLite's own text stays in the source of
//! the error, for the log.

use std::path::PathBuf;

use crate::store::RecordId;
use crate::store::sqlite::SCHEMA_VERSION;

/// An error of the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The caller's: the record is already there.
    #[error("{0} already exists")]
    Exists(RecordId),
    /// Nobody's: another writer changed the record first.
    #[error("{0} was changed by another")]
    Changed(RecordId),
    /// Nobody's: another writer was quicker; the generation is this now.
    #[error("the store has moved on to generation {0}")]
    Moved(u64),
    /// Nobody's: another writer changed the document first, or it is not there.
    #[error("the document was changed by another")]
    DocumentMoved,
    /// Nobody's: the call was answered before.
    #[error("the call was answered before")]
    Answered,
    /// The caller's: a change out of this store's bounds.
    #[error("the change is out of the store's bounds")]
    ChangeBounds,
    /// The caller's: the record is out of this store's bounds.
    #[error("{0} is out of the store's bounds")]
    RecordBounds(RecordId),
    /// The file's: a row is out of bounds, so somebody else wrote it.
    #[error("row of {0} is out of the store's bounds")]
    RowBounds(RecordId),
    /// The operator's: another holds the advisory lock.
    #[error("another `pintle keys apply` or `import` is running on {}", .0.display())]
    Locked(PathBuf),
    /// The operator's: the file is no Pintle store, or of a version this build does not know.
    #[error("{} is not a Pintle store of schema version {SCHEMA_VERSION}", .0.display())]
    Foreign(PathBuf),
    /// The machine's: the file cannot be made, opened or locked.
    #[error("cannot use {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The machine's: SQLite refused.
    #[error("the store failed")]
    Sqlite(#[source] rusqlite::Error),
    /// The machine's: what waits for a budget was not written, or it is not known.
    #[error("the budgets were not written")]
    Budgets,
    /// Load: the queue is full.
    #[error("the store's queue is full")]
    QueueFull,
    /// Load: the deadline passed before the store answered.
    #[error("the store did not answer in time")]
    Deadline,
    /// Ours: the thread that owned the connection has stopped.
    #[error("the store has stopped")]
    Stopped,
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            // Another process held the file for as long as this call could wait.
            Some(rusqlite::ErrorCode::DatabaseBusy) => Self::Deadline,
            _ => Self::Sqlite(error),
        }
    }
}
