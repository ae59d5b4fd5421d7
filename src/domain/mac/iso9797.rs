//! ISO/IEC 9797-1:2011 MAC algorithm 1 (CBC-MAC, 7.2) and MAC algorithm 3 (retail MAC, 7.4), of a
//! whole message or of one that comes in pieces.
//!
//! X9.9 is algorithm 1 and X9.19 algorithm 3, both with padding method 1. The message is read in
//! place, block by block. The whole last block comes out: truncation and the refusal of an empty
//! message are the rule's.

use zeroize::Zeroizing;

use crate::domain::cipher::BlockCipher;
use crate::domain::mac::held::Held;
use crate::domain::mac::padding::Padding;

/// CBC-MAC with any block cipher of 8 or 16 bytes.
pub fn algorithm_1<C: BlockCipher<N>, const N: usize>(
    cipher: &C,
    padding: Padding,
    message: &[u8],
) -> Result<[u8; N], C::Error> {
    whole(cipher, padding, message).map(|state| *state)
}

/// CBC-MAC with `k`, then decryption with `k_prime` and encryption with `k`: single DES but for
/// the last block.
pub fn algorithm_3<C: BlockCipher<N>, const N: usize>(
    k: &C,
    k_prime: &C,
    padding: Padding,
    message: &[u8],
) -> Result<[u8; N], C::Error> {
    let mut state = whole(k, padding, message)?;
    output_3(k, k_prime, &mut state)?;
    Ok(*state)
}

fn whole<C: BlockCipher<N>, const N: usize>(
    cipher: &C,
    padding: Padding,
    message: &[u8],
) -> Result<Zeroizing<[u8; N]>, C::Error> {
    let mut chain = Chain::begin(cipher, padding, message.len())?;
    chain.update(cipher, message)?;
    chain.finish(cipher, padding)
}

/// The last step of algorithm 3.
pub(super) fn output_3<C: BlockCipher<N>, const N: usize>(
    k: &C,
    k_prime: &C,
    state: &mut [u8; N],
) -> Result<(), C::Error> {
    k_prime.decrypt_block(state)?;
    k.encrypt_block(state)
}

/// Cipher block chaining over what has come of a message. The chained state is secret: before
/// algorithm 3's last step it is a single-DES CBC-MAC.
pub(super) struct Chain<const N: usize> {
    pub(super) state: Zeroizing<[u8; N]>,
    pub(super) held: Held<N>,
}

impl<const N: usize> Chain<N> {
    /// Before any message.
    pub(super) fn new() -> Self {
        Self {
            state: Zeroizing::new([0; N]),
            held: Held::new(),
        }
    }

    /// Before a message whose length, which padding method 3 puts first, is `length`.
    pub(super) fn begin<C: BlockCipher<N>>(
        cipher: &C,
        padding: Padding,
        length: usize,
    ) -> Result<Self, C::Error> {
        const {
            assert!(
                N == 8 || N == 16,
                "a length in bits fits a block of 8 bytes"
            )
        };
        let (mut chain, mut first) = (Self::new(), [0; N]);
        if padding.head(length, &mut first) == Some(true) {
            absorb(cipher, &mut chain.state, &first)?;
        }
        Ok(chain)
    }

    /// Takes a piece of the message.
    pub(super) fn update<C: BlockCipher<N>>(
        &mut self,
        cipher: &C,
        part: &[u8],
    ) -> Result<(), C::Error> {
        let Self { state, held } = self;
        held.feed(part, |block| absorb(cipher, state, block))
    }

    /// Pads the message; the state after its last block.
    pub(super) fn finish<C: BlockCipher<N>>(
        self,
        cipher: &C,
        padding: Padding,
    ) -> Result<Zeroizing<[u8; N]>, C::Error> {
        let Self { mut state, held } = self;
        let mut extra = Zeroizing::new([0u8; N]);
        let mut rest = held.last();
        if let Ok(block) = rest.try_into() {
            absorb(cipher, &mut state, block)?;
            rest = &[];
        }
        if padding.tail(held.total() == 0, rest, &mut extra[..]) {
            absorb(cipher, &mut state, &extra)?;
        }
        Ok(state)
    }
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
