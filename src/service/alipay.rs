//! `AlipayService`: wire to domain and back.

mod v3;
mod verification;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tonic::{Request, Response, Status};

use crate::ops;
use crate::ops::context::Context;
use crate::service::authorize::Rpc;
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::alipay_service_server::AlipayService;
use crate::service::signing::scheme;
use crate::service::wire::{key_ref, key_use};
use crate::service::{Error, admitted};

/// `pintle.v1.AlipayService`.
pub struct Alipay(pub Context);

#[tonic::async_trait]
impl AlipayService for Alipay {
    async fn sign_request(
        &self,
        request: Request<pb::SignRequestRequest>,
    ) -> Result<Response<pb::SignRequestResponse>, Status> {
        admitted::handle(Rpc::SignRequest, request, async |call, message| {
            let pb::SignRequestRequest {
                key,
                parameters,
                return_string_to_sign,
            } = message;
            let key = key_ref(key, "key")?;
            if parameters.is_empty() {
                return Err(Error::FieldMissing("parameters"));
            }
            let pairs = parameters
                .iter()
                .map(|(name, value)| (name.as_str(), value.as_str()));
            let signed = ops::alipay::sign_request(&self.0, call, &key, pairs).await?;
            let ops::alipay::Signed {
                signature,
                scheme: made_by,
                key,
                string_to_sign,
            } = signed;
            Ok(pb::SignRequestResponse {
                sign: STANDARD.encode(signature),
                scheme: scheme(made_by).into(),
                key: Some(key_use(key)),
                signed_string: return_string_to_sign
                    .then(|| v3::signed_string(string_to_sign.clone())),
                string_to_sign: if return_string_to_sign {
                    string_to_sign
                } else {
                    Vec::new()
                },
            })
        })
        .await
    }

    async fn verify_response(
        &self,
        request: Request<pb::VerifyResponseRequest>,
    ) -> Result<Response<pb::VerifyResponseResponse>, Status> {
        admitted::handle(Rpc::VerifyResponse, request, async |call, message| {
            verification::response(&self.0, call, message).await
        })
        .await
    }

    async fn verify_notification(
        &self,
        request: Request<pb::VerifyNotificationRequest>,
    ) -> Result<Response<pb::VerifyNotificationResponse>, Status> {
        admitted::handle(Rpc::VerifyNotification, request, async |call, message| {
            verification::notification(&self.0, call, message).await
        })
        .await
    }

    async fn sign_v3_request(
        &self,
        request: Request<pb::SignV3RequestRequest>,
    ) -> Result<Response<pb::SignV3RequestResponse>, Status> {
        admitted::handle(Rpc::SignV3Request, request, async |call, message| {
            v3::sign_request(&self.0, call, message).await
        })
        .await
    }

    async fn verify_v3_response(
        &self,
        request: Request<pb::VerifyV3ResponseRequest>,
    ) -> Result<Response<pb::VerifyV3ResponseResponse>, Status> {
        admitted::handle(Rpc::VerifyV3Response, request, async |call, message| {
            v3::verify_response(&self.0, call, message).await
        })
        .await
    }
}
