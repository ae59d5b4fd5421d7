//! A draft between the store and a step: read and opened, sealed and written over the one that was
//! read, and taken away at the end with the minutes in its place.
//!
//! Deliberately not here: what a step allows (`draft`) and which steps there are (`ceremony`).

use std::path::Path;

use crate::domain::check_value::{self, Method};
use crate::keys::act::now;
use crate::keys::catalogue::Catalogue;
use crate::keys::ceremony::draft::{Draft, Sitting};
use crate::keys::ceremony::file::CeremonyFile;
use crate::keys::ceremony::minutes::{End, Minutes};
use crate::keys::ceremony::{CeremonyFault, Status, fault};
use crate::keys::document::{self, Title};
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::make::deadline;
use crate::secret::Secret;
use crate::store;
use crate::store::change::{Beside, DocumentPut};

/// A draft as it was read.
pub(in crate::keys) struct Held {
    pub(in crate::keys) draft: Draft,
    pub(in crate::keys) file: CeremonyFile,
    pub(in crate::keys) revision: u64,
}

impl Held {
    pub(in crate::keys) async fn read(
        catalogue: &Catalogue,
        tenant: &KeyName,
        key: &KeyName,
    ) -> Result<Self, Error> {
        let id = document_id(tenant, key);
        let title = Title {
            kind: KIND,
            id: &id,
        };
        let found = catalogue.store().document(deadline(), KIND, &id).await?;
        let found = found.filter(|found| !found.body.is_empty());
        let found = found.ok_or_else(|| fault(key, CeremonyFault::Unknown))?;
        let opened = document::open(catalogue.custodian(), title, &found.body).await?;
        let draft: Draft =
            serde_json::from_slice(&opened.text).map_err(|_| document::refused(title))?;
        let file = CeremonyFile::parse(Path::new("the ceremony's file"), draft.file.clone())?;
        Ok(Self {
            draft,
            file,
            revision: found.revision,
        })
    }

    /// Seals the draft as it is now, over the one that was read.
    pub(in crate::keys) async fn write(
        &self,
        catalogue: &Catalogue,
        tenant: &KeyName,
    ) -> Result<(), Error> {
        let key = &self.file.spec.name;
        let id = document_id(tenant, key);
        let title = Title {
            kind: KIND,
            id: &id,
        };
        let text = serde_json::to_vec(&self.draft).map_err(|_| document::refused(title))?;
        let nothing = Secret::new(Vec::new());
        let body = document::seal(catalogue.custodian(), title, &text, &nothing).await?;
        let beside = Beside {
            documents: vec![self.put(id, body)],
            answer: None,
        };
        let written = catalogue.store().write_beside(deadline(), beside).await;
        written.map_err(|error| moved(key, error.into()))
    }

    /// The pads of all sittings, each as it was sealed to its sitting.
    pub(in crate::keys) async fn pads(
        &self,
        catalogue: &Catalogue,
    ) -> Result<Vec<Secret<Vec<u8>>>, Error> {
        let mut pads = Vec::new();
        for (number, sitting) in self.draft.sittings.iter().enumerate() {
            let id = self.draft.pad_title(number);
            let title = Title { kind: PAD, id: &id };
            let body = hex::decode(&sitting.pad).map_err(|_| document::refused(title))?;
            let opened = document::open(catalogue.custodian(), title, &body).await?;
            let text = serde_json::to_vec(&sitting.without_pad());
            if text.ok().as_ref() != Some(&opened.text) {
                return Err(document::refused(title));
            }
            pads.push(opened.hidden);
        }
        Ok(pads)
    }

    /// The key, with the check value that was expected.
    pub(in crate::keys) fn value(
        &self,
        pads: &[Secret<Vec<u8>>],
    ) -> Result<Secret<Vec<u8>>, CeremonyFault> {
        let value = self.draft.combine(&self.file, pads)?;
        let expected = self.file.check_value.as_ref();
        let method = self.file.spec.algorithm.block_algorithm().map(Method::of);
        match (expected, method) {
            (Some(expected), Some(method)) => {
                check_value::verify(method, value.expose_secret(), expected)
                    .map_err(|_| CeremonyFault::CheckValue)?;
            }
            (Some(_), None) => return Err(CeremonyFault::CheckValue),
            (None, _) => {}
        }
        Ok(value)
    }

