//! Alipay's v3 protocol: requests signed, responses verified.

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::alipay::SignType;
use crate::domain::alipay::diagnosis::of_content;
use crate::domain::alipay::v3::{self, Request};
use crate::keys::grant::{Grant, Sign};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::ops::Error;
use crate::ops::alipay::diagnosis::{self, Diagnosis, Explain};
use crate::ops::alipay::verification::decoded;
use crate::ops::context::{Call, Context};
use crate::ops::signing::{self, Verifiers};

/// What is to be signed; nonce and time are made here where they are not given.
pub struct Asked<'a> {
    /// `GET`, `POST` …
    pub method: &'a str,
    /// Path and query, as on the wire.
    pub target: &'a str,
    /// The body, as it will be sent.
    pub body: &'a [u8],
    /// The application.
    pub app_id: &'a str,
    /// The serial number of its certificate.
    pub app_cert_sn: Option<&'a str>,
    /// The token of the merchant on whose behalf it calls.
    pub app_auth_token: Option<&'a str>,
    /// Never the same twice.
    pub nonce: Option<&'a str>,
    /// Milliseconds since 1970.
    pub timestamp_ms: Option<u64>,
}

/// A signed request.
pub struct Signed {
    /// The value of the `authorization` header.
    pub authorization: String,
    /// The nonce in it.
    pub nonce: String,
    /// The time in it.
    pub timestamp_ms: u64,
    /// The key used.
    pub key: KeyUse,
    /// The exact bytes that were signed.
    pub string_to_sign: Vec<u8>,
}

/// What a response was found to be.
pub struct CheckedResponse {
    /// Alipay signed it.
    pub valid: bool,
    /// The key's scheme.
    pub scheme: SignType,
    /// The key that matched, or the active one.
    pub key: KeyUse,
    /// The string that would have been signed.
    pub content: Vec<u8>,
    /// Why it does not hold, where that was asked.
    pub diagnosis: Option<Diagnosis>,
}

/// Signs a request.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign_request(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    asked: &Asked<'_>,
) -> Result<Signed, Error> {
    if asked.body.len() > MESSAGE_BYTES_MAX {
        return Err(Error::BodyTooLong);
    }
    let nonce = match asked.nonce {
        Some(given) => given.to_owned(),
        None => v3::nonce(context.fill.draw()?),
    };
    let timestamp_ms = asked.timestamp_ms.unwrap_or_else(now_ms);
    let request = Request {
        method: asked.method,
        target: asked.target,
        body: asked.body,
        app_id: asked.app_id,
        app_cert_sn: asked.app_cert_sn,
        app_auth_token: asked.app_auth_token,
        nonce: &nonce,
        timestamp_ms,
    };
    let string_to_sign = request.string_to_sign()?;
    let grant: Grant<Sign> = call.key(context, key).await?;
    if grant.scheme() != SignType::Rsa2 {
        return Err(Error::V3Scheme);
    }
    let signature = signing::signed(context, call, &grant, &string_to_sign).await?;
    Ok(Signed {
        authorization: request.header(&STANDARD.encode(signature)),
        timestamp_ms,
        key: grant.key_use().clone(),
        string_to_sign,
        nonce,
    })
}

/// Checks a response by its headers and raw body. One that does not match is an answer.
///
/// # Errors
/// See [`enum@Error`].
pub async fn verify_response(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    (timestamp, nonce, body): (&str, &str, &[u8]),
    sign: &str,
    explain: Option<Explain<'_>>,
) -> Result<CheckedResponse, Error> {
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(Error::BodyTooLong);
    }
    let mut verifiers = Verifiers::of(context, call, key).await?;
    let string = v3::response_string(timestamp, nonce, body);
    let (valid, key) = verifiers.check(&string, &decoded(sign).unwrap_or_default());
    verifiers.settle(valid)?;
    let mut found = None;
    if let (false, Some(explain)) = (valid, &explain) {
        let mut messages = of_content(body);
        for message in &mut messages {
            message.bytes = v3::response_string(timestamp, nonce, &message.bytes);
        }
        found = Some(diagnosis::of(context, call, explain, &verifiers, &messages, sign).await?);
    }
    Ok(CheckedResponse {
        content: string,
        diagnosis: found,
        valid,
        scheme: verifiers.scheme(),
        key,
    })
}

/// Milliseconds since 1970.
fn now_ms() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
