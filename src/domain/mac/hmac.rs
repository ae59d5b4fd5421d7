//! HMAC (RFC 2104, FIPS 198-1) with the hashes of FIPS 180-4 and with SM3 (GB/T 32905), the key's
//! two hash states made once.
//!
//! SHA-1 is here for what was built long ago; which key may use it is not decided here.

use ::hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};
use sm3::Sm3;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::domain::cipher::KeyLength;

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

macro_rules! hashes {
    ($($(#[$about:meta])* $name:ident;)+) => {
        /// A hash under HMAC.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Hash { $($(#[$about])* $name,)+ }

        /// The states of a key, or of a message that has come in part.
        #[derive(Clone)]
        pub(super) enum State { $($name(Hmac<$name>),)+ }

        impl State {
            /// The states of a key of any length.
            pub(super) fn of_key(hash: Hash, key: &[u8]) -> Result<Self, KeyLength> {
                match hash {
                    $(Hash::$name => Hmac::new_from_slice(key).map(Self::$name),)+
                }
                .map_err(|_| KeyLength)
            }

            /// Takes a piece of the message.
            pub(super) fn update(&mut self, part: &[u8]) {
                match self { $(Self::$name(state) => state.update(part),)+ }
            }

            /// Writes the whole tag to the start of `tag`.
            pub(super) fn finish(self, tag: &mut [u8]) {
                match self {
                    $(Self::$name(state) => {
                        let made = state.finalize().into_bytes();
                        tag.iter_mut().zip(made).for_each(|(place, byte)| *place = byte);
                    })+
                }
            }
        }

        /// Does not compile unless the crates wipe hash states; `Hmac` holds two and adds no
        /// marker.
        const _: () = {
            const fn wipes<T: ZeroizeOnDrop>() {}
            $(wipes::<$name>();)+
        };
    };
}

hashes! {
    /// SHA-1: legacy.
    Sha1;
    /// SHA-224.
    Sha224;
    /// SHA-256.
    Sha256;
    /// SHA-384.
    Sha384;
    /// SHA-512.
    Sha512;
    /// SM3.
    Sm3;
}

impl Hash {
    /// Every hash.
    pub const ALL: [Self; 6] = [
        Self::Sha1,
        Self::Sha224,
        Self::Sha256,
        Self::Sha384,
        Self::Sha512,
        Self::Sm3,
    ];

    /// Bytes of a digest, and of the whole tag.
    pub const fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha224 => 28,
            Self::Sha256 | Self::Sm3 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}
