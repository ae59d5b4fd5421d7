//! Message authentication codes. Scheme, padding and length are the key's policy; the caller
//! brings a message.

use crate::domain::mac::{self, MacError, MacTag, Scheme, VerifyError};
use crate::keys::grant::{GenerateMac, Grant, VerifyMac};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::limits;
use crate::ops::batch::{Keys, Turn};
use crate::ops::context::{Call, Context};
use crate::ops::{Error, KeyRole};

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
    generate_with(&call.key(context, key).await?, message)
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
    verify_with(&call.key(context, key).await?, message, mac)
}

/// The MACs of one batch call, made one item at a time.
pub struct Generating<'a> {
    context: &'a Context,
    call: &'a Call,
    keys: Keys<GenerateMac>,
    turn: Turn,
}

impl<'a> Generating<'a> {
    /// Before the first item.
    #[must_use]
    pub fn new(context: &'a Context, call: &'a Call) -> Self {
        Self {
            context,
            call,
            keys: Keys::new(KeyRole::Only),
            turn: Turn::default(),
        }
    }

    /// Makes the MAC of one item, as [`generate`] does.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub async fn item(&mut self, key: &KeyRef, message: &[u8]) -> Result<Generated, Error> {
        bounded(message)?;
        self.turn.count(message.len()).await;
        let grant = self.keys.grant(self.context, self.call, key).await?;
        generate_with(grant, message)
    }
}

/// The MACs of one batch call, checked one item at a time.
pub struct Verifying<'a> {
    context: &'a Context,
    call: &'a Call,
    keys: Keys<VerifyMac>,
    turn: Turn,
}

impl<'a> Verifying<'a> {
    /// Before the first item.
    #[must_use]
    pub fn new(context: &'a Context, call: &'a Call) -> Self {
        Self {
            context,
            call,
            keys: Keys::new(KeyRole::Only),
            turn: Turn::default(),
        }
    }

    /// Checks the MAC of one item, as [`verify`] does.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub async fn item(
        &mut self,
        key: &KeyRef,
        message: &[u8],
        mac: &[u8],
    ) -> Result<Verified, Error> {
        bounded(message)?;
        self.turn.count(message.len()).await;
        let grant = self.keys.grant(self.context, self.call, key).await?;
        verify_with(grant, message, mac)
    }
}

fn generate_with(grant: &Grant<GenerateMac>, message: &[u8]) -> Result<Generated, Error> {
    let mac = mac::generate(grant.key(), grant.rule(), message)?;
    Ok(Generated {
        mac,
        scheme: grant.rule().scheme,
        key: grant.key_use().clone(),
    })
}

fn verify_with(grant: &Grant<VerifyMac>, message: &[u8], mac: &[u8]) -> Result<Verified, Error> {
    let valid = match mac::verify(grant.key(), grant.rule(), message, mac) {
        Ok(()) => true,
        Err(VerifyError::Mismatch) => false,
        Err(VerifyError::WrongLength) => return Err(Error::MacLength),
        Err(VerifyError::NoMac(error)) => return Err(error.into()),
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
            MacError::LengthMissing => Self::MessageLengthMissing,
            MacError::LengthMismatch => Self::MessageLengthMismatch,
            MacError::SchemeMismatch => Self::MacKeyMismatch,
        }
    }
}
