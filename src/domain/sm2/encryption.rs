//! SM2 public-key encryption (GB/T 32918.4-2016, the same text as GM/T 0003.4-2012): C1 ‖ C3 ‖ C2,
//! and the ASN.1 form of GM/T 0009-2012, 7.2.
//!
//! The nonce is an argument. Decryption has one error: whether it was the point, the length or C3
//! is not told, and C3 is compared in constant time. It deliberately has neither the old order
//! C1 ‖ C2 ‖ C3 nor compressed points. Sensitive fields go and come in the ASN.1 form; the bare one is
//! for known answers.

use ::sm2::elliptic_curve::PrimeField;
use ::sm2::elliptic_curve::group::Group;
use ::sm2::elliptic_curve::point::AffineCoordinates;
use ::sm2::{FieldBytes, ProjectivePoint, Scalar};
use der::asn1::{OctetStringRef, UintRef};
use der::{Decode, DecodeValue, Encode, EncodeValue, Header, Length, Reader, Sequence, Writer};
use sm3::{Digest, Sm3};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::domain::sm2::{NonceRejected, PrivateKey, PublicKey};
use crate::limits::SM2_ENCRYPTED_BYTES_MAX;
use crate::secret::Secret;

/// What encryption gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ciphertext {
    /// The nonce's point.
    c1: PublicKey,
    /// SM3 over x2 ‖ M ‖ y2.
    c3: [u8; 32],
    /// The message ⊕ a key stream, as long as the message: 1 byte or more.
    c2: Vec<u8>,
}

/// Bytes that are not a ciphertext of this key, for whatever reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the SM2 ciphertext was rejected")]
pub struct Rejected;

/// Why a message is not encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncryptError {
    /// Empty, or longer than [`SM2_ENCRYPTED_BYTES_MAX`].
    #[error("an SM2 message is 1 to {SM2_ENCRYPTED_BYTES_MAX} bytes")]
    Length,
    /// Out of range, or of a key stream of zeros: another nonce is needed.
    #[error("the SM2 nonce is out of range or gives a void key stream")]
    Nonce,
}

impl From<NonceRejected> for EncryptError {
    fn from(_: NonceRejected) -> Self {
        Self::Nonce
    }
}

/// Encrypts (clause 6.1). A nonce that repeats gives the sum of two messages away.
pub fn encrypt(
    key: &PublicKey,
    message: &[u8],
    nonce: &[u8; 32],
) -> Result<Ciphertext, EncryptError> {
    if !(1..=SM2_ENCRYPTED_BYTES_MAX).contains(&message.len()) {
        return Err(EncryptError::Length);
    }
    let k = Scalar::from_repr(FieldBytes::from(*nonce));
    let k = Zeroizing::new(k.into_option().ok_or(NonceRejected)?);
    if bool::from(k.is_zero()) {
        return Err(EncryptError::Nonce);
    }
    let c1 = PublicKey::from_affine(ProjectivePoint::mul_by_generator(&*k).to_affine());
    let shared = Shared::of(key, &k);
    let mut c2 = Zeroizing::new(message.to_vec());
    // A5: a key stream of zeros would show the message.
    shared
        .apply(&mut c2)
        .map_err(|Rejected| EncryptError::Nonce)?;
    Ok(Ciphertext {
        c1,
        c3: shared.hash(message),
        c2: std::mem::take(&mut *c2),
    })
}

/// Decrypts (clause 7.1).
pub fn decrypt(key: &PrivateKey, ciphertext: &Ciphertext) -> Result<Secret<Vec<u8>>, Rejected> {
    let Ciphertext { c1, c3, c2 } = ciphertext;
    let shared = Shared::of(c1, key.scalar());
    let mut message = Secret::new(c2.clone());
    let stream = shared.apply(message.expose_secret_mut());
    let hash = Zeroizing::new(shared.hash(message.expose_secret()));
    let same = hash.ct_eq(c3);
    match (stream, bool::from(same)) {
        (Ok(()), true) => Ok(message),
        (Err(Rejected), _) | (Ok(()), false) => Err(Rejected),
    }
}

