//! `MacService`: wire to domain and back.

use tonic::{Request, Response, Status, Streaming};

use crate::domain::mac::Scheme;
use crate::ops;
use crate::ops::context::Context;
use crate::ops::mac::Parts;
use crate::service::admitted::Incoming;
use crate::service::authorize::Rpc;
use crate::service::outcome::{counted, refusal};
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::mac_service_server::MacService;
use crate::service::wire::{key_ref, key_use};
use crate::service::{Error, admitted};

/// `pintle.v1.MacService`.
pub struct Mac(pub Context);

#[tonic::async_trait]
impl MacService for Mac {
    async fn generate_mac(
        &self,
        request: Request<pb::GenerateMacRequest>,
    ) -> Result<Response<pb::GenerateMacResponse>, Status> {
        admitted::handle(Rpc::GenerateMac, request, async |call, message| {
            let pb::GenerateMacRequest { key, message } = message;
            let key = key_ref(key, "key")?;
            let made = ops::mac::generate(&self.0, call, &key, &message).await?;
            Ok(generated(made))
        })
        .await
    }

    async fn verify_mac(
        &self,
        request: Request<pb::VerifyMacRequest>,
    ) -> Result<Response<pb::VerifyMacResponse>, Status> {
        admitted::handle(Rpc::VerifyMac, request, async |call, message| {
            let pb::VerifyMacRequest { key, message, mac } = message;
            let key = key_ref(key, "key")?;
            let mac = given(mac)?;
            let checked = ops::mac::verify(&self.0, call, &key, &message, &mac).await?;
            Ok(verified(checked))
        })
        .await
    }

    async fn generate_macs(
        &self,
        request: Request<pb::GenerateMacsRequest>,
    ) -> Result<Response<pb::GenerateMacsResponse>, Status> {
        use pb::generate_macs_outcome::Outcome;
        const RPC: Rpc = Rpc::GenerateMacs;
        admitted::handle(RPC, request, async |call, message| {
            let pb::GenerateMacsRequest { items } = message;
            let items = counted(items, "items")?;
            let mut batch = ops::mac::Generating::new(&self.0, call);
            let mut outcomes = Vec::with_capacity(items.len());
            for item in items {
                let outcome = match generate_item(&mut batch, item).await {
                    Ok(made) => Outcome::Made(generated(made)),
                    Err(error) => Outcome::Refused(refusal(RPC, &error)),
                };
                outcomes.push(pb::GenerateMacsOutcome {
                    outcome: Some(outcome),
                });
            }
            Ok(pb::GenerateMacsResponse { outcomes })
        })
        .await
    }

    async fn verify_macs(
        &self,
        request: Request<pb::VerifyMacsRequest>,
    ) -> Result<Response<pb::VerifyMacsResponse>, Status> {
        use pb::verify_macs_outcome::Outcome;
        const RPC: Rpc = Rpc::VerifyMacs;
        admitted::handle(RPC, request, async |call, message| {
            let pb::VerifyMacsRequest { items } = message;
            let items = counted(items, "items")?;
            let mut batch = ops::mac::Verifying::new(&self.0, call);
            let mut outcomes = Vec::with_capacity(items.len());
            for item in items {
                let outcome = match verify_item(&mut batch, item).await {
                    Ok(checked) => Outcome::Checked(verified(checked)),
                    Err(error) => Outcome::Refused(refusal(RPC, &error)),
                };
                outcomes.push(pb::VerifyMacsOutcome {
                    outcome: Some(outcome),
                });
            }
            Ok(pb::VerifyMacsResponse { outcomes })
        })
        .await
    }

    async fn generate_mac_stream(
        &self,
        request: Request<Streaming<pb::GenerateMacStreamRequest>>,
    ) -> Result<Response<pb::GenerateMacStreamResponse>, Status> {
        use pb::generate_mac_stream_request::Part;
        admitted::handle_stream(Rpc::GenerateMacStream, request, async |call, mut parts| {
            let first = parts.message().await?.and_then(|first| first.part);
            let Some(Part::Start(start)) = first else {
                return Err(Error::FieldMissing("start"));
            };
            let pb::GenerateMacStreamStart {
                key,
                message_length,
            } = start;
            let key = key_ref(key, "key")?;
            let made =
                ops::mac::generate_stream(&self.0, call, &key, message_length, parts).await?;
            let pb::GenerateMacResponse { mac, scheme, key } = generated(made);
            Ok(pb::GenerateMacStreamResponse { mac, scheme, key })
        })
        .await
    }

    async fn verify_mac_stream(
        &self,
        request: Request<Streaming<pb::VerifyMacStreamRequest>>,
    ) -> Result<Response<pb::VerifyMacStreamResponse>, Status> {
        use pb::verify_mac_stream_request::Part;
        admitted::handle_stream(Rpc::VerifyMacStream, request, async |call, mut parts| {
            let first = parts.message().await?.and_then(|first| first.part);
            let Some(Part::Start(start)) = first else {
                return Err(Error::FieldMissing("start"));
            };
            let pb::VerifyMacStreamStart {
                key,
                mac,
                message_length,
            } = start;
            let (key, mac) = (key_ref(key, "key")?, given(mac)?);
            let checked =
                ops::mac::verify_stream(&self.0, call, (&key, &mac), message_length, parts).await?;
            let pb::VerifyMacResponse { valid, scheme, key } = verified(checked);
            Ok(pb::VerifyMacStreamResponse { valid, scheme, key })
        })
        .await
    }
}

