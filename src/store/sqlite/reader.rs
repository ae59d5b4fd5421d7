//! A connection that only reads: one key's versions, pages of a listing, what changed.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params};

use crate::limits;
use crate::store::change::{Document, RequestId, RowTag, StoredRoot};
use crate::store::error::Error;
use crate::store::sqlite::{self, documents, flags, generation, integer, record, rows_at_most};
use crate::store::{Changed, Changes, RecordId, StoredRecord, thread};

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
        &self,
        tenant: &str,
        name: &str,
    ) -> Result<Vec<StoredRecord>, Error> {
        versions(&self.connection, tenant, name)
    }

    pub(in crate::store) fn list(
        &self,
        tenant: Option<&str>,
        after: Option<&RecordId>,
    ) -> Result<Vec<StoredRecord>, Error> {
        // One statement each, so that both are a range of the clustered key.
        let mut statement = self.connection.prepare_cached(match tenant {
            Some(_) => {
                "SELECT tenant, name, version, header, seals FROM key_record
                 WHERE tenant = ?1 AND (name, version) > (?2, ?3)
                 ORDER BY tenant, name, version LIMIT ?4"
            }
            None => {
                "SELECT tenant, name, version, header, seals FROM key_record
                 WHERE (tenant, name, version) > (?1, ?2, ?3)
                 ORDER BY tenant, name, version LIMIT ?4"
            }
        })?;
        let (first, name, version) = match after {
            Some(id) => (id.tenant.as_str(), id.name.as_str(), id.version),
            None => ("", "", 0),
        };
        let mut rows = statement.query(params![
            tenant.unwrap_or(first),
            name,
            version,
            rows_at_most(limits::STORE_PAGE_RECORDS)
        ])?;
        let mut records = Vec::new();
        while let Some(row) = rows.next()? {
            records.push(record(row)?);
        }
        Ok(records)
    }

    pub(in crate::store) fn roots(&self) -> Result<Vec<StoredRoot>, Error> {
        sqlite::roots(&self.connection)
    }

    pub(in crate::store) fn generation(&self) -> Result<u64, Error> {
        generation(&self.connection)
    }

    /// The roots, the names that changed after `since`, and their records, as of one moment.
    pub(in crate::store) fn changed_since(&mut self, since: u64) -> Result<Changes, Error> {
        let transaction = self.connection.transaction()?;
        let generation = generation(&transaction)?;
        let mut changes = Changes {
            generation,
            roots: Vec::new(),
            names: Changed::Names(Vec::new()),
            records: Vec::new(),
            tags: Vec::new(),
        };
        if generation == since {
            return Ok(changes);
        }
        changes.roots = sqlite::roots(&transaction)?;
        if generation < since {
            changes.names = Changed::Everything;
            return Ok(changes);
        }
        let mut statement = transaction.prepare_cached(
            "SELECT tenant, name FROM key_record WHERE changed_generation > ?1
             UNION SELECT tenant, name FROM deleted WHERE changed_generation > ?1 LIMIT ?2",
        )?;
        let most = rows_at_most(limits::STORE_CHANGED_NAMES_MAX + 1);
        let names = statement
            .query_map(params![integer(since), most], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })?
            .collect::<Result<Vec<(String, String)>, _>>()?;
        if names.len() > limits::STORE_CHANGED_NAMES_MAX {
            changes.names = Changed::Everything;
            return Ok(changes);
        }
        for (tenant, name) in &names {
            changes.tags.extend(tags(&transaction, tenant, name)?);
            // A row out of bounds is not what was written: it is as if it were not there.
            match versions(&transaction, tenant, name) {
                Ok(records) => changes.records.extend(records),
                Err(Error::RowBounds(_)) => {}
                Err(error) => return Err(error),
            }
        }
        changes.names = Changed::Names(names);
        Ok(changes)
    }

    pub(in crate::store) fn document(
        &self,
        kind: &str,
        id: &str,
    ) -> Result<Option<Document>, Error> {
        documents::read(&self.connection, kind, id)
    }

    pub(in crate::store) fn documents(
        &self,
        kind: &str,
        after: &str,
    ) -> Result<Vec<Document>, Error> {
        documents::list(&self.connection, kind, after)
    }

    pub(in crate::store) fn answer(
        &self,
        request: &RequestId,
        now: u64,
    ) -> Result<Option<Vec<u8>>, Error> {
        documents::answer(&self.connection, request, now)
    }
}

impl thread::Connection for Reader {
    fn set_patience(&self, patience: Duration) -> Result<(), Error> {
        Ok(self.connection.busy_timeout(patience)?)
    }
}

fn versions(connection: &Connection, tenant: &str, name: &str) -> Result<Vec<StoredRecord>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT tenant, name, version, header, seals FROM key_record
         WHERE tenant = ?1 AND name = ?2 ORDER BY version DESC LIMIT ?3",
    )?;
    let most = rows_at_most(limits::KEY_VERSIONS_MAX);
    let mut rows = statement.query(params![tenant, name, most])?;
    let mut records = Vec::new();
    while let Some(row) = rows.next()? {
        records.push(record(row)?);
    }
    Ok(records)
}

fn tags(
    connection: &Connection,
    tenant: &str,
    name: &str,
) -> Result<Vec<(RecordId, RowTag)>, Error> {
    let mut statement = connection.prepare_cached(
        "SELECT tenant, name, version, tag FROM directory WHERE tenant = ?1 AND name = ?2 LIMIT ?3",
    )?;
    let most = rows_at_most(limits::KEY_VERSIONS_MAX);
    let tags = statement.query_map(params![tenant, name, most], |row| {
        let id = RecordId {
            tenant: row.get(0)?,
            name: row.get(1)?,
            version: row.get(2)?,
        };
        Ok((id, row.get(3)?))
    })?;
    Ok(tags.collect::<Result<_, _>>()?)
}
