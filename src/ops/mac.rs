//! Message authentication codes. Scheme, padding and length are the key's policy; the caller
//! brings a message.

use crate::domain::mac::{self, MacError, MacKey, MacState, MacTag, Rule, Scheme, VerifyError};
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

/// A message that comes in pieces.
pub trait Parts: Send {
    /// What may go wrong on the way here, besides the operation's own errors.
    type Error: From<Error> + Send;

    /// The next piece; none after the last.
    fn next(&mut self) -> impl Future<Output = Result<Option<Vec<u8>>, Self::Error>> + Send;
}

/// Makes the MAC of a message that comes in pieces.
///
/// # Errors
/// See [`enum@Error`], and those of `parts`.
pub async fn generate_stream<P: Parts>(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    length: Option<u64>,
    parts: P,
) -> Result<Generated, P::Error> {
    let length = said(length)?;
    let grant: Grant<GenerateMac> = call.key(context, key).await?;
    let state = fed(grant.key(), grant.rule(), length, parts).await?;
    Ok(Generated {
        mac: state.generate().map_err(Error::from)?,
        scheme: grant.rule().scheme,
        key: grant.key_use().clone(),
    })
}

/// Checks the MAC of a message that comes in pieces.
///
/// # Errors
/// See [`enum@Error`], and those of `parts`.
pub async fn verify_stream<P: Parts>(
    context: &Context,
    call: &Call,
    (key, mac): (&KeyRef, &[u8]),
    length: Option<u64>,
    parts: P,
) -> Result<Verified, P::Error> {
    let length = said(length)?;
    let grant: Grant<VerifyMac> = call.key(context, key).await?;
    if mac.len() != usize::from(grant.rule().length) {
        return Err(Error::MacLength.into());
    }
    let state = fed(grant.key(), grant.rule(), length, parts).await?;
    Ok(Verified {
        valid: matched(state.verify(mac))?,
        scheme: grant.rule().scheme,
        key: grant.key_use().clone(),
    })
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

/// Makes a MAC under a key that was granted.
pub(in crate::ops) fn generate_with(
    grant: &Grant<GenerateMac>,
    message: &[u8],
) -> Result<Generated, Error> {
    let mac = mac::generate(grant.key(), grant.rule(), message)?;
    Ok(Generated {
        mac,
        scheme: grant.rule().scheme,
        key: grant.key_use().clone(),
    })
}

/// Checks a MAC under a key that was granted.
pub(in crate::ops) fn verify_with(
    grant: &Grant<VerifyMac>,
    message: &[u8],
    mac: &[u8],
) -> Result<Verified, Error> {
    Ok(Verified {
        valid: matched(mac::verify(grant.key(), grant.rule(), message, mac))?,
        scheme: grant.rule().scheme,
        key: grant.key_use().clone(),
    })
}

fn matched(verdict: Result<(), VerifyError>) -> Result<bool, Error> {
    match verdict {
        Ok(()) => Ok(true),
        Err(VerifyError::Mismatch) => Ok(false),
        Err(VerifyError::WrongLength) => Err(Error::MacLength),
        Err(VerifyError::NoMac(error)) => Err(error.into()),
    }
}

/// Takes in a whole message, and lets other calls run meanwhile.
#[expect(
    clippy::manual_async_fn,
    reason = "says Send here, where the lifetimes are known: from a handler it cannot be found"
)]
fn fed<'k, P: Parts>(
    key: &'k MacKey,
    rule: &'k Rule,
    length: Option<usize>,
    mut parts: P,
) -> impl Future<Output = Result<MacState<'k>, P::Error>> + Send {
    async move {
        let mut state = MacState::begin(key, rule, length).map_err(Error::from)?;
        let (mut room, mut turn) = (limits::STREAM_BYTES_MAX, Turn::default());
        while let Some(part) = parts.next().await? {
            bounded(&part)?;
            let Some(left) = room.checked_sub(part.len()) else {
                return Err(Error::MessageTooLong.into());
            };
            room = left;
            state.update(&part).map_err(Error::from)?;
            turn.count(part.len()).await;
        }
        Ok(state)
    }
}

/// The length that was said, if it is one that a stream may have.
fn said(length: Option<u64>) -> Result<Option<usize>, Error> {
    let fits = |length: &usize| *length <= limits::STREAM_BYTES_MAX;
    let Some(length) = length else {
        return Ok(None);
    };
    let length = usize::try_from(length).ok().filter(fits);
    length.map(Some).ok_or(Error::MessageTooLong)
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
