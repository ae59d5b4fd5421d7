//! Signing for Alipay's gateway.do (v2); what is verified is in modules of its own. The
//! string-to-sign is built here, so nobody can have anything else signed, and **no signature is released that does not verify**.

pub mod diagnosis;
pub mod profile;
pub mod v3;
pub mod verification;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::alipay::page::{self, Form, GatewayUrl};
use crate::domain::alipay::{SignType, StringToSign};
use crate::keys::grant::{Grant, Sign};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::ops::Error;
use crate::ops::context::{Call, Context};
use crate::ops::signing;

/// A signed request.
pub struct Signed {
    /// The signature: RSA, or SM2 in DER.
    pub signature: Vec<u8>,
    /// The key's scheme.
    pub scheme: SignType,
    /// The key used.
    pub key: KeyUse,
    /// The exact bytes that were signed.
    pub string_to_sign: Vec<u8>,
}

impl Signed {
    /// The signature as Alipay wants it: standard alphabet, padded, no line breaks.
    #[must_use]
    pub fn base64(&self) -> String {
        STANDARD.encode(&self.signature)
    }
}

/// Signs the parameters of one request.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign_request<'a>(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Signed, Error> {
    let string_to_sign = StringToSign::for_request(parameters)?;
    let grant: Grant<Sign> = call.key(context, key).await?;
    let scheme = grant.scheme();
    if string_to_sign.sign_type() != scheme {
        return Err(Error::SignTypeMismatch);
    }
    let message = string_to_sign.into_bytes();
    let signature = signing::signed(context, call, &grant, &message).await?;
    Ok(Signed {
        signature,
        scheme,
        key: grant.key_use().clone(),
        string_to_sign: message,
    })
}

/// Signs a payment in an app: the signature and the order string.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign_app_pay(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    parameters: &[(&str, &str)],
) -> Result<(Signed, String), Error> {
    let signed = sign_request(context, call, key, parameters.iter().copied()).await?;
    let order = page::query(parameters.iter().copied(), &signed.base64())?;
    Ok((signed, order))
}

/// Signs a payment in the browser by GET: the signature and the URL.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign_page_url(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    parameters: &[(&str, &str)],
    gateway: GatewayUrl<'_>,
) -> Result<(Signed, String), Error> {
    let signed = sign_request(context, call, key, parameters.iter().copied()).await?;
    let url = page::url(gateway, parameters.iter().copied(), &signed.base64())?;
    Ok((signed, url))
}

/// Signs a payment in the browser by POST: the signature and the form.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign_page_form(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    parameters: &[(&str, &str)],
    gateway: GatewayUrl<'_>,
) -> Result<(Signed, Form), Error> {
    let signed = sign_request(context, call, key, parameters.iter().copied()).await?;
    let form = page::form(gateway, parameters.iter().copied(), &signed.base64())?;
    Ok((signed, form))
}
