//! `MacService`: wire to domain and back.

use tonic::{Request, Response, Status};

use crate::domain::mac::Scheme;
use crate::ops;
use crate::ops::context::Context;
use crate::service::authorize::Rpc;
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
            let generated = ops::mac::generate(&self.0, call, &key, &message).await?;
            let ops::mac::Generated {
                mac,
                scheme: made_by,
                key,
            } = generated;
            Ok(pb::GenerateMacResponse {
                mac: mac.as_bytes().to_vec(),
                scheme: scheme(made_by).into(),
                key: Some(key_use(key)),
            })
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
            if mac.is_empty() {
                return Err(Error::FieldMissing("mac"));
            }
            let verified = ops::mac::verify(&self.0, call, &key, &message, &mac).await?;
            let ops::mac::Verified {
                valid,
                scheme: made_by,
                key,
            } = verified;
            Ok(pb::VerifyMacResponse {
                valid,
                scheme: scheme(made_by).into(),
                key: Some(key_use(key)),
            })
        })
        .await
    }
}

pub(in crate::service) fn scheme(scheme: Scheme) -> pb::MacScheme {
    match scheme {
        Scheme::Iso9797Alg1Tdes => pb::MacScheme::Iso97971Alg1Tdes,
        Scheme::Iso9797Alg1Sm4 => pb::MacScheme::Iso97971Alg1Sm4,
        Scheme::Iso9797Alg3Des => pb::MacScheme::Iso97971Alg3Des,
        Scheme::CmacTdes => pb::MacScheme::CmacTdes,
        Scheme::CmacAes => pb::MacScheme::CmacAes,
        Scheme::HmacSha256 => pb::MacScheme::HmacSha256,
    }
}
