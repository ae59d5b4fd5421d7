//! Verification for Alipay's callers: wire to domain and back.

use crate::domain::alipay::notification::Reading;
use crate::domain::alipay::response::node_of;
use crate::ops::alipay::verification;
use crate::ops::context::{Call, Context};
use crate::service::Error;
use crate::service::alipay::diagnosis::{diagnosis, explain, other_key};
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
        explain: asked,
        other_key: other,
    } = message;
    let key = key_ref(key, "key")?;
    let other = other_key(asked, other)?;
    if body.is_empty() {
        return Err(Error::FieldMissing("body"));
    }
    let node = match (method.is_empty(), node.is_empty()) {
        (false, true) => node_of(&method),
        (true, false) => node,
        (true, true) => return Err(Error::FieldMissing("method")),
        (false, false) => return Err(Error::FieldSuperfluous("node")),
    };
    let checked = verification::response(
        context,
        call,
        &key,
        &body,
        &node,
        explain(asked, other.as_ref()),
    )
    .await?;
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
        diagnosis: found,
    } = checked;
    let found = found.map(|found| diagnosis(found, &content));
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
        diagnosis: found,
    })
}

/// `AlipayService.VerifyNotification`.
pub(in crate::service) async fn notification(
    context: &Context,
    call: &Call,
    message: pb::VerifyNotificationRequest,
) -> Result<pb::VerifyNotificationResponse, Error> {
    let pb::VerifyNotificationRequest {
        key,
        form,
        explain: asked,
        other_key: other,
    } = message;
    let key = key_ref(key, "key")?;
    let other = other_key(asked, other)?;
    if form.is_empty() {
        return Err(Error::FieldMissing("form"));
    }
    let checked =
        verification::notification(context, call, &key, &form, explain(asked, other.as_ref()))
            .await?;
    let verification::CheckedNotification {
        valid,
        scheme: made_by,
        key,
        notification,
        signed,
        reading,
        content,
        diagnosis: found,
    } = checked;
    let found = found.map(|found| diagnosis(found, &content));
    let Reading {
        sign_type,
        empty_values,
        cert_sn,
    } = reading;
    let version = match (valid, sign_type) {
        (false, _) => pb::NotificationVersion::Unspecified,
        (true, false) => pb::NotificationVersion::V1,
        (true, true) => pb::NotificationVersion::V2,
    };
    let parameters = notification.parameters().iter();
    // What is not signed is not answered, so that nobody takes it for Alipay's.
    let parameters = parameters
        .filter(|parameter| valid && reading.has(parameter))
        .map(|parameter| pb::NotificationParameter {
            name: parameter.name.clone(),
            value: parameter.value.clone(),
            text: notification.text(&parameter.value).unwrap_or_default(),
        });
    Ok(pb::VerifyNotificationResponse {
        valid,
        scheme: scheme(made_by).into(),
        key: Some(key_use(key)),
        signed,
        content,
        version: version.into(),
        empty_values_signed: valid && empty_values,
        alipay_cert_sn_left_out: valid && !cert_sn,
        parameters: parameters.collect(),
        ambiguous: valid && notification.is_ambiguous(reading),
        diagnosis: found,
    })
}
