//! SM4 (GB/T 32907) in software. Uncertified: a system that must run it in a certified module
//! cannot use this one.

use core::convert::Infallible;

use ::cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use zeroize::ZeroizeOnDrop;

use crate::domain::cipher::{BlockCipher, KeyLength};

/// An SM4 key.
pub struct Sm4(::sm4::Sm4);

impl Sm4 {
    /// Expands 16 bytes.
    pub fn new(key: &[u8]) -> Result<Self, KeyLength> {
        ::sm4::Sm4::new_from_slice(key)
            .map(Self)
            .map_err(|_| KeyLength)
    }
}

impl BlockCipher<16> for Sm4 {
    type Error = Infallible;

    fn encrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), Infallible> {
        self.0
            .encrypt_blocks(Array::cast_slice_from_core_mut(blocks));
        Ok(())
    }

    fn decrypt_blocks(&self, blocks: &mut [[u8; 16]]) -> Result<(), Infallible> {
        self.0
            .decrypt_blocks(Array::cast_slice_from_core_mut(blocks));
        Ok(())
    }
}

/// Does not compile unless the crate wipes its schedule.
const _: () = {
    const fn wipes<T: ZeroizeOnDrop>() {}
    wipes::<::sm4::Sm4>();
};
