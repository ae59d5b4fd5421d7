//! The SQLite form of the store, and the only file that says SQL: WAL, `synchronous=FULL`, STRICT
//! tables, bound parameters only. Every write raises the generation in its own transaction.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{
    Connection, OpenFlags, OptionalExtension, Row, Transaction, TransactionBehavior, params,
};

use crate::limits;
use crate::store::error::Error;
use crate::store::{Changed, Changes, RecordId, StoredRecord, StoredSeal, thread};

/// The schema this build reads and writes.
pub(in crate::store) const SCHEMA_VERSION: i64 = 1;

/// `PRAGMA application_id`: "PNTL", so that `file` and we know the file.
const APPLICATION_ID: i64 = 0x504E_544C;

/// How long opening waits for another process that is creating the same file.
const OPEN_PATIENCE: Duration = Duration::from_secs(5);

const SCHEMA: &str = "
CREATE TABLE meta (
    key   TEXT PRIMARY KEY NOT NULL,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE key_record (
    tenant  TEXT NOT NULL,
    name    TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version BETWEEN 1 AND 4294967295),
    header  BLOB NOT NULL,
    changed_generation INTEGER NOT NULL,
    PRIMARY KEY (tenant, name, version)
) STRICT;
CREATE INDEX key_record_changed ON key_record (changed_generation);
CREATE TABLE seal (
    tenant      TEXT NOT NULL,
    name        TEXT NOT NULL,
    version     INTEGER NOT NULL,
    token_id    BLOB NOT NULL CHECK (length(token_id) = 16),
    seal_key_id BLOB NOT NULL CHECK (length(seal_key_id) = 16),
    iv          BLOB NOT NULL CHECK (length(iv) = 12),
    sealed      BLOB NOT NULL,
    PRIMARY KEY (tenant, name, version, token_id),
    FOREIGN KEY (tenant, name, version) REFERENCES key_record (tenant, name, version)
        ON DELETE CASCADE
) STRICT;
INSERT INTO meta (key, value) VALUES ('schema', 1), ('generation', 0);
";

/// The one connection that writes.
pub(in crate::store) struct Writer {
    connection: Connection,
}

impl Writer {
    pub(in crate::store) fn open(path: &Path) -> Result<Self, Error> {
        create_private(path)?;
        let mut connection =
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_WRITE))?;
        connection.busy_timeout(OPEN_PATIENCE)?;
        prepare_patiently(&mut connection, path)?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        Ok(Self { connection })
    }

    pub(in crate::store) fn insert(&mut self, records: &[StoredRecord]) -> Result<u64, Error> {
        self.write(|transaction, generation| {
            for record in records {
                check_bounds(record)?;
                let id = &record.id;
                let inserted = transaction
                    .prepare_cached(
                        "INSERT INTO key_record (tenant, name, version, header, changed_generation)
                         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![
                        id.tenant,
                        id.name,
                        id.version,
                        record.header,
                        generation
                    ])?;
                if inserted == 0 {
                    return Err(Error::Exists(id.clone()));
                }
                insert_seals(transaction, record)?;
            }
            Ok(())
        })
    }

    pub(in crate::store) fn replace(
        &mut self,
        expected_header: &[u8],
        record: &StoredRecord,
    ) -> Result<u64, Error> {
        self.write(|transaction, generation| {
            check_bounds(record)?;
            let id = &record.id;
            let updated = transaction
                .prepare_cached(
                    "UPDATE key_record SET header = ?4, changed_generation = ?5
                     WHERE tenant = ?1 AND name = ?2 AND version = ?3 AND header = ?6",
                )?
                .execute(params![
                    id.tenant,
                    id.name,
                    id.version,
                    record.header,
                    generation,
                    expected_header
                ])?;
            if updated == 0 {
                return Err(Error::Changed(id.clone()));
            }
            transaction
                .prepare_cached(
                    "DELETE FROM seal WHERE tenant = ?1 AND name = ?2 AND version = ?3",
                )?
                .execute(params![id.tenant, id.name, id.version])?;
            insert_seals(transaction, record)
        })
    }

    /// Runs `change` in one immediate transaction that also raises the generation.
    fn write(
        &mut self,
        change: impl FnOnce(&Transaction<'_>, i64) -> Result<(), Error>,
    ) -> Result<u64, Error> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let generation: i64 = transaction
            .prepare_cached(
                "UPDATE meta SET value = value + 1 WHERE key = 'generation' RETURNING value",
            )?
            .query_row([], |row| row.get(0))?;
        change(&transaction, generation)?;
        transaction.commit()?;
        Ok(generation.unsigned_abs())
    }
}

impl thread::Connection for Writer {
    fn set_patience(&self, patience: Duration) -> Result<(), Error> {
        Ok(self.connection.busy_timeout(patience)?)
    }
}

/// A connection that only reads.
pub(in crate::store) struct Reader {
    connection: Connection,
}

impl Reader {
    pub(in crate::store) fn open(path: &Path) -> Result<Self, Error> {
        let connection =
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(Self { connection })
    }

