//! SM2 signing keys in a token whose make has SM2: made there, never brought in. No standard has numbers
//! for them, so the key type and both mechanisms are the profile's. The token signs a digest that was made
//! outside (GB/T 32918.2 clause 6.1 from A3 on) and answers r ‖ s.
//!
//! Does not hash, and does not verify its signatures but a new key's first one: the operation that releases
//! a signature does.

use std::time::Instant;

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectHandle};
use cryptoki::session::Session;
use der::Decode;
use der::asn1::OctetStringRef;

use crate::domain::sm2::{PublicKey, Signature, verify_digest};
use crate::hsm::error::Error;
use crate::hsm::kept::{self, Kept};
use crate::hsm::mechanism::SmMechanism;
use crate::hsm::pool::{Job, Retry};
use crate::hsm::profile::Profile;
use crate::hsm::session::WorkerSession;
use crate::hsm::{Function, Token, object, raw};

impl Token {
    /// Makes an SM2 key pair in the token, of which the private key stays, and tries it. Not retried.
    /// [`Error::NoSmNumber`] or [`Error::SmNotOffered`] where the token has no SM2.
    pub fn generate_sm2(&self, deadline: Instant, object_id: [u8; 16]) -> Job<PublicKey> {
        if let Err(error) = Numbers::of(&self.0.works.held.profile) {
            return Job::refused(error);
        }
        let make = move |worker: &_| generate(worker, object_id);
        self.asymmetric(Function::GenerateSm2, deadline, Retry::Never, make)
    }

    /// r ‖ s over e, not yet verified.
    pub fn sign_sm2(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        e: [u8; 32],
    ) -> Job<[u8; SIGNATURE_BYTES]> {
        if let Err(error) = self.0.works.held.profile.offers_sm(SmMechanism::Sm2Sign) {
            return Job::refused(error);
        }
        let sign = move |worker: &WorkerSession| {
            let key = kept::handle(worker, Kept::SigningSm2, object_id)?;
            sign_with(worker, key, &e)
        };
        self.asymmetric(Function::SignSm2, deadline, Retry::Once, sign)
    }

    /// Destroys an SM2 key; [`Error::NoSuchKey`] if it is not there. Not retried.
    pub fn destroy_sm2(&self, deadline: Instant, object_id: [u8; 16]) -> Job<()> {
        let destroy = move |worker: &_| kept::destroy(worker, Kept::SigningSm2, object_id);
        self.asymmetric(Function::DestroySm2, deadline, Retry::Never, destroy)
    }

    /// Whether the token has an SM2 key of this id.
    pub fn has_sm2(&self, deadline: Instant, object_id: [u8; 16]) -> Job<bool> {
        let has = move |worker: &_| kept::has(worker, Kept::SigningSm2, object_id);
        self.asymmetric(Function::FindSm2, deadline, Retry::Once, has)
    }
}

/// What a token must have a number for before it can keep SM2 keys.
struct Numbers {
    key_type: KeyType,
    key_gen: u64,
    sign: u64,
}

impl Numbers {
    fn of(profile: &Profile) -> Result<Self, Error> {
        Ok(Self {
            key_type: key_type(profile).ok_or(Error::NoSmNumber(CKK_SM2))?,
            key_gen: profile.offers_sm(SmMechanism::Sm2KeyGen)?,
            sign: profile.offers_sm(SmMechanism::Sm2Sign)?,
        })
    }
}

/// The type of SM2 keys, by the token's profile.
pub(in crate::hsm) fn key_type(profile: &Profile) -> Option<KeyType> {
    let [sm2, _] = profile.sm_key_types();
    KeyType::try_from(sm2?).ok()
}

fn generate(worker: &WorkerSession, object_id: [u8; 16]) -> Result<PublicKey, Error> {
    let numbers = Numbers::of(worker.profile())?;
    kept::refuse_existing(worker, Kept::SigningSm2, object_id)?;
    let session = worker.session();
    let (public, private) = session.generate_key_pair(
        &raw::plain_mechanism(numbers.key_gen),
        &public_template(numbers.key_type),
        &private_template(&numbers, object_id),
    )?;
    // Read before it goes: no private EC key has its point with it.
    let point = point_of(session, public);
    let gone = session.destroy_object(public).map_err(Error::from);
    match gone.and(point).and_then(|point| {
        let point = point.ok_or(Error::KeyUnsafe("CKA_EC_POINT"))?;
        inspect(worker, private, numbers.sign)?;
        try_out(worker, private, &point)?;
        Ok(point)
    }) {
        Ok(point) => {
            worker.cache(Kept::SigningSm2, object_id, private);
            Ok(point)
        }
        Err(error) => {
            session.destroy_object(private)?;
            Err(error)
        }
    }
}

