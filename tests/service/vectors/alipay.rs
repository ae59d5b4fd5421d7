//! Alipay's own vector form: requests signed anew and compared byte by byte where the scheme is
//! deterministic, others' SM2 signatures verified, and what Alipay signed checked.

mod certificates;
mod content;
mod neighbours;
mod page;
mod v3;
mod verification;

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::domain::alipay::SignType;
use pintle::service::pb::v1::{KeyRef, SignRequestRequest, VerifyRequest};
use serde_json::Value;

use crate::vectors::{Bench, Outcome, Tally, Verdict};

pub async fn run(bench: &Bench, file: &str, groups: &Value, tally: &mut Tally) {
    let Some(named) = groups.as_object() else {
        tally.count("alipay", file, Err("neither a list nor groups".to_owned()));
        return;
    };
    for (group, value) in named {
        let op = format!("alipay.{group}");
        let place = format!("{file} {group}");
        match group.as_str() {
            "_about" | "keys" => {}
            "cert_chain" => tally.count(&op, &place, certificates::chain(bench, value).await),
            "sm2" => {
                for (list, valid) in [("valid_der_b64", true), ("invalid", false)] {
                    for (name, sign) in value[list].as_object().into_iter().flatten() {
                        let verdict = sm2(bench, groups, value, sign, valid).await;
                        tally.count(&op, &format!("{place} {name}"), verdict);
                    }
                }
            }
            _ => {
                let one = std::slice::from_ref(value);
                let cases = value.as_array().map_or(one, Vec::as_slice);
                for (index, case) in cases.iter().enumerate() {
                    let verdict = of_list(bench, groups, group, case).await;
                    tally.count(&op, &format!("{place} {index} {}", case["name"]), verdict);
                }
            }
        }
    }
}

/// A case of one of the groups that are lists.
async fn of_list(bench: &Bench, groups: &Value, group: &str, case: &Value) -> Verdict {
    match group {
        "v2_request" => request(bench, groups, case).await,
        "v2_response" => verification::response(bench, groups, case).await,
        "notify" => verification::notification(bench, groups, case).await,
        "v3_request" => v3::request(bench, groups, case).await,
        "v3_response" => v3::response(bench, groups, case).await,
        "page_pay" => page::page_pay(bench, groups, case).await,
        "cert_sn" => certificates::serial(bench, case).await,
        "content_encryption" => content::content(bench, case).await,
        "wechat_v3" => neighbours::wechat(bench, groups, case).await,
        "unionpay_5_1_0" => neighbours::union_pay(bench, groups, case).await,
        _ => Ok(Outcome::Unsupported(
            "library only, or not an operation of this version",
        )),
    }
}

/// The SDK's request: the rule's string-to-sign, and for RSA the SDK's signature to the byte.
async fn request(bench: &Bench, groups: &Value, case: &Value) -> Verdict {
    let text = |name: &str| case[name].as_str();
    let sign_type = text("sign_type")
        .and_then(SignType::parse)
        .ok_or("no sign_type")?;
    let sdk = text("sdk_string_to_sign").ok_or("no string")?;
    let parameters: HashMap<String, String> = match case["params"].as_object() {
        Some(parameters) => parameters
            .iter()
            .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
            .collect(),
        None => sdk
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
    };
    let private = match sign_type {
        SignType::Rsa | SignType::Rsa2 => "app_rsa_pkcs8",
        SignType::Sm2 => "app_sm2_pkcs8",
    };
    let key = import(bench, groups, sign_type, private).await?;
    let asked = SignRequestRequest {
        key: Some(key.clone()),
        parameters,
        return_string_to_sign: true,
    };
    let answer = bench
        .client
        .sign_request(asked)
        .await
        .map_err(|error| error.to_string())?;

    let charset = text("charset").unwrap_or("utf-8");
    let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).ok_or("no such charset")?;
    let rule = text("rule_string_to_sign").unwrap_or(sdk);
    if answer.string_to_sign != *encoding.encode(rule).0 {
        return Err("another string-to-sign".to_owned());
    }
    let matches_rule = case["matches_rule"] != Value::Bool(false);
    if matches_rule && sign_type != SignType::Sm2 && Some(answer.sign.as_str()) != text("sign") {
        return Err("another signature than the SDK's".to_owned());
    }
    let sdk = encoding.encode(sdk).0.into_owned();
    let theirs = STANDARD
        .decode(text("sign").ok_or("no sign")?)
        .map_err(|e| e.to_string())?;
    let request = VerifyRequest {
        key: Some(key),
        message: sdk,
        signature: theirs,
        ..VerifyRequest::default()
    };
    let answer = bench
        .client
        .verify(request)
        .await
        .map_err(|error| error.to_string())?;
    if Some(answer.valid) == case["openssl_verifies"].as_bool() {
        return Ok(Outcome::Ran);
    }
    Err(format!(
        "Verify answers {} to the SDK's signature",
        answer.valid
    ))
}

async fn sm2(bench: &Bench, groups: &Value, group: &Value, sign: &Value, valid: bool) -> Verdict {
    if group["id"].as_str() != Some("1234567812345678") {
        return Ok(Outcome::Unsupported(
            "the identity is the scheme's: library only",
        ));
    }
    let public = group["key"].as_str().ok_or("no key")?;
    let private = public.replace("_pub", "_pkcs8");
    let key = import(bench, groups, SignType::Sm2, &private).await?;
    let message = group["message"]
        .as_str()
        .ok_or("no message")?
        .as_bytes()
        .to_vec();
    let signature = STANDARD
        .decode(sign.as_str().ok_or("no text")?)
        .map_err(|e| e.to_string())?;
    let request = VerifyRequest {
        key: Some(key),
        message,
        signature,
        ..VerifyRequest::default()
    };
    let answer = bench
        .client
        .verify(request)
        .await
        .map_err(|error| error.to_string())?;
    if answer.valid == valid {
        return Ok(Outcome::Ran);
    }
    Err(format!("Verify answers {}", answer.valid))
}

async fn import(
    bench: &Bench,
    groups: &Value,
    scheme: SignType,
    name: &str,
) -> Result<KeyRef, String> {
    let pem = groups["keys"][name]
        .as_str()
        .ok_or_else(|| format!("no key {name}"))?;
    bench.keys.signing(scheme, pem).await
}
