//! Key blocks (ANSI X9.143-2022, TR-31:2018): a key, what it may be used for, and a MAC over both,
//! under a key block protection key.
//!
//! All four versions are opened. Only B and D are written: nothing here, not even for tests, can
//! write A or C, whose two keys are the protection key XORed with a constant. [`unwrap`] takes any
//! bytes and has one answer for everything that is wrong with them, [`Refused`], because a parser
//! that explains itself is an oracle to whoever sends changed blocks. People who write headers get
//! their explanations from [`Header::decode`] and [`WrapError`], where nothing is secret.
//!
//! Deliberately not here: whether A and C may come in at all, what a usage allows and which
//! attributes an import may loosen (`keys`), version E of ISO 20038, and TR-34.

use subtle::Choice;
use zeroize::Zeroizing;

use crate::limits::{KEY_BLOCK_CHARS_MAX, KEY_BLOCK_KEY_BYTES_MAX};
use crate::secret::Secret;

mod binding;
pub mod content;
mod header;
mod optional_block;
mod protection;
pub mod strength;

pub use self::header::{
    Algorithm, Decoded, Exportability, Header, HeaderFault, KeyContext, KeyVersion, Mode, Usage,
};
pub use self::optional_block::{OptionalBlock, OptionalBlocks};
pub use self::protection::{BlockKeys, KbpkAlgorithm, ProtectionKeys};

/// Opens a key block.
///
/// Hexadecimal is upper case (X9.143, 4); a body that is wholly in lower case is read too, since
/// libraries in use write it, a mixed one is not.
pub fn unwrap(keys: &ProtectionKeys, block: &[u8]) -> Result<Unwrapped, Refused> {
    let Decoded {
        header,
        header_chars,
        block_chars,
    } = Header::decode(block).map_err(|_| Refused)?;
    let version = header.version;
    if version != keys.version() || block_chars != block.len() {
        return Err(Refused);
    }
    if block.len() > KEY_BLOCK_CHARS_MAX || !header_chars.is_multiple_of(version.block_bytes()) {
        return Err(Refused);
    }
    let body = &block[header_chars..];
    let payload_bytes = (body.len() / 2)
        .checked_sub(version.mac_bytes())
        .filter(|&bytes| bytes > 0 && bytes.is_multiple_of(version.block_bytes()))
        .ok_or(Refused)?;
    if !body.len().is_multiple_of(2) || !is_hexadecimal_of_one_case(body) {
        return Err(Refused);
    }
    let mut message = Zeroizing::new(vec![0u8; header_chars + payload_bytes]);
    message[..header_chars].copy_from_slice(&block[..header_chars]);
    let (payload, mac) = body.split_at(2 * payload_bytes);
    let mut received = [0u8; MAC_BYTES_MAX];
    let received = &mut received[..version.mac_bytes()];
    hex::decode_to_slice(payload, &mut message[header_chars..]).map_err(|_| Refused)?;
    hex::decode_to_slice(mac, received).map_err(|_| Refused)?;

    let authentic = binding::open(keys, &mut message, header_chars, received);
    let payload = &message[header_chars..];
    let (bytes, fits) = key_bytes(payload);
    // One branch: nobody learns from here whether the MAC or the length was wrong.
    if !bool::from(authentic & fits) {
        return Err(Refused);
    }
    let key = payload.get(2..2 + bytes).ok_or(Refused)?;
    Ok(Unwrapped {
        header,
        key: Secret::new(key.to_vec()),
    })
}

/// Writes a key block of version B or D.
///
/// A padding block (PB) is added, or made to measure if there is one, where the header would not
/// be a whole number of cipher blocks; otherwise the header goes in as it is. `random` is fresh
/// for every call and at least [`padding_bytes`] long; the leading bytes are used.
pub fn wrap(
    keys: &ProtectionKeys,
    header: &Header,
    key: &[u8],
    masking: Masking,
    random: &[u8],
) -> Result<String, WrapError> {
    let version = keys.version();
    if header.version != version {
        return Err(WrapError::Version);
    }
    if version.is_legacy() {
        return Err(WrapError::Legacy);
    }
    let strength = strength::of(header.algorithm, key.len())
        .filter(|_| key.len() <= KEY_BLOCK_KEY_BYTES_MAX)
        .ok_or(WrapError::KeyLength)?;
    if strength > keys.strength() {
        return Err(WrapError::Stronger);
    }
    let padding = random
        .get(..padding_bytes(version, key.len(), masking))
        .ok_or(WrapError::Randomness)?;
    let bits = u16::try_from(8 * key.len()).map_err(|_| WrapError::KeyLength)?;

    let mut header = header.clone();
    header.blocks.pad_to(version.block_bytes())?;
    let payload_bytes = 2 + key.len() + padding.len();
    let header_chars = header.chars();
    let block_chars = header_chars + 2 * (payload_bytes + version.mac_bytes());
    if block_chars > KEY_BLOCK_CHARS_MAX {
        return Err(WrapError::TooLong);
    }
    let mut block = header.encode(block_chars)?;
    // As long as it will ever be: a vector that grows leaves the key behind.
    let mut message = Zeroizing::new(Vec::with_capacity(header_chars + payload_bytes));
    message.extend_from_slice(block.as_bytes());
    message.extend_from_slice(&bits.to_be_bytes());
    message.extend_from_slice(key);
    message.extend_from_slice(padding);
    let mac = binding::seal(keys, &mut message, header_chars).ok_or(WrapError::Legacy)?;
    block.push_str(&hex::encode_upper(&message[header_chars..]));
    block.push_str(&hex::encode_upper(&mac[..version.mac_bytes()]));
    Ok(block)
}

