//! UnionPay's gateway, signMethod 01: requests signed, answers verified; sensitive fields
//! encrypted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::alipay::SignType;
use crate::domain::sensitive_field::EncryptionScheme;
use crate::domain::union_pay_gateway::{GatewayError, SignMethod, StringToSign};
use crate::keys::grant::{Grant, Sign};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::KeyUse;
use crate::ops::Error;
use crate::ops::context::{Call, Context};
use crate::ops::sensitive_field::{self, Encrypted};
use crate::ops::signing::{self, Verifiers};
use crate::secret::Secret;

/// A signed request.
pub struct Signed {
    /// RSA.
    pub signature: Vec<u8>,
    /// The key's scheme.
    pub scheme: SignType,
    /// The key used.
    pub key: KeyUse,
    /// The joined parameters, before they are hashed.
    pub string_to_sign: Vec<u8>,
}

/// What an answer was found to be.
pub struct Checked {
    /// UnionPay signed it.
    pub valid: bool,
    /// The key's scheme.
    pub scheme: SignType,
    /// The key that matched, or the active one.
    pub key: KeyUse,
    /// It has a signature.
    pub signed: bool,
    /// Its empty values are signed too.
    pub empty_values_signed: bool,
}

/// Signs the parameters of a request.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign_request<'a>(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Signed, Error> {
    let string = StringToSign::for_request(parameters)?;
    by_certificate(&string)?;
    let grant: Grant<Sign> = call.key(context, key).await?;
    fits(&string, grant.scheme())?;
    let signature = signing::signed(context, call, &grant, &string.rsa_message()).await?;
    Ok(Signed {
        signature,
        scheme: grant.scheme(),
        key: grant.key_use().clone(),
        string_to_sign: string.as_bytes().to_vec(),
    })
}

/// Encrypts sensitive fields to UnionPay.
///
/// # Errors
/// See [`enum@Error`].
pub async fn encrypt_fields(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    fields: &[Secret<Vec<u8>>],
) -> Result<Encrypted, Error> {
    let schemes = [EncryptionScheme::RsaPkcs1];
    sensitive_field::encrypt(context, call, key, &schemes, fields).await
}

/// Checks an answer: without its empty values, then with them. One that does not match is an answer.
///
/// # Errors
/// See [`enum@Error`].
pub async fn verify_response(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    parameters: &[(&str, &str)],
) -> Result<Checked, Error> {
    let of = |name: &str| parameters.iter().find(|(other, _)| *other == name);
    let signature = of("signature").map(|(_, value)| *value).unwrap_or_default();
    let bare = StringToSign::for_response(parameters.iter().copied(), false)?;
    by_certificate(&bare)?;
    let verifiers = Verifiers::of(context, call, key).await?;
    fits(&bare, verifiers.scheme())?;
    let decoded = STANDARD.decode(signature).unwrap_or_default();
    let (mut valid, mut key) = verifiers.check(&bare.rsa_message(), &decoded);
    let mut empty_values_signed = false;
    if !valid && parameters.iter().any(|(_, value)| value.is_empty()) {
        let whole = StringToSign::for_response(parameters.iter().copied(), true)?;
        let (matched, by) = verifiers.check(&whole.rsa_message(), &decoded);
        if matched {
            (valid, key, empty_values_signed) = (true, by, true);
        }
    }
    Ok(Checked {
        valid,
        scheme: verifiers.scheme(),
        key,
        signed: !signature.is_empty(),
        empty_values_signed,
    })
}

/// Messages under a secureKey are not for a key pair.
fn by_certificate(string: &StringToSign) -> Result<(), Error> {
    match string.sign_method() {
        SignMethod::Certificate => Ok(()),
        SignMethod::Sha256 | SignMethod::Sm3 => Err(GatewayError::SignMethod.into()),
    }
}

/// The hash is the version's, and must be that of the key's scheme.
fn fits(string: &StringToSign, scheme: SignType) -> Result<(), Error> {
    if scheme.rsa_hash() == Some(string.rsa_hash()) {
        Ok(())
    } else {
        Err(Error::GatewayScheme)
    }
}
