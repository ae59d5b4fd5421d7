//! What Alipay signs: responses, by their raw bytes.

use pintle::domain::alipay::SignType;
use pintle::domain::alipay::response::Response;
use serde_json::{Map, Value};

use super::{same, signed_by};
use crate::case::{bytes, known, object, text};

/// The signed bytes of a response, its signature, and whether it holds.
pub fn response(groups: &Map<String, Value>, case: &Map<String, Value>) -> Result<(), String> {
    known(case, RESPONSE_FIELDS, "of a response")?;
    let charset = text(case, "charset")?;
    let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).ok_or("unknown charset")?;
    let body = match case.get("raw_response_hex") {
        Some(Value::String(hex)) => bytes("raw_response_hex", hex)?,
        _ => text(case, "raw_response_utf8")?.as_bytes().to_vec(),
    };
    let parsed = Response::parse(&body, text(case, "response_key")?);
    let parsed = parsed.map_err(|error| error.to_string())?;
    let content = encoding.encode(text(case, "signed_content")?).0;
    same("content", parsed.content(), &content)?;
    if parsed.node() != text(case, "response_key")? {
        return Err(format!("another node: {}", parsed.node()));
    }
    let sign = parsed.sign().ok_or("no sign found")?;
    if sign != text(case, "sign")? {
        return Err("another sign".to_owned());
    }
    let scheme = SignType::parse(text(case, "sign_type")?).ok_or("unknown sign_type")?;
    let keys = object(groups, "keys")?;
    let mut valid = signed_by(keys, "alipay", scheme, parsed.content(), sign)?;
    if let (false, Some(plain)) = (valid, parsed.with_plain_slashes()) {
        valid = signed_by(keys, "alipay", scheme, &plain, sign)?;
    }
    if Some(&Value::Bool(valid)) == case.get("valid") {
        return Ok(());
    }
    Err(format!("valid is {valid}"))
}

const RESPONSE_FIELDS: &[&str] = &[
    "name",
    "response_key",
    "charset",
    "sign_type",
    "raw_response_utf8",
    "raw_response_hex",
    "signed_content",
    "sign",
    "valid",
    "note",
];
