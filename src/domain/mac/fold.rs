//! The MACs of Chinese terminals: the UnionPay ECB MAC (银联 POS MAC, with DES or two-key TDES) and
//! its form with SM4, as terminals in the field make them; no public standard has their text.
//!
//! The message is filled with zeros and all its blocks are added up; the sum, written as
//! hexadecimal characters, makes two blocks, whose CBC-MAC is the MAC. So this is MAC algorithm 1
//! of ISO/IEC 9797-1 over a digest that resists nothing: messages with the same blocks in another
//! order have the same MAC. It is weak by construction, and a key's policy must say so.

use zeroize::Zeroizing;

use crate::domain::cipher::BlockCipher;
use crate::domain::mac::iso9797::absorb;

/// Whether hexadecimal digits above nine are capitals. Terminals do not agree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HexCase {
    /// `A` to `F`: what DES terminals do.
    Upper,
    /// `a` to `f`: what some SM4 terminals do.
    Lower,
}

/// The sum of the blocks that have come.
pub(super) struct Fold<const N: usize> {
    sum: Zeroizing<[u8; N]>,
    total: usize,
}

impl<const N: usize> Fold<N> {
    pub(super) fn new() -> Self {
        Self {
            sum: Zeroizing::new([0; N]),
            total: 0,
        }
    }

    /// Takes a piece of the message.
    pub(super) fn update(&mut self, part: &[u8]) {
        let places = (0..N).cycle().skip(self.total % N);
        for (place, byte) in places.zip(part) {
            self.sum[place] ^= byte;
        }
        self.total = self.total.saturating_add(part.len());
    }

    /// The whole last block.
    pub(super) fn finish<C: BlockCipher<N>>(
        self,
        cipher: &C,
        case: HexCase,
    ) -> Result<[u8; N], C::Error> {
        let mut state = Zeroizing::new([0u8; N]);
        // Bytes 0 to N/2 make the first block of characters, the others the second.
        for half in self.sum.chunks(N / 2) {
            let mut block = Zeroizing::new([0u8; N]);
            write_hex(half, case, &mut block[..]);
            absorb(cipher, &mut state, &block)?;
        }
        Ok(*state)
    }
}

/// Writes as many hexadecimal characters as `text` has room for.
pub(super) fn write_hex(bytes: &[u8], case: HexCase, text: &mut [u8]) {
    let letters = match case {
        HexCase::Upper => b'A' - b'9' - 1,
        HexCase::Lower => b'a' - b'9' - 1,
    };
    // Computed, not looked up: an index into a table would depend on the state.
    let digit = |nibble: u8| b'0' + nibble + u8::from(nibble > 9) * letters;
    let digits = bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 0x0F)]);
    text.iter_mut()
        .zip(digits)
        .for_each(|(place, digit)| *place = digit);
}

#[cfg(test)]
mod tests {
    use super::{HexCase, write_hex};

    #[test]
    fn every_byte_is_written_as_the_hex_crate_writes_it() {
        for byte in 0..=u8::MAX {
            let mut text = [0; 2];
            write_hex(&[byte], HexCase::Upper, &mut text);
            assert_eq!(text, *hex::encode_upper([byte]).as_bytes());
            write_hex(&[byte], HexCase::Lower, &mut text);
            assert_eq!(text, *hex::encode([byte]).as_bytes());
        }
    }
}
