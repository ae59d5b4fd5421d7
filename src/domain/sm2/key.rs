//! SM2 keys: the private scalar d in [1, n-2] (GB/T 32918.1-2016 clause 6.1) and the public point,
//! with their PKCS #8 (RFC 5958, RFC 5915) and SubjectPublicKeyInfo (RFC 5280) forms under
//! id-ecPublicKey and 1.2.156.10197.1.301. It deliberately takes uncompressed points only, no
//! encrypted PKCS #8 and no explicit curve parameters.

use crate::secret::Secret;
use ::sm2::elliptic_curve::bigint::{NonZero, U256, U384};
use ::sm2::elliptic_curve::{Curve, PrimeField};
use ::sm2::{AffinePoint, FieldBytes, NonZeroScalar, Scalar, SecretKey, Sm2};
use der::asn1::{BitStringRef, ObjectIdentifier};
use der::{Decode, Encode};
use pkcs8::{EncodePrivateKey, PrivateKeyInfoRef};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo, SubjectPublicKeyInfoRef};
use zeroize::{Zeroize, Zeroizing};

/// A private key, wiped on drop, with what signing needs of it worked out once.
///
/// It can be shared between threads, but not printed, copied or compared:
///
/// ```
/// fn can_be_shared<T: Send + Sync>() {}
/// can_be_shared::<pintle::domain::sm2::PrivateKey>();
/// ```
/// ```compile_fail
/// fn is_printable<T: std::fmt::Debug>() {}
/// is_printable::<pintle::domain::sm2::PrivateKey>();
/// ```
/// ```compile_fail
/// fn can_be_cloned<T: Clone>() {}
/// can_be_cloned::<pintle::domain::sm2::PrivateKey>();
/// ```
/// ```compile_fail
/// fn can_be_compared<T: PartialEq>() {}
/// can_be_compared::<pintle::domain::sm2::PrivateKey>();
/// ```
pub struct PrivateKey {
    d: NonZeroScalar,
    /// (1 + d)^-1
    one_plus_inverse: Scalar,
    public: PublicKey,
}

/// A public key: a point of the curve other than infinity. The group has prime order, so every
/// such point is a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey {
    point: AffinePoint,
    /// x ‖ y
    bytes: [u8; 64],
}

/// Why bytes are not a key; all of it is the key giver's fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum KeyError {
    /// Not DER of the form asked for.
    #[error("not the DER form of a key")]
    Encoding,
    /// A key, but not id-ecPublicKey over the SM2 curve.
    #[error("not an SM2 key (id-ecPublicKey, 1.2.156.10197.1.301)")]
    Algorithm,
    /// The private number is not in [1, n-2].
    #[error("the private key is out of range")]
    Range,
    /// Not an uncompressed point of the curve.
    #[error("the public key is not an uncompressed point of the SM2 curve")]
    Point,
}

impl PrivateKey {
    /// d as 32 bytes, big-endian.
    pub fn from_bytes(d: &[u8; 32]) -> Result<Self, KeyError> {
        let d = NonZeroScalar::try_from(d.as_slice()).map_err(|_| KeyError::Range)?;
        Self::from_scalar(Zeroizing::new(d))
    }

    /// Makes a key of 48 random bytes: d = (c mod (n-2)) + 1. With 128 bits more than n has, no
    /// key is likelier than another by more than 2^-128 (FIPS 186-5 appendix A.2.1).
    #[must_use]
    pub fn from_random(random: &[u8; 48]) -> Self {
        let c = Zeroizing::new(U384::from_be_slice(random));
        let n_minus_2 = U384::from(&Sm2::ORDER.as_ref().wrapping_sub(&U256::from_u8(2)));
        #[expect(clippy::expect_used, reason = "n - 2 is a non-zero constant")]
        let modulus = NonZero::new(n_minus_2).into_option().expect("n > 2");
        let d = Zeroizing::new(c.rem(&modulus).wrapping_add(&U384::ONE));
        let bytes = Zeroizing::new(<[u8; 48]>::from(d.to_be_bytes()));
        let mut low = Zeroizing::new([0u8; 32]);
        low.copy_from_slice(&bytes[16..]);
        #[expect(clippy::expect_used, reason = "1 <= d <= n - 2 by construction")]
        Self::from_bytes(&low).expect("d is in range")
    }

