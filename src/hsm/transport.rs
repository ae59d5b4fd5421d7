//! RSA transport keys: a partner's HSM wraps a key under the public half by RSAES-OAEP (RFC 8017
//! §7.1) with SHA-256 and MGF1 of SHA-256 and an empty label; the private half, in the token, opens
//! it and does nothing else. Never SHA-1, never PKCS #1 v1.5, never raw RSA: a token that has not
//! OAEP with SHA-256 (SoftHSM 2.6.1 lists OAEP and has SHA-1 only) makes no transport key.
//!
//! Every blob that does not open gets one answer: Manger (CRYPTO 2001) needs only two.

use std::time::Instant;

use aws_lc_rs::rsa::{
    OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey, PublicEncryptingKey,
    PublicKeyComponents,
};
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use zeroize::Zeroize;

use crate::hsm::Function;
use crate::hsm::error::{Class, Error};
use crate::hsm::kept::{self, Kept};
use crate::hsm::mechanism::Allowed;
use crate::hsm::pool::{Job, Retry};
use crate::hsm::raw::OaepHash;
use crate::hsm::session::WorkerSession;
use crate::hsm::{RsaPublic, Token, object, rsa, seal};
use crate::limits;
use crate::secret::Secret;

impl Token {
    /// Makes a transport key of 2048, 3072 or 4096 bits in the token, and tries it;
    /// [`Error::NotOffered`] where the token has not OAEP with SHA-256. Not retried.
    pub fn generate_transport_rsa(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        bits: u32,
    ) -> Job<RsaPublic> {
        let offered = self.offers(&[Allowed::RsaOaep]);
        if let Err(error) = rsa::check_bits(bits).and(offered) {
            return Job::refused(error);
        }
        let make = move |worker: &_| generate(worker, object_id, bits);
        self.asymmetric(Function::GenerateTransport, deadline, Retry::Never, make)
    }

    /// Opens what was wrapped under a transport key; [`Error::NotOpened`] for whatever does not
    /// open, and nothing more.
    pub fn open_oaep(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        wrapped: Vec<u8>,
    ) -> Job<Secret<Vec<u8>>> {
        if wrapped.len() > limits::RSA_SIGNATURE_BYTES_MAX {
            return Job::refused(Error::TooLong);
        }
        if let Err(error) = self.offers(&[Allowed::RsaOaep]) {
            return Job::refused(error);
        }
        let open = move |worker: &_| {
            let key = kept::handle(worker, Kept::TransportRsa, object_id)?;
            let public = rsa::public_of(worker.session(), key)?;
            open(worker, (key, &public), OaepHash::Sha256, &wrapped)
        };
        self.asymmetric(Function::OpenTransport, deadline, Retry::Once, open)
    }

    /// Destroys a transport key; [`Error::NoSuchKey`] if it is not there. Not retried.
    pub fn destroy_transport_rsa(&self, deadline: Instant, object_id: [u8; 16]) -> Job<()> {
        let destroy = move |worker: &_| kept::destroy(worker, Kept::TransportRsa, object_id);
        self.asymmetric(Function::DestroyTransport, deadline, Retry::Never, destroy)
    }

    /// Whether the token has a transport key of this id.
    pub fn has_transport_rsa(&self, deadline: Instant, object_id: [u8; 16]) -> Job<bool> {
        let has = move |worker: &_| kept::has(worker, Kept::TransportRsa, object_id);
        self.asymmetric(Function::FindTransport, deadline, Retry::Once, has)
    }
}

fn generate(worker: &WorkerSession, object_id: [u8; 16], bits: u32) -> Result<RsaPublic, Error> {
    kept::refuse_existing(worker, Kept::TransportRsa, object_id)?;
    let session = worker.session();
    let (public, private) = session.generate_key_pair(
        &Allowed::RsaKeyPairGen.plain(),
        &rsa::public_template(bits),
        &template(object_id),
    )?;
    session.destroy_object(public)?;
    match admit(worker, private) {
        Ok(public) => {
            worker.cache(Kept::TransportRsa, object_id, private);
            Ok(public)
        }
        Err(error) => {
            session.destroy_object(private)?;
            Err(error)
        }
    }
}

/// Checks a new key and opens something with it: that OAEP is listed says nothing of its hash.
fn admit(worker: &WorkerSession, key: ObjectHandle) -> Result<RsaPublic, Error> {
    let session = worker.session();
    object::require(session, key, &WANTED)?;
    let allowed = worker.loaded().calls.allowed_mechanisms(session, key)?;
    if allowed != [Allowed::RsaOaep.raw()] {
        return Err(Error::KeyUnsafe("CKA_ALLOWED_MECHANISMS"));
    }
    let public = rsa::public_of(session, key)?;
    try_oaep(worker, key, public, &OAEP)
}

/// RSAES-OAEP with one hash, there and here.
pub(in crate::hsm) struct Oaep {
    pub hash: OaepHash,
    pub ours: &'static OaepAlgorithm,
}

