//! The issuer's half of `PinService`: its messages to what `ops` takes, and back.

use crate::ops::pin_engine::PinChoice;
use crate::ops::pin_verification::{
    GeneratePin, GeneratedPin, IncomingPin, MadeReference, VerifiedPin,
};
use crate::secret::Secret;
use crate::service::Error;
use crate::service::pb::v1 as pb;
use crate::service::pin::{format, format_of};
use crate::service::wire::{key_ref, key_use};

/// The parts of a block whose PIN is looked into, in the order of the messages.
type Parts = (
    Option<pb::KeyRef>,
    Option<pb::KeyRef>,
    i32,
    Secret<String>,
    Secret<Vec<u8>>,
);

/// The block, and what its PIN is compared with.
pub(super) fn asked_to_verify(
    message: pb::VerifyPinRequest,
) -> Result<(IncomingPin, String), Error> {
    let pb::VerifyPinRequest {
        source_key,
        verification_key,
        source_format,
        pan,
        pin_block,
        reference,
    } = message;
    // Card data is wiped from here on, also when a field before it is refused.
    let (pan, pin_block) = (Secret::new(pan), Secret::new(pin_block));
    let incoming = incoming((source_key, verification_key, source_format, pan, pin_block))?;
    if reference.is_empty() {
        return Err(Error::FieldMissing("reference"));
    }
    Ok((incoming, reference))
}

impl TryFrom<pb::GeneratePinReferenceRequest> for IncomingPin {
    type Error = Error;

    fn try_from(message: pb::GeneratePinReferenceRequest) -> Result<Self, Error> {
        let pb::GeneratePinReferenceRequest {
            source_key,
            verification_key,
            source_format,
            pan,
            pin_block,
        } = message;
        let (pan, pin_block) = (Secret::new(pan), Secret::new(pin_block));
        incoming((source_key, verification_key, source_format, pan, pin_block))
    }
}

impl TryFrom<pb::GeneratePinRequest> for GeneratePin {
    type Error = Error;

    fn try_from(message: pb::GeneratePinRequest) -> Result<Self, Error> {
        let choice = message.choice();
        let pb::GeneratePinRequest {
            destination_key,
            verification_key,
            pan,
            choice: number,
        } = message;
        let pan = Secret::new(pan);
        let destination_key = key_ref(destination_key, "destination_key")?;
        let verification_key = key_ref(verification_key, "verification_key")?;
        if pan.expose_secret().is_empty() {
            return Err(Error::FieldMissing("pan"));
        }
        let choice = match choice {
            pb::PinChoice::Random => PinChoice::Random,
            pb::PinChoice::Natural => PinChoice::Natural,
            pb::PinChoice::Unspecified if number != 0 => return Err(Error::EnumUnknown("choice")),
            pb::PinChoice::Unspecified => return Err(Error::FieldMissing("choice")),
        };
        Ok(Self {
            destination_key,
            verification_key,
            pan,
            choice,
        })
    }
}

impl From<VerifiedPin> for pb::VerifyPinResponse {
    fn from(verified: VerifiedPin) -> Self {
        let VerifiedPin {
            valid,
            source_key,
            verification_key,
        } = verified;
        Self {
            valid,
            source_key: Some(key_use(source_key)),
            verification_key: Some(key_use(verification_key)),
        }
    }
}

impl From<MadeReference> for pb::GeneratePinReferenceResponse {
    fn from(made: MadeReference) -> Self {
        let MadeReference {
            reference,
            source_key,
            verification_key,
        } = made;
        Self {
            reference: reference.to_string(),
            source_key: Some(key_use(source_key)),
            verification_key: Some(key_use(verification_key)),
        }
    }
}

impl From<GeneratedPin> for pb::GeneratePinResponse {
    fn from(generated: GeneratedPin) -> Self {
        let GeneratedPin {
            pin_block,
            format,
            reference,
            destination_key,
            verification_key,
        } = generated;
        Self {
            pin_block: pin_block.as_bytes().to_vec(),
            format: self::format(format).into(),
            reference: reference.to_string(),
            destination_key: Some(key_use(destination_key)),
            verification_key: Some(key_use(verification_key)),
        }
    }
}

fn incoming(parts: Parts) -> Result<IncomingPin, Error> {
    let (source_key, verification_key, source_format, pan, pin_block) = parts;
    let source_key = key_ref(source_key, "source_key")?;
    let verification_key = key_ref(verification_key, "verification_key")?;
    let source_format = format_of(source_format)?;
    if pan.expose_secret().is_empty() {
        return Err(Error::FieldMissing("pan"));
    }
    if pin_block.expose_secret().is_empty() {
        return Err(Error::FieldMissing("pin_block"));
    }
    Ok(IncomingPin {
        source_key,
        verification_key,
        source_format,
        pan,
        pin_block,
    })
}
