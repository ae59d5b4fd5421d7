//! RSA public keys and RSASSA-PKCS1-v1_5 verification (RFC 8017 §8.2), by aws-lc-rs. Private keys
//! stay in the token, so nothing here signs; the one look into a private key ([`pkcs8_public`])
//! reads its public half, to check an import. No PSS, no encryption.

use crate::limits::{RSA_MODULUS_BITS_MAX, RSA_MODULUS_BITS_MIN, RSA_WEAK_MODULUS_BITS_MIN};
use aws_lc_rs::signature::{
    RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
    RSA_PKCS1_2048_8192_SHA384, RSA_PKCS1_2048_8192_SHA512, RsaPublicKeyComponents,
};
use der::asn1::{BitStringRef, UintRef};
use der::{Decode, Encode};
use pkcs8::PrivateKeyInfoRef;
use spki::{SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};

/// A public key: n of 1024 to 8192 bits, n and e odd, e at least 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    n: Vec<u8>,
    e: Vec<u8>,
}

/// The hash under a PKCS #1 v1.5 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-1: Alipay's `RSA`. Weak.
    Sha1,
    /// SHA-256: Alipay's `RSA2`.
    Sha256,
    /// SHA-384: in certificates only.
    Sha384,
    /// SHA-512: in certificates only.
    Sha512,
}

/// Why bytes are not a key; all of it is the key giver's fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not DER of the form asked for.
    #[error("not the DER form of a key")]
    Encoding,
    /// A key, but not rsaEncryption with NULL parameters.
    #[error("not an RSA key (rsaEncryption)")]
    Algorithm,
    /// The modulus is not of 1024 to 8192 bits.
    #[error("the RSA modulus is not of {RSA_WEAK_MODULUS_BITS_MIN} to {RSA_MODULUS_BITS_MAX} bits")]
    ModulusLength,
    /// n or e is even, e is 1, or e has more than 33 bits.
    #[error("the RSA modulus or exponent is not one that a key can have")]
    Number,
}

/// The signature is not this key's over this message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the RSA signature does not match")]
pub struct Mismatch;

impl PublicKey {
    /// n and e, big-endian; leading zeros are dropped.
    pub fn new(n: &[u8], e: &[u8]) -> Result<Self, KeyError> {
        let key = Self {
            n: significant(n).to_vec(),
            e: significant(e).to_vec(),
        };
        if !(RSA_WEAK_MODULUS_BITS_MIN..=RSA_MODULUS_BITS_MAX).contains(&key.modulus_bits()) {
            return Err(KeyError::ModulusLength);
        }
        let odd = |number: &[u8]| number.last().is_some_and(|byte| byte & 1 == 1);
        if !odd(&key.n) || !odd(&key.e) || key.e == [1] || bits(&key.e) > EXPONENT_BITS_MAX {
            return Err(KeyError::Number);
        }
        Ok(key)
    }

    /// X.509 SubjectPublicKeyInfo, DER.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Encoding)?;
        if info.algorithm != pkcs1::ALGORITHM_ID {
            return Err(KeyError::Algorithm);
        }
        let inner = info
            .subject_public_key
            .as_bytes()
            .ok_or(KeyError::Encoding)?;
        let key =
            pkcs1::RsaPublicKey::<UintRef<'_>>::from_der(inner).map_err(|_| KeyError::Encoding)?;
        Self::new(key.modulus.as_bytes(), key.public_exponent.as_bytes())
    }

    /// X.509 SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn to_spki(&self) -> Vec<u8> {
        let encode = || {
            let key = pkcs1::RsaPublicKey {
                modulus: UintRef::new(&self.n)?,
                public_exponent: UintRef::new(&self.e)?,
            };
            let inner = key.to_der()?;
            SubjectPublicKeyInfo {
                algorithm: pkcs1::ALGORITHM_ID,
                subject_public_key: BitStringRef::from_bytes(&inner)?,
            }
            .to_der()
        };
        #[expect(
            clippy::expect_used,
            reason = "two bounded integers always have a DER form"
        )]
        encode().expect("two INTEGERs in a BIT STRING")
    }

    /// n, big-endian, without leading zeros.
    #[must_use]
    pub fn n(&self) -> &[u8] {
        &self.n
    }

    /// e, big-endian, without leading zeros.
    #[must_use]
    pub fn e(&self) -> &[u8] {
        &self.e
    }

    /// Length of n in bits.
    #[must_use]
    pub fn modulus_bits(&self) -> usize {
        bits(&self.n)
    }

    /// Length of n, and so of every signature, in bytes.
    #[must_use]
    pub fn modulus_bytes(&self) -> usize {
        self.n.len()
    }
}

impl Hash {
    /// Shortest modulus that [`verify`] accepts with this hash, bits.
    #[must_use]
    pub fn modulus_bits_min(self) -> usize {
        match self {
            Self::Sha1 => RSA_WEAK_MODULUS_BITS_MIN,
            Self::Sha256 | Self::Sha384 | Self::Sha512 => RSA_MODULUS_BITS_MIN,
        }
    }
}

/// Verifies a signature over a message. A modulus too short for the hash never matches.
pub fn verify(
    key: &PublicKey,
    hash: Hash,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Mismatch> {
    if key.modulus_bits() < hash.modulus_bits_min() {
        return Err(Mismatch);
    }
    verify_with_weak_modulus(key, hash, message, signature)
}

/// As [`verify`], but with any modulus from 1024 bits: for published known answers.
pub fn verify_with_weak_modulus(
    key: &PublicKey,
    hash: Hash,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Mismatch> {
    let parameters = match hash {
        Hash::Sha1 => &RSA_PKCS1_1024_8192_SHA1_FOR_LEGACY_USE_ONLY,
        Hash::Sha256 => &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
        Hash::Sha384 => &RSA_PKCS1_2048_8192_SHA384,
        Hash::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
    };
    RsaPublicKeyComponents {
        n: &key.n,
        e: &key.e,
    }
    .verify(parameters, message, signature)
    .map_err(|_| Mismatch)
}

/// The public half of an unencrypted PKCS #8 RSA private key, DER. The private numbers are looked
/// at in place and not kept; that they belong to n is not checked: the token that takes the key
/// signs once, and that signature is verified with this.
pub fn pkcs8_public(der: &[u8]) -> Result<PublicKey, KeyError> {
    let info = PrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::Encoding)?;
    if info.algorithm != pkcs1::ALGORITHM_ID {
        return Err(KeyError::Algorithm);
    }
    let key = pkcs1::RsaPrivateKey::<UintRef<'_>>::from_der(info.private_key.as_bytes())
        .map_err(|_| KeyError::Encoding)?;
    if key.other_prime_infos.is_some() {
        return Err(KeyError::Number);
    }
    PublicKey::new(key.modulus.as_bytes(), key.public_exponent.as_bytes())
}

fn significant(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn bits(number: &[u8]) -> usize {
    let leading = number
        .first()
        .map_or(0, |byte| byte.leading_zeros() as usize);
    number.len() * 8 - leading
}

/// What aws-lc-rs verifies with; real keys have 65537.
const EXPONENT_BITS_MAX: usize = 33;

#[cfg(test)]
mod tests;
