//! Whether Alipay signed what came: responses, as raw as they came. The scheme is the key's, never
//! the message's, and nothing here needs the token.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::alipay::SignType;
use crate::domain::alipay::response::Response;
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::limits::MESSAGE_BYTES_MAX;
use crate::ops::Error;
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
) -> Result<CheckedResponse, Error> {
    if body.len() > MESSAGE_BYTES_MAX {
        return Err(Error::BodyTooLong);
    }
    let response = Response::parse(body, node)?;
    let verifiers = Verifiers::of(context, call, key).await?;
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
    })
}

/// A signature in Alipay's base64: standard, padded, without line breaks.
fn decoded(sign: &str) -> Option<Vec<u8>> {
    STANDARD.decode(sign).ok()
}
