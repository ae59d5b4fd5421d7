//! `PinService`: wire to domain and back. What is an issuer's stands in `verification`.

mod verification;

use tonic::{Request, Response, Status};

use crate::domain::pin_block::Format;
use crate::ops;
use crate::ops::context::Context;
use crate::secret::Secret;
use crate::service::authorize::Rpc;
use crate::service::outcome::{counted, refusal};
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::pin_service_server::PinService;
use crate::service::wire::{key_ref, key_use};
use crate::service::{Error, admitted};

/// `pintle.v1.PinService`.
pub struct Pin(pub Context);

#[tonic::async_trait]
impl PinService for Pin {
    async fn translate_pin(
        &self,
        request: Request<pb::TranslatePinRequest>,
    ) -> Result<Response<pb::TranslatePinResponse>, Status> {
        admitted::handle(Rpc::TranslatePin, request, async |call, message| {
            let asked = ops::pin::TranslatePin::try_from(message)?;
            Ok(ops::pin::translate(&self.0, call, asked).await?.into())
        })
        .await
    }

    async fn translate_pins(
        &self,
        request: Request<pb::TranslatePinsRequest>,
    ) -> Result<Response<pb::TranslatePinsResponse>, Status> {
        use pb::translate_pins_outcome::Outcome;
        const RPC: Rpc = Rpc::TranslatePins;
        admitted::handle(RPC, request, async |call, message| {
            let pb::TranslatePinsRequest { items } = message;
            let items = counted(items, "items")?;
            // Of all items, before the first key is looked for: card data is wiped from here on.
            let asked: Vec<Result<ops::pin::TranslatePin, Error>> = items
                .into_iter()
                .map(|item| pb::TranslatePinRequest::from(item).try_into())
                .collect();
            let mut batch = ops::pin::Translating::new(&self.0, call);
            let mut outcomes = Vec::with_capacity(asked.len());
            for item in asked {
                let translated = match item {
                    Ok(item) => batch.item(item).await.map_err(Error::from),
                    Err(error) => Err(error),
                };
                let outcome = match translated {
                    Ok(translated) => Outcome::Translated(translated.into()),
                    Err(error) => Outcome::Refused(refusal(RPC, &error)),
                };
                outcomes.push(pb::TranslatePinsOutcome {
                    outcome: Some(outcome),
                });
            }
            Ok(pb::TranslatePinsResponse { outcomes })
        })
        .await
    }

    async fn verify_pin(
        &self,
        request: Request<pb::VerifyPinRequest>,
    ) -> Result<Response<pb::VerifyPinResponse>, Status> {
        admitted::handle(Rpc::VerifyPin, request, async |call, message| {
            let (asked, reference) = verification::asked_to_verify(message)?;
            let verified = ops::pin_verification::verify(&self.0, call, asked, &reference).await?;
            Ok(verified.into())
        })
        .await
    }

    async fn generate_pin_reference(
        &self,
        request: Request<pb::GeneratePinReferenceRequest>,
    ) -> Result<Response<pb::GeneratePinReferenceResponse>, Status> {
        admitted::handle(Rpc::GeneratePinReference, request, async |call, message| {
            let asked = ops::pin_verification::IncomingPin::try_from(message)?;
            let made = ops::pin_verification::make_reference(&self.0, call, asked).await?;
            Ok(made.into())
        })
        .await
    }

    async fn generate_pin(
        &self,
        request: Request<pb::GeneratePinRequest>,
    ) -> Result<Response<pb::GeneratePinResponse>, Status> {
        admitted::handle(Rpc::GeneratePin, request, async |call, message| {
            let asked = ops::pin_verification::GeneratePin::try_from(message)?;
            let made = ops::pin_verification::generate(&self.0, call, asked).await?;
            Ok(made.into())
        })
        .await
    }
}

