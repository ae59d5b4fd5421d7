//! Verification for Alipay's callers: wire to domain and back.

use crate::domain::alipay::response::node_of;
use crate::ops::alipay::verification;
use crate::ops::context::{Call, Context};
use crate::service::Error;
use crate::service::pb::v1 as pb;
use crate::service::signing::scheme;
use crate::service::wire::{key_ref, key_use};

/// `AlipayService.VerifyResponse`.
pub(in crate::service) async fn response(
    context: &Context,
    call: &Call,
    message: pb::VerifyResponseRequest,
) -> Result<pb::VerifyResponseResponse, Error> {
    let pb::VerifyResponseRequest {
        key,
        body,
        method,
        node,
    } = message;
    let key = key_ref(key, "key")?;
    if body.is_empty() {
        return Err(Error::FieldMissing("body"));
    }
    let node = match (method.is_empty(), node.is_empty()) {
        (false, true) => node_of(&method),
        (true, false) => node,
        (true, true) => return Err(Error::FieldMissing("method")),
        (false, false) => return Err(Error::FieldSuperfluous("node")),
    };
    let checked = verification::response(context, call, &key, &body, &node).await?;
    let verification::CheckedResponse {
        valid,
        scheme: made_by,
        key,
        node,
        content,
        with_plain_slashes,
        cert_sn,
        signed,
        failure,
    } = checked;
    Ok(pb::VerifyResponseResponse {
        valid,
        scheme: scheme(made_by).into(),
        key: Some(key_use(key)),
        node,
        content,
        matched_unescaped: with_plain_slashes,
        alipay_cert_sn: cert_sn.unwrap_or_default(),
        signed,
        failure,
    })
}
