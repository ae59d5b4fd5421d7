//! Keys with known values: from an import file or by library call, at the token's machine, never
//! over the wire. RSA keys go into the token, SM2 keys and symmetric values into a seal; a partner's public
//! key that is there already gets its next version.
//!
//! Symmetric values are for test environments only. All or nothing: every fault of every entry is
//! found first, and what the token took is destroyed again if the store then refuses.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pkcs8::SecretDocument;
use serde::Deserialize;

use crate::domain::{check_value, rsa, sm2};
use crate::keys::attributes::{Algorithm, Environment, Origin, Residence};
use crate::keys::catalogue::Catalogue;
use crate::keys::entry::{Fault, Faults, KeyEntry};
use crate::keys::error::Error;
use crate::keys::exchange::ExchangeError;
use crate::keys::key_ref::KeyName;
use crate::keys::ledger::{self, Entry};
use crate::keys::lifecycle::{Extras, refuse_process_kek};
use crate::keys::make::{Birth, Given, Made, Maker, deadline};
use crate::keys::material;
use crate::keys::partner;
use crate::keys::provision::lock;
use crate::keys::record::{Header, Labels};
use crate::keys::spec::KeySpec;
use crate::keys::template::{parse_toml, read_text, refuse_repeats};
use crate::secret::Secret;

/// Imports every key of a file, and answers their headers in the file's order.
///
/// # Errors
/// [`Error::FileUnreadable`], [`Error::FileSyntax`], [`Error::FileEnvironment`], or
/// [`Error::FileRefused`] with every fault of every entry; or what store or token answered. After
/// any error no key was imported.
pub async fn import_file(
    catalogue: &Catalogue,
    path: &Path,
    tenant: &KeyName,
) -> Result<Vec<Header>, Error> {
    let text = Secret::new(read_text(path)?);
    let file: File = parse_toml(path, text.expose_secret())?;
    let environment = file.environment(path)?;
    let mut found = Vec::new();
    let mut wanted = Vec::new();
    for (number, entry) in (1..).zip(&file.key) {
        let mut faults = Faults::of(number, &entry.name, &mut found);
        let spec = entry.spec(&mut faults);
        let given = spec.and_then(|spec| {
            let labels = labels(entry, &mut faults);
            let given = given(&spec, entry, environment, path, &mut faults)?;
            Some(Wanted {
                entry: number,
                spec,
                given,
                birth: Birth {
                    labels: labels?,
                    ..Birth::default()
                },
            })
        });
        wanted.extend(given);
    }
    refuse_repeats(&file.key, &mut found);
    let catalogue_environment = catalogue.custodian().environment();
    if found.is_empty() && environment != catalogue_environment {
        return Err(Error::FileEnvironment {
            path: path.to_owned(),
            file: environment,
            catalogue: catalogue_environment,
        });
    }
    commit(catalogue, path, tenant, wanted, found).await
}

/// Imports one private key from PEM: an RSA key into the token, an SM2 key into a seal.
///
/// # Errors
/// As [`import_file`]; faults name the file `PKCS #8`.
pub async fn import_pkcs8(
    catalogue: &Catalogue,
    tenant: &KeyName,
    spec: KeySpec,
    pem: &Secret<String>,
) -> Result<Header, Error> {
    let name = spec.name.to_string();
    let mut found = Vec::new();
    let mut faults = Faults::of(1, &name, &mut found);
    let given = if spec_is_sound(&spec, &mut faults) {
        given_pkcs8(&spec, pem.expose_secret(), &mut faults)
    } else {
        None
    };
    commit_one(catalogue, Path::new("PKCS #8"), tenant, spec, given, found).await
}

/// Imports one symmetric value into a test catalogue.
///
/// # Errors
/// As [`import_file`]; faults name the file `value`.
pub async fn import_test_value(
    catalogue: &Catalogue,
    tenant: &KeyName,
    spec: KeySpec,
    value: Secret<Vec<u8>>,
) -> Result<Header, Error> {
    let name = spec.name.to_string();
    let environment = catalogue.custodian().environment();
    let mut found = Vec::new();
    let mut faults = Faults::of(1, &name, &mut found);
    let given = if spec_is_sound(&spec, &mut faults) {
        given_value(&spec, value, environment, &mut faults)
    } else {
        None
    };
    commit_one(catalogue, Path::new("value"), tenant, spec, given, found).await
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    environment: String,
    #[serde(default)]
    key: Vec<KeyEntry>,
}

impl File {
    fn environment(&self, path: &Path) -> Result<Environment, Error> {
        Environment::from_word(&self.environment).ok_or_else(|| Error::FileSyntax {
            path: path.to_owned(),
            line: 1,
            what: "environment is \"test\" or \"production\"".to_owned(),
        })
    }
}

/// One key to import: which entry it came from, what it is to be, and its value.
struct Wanted {
    entry: usize,
    spec: KeySpec,
    given: Given,
    birth: Birth,
}

