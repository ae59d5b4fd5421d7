//! `WechatPayService`: wire to domain and back.

mod resource;

use tonic::{Request, Response, Status};

use crate::domain::alipay::SignType;
use crate::domain::wechat_pay::Merchant;
use crate::limits;
use crate::ops::context::Context;
use crate::ops::sensitive_field::{Decrypted, Encrypted};
use crate::ops::wechat_pay::{self, Asked, Checked, Message, Once, Payment, Signed};
use crate::service::alipay::v3::signed_string;
use crate::service::authorize::Rpc;
use crate::service::pb::v1 as pb;
use crate::service::pb::v1::wechat_pay_service_server::WechatPayService;
use crate::service::sensitive_field::{self, encryption_scheme};
use crate::service::signing::scheme;
use crate::service::wire::{key_ref, key_use};
use crate::service::{Error, admitted};

/// `pintle.v1.WechatPayService`.
pub struct WechatPay(pub Context);

#[tonic::async_trait]
impl WechatPayService for WechatPay {
    async fn sign_wechat_request(
        &self,
        request: Request<pb::SignWechatRequestRequest>,
    ) -> Result<Response<pb::SignWechatRequestResponse>, Status> {
        admitted::handle(Rpc::SignWechatRequest, request, async |call, message| {
            let pb::SignWechatRequestRequest {
                key,
                method,
                target,
                body,
                mchid,
                serial_no,
                nonce,
                timestamp,
                return_string_to_sign,
            } = message;
            let key = key_ref(key, "key")?;
            let asked = Asked {
                method: &method,
                target: &target,
                body: &body,
                merchant: Merchant {
                    mchid: &mchid,
                    serial_number: &serial_no,
                },
                once: once(&nonce, timestamp),
            };
            let signed = wechat_pay::sign_request(&self.0, call, &key, &asked).await?;
            let Signed {
                text,
                nonce,
                timestamp,
                scheme: made_by,
                key,
                string_to_sign,
            } = signed;
            Ok(pb::SignWechatRequestResponse {
                authorization: text,
                nonce,
                timestamp,
                scheme: scheme(made_by).into(),
                key: Some(key_use(key)),
                signed_string: return_string_to_sign.then(|| signed_string(string_to_sign)),
            })
        })
        .await
    }

    async fn sign_wechat_payment(
        &self,
        request: Request<pb::SignWechatPaymentRequest>,
    ) -> Result<Response<pb::SignWechatPaymentResponse>, Status> {
        admitted::handle(Rpc::SignWechatPayment, request, async |call, message| {
            let pb::SignWechatPaymentRequest {
                key,
                kind,
                appid,
                prepay_id,
                nonce,
                timestamp,
            } = message;
            let key = key_ref(key, "key")?;
            let payment = match pb::WechatPaymentKind::try_from(kind) {
                Ok(pb::WechatPaymentKind::Jsapi) => Payment::Jsapi,
                Ok(pb::WechatPaymentKind::App) => Payment::App,
                Ok(pb::WechatPaymentKind::Unspecified) => return Err(Error::FieldMissing("kind")),
                Err(_) => return Err(Error::EnumUnknown("kind")),
            };
            let what = (payment, appid.as_str(), prepay_id.as_str());
            let once = once(&nonce, timestamp);
            let signed = wechat_pay::sign_payment(&self.0, call, &key, what, once).await?;
            let Signed {
                text,
                nonce,
                timestamp,
                scheme: made_by,
                key,
                string_to_sign: _,
            } = signed;
            Ok(pb::SignWechatPaymentResponse {
                pay_sign: text,
                nonce,
                timestamp,
                sign_type: match made_by {
                    SignType::Sm2 => "SM2".to_owned(),
                    SignType::Rsa | SignType::Rsa2 => "RSA".to_owned(),
                },
                scheme: scheme(made_by).into(),
                key: Some(key_use(key)),
            })
        })
        .await
    }

