//! Data under data keys. Mode, padding, IV and tag are the key's policy; the caller brings data.
//!
//! Everything that depends on clear data is [`DataError::Rejected`]. In a translation that is also
//! a length which the destination does not take, because padding hides it.

use crate::domain::data::{self, DataError, Encrypted, Mode, Rule};
use crate::keys;
use crate::keys::grant::{DecryptData, EncryptData, Grant, OperationKind};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::limits;
use crate::ops::context::{Call, Context};
use crate::ops::{Error, KeyRole};
use crate::secret::Secret;

/// Data to encrypt.
pub struct Clear {
    /// The data.
    pub data: Secret<Vec<u8>>,
    /// What to authenticate beside it.
    pub beside: Beside,
}

/// Data to decrypt.
pub struct Enciphered {
    /// The data.
    pub data: Vec<u8>,
    /// The tag; empty where the mode has none.
    pub tag: Vec<u8>,
    /// What came with it.
    pub beside: Beside,
}

/// What goes with data and is not encrypted.
pub struct Beside {
    /// The IV; empty where there is none to give.
    pub iv: Vec<u8>,
    /// What GCM authenticates.
    pub associated_data: Vec<u8>,
}

/// Encrypted data.
pub struct Made {
    /// The data.
    pub data: Vec<u8>,
    /// What decryption needs.
    pub iv: Vec<u8>,
    /// GCM's tag.
    pub tag: Vec<u8>,
    /// The key's mode.
    pub mode: Mode,
    /// The key used.
    pub key: KeyUse,
}

/// Clear data.
pub struct Opened {
    /// The data.
    pub data: Secret<Vec<u8>>,
    /// The key's mode.
    pub mode: Mode,
    /// The key used.
    pub key: KeyUse,
}

/// Encrypts data.
///
/// # Errors
/// See [`enum@Error`].
pub async fn encrypt(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    asked: &Clear,
) -> Result<Made, Error> {
    bounded(asked.data.expose_secret().len(), 0, &asked.beside)?;
    let grant: Grant<EncryptData> = call.key(context, key).await?;
    let role = KeyRole::Only;
    let rule = rule(role, grant.rule(), OperationKind::EncryptData)?;
    let clear = asked.data.expose_secret();
    put(context, (role, &grant, rule), &asked.beside, clear)
}

/// Decrypts data.
///
/// # Errors
/// See [`enum@Error`]; [`Error::ClearDataRefused`] for a key that translates only.
pub async fn decrypt(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    asked: &Enciphered,
) -> Result<Opened, Error> {
    let padding = limits::DATA_PADDING_BYTES_MAX;
    bounded(asked.data.len(), padding, &asked.beside)?;
    let grant: Grant<DecryptData> = call.key(context, key).await?;
    let role = KeyRole::Only;
    let rule = rule(role, grant.rule(), OperationKind::DecryptData)?;
    if grant.translates_only() {
        return Err(Error::ClearDataRefused(role));
    }
    Ok(Opened {
        data: take(role, &grant, rule, asked)?,
        mode: rule.mode(),
        key: grant.key_use().clone(),
    })
}

/// Takes data from under one key and puts it under another, and answers the source key with it.
///
/// # Errors
/// See [`enum@Error`]; [`Error::ClearDataRefused`] where the source key translates only and the
/// destination key could decrypt here.
pub async fn translate(
    context: &Context,
    call: &Call,
    (source_key, destination_key): (&KeyRef, &KeyRef),
    asked: &Enciphered,
    beside: &Beside,
) -> Result<(Made, KeyUse), Error> {
    let padding = limits::DATA_PADDING_BYTES_MAX;
    bounded(asked.data.len(), padding, &asked.beside)?;
    bounded(0, 0, beside)?;
    let (from, to) = (KeyRole::Source, KeyRole::Destination);
    let source: Grant<DecryptData> = call.granted(context, from, source_key).await?;
    let destination: Grant<EncryptData> = call.granted(context, to, destination_key).await?;
    let source_rule = rule(from, source.rule(), OperationKind::DecryptData)?;
    let destination_rule = rule(to, destination.rule(), OperationKind::EncryptData)?;
    if source.translates_only() && destination.can_be_read() {
        return Err(Error::ClearDataRefused(to));
    }
    let clear = take(from, &source, source_rule, asked)?;
    let under = (to, &destination, destination_rule);
    let made = put(context, under, beside, clear.expose_secret()).map_err(|error| match error {
        // The length was hidden by the source's padding.
        Error::Data(_, DataError::Length) => Error::Data(from, DataError::Rejected),
        other => other,
    })?;
    Ok((made, source.key_use().clone()))
}

/// A key without a mode is for no call of this file.
fn rule(role: KeyRole, rule: Option<Rule>, what: OperationKind) -> Result<Rule, Error> {
    rule.ok_or(Error::Key(role, keys::error::Error::UsageRefused { what }))
}

fn put(
    context: &Context,
    (role, grant, rule): (KeyRole, &Grant<EncryptData>, Rule),
    beside: &Beside,
    clear: &[u8],
) -> Result<Made, Error> {
    let cipher = grant.cipher();
    let iv = if rule.makes_iv() {
        if !beside.iv.is_empty() {
            return Err(Error::Data(role, DataError::Iv));
        }
        let drawn: [u8; IV_BYTES] = context.fill.draw()?;
        drawn[..rule.iv_bytes(cipher.algorithm())].to_vec()
    } else {
        beside.iv.clone()
    };
    let made = data::encrypt(cipher, &rule, &iv, &beside.associated_data, clear);
    let Encrypted { data, tag } = made.map_err(|error| Error::Data(role, error))?;
    Ok(Made {
        data,
        iv,
        tag,
        mode: rule.mode(),
        key: grant.key_use().clone(),
    })
}

fn take(
    role: KeyRole,
    grant: &Grant<DecryptData>,
    rule: Rule,
    asked: &Enciphered,
) -> Result<Secret<Vec<u8>>, Error> {
    let Enciphered { data, tag, beside } = asked;
    let Beside {
        iv,
        associated_data,
    } = beside;
    let opened = data::decrypt(grant.cipher(), &rule, iv, associated_data, (data, tag));
    opened.map_err(|error| Error::Data(role, error))
}

fn bounded(length: usize, padding: usize, beside: &Beside) -> Result<(), Error> {
    if length > limits::MESSAGE_BYTES_MAX + padding {
        return Err(Error::DataTooLong);
    }
    if beside.associated_data.len() > limits::ASSOCIATED_DATA_BYTES_MAX {
        return Err(Error::AssociatedDataTooLong);
    }
    Ok(())
}

/// Bytes of the longest IV.
const IV_BYTES: usize = 16;
