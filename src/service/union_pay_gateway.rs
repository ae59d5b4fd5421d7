//! `UnionPayGatewayService`: wire to domain and back.

use tonic::{Request, Response, Status};

use crate::ops::context::Context;
use crate::ops::sensitive_field::Encrypted;
use crate::ops::union_pay_gateway::{self, Checked, Named, Scheme, Signed, Trusted};
use crate::service::alipay::certificate::{fault, in_words};
use crate::service::alipay::v3::signed_string;
use crate::service::authorize::Rpc;
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::union_pay_gateway_service_server::UnionPayGatewayService;
use crate::service::sensitive_field::{self, encryption_scheme};
use crate::service::wire::{key_ref, key_use};
use crate::service::{Error, admitted, mac, signing};

/// `pintle.v1.UnionPayGatewayService`.
pub struct UnionPayGateway(pub Context);

#[tonic::async_trait]
impl UnionPayGatewayService for UnionPayGateway {
    async fn sign_gateway_request(
        &self,
        request: Request<pb::SignGatewayRequestRequest>,
    ) -> Result<Response<pb::SignGatewayRequestResponse>, Status> {
        admitted::handle(Rpc::SignGatewayRequest, request, async |call, message| {
            let pb::SignGatewayRequestRequest {
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
            let signed = union_pay_gateway::sign_request(&self.0, call, &key, pairs).await?;
            let Signed {
                signature,
                scheme: made_by,
                key,
                string_to_sign,
            } = signed;
            Ok(pb::SignGatewayRequestResponse {
                signature,
                scheme: signature_scheme(made_by).into(),
                mac_scheme: mac_scheme(made_by).into(),
                key: Some(key_use(key)),
                signed_string: return_string_to_sign.then(|| signed_string(string_to_sign)),
            })
        })
        .await
    }

    async fn encrypt_gateway_fields(
        &self,
        request: Request<pb::EncryptGatewayFieldsRequest>,
    ) -> Result<Response<pb::EncryptGatewayFieldsResponse>, Status> {
        admitted::handle(Rpc::EncryptGatewayFields, request, async |call, message| {
            let pb::EncryptGatewayFieldsRequest { key, fields } = message;
            let fields = sensitive_field::clear(fields)?;
            let key = key_ref(key, "key")?;
            let Encrypted {
                fields,
                serial,
                scheme,
                key,
            } = union_pay_gateway::encrypt_fields(&self.0, call, &key, &fields).await?;
            Ok(pb::EncryptGatewayFieldsResponse {
                fields,
                encrypt_cert_id: serial,
                scheme: encryption_scheme(scheme).into(),
                key: Some(key_use(key)),
            })
        })
        .await
    }

    async fn verify_gateway_response(
        &self,
        request: Request<pb::VerifyGatewayResponseRequest>,
    ) -> Result<Response<pb::VerifyGatewayResponseResponse>, Status> {
        admitted::handle(
            Rpc::VerifyGatewayResponse,
            request,
            async |call, message| {
                let pb::VerifyGatewayResponseRequest {
                    key,
                    parameters,
                    trusted,
                } = message;
                let key = key_ref(key, "key")?;
                if parameters.is_empty() {
                    return Err(Error::FieldMissing("parameters"));
                }
                let pairs: Vec<(&str, &str)> = parameters
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect();
                let trusted = trusted.as_ref().map(|trusted| Trusted {
                    intermediates: &trusted.intermediates,
                    roots: &trusted.roots,
                });
                let trusted = trusted.as_ref();
                let checked =
                    union_pay_gateway::verify_response(&self.0, call, &key, &pairs, trusted)
                        .await?;
                let Checked {
                    valid,
                    scheme: made_by,
                    key,
                    signed,
                    empty_values_signed,
                    certificate,
                } = checked;
                Ok(pb::VerifyGatewayResponseResponse {
                    valid,
                    scheme: signature_scheme(made_by).into(),
                    mac_scheme: mac_scheme(made_by).into(),
                    key: Some(key_use(key)),
                    signed,
                    empty_values_signed,
                    certificate: certificate.map(named),
                })
            },
        )
        .await
    }
}

fn signature_scheme(made_by: Scheme) -> pb::SignatureScheme {
    match made_by {
        Scheme::Signature(scheme) => signing::scheme(scheme),
        Scheme::Mac(_) => pb::SignatureScheme::Unspecified,
    }
}

fn mac_scheme(made_by: Scheme) -> pb::MacScheme {
    match made_by {
        Scheme::Signature(_) => pb::MacScheme::Unspecified,
        Scheme::Mac(scheme) => mac::scheme(scheme),
    }
}

fn named(named: Named) -> pb::GatewayCertificate {
    let Named {
        certificate,
        known,
        chain,
    } = named;
    let (trusted, broken) = match chain {
        None => (false, None),
        Some(Ok(())) => (true, None),
        Some(Err(broken)) => (false, Some(broken)),
    };
    let fault = broken.as_ref().map(|broken| fault(broken.fault));
    pb::GatewayCertificate {
        certificate: Some(in_words(&certificate)),
        known,
        trusted,
        fault: fault.unwrap_or_default().into(),
        subject_at_fault: broken.map(|broken| broken.subject).unwrap_or_default(),
    }
}
