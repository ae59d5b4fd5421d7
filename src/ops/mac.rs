//! Message authentication codes. Scheme, padding and length are the key's policy; the caller
//! brings a message.

use crate::domain::mac::{self, MacError, MacTag, Scheme, VerifyError};
use crate::keys::grant::{GenerateMac, Grant, VerifyMac};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::limits;
use crate::ops::Error;
use crate::ops::context::{Call, Context};

/// A MAC and how it was made.
pub struct Generated {
    /// The MAC, as long as the key's policy says.
    pub mac: MacTag,
    /// The key's scheme.
    pub scheme: Scheme,
    /// The key used.
    pub key: KeyUse,
}

/// Whether a MAC matched.
pub struct Verified {
    /// It did.
    pub valid: bool,
    /// The key's scheme.
    pub scheme: Scheme,
    /// The key used.
    pub key: KeyUse,
}

/// Makes the MAC of a message.
///
/// # Errors
/// See [`enum@Error`].
pub async fn generate(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    message: &[u8],
) -> Result<Generated, Error> {
    bounded(message)?;
    let grant: Grant<GenerateMac> = call.key(context, key).await?;
    let mac = mac::generate(grant.key(), grant.rule(), message)?;
    Ok(Generated {
        mac,
        scheme: grant.rule().scheme,
        key: grant.key_use().clone(),
    })
}

/// Checks a MAC. One that does not match is an answer, not an error.
///
/// # Errors
/// See [`enum@Error`]; a MAC of another length than the policy's is one.
pub async fn verify(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    message: &[u8],
    mac: &[u8],
) -> Result<Verified, Error> {
    bounded(message)?;
    let grant: Grant<VerifyMac> = call.key(context, key).await?;
    let valid = match mac::verify(grant.key(), grant.rule(), message, mac) {
        Ok(()) => true,
        Err(VerifyError::Mismatch) => false,
        Err(error) => return Err(error.into()),
    };
    Ok(Verified {
        valid,
        scheme: grant.rule().scheme,
        key: grant.key_use().clone(),
    })
}

fn bounded(message: &[u8]) -> Result<(), Error> {
    if message.len() > limits::MESSAGE_BYTES_MAX {
        return Err(Error::MessageTooLong);
    }
    Ok(())
}

impl From<MacError> for Error {
    fn from(error: MacError) -> Self {
        match error {
            MacError::EmptyMessage => Self::MessageEmpty,
            MacError::SchemeMismatch => Self::MacKeyMismatch,
        }
    }
}

impl From<VerifyError> for Error {
    fn from(error: VerifyError) -> Self {
        match error {
            // Who tells a wrong MAC apart does so before; to all others it is one that cannot be.
            VerifyError::Mismatch | VerifyError::WrongLength => Self::MacLength,
            VerifyError::EmptyMessage => Self::MessageEmpty,
            VerifyError::SchemeMismatch => Self::MacKeyMismatch,
        }
    }
}
