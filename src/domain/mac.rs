//! Message authentication codes under a rule that comes from the key's policy, never from the
//! caller: ISO/IEC 9797-1:2011 MAC algorithms 1 and 3, CMAC (SP 800-38B), HMAC-SHA256 (RFC 2104).
//!
//! Algorithms 1 and 3 are the trade's legacy: algorithm 1 is forgeable when message lengths vary,
//! and padding method 1 cannot tell trailing zeros from padding, which is why an empty message is
//! refused under it. Which key may use which rule, and how often, is not decided here; nor is the
//! UnionPay ECB MAC here.

use subtle::ConstantTimeEq;
use zeroize::{ZeroizeOnDrop, Zeroizing};

use crate::domain::cipher::{Aes, Des, KeyLength, Sm4, Tdes};
use crate::limits::{HMAC_BYTES_MIN, HMAC_KEY_BYTES_MAX, HMAC_KEY_BYTES_MIN, MAC_BYTES_MIN};

pub mod cmac;
pub mod hmac;
pub mod iso9797;
mod padding;

pub use self::padding::{PadError, Padding, pad};

/// Makes the MAC of a message.
pub fn generate(key: &MacKey, rule: &Rule, message: &[u8]) -> Result<MacTag, MacError> {
    let full = compute(key, rule, message)?;
    let mut tag = MacTag {
        bytes: [0; MacTag::MAX],
        length: rule.bytes(),
    };
    tag.bytes[..rule.bytes()].copy_from_slice(&full[..rule.bytes()]);
    Ok(tag)
}

/// Checks the MAC of a message, in time that does not depend on where it differs.
pub fn verify(key: &MacKey, rule: &Rule, message: &[u8], mac: &[u8]) -> Result<(), VerifyError> {
    if mac.len() != rule.bytes() {
        return Err(VerifyError::WrongLength);
    }
    let full = compute(key, rule, message)?;
    if bool::from(full[..rule.bytes()].ct_eq(mac)) {
        Ok(())
    } else {
        Err(VerifyError::Mismatch)
    }
}

/// How a MAC is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// ISO/IEC 9797-1 MAC algorithm 1 (CBC-MAC) with TDES.
    Iso9797Alg1Tdes,
    /// ISO/IEC 9797-1 MAC algorithm 1 (CBC-MAC) with SM4 (GB/T 15852.1).
    Iso9797Alg1Sm4,
    /// ISO/IEC 9797-1 MAC algorithm 3 with DES (retail MAC, X9.19).
    Iso9797Alg3Des,
    /// SP 800-38B CMAC with TDES.
    CmacTdes,
    /// SP 800-38B CMAC with AES.
    CmacAes,
    /// RFC 2104 HMAC with SHA-256.
    HmacSha256,
}

impl Scheme {
    /// Every scheme.
    pub const ALL: [Self; 6] = [
        Self::Iso9797Alg1Tdes,
        Self::Iso9797Alg1Sm4,
        Self::Iso9797Alg3Des,
        Self::CmacTdes,
        Self::CmacAes,
        Self::HmacSha256,
    ];

    /// Whether a rule must name a padding method; the other schemes pad by themselves.
    pub const fn needs_padding(self) -> bool {
        match self {
            Self::Iso9797Alg1Tdes | Self::Iso9797Alg1Sm4 | Self::Iso9797Alg3Des => true,
            Self::CmacTdes | Self::CmacAes | Self::HmacSha256 => false,
        }
    }

