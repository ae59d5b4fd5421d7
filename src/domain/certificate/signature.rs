//! Signatures of certificates: PKCS #1 v1.5 (RFC 4055) and SM2 with SM3 (GM/T 0015-2012, the
//! default identity). No PSS and no ECDSA.

use der::oid::ObjectIdentifier;

use crate::domain::certificate::{Certificate, PublicKey};
use crate::domain::{rsa, sm2};

/// The algorithms that are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// sha1WithRSAEncryption. Weak: taken where a root signs itself, which proves nothing anyway.
    Sha1Rsa,
    /// sha256WithRSAEncryption.
    Sha256Rsa,
    /// sha384WithRSAEncryption.
    Sha384Rsa,
    /// sha512WithRSAEncryption.
    Sha512Rsa,
    /// SM2 with SM3.
    Sm2Sm3,
}

impl SignatureAlgorithm {
    /// Every algorithm.
    pub const ALL: [Self; 5] = [
        Self::Sha1Rsa,
        Self::Sha256Rsa,
        Self::Sha384Rsa,
        Self::Sha512Rsa,
        Self::Sm2Sm3,
    ];

    pub(super) fn of(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|algorithm| algorithm.oid() == oid)
    }

    /// As Java names it.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sha1Rsa => "SHA1withRSA",
            Self::Sha256Rsa => "SHA256withRSA",
            Self::Sha384Rsa => "SHA384withRSA",
            Self::Sha512Rsa => "SHA512withRSA",
            Self::Sm2Sm3 => "SM3withSM2",
        }
    }

    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha1Rsa => SHA1_RSA,
            Self::Sha256Rsa => SHA256_RSA,
            Self::Sha384Rsa => SHA384_RSA,
            Self::Sha512Rsa => SHA512_RSA,
            Self::Sm2Sm3 => SM2_SM3,
        }
    }

    /// The hash under PKCS #1 v1.5; none for SM2.
    const fn rsa_hash(self) -> Option<rsa::Hash> {
        match self {
            Self::Sha1Rsa => Some(rsa::Hash::Sha1),
            Self::Sha256Rsa => Some(rsa::Hash::Sha256),
            Self::Sha384Rsa => Some(rsa::Hash::Sha384),
            Self::Sha512Rsa => Some(rsa::Hash::Sha512),
            Self::Sm2Sm3 => None,
        }
    }
}

/// Whether `key` signed `certificate` by this algorithm, which is the certificate's.
pub(super) fn matches(
    algorithm: SignatureAlgorithm,
    key: &PublicKey,
    certificate: &Certificate,
) -> bool {
    let (signed, signature) = (&certificate.signed, &certificate.signature);
    match (key, algorithm.rsa_hash()) {
        (PublicKey::Rsa(key), Some(hash)) => rsa::verify(key, hash, signed, signature).is_ok(),
        (PublicKey::Sm2(key), None) => {
            sm2::verify_der(key, sm2::ID_DEFAULT, signed, signature).is_ok()
        }
        (PublicKey::Rsa(_), None) | (PublicKey::Sm2(_), Some(_)) => false,
    }
}

const SHA1_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
const SHA256_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const SHA384_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const SHA512_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");
/// GM/T 0006-2012.
const SM2_SM3: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.501");
