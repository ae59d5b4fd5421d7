//! An SM2 signature (r, s): canonical DER `SEQUENCE { r INTEGER, s INTEGER }` (GM/T 0009-2012
//! clause 7.3), or r ‖ s as many devices give it. It deliberately accepts no BER, no padding and
//! no trailing bytes.

use ::sm2::elliptic_curve::PrimeField;
use ::sm2::{NonZeroScalar, Scalar};
use der::asn1::UintRef;
use der::{Decode, DecodeValue, Encode, EncodeValue, Header, Length, Reader, Sequence, Writer};

/// A signature whose r and s are both in [1, n-1].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    r: NonZeroScalar,
    s: NonZeroScalar,
}

/// Bytes that are not a signature: not canonical, or r or s outside [1, n-1].
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not an SM2 signature")]
pub struct MalformedSignature;

impl Signature {
    /// r ‖ s, 32 bytes each, big-endian.
    pub fn from_raw(bytes: &[u8]) -> Result<Self, MalformedSignature> {
        let bytes: &[u8; 64] = bytes.try_into().map_err(|_| MalformedSignature)?;
        let (r, s) = bytes.split_at(32);
        Ok(Self {
            r: scalar(r)?,
            s: scalar(s)?,
        })
    }

    /// r ‖ s, 32 bytes each, big-endian.
    #[must_use]
    pub fn to_raw(&self) -> [u8; 64] {
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&self.r());
        bytes[32..].copy_from_slice(&self.s());
        bytes
    }

    /// Canonical DER and nothing else.
    pub fn from_der(bytes: &[u8]) -> Result<Self, MalformedSignature> {
        let pair = Pair::from_der(bytes).map_err(|_| MalformedSignature)?;
        Ok(Self {
            r: scalar(pair.r.as_bytes())?,
            s: scalar(pair.s.as_bytes())?,
        })
    }

    /// Canonical DER, 8 to 72 bytes.
    #[must_use]
    pub fn to_der(&self) -> Vec<u8> {
        let (r, s) = (self.r(), self.s());
        let encode = || {
            Pair {
                r: UintRef::new(&r)?,
                s: UintRef::new(&s)?,
            }
            .to_der()
        };
        #[expect(
            clippy::expect_used,
            reason = "two 32-byte integers always have a DER form"
        )]
        encode().expect("two INTEGERs")
    }

    /// r, big-endian.
    #[must_use]
    pub fn r(&self) -> [u8; 32] {
        self.r.to_repr().into()
    }

    /// s, big-endian.
    #[must_use]
    pub fn s(&self) -> [u8; 32] {
        self.s.to_repr().into()
    }

    pub(super) fn from_scalars(r: NonZeroScalar, s: NonZeroScalar) -> Self {
        Self { r, s }
    }

    pub(super) fn scalars(&self) -> (Scalar, Scalar) {
        (*self.r, *self.s)
    }
}

/// At most 32 bytes big-endian, in [1, n-1].
fn scalar(bytes: &[u8]) -> Result<NonZeroScalar, MalformedSignature> {
    let mut padded = [0u8; 32];
    let start = padded
        .len()
        .checked_sub(bytes.len())
        .ok_or(MalformedSignature)?;
    padded[start..].copy_from_slice(bytes);
    NonZeroScalar::try_from(padded.as_slice()).map_err(|_| MalformedSignature)
}

/// The ASN.1 form.
struct Pair<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

impl<'a> DecodeValue<'a> for Pair<'a> {
    type Error = der::Error;

    fn decode_value<R: Reader<'a>>(reader: &mut R, _header: Header) -> der::Result<Self> {
        Ok(Self {
            r: reader.decode()?,
            s: reader.decode()?,
        })
    }
}

impl EncodeValue for Pair<'_> {
    fn value_len(&self) -> der::Result<Length> {
        self.r.encoded_len()? + self.s.encoded_len()?
    }

    fn encode_value(&self, writer: &mut impl Writer) -> der::Result<()> {
        self.r.encode(writer)?;
        self.s.encode(writer)
    }
}

impl<'a> Sequence<'a> for Pair<'a> {}
