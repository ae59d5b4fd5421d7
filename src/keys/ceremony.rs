//! Ceremonies: a key that two or three custodians bring in parts, in separate sittings, at this
//! machine (PCI PIN 6 and 8 in form; Bond's attacks on component entry in mind: the custodians are
//! fixed at the opening, each sits once, the draft is of no use until an officer who is none of them
//! closes it, and nothing entered is ever used again).
//!
//! This is host component entry: each component is clear in this process's memory while its
//! custodian sits, and the key is while the ceremony closes. It needs [`HostComponents`], the key says
//! `HOST_COMPONENTS` for ever, and none of it is reachable from the wire. A draft put back to an
//! earlier state that was sealed too is not noticed; the minutes say who sat when.

pub mod adoption;
pub mod file;
pub mod minutes;

mod draft;
pub(in crate::keys) mod held;

use crate::config::server::Acceptance;
use crate::keys::act::now;
use crate::keys::attributes::{Algorithm, Environment, Origin};
use crate::keys::catalogue::Catalogue;
use crate::keys::ceremony::draft::{Draft, Sitting};
use crate::keys::ceremony::file::CeremonyFile;
use crate::keys::ceremony::held::{Held, KIND, document_id, moved, pad, seal_pad};
use crate::keys::ceremony::minutes::{End, Minutes};
use crate::keys::component::{Component, ComponentFault};
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::ledger::{self, Entry};
use crate::keys::lifecycle::refuse_process_kek;
use crate::keys::make::{Birth, Given, Maker, deadline};
use crate::keys::provision::lock;
use crate::limits;

/// Somebody said that components may be clear in this host's memory. Without it no ceremony opens.
#[derive(Clone, Copy)]
pub struct HostComponents(());

impl HostComponents {
    /// Accepts it; for production keys only where the configuration names who answers for it.
    ///
    /// # Errors
    /// [`Error::HostComponentsRefused`].
    pub fn insecure(
        environment: Environment,
        accepted: Option<&Acceptance>,
    ) -> Result<Self, Error> {
        match (environment, accepted) {
            (Environment::Production, None) => Err(Error::HostComponentsRefused),
            (Environment::Production, Some(_)) | (Environment::Test, _) => Ok(Self(())),
        }
    }
}

/// Why a step of a ceremony is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CeremonyFault {
    /// There is none.
    #[error("no ceremony for this key is open")]
    Unknown,
    /// One is open.
    #[error("a ceremony for this key is open already: close or abandon it first")]
    Open,
    /// Not one of those it was opened for.
    #[error("that is none of its custodians, who were fixed when it was opened")]
    NotACustodian,
    /// Each custodian sits once.
    #[error("this custodian has entered a component already")]
    EnteredAlready,
    /// A package is opened once.
    #[error("a component of this package was entered already")]
    PackageTwice,
    /// Not a serial number.
    #[error("a package's serial number is 1 to 64 printable characters without blanks")]
    PackageSerial,
    /// The component, or what the components make.
    #[error("{0}")]
    Component(ComponentFault),
    /// Custodians who have not sat.
    #[error("{0} of its custodians have not entered a component")]
    Incomplete(usize),
    /// Dual control ends where a custodian closes.
    #[error("the officer who closes it is none of its custodians")]
    OfficerIsCustodian,
    /// The components make another key than was expected.
    #[error("the components make a key with another check value than was expected")]
    CheckValue,
    /// Sittings that are held here are not written beforehand.
    #[error("sittings are listed only for a key that is in the token already (`adopt`)")]
    SittingsWritten,
    /// A key is adopted only by its check value.
    #[error("a key is adopted only where its file says what its check value is")]
    CheckValueMissing,
    /// The token holds another key than was entered.
    #[error("the object in the token has another check value than was written down")]
    ObjectCheckValue,
    /// Another record names it.
    #[error("another key has this object already")]
    ObjectTaken,
    /// Not what was sealed.
    #[error("its draft was not as it was sealed, and is destroyed without minutes")]
    Damaged,
    /// Somebody else was at it.
    #[error("somebody else has changed it meanwhile")]
    Moved,
}

/// A custodian who may sit down now.
pub struct Seat {
    tenant: KeyName,
    custodian: KeyName,
    held: Held,
}

/// What the minutes will say of a sitting.
#[derive(Clone, Debug)]
pub struct Entered {
    /// The component's check value, hex; none for HMAC keys.
    pub check_value: Option<String>,
    /// How many custodians have still to sit.
    pub missing: usize,
}