/// The labels of an entry; none where they are not right.
fn labels(entry: &KeyEntry, faults: &mut Faults<'_>) -> Option<Labels> {
    let named = |(name, text): (&String, &String)| Some((KeyName::parse(name).ok()?, text.clone()));
    let labels: Option<BTreeMap<_, _>> = entry.labels.iter().map(named).collect();
    let labels = labels.and_then(|labels| Labels::new(labels).ok());
    if labels.is_none() {
        faults.add("labels", "too many, too long, or a name that is none");
    }
    labels
}

/// The value of an entry, checked; none, with the reasons in `faults`, where it is not right.
fn given(
    spec: &KeySpec,
    entry: &KeyEntry,
    environment: Environment,
    path: &Path,
    faults: &mut Faults<'_>,
) -> Option<Given> {
    if spec.residence == Residence::Public || entry.public_key.is_some() {
        return given_public(spec, entry, path, faults);
    }
    let given = match (spec.algorithm.key_bytes(), &entry.value, &entry.pkcs8) {
        (Some(_), Some(text), None) => match hex::decode(text.0.expose_secret()) {
            Ok(value) => given_value(spec, Secret::new(value), environment, faults),
            Err(_) => {
                faults.add("value", "not hex");
                None
            }
        },
        (None, None, Some(file)) => match read_text(&beside(path, file)) {
            Ok(pem) => given_pkcs8(spec, Secret::new(pem).expose_secret(), faults),
            Err(_) => {
                faults.add("pkcs8", "the file cannot be read");
                None
            }
        },
        (Some(_), ..) => {
            faults.add("value", "a symmetric key comes as value, and nothing else");
            None
        }
        (None, ..) => {
            faults.add("pkcs8", "a key pair comes as pkcs8, and nothing else");
            None
        }
    };
    if let (Some(given), Some(expected)) = (&given, &entry.check_value) {
        check(spec, given, expected, faults);
    }
    given
}

fn given_public(
    spec: &KeySpec,
    entry: &KeyEntry,
    path: &Path,
    faults: &mut Faults<'_>,
) -> Option<Given> {
    let fault = match (&entry.public_key, &entry.value, &entry.pkcs8) {
        (Some(_), None, None) if spec.residence != Residence::Public => {
            "only of keys that only verify signatures, or encrypt for a partner"
        }
        (Some(file), None, None) => match read_text(&beside(path, file)) {
            Ok(text) => match partner::read(spec.algorithm, text.as_bytes()) {
                Some(key) if key.has_ended() => partner::ENDED,
                Some(key) => return Some(Given::Public(key)),
                None => "not a public key or certificate of the entry's algorithm",
            },
            Err(_) => "the file cannot be read",
        },
        _ => "a partner's key comes as public_key, and nothing else",
    };
    faults.add("public_key", fault);
    None
}

fn given_value(
    spec: &KeySpec,
    mut value: Secret<Vec<u8>>,
    environment: Environment,
    faults: &mut Faults<'_>,
) -> Option<Given> {
    if environment != Environment::Test {
        faults.add("value", "key values are for test environments only");
        return None;
    }
    match material::admit(spec.algorithm, value.expose_secret_mut()) {
        Ok(()) => Some(Given::Value(value, Origin::ImportedValue)),
        Err(fault) => {
            faults.add("value", fault.why());
            None
        }
    }
}

fn given_pkcs8(spec: &KeySpec, pem: &str, faults: &mut Faults<'_>) -> Option<Given> {
    let document = match SecretDocument::from_pem(pem) {
        Ok(("PRIVATE KEY", document)) => Secret::new(document.as_bytes().to_vec()),
        Ok(("ENCRYPTED PRIVATE KEY", _)) => {
            faults.add(
                "pkcs8",
                "encrypted: decrypt it first, at the token's machine",
            );
            return None;
        }
        _ => {
            let Some(bare) = without_pem_lines(pem) else {
                faults.add(
                    "pkcs8",
                    "neither a PEM file with one PRIVATE KEY (`openssl pkcs8 -topk8 -nocrypt` makes \
                     one) nor its base64",
                );
                return None;
            };
            bare
        }
    };
    let der = document.expose_secret();
    if spec.algorithm == Algorithm::Sm2 && spec.residence == Residence::Token {
        faults.add(
            "residence",
            "an SM2 key in the TOKEN is made there: makers agree on no form to bring one in",
        );
        return None;
    }
    let given = if spec.algorithm == Algorithm::Sm2 {
        sm2::PrivateKey::from_pkcs8(der).ok().map(Given::Sm2)
    } else {
        let bits = rsa::pkcs8_public(der)
            .ok()
            .map(|public| public.modulus_bits());
        let wanted = spec
            .algorithm
            .rsa_bits()
            .and_then(|bits| usize::try_from(bits).ok());
        (bits.is_some() && bits == wanted).then(|| Given::Rsa(Secret::new(der.to_vec())))
    };
    if given.is_none() {
        faults.add("pkcs8", "not a private key of the entry's algorithm");
    }
    given
}