    /// Writes the minutes of a ceremony that made no key.
    pub(in crate::keys) async fn end(
        &self,
        catalogue: &Catalogue,
        tenant: &KeyName,
        officer: &KeyName,
        machine: &str,
        reason: &str,
    ) -> Result<Minutes, Error> {
        let end = End {
            officer,
            machine,
            at: now(),
            result: Err(reason),
        };
        let minutes = Minutes::of(catalogue, tenant, &self.draft, &self.file, &end)?;
        let beside = self.last(tenant, minutes.put(catalogue).await?);
        let written = catalogue.store().write_beside(deadline(), beside).await;
        written.map_err(|error| moved(&self.file.spec.name, error.into()))?;
        self.remove(catalogue, tenant).await;
        Ok(minutes)
    }

    /// The last writes of a ceremony, in one transaction: its minutes, and nothing over its draft.
    pub(in crate::keys) fn last(&self, tenant: &KeyName, minutes: DocumentPut) -> Beside {
        let id = document_id(tenant, &self.file.spec.name);
        Beside {
            documents: vec![minutes, self.put(id, Vec::new())],
            answer: None,
        }
    }

    /// Takes away the empty row. Where that fails the next ceremony writes over it.
    pub(in crate::keys) async fn remove(&self, catalogue: &Catalogue, tenant: &KeyName) {
        let id = document_id(tenant, &self.file.spec.name);
        let store = catalogue.store();
        let deleted = store.delete_document(deadline(), KIND, &id, self.revision + 1);
        if let Err(error) = deleted.await {
            tracing::warn!(%error, "an empty draft stays in the store");
        }
    }

    fn put(&self, id: String, body: Vec<u8>) -> DocumentPut {
        DocumentPut {
            kind: KIND.to_owned(),
            id,
            expected_revision: self.revision,
            body,
        }
    }

    pub(in crate::keys) fn status(&self) -> Status {
        let sat = |custodian: &KeyName| {
            let mut sittings = self.draft.sittings.iter();
            let sitting = sittings.find(|one| one.custodian == custodian.as_str());
            (custodian.clone(), sitting.map(|one| one.at))
        };
        Status {
            key: self.file.spec.name.clone(),
            algorithm: self.file.spec.algorithm,
            opened: self.draft.opened,
            custodians: self.file.custodians.iter().map(sat).collect(),
        }
    }
}

/// Takes away a draft that does not open.
pub(in crate::keys) async fn destroy(
    catalogue: &Catalogue,
    tenant: &KeyName,
    key: &KeyName,
) -> Result<(), Error> {
    let id = document_id(tenant, key);
    let store = catalogue.store();
    let found = store.document(deadline(), KIND, &id).await?;
    let found = found.ok_or_else(|| fault(key, CeremonyFault::Unknown))?;
    let deleted = store.delete_document(deadline(), KIND, &id, found.revision);
    deleted.await.map_err(|error| moved(key, error.into()))
}

/// A pad from the token's generator; nothing but zeros hides nothing.
pub(in crate::keys) async fn pad(
    catalogue: &Catalogue,
    length: usize,
) -> Result<Secret<Vec<u8>>, Error> {
    let pad = Secret::new(catalogue.fleet().random(deadline(), length).await?);
    let bytes = pad.expose_secret();
    if bytes.len() != length || bytes.iter().all(|byte| *byte == 0) {
        return Err(Error::RandomRefused);
    }
    Ok(pad)
}

/// A pad, sealed to its sitting.
pub(in crate::keys) async fn seal_pad(
    catalogue: &Catalogue,
    id: &str,
    sitting: &Sitting,
    pad: &Secret<Vec<u8>>,
) -> Result<Vec<u8>, Error> {
    let title = Title { kind: PAD, id };
    let text = serde_json::to_vec(&sitting.without_pad()).map_err(|_| document::refused(title))?;
    document::seal(catalogue.custodian(), title, &text, pad).await
}

pub(in crate::keys) fn moved(key: &KeyName, error: Error) -> Error {
    match error {
        Error::StoreUnavailable(cause) if matches!(*cause, store::error::Error::DocumentMoved) => {
            fault(key, CeremonyFault::Moved)
        }
        other => other,
    }
}

pub(in crate::keys) fn document_id(tenant: &KeyName, key: &KeyName) -> String {
    format!("{tenant}/{key}")
}

pub(in crate::keys) const KIND: &str = "ceremony";
/// Not in a row of its own: within the draft.
const PAD: &str = "pad";