    async fn encrypt_wechat_fields(
        &self,
        request: Request<pb::EncryptWechatFieldsRequest>,
    ) -> Result<Response<pb::EncryptWechatFieldsResponse>, Status> {
        admitted::handle(Rpc::EncryptWechatFields, request, async |call, message| {
            let pb::EncryptWechatFieldsRequest { key, fields } = message;
            let fields = sensitive_field::clear(fields)?;
            let key = key_ref(key, "key")?;
            let Encrypted {
                fields,
                serial,
                scheme,
                key,
            } = wechat_pay::encrypt_fields(&self.0, call, &key, &fields).await?;
            Ok(pb::EncryptWechatFieldsResponse {
                fields,
                serial,
                scheme: encryption_scheme(scheme).into(),
                key: Some(key_use(key)),
            })
        })
        .await
    }

    async fn decrypt_wechat_fields(
        &self,
        request: Request<pb::DecryptWechatFieldsRequest>,
    ) -> Result<Response<pb::DecryptWechatFieldsResponse>, Status> {
        admitted::handle(Rpc::DecryptWechatFields, request, async |call, message| {
            let pb::DecryptWechatFieldsRequest { key, fields } = message;
            sensitive_field::check_count(&fields)?;
            let key = key_ref(key, "key")?;
            let Decrypted {
                fields,
                scheme,
                key,
            } = wechat_pay::decrypt_fields(&self.0, call, &key, &fields).await?;
            Ok(pb::DecryptWechatFieldsResponse {
                fields: sensitive_field::bare(fields),
                scheme: encryption_scheme(scheme).into(),
                key: Some(key_use(key)),
            })
        })
        .await
    }

    async fn verify_wechat_message(
        &self,
        request: Request<pb::VerifyWechatMessageRequest>,
    ) -> Result<Response<pb::VerifyWechatMessageResponse>, Status> {
        admitted::handle(Rpc::VerifyWechatMessage, request, async |call, message| {
            let pb::VerifyWechatMessageRequest {
                keys,
                serial,
                timestamp,
                nonce,
                body,
                signature,
            } = message;
            let keys = platform_keys(keys)?;
            for (field, text) in [("serial", &serial), ("signature", &signature)] {
                if text.is_empty() {
                    return Err(Error::FieldMissing(field));
                }
            }
            let message = Message {
                serial: &serial,
                timestamp,
                nonce: &nonce,
                body: &body,
                signature: &signature,
            };
            let checked = wechat_pay::verify(&self.0, call, &keys, &message).await?;
            let Checked { valid, stale, by } = checked;
            let (made_by, key) = by.unzip();
            Ok(pb::VerifyWechatMessageResponse {
                valid,
                serial_unknown: key.is_none(),
                stale,
                scheme: made_by
                    .map_or(pb::SignatureScheme::Unspecified, scheme)
                    .into(),
                key: key.map(key_use),
            })
        })
        .await
    }

    async fn decrypt_wechat_resource(
        &self,
        request: Request<pb::DecryptWechatResourceRequest>,
    ) -> Result<Response<pb::DecryptWechatResourceResponse>, Status> {
        admitted::handle(
            Rpc::DecryptWechatResource,
            request,
            async |call, message| resource::decrypt(&self.0, call, message).await,
        )
        .await
    }
}

fn platform_keys(
    keys: Vec<pb::WechatPlatformKey>,
) -> Result<Vec<(String, crate::keys::key_ref::KeyRef)>, Error> {
    if keys.is_empty() || keys.len() > limits::WECHAT_PAY_KEYS_MAX {
        return Err(Error::FieldMalformed("keys"));
    }
    keys.into_iter()
        .map(|pb::WechatPlatformKey { serial, key }| Ok((serial, key_ref(key, "keys.key")?)))
        .collect()
}

fn once(nonce: &str, timestamp: u64) -> Once<'_> {
    Once {
        nonce: (!nonce.is_empty()).then_some(nonce),
        timestamp: (timestamp != 0).then_some(timestamp),
    }
}
