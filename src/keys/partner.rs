//! Public keys of partners (Alipay's, WeChat Pay's, UnionPay's): records without a secret, which are
//! sealed and vouched for as any other, so that nobody can put his own key in their place.
//!
//! A partner's key is replaced by bringing in the next one: it becomes a pending version, by which
//! signatures are right already, because the partner does not say when it begins.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use der::{Decode, DecodePem, Encode};
use x509_cert::Certificate;

use crate::domain::{rsa, sm2};
use crate::keys::act::Act;
use crate::keys::attributes::{Algorithm, Residence, State};
use crate::keys::catalogue::Catalogue;
use crate::keys::error::Error;
use crate::keys::exchange::intake::complete;
use crate::keys::exchange::{ExchangeError, Wanted};
use crate::keys::key_ref::KeyName;
use crate::keys::lifecycle::{Extras, check_expiry, commit, versions};
use crate::keys::make::{Birth, Given, Maker};
use crate::keys::provision::lock;
use crate::keys::record::Header;
use crate::keys::spec::KeySpec;
use crate::limits;

/// Reads a public key as partners give it: SubjectPublicKeyInfo in DER, in PEM or in base64 without a
/// frame (Alipay's console), or an X.509 certificate in DER or PEM. Answers SubjectPublicKeyInfo in DER;
/// none where it is none of these, or not a key of this algorithm.
///
/// A certificate is not judged here: whoever brings it in has checked where it comes from.
pub fn read(algorithm: Algorithm, given: &[u8]) -> Option<Vec<u8>> {
    if given.len() > limits::PUBLIC_KEY_FILE_BYTES_MAX {
        return None;
    }
    let info = match Certificate::from_der(given) {
        Ok(certificate) => info_of(&certificate)?,
        Err(_) => match std::str::from_utf8(given) {
            Ok(text) => of_text(text)?,
            Err(_) => given.to_vec(),
        },
    };
    is_of(algorithm, &info).then_some(info)
}

fn of_text(text: &str) -> Option<Vec<u8>> {
    let text = text.trim();
    if text.starts_with("-----BEGIN CERTIFICATE-----") {
        // Of a chain the first, which is the leaf.
        const END: &str = "-----END CERTIFICATE-----";
        let end = text.find(END)? + END.len();
        return info_of(&Certificate::from_pem(text.get(..end)?).ok()?);
    }
    if text.starts_with("-----BEGIN PUBLIC KEY-----") {
        let (label, der) = der::pem::decode_vec(text.as_bytes()).ok()?;
        return (label == "PUBLIC KEY").then_some(der);
    }
    let bare: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(bare).ok()
}

fn info_of(certificate: &Certificate) -> Option<Vec<u8>> {
    let info = certificate.tbs_certificate().subject_public_key_info();
    info.to_der().ok()
}

fn is_of(algorithm: Algorithm, info: &[u8]) -> bool {
    match (algorithm, algorithm.rsa_bits()) {
        (Algorithm::Sm2, _) => sm2::PublicKey::from_spki(info).is_ok(),
        (_, Some(bits)) => rsa::PublicKey::from_spki(info)
            .is_ok_and(|key| u32::try_from(key.modulus_bits()) == Ok(bits)),
        (_, None) => false,
    }
}

/// Brings a partner's public key in: as version 1, active; or, where there is one of this name with the
/// same attributes, as its next version, pending.
///
/// # Errors
/// [`Error::Exchange`] where it is no such key or the attributes are not a partner's;
/// [`Error::KeyExists`] where the key is there already, or another one by its name;
/// [`Error::VersionsFull`]; or what store or token answered.
pub async fn import(
    catalogue: &Catalogue,
    tenant: &KeyName,
    given: &[u8],
    wanted: Wanted,
    extras: Extras,
    act: &Act,
) -> Result<Header, Error> {
    let spec = complete(wanted)?;
    check_expiry(extras.expiry)?;
    let refused = |field, why| Error::Exchange(ExchangeError::Spec { field, why });
    if spec.residence != Residence::Public {
        return Err(refused("mode", "a partner's public key verifies only"));
    }
    let info = read(spec.algorithm, given).ok_or_else(|| {
        refused(
            "public_key",
            "not a public key or certificate of this algorithm",
        )
    })?;
    let _lock = lock(catalogue).await?;
    let birth = Birth {
        expiry: extras.expiry,
        labels: extras.labels,
        ..next(catalogue, tenant, &spec, &info).await?
    };
    let maker = Maker {
        catalogue,
        tenant,
        birth,
    };
    let made = maker.keep(&spec, Given::Public(info)).await?;
    commit(catalogue, &maker, made, act).await
}

/// How the next version of a partner's key begins. Under the advisory lock.
pub(in crate::keys) async fn next(
    catalogue: &Catalogue,
    tenant: &KeyName,
    spec: &KeySpec,
    info: &[u8],
) -> Result<Birth, Error> {
    let versions = versions(catalogue, tenant, &spec.name).await?;
    let Some(newest) = versions.first() else {
        return Ok(Birth::default());
    };
    let exists = |fields| Error::KeyExists {
        name: spec.name.to_string(),
        fields,
    };
    let fields = spec.differences(newest);
    if !fields.is_empty() {
        return Err(exists(fields));
    }
    let same = |header: &Header| {
        header.public_key.as_deref() == Some(info) && header.state != State::Destroyed
    };
    if versions.iter().any(same) {
        return Err(exists(vec!["public_key"]));
    }
    if versions.len() >= limits::KEY_VERSIONS_MAX {
        return Err(Error::VersionsFull {
            name: spec.name.to_string(),
        });
    }
    Ok(Birth {
        version: newest.version + 1,
        state: State::Pending,
        ..Birth::default()
    })
}
