//! Backups that are known to be good: a copy of the store whose every row is what its root vouches
//! for, by this token. One that is not is not kept.

use std::panic::resume_unwind;
use std::path::Path;
use std::thread;

use crate::hsm::Token;
use crate::keys::error::{CatalogueFault, Error};
use crate::keys::root::scan::Progress;
use crate::keys::standing;
use crate::store::{Snapshot, backup};

/// What a store file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Its generation; 0 where nobody has written it yet.
    pub generation: u64,
    /// How many records.
    pub records: u64,
}

/// Reads a whole store file and checks every row against its root. Blocks.
///
/// # Errors
/// [`Error::CatalogueRefused`], also where a single row differs; or what store or token answered.
pub fn verify(path: &Path, token: &Token, progress: Progress<'_>) -> Result<Verified, Error> {
    // On a thread of its own, which may wait for the token also where the caller is in a runtime.
    let read = thread::scope(|scope| {
        let reader = scope.spawn(|| standing::read_all(&Snapshot::open(path)?, token, progress));
        reader.join().unwrap_or_else(|panic| resume_unwind(panic))
    })?;
    if read.findings.is_empty() {
        Ok(Verified {
            generation: read.root.generation,
            records: read.root.count,
        })
    } else {
        Err(CatalogueFault::RowsDiffer(read.findings).into())
    }
}

/// Copies a store, which may be in use, into a new file, and verifies the copy. Blocks.
///
/// # Errors
/// As [`verify`]; or where the file exists or cannot be written. Then there is no copy.
pub fn back_up(
    store: &Path,
    to: &Path,
    token: &Token,
    written: backup::Progress<'_>,
    read: Progress<'_>,
) -> Result<Verified, Error> {
    backup::copy_to(store, to, written)?;
    let verified = verify(to, token, read);
    if verified.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(to);
    }
    verified
}

/// Makes a store, where there is none, out of a backup that was verified. Blocks.
///
/// # Errors
/// As [`verify`]; or where the store exists or cannot be written. Then nothing was made.
pub fn restore(
    from: &Path,
    store: &Path,
    token: &Token,
    written: backup::Progress<'_>,
    read: Progress<'_>,
) -> Result<Verified, Error> {
    let verified = verify(from, token, read)?;
    backup::restore(from, store, written)?;
    Ok(verified)
}
