//! The schemes, and what a rule for each must say: padding or not, and which lengths.
//!
//! ISO/IEC 9797-1:2011 algorithms 1 and 3, SP 800-38B, RFC 2104, and the MACs of Chinese terminals
//! (`fold`). Which key may have which scheme, and which are weak, is decided in `keys::spec`.

use crate::domain::mac::fold::HexCase;
use crate::domain::mac::hmac::Hash;
use crate::domain::mac::padding::Padding;
use crate::limits::{FOLD_MAC_BYTES, HMAC_BYTES_MIN, MAC_BYTES_MIN};

/// How a MAC is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// ISO/IEC 9797-1 MAC algorithm 1 (CBC-MAC) with single DES. X9.9 with padding method 1.
    Iso9797Alg1Des,
    /// ISO/IEC 9797-1 MAC algorithm 1 (CBC-MAC) with TDES.
    Iso9797Alg1Tdes,
    /// ISO/IEC 9797-1 MAC algorithm 1 (CBC-MAC) with AES.
    Iso9797Alg1Aes,
    /// ISO/IEC 9797-1 MAC algorithm 1 (CBC-MAC) with SM4 (GB/T 15852.1). With padding method 1
    /// what terminals call 联机 MAC.
    Iso9797Alg1Sm4,
    /// ISO/IEC 9797-1 MAC algorithm 3 with DES (retail MAC). X9.19 with padding method 1.
    Iso9797Alg3Des,
    /// SP 800-38B CMAC with TDES.
    CmacTdes,
    /// SP 800-38B CMAC with AES.
    CmacAes,
    /// SP 800-38B CMAC with SM4.
    CmacSm4,
    /// RFC 2104 HMAC with SHA-1.
    HmacSha1,
    /// RFC 2104 HMAC with SHA-224.
    HmacSha224,
    /// RFC 2104 HMAC with SHA-256.
    HmacSha256,
    /// RFC 2104 HMAC with SHA-384.
    HmacSha384,
    /// RFC 2104 HMAC with SHA-512.
    HmacSha512,
    /// RFC 2104 HMAC with SM3.
    HmacSm3,
    /// UnionPay ECB MAC with DES or two-key TDES; 8 hexadecimal characters in capitals.
    UnionPayEcbHex8,
    /// The same; 8 bytes.
    UnionPayEcbRaw8,
    /// SM4 POS MAC over capitals; 8 hexadecimal characters in capitals.
    Sm4PosHex8,
    /// SM4 POS MAC over small letters; 8 hexadecimal characters in small letters.
    Sm4PosHex8Lower,
    /// SM4 POS MAC over capitals; 8 bytes.
    Sm4PosRaw8,
    /// SM4 POS MAC over small letters; 8 bytes.
    Sm4PosRaw8Lower,
    /// signMethod 11 of UnionPay's gateway: SHA-256 with the secureKey behind the message.
    UnionPayGatewaySha256,
    /// signMethod 12 of UnionPay's gateway: SM3 with the secureKey behind the message.
    UnionPayGatewaySm3,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 22] = [
        Self::Iso9797Alg1Des,
        Self::Iso9797Alg1Tdes,
        Self::Iso9797Alg1Aes,
        Self::Iso9797Alg1Sm4,
        Self::Iso9797Alg3Des,
        Self::CmacTdes,
        Self::CmacAes,
        Self::CmacSm4,
        Self::HmacSha1,
        Self::HmacSha224,
        Self::HmacSha256,
        Self::HmacSha384,
        Self::HmacSha512,
        Self::HmacSm3,
        Self::UnionPayEcbHex8,
        Self::UnionPayEcbRaw8,
        Self::Sm4PosHex8,
        Self::Sm4PosHex8Lower,
        Self::Sm4PosRaw8,
        Self::Sm4PosRaw8Lower,
        Self::UnionPayGatewaySha256,
        Self::UnionPayGatewaySm3,
    ];

    /// Whether a rule must name a padding method; the other schemes pad by themselves.
    pub const fn needs_padding(self) -> bool {
        matches!(
            self,
            Self::Iso9797Alg1Des
                | Self::Iso9797Alg1Tdes
                | Self::Iso9797Alg1Aes
                | Self::Iso9797Alg1Sm4
                | Self::Iso9797Alg3Des
        )
    }

    /// The shortest and the longest MAC a rule may ask for, bytes.
    pub const fn lengths(self) -> (usize, usize) {
        match self {
            Self::Iso9797Alg1Des
            | Self::Iso9797Alg1Tdes
            | Self::Iso9797Alg3Des
            | Self::CmacTdes => (MAC_BYTES_MIN, 8),
            Self::Iso9797Alg1Aes | Self::Iso9797Alg1Sm4 | Self::CmacAes | Self::CmacSm4 => {
                (MAC_BYTES_MIN, 16)
            }
            Self::HmacSha1
            | Self::HmacSha224
            | Self::HmacSha256
            | Self::HmacSha384
            | Self::HmacSha512
            | Self::HmacSm3 => match self.hash() {
                Some(hash) => (HMAC_BYTES_MIN, hash.bytes()),
                None => (HMAC_BYTES_MIN, HMAC_BYTES_MIN),
            },
            Self::UnionPayEcbHex8
            | Self::UnionPayEcbRaw8
            | Self::Sm4PosHex8
            | Self::Sm4PosHex8Lower
            | Self::Sm4PosRaw8
            | Self::Sm4PosRaw8Lower => (FOLD_MAC_BYTES, FOLD_MAC_BYTES),
            Self::UnionPayGatewaySha256 | Self::UnionPayGatewaySm3 => (32, 32),
        }
    }

    /// The hash of an HMAC; none for other schemes.
    pub const fn hash(self) -> Option<Hash> {
        match self {
            Self::HmacSha1 => Some(Hash::Sha1),
            Self::HmacSha224 => Some(Hash::Sha224),
            Self::HmacSha256 => Some(Hash::Sha256),
            Self::HmacSha384 => Some(Hash::Sha384),
            Self::HmacSha512 => Some(Hash::Sha512),
            Self::HmacSm3 => Some(Hash::Sm3),
            _ => None,
        }
    }

    /// Whether the sum of all blocks is authenticated in place of the blocks.
    pub const fn folds(self) -> bool {
        self.fold_case().is_some()
    }

    /// The case of the characters that a scheme which folds authenticates.
    pub(super) const fn fold_case(self) -> Option<HexCase> {
        match self {
            Self::UnionPayEcbHex8 | Self::UnionPayEcbRaw8 | Self::Sm4PosHex8 | Self::Sm4PosRaw8 => {
                Some(HexCase::Upper)
            }
            Self::Sm4PosHex8Lower | Self::Sm4PosRaw8Lower => Some(HexCase::Lower),
            _ => None,
        }
    }

    /// The case of the characters that are the MAC; none where bytes are.
    pub(super) const fn output_case(self) -> Option<HexCase> {
        match self {
            Self::UnionPayEcbHex8 | Self::Sm4PosHex8 => Some(HexCase::Upper),
            Self::Sm4PosHex8Lower => Some(HexCase::Lower),
            _ => None,
        }
    }
}

