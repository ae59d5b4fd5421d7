//! Block ciphers: the port through which every algorithm here reaches a key, and the software
//! behind it (FIPS 197, SP 800-67, GB/T 32907).
//!
//! The port works on slices of blocks, so that a token call, an AES-NI pipeline or a bitsliced DES
//! all fit, and is generic over its error: software cannot fail and says so by `Infallible`. Key
//! schedules are plain values without heap, wiped on drop. Modes of operation are not here.

use zeroize::Zeroizing;

mod aes;
mod des;
mod sm4;

pub use self::aes::Aes;
pub use self::des::{Des, Tdes};
pub use self::sm4::Sm4;

/// A keyed block cipher with blocks of `N` bytes.
pub trait BlockCipher<const N: usize> {
    /// What can go wrong besides the data: nothing in software, the session in a token.
    type Error;

    /// Encrypts every block in place, each on its own.
    fn encrypt_blocks(&self, blocks: &mut [[u8; N]]) -> Result<(), Self::Error>;

    /// Decrypts every block in place, each on its own.
    fn decrypt_blocks(&self, blocks: &mut [[u8; N]]) -> Result<(), Self::Error>;

    /// Encrypts one block in place.
    fn encrypt_block(&self, block: &mut [u8; N]) -> Result<(), Self::Error> {
        self.encrypt_blocks(core::slice::from_mut(block))
    }

    /// Decrypts one block in place.
    fn decrypt_block(&self, block: &mut [u8; N]) -> Result<(), Self::Error> {
        self.decrypt_blocks(core::slice::from_mut(block))
    }
}

/// The block ciphers of PIN keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BlockAlgorithm {
    /// Triple DES with two or three keys (SP 800-67).
    Tdes,
    /// AES-128, AES-192 or AES-256 (FIPS 197).
    Aes,
    /// SM4 (GB/T 32907).
    Sm4,
}

impl BlockAlgorithm {
    /// Bytes in a block.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::Tdes => 8,
            Self::Aes | Self::Sm4 => 16,
        }
    }
}

/// A key that enciphers PIN blocks. Not boxed: the locked slab holds the whole value.
pub enum PinCipher {
    /// For formats 0, 1 and 3.
    Tdes(Tdes),
    /// For format 4.
    Aes(Aes),
    /// For the layout of format 4 under SM4.
    Sm4(Sm4),
}

impl PinCipher {
    /// Expands a key: 16 or 24 bytes for TDES, 16, 24 or 32 for AES, 16 for SM4.
    pub fn new(algorithm: BlockAlgorithm, key: &[u8]) -> Result<Self, KeyLength> {
        match algorithm {
            BlockAlgorithm::Tdes => Tdes::new(key).map(Self::Tdes),
            BlockAlgorithm::Aes => Aes::new(key).map(Self::Aes),
            BlockAlgorithm::Sm4 => Sm4::new(key).map(Self::Sm4),
        }
    }

    /// Expands a single-length DES key, 8 bytes, as the TDES key that is the same: what a terminal of
    /// UnionPay's layout 001 has. Weak.
    pub fn weak_single_des(key: &[u8]) -> Result<Self, KeyLength> {
        let mut three = Zeroizing::new([0u8; 24]);
        for part in three.as_chunks_mut::<8>().0 {
            *part = key.try_into().map_err(|_| KeyLength)?;
        }
        Tdes::new(&three[..]).map(Self::Tdes)
    }

    /// The cipher this key is for.
    pub const fn algorithm(&self) -> BlockAlgorithm {
        match self {
            Self::Tdes(_) => BlockAlgorithm::Tdes,
            Self::Aes(_) => BlockAlgorithm::Aes,
            Self::Sm4(_) => BlockAlgorithm::Sm4,
        }
    }
}

/// The key has a length that its algorithm does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key's length is not one of its algorithm's")]
pub struct KeyLength;

