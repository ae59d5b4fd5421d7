//! ISO/IEC 9797-1:2011 MAC algorithm 1 (CBC-MAC, 7.2) and MAC algorithm 3 (retail MAC, 7.4).
//!
//! The message is read in place, block by block. The whole last block comes out: truncation and
//! the refusal of an empty message are the rule's.

use zeroize::Zeroizing;

use crate::domain::cipher::BlockCipher;
use crate::domain::mac::padding::Padding;

/// CBC-MAC with any block cipher of 8 or 16 bytes.
pub fn algorithm_1<C: BlockCipher<N>, const N: usize>(
    cipher: &C,
    padding: Padding,
    message: &[u8],
) -> Result<[u8; N], C::Error> {
    chain(cipher, padding, message).map(|state| *state)
}

/// CBC-MAC with `k`, then decryption with `k_prime` and encryption with `k`: single DES but for
/// the last block.
pub fn algorithm_3<C: BlockCipher<N>, const N: usize>(
    k: &C,
    k_prime: &C,
    padding: Padding,
    message: &[u8],
) -> Result<[u8; N], C::Error> {
    let mut state = chain(k, padding, message)?;
    k_prime.decrypt_block(&mut state)?;
    k.encrypt_block(&mut state)?;
    Ok(*state)
}

/// The chained state is secret: before algorithm 3's last step it is a single-DES CBC-MAC.
fn chain<C: BlockCipher<N>, const N: usize>(
    cipher: &C,
    padding: Padding,
    message: &[u8],
) -> Result<Zeroizing<[u8; N]>, C::Error> {
    const {
        assert!(
            N == 8 || N == 16,
            "a length in bits fits a block of 8 bytes"
        )
    };
    let mut state = Zeroizing::new([0u8; N]);
    let mut extra = Zeroizing::new([0u8; N]);
    if padding.head(message.len(), &mut extra[..]) == Some(true) {
        absorb(cipher, &mut state, &extra)?;
        extra.fill(0);
    }
    let (blocks, rest) = message.as_chunks::<N>();
    for block in blocks {
        absorb(cipher, &mut state, block)?;
    }
    if padding.tail(message.is_empty(), rest, &mut extra[..]) {
        absorb(cipher, &mut state, &extra)?;
    }
    Ok(state)
}

/// One step of cipher block chaining.
pub(super) fn absorb<C: BlockCipher<N>, const N: usize>(
    cipher: &C,
    state: &mut [u8; N],
    block: &[u8; N],
) -> Result<(), C::Error> {
    for (byte, input) in state.iter_mut().zip(block) {
        *byte ^= input;
    }
    cipher.encrypt_block(state)
}
