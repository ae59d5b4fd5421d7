//! CBC and CTR over the port (SP 800-38A, 6.2 and 6.5), in runs of blocks where the mode allows
//! it, so that a cipher with a pipeline fills it. ECB is the port itself.

use zeroize::Zeroizing;

use crate::domain::cipher::BlockCipher;

/// Blocks that one call of the cipher gets: more than any pipeline here is deep.
const RUN: usize = 32;

/// Encrypts whole blocks in place, each chained to the one before.
pub(super) fn cbc_encrypt<C: BlockCipher<N>, const N: usize>(
    cipher: &C,
    iv: &[u8; N],
    blocks: &mut [[u8; N]],
) -> Result<(), C::Error> {
    let mut previous = *iv;
    for block in blocks {
        xor(block, &previous);
        cipher.encrypt_block(block)?;
        previous = *block;
    }
    Ok(())
}

/// Decrypts whole blocks in place.
pub(super) fn cbc_decrypt<C: BlockCipher<N>, const N: usize>(
    cipher: &C,
    iv: &[u8; N],
    blocks: &mut [[u8; N]],
) -> Result<(), C::Error> {
    let mut previous = *iv;
    let mut taken = [[0u8; N]; RUN];
    for run in blocks.chunks_mut(RUN) {
        let taken = &mut taken[..run.len()];
        taken.copy_from_slice(run);
        cipher.decrypt_blocks(run)?;
        for (block, taken) in run.iter_mut().zip(taken) {
            xor(block, &previous);
            previous = *taken;
        }
    }
    Ok(())
}

/// Encrypts or decrypts in place. The counter is the whole block, big-endian, and wraps.
pub(super) fn ctr<C: BlockCipher<16>>(
    cipher: &C,
    first: &[u8; 16],
    data: &mut [u8],
) -> Result<(), C::Error> {
    counted(
        cipher,
        *first,
        |counter| u128::from_be_bytes(counter).wrapping_add(1).to_be_bytes(),
        data,
    )
}

/// Counter mode with any way to the next counter.
pub(super) fn counted<C: BlockCipher<16>>(
    cipher: &C,
    first: [u8; 16],
    next: fn([u8; 16]) -> [u8; 16],
    data: &mut [u8],
) -> Result<(), C::Error> {
    let mut counter = first;
    let mut stream = Zeroizing::new([[0u8; 16]; RUN]);
    for run in data.chunks_mut(RUN * 16) {
        let stream = &mut stream[..run.len().div_ceil(16)];
        for block in stream.iter_mut() {
            *block = counter;
            counter = next(counter);
        }
        cipher.encrypt_blocks(stream)?;
        for (byte, key) in run.iter_mut().zip(stream.as_flattened()) {
            *byte ^= key;
        }
    }
    Ok(())
}

fn xor<const N: usize>(block: &mut [u8; N], other: &[u8; N]) {
    for (byte, other) in block.iter_mut().zip(other) {
        *byte ^= other;
    }
}
