//! `SigningService`: wire to domain and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tonic::{Request, Response, Status};

use crate::domain::alipay::SignType;
use crate::ops;
use crate::ops::context::Context;
use crate::service::authorize::Rpc;
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::signing_service_server::SigningService;
use crate::service::wire::{key_ref, key_use};
use crate::service::{Error, admitted};

/// `pintle.v1.SigningService`.
pub struct Signing(pub Context);

#[tonic::async_trait]
impl SigningService for Signing {
    async fn verify(
        &self,
        request: Request<pb::VerifyRequest>,
    ) -> Result<Response<pb::VerifyResponse>, Status> {
        admitted::handle(Rpc::Verify, request, async |call, message| {
            let pb::VerifyRequest {
                key,
                message,
                signature,
            } = message;
            let key = key_ref(key, "key")?;
            if signature.is_empty() {
                return Err(Error::FieldMissing("signature"));
            }
            let verified = ops::signing::verify(&self.0, call, &key, &message, &signature).await?;
            let ops::signing::Verified {
                valid,
                scheme: made_by,
                key,
            } = verified;
            Ok(pb::VerifyResponse {
                valid,
                scheme: scheme(made_by).into(),
                key: Some(key_use(key)),
            })
        })
        .await
    }

    async fn get_public_key(
        &self,
        request: Request<pb::GetPublicKeyRequest>,
    ) -> Result<Response<pb::GetPublicKeyResponse>, Status> {
        admitted::handle(Rpc::GetPublicKey, request, async |call, message| {
            let pb::GetPublicKeyRequest { key } = message;
            let key = key_ref(key, "key")?;
            let public = ops::signing::public_key(&self.0, call, &key).await?;
            let ops::signing::PublicKey {
                spki,
                scheme: signs_by,
                key,
            } = public;
            Ok(pb::GetPublicKeyResponse {
                base64: STANDARD.encode(&spki),
                subject_public_key_info: spki,
                scheme: signs_by
                    .map_or(pb::SignatureScheme::Unspecified, scheme)
                    .into(),
                key: Some(key_use(key)),
            })
        })
        .await
    }
}

/// The wire's word for a scheme.
pub(in crate::service) fn scheme(scheme: SignType) -> pb::SignatureScheme {
    match scheme {
        SignType::Rsa => pb::SignatureScheme::Rsa,
        SignType::Rsa2 => pb::SignatureScheme::Rsa2,
        SignType::Sm2 => pb::SignatureScheme::Sm2,
    }
}
