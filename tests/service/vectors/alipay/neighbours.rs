//! The vectors of WeChat Pay and of UnionPay's gateway.

use std::collections::HashMap;

use pintle::domain::alipay::SignType;
use pintle::domain::mac::{Rule, Scheme};
use pintle::service::pb::v1::{
    KeyRef, SignGatewayRequestRequest, SignWechatRequestRequest, VerifyGatewayResponseRequest,
};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::vectors::alipay::import;
use crate::vectors::{Bench, Outcome, Verdict};

/// WeChat Pay: the string, and the signature to the byte.
pub async fn wechat(bench: &Bench, groups: &Value, case: &Value) -> Verdict {
    let string = case["string_to_sign"].as_str().ok_or("no string")?;
    let parts: Vec<&str> = string.split('\n').collect();
    let [method, target, timestamp, nonce, body, ""] = parts[..] else {
        return Err("not five lines".to_owned());
    };
    let asked = SignWechatRequestRequest {
        key: Some(import(bench, groups, SignType::Rsa2, "app_rsa_pkcs8").await?),
        method: method.to_owned(),
        target: target.to_owned(),
        body: body.as_bytes().to_vec(),
        mchid: "1900000001".to_owned(),
        serial_no: "01".to_owned(),
        nonce: nonce.to_owned(),
        timestamp: timestamp.parse().map_err(|_| "no time")?,
        return_string_to_sign: true,
    };
    let answer = bench.client.sign_wechat_request(asked).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer
        .signed_string
        .is_none_or(|signed| signed.text != string)
    {
        return Err("another string-to-sign".to_owned());
    }
    let scheme = case["auth_type"]["RSA"].as_str().ok_or("no scheme")?;
    let sign = case["sign_rsa2048_sha256"].as_str().ok_or("no signature")?;
    let ends = answer
        .authorization
        .ends_with(&format!("signature=\"{sign}\""));
    if ends && answer.authorization.starts_with(&format!("{scheme} ")) {
        return Ok(Outcome::Ran);
    }
    Err(answer.authorization)
}

/// UnionPay, signMethod 01 and 11: the string, the signature to the byte, and its verification.
pub async fn union_pay(bench: &Bench, groups: &Value, case: &Value) -> Verdict {
    let key = import(bench, groups, SignType::Rsa2, "app_rsa_pkcs8").await?;
    let string = signed(
        bench,
        &key,
        parameters(case)?,
        &case["signature_signMethod01"],
    )
    .await?;
    if Some(string.as_str()) != case["string"].as_str() {
        return Err("another string-to-sign".to_owned());
    }
    let rule = Rule::new(Scheme::UnionPayGatewaySha256, None, 32).map_err(|_| "no rule")?;
    let secret = case["secure_key"].as_str().ok_or("no secureKey")?;
    let key = bench.keys.mac(rule, false, &Sha256::digest(secret)).await;
    let mut parameters = parameters(case)?;
    parameters.insert("signMethod".to_owned(), "11".to_owned());
    let key = key.ok_or("no key")?;
    signed(bench, &key, parameters, &case["signature_signMethod11"]).await?;
    Ok(Outcome::Ran)
}

/// Signs what must have this signature, has it checked, and answers the string that was signed.
async fn signed(
    bench: &Bench,
    key: &KeyRef,
    mut parameters: HashMap<String, String>,
    expected: &Value,
) -> Result<String, String> {
    let asked = SignGatewayRequestRequest {
        key: Some(key.clone()),
        parameters: parameters.clone(),
        return_string_to_sign: true,
    };
    let answer = bench.client.sign_gateway_request(asked).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if Some(answer.signature.as_str()) != expected.as_str() {
        return Err("another signature".to_owned());
    }
    parameters.insert("signature".to_owned(), answer.signature);
    let asked = VerifyGatewayResponseRequest {
        key: Some(key.clone()),
        parameters,
        trusted: None,
    };
    let checked = bench.client.verify_gateway_response(asked).await;
    if !checked.map_err(|error| error.to_string())?.valid {
        return Err("not valid".to_owned());
    }
    Ok(answer.signed_string.unwrap_or_default().text)
}

fn parameters(case: &Value) -> Result<HashMap<String, String>, String> {
    let parameters = case["params"].as_object().ok_or("no params")?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pairs = parameters.iter();
    Ok(pairs
        .map(|(name, value)| (name.clone(), text(value)))
        .collect())
}
