//! Verification of signatures, and public keys. The scheme is the key's policy, never the
//! message's. Verification needs no token: the public key stands in the key's authenticated header.

use crate::domain::alipay::SignType;
use crate::domain::{rsa, sm2};
use crate::keys::grant::{Grant, ReadPublicKey, VerifySignature};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::{self, KeyUse};
use crate::limits;
use crate::ops::Error;
use crate::ops::context::{Call, Context};

/// Whether a signature matched.
pub struct Verified {
    /// It did.
    pub valid: bool,
    /// The key's scheme.
    pub scheme: SignType,
    /// The key used.
    pub key: KeyUse,
}

/// The public half of a key.
pub struct PublicKey {
    /// X.509 SubjectPublicKeyInfo, DER.
    pub spki: Vec<u8>,
    /// The key's scheme; none for a key under which others come in.
    pub scheme: Option<SignType>,
    /// The key.
    pub key: KeyUse,
}

/// Checks a signature over a message. One that does not match, of whatever form, is an answer.
///
/// # Errors
/// See [`enum@Error`].
pub async fn verify(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    message: &[u8],
    signature: &[u8],
) -> Result<Verified, Error> {
    if message.len() > limits::MESSAGE_BYTES_MAX {
        return Err(Error::MessageTooLong);
    }
    let verifiers = Verifiers::of(context, call, key).await?;
    let (valid, key) = verifiers.check(message, signature);
    Ok(Verified {
        valid,
        scheme: verifiers.scheme(),
        key,
    })
}

/// The public keys by which a signature may be right: a partner's key has more than one version that
/// counts while it is being replaced.
pub(in crate::ops) struct Verifiers {
    active: Grant<VerifySignature>,
}

impl Verifiers {
    /// Those of one key.
    pub async fn of(context: &Context, call: &Call, key: &KeyRef) -> Result<Self, Error> {
        let active = call.key(context, key).await?;
        Ok(Self { active })
    }

    /// The key's one scheme.
    pub fn scheme(&self) -> SignType {
        self.active.scheme()
    }

    /// Whether the signature would be right under a scheme that need not be the key's own: to tell why it
    /// is not, never to accept it.
    pub fn match_under(&self, scheme: SignType, message: &[u8], signature: &[u8]) -> bool {
        matches(scheme, self.active.public_key(), message, signature)
    }

    /// Whether this is the public half of the active key.
    pub fn is(&self, other: &open_key::PublicKey) -> bool {
        match (self.active.public_key(), other) {
            (open_key::PublicKey::Rsa(one), open_key::PublicKey::Rsa(other)) => one == other,
            (open_key::PublicKey::Sm2(one), open_key::PublicKey::Sm2(other)) => {
                one.to_bytes() == other.to_bytes()
            }
            (open_key::PublicKey::Rsa(_), open_key::PublicKey::Sm2(_))
            | (open_key::PublicKey::Sm2(_), open_key::PublicKey::Rsa(_)) => false,
        }
    }

    /// Whether the signature is right, and by which version; where it is not, the active one is named.
    pub fn check(&self, message: &[u8], signature: &[u8]) -> (bool, KeyUse) {
        let grant = &self.active;
        let valid = matches(grant.scheme(), grant.public_key(), message, signature);
        (valid, grant.key_use().clone())
    }
}

/// The public half of a signing key.
///
/// # Errors
/// See [`enum@Error`].
pub async fn public_key(context: &Context, call: &Call, key: &KeyRef) -> Result<PublicKey, Error> {
    let grant: Grant<ReadPublicKey> = call.key(context, key).await?;
    Ok(PublicKey {
        spki: grant.subject_public_key_info().to_vec(),
        scheme: grant.scheme(),
        key: grant.key_use().clone(),
    })
}

/// Whether `signature` is the key's over `message`, under the key's one scheme.
pub(in crate::ops) fn matches(
    scheme: SignType,
    key: &open_key::PublicKey,
    message: &[u8],
    signature: &[u8],
) -> bool {
    match (key, scheme.rsa_hash()) {
        (open_key::PublicKey::Rsa(key), Some(hash)) => {
            rsa::verify(key, hash, message, signature).is_ok()
        }
        (open_key::PublicKey::Sm2(key), None) => {
            sm2::verify_der(key, sm2::ID_DEFAULT, message, signature).is_ok()
        }
        (open_key::PublicKey::Rsa(_), None) | (open_key::PublicKey::Sm2(_), Some(_)) => false,
    }
}
