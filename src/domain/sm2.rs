//! SM2 digital signatures (GB/T 32918.2-2016, the same text as GM/T 0003.2-2012) over the curve
//! sm2p256v1 of GB/T 32918.5-2017, with SM3 (GB/T 32905-2016) as the hash.
//!
//! The nonce is an argument ([`sign_with_nonce`]) or derived (RFC 6979 over HMAC-SM3, with the
//! caller's fresh entropy as additional data: [`sign`]), so nothing here draws random numbers.
//! Curve and field arithmetic are the `sm2` crate's. Public-key encryption is in [`encryption`]. It
//! deliberately has no key exchange and no blinding of its own: the arithmetic is constant-time.

pub mod encryption;
mod key;
mod signature;

pub use key::{KeyError, PrivateKey, PublicKey};
pub use signature::{MalformedSignature, Signature};

use crate::limits::SM2_ID_BYTES_MAX;
use ::sm2::elliptic_curve::Curve;
use ::sm2::elliptic_curve::PrimeField;
use ::sm2::elliptic_curve::group::Group;
use ::sm2::elliptic_curve::ops::{MulByGeneratorVartime, Reduce};
use ::sm2::elliptic_curve::point::AffineCoordinates;
use ::sm2::{FieldBytes, NonZeroScalar, ProjectivePoint, Scalar, Sm2, U256};
use sm3::{Digest, Sm3};
use zeroize::Zeroizing;

/// A signer's identity, of which ZA is made: at most 8,191 bytes (ENTL counts bits in two bytes).
#[derive(Clone, Copy)]
pub struct Id<'a>(&'a [u8]);

impl<'a> Id<'a> {
    /// Any bytes up to [`SM2_ID_BYTES_MAX`]; the empty identity is one too.
    pub const fn new(id: &'a [u8]) -> Result<Self, IdTooLong> {
        if id.len() > SM2_ID_BYTES_MAX {
            return Err(IdTooLong);
        }
        Ok(Self(id))
    }

    /// ENTL: the identity's length in bits.
    fn bit_length(self) -> [u8; 2] {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "new() holds it to 0x1FFF * 8"
        )]
        let bits = (self.0.len() * 8) as u16;
        bits.to_be_bytes()
    }
}

/// The identity that GM/T 0009-2012 clause 10 names, which Alipay and WeChat Pay use.
pub const ID_DEFAULT: Id<'static> = Id(b"1234567812345678");

/// An identity of more than 8,191 bytes.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("an SM2 identity is at most {SM2_ID_BYTES_MAX} bytes")]
pub struct IdTooLong;

/// The nonce is not in [1, n-1], or it makes r = 0, r + k = n or s = 0 (clause 6.1, A3 to A6).
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the SM2 nonce is out of range or gives a void signature")]
pub struct NonceRejected;

/// The signature is not this key's over this message.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("the SM2 signature does not match")]
pub struct Mismatch;

/// ZA = SM3(ENTL ‖ id ‖ a ‖ b ‖ xG ‖ yG ‖ xA ‖ yA) (clause 5.5).
#[must_use]
pub fn za(key: &PublicKey, id: Id<'_>) -> [u8; 32] {
    let mut hash = Sm3::new();
    hash.update(id.bit_length());
    hash.update(id.0);
    hash.update(CURVE_PARAMETERS);
    hash.update(key.to_bytes());
    hash.finalize().into()
}

/// e = SM3(ZA ‖ M) (clause 6.1, A1 and A2): what is signed.
#[must_use]
pub fn digest(key: &PublicKey, id: Id<'_>, message: &[u8]) -> [u8; 32] {
    let mut hash = Sm3::new();
    hash.update(za(key, id));
    hash.update(message);
    hash.finalize().into()
}

/// Signs with a nonce of the caller's (clause 6.1). A nonce that repeats gives the key away: only
/// known-answer tests should need this; everything else uses [`sign`].
pub fn sign_with_nonce(
    key: &PrivateKey,
    id: Id<'_>,
    message: &[u8],
    nonce: &[u8; 32],
) -> Result<Signature, NonceRejected> {
    sign_digest_with_nonce(key, &digest(key.public(), id, message), nonce)
}

/// Signs with an RFC 6979 nonce over HMAC-SM3, `extra_entropy` being its additional data (§3.6):
/// neither a weak random source nor a repeated message repeats a nonce for two digests.
///
/// A rejected nonce is followed by the next one of the same generator (§3.2 h).
#[must_use]
pub fn sign(key: &PrivateKey, id: Id<'_>, message: &[u8], extra_entropy: &[u8; 32]) -> Signature {
    sign_digest(key, &digest(key.public(), id, message), extra_entropy)
}

