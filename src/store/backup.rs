//! Copies of a store: one file, consistent however much is written meanwhile, on the disk before
//! the call returns. Nothing in it is clear that is not clear in the store.
//!
//! Deliberately not here: whether what was copied is whole and authentic. The root says that, and
//! the keys layer asks it (`keys::backup`).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread;

use crate::store::error::Error;
use crate::store::sqlite::copy;
use crate::{failpoint, limits};

/// Told now and then how many bytes of how many are written.
pub type Progress<'a> = &'a (dyn Fn(u64, u64) + Sync);

/// Copies the store at `from` into the new file `to` (mode 0600). Blocks.
///
/// # Errors
/// [`Error::File`] where `to` exists or cannot be written; [`Error::Foreign`] where `from` is no
/// store. After an error there is no `to` that was not there before.
pub fn copy_to(from: &Path, to: &Path, progress: Progress<'_>) -> Result<(), Error> {
    // Made here and now, so that no other file is written over and nobody else may read it.
    new_file(to).map_err(|source| file_error(to, source))?;
    failpoint::hit("backup.begun");
    let copied = copy_telling(from, to, progress)
        .and_then(|()| make_durable(to).map_err(|source| file_error(to, source)));
    failpoint::hit("backup.after-copy");
    if copied.is_err() {
        // The first error is the one to report.
        let _ = std::fs::remove_file(to);
    }
    copied
}

/// Makes the store at `to`, which must not exist, out of the copy `from`. It appears as a whole or
/// not at all. Blocks.
///
/// # Errors
/// As [`copy_to`].
pub fn restore(from: &Path, to: &Path, progress: Progress<'_>) -> Result<(), Error> {
    for there in [to.to_owned(), beside(to, "-wal"), beside(to, "-shm")] {
        if there.exists() {
            let source = io::Error::from(io::ErrorKind::AlreadyExists);
            return Err(file_error(&there, source));
        }
    }
    // Of this process: what another left that died does not stand in the way.
    let partial = beside(to, &format!(".restoring-{}", std::process::id()));
    copy_to(from, &partial, progress)?;
    // A hard link refuses a name that exists by now; a renaming would write over it.
    failpoint::hit("restore.before-link");
    let linked = std::fs::hard_link(&partial, to);
    failpoint::hit("restore.after-link");
    let removed = std::fs::remove_file(&partial);
    linked
        .and(removed)
        .and_then(|()| make_durable(to))
        .map_err(|source| file_error(to, source))
}

fn copy_telling(from: &Path, to: &Path, progress: Progress<'_>) -> Result<(), Error> {
    let total = std::fs::metadata(from).map_or(0, |file| file.len());
    thread::scope(|scope| {
        let copying = scope.spawn(|| copy(from, to));
        while !copying.is_finished() {
            thread::sleep(limits::COPY_PROGRESS);
            progress(std::fs::metadata(to).map_or(0, |file| file.len()), total);
        }
        match copying.join() {
            Ok(copied) => copied,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create_new(true)
        .write(true)
        .mode(0o600)
        .open(path)
}

/// The file's bytes, and its name in the folder.
fn make_durable(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn file_error(path: &Path, source: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}
