//! RSA keys of the merchant's that both sign and open sensitive fields: RSASSA-PKCS1-v1_5 with SHA-256,
//! and RSAES-OAEP (RFC 8017 §7.1) with SHA-1, MGF1 of SHA-1 and an empty label, which is all that WeChat Pay
//! has. Such a key is a signing key in every other way: `rsa` signs with it and destroys it.
//!
//! Raw RSA is one operation: a signature of a chosen number would be a decryption. So the token holds such
//! a key to these two mechanisms (`CKA_ALLOWED_MECHANISMS`), neither of which works on a chosen number, and
//! a key that does not read so is not kept. Never PKCS #1 v1.5 encryption, never in a wrapped key: what
//! `wrap` unwraps only signs.
//!
//! Every field that does not open gets one answer: Manger (CRYPTO 2001) needs only two.

use std::time::Instant;

use aws_lc_rs::rsa::OAEP_SHA1_MGF1SHA1;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};

use crate::hsm::Function;
use crate::hsm::error::Error;
use crate::hsm::kept::{self, Kept};
use crate::hsm::mechanism::Allowed;
use crate::hsm::pool::{Job, Retry};
use crate::hsm::raw::OaepHash;
use crate::hsm::session::WorkerSession;
use crate::hsm::{RsaPublic, Token, carrier, object, rsa, transport};
use crate::limits;
use crate::secret::Secret;

impl Token {
    /// Makes an RSA key that signs and opens fields, of 2048, 3072 or 4096 bits, and tries it;
    /// [`Error::NotOffered`] where the token has not OAEP with SHA-1. Not retried.
    pub fn generate_field_rsa(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        bits: u32,
    ) -> Job<RsaPublic> {
        if let Err(error) = rsa::check_bits(bits).and(self.offers(&MECHANISMS)) {
            return Job::refused(error);
        }
        let make = move |worker: &_| generate(worker, object_id, bits);
        self.asymmetric(Function::GenerateRsa, deadline, Retry::Never, make)
    }

    /// Brings such a key in as unencrypted PKCS #8 DER, and tries it. Not retried.
    pub fn import_field_rsa(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        pkcs8: Secret<Vec<u8>>,
    ) -> Job<RsaPublic> {
        if let Err(error) = rsa::check_pkcs8(&pkcs8).and(self.offers(&MECHANISMS)) {
            return Job::refused(error);
        }
        let bring = move |worker: &_| import(worker, object_id, &pkcs8);
        self.asymmetric(Function::ImportRsa, deadline, Retry::Never, bring)
    }

    /// Opens fields under such a key, all of them; [`Error::NotOpened`] where one does not open, and
    /// nothing more.
    pub fn open_fields(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        sealed: Vec<Vec<u8>>,
    ) -> Job<Vec<Secret<Vec<u8>>>> {
        let too_long = |sealed: &Vec<u8>| sealed.len() > limits::RSA_SIGNATURE_BYTES_MAX;
        if sealed.iter().any(too_long) || sealed.len() > limits::SENSITIVE_FIELDS_MAX {
            return Job::refused(Error::NotOpened);
        }
        let open = move |worker: &_| {
            let key = kept::handle(worker, Kept::SigningRsa, object_id)?;
            let public = rsa::public_of(worker.session(), key)?;
            let each = sealed.iter();
            each.map(|sealed| transport::open(worker, (key, &public), OaepHash::Sha1, sealed))
                .collect()
        };
        self.asymmetric(Function::OpenFields, deadline, Retry::Once, open)
    }
}

fn generate(worker: &WorkerSession, object_id: [u8; 16], bits: u32) -> Result<RsaPublic, Error> {
    kept::refuse_existing(worker, Kept::SigningRsa, object_id)?;
    let (public, private) = worker.session().generate_key_pair(
        &Allowed::RsaKeyPairGen.plain(),
        &rsa::public_template(bits),
        &template(object_id),
    )?;
    worker.session().destroy_object(public)?;
    admit(worker, object_id, private)
}

fn import(
    worker: &WorkerSession,
    object_id: [u8; 16],
    pkcs8: &Secret<Vec<u8>>,
) -> Result<RsaPublic, Error> {
    kept::refuse_existing(worker, Kept::SigningRsa, object_id)?;
    let mut with_type = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::RSA),
    ];
    with_type.extend(template(object_id));
    let key = carrier::bring(worker, pkcs8, &with_type)?;
    admit(worker, object_id, key)
}

/// A signing key's template, but that it decrypts, and by which two mechanisms it works.
fn template(object_id: [u8; 16]) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Copyable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(true),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Label(Kept::SigningRsa.label()),
        Attribute::Id(object_id.to_vec()),
        Attribute::AllowedMechanisms(MECHANISMS.map(Allowed::as_type).to_vec()),
        // Last: see `rsa`.
        Attribute::Modifiable(false),
    ]
}

/// Checks a new key, opens something with it, and answers its public half; one that is not as it should
/// be does not stay.
fn admit(
    worker: &WorkerSession,
    object_id: [u8; 16],
    key: ObjectHandle,
) -> Result<RsaPublic, Error> {
    match inspect(worker, key).and_then(|public| transport::try_oaep(worker, key, public, &OAEP)) {
        Ok(public) => {
            worker.cache(Kept::SigningRsa, object_id, key);
            Ok(public)
        }
        Err(error) => {
            worker.session().destroy_object(key)?;
            Err(error)
        }
    }
}

fn inspect(worker: &WorkerSession, key: ObjectHandle) -> Result<RsaPublic, Error> {
    let session = worker.session();
    object::require(session, key, &WANTED)?;
    let allowed = worker.loaded().calls.allowed_mechanisms(session, key)?;
    if !is_bound(&allowed) {
        return Err(Error::KeyUnsafe("CKA_ALLOWED_MECHANISMS"));
    }
    rsa::public_of(session, key)
}

/// Whether a key that works by these mechanisms alone may sign and decrypt: each of them is one of the
/// two, and there is one at least (no list means every mechanism).
pub(in crate::hsm) fn is_bound(allowed: &[cryptoki_sys::CK_MECHANISM_TYPE]) -> bool {
    let known = MECHANISMS.map(Allowed::raw);
    !allowed.is_empty() && allowed.iter().all(|number| known.contains(number))
}

const MECHANISMS: [Allowed; 2] = [Allowed::Sha256RsaPkcs, Allowed::RsaOaep];

/// What WeChat Pay has.
pub(in crate::hsm) const OAEP: transport::Oaep = transport::Oaep {
    hash: OaepHash::Sha1,
    ours: &OAEP_SHA1_MGF1SHA1,
};

const WANTED: [object::Wanted; 8] = [
    ("CKA_PRIVATE", AttributeType::Private, true),
    ("CKA_SENSITIVE", AttributeType::Sensitive, true),
    ("CKA_EXTRACTABLE", AttributeType::Extractable, false),
    ("CKA_MODIFIABLE", AttributeType::Modifiable, false),
    ("CKA_COPYABLE", AttributeType::Copyable, false),
    ("CKA_SIGN", AttributeType::Sign, true),
    ("CKA_DECRYPT", AttributeType::Decrypt, true),
    ("CKA_UNWRAP", AttributeType::Unwrap, false),
];