impl From<pb::TranslatePinsItem> for pb::TranslatePinRequest {
    /// An item is what a call of its own would be.
    fn from(item: pb::TranslatePinsItem) -> Self {
        let pb::TranslatePinsItem {
            source_key,
            destination_key,
            source_format,
            pan,
            pin_block,
        } = item;
        Self {
            source_key,
            destination_key,
            source_format,
            pan,
            pin_block,
        }
    }
}

impl TryFrom<pb::TranslatePinRequest> for ops::pin::TranslatePin {
    type Error = Error;

    fn try_from(message: pb::TranslatePinRequest) -> Result<Self, Error> {
        let pb::TranslatePinRequest {
            source_key,
            destination_key,
            source_format,
            pan,
            pin_block,
        } = message;
        // Card data is wiped from here on, also when a field before it is refused.
        let (pan, pin_block) = (Secret::new(pan), Secret::new(pin_block));
        let source_key = key_ref(source_key, "source_key")?;
        let destination_key = key_ref(destination_key, "destination_key")?;
        let source_format = format_of(source_format)?;
        if pan.expose_secret().is_empty() {
            return Err(Error::FieldMissing("pan"));
        }
        if pin_block.expose_secret().is_empty() {
            return Err(Error::FieldMissing("pin_block"));
        }
        Ok(Self {
            source_key,
            destination_key,
            source_format,
            pan,
            pin_block,
        })
    }
}

impl From<ops::pin::TranslatedPin> for pb::TranslatePinResponse {
    fn from(translated: ops::pin::TranslatedPin) -> Self {
        let ops::pin::TranslatedPin {
            pin_block,
            format,
            source_key,
            destination_key,
        } = translated;
        Self {
            pin_block: pin_block.as_bytes().to_vec(),
            format: self::format(format).into(),
            source_key: Some(key_use(source_key)),
            destination_key: Some(key_use(destination_key)),
        }
    }
}

fn format_of(value: i32) -> Result<Format, Error> {
    let known = pb::PinBlockFormat::try_from(value);
    match known.map_err(|_| Error::EnumUnknown("source_format"))? {
        pb::PinBlockFormat::Unspecified => Err(Error::FieldMissing("source_format")),
        pb::PinBlockFormat::Iso0 => Ok(Format::Iso0),
        pb::PinBlockFormat::Iso1 => Ok(Format::Iso1),
        pb::PinBlockFormat::Iso3 => Ok(Format::Iso3),
        pb::PinBlockFormat::Iso4 => Ok(Format::Iso4),
        pb::PinBlockFormat::Sm4Fmt4Layout => Ok(Format::Sm4Fmt4Layout),
        pb::PinBlockFormat::Sm4Unionpay16 => Ok(Format::Sm4Unionpay16),
        pb::PinBlockFormat::Sm4Unionpay8pad => Ok(Format::Sm4Unionpay8pad),
        pb::PinBlockFormat::Iso4Pan12 => Ok(Format::Iso4Pan12),
        pb::PinBlockFormat::X98NoPan => Ok(Format::X98NoPan),
    }
}

/// A format as the wire says it.
pub(in crate::service) const fn format(format: Format) -> pb::PinBlockFormat {
    match format {
        Format::Iso0 => pb::PinBlockFormat::Iso0,
        Format::Iso1 => pb::PinBlockFormat::Iso1,
        Format::Iso3 => pb::PinBlockFormat::Iso3,
        Format::Iso4 => pb::PinBlockFormat::Iso4,
        Format::Sm4Fmt4Layout => pb::PinBlockFormat::Sm4Fmt4Layout,
        Format::Sm4Unionpay16 => pb::PinBlockFormat::Sm4Unionpay16,
        Format::Sm4Unionpay8pad => pb::PinBlockFormat::Sm4Unionpay8pad,
        Format::Iso4Pan12 => pb::PinBlockFormat::Iso4Pan12,
        Format::X98NoPan => pb::PinBlockFormat::X98NoPan,
    }
}
