//! Adoption: a key that custodians entered at the HSM's own console or PIN pad (PCI PIN 6-1) gets
//! its record and its minutes. Nothing of the key is seen here: the object must be as safe as one
//! that Pintle makes, and its check value, computed by the token, the one that was written down.
//!
//! Who sat and with which package is taken from the file, as people wrote it: the console knows, this
//! process does not.

use crate::keys::act::now;
use crate::keys::attributes::Origin;
use crate::keys::catalogue::Catalogue;
use crate::keys::ceremony::draft::{Draft, Sitting};
use crate::keys::ceremony::file::CeremonyFile;
use crate::keys::ceremony::minutes::{End, Minutes};
use crate::keys::ceremony::{CeremonyFault, bounded, fault, refuse_existing};
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::ledger::{self, Entry};
use crate::keys::make::{Birth, Maker, deadline};
use crate::keys::provision::lock;
use crate::keys::record::Header;
use crate::limits;
use crate::store::change::Beside;

/// Makes the record of a key that is in the token already, and answers its minutes.
///
/// # Errors
/// [`Error::KeyExists`], [`Error::FileEnvironment`], [`CeremonyFault`], or what store or token
/// answered: an object that is not there or not safe is the token's answer.
pub async fn adopt(
    catalogue: &Catalogue,
    tenant: &KeyName,
    file: &CeremonyFile,
    object_id: [u8; 16],
    officer: &KeyName,
    machine: &str,
) -> Result<Minutes, Error> {
    let _lock = lock(catalogue).await?;
    file.refuse_other_environment(catalogue)?;
    let key = &file.spec.name;
    let random = catalogue.fleet().random(deadline(), 16).await?;
    let draft = Draft {
        id: hex::encode(random),
        opened: now(),
        machine: bounded(machine),
        file: file.text.clone(),
        sittings: Vec::new(),
    };
    let draft = sat(draft, file).map_err(|why| fault(key, why))?;
    let may = draft.may_close(file, officer);
    may.map_err(|why| fault(key, why))?;
    let Some(expected) = &file.check_value else {
        return Err(fault(key, CeremonyFault::CheckValueMissing));
    };
    refuse_existing(catalogue, tenant, key).await?;
    refuse_taken(catalogue, key, object_id).await?;
    let maker = Maker {
        catalogue,
        tenant,
        birth: Birth {
            custodians: file.custodians.clone(),
            ..Birth::default()
        },
    };
    let made = maker
        .adopt(&file.spec, Origin::TokenComponents, object_id)
        .await?;
    if !is_check_value(&made.header, expected) {
        return Err(fault(key, CeremonyFault::ObjectCheckValue));
    }
    let end = End {
        officer,
        machine: &draft.machine,
        at: now(),
        result: Ok(&made.header),
    };
    let minutes = Minutes::of(catalogue, tenant, &draft, file, &end)?;
    // No intent: the object is not ours to take back.
    let mut entry = Entry {
        puts: vec![(None, made.record.clone())],
        ..Entry::default()
    };
    entry.beside = Beside {
        documents: vec![minutes.put(catalogue).await?],
        answer: None,
    };
    ledger::write(catalogue, entry).await?;
    Ok(minutes)
}

/// The sittings as the file lists them: by the rules of sittings that are held here.
fn sat(mut draft: Draft, file: &CeremonyFile) -> Result<Draft, CeremonyFault> {
    for (custodian, written) in &file.sittings {
        let sitting = Sitting {
            custodian: custodian.to_string(),
            at: written.at,
            machine: String::new(),
            package: written.package.clone(),
            check_value: written.check_value.clone(),
            masked: String::new(),
            pad: String::new(),
        };
        draft.enter(file, custodian, sitting)?;
    }
    Ok(draft)
}

/// Compared on as many leading bytes as both have.
fn is_check_value(header: &Header, expected: &[u8]) -> bool {
    header.check_value.as_ref().is_some_and(|own| {
        let length = own.bytes.len().min(expected.len());
        length >= limits::CHECK_VALUE_BYTES_MIN && own.bytes[..length] == expected[..length]
    })
}

/// One object is one key: a second name could have another usage. Headers are only read here; the
/// catalogue has refused those that are not authentic.
async fn refuse_taken(
    catalogue: &Catalogue,
    key: &KeyName,
    object_id: [u8; 16],
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = catalogue.store().list(deadline(), None, after.take());
        let page = page.await?;
        let taken = |header: &Vec<u8>| {
            Header::decode(header).is_ok_and(|header| header.token_object == Some(object_id))
        };
        if page.iter().any(|record| taken(&record.header)) {
            return Err(fault(key, CeremonyFault::ObjectTaken));
        }
        match page.last() {
            Some(last) if page.len() == limits::STORE_PAGE_RECORDS => after = Some(last.id.clone()),
            _ => return Ok(()),
        }
    }
}
