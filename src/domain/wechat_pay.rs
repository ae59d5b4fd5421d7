//! What WeChat Pay APIv3 signs: requests, answers and callbacks, and the strings by which an app
//! or a mini program starts a payment. Each part ends with a newline, an empty body too. Bodies are
//! opaque bytes. A request says its scheme in the Authorization header; the key decides it.

pub mod resource;

use crate::domain::alipay::SignType;
use crate::limits::{MESSAGE_BYTES_MAX, WECHAT_PAY_WORD_BYTES_MAX};

/// A request to WeChat Pay, as it will be sent.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The HTTP method, upper case.
    pub method: &'a str,
    /// Path and query, as on the wire.
    pub url: &'a str,
    /// Seconds since 1970.
    pub timestamp: u64,
    /// The nonce.
    pub nonce: &'a str,
    /// The body; empty for GET.
    pub body: &'a [u8],
}

/// Who signs, as the Authorization header names it.
#[derive(Clone, Copy, Debug)]
pub struct Merchant<'a> {
    /// The merchant id.
    pub mchid: &'a str,
    /// The serial number of the merchant's certificate, hexadecimal.
    pub serial_number: &'a str,
}

/// Why there is nothing to sign; all of it is the caller's fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WechatPayError {
    /// The method is not upper-case letters.
    #[error("the method is not a word of upper-case letters")]
    Method,
    /// The URL is not a path of printable ASCII.
    #[error("the URL is not a path, with its query, of printable ASCII")]
    Url,
    /// A word that is empty, too long or has characters that the strings and headers cannot carry.
    #[error("{0} is not 1 to {WECHAT_PAY_WORD_BYTES_MAX} letters, digits, - and _")]
    Word(&'static str),
    /// A prepay id that is empty, too long or not printable ASCII.
    #[error("prepay_id is not printable ASCII")]
    PrepayId,
    /// The string would be longer than a message may be.
    #[error("the string to sign is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// What is encrypted under the APIv3 key has another form.
    #[error("{0} is not that of what WeChat Pay encrypts")]
    Resource(&'static str),
    /// What is encrypted says another cipher than the key's.
    #[error("algorithm is not the key's")]
    Cipher,
    /// It is not under the key, or was changed.
    #[error("rejected")]
    Rejected,
    /// The scheme is not one of APIv3.
    #[error("WeChat Pay APIv3 has no signatures of this key's scheme")]
    Scheme,
}

/// The string-to-sign of a request.
///
/// # Errors
/// A part that could be read as two, or that HTTP does not carry.
pub fn request(request: Request<'_>) -> Result<Vec<u8>, WechatPayError> {
    let Request {
        method,
        url,
        timestamp,
        nonce,
        body,
    } = request;
    let upper = |byte: u8| byte.is_ascii_uppercase();
    if method.is_empty() || method.len() > WECHAT_PAY_WORD_BYTES_MAX || !method.bytes().all(upper) {
        return Err(WechatPayError::Method);
    }
    if !url.starts_with('/') || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(WechatPayError::Url);
    }
    word("nonce", nonce)?;
    let time = timestamp.to_string();
    lines(&[
        method.as_bytes(),
        url.as_bytes(),
        time.as_bytes(),
        nonce.as_bytes(),
        body,
    ])
}

/// The string-to-sign of an answer or a callback, of the headers Wechatpay-Timestamp and
/// Wechatpay-Nonce and the raw body.
///
/// # Errors
/// A nonce that no header of WeChat Pay has, or too long a body.
pub fn response(timestamp: u64, nonce: &str, body: &[u8]) -> Result<Vec<u8>, WechatPayError> {
    word("nonce", nonce)?;
    lines(&[timestamp.to_string().as_bytes(), nonce.as_bytes(), body])
}

/// What `paySign` of JSAPI and mini programs signs: `package` is `prepay_id=` and the id.
///
/// # Errors
/// A part that could be read as two.
pub fn jsapi_payment(
    appid: &str,
    timestamp: u64,
    nonce: &str,
    prepay_id: &str,
) -> Result<Vec<u8>, WechatPayError> {
    payment(appid, timestamp, nonce, "prepay_id=", prepay_id)
}

/// What `sign` of an app's payment signs: the bare prepay id.
///
/// # Errors
/// A part that could be read as two.
pub fn app_payment(
    appid: &str,
    timestamp: u64,
    nonce: &str,
    prepay_id: &str,
) -> Result<Vec<u8>, WechatPayError> {
    payment(appid, timestamp, nonce, "", prepay_id)
}

/// The first word of the Authorization header.
///
/// # Errors
/// RSA with SHA-1, which APIv3 does not have.
pub fn authorization_scheme(scheme: SignType) -> Result<&'static str, WechatPayError> {
    match scheme {
        SignType::Rsa => Err(WechatPayError::Scheme),
        SignType::Rsa2 => Ok("WECHATPAY2-SHA256-RSA2048"),
        SignType::Sm2 => Ok("WECHATPAY2-SM2-WITH-SM3"),
    }
}

/// The value of the Authorization header; `signature` is base64.
///
/// # Errors
/// A merchant id, serial number or nonce that would break the header, or a wrong scheme.
pub fn authorization(
    scheme: SignType,
    merchant: Merchant<'_>,
    timestamp: u64,
    nonce: &str,
    signature: &str,
) -> Result<String, WechatPayError> {
    let scheme = authorization_scheme(scheme)?;
    let Merchant {
        mchid,
        serial_number,
    } = merchant;
    word("mchid", mchid)?;
    word("serial_no", serial_number)?;
    word("nonce", nonce)?;
    Ok(format!(
        "{scheme} mchid=\"{mchid}\",nonce_str=\"{nonce}\",timestamp=\"{timestamp}\",\
         serial_no=\"{serial_number}\",signature=\"{signature}\""
    ))
}

fn payment(
    appid: &str,
    timestamp: u64,
    nonce: &str,
    prefix: &str,
    prepay_id: &str,
) -> Result<Vec<u8>, WechatPayError> {
    word("appid", appid)?;
    word("nonce", nonce)?;
    if prepay_id.is_empty() || !prepay_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(WechatPayError::PrepayId);
    }
    let time = timestamp.to_string();
    let package = format!("{prefix}{prepay_id}");
    lines(&[
        appid.as_bytes(),
        time.as_bytes(),
        nonce.as_bytes(),
        package.as_bytes(),
    ])
}

/// A word that neither a line nor a quoted header value can mistake.
fn word(name: &'static str, word: &str) -> Result<(), WechatPayError> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if word.is_empty() || word.len() > WECHAT_PAY_WORD_BYTES_MAX || !word.bytes().all(allowed) {
        return Err(WechatPayError::Word(name));
    }
    Ok(())
}

fn lines(parts: &[&[u8]]) -> Result<Vec<u8>, WechatPayError> {
    let mut bytes = Vec::new();
    for part in parts {
        if part.len() > MESSAGE_BYTES_MAX - bytes.len().min(MESSAGE_BYTES_MAX) {
            return Err(WechatPayError::TooLong);
        }
        bytes.extend_from_slice(part);
        bytes.push(b'\n');
    }
    if bytes.len() > MESSAGE_BYTES_MAX {
        return Err(WechatPayError::TooLong);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