/// How a ceremony stands.
#[derive(Clone, Debug)]
pub struct Status {
    /// The key.
    pub key: KeyName,
    /// Its algorithm.
    pub algorithm: Algorithm,
    /// When it was opened, seconds since 1970.
    pub opened: u64,
    /// Each custodian, and when they sat.
    pub custodians: Vec<(KeyName, Option<u64>)>,
}

/// Opens a ceremony.
///
/// # Errors
/// [`Error::KeyExists`], [`Error::FileEnvironment`], [`Error::ProcessKekRefused`],
/// [`CeremonyFault::Open`], or what store or token answered.
pub async fn open(
    catalogue: &Catalogue,
    tenant: &KeyName,
    file: &CeremonyFile,
    machine: &str,
    _insecure: HostComponents,
) -> Result<Status, Error> {
    let _lock = lock(catalogue).await?;
    file.refuse_other_environment(catalogue)?;
    if !file.sittings.is_empty() {
        return Err(fault(&file.spec.name, CeremonyFault::SittingsWritten));
    }
    refuse_process_kek(catalogue, &file.spec)?;
    refuse_existing(catalogue, tenant, &file.spec.name).await?;
    let id = document_id(tenant, &file.spec.name);
    let found = catalogue.store().document(deadline(), KIND, &id).await?;
    // An empty body is what a ceremony that ended leaves where its deletion failed.
    let revision = match found {
        Some(found) if !found.body.is_empty() => {
            return Err(fault(&file.spec.name, CeremonyFault::Open));
        }
        Some(found) => found.revision,
        None => 0,
    };
    let random = catalogue.fleet().random(deadline(), 16).await?;
    let draft = Draft {
        id: hex::encode(random),
        opened: now(),
        machine: bounded(machine),
        file: file.text.clone(),
        sittings: Vec::new(),
    };
    let held = Held {
        draft,
        file: file.clone(),
        revision,
    };
    held.write(catalogue, tenant).await?;
    Ok(held.status())
}

/// Whether this custodian may sit now. Asked before anything is typed.
///
/// # Errors
/// [`CeremonyFault::Unknown`], [`CeremonyFault::NotACustodian`], [`CeremonyFault::EnteredAlready`],
/// or what store or token answered.
pub async fn sit(
    catalogue: &Catalogue,
    tenant: &KeyName,
    key: &KeyName,
    custodian: &KeyName,
    _insecure: HostComponents,
) -> Result<Seat, Error> {
    let held = Held::read(catalogue, tenant, key).await?;
    let admitted = held.draft.admit(&held.file, custodian);
    admitted.map_err(|why| fault(key, why))?;
    Ok(Seat {
        tenant: tenant.clone(),
        custodian: custodian.clone(),
        held,
    })
}

impl Seat {
    /// The algorithm of the key that is made.
    pub fn algorithm(&self) -> Algorithm {
        self.held.file.spec.algorithm
    }

    /// Takes the component in. It is masked at once, and wiped before anything is sealed or stored.
    ///
    /// # Errors
    /// [`CeremonyFault`] for what is refused, and then nothing was stored; or what store or token
    /// answered.
    pub async fn enter(
        mut self,
        catalogue: &Catalogue,
        package: &str,
        component: Component,
        machine: &str,
    ) -> Result<Entered, Error> {
        let algorithm = self.algorithm();
        let key = self.held.file.spec.name.clone();
        let refused = |why| fault(&key, why);
        if !draft::is_serial(package) {
            return Err(refused(CeremonyFault::PackageSerial));
        }
        let length = algorithm.key_bytes().unwrap_or_default();
        let pad = pad(catalogue, length).await?;
        let masked = component.mask(algorithm, &pad);
        let masked = masked.map_err(|why| refused(CeremonyFault::Component(why)))?;
        let check_value = component.check_value(algorithm);
        drop(component);
        let check_value = check_value.map(|value| hex::encode_upper(&value.bytes));
        let sitting = Sitting {
            custodian: self.custodian.to_string(),
            at: now(),
            machine: bounded(machine),
            package: package.to_owned(),
            check_value: check_value.clone(),
            masked: hex::encode(&masked),
            pad: String::new(),
        };
        let held = &mut self.held;
        let title = held.draft.pad_title(held.draft.sittings.len());
        let sealed = seal_pad(catalogue, &title, &sitting, &pad).await?;
        let sitting = Sitting {
            pad: hex::encode(sealed),
            ..sitting
        };
        let entered = held.draft.enter(&held.file, &self.custodian, sitting);
        entered.map_err(refused)?;
        held.write(catalogue, &self.tenant).await?;
        Ok(Entered {
            check_value,
            missing: held.file.custodians.len() - held.draft.sittings.len(),
        })
    }
}

