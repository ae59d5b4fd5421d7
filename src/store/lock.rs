//! The advisory lock `<store>.lock`: whoever changes which keys exist holds it, so that two
//! `keys apply` at once wait or are refused. Servers that only read never take it.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::limits;
use crate::store::error::Error;

/// The lock, held until dropped. The kernel frees it when the process dies.
#[derive(Debug)]
pub struct LockGuard {
    _file: File,
}

/// Waits at most `wait` for the lock beside `store`. Blocks the thread.
pub(crate) fn acquire(store: &Path, wait: Duration) -> Result<LockGuard, Error> {
    let path = lock_path(store);
    let file_error = |source| Error::File {
        path: path.clone(),
        source,
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(file_error)?;
    let end = Instant::now() + wait;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(LockGuard { _file: file }),
            Err(TryLockError::Error(source)) => return Err(file_error(source)),
            Err(TryLockError::WouldBlock) if Instant::now() >= end => {
                return Err(Error::Locked(store.to_owned()));
            }
            Err(TryLockError::WouldBlock) => std::thread::sleep(limits::ADVISORY_LOCK_RETRY),
        }
    }
}

fn lock_path(store: &Path) -> PathBuf {
    let mut name = store.as_os_str().to_owned();
    name.push(".lock");
    PathBuf::from(name)
}
