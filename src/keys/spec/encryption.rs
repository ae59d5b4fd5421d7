//! Which keys encrypt and decrypt sensitive fields, and how: partners' public keys (D1), and of the
//! merchant's own pairs those that both sign and decrypt (S0, mode T).

use crate::domain::alipay::SignType;
use crate::domain::sensitive_field::EncryptionScheme;
use crate::keys::attributes::{Mode, Residence, Usage};
use crate::keys::spec::{Faults, KeySpec};

const SCHEME: &str = "encryption.scheme";

pub(super) fn check(spec: &KeySpec, faults: &mut Faults) {
    let scheme = spec.policy.encryption;
    match (spec.usage, spec.mode, scheme) {
        (Usage::DataEncryptionAsymmetric, _, None) => faults.add(
            "encryption",
            "keys for the encryption of fields name their scheme",
        ),
        (Usage::DataEncryptionAsymmetric, _, Some(scheme)) => check_algorithm(spec, scheme, faults),
        (Usage::Signature, Mode::SignAndDecrypt, Some(scheme)) => check_own(spec, scheme, faults),
        (_, _, Some(_)) => faults.add(
            "encryption",
            "only partners' keys that encrypt (D1), and keys that both sign and decrypt (S0, mode T)",
        ),
        (_, _, None) => {}
    }
}

fn check_algorithm(spec: &KeySpec, scheme: EncryptionScheme, faults: &mut Faults) {
    let rsa = spec.algorithm.rsa_bits().is_some();
    if rsa == (scheme == EncryptionScheme::Sm2) {
        faults.add(SCHEME, "not a scheme of the key's algorithm");
    }
}

fn check_own(spec: &KeySpec, scheme: EncryptionScheme, faults: &mut Faults) {
    check_algorithm(spec, scheme, faults);
    if scheme == EncryptionScheme::RsaPkcs1 {
        faults.add(
            SCHEME,
            "nothing is decrypted under RSA_PKCS1: whoever learns that it failed can decrypt it",
        );
    }
    if spec.algorithm.rsa_bits().is_none() {
        return;
    }
    // The token lets the object do these two and nothing else, raw RSA above all.
    if spec.policy.signature != Some(SignType::Rsa2) {
        faults.add(
            "signature.scheme",
            "a key that decrypts signs by RSA2, which is what WeChat Pay has",
        );
    }
    if spec.residence != Residence::Token {
        faults.add(
            "residence",
            "keys that decrypt stay in the TOKEN: what is unwrapped under `wrap` only signs",
        );
    }
}
