//! What the signing master keys do: HMAC-SHA256 (RFC 2104) under `root` and `pan-index`, and
//! ECDSA on P-256 over SHA-256 (FIPS 186-5 §6.4) under `audit`, whose public half is an object of
//! its own on the token.
//!
//! A signature is r ‖ s, 64 bytes, as PKCS#11 v3.0 §2.3.1 has it; never DER. Comparing what was
//! computed with what was stored is the caller's.

use std::time::Instant;

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use cryptoki::object::{Attribute, AttributeType};
use der::asn1::{BitString, ObjectIdentifier, OctetStringRef};
use der::{Decode, Encode};
use sha2::{Digest, Sha256};
use spki::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use crate::hsm::Function;
use crate::hsm::error::Error;
use crate::hsm::master::{self, MasterKey};
use crate::hsm::mechanism::Allowed;
use crate::hsm::pool::{Job, Retry};
use crate::hsm::session::WorkerSession;
use crate::hsm::{Token, raw};
use crate::limits;

impl Token {
    /// HMAC-SHA256 under `root`, of at most [`limits::MESSAGE_BYTES_MAX`] bytes.
    pub fn root_mac(&self, deadline: Instant, message: Vec<u8>) -> Job<[u8; 32]> {
        self.hmac(deadline, MasterKey::Root, message)
    }

    /// HMAC-SHA256 under `pan-index`, of at most [`limits::MESSAGE_BYTES_MAX`] bytes.
    pub fn pan_index(&self, deadline: Instant, message: Vec<u8>) -> Job<[u8; 32]> {
        self.hmac(deadline, MasterKey::PanIndex, message)
    }

    /// An ECDSA signature (r ‖ s) under `audit` over the SHA-256 of the message, of at most
    /// [`limits::MESSAGE_BYTES_MAX`] bytes.
    pub fn audit_sign(&self, deadline: Instant, message: Vec<u8>) -> Job<[u8; 64]> {
        if message.len() > limits::MESSAGE_BYTES_MAX {
            return Job::refused(Error::TooLong);
        }
        let sign = move |worker: &_| sign(worker, &message);
        self.symmetric(Function::AuditSign, deadline, Retry::Once, sign)
    }

    /// The public half of `audit`: SubjectPublicKeyInfo, DER. It is answered only where it verifies
    /// a fresh signature of the private half: anyone may put another in its place on a token.
    pub fn audit_public_key(&self, deadline: Instant) -> Job<Vec<u8>> {
        self.symmetric(Function::AuditPublicKey, deadline, Retry::Once, public_key)
    }

    fn hmac(&self, deadline: Instant, key: MasterKey, message: Vec<u8>) -> Job<[u8; 32]> {
        if message.len() > limits::MESSAGE_BYTES_MAX {
            return Job::refused(Error::TooLong);
        }
        let function = match key {
            MasterKey::PanIndex => Function::PanIndex,
            _ => Function::RootMac,
        };
        self.symmetric(function, deadline, Retry::Once, move |worker| {
            produced(worker, key, Allowed::Sha256Hmac, &message)
        })
    }
}

fn sign(worker: &WorkerSession, message: &[u8]) -> Result<[u8; 64], Error> {
    let digest = Sha256::digest(message);
    produced(worker, MasterKey::Audit, Allowed::Ecdsa, &digest)
}

fn produced<const N: usize>(
    worker: &WorkerSession,
    key: MasterKey,
    mechanism: Allowed,
    message: &[u8],
) -> Result<[u8; N], Error> {
    let key = worker.master(key);
    let calls = &worker.loaded().calls;
    let bytes = calls.sign(worker.session(), key, mechanism.raw(), message, N)?;
    bytes.try_into().map_err(|_| raw::nonsense())
}

fn public_key(worker: &WorkerSession) -> Result<Vec<u8>, Error> {
    let session = worker.session();
    let object = master::audit_public(session)?;
    let read = session.get_attributes(object, &[AttributeType::EcPoint])?;
    let point = read.into_iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => Some(point),
        _ => None,
    });
    let refused = Error::MasterKeyUnsafe {
        key: MasterKey::Audit,
        attribute: "CKA_EC_POINT",
    };
    let info = point.and_then(|point| public_key_info(&point));
    let (point, info) = info.ok_or(refused.clone())?;

    let mut challenge = [0; CHALLENGE_BYTES];
    session.generate_random_slice(&mut challenge)?;
    let signature = sign(worker, &challenge)?;
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(&challenge, &signature)
        .map_err(|_| refused)?;
    Ok(info)
}

/// The point itself and its SubjectPublicKeyInfo (RFC 5480 §2). CKA_EC_POINT is an OCTET STRING.
pub(in crate::hsm) fn public_key_info(attribute: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let point = <&OctetStringRef>::from_der(attribute).ok()?.as_bytes();
    let info = SubjectPublicKeyInfo {
        algorithm: AlgorithmIdentifier {
            oid: EC_PUBLIC_KEY,
            parameters: Some(P256),
        },
        subject_public_key: BitString::from_bytes(point).ok()?,
    };
    Some((point.to_vec(), info.to_der().ok()?))
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const CHALLENGE_BYTES: usize = 32;
