//! What Alipay signed, through the service: the same answer as the file's, and the signed bytes.

use pintle::domain::alipay::SignType;
use pintle::service::pb::v1::{KeyRef, VerifyResponseRequest};
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

/// Alipay's key under this scheme.
async fn alipay(bench: &Bench, groups: &Value, sign_type: Option<&str>) -> Result<KeyRef, String> {
    let scheme = sign_type.and_then(SignType::parse).ok_or("no sign_type")?;
    let private = match scheme {
        SignType::Rsa | SignType::Rsa2 => "alipay_rsa_pkcs8",
        SignType::Sm2 => "alipay_sm2_pkcs8",
    };
    import(bench, groups, scheme, private).await
}
