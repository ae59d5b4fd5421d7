//! The SQLite form of the store: the schema, opening and what reader and writer share. WAL,
//! `synchronous=FULL`, STRICT tables, bound parameters only. Only the files of this folder say SQL.
//!
//! A record is one clustered row, so that a cold key costs one search and a start streams the
//! file in its own order. `directory` repeats each record's tag: of a record that was changed
//! behind our back it says what should be there. `deleted` names what a poll would not see gone.

mod budgets;
mod documents;
mod ksn;
mod reader;
mod snapshot;
mod writer;

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior};

use crate::store::change::StoredRoot;
use crate::store::error::Error;
use crate::store::{RecordId, StoredRecord, seals};
use crate::{failpoint, limits};

pub(in crate::store) use reader::Reader;
pub use snapshot::{DirectoryRow, RecordRow, Snapshot};
pub(in crate::store) use writer::Writer;

/// The schema this build reads and writes.
pub(in crate::store) const SCHEMA_VERSION: i64 = 3;

/// `PRAGMA application_id`: "PNTL", so that `file` and we know the file.
const APPLICATION_ID: i64 = 0x504E_544C;

/// How long opening waits for another process that is creating the same file.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE root (
    token_id   BLOB PRIMARY KEY NOT NULL CHECK (length(token_id) = 16),
    generation INTEGER NOT NULL CHECK (generation > 0),
    count      INTEGER NOT NULL CHECK (count >= 0),
    sum        BLOB NOT NULL CHECK (length(sum) = 32),
    nonce      BLOB NOT NULL CHECK (length(nonce) = 16),
    index_key  BLOB NOT NULL CHECK (length(index_key) = 32),
    mac        BLOB NOT NULL CHECK (length(mac) = 32)
) STRICT, WITHOUT ROWID;
CREATE TABLE key_record (
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version BETWEEN 1 AND 4294967295),
    header  BLOB NOT NULL,
    seals   BLOB NOT NULL,
    changed_generation INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX key_record_changed ON key_record (changed_generation);