/// How many random bytes pad a key of `key_bytes`.
pub const fn padding_bytes(version: Version, key_bytes: usize, masking: Masking) -> usize {
    let shown = if masking.0 > key_bytes {
        masking.0
    } else {
        key_bytes
    };
    (2 + shown).next_multiple_of(version.block_bytes()) - 2 - key_bytes
}

/// The version of a block: how its two keys come from the protection key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// TDES, variants of the protection key. Withdrawn; opened only.
    A,
    /// TDES, keys derived by CMAC.
    B,
    /// TDES, variants, as A with another letter. Opened only.
    C,
    /// AES, keys derived by CMAC.
    D,
}

impl Version {
    /// Every version.
    pub const ALL: [Self; 4] = [Self::A, Self::B, Self::C, Self::D];

    /// The first character of a block.
    pub const fn code(self) -> u8 {
        match self {
            Self::A => b'A',
            Self::B => b'B',
            Self::C => b'C',
            Self::D => b'D',
        }
    }

    /// The version of a first character.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.code() == code)
    }

    /// Whether it is opened only, never written.
    pub const fn is_legacy(self) -> bool {
        match self {
            Self::A | Self::C => true,
            Self::B | Self::D => false,
        }
    }

    /// Bytes of a cipher block; the header is a multiple of as many characters.
    pub const fn block_bytes(self) -> usize {
        match self {
            Self::A | Self::B | Self::C => 8,
            Self::D => 16,
        }
    }

    /// Bytes of the MAC.
    pub const fn mac_bytes(self) -> usize {
        match self {
            Self::A | Self::C => 4,
            Self::B => 8,
            Self::D => MAC_BYTES_MAX,
        }
    }
}

/// As how long a key is made to appear, so that the block's length does not tell its strength
/// (X9.143, 6.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masking(usize);

impl Masking {
    /// The block tells the key's length, as TR-31:2018 devices write and some insist on.
    pub const NONE: Self = Self(0);

    /// As X9.143 has it: every TDES key looks like 24 bytes, every AES key like 32. Keys of other
    /// algorithms have no longest length and are not masked.
    pub const fn of(algorithm: Algorithm) -> Self {
        match algorithm.code() {
            b'T' | b'D' => Self(24),
            b'A' => Self(32),
            _ => Self::NONE,
        }
    }

    /// Like a key of `bytes`; what is longer shows its length.
    pub const fn to_bytes(bytes: usize) -> Self {
        Self(bytes)
    }
}

/// What a key block held.
pub struct Unwrapped {
    /// What the key may be used for, authenticated.
    pub header: Header,
    /// The key, of exactly its length.
    pub key: Secret<Vec<u8>>,
}

/// The key block was not one of this protection key's. Tells nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key block was refused")]
pub struct Refused;

/// Why a key block was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WrapError {
    /// The caller's fault: the header is for another version than the protection key.
    #[error("the header's version is not the one pinned to the protection key")]
    Version,
    /// The caller's fault: blocks of version A and C are opened only.
    #[error("key blocks of version A and C are not written")]
    Legacy,
    /// The caller's fault: the protection key is weaker than the key.
    #[error("the protection key is weaker than the key it would protect")]
    Stronger,
    /// The caller's fault: no key of the algorithm has this length.
    #[error("the key's length is not one of its algorithm's")]
    KeyLength,
    /// The caller's fault: header and key do not fit into one block.
    #[error("the key block would be too long")]
    TooLong,
    /// The caller's fault: something in the header.
    #[error(transparent)]
    Header(#[from] HeaderFault),
    /// Ours: fewer random bytes than the padding needs.
    #[error("too few random bytes for the padding")]
    Randomness,
}

/// The length that the payload begins with, and whether it can be.
fn key_bytes(payload: &[u8]) -> (usize, Choice) {
    let bits = match payload {
        [high, low, ..] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    };
    let bytes = usize::from(bits / 8);
    let fits = bits.is_multiple_of(8) & (bytes > 0) & (bytes + 2 <= payload.len());
    (bytes, Choice::from(u8::from(fits)))
}

/// Upper case, or lower case, and not both: otherwise one block would have a million spellings.
fn is_hexadecimal_of_one_case(text: &[u8]) -> bool {
    let upper = |&c: &u8| c.is_ascii_digit() || matches!(c, b'A'..=b'F');
    let lower = |&c: &u8| c.is_ascii_digit() || matches!(c, b'a'..=b'f');
    text.iter().all(upper) || text.iter().all(lower)
}

const MAC_BYTES_MAX: usize = 16;

#[cfg(test)]
mod tests;
