//! PIN block translation (ISO 9564-1; PCI PIN 3-3). One PAN, for both sides: a change of PAN
//! cannot be expressed.

use crate::domain::cipher::BlockAlgorithm;
use crate::domain::pan::{Pan, PanError};
use crate::domain::pin_block::{self, EncryptedPinBlock, Format};
use crate::keys;
use crate::keys::grant::{DecryptPin, EncryptPin, Grant, OperationKind};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::{KeyUse, OpenKey};
use crate::limits;
use crate::ops::context::{Call, Context};
use crate::ops::pin_engine::Translation;
use crate::ops::{Error, KeyRole};
use crate::secret::Secret;

/// What is asked.
pub struct TranslatePin {
    /// The key the block is under.
    pub source_key: KeyRef,
    /// The key it shall be under.
    pub destination_key: KeyRef,
    /// The block's layout.
    pub source_format: Format,
    /// The PAN, digits.
    pub pan: Secret<String>,
    /// The block.
    pub pin_block: Secret<Vec<u8>>,
}

/// What is answered.
pub struct TranslatedPin {
    /// The block under the destination key.
    pub pin_block: EncryptedPinBlock,
    /// Its layout.
    pub format: Format,
    /// The source key used.
    pub source_key: KeyUse,
    /// The destination key used.
    pub destination_key: KeyUse,
}

/// Translates a PIN block. All that can be refused without key material is refused before any is
/// used.
///
/// # Errors
/// See [`enum@Error`]; every fault of the block's content is [`Error::PinBlockRejected`].
pub async fn translate(
    context: &Context,
    call: &Call,
    asked: TranslatePin,
) -> Result<TranslatedPin, Error> {
    let TranslatePin {
        source_key,
        destination_key,
        source_format,
        pan,
        pin_block,
    } = asked;
    let source = call.resolve(context, KeyRole::Source, &source_key).await?;
    let destination = call
        .resolve(context, KeyRole::Destination, &destination_key)
        .await?;
    refuse_towards_a_device(&source, &destination)?;
    call.note_ksn::<DecryptPin>(context, KeyRole::Source, &source)
        .await?;
    call.note_ksn::<EncryptPin>(context, KeyRole::Destination, &destination)
        .await?;
    let source: Grant<DecryptPin> = call.grant(KeyRole::Source, source)?;
    let destination: Grant<EncryptPin> = call.grant(KeyRole::Destination, destination)?;

    let from = (source_format, source.cipher().algorithm());
    let to = (destination.format(), destination.cipher().algorithm());
    if !pin_block::translation_allowed(from, to) {
        return Err(Error::TranslationForbidden);
    }
    if !source.formats().contains(source_format) {
        return Err(Error::PinFormatRefused);
    }
    let pan = parse_pan(pan.expose_secret(), from, to)?;
    let block = pin_block.expose_secret();
    if block.len() != source_format.block_bytes() {
        return Err(Error::PinBlockLength);
    }
    let translation = Translation {
        source: &source,
        source_format,
        destination: &destination,
        pan: &pan,
        block,
        deadline: call.deadline(),
    };
    let translated = context.pin_engine.translate(translation).await?;
    Ok(TranslatedPin {
        pin_block: translated,
        format: to.0,
        source_key: source.key_use().clone(),
        destination_key: destination.key_use().clone(),
    })
}

/// A PIN goes to a device only where it came from one: a zone's PIN under a terminal's key is nobody's
/// but a thief's.
fn refuse_towards_a_device(source: &OpenKey, destination: &OpenKey) -> Result<(), Error> {
    if destination.is_derived() && !source.is_derived() {
        let what = OperationKind::EncryptPin;
        let refused = keys::error::Error::UsageRefused { what };
        return Err(Error::Key(KeyRole::Destination, refused));
    }
    Ok(())
}

/// The PAN, of a length that both formats take and that cards have.
fn parse_pan(
    text: &str,
    from: (Format, BlockAlgorithm),
    to: (Format, BlockAlgorithm),
) -> Result<Pan, Error> {
    let pan = Pan::parse(text).map_err(|error| match error {
        PanError::NotDigits => Error::PanMalformed,
        PanError::Length | PanError::TooShort => Error::PanLength,
    })?;
    let taken = |format| pin_block::pan_length_allowed(format, pan.len());
    if pan.len() < limits::PAN_DIGITS_MIN || !taken(from.0) || !taken(to.0) {
        return Err(Error::PanLength);
    }
    Ok(pan)
}
