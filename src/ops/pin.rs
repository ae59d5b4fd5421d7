//! PIN block translation (ISO 9564-1; PCI PIN 3-3). One PAN, for both sides: a change of PAN
//! cannot be expressed.

use crate::domain::cipher::BlockAlgorithm;
use crate::domain::pan::{Pan, PanError};
use crate::domain::pin_block::{self, EncryptedPinBlock, Format};
use crate::keys;
use crate::keys::attributes::Side;
use crate::keys::grant::{DecryptPin, EncryptPin, Grant, OperationKind};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::limits;
use crate::ops::batch::{Keys, Turn};
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
    refuse_towards_a_device(context, call, &asked).await?;
    let (role, key) = (KeyRole::Source, &asked.source_key);
    let source = call.granted(context, role, key).await?;
    let (role, key) = (KeyRole::Destination, &asked.destination_key);
    let destination = call.granted(context, role, key).await?;
    translate_with(context, call, &source, &destination, &asked).await
}

/// The PIN blocks of one batch call, translated one item at a time.
pub struct Translating<'a> {
    context: &'a Context,
    call: &'a Call,
    sources: Keys<DecryptPin>,
    destinations: Keys<EncryptPin>,
    turn: Turn,
}

impl<'a> Translating<'a> {
    /// Before the first item.
    #[must_use]
    pub fn new(context: &'a Context, call: &'a Call) -> Self {
        Self {
            context,
            call,
            sources: Keys::new(KeyRole::Source),
            destinations: Keys::new(KeyRole::Destination),
            turn: Turn::default(),
        }
    }

    /// Translates the block of one item, as [`translate`] does.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub async fn item(&mut self, asked: TranslatePin) -> Result<TranslatedPin, Error> {
        let (context, call) = (self.context, self.call);
        let block_bytes = asked.pin_block.expose_secret().len();
        self.turn.count(block_bytes).await;
        refuse_towards_a_device(context, call, &asked).await?;
        let source = self.sources.grant(context, call, &asked.source_key).await?;
        let destination = self
            .destinations
            .grant(context, call, &asked.destination_key)
            .await?;
        translate_with(context, call, source, destination, &asked).await
    }
}

async fn translate_with(
    context: &Context,
    call: &Call,
    source: &Grant<DecryptPin>,
    destination: &Grant<EncryptPin>,
    asked: &TranslatePin,
) -> Result<TranslatedPin, Error> {
    let TranslatePin {
        source_key: _,
        destination_key: _,
        source_format,
        pan,
        pin_block,
    } = asked;
    let from = (*source_format, source.cipher().algorithm());
    let to = (destination.format(), destination.cipher().algorithm());
    // A block without PAN goes where somebody else binds it and answers for that: to a zone, not
    // to an issuer's key.
    let to_no_zone = destination.side() != Some(Side::Zone);
    let stray = from.0 == Format::X98NoPan && to_no_zone;
    if stray || !pin_block::translation_allowed(from, to) {
        return Err(Error::TranslationForbidden);
    }
    if !source.formats().contains(from.0) {
        return Err(Error::PinFormatRefused);
    }
    let pan = parse_pan(pan.expose_secret(), from, to)?;
    let block = pin_block.expose_secret();
    if block.len() != from.0.block_bytes() {
        return Err(Error::PinBlockLength);
    }
    let translation = Translation {
        source,
        source_format: from.0,
        destination,
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
/// but a thief's. Asked before a key is granted, so that no KSN is used up; what is wrong with the
/// device's own key is said first.
async fn refuse_towards_a_device(
    context: &Context,
    call: &Call,
    asked: &TranslatePin,
) -> Result<(), Error> {
    let of_a_device = |key: &KeyRef| matches!(key, KeyRef::Dukpt(_));
    let role = KeyRole::Destination;
    if of_a_device(&asked.destination_key) && !of_a_device(&asked.source_key) {
        call.resolve(context, role, &asked.destination_key).await?;
        let what = OperationKind::EncryptPin;
        return Err(Error::Key(role, keys::error::Error::UsageRefused { what }));
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
