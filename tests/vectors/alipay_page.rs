//! Page pay and app pay: the string-to-sign and its signature, and the query as Java writes it.

use crate::alipay::verifies;
use crate::case::{known, text};
use pintle::domain::alipay::StringToSign;
use pintle::domain::alipay::page::{self, GatewayUrl};
use serde_json::{Map, Value};

/// One payment in browser or app.
pub fn page_pay(groups: &Map<String, Value>, case: &Map<String, Value>) -> Result<(), String> {
    known(case, FIELDS, "of a payment")?;
    let parameters = case.get("params").and_then(Value::as_object);
    let parameters: Vec<(&str, &str)> = parameters
        .ok_or("no params")?
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str().unwrap_or_default()))
        .collect();
    let (sign, query) = (text(case, "sign")?, text(case, "java_query")?);
    let pairs = || parameters.iter().copied();
    let string_to_sign = StringToSign::for_request(pairs()).map_err(|error| error.to_string())?;
    let scheme = string_to_sign.sign_type();
    if !verifies(groups, scheme, string_to_sign.as_bytes(), sign)? {
        return Err("the signature is of another string".to_owned());
    }
    let gateway = GatewayUrl::parse(GATEWAY).map_err(|error| error.to_string())?;
    let answer = match text(case, "form")? {
        "app" => page::query(pairs(), sign),
        "get" => page::url(gateway, pairs(), sign),
        "post" => page::form(gateway, pairs(), sign).map(|form| form.action),
        _ => return Err("an unknown form".to_owned()),
    };
    let answer = answer.map_err(|error| error.to_string())?;
    let expected = match text(case, "form")? {
        "app" => query.to_owned(),
        "get" => format!("{GATEWAY}?{query}"),
        _ => format!("{GATEWAY}?{}", without_content(query)),
    };
    if answer == expected {
        return Ok(());
    }
    Err(format!("expected {expected}, got {answer}"))
}

fn without_content(query: &str) -> String {
    let pairs = query.split('&');
    let kept: Vec<&str> = pairs
        .filter(|pair| !pair.starts_with("biz_content="))
        .collect();
    kept.join("&")
}

const GATEWAY: &str = "https://openapi.alipay.com/gateway.do";
const FIELDS: &[&str] = &[
    "name",
    "form",
    "sign_type",
    "charset",
    "params",
    "sign",
    "npm_output",
    "java_query",
];
