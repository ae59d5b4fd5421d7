//! The header of a key block (X9.143, 6.2): sixteen characters and the optional blocks.
//!
//! Codes that X9.143 does not define go through, proprietary usages and numeric algorithms among
//! them; what a code means is not decided here. [`HeaderFault`] explains to people who write
//! headers; [`unwrap`](super::unwrap) lets none of it out.

use core::fmt;

use crate::domain::key_block::{OptionalBlocks, Version};
use crate::limits::KEY_BLOCK_CHARS_MAX;

/// What a key may be used for, and what its sender says about it. Public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// How the block is bound.
    pub version: Version,
    /// What the key is for.
    pub usage: Usage,
    /// What it is a key of.
    pub algorithm: Algorithm,
    /// What it may do of its usage.
    pub mode: Mode,
    /// Its version, or which component it is.
    pub key_version: KeyVersion,
    /// Whether it may leave again.
    pub exportability: Exportability,
    /// Whether the block is for storage or for exchange.
    pub context: KeyContext,
    /// What else is said.
    pub blocks: OptionalBlocks,
}

/// A header and what is known of the block that it begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// The header.
    pub header: Header,
    /// Its characters, optional blocks included.
    pub header_chars: usize,
    /// Characters of the whole block, by its length field. It is not compared with anything here.
    pub block_chars: usize,
}

impl Header {
    /// A header without optional blocks, for a key without version and a block without context.
    pub fn new(
        version: Version,
        usage: Usage,
        algorithm: Algorithm,
        mode: Mode,
        exportability: Exportability,
    ) -> Self {
        Self {
            version,
            usage,
            algorithm,
            mode,
            key_version: KeyVersion::NONE,
            exportability,
            context: KeyContext::NONE,
            blocks: OptionalBlocks::default(),
        }
    }

    /// Reads the header that `text` begins with. What follows it is not looked at.
    ///
    /// Only what [`encode`](Self::encode) would write is read: decimal and upper-case hexadecimal
    /// digits, a reserved character of zero, no optional block twice.
    pub fn decode(text: &[u8]) -> Result<Decoded, HeaderFault> {
        let (fixed, rest) = text.split_first_chunk::<16>().ok_or(HeaderFault::Short)?;
        let [
            version,
            l0,
            l1,
            l2,
            l3,
            u0,
            u1,
            algorithm,
            mode,
            k0,
            k1,
            exportability,
            n0,
            n1,
            context,
            reserved,
        ] = *fixed;
        let version = Version::from_code(version).ok_or(HeaderFault::Version)?;
        let block_chars = decimal(&[l0, l1, l2, l3]).ok_or(HeaderFault::Length)?;
        let count = decimal(&[n0, n1]).ok_or(HeaderFault::BlockCount)?;
        if reserved != b'0' {
            return Err(HeaderFault::Reserved);
        }
        let (blocks, chars) = OptionalBlocks::decode(rest, count)?;
        let header = Self {
            version,
            usage: Usage::new([u0, u1])?,
            algorithm: Algorithm::new([algorithm])?,
            mode: Mode::new([mode])?,
            key_version: KeyVersion::new([k0, k1])?,
            exportability: Exportability::new([exportability])?,
            context: KeyContext::new([context])?,
            blocks,
        };
        Ok(Decoded {
            header,
            header_chars: FIXED_CHARS + chars,
            block_chars,
        })
    }

    /// Writes the header of a block of `block_chars` characters.
    pub fn encode(&self, block_chars: usize) -> Result<String, HeaderFault> {
        if block_chars > KEY_BLOCK_CHARS_MAX {
            return Err(HeaderFault::Length);
        }
        Ok(format!(
            "{}{block_chars:04}{}{}{}{}{}{:02}{}0{}",
            char::from(self.version.code()),
            self.usage,
            self.algorithm,
            self.mode,
            self.key_version,
            self.exportability,
            self.blocks.len(),
            self.context,
            self.blocks.as_text(),
        ))
    }

    /// Characters of the header, optional blocks included.
    pub fn chars(&self) -> usize {
        FIXED_CHARS + self.blocks.as_text().len()
    }
}