/// Opens with a new key what is wrapped here under its public half.
pub(in crate::hsm) fn try_oaep(
    worker: &WorkerSession,
    key: ObjectHandle,
    public: RsaPublic,
    oaep: &Oaep,
) -> Result<RsaPublic, Error> {
    let mut value = vec![0; TRIAL_BYTES];
    worker.session().generate_random_slice(&mut value)?;
    let wrapped = wrap(oaep.ours, &public, &value).ok_or(Error::KeyUnsafe("CKA_MODULUS"))?;
    let opened = open(worker, (key, &public), oaep.hash, &wrapped)?;
    // Not a secret: a random number of this very call.
    if *opened.expose_secret() == value {
        Ok(public)
    } else {
        Err(Error::ProbeDiffers)
    }
}

/// Decrypts; [`Error::NotOpened`] whatever is wrong with the blob.
pub(in crate::hsm) fn open(
    worker: &WorkerSession,
    (key, public): (ObjectHandle, &RsaPublic),
    hash: OaepHash,
    wrapped: &[u8],
) -> Result<Secret<Vec<u8>>, Error> {
    // RFC 8017 §7.1.2, step 1b: a token may take a number with its leading zeros left out.
    if wrapped.len() != public.n.len() {
        return Err(Error::NotOpened);
    }
    let mut clear = Secret::new(vec![0; limits::RSA_SIGNATURE_BYTES_MAX]);
    let calls = &worker.loaded().calls;
    let out = clear.expose_secret_mut();
    let written = match calls.oaep_decrypt(worker.session(), key, hash, wrapped, out) {
        Ok(written) => written,
        Err(error) => return Err(refusal(worker, error.into())),
    };
    if let Some(rest) = clear.expose_secret_mut().get_mut(written..) {
        rest.zeroize();
    }
    clear.expose_secret_mut().truncate(written);
    Ok(clear)
}

/// What is wrong with the session, the key or the token is said; what is wrong with the blob not.
fn refusal(worker: &WorkerSession, error: Error) -> Error {
    if matches!(&error, Error::Call(fault) if fault.refuses_parameters()) {
        return Error::NotOffered(Allowed::RsaOaep);
    }
    match error.class() {
        Class::Request => Error::NotOpened,
        // A broken token says the same as of a blob that does not open.
        _ if error.is_vague() && !worker.login_is_lost() && seal::probe(worker).is_ok() => {
            Error::NotOpened
        }
        Class::Pool | Class::Session | Class::Object | Class::Token | Class::Module => error,
    }
}

/// RSAES-OAEP as a partner does it.
pub(in crate::hsm) fn wrap(
    algorithm: &'static OaepAlgorithm,
    public: &RsaPublic,
    value: &[u8],
) -> Option<Vec<u8>> {
    let components = PublicKeyComponents {
        n: &public.n,
        e: &public.e,
    };
    let key: PublicEncryptingKey = components.try_into().ok()?;
    let key = OaepPublicEncryptingKey::new(key).ok()?;
    let mut wrapped = vec![0; key.ciphertext_size()];
    key.encrypt(algorithm, value, &mut wrapped, None).ok()?;
    Some(wrapped)
}

/// The fixed safe template: decrypt by OAEP, nothing else, ever.
fn template(object_id: [u8; 16]) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Copyable(false),
        Attribute::Modifiable(false),
        Attribute::Decrypt(true),
        Attribute::Sign(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Label(Kept::TransportRsa.label()),
        Attribute::Id(object_id.to_vec()),
        Attribute::AllowedMechanisms(vec![Allowed::RsaOaep.as_type()]),
    ]
}

/// What it must read; born in the token, it was never anything else.
const WANTED: [object::Wanted; 11] = [
    ("CKA_PRIVATE", AttributeType::Private, true),
    ("CKA_SENSITIVE", AttributeType::Sensitive, true),
    ("CKA_ALWAYS_SENSITIVE", AttributeType::AlwaysSensitive, true),
    ("CKA_EXTRACTABLE", AttributeType::Extractable, false),
    (
        "CKA_NEVER_EXTRACTABLE",
        AttributeType::NeverExtractable,
        true,
    ),
    ("CKA_MODIFIABLE", AttributeType::Modifiable, false),
    ("CKA_COPYABLE", AttributeType::Copyable, false),
    ("CKA_DECRYPT", AttributeType::Decrypt, true),
    ("CKA_SIGN", AttributeType::Sign, false),
    ("CKA_UNWRAP", AttributeType::Unwrap, false),
    ("CKA_DERIVE", AttributeType::Derive, false),
];

/// What partners' keys come in by.
pub(in crate::hsm) const OAEP: Oaep = Oaep {
    hash: OaepHash::Sha256,
    ours: &OAEP_SHA256_MGF1SHA256,
};

const TRIAL_BYTES: usize = 32;
