//! Message authentication codes under a rule that comes from the key's policy, never from the
//! caller: ISO/IEC 9797-1:2011 MAC algorithms 1 and 3 (X9.9, X9.19), CMAC (SP 800-38B), HMAC
//! (RFC 2104), and the MACs of UnionPay's terminals and gateway.
//!
//! Algorithms 1 and 3 are the trade's legacy: algorithm 1 is forgeable when message lengths vary,
//! and padding method 1 cannot tell trailing zeros from padding, which is why an empty message is
//! refused under it. Which key may use which rule, and how often, is not decided here. Algorithm 2
//! (EMAC) and algorithms 4 to 6 are not offered.

use zeroize::ZeroizeOnDrop;

pub mod cmac;
mod fold;
mod gateway;
mod held;
pub mod hmac;
pub mod iso9797;
mod key;
mod padding;
mod scheme;
mod state;

pub use self::key::MacKey;
pub use self::padding::{PadError, Padding, pad};
pub use self::scheme::{Rule, RuleError, Scheme};
pub use self::state::MacState;

/// Makes the MAC of a message.
pub fn generate(key: &MacKey, rule: &Rule, message: &[u8]) -> Result<MacTag, MacError> {
    let mut state = MacState::begin(key, rule, Some(message.len()))?;
    state.update(message)?;
    state.generate()
}

/// Checks the MAC of a message, in time that does not depend on where it differs.
pub fn verify(key: &MacKey, rule: &Rule, message: &[u8], mac: &[u8]) -> Result<(), VerifyError> {
    if mac.len() != usize::from(rule.length) {
        return Err(VerifyError::WrongLength);
    }
    let mut state = MacState::begin(key, rule, Some(message.len()))?;
    state.update(message)?;
    state.verify(mac)
}

/// A message authentication code. Without `==`: it is checked by [`verify`].
#[derive(ZeroizeOnDrop)]
pub struct MacTag {
    bytes: [u8; Self::MAX],
    length: usize,
}

impl MacTag {
    const MAX: usize = 64;

    /// As many bytes as the rule says.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Why there is no MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MacError {
    /// The caller's fault: filled with zeros, an empty message and a zero block are the same.
    #[error("an empty message has no MAC where messages are filled with zeros")]
    EmptyMessage,
    /// The caller's fault: padding method 3 wants the length first.
    #[error("the message's length must be said first under padding method 3")]
    LengthMissing,
    /// The caller's fault: the message is not as long as was said.
    #[error("the message is not as long as was said")]
    LengthMismatch,
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
    /// There is no MAC to compare with.
    #[error(transparent)]
    NoMac(#[from] MacError),
}

#[cfg(test)]
mod tests;
