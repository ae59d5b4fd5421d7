//! Signatures, their verification, and public keys. The scheme is the key's policy, never the
//! message's. **No signature is released that does not verify.** Verification needs no token: the public
//! key stands in the key's authenticated header.

use crate::domain::alipay::SignType;
use crate::domain::{certificate_request, rsa, sm2};
use crate::keys::grant::{Grant, ReadPublicKey, RequestCertificate, Sign, Signer, VerifySignature};
use crate::keys::key_ref::KeyRef;
use crate::keys::open_key::{self, KeyUse};
use crate::limits;
use crate::ops::Error;
use crate::ops::context::{Call, Context};
use crate::ops::versions::Versions;

/// A signature.
pub struct Signature {
    /// RSA, or SM2 in the encoding that was asked for.
    pub bytes: Vec<u8>,
    /// The key's scheme.
    pub scheme: SignType,
    /// The key used.
    pub key: KeyUse,
}

/// Forms of an SM2 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// The scheme's own: DER for SM2.
    Own,
    /// DER SEQUENCE of r and s.
    Der,
    /// r and s, 32 bytes each.
    Raw,
}

impl Encoding {
    /// An RSA signature has one form, and none of these words for it.
    fn suits(self, scheme: SignType) -> Result<(), Error> {
        if self == Self::Own || scheme == SignType::Sm2 {
            Ok(())
        } else {
            Err(Error::SignatureEncoding)
        }
    }
}

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

/// Signs a message.
///
/// # Errors
/// See [`enum@Error`].
pub async fn sign(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    message: Vec<u8>,
    encoding: Encoding,
) -> Result<Signature, Error> {
    if message.len() > limits::MESSAGE_BYTES_MAX {
        return Err(Error::MessageTooLong);
    }
    let grant: Grant<Sign> = call.key(context, key).await?;
    encoding.suits(grant.scheme())?;
    let mut bytes = signed(context, call, &grant, &message).await?;
    if encoding == Encoding::Raw {
        let signature = sm2::Signature::from_der(&bytes).map_err(|_| Error::SignatureFault)?;
        bytes = signature.to_raw().to_vec();
    }
    Ok(Signature {
        bytes,
        scheme: grant.scheme(),
        key: grant.key_use().clone(),
    })
}

/// The key's signature of a message, verified; SM2 in DER.
pub(in crate::ops) async fn signed(
    context: &Context,
    call: &Call,
    grant: &Grant<Sign>,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let by = (grant.signer(), grant.scheme(), grant.public_key());
    signed_by(context, call, by, message).await
}

async fn signed_by(
    context: &Context,
    call: &Call,
    (signer, scheme, public_key): (Signer<'_>, SignType, &open_key::PublicKey),
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let signature = match signer {
        Signer::Rsa { key, hash } => key.sign(call.deadline(), hash, message.to_vec()).await?,
        Signer::Sm2(private) => {
            let entropy = context.fill.draw()?;
            sm2::sign(private, sm2::ID_DEFAULT, message, &entropy).to_der()
        }
        Signer::Sm2InToken(resident) => {
            let open_key::PublicKey::Sm2(key) = public_key else {
                return Err(Error::SignatureFault);
            };
            let e = sm2::digest(key, sm2::ID_DEFAULT, message);
            let raw = resident.sign_sm2(call.deadline(), e).await?;
            let signature = sm2::Signature::from_raw(&raw).map_err(|_| Error::SignatureFault)?;
            signature.to_der()
        }
    };
    if matches(scheme, public_key, message, &signature) {
        Ok(signature)
    } else {
        Err(Error::SignatureFault)
    }
}

/// A request for a certificate.
pub struct CertificateRequest {
    /// PKCS #10, DER.
    pub request: Vec<u8>,
    /// The key's scheme.
    pub scheme: SignType,
    /// The key used.
    pub key: KeyUse,
}

/// Asks for a certificate of a signing key, in its own name: also of a version that is pending, so that
/// the certificate is there when it becomes active.
///
/// # Errors
/// See [`enum@Error`].
pub async fn request_certificate(
    context: &Context,
    call: &Call,
    key: &KeyRef,
    subject: &str,
) -> Result<CertificateRequest, Error> {
    let subject = certificate_request::Subject::parse(subject).ok_or(Error::Subject)?;
    let grant: Grant<RequestCertificate> = call.key(context, key).await?;
    let info = certificate_request::info(&subject, grant.subject_public_key_info());
    let info = info.ok_or(Error::SignatureFault)?;
    let by = (grant.signer(), grant.scheme(), grant.public_key());
    let signature = signed_by(context, call, by, info.as_bytes()).await?;
    let request = info.signed(grant.scheme(), &signature);
    Ok(CertificateRequest {
        request: request.ok_or(Error::SignatureFault)?,
        scheme: grant.scheme(),
        key: grant.key_use().clone(),
    })
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
    encoding: Encoding,
) -> Result<Verified, Error> {
    if message.len() > limits::MESSAGE_BYTES_MAX {
        return Err(Error::MessageTooLong);
    }
    let mut verifiers = Verifiers::of(context, call, key).await?;
    encoding.suits(verifiers.scheme())?;
    let (valid, key) = if encoding == Encoding::Raw {
        // What is no signature at all matches as little as an empty one.
        let der = sm2::Signature::from_raw(signature).map(|raw| raw.to_der());
        verifiers.check(message, &der.unwrap_or_default())
    } else {
        verifiers.check(message, signature)
    };
    verifiers.settle(valid)?;
    Ok(Verified {
        valid,
        scheme: verifiers.scheme(),
        key,
    })
}

/// The public keys by which a signature may be right.
pub(in crate::ops) struct Verifiers(Versions<VerifySignature>);

impl Verifiers {
    /// Those of one key.
    pub async fn of(context: &Context, call: &Call, key: &KeyRef) -> Result<Self, Error> {
        Ok(Self(Versions::of(context, call, key).await?))
    }

    /// The key's one scheme.
    pub fn scheme(&self) -> SignType {
        self.0.active().scheme()
    }

    /// The version that is named where nothing is right.
    pub fn key_use(&self) -> &KeyUse {
        self.0.active().key_use()
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.0.all().count()
    }

    /// Whether the signature would be right under a scheme that need not be the key's own: to tell why it
    /// is not, never to accept it.
    pub fn match_under(&self, scheme: SignType, message: &[u8], signature: &[u8]) -> bool {
        let mut all = self.0.all();
        all.any(|grant| matches(scheme, grant.public_key(), message, signature))
    }

    /// Whether this is the public half of one of them.
    pub fn are(&self, other: &open_key::PublicKey) -> bool {
        self.0.all().any(|grant| grant.public_key() == other)
    }

    /// Whether the signature is right, and by which version; where it is not, the active one is named.
    pub fn check(&self, message: &[u8], signature: &[u8]) -> (bool, KeyUse) {
        self.0
            .find(|grant| matches(grant.scheme(), grant.public_key(), message, signature))
    }

    /// Nothing more will be checked; see [`Versions::settle`].
    pub fn settle(&mut self, valid: bool) -> Result<(), Error> {
        self.0.settle(valid)
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