/// Makes the key. Where the components make none, or another than was expected, the ceremony is
/// abandoned and says so in its minutes: nobody could correct it.
///
/// # Errors
/// [`CeremonyFault`], [`Error::KeyExists`], or what store or token answered.
pub async fn close(
    catalogue: &Catalogue,
    tenant: &KeyName,
    key: &KeyName,
    officer: &KeyName,
    machine: &str,
    _insecure: HostComponents,
) -> Result<Minutes, Error> {
    let _lock = lock(catalogue).await?;
    let held = Held::read(catalogue, tenant, key).await?;
    let may = held.draft.may_close(&held.file, officer);
    may.map_err(|why| fault(key, why))?;
    refuse_process_kek(catalogue, &held.file.spec)?;
    refuse_existing(catalogue, tenant, key).await?;
    let machine = bounded(machine);
    let pads = held.pads(catalogue).await?;
    let value = match held.value(&pads) {
        Ok(value) => value,
        Err(why) => {
            let reason = why.to_string();
            held.end(catalogue, tenant, officer, &machine, &reason)
                .await?;
            return Err(fault(key, why));
        }
    };
    let maker = Maker {
        catalogue,
        tenant,
        birth: Birth {
            custodians: held.file.custodians.clone(),
            ..Birth::default()
        },
    };
    let given = Given::Value(value, Origin::HostComponents);
    let made = maker.keep(&held.file.spec, given).await?;
    let end = End {
        officer,
        machine: &machine,
        at: now(),
        result: Ok(&made.header),
    };
    let minutes = Minutes::of(catalogue, tenant, &held.draft, &held.file, &end)?;
    let mut entry = Entry::of_made([&made]);
    entry.beside = held.last(tenant, minutes.put(catalogue).await?);
    if let Err(error) = ledger::write(catalogue, entry).await {
        maker.undo(&[made]).await;
        return Err(moved(key, error));
    }
    held.remove(catalogue, tenant).await;
    Ok(minutes)
}

/// Ends a ceremony without a key, and destroys what was entered.
///
/// # Errors
/// [`CeremonyFault::Unknown`], or what store or token answered.
pub async fn abandon(
    catalogue: &Catalogue,
    tenant: &KeyName,
    key: &KeyName,
    officer: &KeyName,
    machine: &str,
    reason: &str,
) -> Result<Minutes, Error> {
    let held = match Held::read(catalogue, tenant, key).await {
        // Edited, or sealed by a token or a seal key that is gone: of no use to anybody.
        Err(Error::DocumentRefused { .. }) => {
            held::destroy(catalogue, tenant, key).await?;
            return Err(fault(key, CeremonyFault::Damaged));
        }
        read => read?,
    };
    held.end(
        catalogue,
        tenant,
        officer,
        &bounded(machine),
        &bounded(reason),
    )
    .await
}

/// How the ceremony for a key stands.
///
/// # Errors
/// [`CeremonyFault::Unknown`], or what store or token answered.
pub async fn status(
    catalogue: &Catalogue,
    tenant: &KeyName,
    key: &KeyName,
) -> Result<Status, Error> {
    Ok(Held::read(catalogue, tenant, key).await?.status())
}

async fn refuse_existing(
    catalogue: &Catalogue,
    tenant: &KeyName,
    key: &KeyName,
) -> Result<(), Error> {
    let store = catalogue.store();
    let there = store.versions(deadline(), tenant.as_str(), key.as_str());
    if there.await?.is_empty() {
        Ok(())
    } else {
        Err(Error::KeyExists {
            name: key.to_string(),
            fields: vec![],
        })
    }
}

fn fault(key: &KeyName, why: CeremonyFault) -> Error {
    Error::Ceremony {
        name: key.to_string(),
        why,
    }
}

/// Text that people or machines chose, cut where it is too long for minutes.
fn bounded(text: &str) -> String {
    let shown = text.chars().filter(|one| !one.is_control());
    let mut kept = String::new();
    for one in shown {
        if kept.len() + one.len_utf8() > limits::MINUTES_TEXT_BYTES_MAX {
            break;
        }
        kept.push(one);
    }
    kept
}
