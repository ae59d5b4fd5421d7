//! RSA signing keys in the token: made there, or brought in as PKCS #8 under an ephemeral key by
//! RFC 5649 key wrap; private values never come out. RSASSA-PKCS1-v1_5 only (RFC 8017 §8.2).
//! Does not verify its signatures: the operation that releases one does.

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use pkcs8::der::Decode;

use crate::hsm::error::Error;
use crate::hsm::kept::{self, Kept};
use crate::hsm::mechanism::Allowed;
use crate::hsm::session::WorkerSession;
use crate::hsm::{carrier, object};
use crate::limits;
use crate::secret::Secret;

/// The hash of a PKCS #1 v1.5 signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RsaHash {
    /// Alipay's `RSA`: weak, for partners that have nothing else.
    Sha1,
    /// Alipay's `RSA2`.
    Sha256,
}

/// A public key: both numbers big-endian without leading zeros.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RsaPublic {
    /// The modulus.
    pub n: Vec<u8>,
    /// The public exponent.
    pub e: Vec<u8>,
}

/// Makes a key pair in the token; only the private key stays.
pub(in crate::hsm) fn generate(
    worker: &WorkerSession,
    object_id: [u8; 16],
    bits: u32,
) -> Result<RsaPublic, Error> {
    kept::refuse_existing(worker, Kept::SigningRsa, object_id)?;
    let (public, private) = worker.session().generate_key_pair(
        &Allowed::RsaKeyPairGen.plain(),
        &public_template(bits),
        &private_template(object_id),
    )?;
    // Its numbers are read from the private key, which every token keeps.
    worker.session().destroy_object(public)?;
    admit(worker, object_id, private)
}

/// Brings a key in; the token sees it under a key that this call makes and destroys.
pub(in crate::hsm) fn import(
    worker: &WorkerSession,
    object_id: [u8; 16],
    pkcs8: &Secret<Vec<u8>>,
) -> Result<RsaPublic, Error> {
    kept::refuse_existing(worker, Kept::SigningRsa, object_id)?;
    let mut template = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::RSA),
    ];
    template.extend(private_template(object_id));
    let key = carrier::bring(worker, pkcs8, &template)?;
    admit(worker, object_id, key)
}

/// Signs a message; the token hashes it.
pub(in crate::hsm) fn sign(
    worker: &WorkerSession,
    object_id: [u8; 16],
    hash: RsaHash,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let key = kept::handle(worker, Kept::SigningRsa, object_id)?;
    sign_with(worker, key, hash, message)
}

/// Signs under a key that is at hand.
pub(in crate::hsm) fn sign_with(
    worker: &WorkerSession,
    key: ObjectHandle,
    hash: RsaHash,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let mechanism = match hash {
        RsaHash::Sha1 => Allowed::Sha1RsaPkcs,
        RsaHash::Sha256 => Allowed::Sha256RsaPkcs,
    };
    Ok(worker.loaded().calls.sign(
        worker.session(),
        key,
        mechanism.raw(),
        message,
        limits::RSA_SIGNATURE_BYTES_MAX,
    )?)
}

/// The modulus sizes accepted.
pub(in crate::hsm) fn check_bits(bits: u32) -> Result<(), Error> {
    if limits::RSA_BITS.contains(&bits) {
        Ok(())
    } else {
        Err(Error::RsaBits)
    }
}

/// Refuses what is not an RSA private key of an accepted size, before the token sees it.
pub(in crate::hsm) fn check_pkcs8(pkcs8: &Secret<Vec<u8>>) -> Result<(), Error> {
    if pkcs8.expose_secret().len() > limits::PKCS8_BYTES_MAX {
        return Err(Error::TooLong);
    }
    let outer = pkcs8::PrivateKeyInfoRef::from_der(pkcs8.expose_secret())
        .map_err(|_| Error::NotRsaPkcs8)?;
    if outer.algorithm.oid != pkcs1::ALGORITHM_OID {
        return Err(Error::NotRsaPkcs8);
    }
    let key = pkcs1::RsaPrivateKeyRef::from_der(outer.private_key.as_bytes())
        .map_err(|_| Error::NotRsaPkcs8)?;
    let bits = u32::try_from(key.modulus.as_bytes().len() * 8).map_err(|_| Error::RsaBits)?;
    check_bits(bits)
}

const PUBLIC_EXPONENT: [u8; 3] = [1, 0, 1];

/// The public half, which ends with the call.
pub(in crate::hsm) fn public_template(bits: u32) -> [Attribute; 7] {
    [
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::ModulusBits(u64::from(bits).into()),
        Attribute::PublicExponent(PUBLIC_EXPONENT.to_vec()),
    ]
}

/// The fixed safe template: sign, nothing else, ever.
fn private_template(object_id: [u8; 16]) -> Vec<Attribute> {
    vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Copyable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Label(Kept::SigningRsa.label()),
        Attribute::Id(object_id.to_vec()),
        // Last: SoftHSM 2.6.1 takes the attributes of an unwrapped key one by one, and none after
        // this one.
        Attribute::Modifiable(false),
    ]
}

/// What a key that came out of generation or unwrapping must read. Keys brought in were not always
/// sensitive, so CKA_ALWAYS_SENSITIVE and CKA_NEVER_EXTRACTABLE say where a key was born.
const WANTED: [object::Wanted; 8] = [
    ("CKA_PRIVATE", AttributeType::Private, true),
    ("CKA_SENSITIVE", AttributeType::Sensitive, true),
    ("CKA_EXTRACTABLE", AttributeType::Extractable, false),
    ("CKA_MODIFIABLE", AttributeType::Modifiable, false),
    ("CKA_COPYABLE", AttributeType::Copyable, false),
    ("CKA_SIGN", AttributeType::Sign, true),
    ("CKA_DECRYPT", AttributeType::Decrypt, false),
    ("CKA_UNWRAP", AttributeType::Unwrap, false),
];

/// Checks a new key and answers its public half; a key that is not safe does not stay.
fn admit(
    worker: &WorkerSession,
    object_id: [u8; 16],
    key: ObjectHandle,
) -> Result<RsaPublic, Error> {
    let session = worker.session();
    match inspect(session, key) {
        Ok(public) => {
            worker.cache(Kept::SigningRsa, object_id, key);
            Ok(public)
        }
        Err(error) => {
            session.destroy_object(key)?;
            Err(error)
        }
    }
}

/// Checks that a key is what its template says, and reads its public half.
pub(in crate::hsm) fn inspect(session: &Session, key: ObjectHandle) -> Result<RsaPublic, Error> {
    object::require(session, key, &WANTED)?;
    public_of(session, key)
}

/// The public half, which a private key has with it.
pub(in crate::hsm) fn public_of(session: &Session, key: ObjectHandle) -> Result<RsaPublic, Error> {
    let mut public = RsaPublic {
        n: Vec::new(),
        e: Vec::new(),
    };
    let numbers = [AttributeType::Modulus, AttributeType::PublicExponent];
    for attribute in session.get_attributes(key, &numbers)? {
        match attribute {
            Attribute::Modulus(n) => public.n = without_leading_zeros(n),
            Attribute::PublicExponent(e) => public.e = without_leading_zeros(e),
            _ => {}
        }
    }
    if public.n.is_empty() || public.e.is_empty() {
        return Err(Error::KeyUnsafe("CKA_MODULUS"));
    }
    Ok(public)
}

fn without_leading_zeros(mut number: Vec<u8>) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    number
}
