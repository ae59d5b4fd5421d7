//! The issuer's calls: verifying a PIN, making what is kept of it (a PVV, an offset), and making a
//! PIN. Everything that can be refused without the clear PIN is refused before a try is counted,
//! and a try is counted before the PIN is looked at.
//!
//! Not here: what is compared with what (`domain::pin_verification`), and how many tries there are
//! (`keys::budget`).

use crate::domain::pan::{Pan, PanError};
use crate::domain::pin_block::{self, EncryptedPinBlock, Format};
use crate::domain::pin_verification::{Method, Reference, format_binds_pan};
use crate::keys::budget::{BudgetRules, Reserved, Try};
use crate::keys::decimalisation::Tables;
use crate::keys::grant::{
    DecryptPinToReference, DecryptPinToVerify, EncryptPin, Grant, MakePinReference,
    VerifyPin as MayVerifyPin,
};
use crate::keys::key_policy::{FormatSet, PinVerification};
use crate::keys::key_ref::{KeyName, KeyRef};
use crate::keys::open_key::KeyUse;
use crate::limits;
use crate::ops::context::{Call, Context};
use crate::ops::pin_engine::{Generation, PinChoice, Referencing, Verification};
use crate::ops::{Error, KeyRole};
use crate::secret::Secret;

/// What a server verifies with besides keys.
#[derive(Clone, Default)]
pub struct Issuer {
    /// The decimalisation tables that were read.
    pub tables: Tables,
    /// How many tries there are.
    pub budgets: BudgetRules,
}

/// A PIN block whose PIN is looked into.
pub struct IncomingPin {
    /// The key it is under.
    pub source_key: KeyRef,
    /// The PIN verification key.
    pub verification_key: KeyRef,
    /// Its layout.
    pub source_format: Format,
    /// The PAN, digits.
    pub pan: Secret<String>,
    /// The block.
    pub pin_block: Secret<Vec<u8>>,
}

/// Whether a PIN was right: one bit, and which keys said so.
pub struct VerifiedPin {
    /// It was.
    pub valid: bool,
    /// The source key used.
    pub source_key: KeyUse,
    /// The verification key used.
    pub verification_key: KeyUse,
}

/// Compares the PIN in a block with what is kept of it. A block that does not decrypt, a digit that
/// is none and a wrong PIN are one answer.
///
/// # Errors
/// See [`enum@Error`]; none depends on the clear PIN.
pub async fn verify(
    context: &Context,
    call: &Call,
    asked: IncomingPin,
    reference: &str,
) -> Result<VerifiedPin, Error> {
    let source: Grant<DecryptPinToVerify> = call
        .granted(context, KeyRole::Source, &asked.source_key)
        .await?;
    let key: Grant<MayVerifyPin> = call
        .granted(context, KeyRole::Verification, &asked.verification_key)
        .await?;
    check_format(source.formats(), asked.source_format)?;
    let method = method(context, key.tenant(), key.rule()).await?;
    let pan = check_block(&asked, method)?;
    let reference = Reference::parse(reference).map_err(|_| Error::PinReference)?;
    if reference.len() != method.pin_digits() {
        return Err(Error::PinReference);
    }
    let reserved = Reserved::for_verification(
        &context.catalogue,
        context.issuer.budgets,
        try_of(call, key.key_use(), &pan),
        call.deadline(),
    )
    .await
    .map_err(|error| Error::Key(KeyRole::Verification, error))?;
    let verification = Verification {
        source: &source,
        source_format: asked.source_format,
        key: &key,
        method,
        pan: &pan,
        block: asked.pin_block.expose_secret(),
        reference,
        deadline: call.deadline(),
    };
    let valid = context.pin_engine.verify(verification).await?;
    if valid {
        reserved.give_back(&context.catalogue);
    }
    Ok(VerifiedPin {
        valid,
        source_key: source.key_use().clone(),
        verification_key: key.key_use().clone(),
    })
}

/// What is kept of a PIN, and which keys made it.
pub struct MadeReference {
    /// The PVV or the offset.
    pub reference: Reference,
    /// The source key used.
    pub source_key: KeyUse,
    /// The verification key used.
    pub verification_key: KeyUse,
}

/// Makes what is kept of the PIN in a block.
///
/// # Errors
/// See [`enum@Error`]; every fault of the block's content is [`Error::PinBlockRejected`].
pub async fn make_reference(
    context: &Context,
    call: &Call,
    asked: IncomingPin,
) -> Result<MadeReference, Error> {
    let source: Grant<DecryptPinToReference> = call
        .granted(context, KeyRole::Source, &asked.source_key)
        .await?;
    let key: Grant<MakePinReference> = call
        .granted(context, KeyRole::Verification, &asked.verification_key)
        .await?;
    check_format(source.formats(), asked.source_format)?;
    let method = method(context, key.tenant(), key.rule()).await?;
    let pan = check_block(&asked, method)?;
    // Never given back: each answer is as good as a try.
    let _taken = Reserved::for_reference(
        &context.catalogue,
        context.issuer.budgets,
        try_of(call, key.key_use(), &pan),
        call.deadline(),
    )
    .await
    .map_err(|error| Error::Key(KeyRole::Verification, error))?;
    let referencing = Referencing {
        source: &source,
        source_format: asked.source_format,
        key: &key,
        method,
        pan: &pan,
        block: asked.pin_block.expose_secret(),
        deadline: call.deadline(),
    };
    let reference = context.pin_engine.make_reference(referencing).await?;
    Ok(MadeReference {
        reference,
        source_key: source.key_use().clone(),
        verification_key: key.key_use().clone(),
    })
}

