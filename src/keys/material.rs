//! Key values between the token and a cipher: what a fresh or given value must be (SP 800-67 3.3.2,
//! ISO 9564-2), its check value, and the schedule it becomes in locked memory.
//!
//! TDES parity is set silently, never reported: an error about parity would be an oracle. Keys that
//! halve TDES (K1 = K2 and so on) and DES's weak and semi-weak keys are refused.

use subtle::{Choice, ConstantTimeEq};

use crate::domain::cipher::{KeyLength, PinCipher, Tdes};
use crate::domain::key_block::{BlockKeys, KbpkAlgorithm, ProtectionKeys, Version};
use crate::domain::mac::MacKey;
use crate::domain::{check_value, sm2};
use crate::hsm::{Token, Wrapped};
use crate::keys::attributes::{Algorithm, Usage};
use crate::keys::dukpt::{Base, Transaction};
use crate::keys::record::{Header, KeyCheckValue};
use crate::keys::resident::Resident;
use crate::secret::{Locked, Secret};

use std::sync::Arc;

/// What an open key is made of.
pub(in crate::keys) enum Material {
    /// A schedule for PIN blocks.
    Pin(Arc<Locked<PinCipher>>),
    /// A schedule for data, or for keys that come in.
    Cipher(Arc<Locked<PinCipher>>),
    /// The keys of a key-block protection key.
    Protection(Protection),
    /// What derives the keys of transactions.
    Base(Box<Base>),
    /// What the working keys of one transaction derive from.
    Transaction(Box<Transaction>),
    /// A schedule for PIN verification.
    PinVerification(Arc<Locked<Tdes>>),
    /// A schedule for MACs.
    Mac(Arc<Locked<MacKey>>),
    /// A scalar for SM2 signatures.
    Sm2(Arc<Locked<sm2::PrivateKey>>),
    /// The object in its token that holds the key.
    Token(Resident),
    /// What its token unwraps to sign with.
    Wrapped(Token, Wrapped),
    /// Nothing: in its present state the key is not for use, or it is a partner's public key.
    Shut,
}

/// Why a value does not become material.
pub(in crate::keys) enum MaterialError {
    /// It is no key of the header's algorithm and usage.
    Mismatch,
    /// No locked memory is left.
    SlabFull,
}

impl Material {
    /// Expands a value into locked memory.
    pub(in crate::keys) fn open(header: &Header, value: &[u8]) -> Result<Self, MaterialError> {
        let mismatch = MaterialError::Mismatch;
        if header.algorithm.key_bytes().unwrap_or(SM2_BYTES) != value.len() {
            return Err(mismatch);
        }
        let cipher = |algorithm: Algorithm| {
            let algorithm = algorithm.block_algorithm().ok_or(MaterialError::Mismatch)?;
            let cipher = PinCipher::new(algorithm, value).map_err(|_| MaterialError::Mismatch)?;
            lock(cipher)
        };
        match (header.usage, header.algorithm) {
            (Usage::PinEncryption, Algorithm::Des) => {
                let cipher = PinCipher::weak_single_des(value);
                lock(cipher.map_err(|_| MaterialError::Mismatch)?).map(Self::Pin)
            }
            (Usage::PinEncryption, algorithm) => cipher(algorithm).map(Self::Pin),
            (Usage::DataEncryption | Usage::KeyEncryption, algorithm) => {
                cipher(algorithm).map(Self::Cipher)
            }
            (Usage::BaseDerivation, algorithm) => {
                Base::of_value(algorithm, value).map(|base| Self::Base(Box::new(base)))
            }
            (Usage::PinVerificationIbm3624 | Usage::PinVerificationVisaPvv, _) => {
                let key = Tdes::new(value).map_err(|_| MaterialError::Mismatch)?;
                lock(key).map(Self::PinVerification)
            }
            (Usage::KeyBlockProtection, _) => Protection::of_value(header, value),
            (Usage::KeyTransport | Usage::DataEncryptionAsymmetric, _) => Err(mismatch),
            (Usage::Signature, Algorithm::Sm2) => {
                let scalar = Secret::init_with_mut(|scalar: &mut [u8; SM2_BYTES]| {
                    scalar.copy_from_slice(value);
                });
                let key = sm2::PrivateKey::from_bytes(scalar.expose_secret())
                    .map_err(|_| MaterialError::Mismatch)?;
                lock(key).map(Self::Sm2)
            }
            (Usage::Signature, _) => Err(mismatch),
            (
                Usage::MacIso16609
                | Usage::MacAlgorithm1
                | Usage::MacAlgorithm3
                | Usage::MacCmac
                | Usage::MacHmac,
                _,
            ) => {
                let scheme = header.policy.mac.ok_or(mismatch)?.scheme;
                let key = MacKey::new(scheme, value).map_err(|_| MaterialError::Mismatch)?;
                lock(key).map(Self::Mac)
            }
        }
    }
}

