//! DES and triple DES (SP 800-67) in software.
//!
//! Parity bits are ignored, as every device of the trade ignores them. Weak and repeated keys are
//! not looked for here. Single DES is a part of the retail MAC and of old check values only.

use core::convert::Infallible;

use ::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::domain::cipher::{BlockCipher, KeyLength};

/// A single-length DES key. Weak by itself.
pub struct Des(::des::Des);

impl Des {
    /// Expands 8 bytes, parity ignored.
    pub fn new(key: &[u8]) -> Result<Self, KeyLength> {
        ::des::Des::new_from_slice(key)
            .map(Self)
            .map_err(|_| KeyLength)
    }
}

impl BlockCipher<8> for Des {
    type Error = Infallible;

    fn encrypt_blocks(&self, blocks: &mut [[u8; 8]]) -> Result<(), Infallible> {
        self.0
            .encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
        Ok(())
    }

    fn decrypt_blocks(&self, blocks: &mut [[u8; 8]]) -> Result<(), Infallible> {
        self.0
            .decrypt_blocks(Array::cast_slice_from_core_mut(blocks));
        Ok(())
    }
}

/// A double- or triple-length TDES key.
pub struct Tdes(::des::TdesEde3);

impl Tdes {
    /// Expands 16 bytes (K1‖K2, used as K1‖K2‖K1) or 24 (K1‖K2‖K3), parity ignored.
    pub fn new(key: &[u8]) -> Result<Self, KeyLength> {
        let mut three = Zeroizing::new([0u8; 24]);
        match key.len() {
            16 => {
                three[..16].copy_from_slice(key);
                three[16..].copy_from_slice(&key[..8]);
            }
            24 => three.copy_from_slice(key),
            _ => return Err(KeyLength),
        }
        ::des::TdesEde3::new_from_slice(&three[..])
            .map(Self)
            .map_err(|_| KeyLength)
    }
}

impl BlockCipher<8> for Tdes {
    type Error = Infallible;

    fn encrypt_blocks(&self, blocks: &mut [[u8; 8]]) -> Result<(), Infallible> {
        self.0
            .encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
        Ok(())
    }

    fn decrypt_blocks(&self, blocks: &mut [[u8; 8]]) -> Result<(), Infallible> {
        self.0
            .decrypt_blocks(Array::cast_slice_from_core_mut(blocks));
        Ok(())
    }
}

/// Does not compile unless the crate wipes its schedules.
const _: () = {
    const fn wipes<T: ZeroizeOnDrop>() {}
    wipes::<::des::Des>();
    wipes::<::des::TdesEde3>();
};
