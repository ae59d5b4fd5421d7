//! What Alipay signs: responses and notifications, by their raw bytes.

use pintle::domain::alipay::SignType;
use pintle::domain::alipay::notification::Notification;
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

/// The string that was signed of a notification: one of the readings verifies, and it is the file's.
pub fn notification(groups: &Map<String, Value>, case: &Map<String, Value>) -> Result<(), String> {
    known(case, NOTIFICATION_FIELDS, "of a notification")?;
    let charset = text(case, "charset")?;
    let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).ok_or("unknown charset")?;
    let parsed = Notification::parse(text(case, "form_body")?.as_bytes());
    let parsed = parsed.map_err(|error| error.to_string())?;
    let sign = text(case, "sign")?;
    if parsed.value("sign") != Some(sign.as_bytes()) {
        return Err("another sign".to_owned());
    }
    let keys = object(groups, "keys")?;
    let mut valid = None;
    for (reading, string) in parsed.strings_to_sign() {
        if signed_by(keys, "alipay", SignType::Rsa2, &string, sign)? {
            valid = Some((reading, string));
            break;
        }
    }
    if Some(&Value::Bool(valid.is_some())) != case.get("valid") {
        return Err(format!("valid is {}", valid.is_some()));
    }
    let Some((reading, string)) = valid else {
        return Ok(());
    };
    let dropped = case.get("dropped").and_then(Value::as_array);
    let dropped = dropped.ok_or("dropped is not a list")?;
    if reading.sign_type == dropped.iter().any(|name| name == "sign_type") {
        return Err("sign_type is read the other way".to_owned());
    }
    let expected = encoding.encode(text(case, "string_to_sign")?).0;
    same("string to sign", &string, &expected)
}

const NOTIFICATION_FIELDS: &[&str] = &[
    "name",
    "charset",
    "form_body",
    "string_to_sign",
    "dropped",
    "sign",
    "valid",
    "note",
    "npm_checkNotifySignV2",
];

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