CREATE TABLE directory (
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    tag     BLOB NOT NULL CHECK (length(tag) = 16),
    PRIMARY KEY (tenant, name, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE deleted (
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    changed_generation INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, version)
) STRICT, WITHOUT ROWID;
CREATE INDEX deleted_changed ON deleted (changed_generation);
CREATE TABLE document (
    kind     TEXT NOT NULL,
    id       TEXT NOT NULL,
    revision INTEGER NOT NULL CHECK (revision > 0),
    body     BLOB NOT NULL,
    PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE idempotency (
    tenant     TEXT NOT NULL,
    caller     TEXT NOT NULL,
    request_id TEXT NOT NULL,
    answer     BLOB NOT NULL,
    expires    INTEGER NOT NULL,
    PRIMARY KEY (tenant, caller, request_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_expires ON idempotency (expires);
CREATE TABLE ksn_mark (
    tenant    TEXT NOT NULL,
    base      TEXT NOT NULL,
    device    BLOB NOT NULL CHECK (length(device) = 8),
    operation INTEGER NOT NULL,
    highest   INTEGER NOT NULL CHECK (highest BETWEEN 1 AND 4294967295),
    below     INTEGER NOT NULL,
    PRIMARY KEY (tenant, base, device, operation)
) STRICT, WITHOUT ROWID;
CREATE TABLE budget (
    subject BLOB NOT NULL CHECK (length(subject) = 32),
    ends    INTEGER NOT NULL,
    spent   INTEGER NOT NULL CHECK (spent >= 0),
    PRIMARY KEY (subject, ends)
) STRICT, WITHOUT ROWID;
CREATE INDEX budget_ends ON budget (ends);
INSERT INTO meta (key, value) VALUES ('schema', 3);
";

/// Copies a store as it is at one moment into an empty file, packed.
pub(in crate::store) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    // Refuses what is no store of ours.
    Snapshot::open(from)?;
    let connection = Connection::open_with_flags(from, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    connection.busy_timeout(OPEN_PATIENCE)?;
    let name = to.to_str().ok_or_else(|| Error::File {
        path: to.to_owned(),
        source: std::io::ErrorKind::InvalidFilename.into(),
    })?;
    connection.execute("VACUUM INTO ?1", [name])?;
    Ok(())
}

/// No URI names, no shared cache; a connection is used by one thread at a time.
fn flags(access: OpenFlags) -> OpenFlags {
    access | OpenFlags::SQLITE_OPEN_NO_MUTEX
}

/// Makes the file readable by its owner alone; SQLite gives its WAL the same mode.
fn create_private(path: &Path) -> Result<(), Error> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map(drop)
        .map_err(|source| Error::File {
            path: path.to_owned(),
            source,
        })
}

/// Goes on where SQLite does not wait by itself: two that turn the same new file to WAL at once.
fn prepare_patiently(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let end = Instant::now() + OPEN_PATIENCE;
    loop {
        match prepare_file(connection, path) {
            Err(Error::Deadline) if Instant::now() < end => {
                std::thread::sleep(limits::ADVISORY_LOCK_RETRY);
            }
            other => return other,
        }
    }
}

fn prepare_file(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    // Looked at before anything is written: somebody else's file stays as it is.
    let is_new = is_empty(&connection.transaction()?, path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    if is_new {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Unless another was quicker.
        if is_empty(&transaction, path)? {
            transaction.execute_batch(SCHEMA)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            failpoint::hit("store.before-schema");
            transaction.commit()?;
            failpoint::hit("store.after-schema");
        }
    }
    Ok(())
}

/// Whether the file holds nothing yet; anything but nothing and a store of ours is refused. Within a
/// transaction, so that another who is making the store is seen wholly or not at all.
fn is_empty(connection: &Transaction<'_>, path: &Path) -> Result<bool, Error> {
    let foreign = || Error::Foreign(path.to_owned());
    let application: i64 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|error| match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::NotADatabase) => foreign(),
            _ => error.into(),
        })?;
    match application {
        APPLICATION_ID if schema(connection)? == Some(SCHEMA_VERSION) => Ok(false),
        0 if tables(connection)? == 0 => Ok(true),
        _ => Err(foreign()),
    }
}

fn tables(connection: &Connection) -> Result<i64, Error> {
    Ok(connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?)
}

fn schema(connection: &Connection) -> Result<Option<i64>, Error> {
    Ok(connection
        .query_row("SELECT value FROM meta WHERE key = 'schema'", [], |row| {
            row.get(0)
        })
        .optional()?)
}

/// The generation of the newest root; 0 where there is none.
fn generation(connection: &Connection) -> Result<u64, Error> {
    let value: i64 = connection
        .prepare_cached("SELECT coalesce(max(generation), 0) FROM root")?
        .query_row([], |row| row.get(0))?;
    Ok(value.unsigned_abs())
}

fn rows_at_most(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// Every token's root, at most one per token that may be enrolled.
fn roots(connection: &Connection) -> Result<Vec<StoredRoot>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT token_id, generation, count, sum, nonce, index_key, mac FROM root LIMIT ?1",
    )?;
    let roots = statement.query_map([rows_at_most(limits::SEALS_MAX)], |row| {
        let (generation, count): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(StoredRoot {
            token_id: row.get(0)?,
            generation: generation.unsigned_abs(),
            count: count.unsigned_abs(),
            sum: row.get(3)?,
            nonce: row.get(4)?,
            index_key: row.get(5)?,
            mac: row.get(6)?,
        })
    })?;
    Ok(roots.collect::<Result<_, _>>()?)
}

/// Reads one row of (tenant, name, version, header, seals). A blob is measured before it is
/// copied.
fn record(row: &Row<'_>) -> Result<StoredRecord, Error> {
    let id = record_id(row)?;
    let out_of_bounds = || Error::RowBounds(id.clone());
    let blob = |column, max| match row.get_ref(column)?.as_blob() {
        Ok(bytes) if bytes.len() <= max => Ok(bytes),
        _ => Err(out_of_bounds()),
    };
    let header = blob(3, limits::RECORD_HEADER_BYTES_MAX)?.to_vec();
    let seals = seals::decode(blob(4, seals::BYTES_MAX)?).ok_or_else(out_of_bounds)?;
    Ok(StoredRecord { id, header, seals })
}

fn record_id(row: &Row<'_>) -> Result<RecordId, Error> {
    Ok(RecordId {
        tenant: row.get(0)?,
        name: row.get(1)?,
        version: row.get(2)?,
    })
}
