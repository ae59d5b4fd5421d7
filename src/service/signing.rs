//! `SigningService`: wire to domain and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tonic::{Request, Response, Status};

use crate::domain::alipay::SignType;
use crate::ops;
use crate::ops::context::Context;
use crate::ops::signing::Encoding;
use crate::service::authorize::Rpc;
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::signing_service_server::SigningService;
use crate::service::wire::{key_ref, key_use};
use crate::service::{Error, admitted};

/// `pintle.v1.SigningService`.
pub struct Signing(pub Context);

#[tonic::async_trait]
impl SigningService for Signing {
    async fn sign(
        &self,
        request: Request<pb::SignRequest>,
    ) -> Result<Response<pb::SignResponse>, Status> {
        admitted::handle(Rpc::Sign, request, async |call, message| {
            let pb::SignRequest {
                key,
                message,
                encoding: form,
            } = message;
            let key = key_ref(key, "key")?;
            let form = encoding(form)?;
            let signed = ops::signing::sign(&self.0, call, &key, message, form).await?;
            let ops::signing::Signature {
                bytes,
                scheme: made_by,
                key,
            } = signed;
            Ok(pb::SignResponse {
                base64: STANDARD.encode(&bytes),
                signature: bytes,
                scheme: scheme(made_by).into(),
                key: Some(key_use(key)),
            })
        })
        .await
    }

    async fn verify(
        &self,
        request: Request<pb::VerifyRequest>,
    ) -> Result<Response<pb::VerifyResponse>, Status> {
        admitted::handle(Rpc::Verify, request, async |call, message| {
            let pb::VerifyRequest {
                key,
                message,
                signature,
                encoding: form,
            } = message;
            let key = key_ref(key, "key")?;
            let form = encoding(form)?;
            if signature.is_empty() {
                return Err(Error::FieldMissing("signature"));
            }
            let verified =
                ops::signing::verify(&self.0, call, &key, &message, &signature, form).await?;
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

/// A signature's form.
fn encoding(word: i32) -> Result<Encoding, Error> {
    match pb::SignatureEncoding::try_from(word) {
        Ok(pb::SignatureEncoding::Unspecified) => Ok(Encoding::Own),
        Ok(pb::SignatureEncoding::Der) => Ok(Encoding::Der),
        Ok(pb::SignatureEncoding::Raw) => Ok(Encoding::Raw),
        Err(_) => Err(Error::EnumUnknown("encoding")),
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