/// What opens and makes key blocks: the pair of keys of the protection key's own version, and, where
/// its policy has a day for them, those of the versions before.
pub(in crate::keys) struct Protection {
    pub(in crate::keys) own: Arc<Locked<ProtectionKeys>>,
    pub(in crate::keys) legacy: Vec<Arc<Locked<ProtectionKeys>>>,
}

impl Protection {
    /// From the value of the protection key.
    fn of_value(header: &Header, value: &[u8]) -> Result<Material, MaterialError> {
        let keys = |version| {
            let keys = ProtectionKeys::from_kbpk(version, value);
            lock(keys.map_err(|_| MaterialError::Mismatch)?)
        };
        let own = kbpk(header.algorithm).ok_or(MaterialError::Mismatch)?;
        let legacy: &[Version] = match header.policy.legacy_blocks_until {
            Some(_) => &[Version::A, Version::C],
            None => &[],
        };
        Ok(Material::Protection(Self {
            own: keys(own.version())?,
            legacy: legacy
                .iter()
                .map(|version| keys(*version))
                .collect::<Result<_, _>>()?,
        }))
    }

    /// From the CMACs that a protection key in the token made of [`derivation_inputs`].
    pub(in crate::keys) fn of_cmacs(
        algorithm: Algorithm,
        cmacs: &[Secret<Vec<u8>>],
    ) -> Result<Material, MaterialError> {
        let mut cmacs = cmacs.iter();
        let derived = ProtectionKeys::derive(
            kbpk(algorithm).ok_or(MaterialError::Mismatch)?,
            |_, output| -> Result<(), KeyLength> {
                let cmac = cmacs.next().ok_or(KeyLength)?.expose_secret();
                if cmac.len() != output.len() {
                    return Err(KeyLength);
                }
                output.copy_from_slice(cmac);
                Ok(())
            },
        );
        Ok(Material::Protection(Self {
            own: lock(derived.map_err(|KeyLength| MaterialError::Mismatch)?)?,
            legacy: Vec::new(),
        }))
    }
}

/// What a protection key must CMAC so that its blocks can be opened and made.
pub(in crate::keys) fn derivation_inputs(algorithm: Algorithm) -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    if let Some(kbpk) = kbpk(algorithm) {
        let noted = BlockKeys::derive(kbpk, |input, _| {
            inputs.push(input.to_vec());
            Ok::<(), std::convert::Infallible>(())
        });
        drop(noted);
    }
    inputs
}

const fn kbpk(algorithm: Algorithm) -> Option<KbpkAlgorithm> {
    match algorithm {
        Algorithm::Tdes2 => Some(KbpkAlgorithm::Tdes2),
        Algorithm::Tdes3 => Some(KbpkAlgorithm::Tdes3),
        Algorithm::Aes128 => Some(KbpkAlgorithm::Aes128),
        Algorithm::Aes192 => Some(KbpkAlgorithm::Aes192),
        Algorithm::Aes256 => Some(KbpkAlgorithm::Aes256),
        Algorithm::Sm4
        | Algorithm::Des
        | Algorithm::HmacSha1
        | Algorithm::HmacSha224
        | Algorithm::HmacSha256
        | Algorithm::HmacSha384
        | Algorithm::HmacSha512
        | Algorithm::HmacSm3
        | Algorithm::Rsa2048
        | Algorithm::Rsa3072
        | Algorithm::Rsa4096
        | Algorithm::Sm2 => None,
    }
}

fn lock<T: Send + Sync>(value: T) -> Result<Arc<Locked<T>>, MaterialError> {
    Locked::new(value)
        .map(Arc::new)
        .map_err(|_| MaterialError::SlabFull)
}

/// Bytes of an SM2 scalar.
pub(in crate::keys) const SM2_BYTES: usize = 32;

/// Why a symmetric value may not be a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::keys) enum ValueFault {
    /// Not as long as its algorithm's keys.
    Length,
    /// Two of its DES keys are the same.
    Repeated,
    /// One of its DES keys is weak or semi-weak.
    Weak,
}

impl ValueFault {
    pub(in crate::keys) const fn why(self) -> &'static str {
        match self {
            Self::Length => "not as long as a key of its algorithm",
            Self::Repeated => "two of its DES keys are the same, so it is no TDES key",
            Self::Weak => "one of its DES keys is weak or semi-weak",
        }
    }
}

/// Makes a symmetric value fit to be a key: sets the parity of TDES, and refuses what is not one.
pub(in crate::keys) fn admit(algorithm: Algorithm, value: &mut [u8]) -> Result<(), ValueFault> {
    if algorithm.key_bytes() != Some(value.len()) {
        return Err(ValueFault::Length);
    }
    if !algorithm.is_made_of_des_keys() {
        return Ok(());
    }
    for byte in value.iter_mut() {
        *byte = with_odd_parity(*byte);
    }
    let (keys, _) = value.as_chunks::<8>();
    let pairs = keys
        .iter()
        .enumerate()
        .flat_map(|(at, one)| keys[at + 1..].iter().map(move |other| one.ct_eq(other)));
    if any(pairs) {
        return Err(ValueFault::Repeated);
    }
    let weak = keys
        .iter()
        .flat_map(|key| WEAK.iter().map(|weak| key.ct_eq(weak)));
    if any(weak) {
        Err(ValueFault::Weak)
    } else {
        Ok(())
    }
}