impl Ciphertext {
    /// C1 ‖ C3 ‖ C2, C1 being 04 ‖ x ‖ y.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Rejected> {
        let (c1, rest) = bytes.split_first_chunk::<65>().ok_or(Rejected)?;
        let (c3, c2) = rest.split_first_chunk::<32>().ok_or(Rejected)?;
        Self::of_parts(c1, *c3, c2)
    }

    /// C1 ‖ C3 ‖ C2, C1 being 04 ‖ x ‖ y.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.c1.to_sec1()[..], &self.c3, &self.c2].concat()
    }

    /// SEQUENCE { x INTEGER, y INTEGER, hash OCTET STRING, cipher OCTET STRING }, canonical DER and
    /// nothing else.
    pub fn from_der(bytes: &[u8]) -> Result<Self, Rejected> {
        let parts = Parts::from_der(bytes).map_err(|_| Rejected)?;
        let mut point = [0u8; 64];
        for (place, number) in point
            .as_chunks_mut::<32>()
            .0
            .iter_mut()
            .zip([parts.x, parts.y])
        {
            let number = number.as_bytes();
            let start = place.len().checked_sub(number.len()).ok_or(Rejected)?;
            place[start..].copy_from_slice(number);
        }
        let hash = parts.hash.as_bytes().try_into().map_err(|_| Rejected)?;
        Self::of_parts(&point, hash, parts.cipher.as_bytes())
    }

    /// The ASN.1 form.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let point = self.c1.to_bytes();
        let (x, y) = point.split_at(32);
        let encode = || {
            Parts {
                x: UintRef::new(x)?,
                y: UintRef::new(y)?,
                hash: OctetStringRef::new(&self.c3)?,
                cipher: OctetStringRef::new(&self.c2)?,
            }
            .to_der()
        };
        #[expect(clippy::expect_used, reason = "bounded sizes: DER cannot fail")]
        encode().expect("two INTEGERs and two OCTET STRINGs")
    }

    fn of_parts(c1: &[u8], c3: [u8; 32], c2: &[u8]) -> Result<Self, Rejected> {
        if !(1..=SM2_ENCRYPTED_BYTES_MAX).contains(&c2.len()) {
            return Err(Rejected);
        }
        Ok(Self {
            c1: PublicKey::from_bytes(c1).map_err(|_| Rejected)?,
            c3,
            c2: c2.to_vec(),
        })
    }
}

/// x2 ‖ y2: the point that both sides come to.
struct Shared(Zeroizing<[u8; 64]>);

impl Shared {
    /// The curve's cofactor is 1 and `point` is not infinity, so neither is the product.
    fn of(point: &PublicKey, scalar: &Scalar) -> Self {
        let product = Zeroizing::new((ProjectivePoint::from(*point.point()) * scalar).to_affine());
        let mut bytes = Zeroizing::new([0u8; 64]);
        bytes[..32].copy_from_slice(&product.x());
        bytes[32..].copy_from_slice(&product.y());
        Self(bytes)
    }

    /// ⊕ the key stream of the KDF (clause 5.4.3): SM3 over x2 ‖ y2 ‖ a counter from 1. Refuses a
    /// stream of zeros.
    fn apply(&self, data: &mut [u8]) -> Result<(), Rejected> {
        let mut any = 0u8;
        for (counter, run) in (1u32..).zip(data.chunks_mut(32)) {
            let hash = Sm3::new()
                .chain_update(&self.0[..])
                .chain_update(counter.to_be_bytes());
            let stream = Zeroizing::new(<[u8; 32]>::from(hash.finalize()));
            for (byte, key) in run.iter_mut().zip(stream.iter()) {
                any |= key;
                *byte ^= key;
            }
        }
        if bool::from(any.ct_eq(&0)) {
            return Err(Rejected);
        }
        Ok(())
    }

