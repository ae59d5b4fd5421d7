//! Alipay's v3 protocol: what npm's SDK signed, and a response.

use pintle::domain::alipay::SignType;
use pintle::domain::alipay::v3::{self, Request};
use serde_json::{Map, Value};

use super::{same, signed_by};
use crate::case::{known, object, text};

/// The lines that are signed, the SDK's signature of them, and its header.
pub fn request(groups: &Map<String, Value>, case: &Map<String, Value>) -> Result<(), String> {
    known(case, REQUEST_FIELDS, "of a v3 request")?;
    let authorization = text(case, "auth_string")?;
    let part = |name: &str| {
        let mut pairs = authorization
            .split(',')
            .filter_map(|pair| pair.split_once('='));
        pairs.find(|(found, _)| *found == name).map(|(_, it)| it)
    };
    let request = Request {
        method: text(case, "method")?,
        target: text(case, "request_url")?,
        body: text(case, "body")?.as_bytes(),
        app_id: part("app_id").ok_or("no app_id")?,
        app_cert_sn: part("app_cert_sn"),
        app_auth_token: case.get("app_auth_token").and_then(Value::as_str),
        nonce: part("nonce").ok_or("no nonce")?,
        timestamp_ms: part("timestamp")
            .and_then(|text| text.parse().ok())
            .ok_or("no timestamp")?,
    };
    let string = request
        .string_to_sign()
        .map_err(|error| error.to_string())?;
    let expected = text(case, "string_to_sign")?;
    same("string to sign", &string, expected.as_bytes())?;
    let sign = text(case, "sign")?;
    if request.header(sign) != text(case, "authorization")? {
        return Err("another header".to_owned());
    }
    holds(groups, "app", &string, sign)
}

/// The lines that Alipay signs of a response.
pub fn response(groups: &Map<String, Value>, case: &Map<String, Value>) -> Result<(), String> {
    known(case, RESPONSE_FIELDS, "of a v3 response")?;
    let (timestamp, nonce) = (text(case, "alipay-timestamp")?, text(case, "alipay-nonce")?);
    let string = v3::response_string(timestamp, nonce, text(case, "body")?.as_bytes());
    let expected = text(case, "string_to_sign")?;
    same("string to sign", &string, expected.as_bytes())?;
    holds(groups, "alipay", &string, text(case, "alipay-signature")?)
}

fn holds(
    groups: &Map<String, Value>,
    owner: &str,
    string: &[u8],
    sign: &str,
) -> Result<(), String> {
    let keys = object(groups, "keys")?;
    if signed_by(keys, owner, SignType::Rsa2, string, sign)? {
        return Ok(());
    }
    Err("the signature does not hold".to_owned())
}

const REQUEST_FIELDS: &[&str] = &[
    "name",
    "auth_string",
    "method",
    "request_url",
    "body",
    "app_auth_token",
    "string_to_sign",
    "sign",
    "authorization",
];

const RESPONSE_FIELDS: &[&str] = &[
    "alipay-timestamp",
    "alipay-nonce",
    "body",
    "string_to_sign",
    "alipay-signature",
];
