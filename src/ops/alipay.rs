//! Signing for Alipay's gateway.do (v2); what is verified is in modules of its own. The string-to-sign is built here, so nobody can have
//! anything else signed, and **no signature is released that does not verify**.

pub mod v3;
pub mod verification;

use crate::domain::alipay::{SignType, StringToSign};
use crate::domain::sm2;
use crate::keys::grant::{Grant, Sign, Signer};
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
    let signature = signature(context, call, &grant, &message).await?;
    Ok(Signed {
        signature,
        scheme,
        key: grant.key_use().clone(),
        string_to_sign: message,
    })
}

/// The key's signature over a message, verified before it goes anywhere.
async fn signature(
    context: &Context,
    call: &Call,
    grant: &Grant<Sign>,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let signature = match grant.signer() {
        Signer::Rsa { key, hash } => key.sign(call.deadline(), hash, message.to_vec()).await?,
        Signer::Sm2(private) => {
            let entropy = context.fill.draw()?;
            sm2::sign(private, sm2::ID_DEFAULT, message, &entropy).to_der()
        }
    };
    if !signing::matches(grant.scheme(), grant.public_key(), message, &signature) {
        return Err(Error::SignatureFault);
    }
    Ok(signature)
}