    /// An unencrypted PKCS #8 private key, DER. A public key inside must be this one's.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self, KeyError> {
        let info = PrivateKeyInfoRef::from_der(der).map_err(|_| KeyError::Encoding)?;
        info.algorithm
            .assert_oids(EC_PUBLIC_KEY, SM2_CURVE)
            .map_err(|_| KeyError::Algorithm)?;
        let key = SecretKey::try_from(info).map_err(|_| KeyError::Encoding)?;
        Self::from_scalar(Zeroizing::new(key.to_nonzero_scalar()))
    }

    /// PKCS #8, DER, with the public key inside.
    pub fn to_pkcs8(&self) -> Result<Secret<Vec<u8>>, KeyError> {
        let document = SecretKey::from(&self.d)
            .to_pkcs8_der()
            .map_err(|_| KeyError::Encoding)?;
        Ok(Secret::new(document.as_bytes().to_vec()))
    }

    /// d as 32 bytes, big-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Secret<[u8; 32]> {
        let mut repr = self.d.to_repr();
        let secret = Secret::init_with_mut(|bytes: &mut [u8; 32]| bytes.copy_from_slice(&repr));
        repr.zeroize();
        secret
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn scalar(&self) -> &NonZeroScalar {
        &self.d
    }

    pub(super) fn one_plus_inverse(&self) -> &Scalar {
        &self.one_plus_inverse
    }

    fn from_scalar(d: Zeroizing<NonZeroScalar>) -> Result<Self, KeyError> {
        let one_plus = Zeroizing::new(**d + Scalar::ONE);
        // d = n - 1 is the one scalar that cannot sign.
        let one_plus_inverse = one_plus.invert().into_option().ok_or(KeyError::Range)?;
        let point = ::sm2::PublicKey::from_secret_scalar(&d);
        Ok(Self {
            d: *d,
            one_plus_inverse,
            public: PublicKey::from_affine(*point.as_affine()),
        })
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.d.zeroize();
        self.one_plus_inverse.zeroize();
    }
}

impl PublicKey {
    /// x ‖ y (64 bytes) or the uncompressed SEC 1 form 04 ‖ x ‖ y (65 bytes).
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let mut sec1 = [UNCOMPRESSED; 65];
        match bytes.len() {
            64 => sec1[1..].copy_from_slice(bytes),
            65 if bytes[0] == UNCOMPRESSED => sec1.copy_from_slice(bytes),
            _ => return Err(KeyError::Point),
        }
        let key = ::sm2::PublicKey::from_sec1_bytes(&sec1).map_err(|_| KeyError::Point)?;
        Ok(Self::from_affine(*key.as_affine()))
    }

    /// x ‖ y.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 64] {
        self.bytes
    }

    /// 04 ‖ x ‖ y.
    #[must_use]
    pub fn to_sec1(&self) -> [u8; 65] {
        let mut sec1 = [UNCOMPRESSED; 65];
        sec1[1..].copy_from_slice(&self.bytes);
        sec1
    }

    /// X.509 SubjectPublicKeyInfo, DER.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Encoding)?;
        info.algorithm
            .assert_oids(EC_PUBLIC_KEY, SM2_CURVE)
            .map_err(|_| KeyError::Algorithm)?;
        let sec1 = info
            .subject_public_key
            .as_bytes()
            .ok_or(KeyError::Encoding)?;
        if sec1.len() != 65 {
            return Err(KeyError::Point);
        }
        Self::from_bytes(sec1)
    }

    /// X.509 SubjectPublicKeyInfo, DER: 91 bytes.
    #[must_use]
    pub fn to_spki(&self) -> Vec<u8> {
        let sec1 = self.to_sec1();
        let encode = || {
            SubjectPublicKeyInfo {
                algorithm: AlgorithmIdentifier {
                    oid: EC_PUBLIC_KEY,
                    parameters: Some(SM2_CURVE),
                },
                subject_public_key: BitStringRef::from_bytes(&sec1)?,
            }
            .to_der()
        };
        #[expect(clippy::expect_used, reason = "fixed sizes: DER cannot fail")]
        encode().expect("a 65-byte BIT STRING under two OIDs")
    }

    pub(super) fn point(&self) -> &AffinePoint {
        &self.point
    }

    pub(super) fn from_affine(point: AffinePoint) -> Self {
        use ::sm2::elliptic_curve::point::AffineCoordinates;
        let mut bytes = [0; 64];
        let (x, y): (FieldBytes, FieldBytes) = (point.x(), point.y());
        bytes[..32].copy_from_slice(&x);
        bytes[32..].copy_from_slice(&y);
        Self { point, bytes }
    }
}

/// id-ecPublicKey (RFC 5480).
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// sm2p256v1 (GM/T 0006-2012).
const SM2_CURVE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");
/// SEC 1 §2.3.3.
const UNCOMPRESSED: u8 = 4;