    /// SM3 over x2 ‖ M ‖ y2.
    fn hash(&self, message: &[u8]) -> [u8; 32] {
        let (x, y) = self.0.split_at(32);
        let hash = Sm3::new()
            .chain_update(x)
            .chain_update(message)
            .chain_update(y);
        hash.finalize().into()
    }
}

/// SM2Cipher of GM/T 0009-2012, 7.2.
struct Parts<'a> {
    x: UintRef<'a>,
    y: UintRef<'a>,
    hash: &'a OctetStringRef,
    cipher: &'a OctetStringRef,
}

impl<'a> DecodeValue<'a> for Parts<'a> {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, _header: Header) -> der::Result<Self> {
        Ok(Self {
            x: reader.decode()?,
            y: reader.decode()?,
            hash: reader.decode()?,
            cipher: reader.decode()?,
        })
    }
}

impl EncodeValue for Parts<'_> {
    fn value_len(&self) -> der::Result<Length> {
        let point = (self.x.encoded_len()? + self.y.encoded_len()?)?;
        point + (self.hash.encoded_len()? + self.cipher.encoded_len()?)?
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.x.encode(writer)?;
        self.y.encode(writer)?;
        self.hash.encode(writer)?;
        self.cipher.encode(writer)
    }
}

impl<'a> Sequence<'a> for Parts<'a> {}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from_random(&[seed; 48])
    }

    fn nonce(seed: u8) -> [u8; 32] {
        [seed | 1; 32]
    }

    #[test]
    fn what_is_encrypted_decrypts_in_both_forms_at_every_length() {
        let key = key(7);
        for length in (1..70).chain([255, 256, SM2_ENCRYPTED_BYTES_MAX]) {
            let message: Vec<u8> = (0..=255).cycle().take(length).collect();
            let made = encrypt(key.public(), &message, &nonce(9)).unwrap();
            for read in [
                Ciphertext::from_bytes(&made.to_bytes()).unwrap(),
                Ciphertext::from_der(&made.to_der()).unwrap(),
            ] {
                assert_eq!(read, made);
                assert_eq!(decrypt(&key, &read).unwrap().expose_secret(), &message);
            }
        }
    }

    #[test]
    fn every_changed_bit_and_another_key_are_one_error() {
        let key = key(7);
        let bytes = encrypt(key.public(), b"a message", &nonce(9))
            .unwrap()
            .to_bytes();
        let opened = |bytes: &[u8], key| decrypt(key, &Ciphertext::from_bytes(bytes)?);
        for bit in 0..bytes.len() * 8 {
            let mut changed = bytes.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opened(&changed, &key).err(), Some(Rejected), "bit {bit}");
        }
        let other = PrivateKey::from_random(&[8; 48]);
        assert_eq!(opened(&bytes, &other).err(), Some(Rejected));
        for length in 0..bytes.len() {
            assert_eq!(opened(&bytes[..length], &key).err(), Some(Rejected));
        }
    }

    #[test]
    fn nonces_and_messages_out_of_range_are_refused() {
        let key = key(7);
        for bad in [[0; 32], [0xFF; 32]] {
            let answer = encrypt(key.public(), b"m", &bad);
            assert_eq!(answer.err(), Some(EncryptError::Nonce));
        }
        for length in [0, SM2_ENCRYPTED_BYTES_MAX + 1] {
            let answer = encrypt(key.public(), &vec![1; length], &nonce(9));
            assert_eq!(answer.err(), Some(EncryptError::Length));
        }
    }

    #[test]
    fn reading_never_panics() {
        proptest::proptest!(|(bytes: Vec<u8>)| {
            let _ = Ciphertext::from_bytes(&bytes);
            let _ = Ciphertext::from_der(&bytes);
        });
    }
}
