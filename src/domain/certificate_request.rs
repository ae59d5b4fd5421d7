//! Requests for certificates: PKCS #10 (RFC 2986), DER. What is signed is put together here; who signs it
//! is not known here.

use std::str::FromStr;

use der::asn1::{BitString, SetOfVec};
use der::{Any, AnyRef, Decode, Encode};
use spki::{AlgorithmIdentifierOwned, ObjectIdentifier, SubjectPublicKeyInfoOwned};
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, Version};

use crate::domain::alipay::SignType;
use crate::limits::SUBJECT_BYTES_MAX;

/// Whom a certificate is for.
pub struct Subject(Name);

impl Subject {
    /// Reads a distinguished name as RFC 4514 writes it: the most specific part first, such as
    /// `CN=2021000000000001,O=Shop,C=CN`; none where it is none or empty.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.is_empty() || text.len() > SUBJECT_BYTES_MAX {
            return None;
        }
        let name = Name::from_str(text).ok()?;
        (!name.is_empty()).then_some(Self(name))
    }
}

/// What is signed of a request.
pub struct Info {
    info: CertReqInfo,
    der: Vec<u8>,
}

/// Puts it together; none where the key is no SubjectPublicKeyInfo.
#[must_use]
pub fn info(subject: &Subject, public_key: &[u8]) -> Option<Info> {
    let info = CertReqInfo {
        version: Version::V1,
        subject: subject.0.clone(),
        public_key: SubjectPublicKeyInfoOwned::from_der(public_key).ok()?,
        attributes: SetOfVec::new(),
    };
    let der = info.to_der().ok()?;
    Some(Info { info, der })
}

impl Info {
    /// What is signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.der
    }

    /// The whole request, DER, with the signature under this scheme; SM2's in DER.
    #[must_use]
    pub fn signed(self, scheme: SignType, signature: &[u8]) -> Option<Vec<u8>> {
        let (oid, parameters) = match scheme {
            SignType::Rsa => (SHA1_WITH_RSA, Some(Any::from(AnyRef::NULL))),
            SignType::Rsa2 => (SHA256_WITH_RSA, Some(Any::from(AnyRef::NULL))),
            SignType::Sm2 => (SM2_WITH_SM3, None),
        };
        let request = CertReq {
            info: self.info,
            algorithm: AlgorithmIdentifierOwned { oid, parameters },
            signature: BitString::from_bytes(signature).ok()?,
        };
        request.to_der().ok()
    }
}

/// RFC 8017 appendix C.
const SHA1_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");
const SHA256_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
/// GM/T 0006.
const SM2_WITH_SM3: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.501");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_distinguished_name() {
        for text in [
            "CN=2021000000000001,O=Shop,C=CN",
            "CN=花店,C=CN",
            "CN=a\\,b",
        ] {
            assert!(Subject::parse(text).is_some(), "{text}");
        }
        let long = format!("CN={}", "a".repeat(SUBJECT_BYTES_MAX));
        for text in ["", "shop", "CN", "=x", "CN=a,", "XX=1", long.as_str()] {
            assert!(Subject::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn no_key_makes_no_request() {
        let subject = Subject::parse("CN=a").unwrap();
        assert!(info(&subject, b"no key").is_none());
    }
}
