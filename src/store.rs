//! Key records at rest: headers and their seals in one SQLite file, with a generation that every
//! write raises in its own transaction.
//!
//! The store knows nothing of what a header says or a seal hides: it keeps bytes and refuses rows
//! out of bounds. It never sees a clear key. It does not detect a row that somebody edited; the
//! seals do (`keys::seal`).

pub mod error;
pub mod lock;
pub mod reply;
mod sqlite;
#[cfg(test)]
mod tests;
mod thread;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::limits;
use crate::store::error::Error;
use crate::store::lock::LockGuard;
use crate::store::reply::Reply;
use crate::store::sqlite::{Reader, Writer};
use crate::store::thread::Pool;

/// One store file: one writer thread and [`limits::STORE_READERS`] read-only connections, each on
/// its own thread behind a bounded queue. Clones share them.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    path: PathBuf,
    // Dropped before the writer: the last connection to close folds the WAL into the file, and a
    // read-only one can't.
    readers: Pool<Reader>,
    writer: Pool<Writer>,
}

impl Store {
    /// Opens the store, creating the file (mode 0600) and its schema where it does not exist.
    ///
    /// # Errors
    /// A file that is no store of ours, of another schema version, or that SQLite cannot use.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let writer = Writer::open(path)?;
        let readers = (0..limits::STORE_READERS)
            .map(|_| Reader::open(path))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            inner: Arc::new(Inner {
                path: path.to_owned(),
                writer: Pool::start("store-writer", vec![writer])?,
                readers: Pool::start("store-reader", readers)?,
            }),
        })
    }

    /// The file this store was opened from.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Every version of one key, newest first; empty where there is none.
    pub fn versions(
        &self,
        deadline: Instant,
        tenant: &str,
        name: &str,
    ) -> Reply<Vec<StoredRecord>> {
        let (tenant, name) = (tenant.to_owned(), name.to_owned());
        self.inner
            .readers
            .submit(deadline, move |reader| reader.versions(&tenant, &name))
    }

    /// One page of records in the order (tenant, name, version), after `after`; a page shorter
    /// than [`limits::STORE_PAGE_RECORDS`] is the last.
    pub fn list(
        &self,
        deadline: Instant,
        tenant: Option<&str>,
        after: Option<RecordId>,
    ) -> Reply<Vec<StoredRecord>> {
        let tenant = tenant.map(str::to_owned);
        self.inner.readers.submit(deadline, move |reader| {
            reader.list(tenant.as_deref(), after.as_ref())
        })
    }

    /// Adds records, all or none; answers the new generation.
    ///
    /// # Errors
    /// [`Error::Exists`] names the first that is already there.
    pub fn insert(&self, deadline: Instant, records: Vec<StoredRecord>) -> Reply<u64> {
        self.inner
            .writer
            .submit(deadline, move |writer| writer.insert(&records))
    }

    /// Replaces a record whose header still is `expected_header`; answers the new generation.
    ///
    /// # Errors
    /// [`Error::Changed`] when another got there first.
    pub fn replace(
        &self,
        deadline: Instant,
        expected_header: Vec<u8>,
        record: StoredRecord,
    ) -> Reply<u64> {
        self.inner.writer.submit(deadline, move |writer| {
            writer.replace(&expected_header, &record)
        })
    }

    /// The generation: the number of writes this store has seen.
    pub fn generation(&self, deadline: Instant) -> Reply<u64> {
        self.inner
            .readers
            .submit(deadline, |reader| reader.generation())
    }

    /// Which keys changed after `generation`.
    pub fn changed_since(&self, deadline: Instant, generation: u64) -> Reply<Changes> {
        self.inner
            .readers
            .submit(deadline, move |reader| reader.changed_since(generation))
    }

    /// Takes the lock of those who change which keys exist, waiting at most `wait`. Blocks.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process or handle holds it for longer.
    pub fn advisory_lock(&self, wait: Duration) -> Result<LockGuard, Error> {
        lock::acquire(&self.inner.path, wait)
    }
}

/// Which record.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId {
    /// The tenant that owns the key.
    pub tenant: String,
    /// The key's name within the tenant.
    pub name: String,
    /// The key's version, from 1.
    pub version: u32,
}

impl std::fmt::Display for RecordId {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            tenant,
            name,
            version,
        } = self;
        write!(formatter, "key {name} version {version} of tenant {tenant}")
    }
}

/// One record as it lies in the file. Nothing in it is secret; nothing in it is trusted until a
/// seal opened over exactly this header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredRecord {
    /// The columns that find the row. The header says the same, or the record is refused.
    pub id: RecordId,
    /// The sealed record's header, which every seal authenticates.
    pub header: Vec<u8>,
    /// One seal per enrolled token.
    pub seals: Vec<StoredSeal>,
}

/// What one token sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSeal {
    /// The token that can open it.
    pub token_id: [u8; 16],
    /// Which of that token's seal keys.
    pub seal_key_id: [u8; 16],
    /// The GCM initialization vector, from the token.
    pub iv: [u8; 12],
    /// Ciphertext and tag.
    pub sealed: Vec<u8>,
}

/// What changed after some generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changes {
    /// The generation this answer is as of.
    pub generation: u64,
    /// The keys that changed.
    pub names: Changed,
}

/// The keys of a [`Changes`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// These (tenant, name), each once.
    Names(Vec<(String, String)>),
    /// More than [`limits::STORE_CHANGED_NAMES_MAX`], or the store went back in time: treat every
    /// key as changed.
    Everything,
}