/// Verifies a signature over a message (clause 7.1).
pub fn verify(
    key: &PublicKey,
    id: Id<'_>,
    message: &[u8],
    signature: &Signature,
) -> Result<(), Mismatch> {
    verify_digest(key, &digest(key, id, message), signature)
}

/// Verifies a DER signature as it came in; one that is not canonical DER, or whose r or s is out
/// of range, is a mismatch like any other.
pub fn verify_der(
    key: &PublicKey,
    id: Id<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), Mismatch> {
    let signature = Signature::from_der(signature).map_err(|_| Mismatch)?;
    verify(key, id, message, &signature)
}

/// Verifies over a given e (clause 7.1, B5 to B7; B1 and B2 are [`Signature`]'s own ranges).
pub fn verify_digest(key: &PublicKey, e: &[u8; 32], signature: &Signature) -> Result<(), Mismatch> {
    let (r, s) = signature.scalars();
    let t = r + s;
    if bool::from(t.is_zero()) {
        return Err(Mismatch);
    }
    // Everything here is public, so variable time is fine.
    let point = ProjectivePoint::mul_by_generator_and_mul_add_vartime(&s, &t, &key.point().into());
    if bool::from(point.is_identity()) {
        return Err(Mismatch);
    }
    if reduce(e) + Scalar::reduce(&point.to_affine().x()) == r {
        Ok(())
    } else {
        Err(Mismatch)
    }
}

fn sign_digest(key: &PrivateKey, e: &[u8; 32], extra_entropy: &[u8; 32]) -> Signature {
    let private = Zeroizing::new(<[u8; 32]>::from(key.scalar().to_repr()));
    // The generator of that crate does not wipe its state; the nonce taken from it is wiped.
    let mut nonces =
        rfc6979::KGenerator::<Sm3, U256>::new(&*private, e, extra_entropy, Sm2::ORDER.as_ref());
    let mut nonce = Zeroizing::new([0u8; 32]);
    loop {
        nonces.fill_next_k(&mut *nonce);
        if let Ok(signature) = sign_digest_with_nonce(key, e, &nonce) {
            return signature;
        }
    }
}

fn sign_digest_with_nonce(
    key: &PrivateKey,
    e: &[u8; 32],
    nonce: &[u8; 32],
) -> Result<Signature, NonceRejected> {
    let k = Scalar::from_repr(FieldBytes::from(*nonce))
        .into_option()
        .ok_or(NonceRejected)?;
    let k = Zeroizing::new(k);
    if bool::from(k.is_zero()) {
        return Err(NonceRejected);
    }
    let x1 = ProjectivePoint::mul_by_generator(&*k).to_affine().x();
    let r = reduce(e) + Scalar::reduce(&x1);
    // s = (1 + d)^-1 · (k - r·d) = (1 + d)^-1 · (k + r) - r
    let sum = Zeroizing::new(r + *k);
    if bool::from(sum.is_zero()) {
        return Err(NonceRejected);
    }
    let s = *key.one_plus_inverse() * *sum - r;
    let r = NonZeroScalar::new(r).into_option().ok_or(NonceRejected)?;
    let s = NonZeroScalar::new(s).into_option().ok_or(NonceRejected)?;
    Ok(Signature::from_scalars(r, s))
}

fn reduce(e: &[u8; 32]) -> Scalar {
    Scalar::reduce(&FieldBytes::from(*e))
}

/// a ‖ b ‖ xG ‖ yG of sm2p256v1 (GB/T 32918.5-2017 clause 2).
const CURVE_PARAMETERS: [u8; 128] = {
    let mut bytes = [0u8; 128];
    let words: [u128; 8] = [
        0xFFFF_FFFE_FFFF_FFFF_FFFF_FFFF_FFFF_FFFF,
        0xFFFF_FFFF_0000_0000_FFFF_FFFF_FFFF_FFFC,
        0x28E9_FA9E_9D9F_5E34_4D5A_9E4B_CF65_09A7,
        0xF397_89F5_15AB_8F92_DDBC_BD41_4D94_0E93,
        0x32C4_AE2C_1F19_8119_5F99_0446_6A39_C994,
        0x8FE3_0BBF_F266_0BE1_715A_4589_334C_74C7,
        0xBC37_36A2_F4F6_779C_59BD_CEE3_6B69_2153,
        0xD0A9_877C_C62A_4740_02DF_32E5_2139_F0A0,
    ];
    let mut word = 0;
    while word < words.len() {
        let be = words[word].to_be_bytes();
        let mut byte = 0;
        while byte < 16 {
            bytes[word * 16 + byte] = be[byte];
            byte += 1;
        }
        word += 1;
    }
    bytes
};

#[cfg(test)]
mod tests;
