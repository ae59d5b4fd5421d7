//! The calls about certificates: wire to domain and back.

use prost_types::Timestamp;

use crate::domain::alipay::{SignType, certificate_serial};
use crate::domain::certificate::chain::{Broken, Fault};
use crate::domain::certificate::{Certificate, PublicKey};
use crate::ops;
use crate::ops::certificate::{Chain, SerialOf};
use crate::service::Error;
use crate::service::pb::v1 as pb;
use crate::service::wire::timestamp;

/// `ComputeCertificateSerial`.
pub(super) fn serial(
    message: pb::ComputeCertificateSerialRequest,
) -> Result<pb::ComputeCertificateSerialResponse, Error> {
    let pb::ComputeCertificateSerialRequest {
        certificates,
        kind,
        sign_type,
    } = message;
    let of = serial_of(kind, sign_type)?;
    let (serial, certificates) = ops::certificate::serial(&certificates, of)?;
    Ok(pb::ComputeCertificateSerialResponse {
        serial,
        certificates: certificates.iter().map(in_words).collect(),
    })
}

/// `CheckCertificateChain`.
pub(super) fn check_chain(
    message: pb::CheckCertificateChainRequest,
) -> Result<pb::CheckCertificateChainResponse, Error> {
    let pb::CheckCertificateChainRequest {
        leaf,
        intermediates,
        roots,
        time,
    } = message;
    let at = time.map(seconds).transpose()?;
    let asked = Chain {
        leaf: &leaf,
        intermediates: &intermediates,
        roots: &roots,
        at,
    };
    Ok(match ops::certificate::check_chain(&asked)? {
        Ok(chain) => pb::CheckCertificateChainResponse {
            valid: true,
            chain: chain.iter().map(in_words).collect(),
            subject_public_key_info: chain
                .first()
                .map(|leaf| leaf.subject_public_key_info().to_vec())
                .unwrap_or_default(),
            ..pb::CheckCertificateChainResponse::default()
        },
        Err(Broken { fault, subject }) => pb::CheckCertificateChainResponse {
            fault: self::fault(fault).into(),
            subject_at_fault: subject,
            ..pb::CheckCertificateChainResponse::default()
        },
    })
}

fn serial_of(kind: i32, sign_type: i32) -> Result<SerialOf, Error> {
    let kind = pb::CertificateKind::try_from(kind).map_err(|_| Error::EnumUnknown("kind"))?;
    let sign_type = pb::SignatureScheme::try_from(sign_type);
    let sign_type = sign_type.map_err(|_| Error::EnumUnknown("sign_type"))?;
    let scheme = match sign_type {
        pb::SignatureScheme::Unspecified => None,
        pb::SignatureScheme::Rsa => Some(SignType::Rsa),
        pb::SignatureScheme::Rsa2 => Some(SignType::Rsa2),
        pb::SignatureScheme::Sm2 => Some(SignType::Sm2),
    };
    match (kind, scheme) {
        (pb::CertificateKind::Unspecified, _) => Err(Error::FieldMissing("kind")),
        (pb::CertificateKind::App | pb::CertificateKind::Alipay, None) => Ok(SerialOf::Leaf),
        (pb::CertificateKind::App | pb::CertificateKind::Alipay, Some(_)) => {
            Err(Error::FieldSuperfluous("sign_type"))
        }
        (pb::CertificateKind::Root, Some(scheme)) => Ok(SerialOf::Roots(scheme)),
        (pb::CertificateKind::Root, None) => Err(Error::FieldMissing("sign_type")),
    }
}

fn seconds(time: Timestamp) -> Result<u64, Error> {
    u64::try_from(time.seconds).map_err(|_| Error::FieldMalformed("time"))
}

pub(in crate::service) fn in_words(certificate: &Certificate) -> pb::Certificate {
    let signature = certificate.signature_algorithm();
    pb::Certificate {
        subject: certificate.subject().to_owned(),
        issuer: certificate.issuer().to_owned(),
        serial_number: certificate.serial_decimal(),
        serial_hex: certificate.serial_hex(),
        alipay_serial: certificate_serial::of(certificate),
        not_before: Some(timestamp(certificate.not_before())),
        not_after: Some(timestamp(certificate.not_after())),
        signature_algorithm: signature.map_or_else(
            || certificate.signature_oid(),
            |algorithm| algorithm.label().to_owned(),
        ),
        key_algorithm: match certificate.public_key() {
            Some(PublicKey::Rsa(key)) => format!("RSA-{}", key.modulus_bits()),
            Some(PublicKey::Sm2(_)) => "SM2".to_owned(),
            None => String::new(),
        },
    }
}

pub(in crate::service) const fn fault(fault: Fault) -> pb::CertificateChainFault {
    match fault {
        Fault::NotYetValid => pb::CertificateChainFault::NotYetValid,
        Fault::Expired => pb::CertificateChainFault::Expired,
        Fault::IssuerUnknown => pb::CertificateChainFault::IssuerUnknown,
        Fault::NotAuthority => pb::CertificateChainFault::NotAuthority,
        Fault::PathTooLong => pb::CertificateChainFault::PathTooLong,
        Fault::KeyUsage => pb::CertificateChainFault::KeyUsage,
        Fault::CriticalExtension => pb::CertificateChainFault::CriticalExtension,
        Fault::AlgorithmUnsupported => pb::CertificateChainFault::AlgorithmUnsupported,
        Fault::AlgorithmWeak => pb::CertificateChainFault::AlgorithmWeak,
        Fault::Signature => pb::CertificateChainFault::Signature,
        Fault::TooFar => pb::CertificateChainFault::TooFar,
    }
}
