//! Key check values: what two parties compare to see that they hold the same key (ANSI X9.24-1
//! and X9.143; TDES and SM4 by the zero block, AES by CMAC).
//!
//! A check value is public, but short: it tells a wrong key from the right one, it authenticates
//! nothing. A whole block is never given out. The value is always computed by us, and compared at
//! the length that was received.

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain::cipher::{Aes, BlockAlgorithm, BlockCipher, Des, KeyLength, Sm4, Tdes};
use crate::domain::mac::cmac;
use crate::limits::CHECK_VALUE_BYTES_MIN;

/// How a check value is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Method {
    /// The zero block under TDES; single DES where the key has 8 bytes.
    TdesZero,
    /// CMAC of the zero block under TDES (X9.24-1:2017, annex A): keys in a token that do nothing
    /// but CMAC have no other.
    TdesCmac,
    /// CMAC of the zero block under AES.
    AesCmac,
    /// The zero block under AES: a partner's legacy, never our own choice.
    AesZero,
    /// The zero block under SM4.
    Sm4Zero,
    /// HMAC keys have none.
    HmacNone,
}

impl Method {
    /// The method of a cipher's keys.
    pub const fn of(algorithm: BlockAlgorithm) -> Self {
        match algorithm {
            BlockAlgorithm::Tdes => Self::TdesZero,
            BlockAlgorithm::Aes => Self::AesCmac,
            BlockAlgorithm::Sm4 => Self::Sm4Zero,
        }
    }

    /// Bytes that we show.
    pub const fn length(self) -> usize {
        match self {
            Self::TdesZero | Self::AesZero => 3,
            Self::TdesCmac | Self::AesCmac => 5,
            Self::Sm4Zero => 4,
            Self::HmacNone => 0,
        }
    }

    /// The most bytes that a partner's may have: UnionPay sends 4 of TDES, SM4 goes up to 8.
    pub const fn length_max(self) -> usize {
        match self {
            Self::TdesZero => 4,
            Self::AesZero => 3,
            Self::TdesCmac | Self::AesCmac => 5,
            Self::Sm4Zero => CheckValue::MAX,
            Self::HmacNone => 0,
        }
    }
}

/// A check value and how it was made. Public.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckValue {
    method: Method,
    bytes: [u8; Self::MAX],
    length: usize,
}

impl CheckValue {
    const MAX: usize = 8;

    /// What stands for the check value of an HMAC key.
    pub const NONE: Self = Self {
        method: Method::HmacNone,
        bytes: [0; Self::MAX],
        length: 0,
    };

