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

#[cfg(test)]
mod tests {
    use crate::keys::attributes::Residence;
    use crate::keys::words::{KeyWords, PolicyWords};

    /// Usage, mode, algorithm; signature and encryption scheme; the residence asked for; whether weak is
    /// written; the field at fault.
    type Case = (
        [&'static str; 3],
        [&'static str; 2],
        Option<Residence>,
        bool,
        &'static str,
    );

    const WRAPPED: Option<Residence> = Some(Residence::TokenWrapped);

    #[rustfmt::skip]
    const KEYS: &[Case] = &[
        (["D1", "E", "RSA-2048"], ["", "RSA_OAEP_SHA1"], None, false, ""),
        (["D1", "E", "RSA-4096"], ["", "RSA_PKCS1"], None, true, ""),
        (["D1", "E", "SM2"], ["", "SM2"], None, false, ""),
        (["S0", "T", "RSA-3072"], ["RSA2", "RSA_OAEP_SHA1"], None, false, ""),
        (["S0", "T", "SM2"], ["SM2", "SM2"], None, false, ""),
        (["S0", "T", "SM2"], ["SM2", "SM2"], Some(Residence::Token), false, "residence"),
        // Without a scheme it signs, as before.
        (["S0", "T", "RSA-2048"], ["RSA", ""], WRAPPED, true, ""),
        (["D1", "E", "RSA-2048"], ["", ""], None, false, "encryption"),
        (["D1", "E", "RSA-2048"], ["", "RSA_PKCS1"], None, false, "weak"),
        (["D1", "E", "RSA-2048"], ["", "RSA_OAEP_SHA1"], None, true, "weak"),
        (["D1", "E", "RSA-2048"], ["", "SM2"], None, false, "encryption.scheme"),
        (["D1", "E", "SM2"], ["", "RSA_OAEP_SHA1"], None, false, "encryption.scheme"),
        (["D1", "E", "RSA-2048"], ["", "RSA_OAEP_SHA256"], None, false, "encryption.scheme"),
        (["D1", "E", "RSA-2048"], ["RSA2", "RSA_OAEP_SHA1"], None, false, "signature"),
        (["D1", "E", "RSA-2048"], ["", "RSA_OAEP_SHA1"], Some(Residence::Token), false, "residence"),
        (["D1", "D", "RSA-2048"], ["", "RSA_OAEP_SHA1"], None, false, "mode"),
        (["D1", "E", "AES-128"], ["", "RSA_OAEP_SHA1"], None, false, "algorithm"),
        (["S0", "S", "RSA-2048"], ["RSA2", "RSA_OAEP_SHA1"], None, false, "encryption"),
        (["S0", "V", "RSA-2048"], ["RSA2", "RSA_OAEP_SHA1"], None, false, "encryption"),
        (["S0", "T", "RSA-2048"], ["RSA2", "RSA_PKCS1"], None, true, "encryption.scheme"),
        (["S0", "T", "RSA-2048"], ["RSA", "RSA_OAEP_SHA1"], None, true, "signature.scheme"),
        (["S0", "T", "RSA-2048"], ["RSA2", "RSA_OAEP_SHA1"], WRAPPED, false, "residence"),
        (["S0", "T", "RSA-2048"], ["RSA2", "SM2"], None, false, "encryption.scheme"),
        (["K3", "D", "RSA-2048"], ["", "RSA_OAEP_SHA1"], None, false, "encryption"),
    ];

    #[test]
    fn a_key_encrypts_or_decrypts_fields_by_a_scheme_of_its_own_or_not_at_all() {
        for ([usage, mode, algorithm], [signature, encryption], residence, weak, field) in KEYS {
            let words = KeyWords {
                name: "fields".to_owned(),
                usage: (*usage).to_owned(),
                mode: (*mode).to_owned(),
                algorithm: (*algorithm).to_owned(),
                residence: *residence,
                policy: PolicyWords {
                    signature_scheme: (*signature).to_owned(),
                    encryption_scheme: (*encryption).to_owned(),
                    weak: *weak,
                    ..PolicyWords::default()
                },
                ..KeyWords::default()
            };
            match words.spec() {
                Err(fault) => assert_eq!(fault.field, *field, "{words:?}"),
                Ok(spec) => {
                    assert_eq!("", *field, "{words:?}");
                    let again = KeyWords {
                        policy: spec.policy.words(),
                        ..words
                    };
                    assert_eq!(again.spec().unwrap(), spec);
                }
            }
        }
    }
}
