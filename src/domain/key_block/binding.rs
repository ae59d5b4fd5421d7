//! How header and key are bound: encryption and MAC of the four versions (X9.143, 7.3; TR-31:2018,
//! A.5 for the variants of A and C).
//!
//! Nothing is decided here: the caller gets a [`Choice`] and has already laid out the message.

use core::convert::Infallible;

use subtle::{Choice, ConstantTimeEq};
use zeroize::Zeroizing;

use crate::domain::cipher::{BlockCipher, Tdes};
use crate::domain::key_block::MAC_BYTES_MAX;
use crate::domain::key_block::protection::{ProtectionKeys, Schedule};
use crate::domain::mac::{Padding, cmac, iso9797};

/// Deciphers the payload that follows `header_chars` of header, in place, and says whether the MAC
/// is theirs. `message` and `mac` have the lengths of the keys' version.
pub(super) fn open(
    keys: &ProtectionKeys,
    message: &mut [u8],
    header_chars: usize,
    mac: &[u8],
) -> Choice {
    match keys.schedule() {
        Schedule::Variant { kbek, kbak } => open_variant(kbek, kbak, message, header_chars, mac),
        Schedule::Tdes {
            kbek,
            kbak,
            subkeys,
        } => open_derived(kbek, kbak, subkeys, message, header_chars, mac),
        Schedule::Aes {
            kbek,
            kbak,
            subkeys,
        } => open_derived(kbek, kbak, subkeys, message, header_chars, mac),
    }
}

/// Enciphers the payload in place and gives the MAC, left-aligned; nothing for the variants, which
/// are not written.
pub(super) fn seal(
    keys: &ProtectionKeys,
    message: &mut [u8],
    header_chars: usize,
) -> Option<[u8; MAC_BYTES_MAX]> {
    let mut mac = [0u8; MAC_BYTES_MAX];
    match keys.schedule() {
        Schedule::Variant { .. } => return None,
        Schedule::Tdes {
            kbek,
            kbak,
            subkeys,
        } => mac[..8].copy_from_slice(&seal_derived(kbek, kbak, subkeys, message, header_chars)),
        Schedule::Aes {
            kbek,
            kbak,
            subkeys,
        } => mac.copy_from_slice(&seal_derived(kbek, kbak, subkeys, message, header_chars)),
    }
    Some(mac)
}

/// B and D: the MAC of header and clear payload is the IV of the payload's encryption.
fn open_derived<C: BlockCipher<N, Error = Infallible>, const N: usize>(
    kbek: &C,
    kbak: &C,
    subkeys: &cmac::Subkeys<N>,
    message: &mut [u8],
    header_chars: usize,
    mac: &[u8],
) -> Choice {
    let mut iv = [0u8; N];
    iv.copy_from_slice(mac);
    decrypt_chain(kbek, &iv, &mut message[header_chars..]);
    // The right MAC of a forged block is worth as much as the key: it is wiped.
    let Ok(own) = cmac::tag(kbak, subkeys, message).map(Zeroizing::new);
    own.ct_eq(&iv)
}

fn seal_derived<C: BlockCipher<N, Error = Infallible>, const N: usize>(
    kbek: &C,
    kbak: &C,
    subkeys: &cmac::Subkeys<N>,
    message: &mut [u8],
    header_chars: usize,
) -> [u8; N] {
    let Ok(mac) = cmac::tag(kbak, subkeys, message);
    let mut previous = mac;
    let (blocks, _) = message[header_chars..].as_chunks_mut::<N>();
    for block in blocks {
        add(block, &previous);
        let Ok(()) = kbek.encrypt_block(block);
        previous = *block;
    }
    mac
}

/// A and C: the header's first eight characters are the IV, and the MAC is a truncated CBC-MAC of
/// header and ciphertext.
fn open_variant(
    kbek: &Tdes,
    kbak: &Tdes,
    message: &mut [u8],
    header_chars: usize,
    mac: &[u8],
) -> Choice {
    // Both parts are whole blocks, so padding method 1 adds nothing.
    let Ok(own) = iso9797::algorithm_1(kbak, Padding::Method1, message).map(Zeroizing::new);
    let mut iv = [0u8; 8];
    iv.copy_from_slice(&message[..8]);
    decrypt_chain(kbek, &iv, &mut message[header_chars..]);
    own[..mac.len()].ct_eq(mac)
}

/// CBC decryption in place, eight blocks at a time so that the processor's AES can overlap them.
fn decrypt_chain<C: BlockCipher<N, Error = Infallible>, const N: usize>(
    cipher: &C,
    iv: &[u8; N],
    data: &mut [u8],
) {
    let mut previous = *iv;
    let (blocks, _) = data.as_chunks_mut::<N>();
    for chunk in blocks.chunks_mut(8) {
        let mut ciphertext = [[0u8; N]; 8];
        ciphertext[..chunk.len()].copy_from_slice(chunk);
        let Ok(()) = cipher.decrypt_blocks(chunk);
        for (block, own) in chunk.iter_mut().zip(&ciphertext) {
            add(block, &previous);
            previous = *own;
        }
    }
}

fn add<const N: usize>(block: &mut [u8; N], other: &[u8; N]) {
    for (byte, other) in block.iter_mut().zip(other) {
        *byte ^= other;
    }
}
