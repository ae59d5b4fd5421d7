//! Minutes: what an assessor asks of a ceremony years later (PCI PIN 6, 8, 9 and 26: who, when,
//! which package, which check values). Every token at hand vouches for them, so that nobody edits
//! them; nothing in them is secret.

use serde::{Deserialize, Serialize};

use crate::keys::attributes::Origin;
use crate::keys::catalogue::Catalogue;
use crate::keys::ceremony::draft::{Draft, Sitting};
use crate::keys::ceremony::file::CeremonyFile;
use crate::keys::document::{self, Title};
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::make::deadline;
use crate::keys::record::Header;
use crate::limits;
use crate::store::change::DocumentPut;

/// The minutes of one ceremony.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Minutes {
    /// Which ceremony.
    pub ceremony: String,
    /// How it ended: `closed` or `abandoned`.
    pub outcome: Outcome,
    /// Why it was abandoned.
    pub reason: Option<String>,
    /// The tenant that owns the key.
    pub tenant: String,
    /// The key.
    pub key: String,
    /// Its version, where it was made.
    pub version: Option<u32>,
    /// The environment of the key.
    pub environment: String,
    /// What the key is for.
    pub usage: String,
    /// What it may do of that.
    pub mode: String,
    /// Which way it faces.
    pub side: Option<String>,
    /// Its algorithm and length.
    pub algorithm: String,
    /// Where it is clear when it is used.
    pub residence: String,
    /// Where it came from.
    pub origin: String,
    /// The key's check value, hex.
    pub check_value: Option<String>,
    /// What it had to be, hex.
    pub expected_check_value: Option<String>,
    /// Who may sit.
    pub custodians: Vec<String>,
    /// When it was opened, seconds since 1970.
    pub opened: u64,
    /// On which machine.
    pub opened_on: String,
    /// Who sat, in order.
    pub sittings: Vec<MinutedSitting>,
    /// When it ended, seconds since 1970.
    pub ended: u64,
    /// On which machine.
    pub ended_on: String,
    /// Who ended it.
    pub officer: String,
    /// The label of the token that sealed the key.
    pub token_label: String,
    /// Its serial number.
    pub token_serial: String,
}

/// How a ceremony ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The key was made.
    Closed,
    /// No key was made, and what was entered is destroyed.
    Abandoned,
}

/// One sitting.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MinutedSitting {
    /// Who sat.
    pub custodian: String,
    /// When, seconds since 1970.
    pub at: u64,
    /// On which machine.
    pub machine: String,
    /// The package that the component came in.
    pub package: String,
    /// The component's check value, hex.
    pub check_value: Option<String>,
}

/// What ends a ceremony.
pub(in crate::keys) struct End<'a> {
    pub(in crate::keys) officer: &'a KeyName,
    pub(in crate::keys) machine: &'a str,
    pub(in crate::keys) at: u64,
    /// The key that was made, or why none was.
    pub(in crate::keys) result: Result<&'a Header, &'a str>,
}

impl Minutes {
    pub(in crate::keys) fn of(
        catalogue: &Catalogue,
        tenant: &KeyName,
        draft: &Draft,
        file: &CeremonyFile,
        end: &End<'_>,
    ) -> Result<Self, Error> {
        let spec = &file.spec;
        let token = catalogue.fleet().first()?.info();
        let header = end.result.ok();
        Ok(Self {
            ceremony: draft.id.clone(),
            outcome: match end.result {
                Ok(_) => Outcome::Closed,
                Err(_) => Outcome::Abandoned,
            },
            reason: end.result.err().map(str::to_owned),
            tenant: tenant.to_string(),
            key: spec.name.to_string(),
            version: header.map(|header| header.version),
            environment: file.environment.to_string(),
            usage: spec.usage.to_string(),
            mode: spec.mode.to_string(),
            side: spec.side.map(|side| side.to_string()),
            algorithm: spec.algorithm.to_string(),
            residence: spec.residence.to_string(),
            origin: header.map_or(HOST, |header| header.origin).to_string(),
            check_value: header
                .and_then(|header| header.check_value.as_ref())
                .map(|value| hex::encode_upper(&value.bytes)),
            expected_check_value: file.check_value.as_ref().map(hex::encode_upper),
            custodians: file.custodians.iter().map(KeyName::to_string).collect(),
            opened: draft.opened,
            opened_on: draft.machine.clone(),
            sittings: draft.sittings.iter().map(MinutedSitting::of).collect(),
            ended: end.at,
            ended_on: end.machine.to_owned(),
            officer: end.officer.to_string(),
            token_label: token.label.clone(),
            token_serial: token.serial.clone(),
        })
    }

    /// The document to write, and nothing may be there yet.
    pub(in crate::keys) async fn put(&self, catalogue: &Catalogue) -> Result<DocumentPut, Error> {
        let id = format!("{}{}", prefix(&self.tenant, &self.key), self.ceremony);
        let title = Title {
            kind: KIND,
            id: &id,
        };
        let text = serde_json::to_vec(self).map_err(|_| document::refused(title))?;
        let body = document::vouch(catalogue, title, &text).await?;
        Ok(DocumentPut {
            kind: KIND.to_owned(),
            id,
            expected_revision: 0,
            body,
        })
    }
}

impl MinutedSitting {
    fn of(sitting: &Sitting) -> Self {
        Self {
            custodian: sitting.custodian.clone(),
            at: sitting.at,
            machine: sitting.machine.clone(),
            package: sitting.package.clone(),
            check_value: sitting.check_value.clone(),
        }
    }
}

/// The minutes of every ceremony that was for this key, the oldest first.
///
/// # Errors
/// [`Error::DocumentRefused`] names minutes that are not as they were sealed; or what store or
/// token answered.
pub async fn read(
    catalogue: &Catalogue,
    tenant: &KeyName,
    key: &KeyName,
) -> Result<Vec<Minutes>, Error> {
    let prefix = prefix(tenant.as_str(), key.as_str());
    let mut minutes = Vec::new();
    let mut after = prefix.clone();
    loop {
        let page = catalogue
            .store()
            .documents(deadline(), KIND, &after)
            .await?;
        for stored in page.iter().filter(|one| one.id.starts_with(&prefix)) {
            let title = Title {
                kind: KIND,
                id: &stored.id,
            };
            let text = document::vouched(catalogue.custodian(), title, &stored.body).await?;
            let read: Minutes =
                serde_json::from_slice(&text).map_err(|_| document::refused(title))?;
            minutes.push(read);
        }
        match page.last() {
            Some(last) if page.len() == limits::DOCUMENT_PAGE && last.id.starts_with(&prefix) => {
                after = last.id.clone();
            }
            _ => break,
        }
    }
    minutes.sort_by_key(|one| (one.opened, one.ended));
    Ok(minutes)
}

/// A tenant's and a key's name have no slash.
fn prefix(tenant: &str, key: &str) -> String {
    format!("{tenant}/{key}/")
}

pub(in crate::keys) const KIND: &str = "minutes";
/// What a key would have been that was not made.
const HOST: Origin = Origin::HostComponents;