/// A PIN to make.
pub struct GeneratePin {
    /// The key that it goes out under.
    pub destination_key: KeyRef,
    /// The PIN verification key.
    pub verification_key: KeyRef,
    /// The PAN, digits.
    pub pan: Secret<String>,
    /// Which PIN.
    pub choice: PinChoice,
}

/// A PIN that was made: under its key, and what is kept of it.
pub struct GeneratedPin {
    /// The block.
    pub pin_block: EncryptedPinBlock,
    /// Its layout.
    pub format: Format,
    /// The PVV or the offset.
    pub reference: Reference,
    /// The destination key used.
    pub destination_key: KeyUse,
    /// The verification key used.
    pub verification_key: KeyUse,
}

/// Makes a PIN, which nobody sees: it leaves as an encrypted block only.
///
/// # Errors
/// See [`enum@Error`].
pub async fn generate(
    context: &Context,
    call: &Call,
    asked: GeneratePin,
) -> Result<GeneratedPin, Error> {
    let destination: Grant<EncryptPin> = call
        .granted(context, KeyRole::Destination, &asked.destination_key)
        .await?;
    let key: Grant<MakePinReference> = call
        .granted(context, KeyRole::Verification, &asked.verification_key)
        .await?;
    let format = destination.format();
    if !format_binds_pan(format) {
        return Err(Error::PinFormatUnbound);
    }
    let method = method(context, key.tenant(), key.rule()).await?;
    if asked.choice == PinChoice::Natural && !method.has_natural_pin() {
        return Err(Error::NoNaturalPin);
    }
    let pan = parse_pan(asked.pan.expose_secret(), format, method)?;
    let generation = Generation {
        destination: &destination,
        key: &key,
        method,
        choice: asked.choice,
        pan: &pan,
        fleet: context.catalogue.fleet(),
        deadline: call.deadline(),
    };
    let (pin_block, reference) = context.pin_engine.generate(generation).await?;
    Ok(GeneratedPin {
        pin_block,
        format,
        reference,
        destination_key: destination.key_use().clone(),
        verification_key: key.key_use().clone(),
    })
}

/// How a key verifies, its table read.
async fn method(
    context: &Context,
    tenant: &KeyName,
    rule: &PinVerification,
) -> Result<Method, Error> {
    match rule {
        PinVerification::VisaPvv(pvki) => Ok(Method::VisaPvv(*pvki)),
        PinVerification::Ibm3624 { rule, table } => {
            let tables = &context.issuer.tables;
            let found = tables.find(&context.catalogue, tenant, table).await;
            let table = found.map_err(|error| Error::Key(KeyRole::Verification, error))?;
            Ok(Method::Ibm3624(*rule, table))
        }
    }
}

fn check_format(listed: FormatSet, format: Format) -> Result<(), Error> {
    if !format_binds_pan(format) {
        return Err(Error::PinFormatUnbound);
    }
    if !listed.contains(format) {
        return Err(Error::PinFormatRefused);
    }
    Ok(())
}

/// The PAN of a block whose length is its format's.
fn check_block(asked: &IncomingPin, method: Method) -> Result<Pan, Error> {
    let pan = parse_pan(asked.pan.expose_secret(), asked.source_format, method)?;
    if asked.pin_block.expose_secret().len() != asked.source_format.block_bytes() {
        return Err(Error::PinBlockLength);
    }
    Ok(pan)
}

/// The PAN, of a length that cards have and that format and method take.
fn parse_pan(text: &str, format: Format, method: Method) -> Result<Pan, Error> {
    let pan = Pan::parse(text).map_err(|error| match error {
        PanError::NotDigits => Error::PanMalformed,
        PanError::Length | PanError::TooShort => Error::PanLength,
    })?;
    let taken = limits::PAN_DIGITS_MIN <= pan.len()
        && pin_block::pan_length_allowed(format, pan.len())
        && method.pan_length_allowed(pan.len());
    if taken {
        Ok(pan)
    } else {
        Err(Error::PanLength)
    }
}

fn try_of<'a>(call: &'a Call, key: &'a KeyUse, pan: &'a Pan) -> Try<'a> {
    Try {
        tenant: call.scope().tenant(),
        caller: call.caller(),
        key: &key.name,
        pan,
    }
}
