//! X.509 certificates (RFC 5280) as gateways hand them about: PEM bundles, DER or the bare base64
//! between two PEM lines, with the names and serial numbers in the spellings that payment networks
//! want, and the chain of signatures up to a root ([`chain`]).
//!
//! It deliberately has no revocation, no name constraints and no ECDSA: the networks it is for sign
//! with RSA and SM2. What it cannot judge it refuses.

mod bundle;
pub mod chain;
mod name;
mod signature;

pub use self::signature::SignatureAlgorithm;

use core::fmt::Write;

use der::oid::ObjectIdentifier;
use der::{Decode, Encode, Header, Reader, SliceReader};
use x509_cert::certificate::Version;
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage};

use crate::domain::{rsa, sm2};
use crate::limits::{CERTIFICATE_BUNDLE_BYTES_MAX, CERTIFICATES_MAX};

/// One certificate, read once. All of it is public.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    der: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    signature_oid: ObjectIdentifier,
    serial: Vec<u8>,
    issuer: Name,
    subject: Name,
    not_before: u64,
    not_after: u64,
    subject_public_key_info: Vec<u8>,
    constraints: Constraints,
}

/// A distinguished name: its DER, by which names are compared, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Name {
    der: Vec<u8>,
    text: String,
}

/// What the extensions say, as far as a chain asks.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Constraints {
    first_version: bool,
    authority: bool,
    path_length: Option<u8>,
    usage: Option<Usage>,
    unknown_critical: bool,
}

/// The bits of the extension keyUsage that a chain asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Usage {
    signs: bool,
    signs_certificates: bool,
}

/// The key of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// RSA.
    Rsa(rsa::PublicKey),
    /// SM2.
    Sm2(sm2::PublicKey),
}

/// Why bytes are no certificates; all of it is the giver's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Nothing was given.
    #[error("there is no certificate")]
    Missing,
    /// More bytes than a bundle may have.
    #[error("the certificates are longer than {CERTIFICATE_BUNDLE_BYTES_MAX} bytes")]
    TooLong,
    /// More certificates than a bundle may have.
    #[error("there are more than {CERTIFICATES_MAX} certificates")]
    TooMany,
    /// A PEM block of something else: a private key, say, which does not belong here.
    #[error("a PEM block is something else than a certificate")]
    OtherBlock,
    /// Neither PEM nor DER nor base64.
    #[error("neither PEM nor DER nor base64")]
    Encoding,
    /// Not an X.509 certificate in DER.
    #[error("not an X.509 certificate in DER")]
    Malformed,
}

impl Certificate {
    /// Reads every certificate of a bundle, in its order: PEM blocks with whatever text between
    /// them, one certificate in DER, or the base64 of one without its two PEM lines.
    pub fn read_all(bytes: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let blocks = bundle::split(bytes)?;
        blocks.iter().map(|der| Self::from_der(der)).collect()
    }

    /// Reads one certificate in DER and nothing after it.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        Self::decode(der).map_err(|_| CertificateError::Malformed)
    }

    fn decode(der: &[u8]) -> der::Result<Self> {
        let certificate = x509_cert::Certificate::from_der(der)?;
        let tbs = certificate.tbs_certificate();
        // RFC 5280, 4.1.1.2: both say the same, or one of them is not covered by the signature.
        if tbs.signature() != certificate.signature_algorithm() {
            return Err(der::ErrorKind::Failed.into());
        }
        let validity = tbs.validity();
        Ok(Self {
            der: der.to_vec(),
            signed: signed_part(der)?.to_vec(),
            signature: certificate
                .signature()
                .as_bytes()
                .ok_or(der::ErrorKind::Failed)?
                .to_vec(),
            signature_oid: certificate.signature_algorithm().oid,
            serial: tbs.serial_number().as_bytes().to_vec(),
            issuer: Name::of(tbs.issuer())?,
            subject: Name::of(tbs.subject())?,
            not_before: validity.not_before.to_unix_duration().as_secs(),
            not_after: validity.not_after.to_unix_duration().as_secs(),
            subject_public_key_info: tbs.subject_public_key_info().to_der()?,
            constraints: Constraints::of(tbs)?,
        })
    }

    /// The whole certificate, DER.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Who signed it, as Java's `X500Principal.getName()` writes it (RFC 2253).
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer.text
    }

    /// Whose it is, as Java's `X500Principal.getName()` writes it (RFC 2253).
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject.text
    }

    /// The serial number in decimal: UnionPay's `certId`.
    #[must_use]
    pub fn serial_decimal(&self) -> String {
        decimal(&self.serial)
    }

    /// The serial number in upper-case hexadecimal: WeChat Pay's `serial_no`.
    #[must_use]
    pub fn serial_hex(&self) -> String {
        let zeros = self.serial.iter().take_while(|byte| **byte == 0).count();
        match &self.serial[zeros..] {
            [] => "00".to_owned(),
            significant => hex::encode_upper(significant),
        }
    }

    /// From when it is valid, seconds since 1970.
    #[must_use]
    pub fn not_before(&self) -> u64 {
        self.not_before
    }

    /// Until when, inclusive, seconds since 1970.
    #[must_use]
    pub fn not_after(&self) -> u64 {
        self.not_after
    }

    /// The algorithm of its signature; none where it is one that is not checked here.
    #[must_use]
    pub fn signature_algorithm(&self) -> Option<SignatureAlgorithm> {
        SignatureAlgorithm::of(self.signature_oid)
    }

    /// The object identifier of its signature's algorithm, dotted.
    #[must_use]
    pub fn signature_oid(&self) -> String {
        self.signature_oid.to_string()
    }

    /// X.509 SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn subject_public_key_info(&self) -> &[u8] {
        &self.subject_public_key_info
    }

    /// Its key, where it is RSA or SM2.
    #[must_use]
    pub fn public_key(&self) -> Option<PublicKey> {
        let info = self.subject_public_key_info();
        let rsa = || rsa::PublicKey::from_spki(info).ok().map(PublicKey::Rsa);
        let sm2 = || sm2::PublicKey::from_spki(info).ok().map(PublicKey::Sm2);
        rsa().or_else(sm2)
    }

    /// Whether its issuer is its own subject.
    #[must_use]
    pub fn is_self_issued(&self) -> bool {
        self.issuer.der == self.subject.der
    }
}

