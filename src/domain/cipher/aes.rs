//! AES (FIPS 197) in software: AES-NI or the ARMv8 instructions where the processor has them, a
//! bitsliced form without secret-indexed tables where it has not.

use core::convert::Infallible;

use ::aes::{Aes128, Aes192, Aes256};
use ::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::ZeroizeOnDrop;

use crate::domain::cipher::{BlockCipher, KeyLength};

/// An AES key of any of the three lengths.
pub struct Aes(Schedule);

impl Aes {
    /// Expands 16, 24 or 32 bytes.
    pub fn new(key: &[u8]) -> Result<Self, KeyLength> {
        let schedule = match key.len() {
            16 => Aes128::new_from_slice(key).map(Schedule::Aes128),
            24 => Aes192::new_from_slice(key).map(Schedule::Aes192),
            _ => Aes256::new_from_slice(key).map(Schedule::Aes256),
        };
        schedule.map(Self).map_err(|_| KeyLength)
    }
}

impl BlockCipher<16> for Aes {
    type Error = Infallible;

    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), Infallible> {
        let blocks = Array::cast_slice_from_core_mut(blocks);
        match &self.0 {
            Schedule::Aes128(aes) => aes.encrypt_blocks(blocks),
            Schedule::Aes192(aes) => aes.encrypt_blocks(blocks),
            Schedule::Aes256(aes) => aes.encrypt_blocks(blocks),
        }
        Ok(())
    }

    fn decrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), Infallible> {
        let blocks = Array::cast_slice_from_core_mut(blocks);
        match &self.0 {
            Schedule::Aes128(aes) => aes.decrypt_blocks(blocks),
            Schedule::Aes192(aes) => aes.decrypt_blocks(blocks),
            Schedule::Aes256(aes) => aes.decrypt_blocks(blocks),
        }
        Ok(())
    }
}

enum Schedule {
    Aes128(Aes128),
    Aes192(Aes192),
    Aes256(Aes256),
}

/// Does not compile unless the crate wipes its schedules.
const _: () = {
    const fn wipes<T: ZeroizeOnDrop>() {}
    wipes::<Aes128>();
    wipes::<Aes192>();
    wipes::<Aes256>();
};
