//! New keys, and new versions of keys that were generated here.
//!
//! A new version is pending until it is activated, by a call or by its moment; meanwhile its public
//! half can be told to partners. Values come from the token (`keys::make`).

use crate::keys::act::{Act, now};
use crate::keys::attributes::{Origin, Residence, State};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::ledger::Entry;
use crate::keys::lifecycle::{open_all, write};
use crate::keys::make::{Birth, Given, Made, Maker};
use crate::keys::provision::lock;
use crate::keys::record::{Header, Labels};
use crate::keys::spec::KeySpec;
use crate::limits;

/// What a new key has besides its attributes.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    /// The end of its crypto-period.
    pub expiry: Option<u64>,
    /// Its labels.
    pub labels: Labels,
}

/// Makes version 1 of a key, active, with a fresh value.
///
/// # Errors
/// [`Error::KeyExists`], [`Error::ProcessKekRefused`], [`Error::TimeRefused`], or what store or token
/// answered; then there is no key.
pub async fn create(
    catalogue: &Catalogue,
    tenant: &KeyName,
    spec: &KeySpec,
    extras: Extras,
    act: &Act,
) -> Result<Header, Error> {
    check_expiry(extras.expiry)?;
    refuse_process_kek(catalogue, spec)?;
    let _lock = lock(catalogue).await?;
    if !open_all(catalogue, tenant, &spec.name).await?.is_empty() {
        return Err(Error::KeyExists {
            name: spec.name.to_string(),
            fields: vec![],
        });
    }
    let birth = Birth {
        expiry: extras.expiry,
        labels: extras.labels,
        ..Birth::default()
    };
    make(catalogue, tenant, spec, birth, act).await
}

/// Makes the next version of a key with a fresh value and the same attributes: pending, and active
/// from `activates` on if that is given.
///
/// # Errors
/// [`Error::UnknownKey`], [`Error::NotGeneratedHere`], [`Error::VersionsFull`],
/// [`Error::TimeRefused`], or what store or token answered; then there is no new version.
pub async fn rotate(
    catalogue: &Catalogue,
    (tenant, name): (&KeyName, &KeyName),
    activates: Option<u64>,
    expiry: Option<u64>,
    act: &Act,
) -> Result<Header, Error> {
    check_expiry(expiry)?;
    if activates.is_some_and(|at| at <= now()) {
        return Err(Error::TimeRefused {
            field: "activates",
            why: "must lie ahead",
        });
    }
    let _lock = lock(catalogue).await?;
    let versions = open_all(catalogue, tenant, name).await?;
    let newest = &versions.first().ok_or(Error::UnknownKey)?.header;
    if newest.origin != Origin::Generated {
        return Err(Error::NotGeneratedHere {
            name: name.to_string(),
        });
    }
    if versions.len() >= limits::KEY_VERSIONS_MAX {
        return Err(Error::VersionsFull {
            name: name.to_string(),
        });
    }
    let birth = Birth {
        version: newest.version + 1,
        state: State::Pending,
        activates,
        expiry,
        labels: newest.labels.clone(),
        ..Birth::default()
    };
    make(catalogue, tenant, &KeySpec::of(newest), birth, act).await
}

async fn make(
    catalogue: &Catalogue,
    tenant: &KeyName,
    spec: &KeySpec,
    birth: Birth,
    act: &Act,
) -> Result<Header, Error> {
    let maker = Maker {
        catalogue,
        tenant,
        birth,
    };
    let made = maker.generate(spec).await?;
    commit(catalogue, &maker, made, act).await
}

/// Stores a given value as version 1 of a key, active.
///
/// # Errors
/// As [`create`].
pub(in crate::keys) async fn keep(
    catalogue: &Catalogue,
    tenant: &KeyName,
    spec: &KeySpec,
    given: Given,
    (birth, extras): (Birth, Extras),
    act: &Act,
) -> Result<Header, Error> {
    check_expiry(extras.expiry)?;
    refuse_process_kek(catalogue, spec)?;
    let _lock = lock(catalogue).await?;
    if !open_all(catalogue, tenant, &spec.name).await?.is_empty() {
        return Err(Error::KeyExists {
            name: spec.name.to_string(),
            fields: vec![],
        });
    }
    let maker = Maker {
        catalogue,
        tenant,
        birth: Birth {
            expiry: extras.expiry,
            labels: extras.labels,
            ..birth
        },
    };
    let made = maker.keep(spec, given).await?;
    commit(catalogue, &maker, made, act).await
}

/// Stores a key that was made; takes back what the token made of it where the store refuses.
pub(in crate::keys) async fn commit(
    catalogue: &Catalogue,
    maker: &Maker<'_>,
    made: Made,
    act: &Act,
) -> Result<Header, Error> {
    let entry = Entry::of_made([&made]);
    let written = write(catalogue, entry, made.header.clone(), act).await;
    if written.is_err() {
        maker.undo(&[made]).await;
    }
    written
}

/// A key that protects others is in this process only where the configuration says it may be.
pub(in crate::keys) fn refuse_process_kek(
    catalogue: &Catalogue,
    spec: &KeySpec,
) -> Result<(), Error> {
    let in_process = spec.usage.protects_keys() && spec.residence == Residence::Process;
    if in_process && !catalogue.allows_process_kek() {
        return Err(Error::ProcessKekRefused);
    }
    Ok(())
}

pub(in crate::keys) fn check_expiry(expiry: Option<u64>) -> Result<(), Error> {
    if expiry.is_some_and(|at| at <= now()) {
        return Err(Error::TimeRefused {
            field: "expires",
            why: "must lie ahead",
        });
    }
    Ok(())
}