impl Name {
    fn of(name: &x509_cert::name::Name) -> der::Result<Self> {
        Ok(Self {
            der: name.to_der()?,
            text: name::rfc2253(name)?,
        })
    }
}

impl Constraints {
    fn of(tbs: &x509_cert::TbsCertificate) -> der::Result<Self> {
        let extensions = tbs.extensions().map_or(&[][..], Vec::as_slice);
        let twice = extensions.iter().enumerate().any(|(at, extension)| {
            let rest = extensions.iter().skip(at + 1);
            rest.clone().any(|other| other.extn_id == extension.extn_id)
        });
        if twice {
            return Err(der::ErrorKind::Failed.into());
        }
        let basic = tbs.get_extension::<BasicConstraints>()?;
        let usage = tbs.get_extension::<KeyUsage>()?;
        Ok(Self {
            first_version: tbs.version() == Version::V1,
            authority: basic.as_ref().is_some_and(|(_, basic)| basic.ca),
            path_length: basic.and_then(|(_, basic)| basic.path_len_constraint),
            usage: usage.map(|(_, usage)| Usage {
                signs: usage.digital_signature() || usage.non_repudiation(),
                signs_certificates: usage.key_cert_sign(),
            }),
            unknown_critical: extensions
                .iter()
                .any(|extension| extension.critical && !KNOWN.contains(&extension.extn_id)),
        })
    }
}

/// The first element within the outer sequence, with its tag and length: what is signed.
fn signed_part(der: &[u8]) -> der::Result<&[u8]> {
    let mut reader = SliceReader::new(der)?;
    Header::decode(&mut reader)?;
    reader.tlv_bytes()
}

/// A two's complement number in decimal, as Java's BigInteger writes it.
fn decimal(bytes: &[u8]) -> String {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let mut magnitude = bytes.to_vec();
    if negative {
        let mut carry = true;
        for byte in magnitude.iter_mut().rev() {
            (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
        }
    }
    // Nine digits at a time, the last first.
    let mut groups = Vec::new();
    while magnitude.iter().any(|byte| *byte != 0) {
        let mut rest = 0u64;
        for byte in &mut magnitude {
            let value = rest << 8 | u64::from(*byte);
            *byte = u8::try_from(value / GROUP).unwrap_or(u8::MAX);
            rest = value % GROUP;
        }
        groups.push(rest);
    }
    let mut text = String::from(if negative { "-" } else { "" });
    let first = groups.pop().unwrap_or(0);
    // Writing into a text cannot fail.
    let _ = write!(text, "{first}");
    for group in groups.iter().rev() {
        let _ = write!(text, "{group:09}");
    }
    text
}

/// What one step of [`decimal`] divides by.
const GROUP: u64 = 1_000_000_000;

/// Extensions that may be critical: those that a chain is judged by, and those that say nothing
/// about whether it holds (names besides the subject, purposes, policies without constraints).
const KNOWN: [ObjectIdentifier; 5] = [
    ObjectIdentifier::new_unwrap("2.5.29.15"),
    ObjectIdentifier::new_unwrap("2.5.29.17"),
    ObjectIdentifier::new_unwrap("2.5.29.19"),
    ObjectIdentifier::new_unwrap("2.5.29.32"),
    ObjectIdentifier::new_unwrap("2.5.29.37"),
];

#[cfg(test)]
mod tests;
