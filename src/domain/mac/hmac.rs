//! HMAC with SHA-256 (RFC 2104, FIPS 198-1), the key's two hash states made once.

use ::hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{ZeroizeOnDrop, Zeroizing};

/// An HMAC-SHA256 key, wiped on drop.
pub struct Sha256Key(Hmac<Sha256>);

impl Sha256Key {
    /// Takes a key of any length; above 64 bytes it is hashed first (RFC 2104, 2).
    pub fn new(key: &[u8]) -> Self {
        // RFC 2104 knows no wrong length, so the fallible constructor cannot fail; padding and
        // hashing are done here to say so by type.
        let mut block = Zeroizing::new([0u8; 64]);
        match block.get_mut(..key.len()) {
            Some(start) => start.copy_from_slice(key),
            None => block[..32].copy_from_slice(&<Sha256 as sha2::Digest>::digest(key)),
        }
        Self(Hmac::new((&*block).into()))
    }

    /// The whole tag, 32 bytes.
    pub fn tag(&self, message: &[u8]) -> [u8; 32] {
        self.tag_of(&[message])
    }

    /// The whole tag of a message in parts; where they end is for the caller to make plain.
    pub fn tag_of(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// Does not compile unless the crate wipes hash states; `Hmac` holds two and adds no marker.
const _: () = {
    const fn wipes<T: ZeroizeOnDrop>() {}
    wipes::<Sha256>();
};
