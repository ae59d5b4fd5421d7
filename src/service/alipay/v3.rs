//! Alipay's v3 protocol: wire to domain and back.

use sha2::{Digest, Sha256};

use crate::ops::alipay::v3;
use crate::ops::context::{Call, Context};
use crate::service::Error;
use crate::service::alipay::diagnosis::{diagnosis, explain, other_key};
use crate::service::pb::v1 as pb;
use crate::service::signing::scheme;
use crate::service::wire::{key_ref, key_use};

/// `AlipayService.SignV3Request`.
pub(in crate::service) async fn sign_request(
    context: &Context,
    call: &Call,
    message: pb::SignV3RequestRequest,
) -> Result<pb::SignV3RequestResponse, Error> {
    let pb::SignV3RequestRequest {
        key,
        method,
        target,
        body,
        app_id,
        app_cert_sn,
        app_auth_token,
        nonce,
        timestamp_ms,
        return_string_to_sign,
    } = message;
    let key = key_ref(key, "key")?;
    for (field, text) in [
        ("method", &method),
        ("target", &target),
        ("app_id", &app_id),
    ] {
        if text.is_empty() {
            return Err(Error::FieldMissing(field));
        }
    }
    let asked = v3::Asked {
        method: &method,
        target: &target,
        body: &body,
        app_id: &app_id,
        app_cert_sn: given(&app_cert_sn),
        app_auth_token: given(&app_auth_token),
        nonce: given(&nonce),
        timestamp_ms: (timestamp_ms != 0).then_some(timestamp_ms),
    };
    let signed = v3::sign_request(context, call, &key, &asked).await?;
    let v3::Signed {
        authorization,
        nonce,
        timestamp_ms,
        key,
        string_to_sign,
    } = signed;
    Ok(pb::SignV3RequestResponse {
        authorization,
        nonce,
        timestamp_ms,
        key: Some(key_use(key)),
        signed_string: return_string_to_sign.then(|| signed_string(string_to_sign)),
    })
}

/// `AlipayService.VerifyV3Response`.
pub(in crate::service) async fn verify_response(
    context: &Context,
    call: &Call,
    message: pb::VerifyV3ResponseRequest,
) -> Result<pb::VerifyV3ResponseResponse, Error> {
    let pb::VerifyV3ResponseRequest {
        key,
        timestamp,
        nonce,
        body,
        signature,
        explain: asked,
        other_key: other,
    } = message;
    let key = key_ref(key, "key")?;
    let other = other_key(asked, other)?;
    for (field, text) in [
        ("timestamp", &timestamp),
        ("nonce", &nonce),
        ("signature", &signature),
    ] {
        if text.is_empty() {
            return Err(Error::FieldMissing(field));
        }
        if text.bytes().any(|byte| matches!(byte, b'\r' | b'\n')) {
            return Err(Error::FieldMalformed(field));
        }
    }
    let response = (timestamp.as_str(), nonce.as_str(), body.as_slice());
    let checked = v3::verify_response(
        context,
        call,
        &key,
        response,
        &signature,
        explain(asked, other.as_ref()),
    )
    .await?;
    let v3::CheckedResponse {
        valid,
        scheme: made_by,
        key,
        content,
        diagnosis: found,
    } = checked;
    Ok(pb::VerifyV3ResponseResponse {
        valid,
        scheme: scheme(made_by).into(),
        key: Some(key_use(key)),
        diagnosis: found.map(|found| diagnosis(found, &content)),
    })
}

/// The exact bytes that were signed, to be looked at.
pub(in crate::service) fn signed_string(bytes: Vec<u8>) -> pb::SignedString {
    pb::SignedString {
        text: String::from_utf8(bytes.clone()).unwrap_or_default(),
        hex: hex::encode(&bytes),
        sha256: hex::encode(Sha256::digest(&bytes)),
        bytes,
    }
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}
