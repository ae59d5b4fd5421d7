//! Sensitive fields: each of a message's encrypted to a partner, or decrypted by one's own key. How is
//! the key's policy; a call says which schemes its protocol has. All of a call's fields or none.
//!
//! Whatever does not decrypt is [`FieldError::Rejected`], and nothing tells which field or why.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, Pkcs1PublicEncryptingKey, PublicEncryptingKey,
    PublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::rsa;
use crate::domain::sensitive_field::{EncryptionScheme, FieldError};
use crate::domain::sm2::{self, encryption};
use crate::hsm;
use crate::keys;
use crate::keys::grant::{DecryptFields, EncryptFields, FieldOpener, Grant, OperationKind};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::{KeyUse, PublicKey};
use crate::limits;
use crate::ops::context::{Call, Context};
use crate::ops::{Error, KeyRole};
use crate::secret::Secret;

/// Fields as they are sent.
pub struct Encrypted {
    /// Base64, in the order they came.
    pub fields: Vec<String>,
    /// What the partner calls its key; empty where the key's labels do not say.
    pub serial: String,
    /// The key's scheme.
    pub scheme: EncryptionScheme,
    /// The key used.
    pub key: KeyUse,
}

/// Clear fields.
pub struct Decrypted {
    /// In the order they came.
    pub fields: Vec<Secret<Vec<u8>>>,
    /// The key's scheme.
    pub scheme: EncryptionScheme,
    /// The key used.
    pub key: KeyUse,
}

/// Encrypts fields to a partner whose key has one of these schemes.
///
/// # Errors
/// See [`enum@Error`].
pub(in crate::ops) async fn encrypt(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    schemes: &[EncryptionScheme],
    fields: &[Secret<Vec<u8>>],
) -> Result<Encrypted, Error> {
    let grant: Grant<EncryptFields> = call.key(context, key).await?;
    let scheme = grant.scheme();
    if !schemes.contains(&scheme) {
        return Err(refused(OperationKind::EncryptFields));
    }
    let mut encrypted = Vec::with_capacity(fields.len());
    for field in fields {
        let field = field.expose_secret();
        let sealed = match (grant.public_key(), scheme) {
            (PublicKey::Sm2(key), EncryptionScheme::Sm2) => by_sm2(context, key, field)?,
            (PublicKey::Rsa(key), EncryptionScheme::RsaOaepSha1 | EncryptionScheme::RsaPkcs1) => {
                by_rsa(key, scheme, field)?
            }
            (PublicKey::Rsa(_), EncryptionScheme::Sm2) | (PublicKey::Sm2(_), _) => {
                return Err(refused(OperationKind::EncryptFields));
            }
        };
        encrypted.push(STANDARD.encode(sealed));
    }
    Ok(Encrypted {
        fields: encrypted,
        serial: grant.serial().to_owned(),
        scheme,
        key: grant.key_use().clone(),
    })
}

/// Decrypts fields, all of them or none.
///
/// # Errors
/// See [`enum@Error`].
pub(in crate::ops) async fn decrypt(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    fields: &[String],
) -> Result<Decrypted, Error> {
    let read = |field: &String| {
        let bounded = (field.len() <= limits::SENSITIVE_FIELD_CHARACTERS_MAX).then_some(field);
        bounded.and_then(|field| STANDARD.decode(field).ok())
    };
    let sealed: Option<Vec<Vec<u8>>> = fields.iter().map(read).collect();
    let sealed = sealed.ok_or(FieldError::Rejected)?;
    let grant: Grant<DecryptFields> = call.key(context, key).await?;
    let fields = match grant.opener() {
        FieldOpener::Rsa(key) => {
            let opened = key.open_fields(call.deadline(), sealed).await;
            opened.map_err(|error| match error {
                hsm::Error::NotOpened => FieldError::Rejected.into(),
                error => Error::Token(error),
            })?
        }
        FieldOpener::Sm2(key) => {
            let open = |sealed: &Vec<u8>| {
                encryption::decrypt(key, &encryption::Ciphertext::from_der(sealed)?)
            };
            let opened: Result<_, encryption::Rejected> = sealed.iter().map(open).collect();
            opened.map_err(|encryption::Rejected| FieldError::Rejected)?
        }
    };
    Ok(Decrypted {
        fields,
        scheme: grant.scheme(),
        key: grant.key_use().clone(),
    })
}

fn by_rsa(key: &rsa::PublicKey, scheme: EncryptionScheme, field: &[u8]) -> Result<Vec<u8>, Error> {
    if !(1..=scheme.field_bytes_max(key.modulus_bytes())).contains(&field.len()) {
        return Err(FieldError::Length.into());
    }
    let mut sealed = vec![0; key.modulus_bytes()];
    let done = public_encrypting(key).and_then(|key| match scheme {
        EncryptionScheme::RsaOaepSha1 => OaepPublicEncryptingKey::new(key).and_then(|key| {
            let sealed = key.encrypt(&OAEP_SHA1_MGF1SHA1, field, &mut sealed, None);
            sealed.map(|_| ())
        }),
        EncryptionScheme::RsaPkcs1 => Pkcs1PublicEncryptingKey::new(key)
            .and_then(|key| key.encrypt(field, &mut sealed).map(|_| ())),
        EncryptionScheme::Sm2 => Err(aws_lc_rs::error::Unspecified),
    });
    // The key was checked when it was brought in, the length above.
    done.map_err(|_| FieldError::Encryption)?;
    Ok(sealed)
}

fn public_encrypting(
    key: &rsa::PublicKey,
) -> Result<PublicEncryptingKey, aws_lc_rs::error::Unspecified> {
    let components = PublicKeyComponents {
        n: key.n(),
        e: key.e(),
    };
    components.try_into()
}

/// A short field's key stream is void now and then, once in 256 for one byte: another nonce is drawn.
fn by_sm2(context: &Context, key: &sm2::PublicKey, field: &[u8]) -> Result<Vec<u8>, Error> {
    for _ in 0..limits::SM2_ENCRYPTION_NONCES_MAX {
        let nonce = Secret::new(context.fill.draw()?);
        match encryption::encrypt(key, field, nonce.expose_secret()) {
            Ok(sealed) => return Ok(sealed.to_der()),
            Err(encryption::EncryptError::Length) => return Err(FieldError::Length.into()),
            Err(encryption::EncryptError::Nonce) => {}
        }
    }
    Err(FieldError::Encryption.into())
}

/// A key of another protocol's scheme is not for this call.
fn refused(what: OperationKind) -> Error {
    Error::Key(KeyRole::Only, keys::error::Error::UsageRefused { what })
}
