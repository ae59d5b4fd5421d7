//! What Alipay signed, through the service: the same answer as the file's, and the signed bytes.

use pintle::domain::alipay::SignType;
use pintle::service::pb::v1::{
    KeyRef, NotificationVersion, VerifyNotificationRequest, VerifyResponseRequest,
};
use serde_json::Value;

use super::import;
use crate::vectors::{Bench, Outcome, Verdict};

pub async fn response(bench: &Bench, groups: &Value, case: &Value) -> Verdict {
    let text = |name: &str| case[name].as_str();
    let body = match text("raw_response_hex") {
        Some(raw) => hex::decode(raw).map_err(|error| error.to_string())?,
        None => text("raw_response_utf8")
            .ok_or("no body")?
            .as_bytes()
            .to_vec(),
    };
    let asked = VerifyResponseRequest {
        key: Some(alipay(bench, groups, text("sign_type")).await?),
        body,
        node: text("response_key").ok_or("no node")?.to_owned(),
        ..VerifyResponseRequest::default()
    };
    let answer = bench
        .client
        .verify_response(asked)
        .await
        .map_err(|error| error.to_string())?;
    let charset = text("charset").unwrap_or("utf-8");
    let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).ok_or("no such charset")?;
    let mut content = text("signed_content").ok_or("no content")?.to_owned();
    if answer.matched_unescaped {
        content = content.replace("\\/", "/");
    }
    if answer.content != *encoding.encode(&content).0 {
        return Err("another content".to_owned());
    }
    if Some(answer.valid) == case["valid"].as_bool() {
        return Ok(Outcome::Ran);
    }
    Err(format!("VerifyResponse answers {}", answer.valid))
}

pub async fn notification(bench: &Bench, groups: &Value, case: &Value) -> Verdict {
    let text = |name: &str| case[name].as_str();
    let asked = VerifyNotificationRequest {
        key: Some(alipay(bench, groups, Some("RSA2")).await?),
        form: text("form_body").ok_or("no form")?.as_bytes().to_vec(),
        ..VerifyNotificationRequest::default()
    };
    let answer = bench
        .client
        .verify_notification(asked)
        .await
        .map_err(|error| error.to_string())?;
    if Some(answer.valid) != case["valid"].as_bool() {
        return Err(format!("VerifyNotification answers {}", answer.valid));
    }
    let charset = text("charset").unwrap_or("utf-8");
    let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).ok_or("no such charset")?;
    if answer.content
        != *encoding
            .encode(text("string_to_sign").ok_or("no string")?)
            .0
    {
        return Err("another string".to_owned());
    }
    let dropped = case["dropped"].as_array().ok_or("no dropped")?;
    let version = match dropped.iter().any(|name| name == "sign_type") {
        true => NotificationVersion::V1,
        false => NotificationVersion::V2,
    };
    if answer.version() != version {
        return Err("another version".to_owned());
    }
    let mut subjects = answer.parameters.iter().filter(|it| it.name == "subject");
    if subjects.any(|subject| subject.text == "花呗分期 100%+1 & \"q\"") {
        return Ok(Outcome::Ran);
    }
    Err("another subject".to_owned())
}

/// Alipay's key under this scheme.
pub async fn alipay(
    bench: &Bench,
    groups: &Value,
    sign_type: Option<&str>,
) -> Result<KeyRef, String> {
    let scheme = sign_type.and_then(SignType::parse).ok_or("no sign_type")?;
    let private = match scheme {
        SignType::Rsa | SignType::Rsa2 => "alipay_rsa_pkcs8",
        SignType::Sm2 => "alipay_sm2_pkcs8",
    };
    import(bench, groups, scheme, private).await
}