/// Scheme, padding and length of a key's MACs. Made by [`Rule::new`] only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(
    clippy::manual_non_exhaustive,
    reason = "the attribute would let the rest of this crate write a rule nobody checked"
)]
pub struct Rule {
    /// How the MAC is made.
    pub scheme: Scheme,
    /// How the message is padded; for the ISO/IEC 9797-1 schemes only.
    pub padding: Option<Padding>,
    /// Bytes of MAC: its leading ones.
    pub length: u8,
    /// Keeps literals of this type inside the module.
    checked: (),
}

impl Rule {
    /// Refuses a length outside the scheme's, and a padding missing or too much.
    pub fn new(scheme: Scheme, padding: Option<Padding>, length: u8) -> Result<Self, RuleError> {
        if scheme.needs_padding() != padding.is_some() {
            return Err(RuleError::Padding);
        }
        let (shortest, longest) = scheme.lengths();
        if !(shortest..=longest).contains(&usize::from(length)) {
            return Err(RuleError::Length);
        }
        Ok(Self {
            scheme,
            padding,
            length,
            checked: (),
        })
    }

    /// Whether a message and the same with zeros after it have the same MAC.
    pub fn fills_with_zeros(&self) -> bool {
        self.padding == Some(Padding::Method1) || self.scheme.folds()
    }

    /// Whether the length of a message goes in before it.
    pub fn needs_length_first(&self) -> bool {
        self.padding == Some(Padding::Method3)
    }
}

/// A rule that no key may have: the policy's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Outside the scheme's lengths.
    #[error("the scheme makes no MAC of this length")]
    Length,
    /// An ISO/IEC 9797-1 scheme without padding, or another one with it.
    #[error("ISO/IEC 9797-1 schemes need a padding method, the others take none")]
    Padding,
}
