//! Public keys of partners (Alipay's, WeChat Pay's, UnionPay's): records without a secret, which are
//! sealed and vouched for as any other, so that nobody can put his own key in their place.
//!
//! A partner's key is replaced by bringing in the next one: it becomes a pending version, by which
//! signatures are right already, because the partner does not say when it begins.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::certificate::Certificate;
use crate::domain::sensitive_field::EncryptionScheme;
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
use crate::keys::record::{Header, Labels};
use crate::keys::spec::KeySpec;
use crate::limits;

/// A partner's public key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartnersKey {
    /// SubjectPublicKeyInfo, DER.
    pub info: Vec<u8>,
    /// When the certificate ends that it came in, seconds since 1970: the end of its crypto-period,
    /// unless another is given.
    pub ends: Option<u64>,
    /// The number of that certificate.
    pub serial: Option<Serial>,
}

/// A certificate's serial number, as partners write it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serial {
    /// WeChat Pay, upper case.
    pub hex: String,
    /// UnionPay.
    pub decimal: String,
}

impl PartnersKey {
    /// Whether the certificate holds no longer.
    pub(in crate::keys) fn has_ended(&self) -> bool {
        check_expiry(self.ends).is_err()
    }
}

/// What is said of such a key.
pub(in crate::keys) const ENDED: &str = "its certificate has ended";

/// Reads a public key as partners give it: SubjectPublicKeyInfo in DER, in PEM or in base64 without a
/// frame (Alipay's console), or an X.509 certificate in DER or PEM. None where it is none of these, or
/// not a key of this algorithm.
///
/// A certificate is not judged here: whoever brings it in has checked where it comes from.
pub fn read(algorithm: Algorithm, given: &[u8]) -> Option<PartnersKey> {
    if given.len() > limits::PUBLIC_KEY_FILE_BYTES_MAX {
        return None;
    }
    let key = match Certificate::from_der(given) {
        Ok(certificate) => of_certificate(&certificate),
        Err(_) => match std::str::from_utf8(given) {
            Ok(text) => of_text(text)?,
            Err(_) => bare(given.to_vec()),
        },
    };
    is_of(algorithm, &key.info).then_some(key)
}

const fn bare(info: Vec<u8>) -> PartnersKey {
    PartnersKey {
        info,
        ends: None,
        serial: None,
    }
}

fn of_text(text: &str) -> Option<PartnersKey> {
    let text = text.trim();
    if text.starts_with("-----BEGIN CERTIFICATE-----") {
        // Of a chain the first, which is the leaf.
        const END: &str = "-----END CERTIFICATE-----";
        let end = text.find(END)? + END.len();
        let leaf = Certificate::read_all(text.get(..end)?.as_bytes()).ok()?;
        return leaf.first().map(of_certificate);
    }
    if text.starts_with("-----BEGIN PUBLIC KEY-----") {
        let (label, der) = der::pem::decode_vec(text.as_bytes()).ok()?;
        return (label == "PUBLIC KEY").then(|| bare(der));
    }
    let base64: String = text.split_ascii_whitespace().collect();
    STANDARD.decode(base64).ok().map(bare)
}

fn of_certificate(certificate: &Certificate) -> PartnersKey {
    PartnersKey {
        info: certificate.subject_public_key_info().to_vec(),
        ends: Some(certificate.not_after()),
        serial: Some(Serial {
            hex: certificate.serial_hex(),
            decimal: certificate.serial_decimal(),
        }),
    }
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
        return Err(refused(
            "mode",
            "a partner's public key only verifies or only encrypts",
        ));
    }
    let key = read(spec.algorithm, given).ok_or_else(|| {
        refused(
            "public_key",
            "not a public key or certificate of this algorithm",
        )
    })?;
    if extras.expiry.is_none() && key.has_ended() {
        return Err(refused("public_key", ENDED));
    }
    let _lock = lock(catalogue).await?;
    let birth = next(catalogue, tenant, &spec, &key, extras).await?;
    let maker = Maker {
        catalogue,
        tenant,
        birth,
    };
    let made = maker.keep(&spec, Given::Public(key)).await?;
    commit(catalogue, &maker, made, act).await
}

