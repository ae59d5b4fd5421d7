//! Key records at rest: headers and their seals in one SQLite file, with a generation that every
//! write raises in its own transaction.
//!
//! The store knows nothing of what a header says or a seal hides: it keeps bytes and refuses rows
//! out of bounds. It never sees a clear key. It does not detect a row that somebody edited, put
//! back or took away; the seals and the root do (`keys::seal`, `keys::root`).

pub mod backup;
pub mod budget;
pub mod change;
pub mod error;
pub mod lock;
pub mod reply;
pub mod seals;
mod sqlite;
#[cfg(test)]
mod tests;
mod thread;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use sqlite::{DirectoryRow, RecordRow, Snapshot};

use crate::limits;
use crate::store::change::{Beside, Change, Document, KsnNote, RequestId, RowTag, StoredRoot};
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
    budgets: Arc<budget::Queue>,
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
                budgets: Arc::default(),
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

    /// Carries out a change, all of it or nothing; answers the new generation.
    ///
    /// # Errors
    /// [`Error::Moved`] when the generation is not the expected one any more, [`Error::Exists`]
    /// and [`Error::Changed`] name the first record that is not as expected;
    /// [`Error::DocumentMoved`], [`Error::Answered`], [`Error::ChangeBounds`].
    pub fn commit(&self, deadline: Instant, change: Change) -> Reply<u64> {
        self.inner
            .writer
            .submit(deadline, move |writer| writer.commit(&change))
    }

    /// Writes documents and an answer that go with no change to the catalogue.
    ///
    /// # Errors
    /// [`Error::DocumentMoved`], [`Error::Answered`], [`Error::ChangeBounds`].
    pub fn write_beside(&self, deadline: Instant, beside: Beside) -> Reply<()> {
        self.inner
            .writer
            .submit(deadline, move |writer| writer.write_beside(&beside))
    }

    /// One document.
    pub fn document(&self, deadline: Instant, kind: &str, id: &str) -> Reply<Option<Document>> {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        self.inner
            .readers
            .submit(deadline, move |reader| reader.document(&kind, &id))
    }

    /// One page of the documents of a kind by id, after `after`; a page shorter than
    /// [`limits::DOCUMENT_PAGE`] is the last.
    pub fn documents(&self, deadline: Instant, kind: &str, after: &str) -> Reply<Vec<Document>> {
        let (kind, after) = (kind.to_owned(), after.to_owned());
        self.inner
            .readers
            .submit(deadline, move |reader| reader.documents(&kind, &after))
    }

    /// Deletes a document that still has this revision.
    ///
    /// # Errors
    /// [`Error::DocumentMoved`].
    pub fn delete_document(
        &self,
        deadline: Instant,
        kind: &str,
        id: &str,
        expected_revision: u64,
    ) -> Reply<()> {
        let (kind, id) = (kind.to_owned(), id.to_owned());
        self.inner.writer.submit(deadline, move |writer| {
            writer.delete_document(&kind, &id, expected_revision)
        })
    }

    /// What a call was answered, where that is still kept at `now` (seconds since 1970).
    pub fn answer(
        &self,
        deadline: Instant,
        request: RequestId,
        now: u64,
    ) -> Reply<Option<Vec<u8>>> {
        self.inner
            .readers
            .submit(deadline, move |reader| reader.answer(&request, now))
    }

    /// Notes one use of a transaction of a device; false where it was noted before, or is further below
    /// the device's highest than its window. Durable before it is answered.
    pub fn note_ksn(&self, deadline: Instant, note: KsnNote) -> Reply<bool> {
        self.inner
            .writer
            .submit(deadline, move |writer| writer.note_ksn(&note))
    }

    /// The store as it is now, to be streamed. Opens a connection of its own; blocks.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn snapshot(&self) -> Result<Snapshot, Error> {
        Snapshot::open(&self.inner.path)
    }

    /// Every token's root.
    pub fn roots(&self, deadline: Instant) -> Reply<Vec<StoredRoot>> {
        self.inner.readers.submit(deadline, |reader| reader.roots())
    }

    /// The generation: the number of changes this store has seen.
    pub fn generation(&self, deadline: Instant) -> Reply<u64> {
        self.inner
            .readers
            .submit(deadline, |reader| reader.generation())
    }

    /// Which keys changed after `generation`, with the records they have now.
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

    /// The same for those who renew seals and change nothing that a key is: they keep it for as
    /// long as a whole store takes, while keys are made and moved. Blocks.
    ///
    /// # Errors
    /// [`Error::Locked`] when another process or handle holds it for longer.
    pub fn seals_lock(&self, wait: Duration) -> Result<LockGuard, Error> {
        let mut path = self.inner.path.clone().into_os_string();
        path.push(".seals");
        lock::acquire(Path::new(&path), wait)
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
    /// Every token's root then; empty where nothing changed.
    pub roots: Vec<StoredRoot>,
    /// The keys that changed.
    pub names: Changed,
    /// Every record of those keys; of a deleted one there is none.
    pub records: Vec<StoredRecord>,
    /// What the directory says of those keys.
    pub tags: Vec<(RecordId, RowTag)>,
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
