//! CMAC (SP 800-38B) over the block cipher port, for blocks of 8 and 16 bytes.

use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::domain::cipher::BlockCipher;
use crate::domain::mac::iso9797::absorb;

/// K1 and K2 (SP 800-38B, 6.1), derived once for a key and wiped on drop.
#[derive(ZeroizeOnDrop)]
pub struct Subkeys<const N: usize> {
    k1: [u8; N],
    k2: [u8; N],
}

impl<const N: usize> Subkeys<N> {
    /// Encrypts the zero block and doubles it twice.
    pub fn derive<C: BlockCipher<N>>(cipher: &C) -> Result<Self, C::Error> {
        let mut subkeys = Self {
            k1: [0; N],
            k2: [0; N],
        };
        cipher.encrypt_block(&mut subkeys.k1)?;
        double(&mut subkeys.k1);
        subkeys.k2 = subkeys.k1;
        double(&mut subkeys.k2);
        Ok(subkeys)
    }
}

/// The whole CMAC of a message (SP 800-38B, 6.2).
pub fn tag<C: BlockCipher<N>, const N: usize>(
    cipher: &C,
    subkeys: &Subkeys<N>,
    message: &[u8],
) -> Result<[u8; N], C::Error> {
    let (mut blocks, mut rest) = message.as_chunks::<N>();
    let mut last = Zeroizing::new([0u8; N]);
    // The last block is held back: whole under K1, else padded with a bit under K2.
    let subkey = match blocks.split_last() {
        Some((block, before)) if rest.is_empty() => {
            (blocks, rest) = (before, &block[..]);
            &subkeys.k1
        }
        _ => {
            last[rest.len()] = 0x80;
            &subkeys.k2
        }
    };
    last[..rest.len()].copy_from_slice(rest);
    for (byte, subkey) in last.iter_mut().zip(subkey) {
        *byte ^= subkey;
    }
    let mut state = Zeroizing::new([0u8; N]);
    for block in blocks {
        absorb(cipher, &mut state, block)?;
    }
    absorb(cipher, &mut state, &last)?;
    Ok(*state)
}

/// What is encrypted for the CMAC of one zero block, from the encrypted zero block: K1 itself (6.1). For
/// check values of keys that can do nothing but encrypt blocks.
pub fn of_zero_block<const N: usize>(encrypted_zero: &[u8; N]) -> Zeroizing<[u8; N]> {
    let mut input = Zeroizing::new(*encrypted_zero);
    double(&mut input);
    input
}

/// Multiplication by x in GF(2⁶⁴) or GF(2¹²⁸), without a branch on the bit shifted out.
fn double<const N: usize>(block: &mut [u8; N]) {
    // SP 800-38B, 5.3: R_64 = 0x1B, R_128 = 0x87.
    let reduction = const {
        assert!(
            N == 8 || N == 16,
            "SP 800-38B has constants for 64 and 128 bits"
        );
        if N == 8 { 0x1B } else { 0x87 }
    };
    let mut carry = 0;
    for byte in block.iter_mut().rev() {
        let out = *byte >> 7;
        *byte = (*byte << 1) | carry;
        carry = out;
    }
    block[N - 1] ^= carry * reduction;
}
