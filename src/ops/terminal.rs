//! What a terminal's host asks for whole: the answer to a sign-in, and a message's way from one
//! side to the other, MAC checked, PIN translated, MAC made again, all or nothing.

use crate::keys::attributes::Usage;
use crate::keys::grant::{GenerateMac, Grant, VerifyMac};
use crate::keys::key_ref::{KeyRef, NamedKey};
use crate::keys::open_key::KeyUse;
use crate::keys::sign_in::{self, SignedIn, Terminal};
use crate::limits;
use crate::ops::context::{Call, Context};
use crate::ops::keys::{Begun, Request, begin, granted};
use crate::ops::mac::{self, Generated};
use crate::ops::pin::{self, TranslatePin, TranslatedPin};
use crate::ops::{Error, KeyRole};
use crate::secret::Secret;

/// Signs a terminal in: new working keys, each for the terminal and for its host.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign_in(
    context: &Context,
    call: &Call,
    request: Request<'_>,
    (terminal, protection): (NamedKey, NamedKey),
) -> Result<SignedIn, Error> {
    let failed = |error| Error::Key(KeyRole::Terminal, error);
    let keys = [terminal.name.as_str(), protection.name.as_str()];
    let act = match begin(context, call, request, &keys).await? {
        Begun::Repeated(outcome) => return SignedIn::of_outcome(&outcome).map_err(failed),
        Begun::New(act) => act,
    };
    let found = call
        .resolve(context, KeyRole::Terminal, &KeyRef::Named(terminal))
        .await?;
    let terminal = match found.header().usage {
        Usage::KeyBlockProtection => Terminal::Blocks(call.grant(KeyRole::Terminal, found)?),
        _ => Terminal::Cryptograms(call.grant(KeyRole::Terminal, found)?),
    };
    let protection = granted(context, call, KeyRole::Protection, protection).await?;
    let signed_in = sign_in::sign_in(&context.catalogue, &terminal, &protection, &act);
    signed_in.await.map_err(failed)
}

/// A message on its way from one side to the other.
pub struct SecureMessage {
    /// The key of the MAC that came.
    pub incoming_mac_key: KeyRef,
    /// The message that came.
    pub incoming_message: Secret<Vec<u8>>,
    /// The MAC that came.
    pub incoming_mac: Vec<u8>,
    /// The PIN block, if it has one.
    pub pin: Option<CarriedPin>,
    /// The key of the MAC that goes.
    pub outgoing_mac_key: KeyRef,
    /// The message that goes.
    pub outgoing_message: Secret<Vec<u8>>,
}

/// A PIN block on its way through.
pub struct CarriedPin {
    /// Its translation.
    pub translation: TranslatePin,
    /// Where it stands in the message that goes; none where the MAC does not cover it.
    pub place: Option<PinPlace>,
}

/// A place within a message.
#[derive(Clone, Copy)]
pub struct PinPlace {
    /// From the message's first byte.
    pub offset: usize,
    /// How the block is written there.
    pub encoding: PinEncoding,
}

/// How a PIN block stands in a message.
#[derive(Clone, Copy)]
pub enum PinEncoding {
    /// Its bytes.
    Binary,
    /// Upper-case hexadecimal.
    Hex,
}

/// What became of a message.
pub enum Secured {
    /// Its MAC did not match; nothing else was done.
    Refused {
        /// The key that says so.
        incoming: KeyUse,
    },
    /// All of it was done.
    Done(Box<Done>),
}

/// A message that goes on.
pub struct Done {
    /// The key of the MAC that came.
    pub incoming: KeyUse,
    /// The PIN block, if there was one.
    pub pin: Option<TranslatedPin>,
    /// The MAC that goes.
    pub outgoing: Generated,
}

/// Verifies, translates and makes the new MAC. The PIN block is looked at only once the message
/// that brought it is known to be whole.
///
/// # Errors
/// See [`enum@Error`]; every fault of the PIN block's content is [`Error::PinBlockRejected`].
pub async fn secure_message(
    context: &Context,
    call: &Call,
    asked: SecureMessage,
) -> Result<Secured, Error> {
    let SecureMessage {
        incoming_mac_key,
        incoming_message,
        incoming_mac,
        pin,
        outgoing_mac_key,
        mut outgoing_message,
    } = asked;
    for message in [&incoming_message, &outgoing_message] {
        if message.expose_secret().len() > limits::SECURE_MESSAGE_BYTES_MAX {
            return Err(Error::MessageTooLong);
        }
    }
    let role = KeyRole::IncomingMac;
    let incoming: Grant<VerifyMac> = call.granted(context, role, &incoming_mac_key).await?;
    let role = KeyRole::OutgoingMac;
    let outgoing: Grant<GenerateMac> = call.granted(context, role, &outgoing_mac_key).await?;

    let message = incoming_message.expose_secret();
    let verified = mac::verify_with(&incoming, message, &incoming_mac)?;
    if !verified.valid {
        return Ok(Secured::Refused {
            incoming: verified.key,
        });
    }
    let pin = match pin {
        None => None,
        Some(CarriedPin { translation, place }) => {
            let translated = pin::translate(context, call, translation).await?;
            if let Some(place) = place {
                let message = outgoing_message.expose_secret_mut();
                put(place, translated.pin_block.as_bytes(), message)?;
            }
            Some(translated)
        }
    };
    let message = outgoing_message.expose_secret();
    Ok(Secured::Done(Box::new(Done {
        incoming: verified.key,
        pin,
        outgoing: mac::generate_with(&outgoing, message)?,
    })))
}

/// Writes a PIN block over its place.
fn put(place: PinPlace, block: &[u8], message: &mut [u8]) -> Result<(), Error> {
    let written = match place.encoding {
        PinEncoding::Binary => block.to_vec(),
        PinEncoding::Hex => hex::encode_upper(block).into_bytes(),
    };
    let end = place.offset.checked_add(written.len());
    let room = end.and_then(|end| message.get_mut(place.offset..end));
    room.ok_or(Error::PinPlace)?.copy_from_slice(&written);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_block_is_written_over_its_place_or_not_at_all() {
        let at = |offset, encoding| PinPlace { offset, encoding };
        let mut message = *b"0200....tail";
        put(
            at(4, PinEncoding::Binary),
            b"\xAB\xCD\xEF\x01",
            &mut message,
        )
        .unwrap();
        assert_eq!(&message, b"0200\xAB\xCD\xEF\x01tail");
        put(at(4, PinEncoding::Hex), b"\xAB\xCD", &mut message).unwrap();
        assert_eq!(&message, b"0200ABCDtail");
        for (offset, encoding) in [
            (9, PinEncoding::Binary),
            (5, PinEncoding::Hex),
            (12, PinEncoding::Binary),
            (usize::MAX, PinEncoding::Binary),
        ] {
            let before = message;
            let put = put(at(offset, encoding), b"\xAB\xCD\xEF\x01", &mut message);
            assert!(matches!(put, Err(Error::PinPlace)), "{offset}");
            assert_eq!(message, before);
        }
    }
}