/// The base64 alone, as Alipay's key tool writes it. Neither copy of it grows while it is made.
fn without_pem_lines(text: &str) -> Option<Secret<Vec<u8>>> {
    let mut dense = Secret::new(String::with_capacity(text.len()));
    let characters = text.chars().filter(|c| !c.is_ascii_whitespace());
    dense.expose_secret_mut().extend(characters);
    let mut der = Secret::new(vec![0; text.len()]);
    let length = STANDARD.decode_slice(dense.expose_secret(), der.expose_secret_mut());
    let length = length.ok().filter(|length| *length > 0)?;
    der.expose_secret_mut().truncate(length);
    Some(der)
}

/// Compares a partner's check value with ours, at the length the partner gave.
fn check(spec: &KeySpec, given: &Given, expected: &str, faults: &mut Faults<'_>) {
    let (Given::Value(value, _), Some(algorithm)) = (given, spec.algorithm.block_algorithm())
    else {
        return faults.add("check_value", "keys of this algorithm have none");
    };
    let Ok(expected) = hex::decode(expected) else {
        return faults.add("check_value", "not hex");
    };
    let method = check_value::Method::of(algorithm);
    if check_value::verify(method, value.expose_secret(), &expected).is_err() {
        faults.add("check_value", "not this key's, or shorter than 3 bytes");
    }
}

fn spec_is_sound(spec: &KeySpec, faults: &mut Faults<'_>) -> bool {
    let spec_faults = spec.faults();
    spec_faults
        .iter()
        .for_each(|fault| faults.add(fault.field, fault.why));
    spec_faults.is_empty()
}

fn beside(path: &Path, file: &Path) -> PathBuf {
    path.parent().unwrap_or(Path::new("")).join(file)
}

async fn commit_one(
    catalogue: &Catalogue,
    path: &Path,
    tenant: &KeyName,
    spec: KeySpec,
    given: Option<Given>,
    found: Vec<Fault>,
) -> Result<Header, Error> {
    let wanted = given.map(|given| Wanted {
        entry: 1,
        spec,
        given,
        birth: Birth::default(),
    });
    let headers = commit(catalogue, path, tenant, wanted.into_iter().collect(), found).await?;
    headers.into_iter().next().ok_or(Error::UnknownKey)
}

/// Makes and stores the keys, all or none, under the advisory lock.
async fn commit(
    catalogue: &Catalogue,
    path: &Path,
    tenant: &KeyName,
    mut wanted: Vec<Wanted>,
    mut found: Vec<Fault>,
) -> Result<Vec<Header>, Error> {
    let _lock = lock(catalogue).await?;
    for Wanted {
        entry,
        spec,
        given,
        birth,
    } in &mut wanted
    {
        let name = spec.name.as_str();
        refuse_process_kek(catalogue, spec)?;
        let mut faults = Faults::of(*entry, name, &mut found);
        if let Given::Public(key) = given {
            let extras = Extras {
                labels: std::mem::take(&mut birth.labels),
                ..Extras::default()
            };
            match partner::next(catalogue, tenant, spec, key, extras).await {
                Ok(next) => *birth = next,
                Err(Error::KeyExists { fields, .. }) if fields == ["public_key"] => {
                    faults.add("public_key", "is there already");
                }
                Err(Error::KeyExists { .. }) => {
                    faults.add("name", "exists already, with other attributes");
                }
                Err(Error::Exchange(ExchangeError::Spec { field, why })) => {
                    faults.add(field, why);
                }
                Err(error) => return Err(error),
            }
            continue;
        }
        let there = catalogue.records(tenant.as_str(), name, deadline()).await?;
        if !there.is_empty() {
            faults.add("name", "exists already");
        }
    }
    if !found.is_empty() {
        found.sort_by_key(|fault| fault.entry);
        return Err(Error::FileRefused {
            path: path.to_owned(),
            faults: found,
        });
    }
    let mut maker = Maker {
        catalogue,
        tenant,
        birth: Birth::default(),
    };
    let mut made = Vec::new();
    let stored = match make_all(&mut maker, wanted, &mut made).await {
        Ok(()) => ledger::write(catalogue, Entry::of_made(&made)).await,
        Err(error) => Err(error),
    };
    if let Err(error) = stored {
        maker.undo(&made).await;
        return Err(error);
    }
    Ok(made.into_iter().map(|made| made.header).collect())
}

async fn make_all(
    maker: &mut Maker<'_>,
    wanted: Vec<Wanted>,
    made: &mut Vec<Made>,
) -> Result<(), Error> {
    for Wanted {
        spec, given, birth, ..
    } in wanted
    {
        maker.birth = birth;
        made.push(maker.keep(&spec, given).await?);
    }
    Ok(())
}
