//! `TerminalService`: wire to domain and back.

use tonic::{Request, Response, Status};

use crate::keys::sign_in::{SignedIn, WorkingKey};
use crate::ops;
use crate::ops::context::Context;
use crate::ops::terminal::{CarriedPin, Done, PinEncoding, PinPlace, SecureMessage, Secured};
use crate::secret::Secret;
use crate::service::authorize::Rpc;
use crate::service::mac::scheme;
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::terminal_service_server::TerminalService;
use crate::service::pin::format;
use crate::service::wire::{key_ref, key_use, named};
use crate::service::{Error, admitted};

/// `pintle.v1.TerminalService`.
pub struct Terminal(pub Context);

#[tonic::async_trait]
impl TerminalService for Terminal {
    async fn sign_in(
        &self,
        request: Request<pb::SignInRequest>,
    ) -> Result<Response<pb::SignInResponse>, Status> {
        admitted::changing(Rpc::SignIn, request, async |call, asked, message| {
            let pb::SignInRequest {
                request_id,
                terminal_key,
                protection_key,
            } = message;
            let keys = (
                named(&terminal_key, "terminal_key")?,
                named(&protection_key, "protection_key")?,
            );
            let request = asked.under(&request_id);
            let signed_in = ops::terminal::sign_in(&self.0, call, request, keys).await?;
            Ok(signed_in.into())
        })
        .await
    }

    async fn secure_message(
        &self,
        request: Request<pb::SecureMessageRequest>,
    ) -> Result<Response<pb::SecureMessageResponse>, Status> {
        admitted::handle(Rpc::SecureMessage, request, async |call, message| {
            let asked = SecureMessage::try_from(message)?;
            let secured = ops::terminal::secure_message(&self.0, call, asked).await?;
            Ok(secured.into())
        })
        .await
    }
}

impl From<SignedIn> for pb::SignInResponse {
    fn from(signed_in: SignedIn) -> Self {
        let SignedIn { keys, field_62 } = signed_in;
        Self {
            keys: keys.into_iter().map(pb::WorkingKey::from).collect(),
            field_62,
        }
    }
}

impl From<WorkingKey> for pb::WorkingKey {
    fn from(key: WorkingKey) -> Self {
        let WorkingKey {
            usage,
            algorithm,
            cryptogram,
            terminal_block,
            check_value,
            key_block,
        } = key;
        Self {
            usage: String::from_utf8_lossy(&usage.code()).into_owned(),
            algorithm: algorithm.to_string(),
            cryptogram,
            terminal_key_block: terminal_block,
            check_value,
            key_block,
        }
    }
}

impl TryFrom<pb::SecureMessageRequest> for SecureMessage {
    type Error = Error;

    fn try_from(message: pb::SecureMessageRequest) -> Result<Self, Error> {
        let pb::SecureMessageRequest {
            incoming_mac_key,
            incoming_message,
            incoming_mac,
            pin,
            outgoing_mac_key,
            outgoing_message,
        } = message;
        // Card data is wiped from here on, also when a field before it is refused.
        let incoming_message = Secret::new(incoming_message);
        let outgoing_message = Secret::new(outgoing_message);
        let pin = pin.map(CarriedPin::try_from).transpose()?;
        let incoming_mac_key = key_ref(incoming_mac_key, "incoming_mac_key")?;
        let outgoing_mac_key = key_ref(outgoing_mac_key, "outgoing_mac_key")?;
        if incoming_mac.is_empty() {
            return Err(Error::FieldMissing("incoming_mac"));
        }
        Ok(Self {
            incoming_mac_key,
            incoming_message,
            incoming_mac,
            pin,
            outgoing_mac_key,
            outgoing_message,
        })
    }
}

impl TryFrom<pb::CarriedPin> for CarriedPin {
    type Error = Error;

    fn try_from(message: pb::CarriedPin) -> Result<Self, Error> {
        let pb::CarriedPin {
            source_key,
            destination_key,
            source_format,
            pan,
            pin_block,
            place,
        } = message;
        let translation = pb::TranslatePinRequest {
            source_key,
            destination_key,
            source_format,
            pan,
            pin_block,
        };
        Ok(Self {
            translation: translation.try_into()?,
            place: place.map(PinPlace::try_from).transpose()?,
        })
    }
}

impl TryFrom<pb::PinPlace> for PinPlace {
    type Error = Error;

    fn try_from(message: pb::PinPlace) -> Result<Self, Error> {
        let pb::PinPlace { offset, encoding } = message;
        let known = pb::PinEncoding::try_from(encoding);
        let encoding = match known.map_err(|_| Error::EnumUnknown("encoding"))? {
            pb::PinEncoding::Unspecified => return Err(Error::FieldMissing("encoding")),
            pb::PinEncoding::Binary => PinEncoding::Binary,
            pb::PinEncoding::Hex => PinEncoding::Hex,
        };
        Ok(Self {
            offset: usize::try_from(offset).map_err(|_| Error::FieldMalformed("offset"))?,
            encoding,
        })
    }
}

impl From<Secured> for pb::SecureMessageResponse {
    fn from(secured: Secured) -> Self {
        let done = match secured {
            Secured::Refused { incoming } => {
                return Self {
                    valid: false,
                    incoming_mac_key: Some(key_use(incoming)),
                    ..Self::default()
                };
            }
            Secured::Done(done) => *done,
        };
        let Done {
            incoming,
            pin,
            outgoing,
        } = done;
        let ops::mac::Generated {
            mac,
            scheme: made_by,
            key: outgoing,
        } = outgoing;
        let answer = Self {
            valid: true,
            incoming_mac_key: Some(key_use(incoming)),
            mac: mac.as_bytes().to_vec(),
            mac_scheme: scheme(made_by).into(),
            outgoing_mac_key: Some(key_use(outgoing)),
            ..Self::default()
        };
        let Some(pin) = pin else { return answer };
        let ops::pin::TranslatedPin {
            pin_block,
            format: framed,
            source_key,
            destination_key,
        } = pin;
        Self {
            pin_block: pin_block.as_bytes().to_vec(),
            pin_block_format: format(framed).into(),
            source_key: Some(key_use(source_key)),
            destination_key: Some(key_use(destination_key)),
            ..answer
        }
    }
}