    /// The shortest and the longest MAC a rule may ask for, bytes.
    pub const fn lengths(self) -> (usize, usize) {
        match self {
            Self::Iso9797Alg1Tdes | Self::Iso9797Alg3Des | Self::CmacTdes => (MAC_BYTES_MIN, 8),
            Self::Iso9797Alg1Sm4 | Self::CmacAes => (MAC_BYTES_MIN, 16),
            Self::HmacSha256 => (HMAC_BYTES_MIN, 32),
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

    fn bytes(&self) -> usize {
        usize::from(self.length).min(MacTag::MAX)
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

/// An expanded MAC key, for one scheme. Wiped on drop, without `Debug`, `Clone` or `==`.
pub struct MacKey(Schedule);

impl MacKey {
    /// Expands a key: 16 or 24 bytes for TDES, 16 (K‖K') for algorithm 3, 16 for SM4, 16, 24 or
    /// 32 for AES, 16 to 64 for HMAC.
    pub fn new(scheme: Scheme, key: &[u8]) -> Result<Self, KeyLength> {
        let schedule = match scheme {
            Scheme::Iso9797Alg1Tdes => Schedule::Alg1Tdes(Tdes::new(key)?),
            Scheme::Iso9797Alg1Sm4 => Schedule::Alg1Sm4(Sm4::new(key)?),
            Scheme::Iso9797Alg3Des => {
                let (k, k_prime) = key.split_at_checked(8).ok_or(KeyLength)?;
                Schedule::Alg3Des {
                    k: Des::new(k)?,
                    k_prime: Des::new(k_prime)?,
                }
            }
            Scheme::CmacTdes => {
                let tdes = Tdes::new(key)?;
                let Ok(subkeys) = cmac::Subkeys::derive(&tdes);
                Schedule::CmacTdes(tdes, subkeys)
            }
            Scheme::CmacAes => {
                let aes = Aes::new(key)?;
                let Ok(subkeys) = cmac::Subkeys::derive(&aes);
                Schedule::CmacAes(aes, subkeys)
            }
            Scheme::HmacSha256 => {
                if !(HMAC_KEY_BYTES_MIN..=HMAC_KEY_BYTES_MAX).contains(&key.len()) {
                    return Err(KeyLength);
                }
                return Ok(Self::hmac_of_any_length(key));
            }
        };
        Ok(Self(schedule))
    }

    /// An HMAC-SHA256 key of any length, even one too weak for a policy: for known answers.
    pub fn hmac_of_any_length(key: &[u8]) -> Self {
        Self(Schedule::HmacSha256(hmac::Sha256Key::new(key)))
    }

    /// The scheme this key is for.
    pub const fn scheme(&self) -> Scheme {
        match &self.0 {
            Schedule::Alg1Tdes(_) => Scheme::Iso9797Alg1Tdes,
            Schedule::Alg1Sm4(_) => Scheme::Iso9797Alg1Sm4,
            Schedule::Alg3Des { .. } => Scheme::Iso9797Alg3Des,
            Schedule::CmacTdes(..) => Scheme::CmacTdes,
            Schedule::CmacAes(..) => Scheme::CmacAes,
            Schedule::HmacSha256(_) => Scheme::HmacSha256,
        }
    }
}

enum Schedule {
    Alg1Tdes(Tdes),
    Alg1Sm4(Sm4),
    Alg3Des { k: Des, k_prime: Des },
    CmacTdes(Tdes, cmac::Subkeys<8>),
    CmacAes(Aes, cmac::Subkeys<16>),
    HmacSha256(hmac::Sha256Key),
}

/// A message authentication code. Without `==`: it is checked by [`verify`].
#[derive(ZeroizeOnDrop)]
pub struct MacTag {
    bytes: [u8; Self::MAX],
    length: usize,
}

impl MacTag {
    const MAX: usize = 32;

    /// As many bytes as the rule says.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Why there is no MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// The caller's fault: padding method 1 makes an empty message and a zero block the same.
    #[error("an empty message has no MAC under padding method 1")]
    EmptyMessage,
    /// Ours: the key is for another scheme than the rule.
    #[error("the key is for another scheme than its rule")]
    SchemeMismatch,
}

/// Why a MAC was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// It is not the message's.
    #[error("the MAC does not match")]
    Mismatch,
    /// The caller's fault: not as long as the rule says.
    #[error("the MAC's length is not the key's")]
    WrongLength,
    /// The caller's fault: see [`MacError::EmptyMessage`].
    #[error("an empty message has no MAC under padding method 1")]
    EmptyMessage,
    /// Ours: the key is for another scheme than the rule.
    #[error("the key is for another scheme than its rule")]
    SchemeMismatch,
}

impl From<MacError> for VerifyError {
    fn from(error: MacError) -> Self {
        match error {
            MacError::EmptyMessage => Self::EmptyMessage,
            MacError::SchemeMismatch => Self::SchemeMismatch,
        }
    }
}

/// The whole MAC, left-aligned.
fn compute(
    key: &MacKey,
    rule: &Rule,
    message: &[u8],
) -> Result<Zeroizing<[u8; MacTag::MAX]>, MacError> {
    if key.scheme() != rule.scheme {
        return Err(MacError::SchemeMismatch);
    }
    if rule.padding == Some(Padding::Method1) && message.is_empty() {
        return Err(MacError::EmptyMessage);
    }
    let padding = || rule.padding.ok_or(MacError::SchemeMismatch);
    let mut full = Zeroizing::new([0u8; MacTag::MAX]);
    match &key.0 {
        Schedule::Alg1Tdes(tdes) => {
            let Ok(tag) = iso9797::algorithm_1(tdes, padding()?, message);
            full[..8].copy_from_slice(&tag);
        }
        Schedule::Alg1Sm4(sm4) => {
            let Ok(tag) = iso9797::algorithm_1(sm4, padding()?, message);
            full[..16].copy_from_slice(&tag);
        }
        Schedule::Alg3Des { k, k_prime } => {
            let Ok(tag) = iso9797::algorithm_3(k, k_prime, padding()?, message);
            full[..8].copy_from_slice(&tag);
        }
        Schedule::CmacTdes(tdes, subkeys) => {
            let Ok(tag) = cmac::tag(tdes, subkeys, message);
            full[..8].copy_from_slice(&tag);
        }
        Schedule::CmacAes(aes, subkeys) => {
            let Ok(tag) = cmac::tag(aes, subkeys, message);
            full[..16].copy_from_slice(&tag);
        }
        Schedule::HmacSha256(hmac) => full.copy_from_slice(&hmac.tag(message)),
    }
    Ok(full)
}

#[cfg(test)]
mod tests;
