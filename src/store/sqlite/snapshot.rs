//! The whole store as of one moment, read row by row on a connection of its own: what a start and
//! a verification stream. Rows are lent to the visitor, so that a million cost no million copies.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Row};

use crate::store::change::StoredRoot;
use crate::store::error::Error;
use crate::store::sqlite::{self, flags};

/// A moment of a store, kept until it is dropped. Blocks its caller while it reads.
pub struct Snapshot {
    connection: Connection,
}

/// One record, lent.
#[derive(Clone, Copy, Debug)]
pub struct RecordRow<'a> {
    /// The tenant that owns the key.
    pub tenant: &'a str,
    /// The key's name within the tenant.
    pub name: &'a str,
    /// The key's version.
    pub version: u32,
    /// The header, as it lies there: not yet measured.
    pub header: &'a [u8],
    /// The seals, as they lie there.
    pub seals: &'a [u8],
}

/// One row of the directory, lent.
#[derive(Clone, Copy, Debug)]
pub struct DirectoryRow<'a> {
    /// The tenant that owns the key.
    pub tenant: &'a str,
    /// The key's name within the tenant.
    pub name: &'a str,
    /// The key's version.
    pub version: u32,
    /// What the record's tag is to be.
    pub tag: [u8; 16],
}

impl Snapshot {
    /// The store in a file, which need not be in use; never made, and not changed.
    ///
    /// # Errors
    /// [`Error::Foreign`] where it is no store of ours; or what SQLite answered.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut connection =
            Connection::open_with_flags(path, flags(OpenFlags::SQLITE_OPEN_READ_ONLY))?;
        connection.busy_timeout(sqlite::OPEN_PATIENCE)?;
        connection.pragma_update(None, "query_only", true)?;
        if sqlite::is_empty(&connection.transaction()?, path)? {
            return Err(Error::Foreign(path.to_owned()));
        }
        connection.execute_batch("BEGIN")?;
        // The moment is that of the first read.
        sqlite::generation(&connection)?;
        Ok(Self { connection })
    }

    /// The generation.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn generation(&self) -> Result<u64, Error> {
        sqlite::generation(&self.connection)
    }

    /// Every token's root.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn roots(&self) -> Result<Vec<StoredRoot>, Error> {
        sqlite::roots(&self.connection)
    }

    /// Whether there is no record, and none that the directory names.
    ///
    /// # Errors
    /// What SQLite answered.
    pub fn is_empty(&self) -> Result<bool, Error> {
        let sql = "SELECT NOT EXISTS (SELECT 1 FROM key_record)
                   AND NOT EXISTS (SELECT 1 FROM directory)";
        Ok(self.connection.query_row(sql, [], |row| row.get(0))?)
    }

    /// Lends every record in the order (tenant, name, version).
    ///
    /// # Errors
    /// What SQLite answered, or `visit`.
    pub fn records<E: From<Error>>(
        &self,
        mut visit: impl FnMut(RecordRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = "SELECT tenant, name, version, header, seals FROM key_record
                   ORDER BY tenant, name, version";
        self.rows(sql, |row| {
            let lent = lend_record(row).map_err(|error| E::from(error.into()))?;
            visit(lent)
        })
    }

    /// Lends every row of the directory in the order (tenant, name, version).
    ///
    /// # Errors
    /// What SQLite answered, or `visit`.
    pub fn directory<E: From<Error>>(
        &self,
        mut visit: impl FnMut(DirectoryRow<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let sql = "SELECT tenant, name, version, tag FROM directory
                   ORDER BY tenant, name, version";
        self.rows(sql, |row| {
            let lent = lend_directory(row).map_err(|error| E::from(error.into()))?;
            visit(lent)
        })
    }

    fn rows<E: From<Error>>(
        &self,
        sql: &str,
        mut visit: impl FnMut(&Row<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let failed = |error: rusqlite::Error| E::from(error.into());
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            visit(row)?;
        }
        Ok(())
    }
}

fn lend_record<'a>(row: &'a Row<'_>) -> Result<RecordRow<'a>, rusqlite::Error> {
    Ok(RecordRow {
        tenant: row.get_ref(0)?.as_str()?,
        name: row.get_ref(1)?.as_str()?,
        version: row.get(2)?,
        header: row.get_ref(3)?.as_blob()?,
        seals: row.get_ref(4)?.as_blob()?,
    })
}

fn lend_directory<'a>(row: &'a Row<'_>) -> Result<DirectoryRow<'a>, rusqlite::Error> {
    Ok(DirectoryRow {
        tenant: row.get_ref(0)?.as_str()?,
        name: row.get_ref(1)?.as_str()?,
        version: row.get(2)?,
        tag: row.get(3)?,
    })
}
