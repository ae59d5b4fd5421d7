//! Whether Alipay signed what came: responses and notifications, as raw as they came. The scheme is the key's, never
//! the message's, and nothing here needs the token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::alipay::SignType;
use crate::domain::alipay::diagnosis::{of_content, of_notification};
use crate::domain::alipay::notification::{Notification, Reading};
use crate::domain::alipay::response::Response;
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::ops::Error;
use crate::ops::alipay::diagnosis::{self, Diagnosis, Explain};
use crate::ops::context::{Call, Context};
use crate::ops::signing::Verifiers;

/// What a response was found to be.
pub struct CheckedResponse {
    /// Alipay signed the content.
    pub valid: bool,
    /// The key's scheme.
    pub scheme: SignType,
    /// The key that matched, or the active one.
    pub key: KeyUse,
    /// The node that was found.
    pub node: String,
    /// The bytes that were signed; where nothing matched, the node's value as it came.
    pub content: Vec<u8>,
    /// The signature is over the content with `/` for `\/`.
    pub with_plain_slashes: bool,
    /// The certificate that the body names.
    pub cert_sn: Option<String>,
    /// The body has a signature.
    pub signed: bool,
    /// The content tells a failure, which may go unsigned.
    pub failure: bool,
    /// Why it does not hold, where that was asked.
    pub diagnosis: Option<Diagnosis>,
}

/// What a notification was found to be.
pub struct CheckedNotification {
    /// Alipay signed it.
    pub valid: bool,
    /// The key's scheme.
    pub scheme: SignType,
    /// The key that matched, or the active one.
    pub key: KeyUse,
    /// The form, decoded.
    pub notification: Notification,
    /// The form has a signature.
    pub signed: bool,
    /// The reading that matched; where none did, the usual one.
    pub reading: Reading,
    /// The string that was signed by that reading.
    pub content: Vec<u8>,
    /// Why it does not hold, where that was asked.
    pub diagnosis: Option<Diagnosis>,
}

/// Checks a response of gateway.do. One that was not signed, or not so, is an answer.
///
/// # Errors
/// See [`enum@Error`].
pub async fn response(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    body: &[u8],
    node: &str,
    explain: Option<Explain<'_>>,
) -> Result<CheckedResponse, Error> {
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(Error::BodyTooLong);
    }
    let response = Response::parse(body, node)?;
    let mut verifiers = Verifiers::of(context, call, key).await?;
    let signature = response.sign().and_then(decoded).unwrap_or_default();
    let mut content = response.content().to_vec();
    let (mut valid, mut key) = verifiers.check(&content, &signature);
    let plain = response.with_plain_slashes().filter(|_| !valid);
    let mut with_plain_slashes = false;
    if let Some(plain) = plain {
        let (matched, by) = verifiers.check(&plain, &signature);
        if matched {
            (valid, key, content) = (true, by, plain);
            with_plain_slashes = true;
        }
    }
    verifiers.settle(valid)?;
    let explain = explain.filter(|_| !valid);
    let diagnosis = match (&explain, response.sign()) {
        (Some(explain), Some(sign)) => {
            let messages = of_content(response.content());
            Some(diagnosis::of(context, call, explain, &verifiers, &messages, sign).await?)
        }
        _ => None,
    };
    Ok(CheckedResponse {
        valid,
        scheme: verifiers.scheme(),
        key,
        node: response.node().to_owned(),
        content,
        with_plain_slashes,
        cert_sn: response.cert_sn().map(str::to_owned),
        signed: response.sign().is_some(),
        failure: response.is_failure(),
        diagnosis,
    })
}

/// Checks a notification by its form, in every reading there is. One that was not signed, or not so, is
/// an answer.
///
/// # Errors
/// See [`enum@Error`].
pub async fn notification(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    form: &[u8],
    explain: Option<Explain<'_>>,
) -> Result<CheckedNotification, Error> {
    if form.len() > MESSAGE_BYTES_MAX {
        return Err(Error::FormTooLong);
    }
    let notification = Notification::parse(form)?;
    let mut verifiers = Verifiers::of(context, call, key).await?;
    let sign = notification.value("sign");
    let sign = sign.map(|sign| String::from_utf8_lossy(sign).into_owned());
    let signature = sign.as_deref().and_then(decoded).unwrap_or_default();
    let [usual, ..] = Reading::ALL;
    let mut checked = CheckedNotification {
        valid: false,
        scheme: verifiers.scheme(),
        key: verifiers.key_use().clone(),
        signed: sign.is_some(),
        reading: usual,
        content: notification.string_to_sign(usual),
        notification,
        diagnosis: None,
    };
    for (reading, content) in checked.notification.strings_to_sign() {
        let (matched, by) = verifiers.check(&content, &signature);
        if matched {
            (checked.valid, checked.key) = (true, by);
            (checked.reading, checked.content) = (reading, content);
            return Ok(checked);
        }
    }
    verifiers.settle(false)?;
    if let (Some(explain), Some(sign)) = (&explain, &sign) {
        let messages = of_notification(&checked.notification, form);
        let found = diagnosis::of(context, call, explain, &verifiers, &messages, sign).await?;
        checked.diagnosis = Some(found);
    }
    Ok(checked)
}

/// A signature in Alipay's base64: standard, padded, without line breaks.
pub(in crate::ops) fn decoded(sign: &str) -> Option<Vec<u8>> {
    STANDARD.decode(sign).ok()
}
