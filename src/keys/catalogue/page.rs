//! Pages of a listing: authentic headers in the order of their names, and where to go on.

use std::time::Instant;

use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::record::Header;
use crate::limits;
use crate::store::RecordId;

/// Where a listing goes on: after this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Option<(KeyName, u32)>);

impl Cursor {
    /// Before the first.
    pub const fn start() -> Self {
        Self(None)
    }

    /// Reads what [`Cursor`]'s `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (name, version) = text.rsplit_once('/')?;
        Some(Self(Some((
            KeyName::parse(name).ok()?,
            version.parse().ok()?,
        ))))
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            None => Ok(()),
            Some((name, version)) => write!(formatter, "{name}/{version}"),
        }
    }
}

impl Catalogue {
    /// Some of a tenant's versions after `cursor`, each with the cursor behind it, and where to go on
    /// if there may be more. Records that are refused are left out.
    ///
    /// # Errors
    /// What store or token answered.
    pub async fn page(
        &self,
        tenant: &str,
        cursor: &Cursor,
        deadline: Instant,
    ) -> Result<(Vec<(Cursor, Header)>, Option<Cursor>), Error> {
        let after = cursor.0.as_ref().map(|(name, version)| RecordId {
            tenant: tenant.to_owned(),
            name: name.to_string(),
            version: *version,
        });
        let page = self.inner.store.list(deadline, Some(tenant), after).await?;
        let mut found = Vec::new();
        for record in &page {
            match self.inner.authentic(None, record, deadline).await {
                Ok((header, _)) => {
                    let cursor = Cursor(Some((header.name.clone(), header.version)));
                    found.push((cursor, header));
                }
                Err(Error::RecordRefused { name, version, why }) => {
                    tracing::warn!(name, version, %why, "left out of a listing");
                }
                Err(error) => return Err(error),
            }
        }
        let next = match page.last() {
            Some(last) if page.len() == limits::STORE_PAGE_RECORDS => KeyName::parse(&last.id.name)
                .ok()
                .map(|name| Cursor(Some((name, last.id.version)))),
            _ => None,
        };
        Ok((found, next))
    }
}