    /// How it was made.
    pub const fn method(&self) -> Method {
        self.method
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The check value of a key, by its cipher's method and at the length we show.
pub fn compute(algorithm: BlockAlgorithm, key: &[u8]) -> Result<CheckValue, CheckValueError> {
    let method = Method::of(algorithm);
    compute_by(method, key, method.length())
}

/// The check value of a key by a method and at a length that a partner asks for.
pub fn compute_by(
    method: Method,
    key: &[u8],
    length: usize,
) -> Result<CheckValue, CheckValueError> {
    if !(CHECK_VALUE_BYTES_MIN..=method.length_max()).contains(&length) {
        return Err(CheckValueError::Length);
    }
    let block = whole_block(method, key)?;
    let mut value = CheckValue {
        method,
        bytes: [0; CheckValue::MAX],
        length,
    };
    value.bytes[..length].copy_from_slice(&block[..length]);
    Ok(value)
}

/// Compares a received check value with the key's, at the length received (at least 3 bytes).
pub fn verify(method: Method, key: &[u8], received: &[u8]) -> Result<(), CheckValueError> {
    let own = compute_by(method, key, received.len())?;
    if bool::from(own.as_bytes().ct_eq(received)) {
        Ok(())
    } else {
        Err(CheckValueError::Mismatch)
    }
}

/// Why a check value was not made or not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckValueError {
    /// The key is not one of the method's.
    #[error(transparent)]
    Key(#[from] KeyLength),
    /// Shorter than 3 bytes, or longer than the method's longest.
    #[error("the method has no check value of this length")]
    Length,
    /// It is another key's.
    #[error("the check value does not match")]
    Mismatch,
}

/// The block that check values are cut from, left-aligned. It does not leave this file.
fn whole_block(method: Method, key: &[u8]) -> Result<Zeroizing<[u8; 16]>, CheckValueError> {
    let mut whole = Zeroizing::new([0u8; 16]);
    match method {
        Method::TdesZero => {
            let mut block = Zeroizing::new([0u8; 8]);
            let Ok(()) = match key.len() {
                8 => Des::new(key)?.encrypt_block(&mut block),
                _ => Tdes::new(key)?.encrypt_block(&mut block),
            };
            whole[..8].copy_from_slice(&block[..]);
        }
        Method::TdesCmac => {
            let tdes = Tdes::new(key)?;
            let Ok(subkeys) = cmac::Subkeys::derive(&tdes);
            let Ok(tag) = cmac::tag(&tdes, &subkeys, &[0; 8]);
            whole[..8].copy_from_slice(&Zeroizing::new(tag)[..]);
        }
        Method::AesCmac => {
            let aes = Aes::new(key)?;
            let Ok(subkeys) = cmac::Subkeys::derive(&aes);
            let Ok(tag) = cmac::tag(&aes, &subkeys, &[0; 16]);
            *whole = tag;
        }
        Method::AesZero => {
            let Ok(()) = Aes::new(key)?.encrypt_block(&mut whole);
        }
        Method::Sm4Zero => {
            let Ok(()) = Sm4::new(key)?.encrypt_block(&mut whole);
        }
        Method::HmacNone => return Err(CheckValueError::Length),
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::{CheckValue, CheckValueError, Method, compute, compute_by, verify};
    use crate::domain::cipher::{BlockAlgorithm, BlockCipher, KeyLength, Sm4};

    const KEY: [u8; 16] = *b"a key for a test";
    const METHODS: [Method; 5] = [
        Method::TdesZero,
        Method::TdesCmac,
        Method::AesCmac,
        Method::AesZero,
        Method::Sm4Zero,
    ];

    #[test]
    fn each_cipher_shows_as_many_bytes_as_the_design_says() {
        for (algorithm, length) in [
            (BlockAlgorithm::Tdes, 3),
            (BlockAlgorithm::Aes, 5),
            (BlockAlgorithm::Sm4, 4),
        ] {
            assert_eq!(compute(algorithm, &KEY).unwrap().as_bytes().len(), length);
        }
        assert!(CheckValue::NONE.as_bytes().is_empty());
    }

    #[test]
    fn a_check_value_has_3_bytes_or_more_and_is_never_a_whole_block() {
        for method in METHODS {
            for length in 0..=20 {
                let computed = compute_by(method, &KEY, length);
                let allowed = (3..=method.length_max()).contains(&length);
                assert_eq!(computed.is_ok(), allowed, "{method:?} {length}");
            }
        }
        assert!(Method::TdesZero.length_max() < 8);
        assert!(METHODS.iter().all(|method| method.length_max() < 16));
        assert_eq!(
            compute_by(Method::HmacNone, &KEY, 3),
            Err(CheckValueError::Length)
        );
    }

    #[test]
    fn a_check_value_is_compared_at_the_length_received() {
        for method in METHODS {
            let whole = compute_by(method, &KEY, method.length_max()).unwrap();
            for length in 0..=whole.as_bytes().len() {
                let mut received = whole.as_bytes()[..length].to_vec();
                let expected = if length < 3 {
                    Err(CheckValueError::Length)
                } else {
                    Ok(())
                };
                assert_eq!(verify(method, &KEY, &received), expected);
                if let Some(last) = received.last_mut().filter(|_| length >= 3) {
                    *last ^= 1;
                    assert_eq!(
                        verify(method, &KEY, &received),
                        Err(CheckValueError::Mismatch)
                    );
                }
            }
        }
    }

    #[test]
    fn a_zero_block_check_value_begins_the_encrypted_zero_block() {
        let mut block = [0; 16];
        let Ok(()) = Sm4::new(&KEY).unwrap().encrypt_block(&mut block);
        for length in 3..=8 {
            let value = compute_by(Method::Sm4Zero, &KEY, length).unwrap();
            assert_eq!(value.as_bytes(), &block[..length]);
        }
    }

    #[test]
    fn a_key_of_another_length_has_no_check_value() {
        for method in METHODS {
            assert_eq!(
                compute_by(method, &KEY[..15], 3),
                Err(CheckValueError::Key(KeyLength))
            );
        }
        assert!(
            compute_by(Method::TdesZero, &KEY[..8], 3).is_ok(),
            "single DES"
        );
    }
}
