//! Payments in browser and app: wire to domain and back.

use std::collections::HashMap;

use crate::domain::alipay::page::GatewayUrl;
use crate::ops;
use crate::ops::alipay::Signed;
use crate::ops::context::{Call, Context};
use crate::service::Error;
use crate::service::pb::v1 as pb;
use crate::service::signing::scheme;
use crate::service::wire::{key_ref, key_use};

/// `SignPagePay`.
pub(super) async fn sign_page_pay(
    context: &Context,
    call: &Call,
    message: pb::SignPagePayRequest,
) -> Result<pb::SignPagePayResponse, Error> {
    let pb::SignPagePayRequest {
        key,
        parameters,
        gateway_url,
        method,
        return_string_to_sign,
    } = message;
    let key = key_ref(key, "key")?;
    let pairs = pairs(&parameters)?;
    if gateway_url.is_empty() {
        return Err(Error::FieldMissing("gateway_url"));
    }
    let gateway = GatewayUrl::parse(&gateway_url);
    let gateway = gateway.map_err(|_| Error::FieldMalformed("gateway_url"))?;
    let method = pb::PagePayMethod::try_from(method).map_err(|_| Error::EnumUnknown("method"))?;
    let (signed, url, form) = match method {
        pb::PagePayMethod::Unspecified => return Err(Error::FieldMissing("method")),
        pb::PagePayMethod::Get => {
            let made = ops::alipay::sign_page_url(context, call, &key, &pairs, gateway);
            let (signed, url) = made.await?;
            (signed, url, String::new())
        }
        pb::PagePayMethod::Post => {
            let made = ops::alipay::sign_page_form(context, call, &key, &pairs, gateway);
            let (signed, form) = made.await?;
            (signed, form.action, form.html)
        }
    };
    let sign = signed.base64();
    let Signed {
        signature: _,
        scheme: made_by,
        key,
        string_to_sign,
    } = signed;
    Ok(pb::SignPagePayResponse {
        url,
        form,
        sign,
        scheme: scheme(made_by).into(),
        key: Some(key_use(key)),
        string_to_sign: asked_for(return_string_to_sign, string_to_sign),
    })
}

/// `SignAppPay`.
pub(super) async fn sign_app_pay(
    context: &Context,
    call: &Call,
    message: pb::SignAppPayRequest,
) -> Result<pb::SignAppPayResponse, Error> {
    let pb::SignAppPayRequest {
        key,
        parameters,
        return_string_to_sign,
    } = message;
    let key = key_ref(key, "key")?;
    let pairs = pairs(&parameters)?;
    let (signed, order) = ops::alipay::sign_app_pay(context, call, &key, &pairs).await?;
    let sign = signed.base64();
    let Signed {
        signature: _,
        scheme: made_by,
        key,
        string_to_sign,
    } = signed;
    Ok(pb::SignAppPayResponse {
        order,
        sign,
        scheme: scheme(made_by).into(),
        key: Some(key_use(key)),
        string_to_sign: asked_for(return_string_to_sign, string_to_sign),
    })
}

fn pairs(parameters: &HashMap<String, String>) -> Result<Vec<(&str, &str)>, Error> {
    if parameters.is_empty() {
        return Err(Error::FieldMissing("parameters"));
    }
    let pairs = parameters
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(pairs.collect())
}

fn asked_for(asked: bool, string_to_sign: Vec<u8>) -> Vec<u8> {
    if asked { string_to_sign } else { Vec::new() }
}
