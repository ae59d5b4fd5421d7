//! `AlipayService`: wire to domain and back.

pub(in crate::service) mod certificate;
mod comparison;
mod content;
mod diagnosis;
mod page;
pub(in crate::service) mod v3;
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

    async fn sign_page_pay(
        &self,
        request: Request<pb::SignPagePayRequest>,
    ) -> Result<Response<pb::SignPagePayResponse>, Status> {
        admitted::handle(Rpc::SignPagePay, request, async |call, message| {
            page::sign_page_pay(&self.0, call, message).await
        })
        .await
    }

    async fn sign_app_pay(
        &self,
        request: Request<pb::SignAppPayRequest>,
    ) -> Result<Response<pb::SignAppPayResponse>, Status> {
        admitted::handle(Rpc::SignAppPay, request, async |call, message| {
            page::sign_app_pay(&self.0, call, message).await
        })
        .await
    }

    async fn encrypt_content(
        &self,
        request: Request<pb::EncryptContentRequest>,
    ) -> Result<Response<pb::EncryptContentResponse>, Status> {
        admitted::handle(Rpc::EncryptContent, request, async |call, message| {
            content::encrypt(&self.0, call, message).await
        })
        .await
    }

    async fn decrypt_content(
        &self,
        request: Request<pb::DecryptContentRequest>,
    ) -> Result<Response<pb::DecryptContentResponse>, Status> {
        admitted::handle(Rpc::DecryptContent, request, async |call, message| {
            content::decrypt(&self.0, call, message).await
        })
        .await
    }

    async fn compute_certificate_serial(
        &self,
        request: Request<pb::ComputeCertificateSerialRequest>,
    ) -> Result<Response<pb::ComputeCertificateSerialResponse>, Status> {
        admitted::handle(
            Rpc::ComputeCertificateSerial,
            request,
            async |_, message| certificate::serial(message),
        )
        .await
    }

    async fn check_certificate_chain(
        &self,
        request: Request<pb::CheckCertificateChainRequest>,
    ) -> Result<Response<pb::CheckCertificateChainResponse>, Status> {
        admitted::handle(Rpc::CheckCertificateChain, request, async |_, message| {
            certificate::check_chain(message)
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

    async fn diff_sign_string(
        &self,
        request: Request<pb::DiffSignStringRequest>,
    ) -> Result<Response<pb::DiffSignStringResponse>, Status> {
        admitted::handle(Rpc::DiffSignString, request, async |_, message| {
            comparison::diff(message)
        })
        .await
    }

    async fn check_profile(
        &self,
        request: Request<pb::CheckProfileRequest>,
    ) -> Result<Response<pb::CheckProfileResponse>, Status> {
        admitted::handle(Rpc::CheckProfile, request, async |call, message| {
            comparison::check_profile(&self.0, call, message).await
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
