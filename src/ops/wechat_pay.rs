//! WeChat Pay APIv3: requests and payments signed, answers and callbacks verified,
//! sensitive fields encrypted and decrypted.

pub mod resource;

use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::alipay::SignType;
use crate::domain::alipay::v3::nonce;
use crate::domain::sensitive_field::EncryptionScheme;
use crate::domain::wechat_pay::{self, Merchant, Request};
use crate::keys::grant::{Grant, Sign};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::limits;
use crate::ops::Error;
use crate::ops::context::{Call, Context};
use crate::ops::sensitive_field::{self, Decrypted, Encrypted};
use crate::ops::signing::{self, Verifiers};
use crate::secret::Secret;

/// What is to be signed; nonce and time are made here where they are not given.
pub struct Asked<'a> {
    /// `GET`, `POST` …
    pub method: &'a str,
    /// Path and query, as on the wire.
    pub target: &'a str,
    /// The body, as it will be sent.
    pub body: &'a [u8],
    /// Who signs.
    pub merchant: Merchant<'a>,
    /// Never the same twice, and the time.
    pub once: Once<'a>,
}

/// A nonce and a time, as far as the caller gives them.
#[derive(Clone, Copy)]
pub struct Once<'a> {
    /// Never the same twice.
    pub nonce: Option<&'a str>,
    /// Seconds since 1970.
    pub timestamp: Option<u64>,
}

/// A signed request, or a payment that may begin.
pub struct Signed {
    /// The value of the Authorization header, or the base64 of paySign.
    pub text: String,
    /// The nonce in it.
    pub nonce: String,
    /// The time in it.
    pub timestamp: u64,
    /// The key's scheme.
    pub scheme: SignType,
    /// The key used.
    pub key: KeyUse,
    /// The exact bytes that were signed.
    pub string_to_sign: Vec<u8>,
}

/// Where a payment begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payment {
    /// JSAPI and mini programs.
    Jsapi,
    /// An app.
    App,
}

/// What came from WeChat Pay.
pub struct Message<'a> {
    /// Wechatpay-Serial.
    pub serial: &'a str,
    /// Wechatpay-Timestamp.
    pub timestamp: u64,
    /// Wechatpay-Nonce.
    pub nonce: &'a str,
    /// The raw body.
    pub body: &'a [u8],
    /// Wechatpay-Signature.
    pub signature: &'a str,
}

/// What a message was found to be.
pub struct Checked {
    /// WeChat Pay signed it.
    pub valid: bool,
    /// Its time is far from now.
    pub stale: bool,
    /// The key of its serial, if that is known: its scheme, and which version matched.
    pub by: Option<(SignType, KeyUse)>,
}

/// Makes the Authorization header of a request.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign_request(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    asked: &Asked<'_>,
) -> Result<Signed, Error> {
    let (nonce, timestamp) = asked.once.complete(context)?;
    let string_to_sign = wechat_pay::request(Request {
        method: asked.method,
        url: asked.target,
        timestamp,
        nonce: &nonce,
        body: asked.body,
    })?;
    let grant: Grant<Sign> = call.key(context, key).await?;
    let scheme = grant.scheme();
    // Everything that can be refused is, before anything is signed.
    wechat_pay::authorization(scheme, asked.merchant, timestamp, &nonce, "")?;
    let signature = signing::signed(context, call, &grant, &string_to_sign).await?;
    let signature = STANDARD.encode(signature);
    let text = wechat_pay::authorization(scheme, asked.merchant, timestamp, &nonce, &signature)?;
    Ok(Signed {
        text,
        nonce,
        timestamp,
        scheme,
        key: grant.key_use().clone(),
        string_to_sign,
    })
}

/// Makes the signature by which a payment begins.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign_payment(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    (payment, appid, prepay_id): (Payment, &str, &str),
    once: Once<'_>,
) -> Result<Signed, Error> {
    let (nonce, timestamp) = once.complete(context)?;
    let string_to_sign = match payment {
        Payment::Jsapi => wechat_pay::jsapi_payment(appid, timestamp, &nonce, prepay_id)?,
        Payment::App => wechat_pay::app_payment(appid, timestamp, &nonce, prepay_id)?,
    };
    let grant: Grant<Sign> = call.key(context, key).await?;
    let scheme = grant.scheme();
    wechat_pay::authorization_scheme(scheme)?;
    let signature = signing::signed(context, call, &grant, &string_to_sign).await?;
    Ok(Signed {
        text: STANDARD.encode(signature),
        nonce,
        timestamp,
        scheme,
        key: grant.key_use().clone(),
        string_to_sign,
    })
}

/// Encrypts sensitive fields to WeChat Pay.
///
/// # Errors
/// See [`enum@Error`].
pub async fn encrypt_fields(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    fields: &[Secret<Vec<u8>>],
) -> Result<Encrypted, Error> {
    let schemes = [EncryptionScheme::RsaOaepSha1, EncryptionScheme::Sm2];
    sensitive_field::encrypt(context, call, key, &schemes, fields).await
}

/// Decrypts sensitive fields that WeChat Pay encrypted to the merchant's certificate.
///
/// # Errors
/// See [`enum@Error`].
pub async fn decrypt_fields(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    fields: &[String],
) -> Result<Decrypted, Error> {
    sensitive_field::decrypt(context, call, key, fields).await
}

/// Checks an answer or a callback by the key that it names.
///
/// # Errors
/// See [`enum@Error`].
pub async fn verify(
    context: &Context,
    call: &Call,
    keys: &[(String, KeyRef)],
    message: &Message<'_>,
) -> Result<Checked, Error> {
    let string = wechat_pay::response(message.timestamp, message.nonce, message.body)?;
    let stale = now().abs_diff(message.timestamp) > limits::WECHAT_PAY_AGE_MAX.as_secs();
    let Some((_, key)) = keys.iter().find(|(serial, _)| serial == message.serial) else {
        return Ok(Checked {
            valid: false,
            stale,
            by: None,
        });
    };
    let mut verifiers = Verifiers::of(context, call, key).await?;
    wechat_pay::authorization_scheme(verifiers.scheme())?;
    let signature = STANDARD.decode(message.signature).unwrap_or_default();
    let (valid, key) = verifiers.check(&string, &signature);
    verifiers.settle(valid)?;
    Ok(Checked {
        valid,
        stale,
        by: Some((verifiers.scheme(), key)),
    })
}

impl Once<'_> {
    fn complete(self, context: &Context) -> Result<(String, u64), Error> {
        let nonce = match self.nonce {
            Some(given) => given.to_owned(),
            None => nonce(context.fill.draw()?),
        };
        Ok((nonce, self.timestamp.unwrap_or_else(now)))
    }
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default()
        .as_secs()
}