/// The check value of a value that was admitted; none for HMAC keys.
pub(in crate::keys) fn check_value(algorithm: Algorithm, value: &[u8]) -> Option<KeyCheckValue> {
    let computed = check_value::compute(algorithm.block_algorithm()?, value).ok()?;
    Some(KeyCheckValue::from(&computed))
}

const fn with_odd_parity(byte: u8) -> u8 {
    let high = byte & 0xFE;
    if high.count_ones().is_multiple_of(2) {
        high | 1
    } else {
        high
    }
}

fn any(choices: impl Iterator<Item = Choice>) -> bool {
    choices.fold(Choice::from(0), |any, one| any | one).into()
}

/// DES's weak and semi-weak keys with odd parity (SP 800-67 rev. 2, 3.3.2).
const WEAK: [[u8; 8]; 16] = [
    0x0101010101010101_u64.to_be_bytes(),
    0xFEFEFEFEFEFEFEFE_u64.to_be_bytes(),
    0xE0E0E0E0F1F1F1F1_u64.to_be_bytes(),
    0x1F1F1F1F0E0E0E0E_u64.to_be_bytes(),
    0x011F011F010E010E_u64.to_be_bytes(),
    0x1F011F010E010E01_u64.to_be_bytes(),
    0x01E001E001F101F1_u64.to_be_bytes(),
    0xE001E001F101F101_u64.to_be_bytes(),
    0x01FE01FE01FE01FE_u64.to_be_bytes(),
    0xFE01FE01FE01FE01_u64.to_be_bytes(),
    0x1FE01FE00EF10EF1_u64.to_be_bytes(),
    0xE01FE01FF10EF10E_u64.to_be_bytes(),
    0x1FFE1FFE0EFE0EFE_u64.to_be_bytes(),
    0xFE1FFE1FFE0EFE0E_u64.to_be_bytes(),
    0xE0FEE0FEF1FEF1FE_u64.to_be_bytes(),
    0xFEE0FEE0FEF1FEF1_u64.to_be_bytes(),
];

#[cfg(test)]
mod tests {
    use super::*;

    const K1: [u8; 8] = 0x0123456789ABCDEF_u64.to_be_bytes();
    const K2: [u8; 8] = 0xFEDCBA9876543210_u64.to_be_bytes();

    fn admitted(algorithm: Algorithm, parts: &[[u8; 8]]) -> Result<Vec<u8>, ValueFault> {
        let mut value = parts.concat();
        admit(algorithm, &mut value).map(|()| value)
    }

    #[test]
    fn parity_is_set_and_never_an_error() {
        let even = [[0x00, 0x22, 0x44, 0x66, 0x88, 0xAA, 0xCC, 0xEE], K2];
        let value = admitted(Algorithm::Tdes2, &even).unwrap();
        assert!(value.iter().all(|byte| byte.count_ones() % 2 == 1));
        assert_eq!(value[..8], [0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]);
        assert_eq!(
            admitted(Algorithm::Aes128, &even),
            Ok(even.concat()),
            "AES has no parity"
        );
    }

    #[test]
    fn tdes_keys_that_repeat_a_des_key_are_refused_whatever_their_parity() {
        let mut flipped = K1;
        flipped[0] ^= 1;
        let third = [0x13; 8];
        for parts in [&[K1, K1][..], &[K1, flipped]] {
            assert_eq!(admitted(Algorithm::Tdes2, parts), Err(ValueFault::Repeated));
        }
        for parts in [[K1, K1, third], [third, K1, K1], [K1, third, K1]] {
            assert_eq!(
                admitted(Algorithm::Tdes3, &parts),
                Err(ValueFault::Repeated)
            );
        }
        assert!(admitted(Algorithm::Tdes3, &[K1, K2, third]).is_ok());
    }

    #[test]
    fn every_weak_and_semi_weak_des_key_is_refused_in_every_place() {
        for weak in WEAK {
            assert!(
                weak.iter().all(|byte| byte.count_ones() % 2 == 1),
                "parity of {weak:02X?}"
            );
            assert_eq!(
                admitted(Algorithm::Tdes2, &[weak, K2]),
                Err(ValueFault::Weak)
            );
            assert_eq!(
                admitted(Algorithm::Tdes2, &[K1, weak]),
                Err(ValueFault::Weak)
            );
        }
        let distinct: std::collections::HashSet<_> = WEAK.into_iter().collect();
        assert_eq!(distinct.len(), WEAK.len());
    }

    #[test]
    fn values_of_another_length_are_refused() {
        assert_eq!(admitted(Algorithm::Tdes2, &[K1]), Err(ValueFault::Length));
        assert_eq!(
            admitted(Algorithm::Sm4, &[K1, K2, K1]),
            Err(ValueFault::Length)
        );
        assert_eq!(
            admitted(Algorithm::Sm2, &[K1, K2, K1, K2]),
            Err(ValueFault::Length)
        );
    }
}
