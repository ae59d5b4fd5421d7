//! The journal of every call: who, what, under which keys, with which outcome; one JSON line each,
//! chained by SHA-256 and durable before the call is answered.
//!
//! Deliberately not here: anything a record must never say. Its types cannot carry a PAN, a PIN, a
//! key value or why a PIN block was refused. The chain has no key, so whoever may write the file
//! may also rewrite all of it, or cut off its end; only a signed checkpoint kept elsewhere shows
//! that.

mod chain;
mod journal;
mod record;

pub use self::chain::{Broken, Fault, Summary, verify_file};
pub use self::journal::{Append, Journal, JournalOptions};
pub use self::record::Record;

/// Why a record is not in the journal, or a journal does not open.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Load: more records wait for the disk than the queue holds. The call may be tried again.
    #[error("the audit journal is busy")]
    Busy,
    /// The disk: a write or a sync failed. Every append fails until the server is started again.
    #[error("the audit journal has failed and accepts no records")]
    Failed,
    /// Us: a name in the record is longer than its bound or not of its alphabet.
    #[error("the audit record is malformed")]
    RecordMalformed,
    /// The operator: another process writes this journal.
    #[error("the audit journal is in use by another process")]
    InUse,
    /// Tampering or damage: the end of the existing file is not a chain.
    #[error("the audit journal is broken at {0}; keep the file and start a new one")]
    Broken(#[from] Broken),
    /// The disk, at start.
    #[error("the audit journal cannot be opened")]
    Unreadable(#[from] std::io::Error),
}

#[cfg(test)]
mod tests;