/// The rest of a stream: chunks, and nothing else.
macro_rules! parts {
    ($request:ident, $part:path) => {
        impl Parts for Incoming<pb::$request> {
            type Error = Error;

            async fn next(&mut self) -> Result<Option<Vec<u8>>, Error> {
                use $part as Part;
                match self.message().await?.map(|next| next.part) {
                    None => Ok(None),
                    Some(Some(Part::Chunk(chunk))) => Ok(Some(chunk)),
                    Some(Some(Part::Start(_))) => Err(Error::FieldSuperfluous("start")),
                    Some(None) => Err(Error::FieldMissing("chunk")),
                }
            }
        }
    };
}

parts!(
    GenerateMacStreamRequest,
    pb::generate_mac_stream_request::Part
);
parts!(VerifyMacStreamRequest, pb::verify_mac_stream_request::Part);

async fn generate_item(
    batch: &mut ops::mac::Generating<'_>,
    item: pb::GenerateMacsItem,
) -> Result<ops::mac::Generated, Error> {
    let pb::GenerateMacsItem { key, message } = item;
    let key = key_ref(key, "key")?;
    Ok(batch.item(&key, &message).await?)
}

async fn verify_item(
    batch: &mut ops::mac::Verifying<'_>,
    item: pb::VerifyMacsItem,
) -> Result<ops::mac::Verified, Error> {
    let pb::VerifyMacsItem { key, message, mac } = item;
    let key = key_ref(key, "key")?;
    let mac = given(mac)?;
    Ok(batch.item(&key, &message, &mac).await?)
}

fn given(mac: Vec<u8>) -> Result<Vec<u8>, Error> {
    if mac.is_empty() {
        return Err(Error::FieldMissing("mac"));
    }
    Ok(mac)
}

fn generated(made: ops::mac::Generated) -> pb::GenerateMacResponse {
    let ops::mac::Generated {
        mac,
        scheme: made_by,
        key,
    } = made;
    pb::GenerateMacResponse {
        mac: mac.as_bytes().to_vec(),
        scheme: scheme(made_by).into(),
        key: Some(key_use(key)),
    }
}

fn verified(checked: ops::mac::Verified) -> pb::VerifyMacResponse {
    let ops::mac::Verified {
        valid,
        scheme: made_by,
        key,
    } = checked;
    pb::VerifyMacResponse {
        valid,
        scheme: scheme(made_by).into(),
        key: Some(key_use(key)),
    }
}

pub(in crate::service) fn scheme(scheme: Scheme) -> pb::MacScheme {
    match scheme {
        Scheme::Iso9797Alg1Des => pb::MacScheme::Iso97971Alg1Des,
        Scheme::Iso9797Alg1Tdes => pb::MacScheme::Iso97971Alg1Tdes,
        Scheme::Iso9797Alg1Aes => pb::MacScheme::Iso97971Alg1Aes,
        Scheme::Iso9797Alg1Sm4 => pb::MacScheme::Iso97971Alg1Sm4,
        Scheme::Iso9797Alg3Des => pb::MacScheme::Iso97971Alg3Des,
        Scheme::CmacTdes => pb::MacScheme::CmacTdes,
        Scheme::CmacAes => pb::MacScheme::CmacAes,
        Scheme::CmacSm4 => pb::MacScheme::CmacSm4,
        Scheme::HmacSha1 => pb::MacScheme::HmacSha1,
        Scheme::HmacSha224 => pb::MacScheme::HmacSha224,
        Scheme::HmacSha256 => pb::MacScheme::HmacSha256,
        Scheme::HmacSha384 => pb::MacScheme::HmacSha384,
        Scheme::HmacSha512 => pb::MacScheme::HmacSha512,
        Scheme::HmacSm3 => pb::MacScheme::HmacSm3,
        Scheme::UnionPayEcbHex8 => pb::MacScheme::UnionpayEcbHex8,
        Scheme::UnionPayEcbRaw8 => pb::MacScheme::UnionpayEcbRaw8,
        Scheme::Sm4PosHex8 => pb::MacScheme::Sm4PosHex8,
        Scheme::Sm4PosHex8Lower => pb::MacScheme::Sm4PosHex8Lower,
        Scheme::Sm4PosRaw8 => pb::MacScheme::Sm4PosRaw8,
        Scheme::Sm4PosRaw8Lower => pb::MacScheme::Sm4PosRaw8Lower,
        Scheme::UnionPayGatewaySha256 => pb::MacScheme::UnionpayGatewaySha256,
        Scheme::UnionPayGatewaySm3 => pb::MacScheme::UnionpayGatewaySm3,
    }
}
