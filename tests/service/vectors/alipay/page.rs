//! Page pay and app pay: the SDK's signature to the byte, the query as Java writes it.

use std::collections::HashMap;

use pintle::domain::alipay::SignType;
use pintle::service::pb::v1::{PagePayMethod, SignAppPayRequest, SignPagePayRequest};
use serde_json::Value;

use crate::vectors::alipay::import;
use crate::vectors::{Bench, Outcome, Verdict};

/// One payment in browser or app.
pub async fn page_pay(bench: &Bench, groups: &Value, case: &Value) -> Verdict {
    let parameters = case["params"].as_object().ok_or("no params")?;
    let parameters: HashMap<String, String> = parameters
        .iter()
        .map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned()))
        .collect();
    let key = Some(import(bench, groups, SignType::Rsa2, "app_rsa_pkcs8").await?);
    let query = case["java_query"].as_str().ok_or("no query")?;
    let (made, sign) = if case["form"] == "app" {
        let request = SignAppPayRequest {
            key,
            parameters,
            return_string_to_sign: false,
        };
        let answer = bench.client.sign_app_pay(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        (answer.order, answer.sign)
    } else {
        let posts = case["form"] == "post";
        let (method, content) = if posts {
            (PagePayMethod::Post, case["params"]["biz_content"].as_str())
        } else {
            (PagePayMethod::Get, None)
        };
        let request = SignPagePayRequest {
            key,
            parameters,
            gateway_url: GATEWAY.to_owned(),
            method: method.into(),
            return_string_to_sign: false,
        };
        let answer = bench.client.sign_page_pay(request).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let value = content.unwrap_or_default().replace('&', "&amp;");
        let value = value.replace('"', "&quot;").replace('\'', "&#39;");
        let value = value.replace('<', "&lt;").replace('>', "&gt;");
        let hidden = format!("name=\"biz_content\" value=\"{value}\"");
        if posts != answer.form.contains(&hidden) {
            return Err(format!("got {}", answer.form));
        }
        let query = answer.url.strip_prefix(GATEWAY).unwrap_or_default();
        (query.trim_start_matches('?').to_owned(), answer.sign)
    };
    let kept = |pair: &&str| case["form"] != "post" || !pair.starts_with("biz_content=");
    let expected: Vec<&str> = query.split('&').filter(kept).collect();
    if made != expected.join("&") {
        return Err(format!("got {made}"));
    }
    if Some(sign.as_str()) != case["sign"].as_str() {
        return Err("another signature than the SDK's".to_owned());
    }
    Ok(Outcome::Ran)
}

const GATEWAY: &str = "https://openapi.alipay.com/gateway.do";
