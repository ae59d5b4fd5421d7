//! Decimalisation tables as stored objects: each has a name within its tenant, is checked before it
//! is made, never changes, and is vouched for by every token at hand. A table never comes with a
//! call: with one of the caller's choice fifteen questions tell a PIN (Bond and Zieliński 2003).
//!
//! Deliberately not here: taking a table away. A key names its table for as long as it lives.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use crate::domain::pin_verification::decimalisation::DecimalisationTable;
use crate::keys::act::{Act, Outcome, now};
use crate::keys::catalogue::Catalogue;
use crate::keys::document::{self, Title};
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::make::deadline;
use crate::keys::tlv::{Malformed, Reader, Writer};
use crate::limits;
use crate::store::change::{Document, DocumentPut};

/// One stored table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTable {
    /// Its name within the tenant.
    pub name: KeyName,
    /// Its digits.
    pub table: DecimalisationTable,
    /// When it was made, seconds since 1970.
    pub created: u64,
}

/// Makes a table, once and for all.
///
/// # Errors
/// [`Error::TableExists`], [`Error::TablesFull`], or what store or token answered.
pub async fn create(
    catalogue: &Catalogue,
    tenant: &KeyName,
    (name, table): (&KeyName, DecimalisationTable),
    act: &Act,
) -> Result<StoredTable, Error> {
    let own = of_tenant(catalogue, tenant).await?;
    let id = id(tenant, name);
    if own.iter().any(|document| document.id == id) {
        let name = name.to_string();
        return Err(Error::TableExists { name });
    }
    if own.len() >= limits::DECIMALISATION_TABLES_MAX {
        return Err(Error::TablesFull);
    }
    let stored = StoredTable {
        name: name.clone(),
        table,
        created: now(),
    };
    let body = document::vouch(catalogue, title(&id), &stored.encode()).await?;
    let outcome = Outcome {
        name: name.clone(),
        version: 1,
        block: None,
        content: None,
    };
    let mut beside = act.beside(catalogue, &outcome).await?;
    beside.documents.push(DocumentPut {
        kind: KIND.to_owned(),
        id,
        expected_revision: 0,
        body,
    });
    catalogue.store().write_beside(deadline(), beside).await?;
    Ok(stored)
}

/// The table of this name.
///
/// # Errors
/// [`Error::TableUnknown`]; [`Error::TableTampered`] where it is not what was made.
pub async fn read(
    catalogue: &Catalogue,
    tenant: &KeyName,
    name: &KeyName,
) -> Result<StoredTable, Error> {
    let id = id(tenant, name);
    let found = catalogue.store().document(deadline(), KIND, &id).await?;
    let name = name.to_string();
    let document = found.ok_or(Error::TableUnknown { name })?;
    open(catalogue, tenant, &document).await
}

/// Every table of a tenant by name. One that is not what was made is named by the error.
///
/// # Errors
/// [`Error::TableTampered`], or what store or token answered.
pub async fn list(catalogue: &Catalogue, tenant: &KeyName) -> Result<Vec<StoredTable>, Error> {
    let mut tables = Vec::new();
    for document in of_tenant(catalogue, tenant).await? {
        tables.push(open(catalogue, tenant, &document).await?);
    }
    Ok(tables)
}

/// The tables that a server has read: a table never changes, so that one reading will do.
#[derive(Clone, Default)]
pub struct Tables(Arc<RwLock<HashMap<String, DecimalisationTable>>>);

impl Tables {
    /// The digits of a table.
    ///
    /// # Errors
    /// As [`read`].
    pub async fn find(
        &self,
        catalogue: &Catalogue,
        tenant: &KeyName,
        name: &KeyName,
    ) -> Result<DecimalisationTable, Error> {
        let id = id(tenant, name);
        if let Some(table) = self.known(&id) {
            return Ok(table);
        }
        let stored = read(catalogue, tenant, name).await?;
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= limits::DECIMALISATION_TABLES_KNOWN_MAX {
            known.clear();
        }
        known.insert(id, stored.table);
        Ok(stored.table)
    }

    fn known(&self, id: &str) -> Option<DecimalisationTable> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(id).copied()
    }
}

async fn of_tenant(catalogue: &Catalogue, tenant: &KeyName) -> Result<Vec<Document>, Error> {
    let prefix = format!("{tenant}{SEPARATOR}");
    let mut all = document::all(catalogue, KIND).await?;
    all.retain(|document| document.id.starts_with(&prefix));
    Ok(all)
}

async fn open(
    catalogue: &Catalogue,
    tenant: &KeyName,
    document: &Document,
) -> Result<StoredTable, Error> {
    let name = document.id.get(tenant.as_str().len() + 1..);
    let name = name.unwrap_or_default();
    let tampered = || Error::TableTampered {
        name: name.to_owned(),
    };
    let title = title(&document.id);
    let vouched = document::vouched(catalogue.custodian(), title, &document.body).await;
    let text = vouched.map_err(|error| match error {
        Error::DocumentRefused { .. } => tampered(),
        other => other,
    })?;
    StoredTable::decode(name, &text).map_err(|Malformed| tampered())
}

impl StoredTable {
    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.put(1, self.table.to_string().as_bytes());
        writer.put(2, &self.created.to_be_bytes());
        writer.finish()
    }

    fn decode(name: &str, text: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(text);
        let digits = std::str::from_utf8(reader.take(1)?).map_err(|_| Malformed)?;
        let created = reader.take(2)?.try_into().map_err(|_| Malformed)?;
        reader.end()?;
        Ok(Self {
            name: KeyName::parse(name).map_err(|_| Malformed)?,
            // As strictly as when it was made.
            table: DecimalisationTable::parse(digits).map_err(|_| Malformed)?,
            created: u64::from_be_bytes(created),
        })
    }
}

fn title(id: &str) -> Title<'_> {
    Title { kind: KIND, id }
}

fn id(tenant: &KeyName, name: &KeyName) -> String {
    format!("{tenant}{SEPARATOR}{name}")
}

/// What kind of document.
pub(in crate::keys) const KIND: &str = "decimalisation-table";
/// No name has one.
const SEPARATOR: char = '/';

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_read_back_and_other_bytes_are_malformed() {
        let stored = StoredTable {
            name: KeyName::parse("visa").unwrap(),
            table: DecimalisationTable::parse("0123456789012345").unwrap(),
            created: 7,
        };
        let bytes = stored.encode();
        assert_eq!(StoredTable::decode("visa", &bytes), Ok(stored.clone()));
        for length in 0..bytes.len() {
            assert!(StoredTable::decode("visa", &bytes[..length]).is_err());
        }
        let weak = StoredTable {
            table: DecimalisationTable::weak_parse("0000000000000001").unwrap(),
            ..stored
        };
        assert!(StoredTable::decode("visa", &weak.encode()).is_err());
    }
}
