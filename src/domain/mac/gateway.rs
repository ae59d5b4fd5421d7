//! What UnionPay's gateway calls a signature under signMethod 11 (SHA-256) and 12 (SM3), and is none:
//! `H(message ‖ "&" ‖ hex(H(secureKey)))`, the inner hash in small letters. The key of these schemes is
//! H(secureKey), 32 bytes: nothing more of the secureKey goes in, however long it is.
//!
//! Whoever could find two messages of one hash could move a MAC from one to the other, which HMAC would
//! not allow; with these hashes nobody can.

use sha2::{Digest, Sha256};
use sm3::Sm3;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::domain::cipher::KeyLength;
use crate::domain::mac::hmac::Hash;

/// H(secureKey), as it goes in.
pub(super) struct Key {
    hash: GatewayHash,
    text: Zeroizing<[u8; 64]>,
}

#[derive(Clone, Copy)]
enum GatewayHash {
    Sha256,
    Sm3,
}

impl Key {
    /// From the 32 bytes of H(secureKey).
    pub(super) fn new(hash: Hash, key: &[u8]) -> Result<Self, KeyLength> {
        let hash = match hash {
            Hash::Sha256 => GatewayHash::Sha256,
            Hash::Sm3 => GatewayHash::Sm3,
            Hash::Sha1 | Hash::Sha224 | Hash::Sha384 | Hash::Sha512 => return Err(KeyLength),
        };
        let mut text = Zeroizing::new([0; 64]);
        hex::encode_to_slice(key, &mut *text).map_err(|_| KeyLength)?;
        Ok(Self { hash, text })
    }
}

/// A message that has come in part.
pub(super) enum State {
    Sha256(Sha256),
    Sm3(Sm3),
}

impl State {
    pub(super) fn of_key(key: &Key) -> Self {
        match key.hash {
            GatewayHash::Sha256 => Self::Sha256(Sha256::new()),
            GatewayHash::Sm3 => Self::Sm3(Sm3::new()),
        }
    }

    pub(super) fn update(&mut self, part: &[u8]) {
        match self {
            Self::Sha256(hash) => hash.update(part),
            Self::Sm3(hash) => hash.update(part),
        }
    }

    /// Writes the whole tag, 32 bytes, to the start of `tag`.
    pub(super) fn finish(mut self, key: &Key, tag: &mut [u8]) {
        self.update(b"&");
        self.update(&*key.text);
        let made: [u8; 32] = match self {
            Self::Sha256(hash) => hash.finalize().into(),
            Self::Sm3(hash) => hash.finalize().into(),
        };
        tag.iter_mut()
            .zip(made)
            .for_each(|(place, byte)| *place = byte);
    }
}

/// Does not compile unless the crates wipe hash states, which the secret has gone into.
const _: () = {
    const fn wipes<T: ZeroizeOnDrop>() {}
    wipes::<Sha256>();
    wipes::<Sm3>();
};
