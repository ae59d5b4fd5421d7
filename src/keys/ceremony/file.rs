//! The file that opens a ceremony: who the custodians are, and what the key is to be.
//!
//! ```toml
//! environment = "test"
//! custodians = ["alice", "bob", "carol"]
//!
//! [key]
//! name = "zmk-acquirer"
//! usage = "key_encryption"
//! # … as in a template; `check_value` is what the key must come to, where that is known
//! ```

use std::collections::HashSet;
use std::path::Path;

use serde::Deserialize;

use crate::domain::check_value::Method;
use crate::keys::attributes::{Environment, Residence};
use crate::keys::catalogue::Catalogue;
use crate::keys::ceremony::draft::is_serial;
use crate::keys::entry::{Faults, KeyEntry};
use crate::keys::error::Error;
use crate::keys::key_ref::KeyName;
use crate::keys::make::resident;
use crate::keys::spec::KeySpec;
use crate::keys::template::{parse_toml, read_text};
use crate::limits;

/// What a ceremony is for, read and checked.
#[derive(Clone, Debug)]
pub struct CeremonyFile {
    /// The text it was read from; the draft keeps it.
    pub(in crate::keys) text: String,
    pub(in crate::keys) environment: Environment,
    pub(in crate::keys) custodians: Vec<KeyName>,
    pub(in crate::keys) spec: KeySpec,
    pub(in crate::keys) check_value: Option<Vec<u8>>,
    /// Sittings that were held at the HSM's console; only where a key is adopted.
    pub(in crate::keys) sittings: Vec<(KeyName, WrittenSitting)>,
}

/// A sitting as people wrote it down.
#[derive(Clone, Debug)]
pub(in crate::keys) struct WrittenSitting {
    /// Seconds since 1970.
    pub(in crate::keys) at: u64,
    pub(in crate::keys) package: String,
    pub(in crate::keys) check_value: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    environment: String,
    custodians: Vec<String>,
    key: KeyEntry,
    #[serde(default)]
    sitting: Vec<SittingEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SittingEntry {
    custodian: String,
    at: String,
    package: String,
    check_value: Option<String>,
}

impl CeremonyFile {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// [`Error::FileUnreadable`], [`Error::FileSyntax`], or [`Error::FileRefused`] with every fault.
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(path, read_text(path)?)
    }

    /// Checks the text of such a file; `path` is what errors name.
    ///
    /// # Errors
    /// As [`CeremonyFile::read`].
    pub fn parse(path: &Path, text: String) -> Result<Self, Error> {
        let file: File = parse_toml(path, &text)?;
        let mut found = Vec::new();
        let mut faults = Faults::of(1, &file.key.name, &mut found);
        let environment = Environment::from_word(&file.environment);
        if environment.is_none() {
            faults.add("environment", "\"test\" or \"production\"");
        }
        if text.len() > limits::CEREMONY_FILE_BYTES_MAX {
            faults.add("key", "the file of a ceremony has at most 8 KiB");
        }
        let custodians = custodians(&file.custodians, &mut faults);
        if file.key.value.is_some() || file.key.pkcs8.is_some() {
            faults.add("value", "a ceremony's key has no value in a file");
        }
        let spec = file.key.spec(&mut faults);
        if let Some(spec) = &spec {
            check_spec(spec, &mut faults);
        }
        let check_value = spec
            .as_ref()
            .and_then(|spec| check_value(&file.key, spec, &mut faults));
        let sittings = sittings(&file.sitting, &mut faults);
        match (environment, custodians, spec, sittings, found.is_empty()) {
            (Some(environment), Some(custodians), Some(spec), Some(sittings), true) => Ok(Self {
                text,
                environment,
                custodians,
                spec,
                check_value,
                sittings,
            }),
            _ => Err(Error::FileRefused {
                path: path.to_owned(),
                faults: found,
            }),
        }
    }

    /// The name of the key that is to be.
    pub fn key(&self) -> &KeyName {
        &self.spec.name
    }

    pub(in crate::keys) fn refuse_other_environment(
        &self,
        catalogue: &Catalogue,
    ) -> Result<(), Error> {
        let own = catalogue.custodian().environment();
        if self.environment == own {
            return Ok(());
        }
        Err(Error::FileEnvironment {
            path: Path::new("the ceremony's file").to_owned(),
            file: self.environment,
            catalogue: own,
        })
    }
}

fn sittings(
    entries: &[SittingEntry],
    faults: &mut Faults<'_>,
) -> Option<Vec<(KeyName, WrittenSitting)>> {
    let read: Option<Vec<_>> = entries.iter().map(SittingEntry::read).collect();
    if read.is_none() {
        faults.add(
            "sitting",
            "a custodian, a time (2026-01-31T09:00:00Z), a package's serial number, and the hex of \
             a check value",
        );
    }
    read
}

impl SittingEntry {
    fn read(&self) -> Option<(KeyName, WrittenSitting)> {
        let at: jiff::Timestamp = self.at.parse().ok()?;
        let check_value = match &self.check_value {
            Some(text) => Some(hex::encode_upper(hex::decode(text).ok()?)),
            None => None,
        };
        let written = WrittenSitting {
            at: u64::try_from(at.as_second()).ok()?,
            package: self.package.clone(),
            check_value,
        };
        let custodian = KeyName::parse(&self.custodian).ok()?;
        is_serial(&self.package).then_some((custodian, written))
    }
}

/// Two or three people, each once.
fn custodians(names: &[String], faults: &mut Faults<'_>) -> Option<Vec<KeyName>> {
    let people: Option<Vec<KeyName>> = names.iter().map(|name| KeyName::parse(name).ok()).collect();
    if people.is_none() {
        faults.add("custodians", "a name is [a-z0-9][a-z0-9._-]{0,62}");
    }
    let distinct: HashSet<&String> = names.iter().collect();
    let count = limits::COMPONENTS_MIN..=limits::COMPONENTS_MAX;
    if !count.contains(&names.len()) || distinct.len() != names.len() {
        faults.add("custodians", "two or three people, each named once");
    }
    people
}

fn check_spec(spec: &KeySpec, faults: &mut Faults<'_>) {
    if spec.algorithm.key_bytes().is_none() {
        faults.add("algorithm", "only symmetric keys are made of components");
    }
    if spec.residence == Residence::Token && resident(spec).is_none() {
        faults.add("residence", "tokens have no keys of this algorithm");
    }
}

/// What the key's check value must be; none where nobody knows it before.
fn check_value(entry: &KeyEntry, spec: &KeySpec, faults: &mut Faults<'_>) -> Option<Vec<u8>> {
    let text = entry.check_value.as_ref()?;
    let Some(algorithm) = spec.algorithm.block_algorithm() else {
        faults.add("check_value", "keys of this algorithm have none");
        return None;
    };
    let lengths = limits::CHECK_VALUE_BYTES_MIN..=Method::of(algorithm).length_max();
    let value = hex::decode(text).ok();
    let value = value.filter(|value| lengths.contains(&value.len()));
    if value.is_none() {
        faults.add(
            "check_value",
            "not the hex of a check value of this algorithm",
        );
    }
    value
}