/// How the next version of a partner's key begins. Under the advisory lock.
pub(in crate::keys) async fn next(
    catalogue: &Catalogue,
    tenant: &KeyName,
    spec: &KeySpec,
    key: &PartnersKey,
    extras: Extras,
) -> Result<Birth, Error> {
    let expiry = extras.expiry.or(key.ends);
    let labels = labelled(extras.labels, spec, key)?;
    let versions = versions(catalogue, tenant, &spec.name).await?;
    let Some(newest) = versions.first() else {
        return Ok(Birth {
            expiry,
            labels,
            ..Birth::default()
        });
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
        header.public_key.as_ref() == Some(&key.info) && header.state != State::Destroyed
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
        expiry,
        labels,
        ..Birth::default()
    })
}

/// What goes beside encrypted fields is the number of the certificate that the key came in, unless a label
/// says otherwise.
fn labelled(labels: Labels, spec: &KeySpec, key: &PartnersKey) -> Result<Labels, Error> {
    let (Some(scheme), Some(serial)) = (spec.policy.encryption, &key.serial) else {
        return Ok(labels);
    };
    let text = match scheme {
        EncryptionScheme::RsaOaepSha1 | EncryptionScheme::Sm2 => &serial.hex,
        EncryptionScheme::RsaPkcs1 => &serial.decimal,
    };
    let name = KeyName::parse(Labels::SERIAL).map_err(|_| too_many())?;
    labels.or(name, text.clone()).map_err(|_| too_many())
}

fn too_many() -> Error {
    Error::Exchange(ExchangeError::Spec {
        field: "labels",
        why: "no room for the label serial",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sm2_info() -> Vec<u8> {
        let private = sm2::PrivateKey::from_bytes(&[7; 32]).unwrap();
        private.public().to_spki()
    }

    #[test]
    fn a_key_is_read_in_every_form_and_under_its_own_algorithm_only() {
        let info = sm2_info();
        let base64 = STANDARD.encode(&info);
        let (head, tail) = base64.split_at(64);
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\r\n{head}\r\n{tail}\r\n-----END PUBLIC KEY-----\r\n"
        );
        let broken = format!("  {head}\r\n\t{tail}\n");
        for given in [
            info.as_slice(),
            base64.as_bytes(),
            pem.as_bytes(),
            broken.as_bytes(),
        ] {
            assert_eq!(read(Algorithm::Sm2, given), Some(bare(info.clone())));
            assert_eq!(read(Algorithm::Rsa2048, given), None);
            assert_eq!(read(Algorithm::Aes256, given), None);
        }
        assert_eq!(
            read(
                Algorithm::Sm2,
                &vec![b'A'; limits::PUBLIC_KEY_FILE_BYTES_MAX + 1]
            ),
            None
        );
    }

    #[test]
    fn what_is_cut_changed_or_longer_is_no_other_key() {
        let info = sm2_info();
        let pem = der::pem::encode_string("PUBLIC KEY", der::pem::LineEnding::LF, &info).unwrap();
        for form in [
            info.clone(),
            STANDARD.encode(&info).into_bytes(),
            pem.into_bytes(),
        ] {
            for length in 0..form.len() {
                let read = read(Algorithm::Sm2, &form[..length]);
                // Without its last line end a PEM file is whole.
                assert!(
                    read.is_none_or(|read| read == bare(info.clone())),
                    "{length}"
                );
            }
            for at in 0..form.len() {
                for bit in 0..8 {
                    let mut changed = form.clone();
                    changed[at] ^= 1 << bit;
                    // Total, and what is read is a key of the curve: `is_of` has looked.
                    let read = read(Algorithm::Sm2, &changed);
                    assert!(read.is_none_or(|read| sm2::PublicKey::from_spki(&read.info).is_ok()));
                }
            }
            let longer = [form.as_slice(), &[0]].concat();
            assert_eq!(read(Algorithm::Sm2, &longer), None);
        }
    }
}
