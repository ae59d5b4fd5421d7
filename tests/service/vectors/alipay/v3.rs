//! Alipay's v3 protocol through the service: the SDK's header to the byte, and a response.

use pintle::domain::alipay::SignType;
use pintle::service::pb::v1::{SignV3RequestRequest, VerifyV3ResponseRequest};
use serde_json::Value;

use super::import;
use super::verification::alipay;
use crate::vectors::{Bench, Outcome, Verdict};

pub async fn request(bench: &Bench, groups: &Value, case: &Value) -> Verdict {
    let text = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
    let authorization = text("auth_string");
    let part = |name: &str| {
        let mut pairs = authorization
            .split(',')
            .filter_map(|pair| pair.split_once('='));
        let found = pairs.find(|(found, _)| *found == name);
        found.map(|(_, it)| it.to_owned()).unwrap_or_default()
    };
    let asked = SignV3RequestRequest {
        key: Some(import(bench, groups, SignType::Rsa2, "app_rsa_pkcs8").await?),
        method: text("method"),
        target: text("request_url"),
        body: text("body").into_bytes(),
        app_id: part("app_id"),
        app_cert_sn: part("app_cert_sn"),
        app_auth_token: text("app_auth_token"),
        nonce: part("nonce"),
        timestamp_ms: part("timestamp").parse().map_err(|_| "no timestamp")?,
        return_string_to_sign: true,
    };
    let answer = bench
        .client
        .sign_v3_request(asked)
        .await
        .map_err(|error| error.to_string())?;
    if answer.signed_string.ok_or("no string")?.text != text("string_to_sign") {
        return Err("another string".to_owned());
    }
    if answer.authorization == text("authorization") {
        return Ok(Outcome::Ran);
    }
    Err("another header than the SDK's".to_owned())
}

pub async fn response(bench: &Bench, groups: &Value, case: &Value) -> Verdict {
    let text = |name: &str| case[name].as_str().unwrap_or_default().to_owned();
    let asked = VerifyV3ResponseRequest {
        key: Some(alipay(bench, groups, Some("RSA2")).await?),
        timestamp: text("alipay-timestamp"),
        nonce: text("alipay-nonce"),
        body: text("body").into_bytes(),
        signature: text("alipay-signature"),
        ..VerifyV3ResponseRequest::default()
    };
    let answer = bench
        .client
        .verify_v3_response(asked)
        .await
        .map_err(|error| error.to_string())?;
    if answer.valid {
        return Ok(Outcome::Ran);
    }
    Err("VerifyV3Response answers false".to_owned())
}