fn sign_with(
    worker: &WorkerSession,
    key: ObjectHandle,
    e: &[u8; 32],
) -> Result<[u8; SIGNATURE_BYTES], Error> {
    let mechanism = worker.profile().offers_sm(SmMechanism::Sm2Sign)?;
    let calls = &worker.loaded().calls;
    let signature = calls.sign(worker.session(), key, mechanism, e, ROOM_BYTES)?;
    signature.try_into().map_err(|_| raw::nonsense())
}

/// Checks that a new key is what its template says.
fn inspect(worker: &WorkerSession, key: ObjectHandle, sign: u64) -> Result<(), Error> {
    let session = worker.session();
    object::require(session, key, &WANTED)?;
    let allowed = worker.loaded().calls.allowed_mechanisms(session, key)?;
    if allowed != [sign] {
        return Err(Error::KeyUnsafe("CKA_ALLOWED_MECHANISMS"));
    }
    Ok(())
}

/// Has a new key sign a random number: that the mechanism is listed says nothing of what it means.
fn try_out(worker: &WorkerSession, key: ObjectHandle, point: &PublicKey) -> Result<(), Error> {
    let mut e = [0; 32];
    worker.session().generate_random_slice(&mut e)?;
    let signature = sign_with(worker, key, &e)?;
    let signature = Signature::from_raw(&signature).map_err(|_| Error::SignatureDiffers)?;
    verify_digest(point, &e, &signature).map_err(|_| Error::SignatureDiffers)
}

/// The point of a public key; none where the token gives it in no form that is known.
pub(in crate::hsm) fn point_of(
    session: &Session,
    public: ObjectHandle,
) -> Result<Option<PublicKey>, Error> {
    let read = session.get_attributes(public, &[AttributeType::EcPoint])?;
    Ok(read.iter().find_map(|attribute| match attribute {
        Attribute::EcPoint(point) => point_from(point),
        _ => None,
    }))
}

/// In an OCTET STRING as the standard has it, or bare. By its length: a bare point begins with the tag of
/// an OCTET STRING too, and may go on with a length.
fn point_from(attribute: &[u8]) -> Option<PublicKey> {
    let bare = match attribute.len() {
        64 | 65 => attribute,
        _ => <&OctetStringRef>::from_der(attribute).ok()?.as_bytes(),
    };
    PublicKey::from_bytes(bare).ok()
}

/// The public half, which ends with the call.
fn public_template(key_type: KeyType) -> [Attribute; 7] {
    [
        Attribute::KeyType(key_type),
        Attribute::Token(false),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::EcParams(CURVE.to_vec()),
    ]
}

/// The fixed safe template: sign a digest, nothing else, ever.
fn private_template(numbers: &Numbers, object_id: [u8; 16]) -> Vec<Attribute> {
    vec![
        Attribute::KeyType(numbers.key_type),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Copyable(false),
        Attribute::Modifiable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Label(Kept::SigningSm2.label()),
        Attribute::Id(object_id.to_vec()),
        Attribute::AllowedMechanisms(vec![raw::mechanism_type(numbers.sign)]),
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
    ("CKA_SIGN", AttributeType::Sign, true),
    ("CKA_DECRYPT", AttributeType::Decrypt, false),
    ("CKA_UNWRAP", AttributeType::Unwrap, false),
    ("CKA_DERIVE", AttributeType::Derive, false),
];

/// sm2p256v1 (1.2.156.10197.1.301), DER.
pub(in crate::hsm) const CURVE: [u8; 10] =
    [0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];

/// Its word in a profile.
const CKK_SM2: &str = "ckk_sm2";

/// r ‖ s.
const SIGNATURE_BYTES: usize = 64;
/// Room for r and s in DER, so that a token that means that is told by the length, in one call.
const ROOM_BYTES: usize = 72;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::sm2::PrivateKey;

    #[test]
    fn a_point_is_read_bare_or_in_an_octet_string_whatever_it_begins_with() {
        let mut like_a_length = 0;
        for seed in 0..2048_u16 {
            let mut random = [7; 48];
            random[46..].copy_from_slice(&seed.to_be_bytes());
            let key = *PrivateKey::from_random(&random).public();
            let (xy, sec1) = (key.to_bytes(), key.to_sec1());
            like_a_length += usize::from(xy[..2] == [4, 62] || sec1[..2] == [4, 63]);
            for bare in [&xy[..], &sec1[..]] {
                assert_eq!(point_from(bare), Some(key));
                let length = u8::try_from(bare.len()).unwrap();
                let octets = [&[4, length], bare].concat();
                assert_eq!(point_from(&octets), Some(key));
                assert_eq!(point_from(&octets[..octets.len() - 1]), None);
                assert_eq!(point_from(&[&octets[..], &[0]].concat()), None);
            }
        }
        assert!(
            like_a_length > 0,
            "no point that looks like an OCTET STRING"
        );
        assert_eq!(point_from(&[]), None);
    }
}