#[cfg(test)]
mod tests {
    use super::{Aes, BlockAlgorithm, BlockCipher, Des, PinCipher, Sm4, Tdes};

    fn key(length: u8) -> Vec<u8> {
        (0..length)
            .map(|i| i.wrapping_mul(37).wrapping_add(11))
            .collect()
    }

    fn decrypts_what_it_encrypts<const N: usize, C>(cipher: &C)
    where
        C: BlockCipher<N, Error = core::convert::Infallible>,
    {
        let clear: Vec<[u8; N]> = (0..19u8).map(|i| [i.wrapping_mul(73); N]).collect();
        let mut blocks = clear.clone();
        let Ok(()) = cipher.encrypt_blocks(&mut blocks);
        for (one, all) in clear.iter().zip(&blocks) {
            let mut one = *one;
            let Ok(()) = cipher.encrypt_block(&mut one);
            assert_eq!(&one, all, "a slice of blocks is each block on its own");
        }
        let Ok(()) = cipher.decrypt_blocks(&mut blocks);
        assert_eq!(blocks, clear);
    }

    #[test]
    fn every_cipher_decrypts_what_it_encrypts() {
        decrypts_what_it_encrypts(&Des::new(&key(8)).unwrap());
        for length in [16, 24] {
            decrypts_what_it_encrypts(&Tdes::new(&key(length)).unwrap());
        }
        for length in [16, 24, 32] {
            decrypts_what_it_encrypts(&Aes::new(&key(length)).unwrap());
        }
        decrypts_what_it_encrypts(&Sm4::new(&key(16)).unwrap());
    }

    #[test]
    fn every_other_key_length_is_refused() {
        for length in 0..=64u8 {
            let key = key(length);
            assert_eq!(Des::new(&key).is_ok(), length == 8);
            assert_eq!(Tdes::new(&key).is_ok(), [16, 24].contains(&length));
            assert_eq!(Aes::new(&key).is_ok(), [16, 24, 32].contains(&length));
            assert_eq!(Sm4::new(&key).is_ok(), length == 16);
        }
    }

    #[test]
    fn a_two_key_tdes_is_the_three_key_one_with_the_first_key_again() {
        let two = key(16);
        let three = [&two[..], &two[..8]].concat();
        let (mut a, mut b) = ([[7u8; 8]], [[7u8; 8]]);
        let Ok(()) = Tdes::new(&two).unwrap().encrypt_blocks(&mut a);
        let Ok(()) = Tdes::new(&three).unwrap().encrypt_blocks(&mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn a_tdes_with_one_key_thrice_is_des() {
        let one = key(8);
        let (mut a, mut b) = ([[7u8; 8]], [[7u8; 8]]);
        let Ok(()) = Des::new(&one).unwrap().encrypt_blocks(&mut a);
        let Ok(()) = Tdes::new(&one.repeat(3)).unwrap().encrypt_blocks(&mut b);
        assert_eq!(a, b);
    }

    #[test]
    fn a_weak_pin_cipher_is_single_des() {
        let one = key(8);
        let PinCipher::Tdes(weak) = PinCipher::weak_single_des(&one).unwrap() else {
            panic!("DES is a TDES here")
        };
        let (mut a, mut b) = ([[7u8; 8]], [[7u8; 8]]);
        let Ok(()) = Des::new(&one).unwrap().encrypt_blocks(&mut a);
        let Ok(()) = weak.encrypt_blocks(&mut b);
        assert_eq!(a, b);
        for length in [0, 7, 9, 16] {
            assert!(PinCipher::weak_single_des(&key(length)).is_err());
        }
    }

    #[test]
    fn a_pin_cipher_knows_its_algorithm() {
        for algorithm in [
            BlockAlgorithm::Tdes,
            BlockAlgorithm::Aes,
            BlockAlgorithm::Sm4,
        ] {
            assert_eq!(
                PinCipher::new(algorithm, &key(16)).unwrap().algorithm(),
                algorithm
            );
        }
    }
}