    pub(in crate::store) fn versions(
        &mut self,
        tenant: &str,
        name: &str,
    ) -> Result<Vec<StoredRecord>, Error> {
        let transaction = self.connection.transaction()?;
        let mut statement = transaction.prepare_cached(
            "SELECT tenant, name, version, header FROM key_record
             WHERE tenant = ?1 AND name = ?2 ORDER BY version DESC LIMIT ?3",
        )?;
        let mut rows = statement.query(params![
            tenant,
            name,
            rows_at_most(limits::KEY_VERSIONS_MAX)
        ])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            records.push(record(&transaction, row)?);
        }
        Ok(records)
    }

    pub(in crate::store) fn list(
        &mut self,
        tenant: Option<&str>,
        after: Option<&RecordId>,
    ) -> Result<Vec<StoredRecord>, Error> {
        let transaction = self.connection.transaction()?;
        let mut statement = transaction.prepare_cached(
            "SELECT tenant, name, version, header FROM key_record
             WHERE (?1 IS NULL OR tenant = ?1) AND (tenant, name, version) > (?2, ?3, ?4)
             ORDER BY tenant, name, version LIMIT ?5",
        )?;
        let (after_tenant, after_name, after_version) = after.map_or(("", "", 0), |id| {
            (id.tenant.as_str(), id.name.as_str(), id.version)
        });
        let mut rows = statement.query(params![
            tenant,
            after_tenant,
            after_name,
            after_version,
            rows_at_most(limits::STORE_PAGE_RECORDS)
        ])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            records.push(record(&transaction, row)?);
        }
        Ok(records)
    }

    pub(in crate::store) fn generation(&self) -> Result<u64, Error> {
        generation(&self.connection)
    }

    pub(in crate::store) fn changed_since(&mut self, since: u64) -> Result<Changes, Error> {
        let transaction = self.connection.transaction()?;
        let generation = generation(&transaction)?;
        if generation < since {
            return Ok(Changes {
                generation,
                names: Changed::Everything,
            });
        }
        let mut statement = transaction.prepare_cached(
            "SELECT DISTINCT tenant, name FROM key_record WHERE changed_generation > ?1 LIMIT ?2",
        )?;
        let names = statement
            .query_map(
                params![
                    i64::try_from(since).unwrap_or(i64::MAX),
                    rows_at_most(limits::STORE_CHANGED_NAMES_MAX + 1)
                ],
                |row| Ok((row.get(0)?, row.get(1)?)),
            )?
            .collect::<Result<Vec<_>, _>>()?;
        let names = if names.len() > limits::STORE_CHANGED_NAMES_MAX {
            Changed::Everything
        } else {
            Changed::Names(names)
        };
        Ok(Changes { generation, names })
    }
}

impl thread::Connection for Reader {
    fn set_patience(&self, patience: Duration) -> Result<(), Error> {
        Ok(self.connection.busy_timeout(patience)?)
    }
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
            transaction.commit()?;
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

fn generation(connection: &Connection) -> Result<u64, Error> {
    let value: i64 = connection
        .prepare_cached("SELECT value FROM meta WHERE key = 'generation'")?
        .query_row([], |row| row.get(0))?;
    Ok(value.unsigned_abs())
}

fn rows_at_most(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn insert_seals(transaction: &Transaction<'_>, record: &StoredRecord) -> Result<(), Error> {
    let id = &record.id;
    let mut statement = transaction.prepare_cached(
        "INSERT INTO seal (tenant, name, version, token_id, seal_key_id, iv, sealed)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for seal in &record.seals {
        statement.execute(params![
            id.tenant,
            id.name,
            id.version,
            seal.token_id,
            seal.seal_key_id,
            seal.iv,
            seal.sealed
        ])?;
    }
    Ok(())
}

fn check_bounds(record: &StoredRecord) -> Result<(), Error> {
    let fits = record.id.version != 0
        && record.id.tenant.len() <= limits::KEY_NAME_BYTES_MAX
        && record.id.name.len() <= limits::KEY_NAME_BYTES_MAX
        && record.header.len() <= limits::RECORD_HEADER_BYTES_MAX
        && record.seals.len() <= limits::SEALS_MAX
        && record
            .seals
            .iter()
            .all(|seal| seal.sealed.len() <= limits::SEAL_BYTES_MAX);
    if fits {
        Ok(())
    } else {
        Err(Error::RecordBounds(record.id.clone()))
    }
}

/// Reads one row and its seals. A blob is measured before it is copied.
fn record(connection: &Connection, row: &Row<'_>) -> Result<StoredRecord, Error> {
    let id = RecordId {
        tenant: row.get(0)?,
        name: row.get(1)?,
        version: row.get(2)?,
    };
    let header = bounded(row, 3, limits::RECORD_HEADER_BYTES_MAX, &id)?;
    let mut statement = connection.prepare_cached(
        "SELECT token_id, seal_key_id, iv, sealed FROM seal
         WHERE tenant = ?1 AND name = ?2 AND version = ?3 ORDER BY token_id LIMIT ?4",
    )?;
    let mut rows = statement.query(params![
        id.tenant,
        id.name,
        id.version,
        rows_at_most(limits::SEALS_MAX + 1)
    ])?;
    let mut seals = Vec::new();
    while let Some(row) = rows.next()? {
        seals.push(StoredSeal {
            token_id: fixed(row, 0, &id)?,
            seal_key_id: fixed(row, 1, &id)?,
            iv: fixed(row, 2, &id)?,
            sealed: bounded(row, 3, limits::SEAL_BYTES_MAX, &id)?,
        });
    }
    if seals.len() > limits::SEALS_MAX {
        return Err(Error::RowBounds(id));
    }
    Ok(StoredRecord { id, header, seals })
}

fn bounded(row: &Row<'_>, column: usize, max: usize, id: &RecordId) -> Result<Vec<u8>, Error> {
    let bytes = row
        .get_ref(column)?
        .as_blob()
        .map_err(|_| Error::RowBounds(id.clone()))?;
    if bytes.len() > max {
        return Err(Error::RowBounds(id.clone()));
    }
    Ok(bytes.to_vec())
}

fn fixed<const N: usize>(row: &Row<'_>, column: usize, id: &RecordId) -> Result<[u8; N], Error> {
    let bytes = row
        .get_ref(column)?
        .as_blob()
        .map_err(|_| Error::RowBounds(id.clone()))?;
    bytes.try_into().map_err(|_| Error::RowBounds(id.clone()))
}