macro_rules! code {
    ($(#[$about:meta])* $name:ident: $length:literal, $fault:ident, $allowed:expr) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $length]);

        impl $name {
            /// Takes the characters of the header, defined by X9.143 or not.
            pub fn new(code: [u8; $length]) -> Result<Self, HeaderFault> {
                let allowed: fn(&u8) -> bool = $allowed;
                if code.iter().all(allowed) {
                    Ok(Self(code))
                } else {
                    Err(HeaderFault::$fault)
                }
            }

            /// The characters of the header.
            pub const fn as_bytes(&self) -> &[u8; $length] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|&c| write!(formatter, "{}", char::from(c)))
            }
        }
    };
}

code! {
    /// What the key is for: two characters (X9.143, table 2), proprietary ones included.
    Usage: 2, Usage, u8::is_ascii_alphanumeric
}
code! {
    /// What it is a key of: one character (X9.143, table 3); digits are proprietary.
    Algorithm: 1, Algorithm, u8::is_ascii_alphanumeric
}
code! {
    /// What it may do of its usage: one character (X9.143, table 4).
    Mode: 1, Mode, u8::is_ascii_alphanumeric
}
code! {
    /// The key's version, or `c` and the number of a component (X9.143, table 5).
    KeyVersion: 2, KeyVersion, u8::is_ascii_alphanumeric
}
code! {
    /// Whether it may leave again: one character (X9.143, table 6).
    Exportability: 1, Exportability, u8::is_ascii_alphanumeric
}
code! {
    /// Whether the block is for storage (`1`) or exchange (`2`); `0` does not say. Reserved, and
    /// always `0`, before X9.143-2022.
    KeyContext: 1, KeyContext, |c| matches!(c, b'0'..=b'2')
}

macro_rules! character {
    ($($name:ident)+) => {$(
        impl $name {
            /// The character.
            pub const fn code(self) -> u8 {
                self.0[0]
            }
        }
    )+};
}

character! { Algorithm Mode Exportability KeyContext }

impl KeyVersion {
    /// `00`: the field is not used.
    pub const NONE: Self = Self(*b"00");
}

impl KeyContext {
    /// `0`: the block does not say.
    pub const NONE: Self = Self(*b"0");
}

/// What is wrong with a header. The numbers count the optional blocks from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// Less than the fixed part.
    #[error("a header has at least 16 characters")]
    Short,
    /// Not A, B, C or D.
    #[error("the version (character 1) is not A, B, C or D")]
    Version,
    /// Not four digits, or more than a block may have.
    #[error("the length (characters 2 to 5) is not four digits, or too long")]
    Length,
    /// Not alphanumeric.
    #[error("the usage (characters 6 and 7) is not two letters or digits")]
    Usage,
    /// Not alphanumeric.
    #[error("the algorithm (character 8) is not a letter or digit")]
    Algorithm,
    /// Not alphanumeric.
    #[error("the mode of use (character 9) is not a letter or digit")]
    Mode,
    /// Not alphanumeric.
    #[error("the key version (characters 10 and 11) is not two letters or digits")]
    KeyVersion,
    /// Not alphanumeric.
    #[error("the exportability (character 12) is not a letter or digit")]
    Exportability,
    /// Not two digits, or more than 99 blocks.
    #[error("the number of optional blocks (characters 13 and 14) is not two digits")]
    BlockCount,
    /// Not 0, 1 or 2.
    #[error("the key context (character 15) is not 0, 1 or 2")]
    KeyContext,
    /// Not zero.
    #[error("the reserved character (16) is not 0")]
    Reserved,
    /// Not two letters or digits.
    #[error("optional block {0}: the id is not two letters or digits")]
    BlockId(usize),
    /// Not hexadecimal, less than its own header, or past the end.
    #[error("optional block {0}: the length is not upper-case hexadecimal, or not the block's")]
    BlockLength(usize),
    /// Outside printable ASCII.
    #[error("optional block {0}: the data are not printable ASCII")]
    BlockText(usize),
    /// The same id a second time.
    #[error("optional block {0}: the id was there before")]
    BlockTwice(usize),
}

fn decimal(digits: &[u8]) -> Option<usize> {
    digits.iter().try_fold(0, |number, digit| {
        digit
            .is_ascii_digit()
            .then(|| 10 * number + usize::from(digit - b'0'))
    })
}

const FIXED_CHARS: usize = 16;
