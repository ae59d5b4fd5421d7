//! SM2 by a vendor's numbers, which no token here has: the shim's (`tests/shim/src/sm2.rs`) over SoftHSM,
//! asked by cryptoki itself. What is built on it can be no better than it is.

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{
    Attribute, AttributeInfo, AttributeType, KeyType, ObjectClass, ObjectHandle,
};
use cryptoki::session::{Session, UserType};
use cryptoki::types::AuthPin;
use pintle::domain::sm2::{self, PublicKey, Signature};
use pintle::hsm::{SmMechanism, Token, Trial};

use crate::place::{LABEL, PIN, Place, soon};

pub fn a_vendor_key_signs_by_sm2(place: &Place) {
    let session = session(place);
    // Leading zeros of d, r and s come about.
    for number in 0..3_u8 {
        let (public, private) = pair(&session, &[number]);
        let point = point_of(&session, public);
        for e in [[0; 32], [0xff; 32], [number; 32]]
            .into_iter()
            .cycle()
            .take(200)
        {
            let signature = session.sign(&plain(SIGN), private, &e).unwrap();
            verify(&point, &e, &signature);
        }
        let other = point_of(&session, pair(&session, b"other").0);
        let signature = session.sign(&plain(SIGN), private, &[1; 32]).unwrap();
        let signature = Signature::from_raw(&signature).unwrap();
        sm2::verify_digest(&point, &[1; 32], &signature).unwrap();
        sm2::verify_digest(&point, &[2; 32], &signature).unwrap_err();
        sm2::verify_digest(&other, &[1; 32], &signature).unwrap_err();
    }
    let (_, private) = pair(&session, b"twice");
    let sign = || session.sign(&plain(SIGN), private, &[1; 32]).unwrap();
    assert_ne!(sign(), sign());
}

pub fn a_vendor_key_is_found_by_what_it_is(place: &Place) {
    let session = session(place);
    let (public, private) = pair(&session, b"found");
    let ec = ec_pair(&session);
    let find = |template: &[Attribute]| session.find_objects(template).unwrap();
    let private_key = Attribute::Class(ObjectClass::PRIVATE_KEY);
    let sm2 = Attribute::KeyType(key_type());
    assert_eq!(find(&[private_key.clone(), sm2.clone()]), [private]);
    assert_eq!(find(std::slice::from_ref(&sm2)).len(), 2);
    assert_eq!(
        find(&[sm2.clone(), Attribute::Id(b"found".to_vec())]).len(),
        2
    );
    assert_eq!(find(&[sm2.clone(), Attribute::Id(b"lost".to_vec())]), []);
    let of_ec = find(&[private_key.clone(), Attribute::KeyType(KeyType::EC)]);
    assert!(
        of_ec.contains(&ec.1) && !of_ec.contains(&private),
        "{of_ec:?}"
    );
    let safe = [
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::AlwaysSensitive(true),
        Attribute::NeverExtractable(true),
        Attribute::AllowedMechanisms(vec![mechanism(SIGN)]),
        Attribute::KeyGenMechanism(mechanism(KEY_GEN)),
    ];
    for attribute in &safe {
        let found = find(&[attribute.clone(), sm2.clone(), private_key.clone()]);
        assert_eq!(found, [private], "{attribute:?}");
    }
    let loose = [sm2.clone(), Attribute::Extractable(true)];
    assert_eq!(find(&loose), []);

    session.destroy_object(private).unwrap();
    assert_eq!(find(std::slice::from_ref(&sm2)), [public]);
    session.destroy_object(public).unwrap();
    assert_eq!(find(&[sm2]), []);
}

pub fn a_vendor_key_says_what_it_is(place: &Place) {
    let session = session(place);
    let (public, private) = pair(&session, b"found");
    let ec = ec_pair(&session);
    // In one call: the real module's, ours and what is not told.
    let types = [
        AttributeType::Id,
        AttributeType::Value,
        AttributeType::KeyType,
        AttributeType::Modulus,
        AttributeType::Sensitive,
        AttributeType::Extractable,
        AttributeType::EcParams,
        AttributeType::Sign,
    ];
    let told = session.get_attributes(private, &types).unwrap();
    let expected = [
        Attribute::Id(b"found".to_vec()),
        Attribute::KeyType(key_type()),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::EcParams(CURVE.to_vec()),
        Attribute::Sign(true),
    ];
    assert_eq!(told, expected);
    let types = [
        AttributeType::Value,
        AttributeType::KeyType,
        AttributeType::AllowedMechanisms,
        AttributeType::Id,
    ];
    let sizes = session.get_attribute_info(private, &types).unwrap();
    let [value, others @ ..] = sizes.as_slice() else {
        panic!("{sizes:?}")
    };
    assert!(matches!(value, AttributeInfo::Sensitive), "{value:?}");
    let others: Vec<_> = others
        .iter()
        .map(|info| match info {
            AttributeInfo::Available(bytes) => *bytes,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(others, [8, 8, 5]);
    let told = session.get_attributes(public, &[AttributeType::KeyType]);
    assert_eq!(told.unwrap(), [Attribute::KeyType(key_type())]);
    let told = session.get_attributes(ec.1, &[AttributeType::KeyType]);
    assert_eq!(told.unwrap(), [Attribute::KeyType(KeyType::EC)]);
}

pub fn a_vendor_token_refuses_what_it_should(place: &Place) {
    let session = session(place);
    let (_, private) = pair(&session, b"refused");
    let ec = ec_pair(&session);
    let sign = |by, key, data: &[u8]| refused(session.sign(&plain(by), key, data));
    // Wrong lengths end the operation, and so does the right one.
    for length in [0, 31, 33, 64] {
        let data = vec![1; length];
        assert_eq!(sign(SIGN, private, &data), RvError::DataLenRange);
    }
    session.sign(&plain(SIGN), private, &[1; 32]).unwrap();
    session.sign_init(&plain(SIGN), private).unwrap();
    let again = session.sign_init(&plain(SIGN), private);
    assert_eq!(refused(again), RvError::OperationActive);
    let other = session.sign_init(&Mechanism::Ecdsa, ec.1);
    assert_eq!(refused(other), RvError::OperationActive);
    drop(session);

    let session = open(place);
    let ec = ec_pair(&session);
    let private = found(&session, ObjectClass::PRIVATE_KEY, b"refused");
    let sign = |by: &Mechanism, key| refused(session.sign(by, key, &[1; 32]));
    let sm2 = plain(SIGN);
    assert_eq!(sign(&sm2, ec.1), RvError::KeyTypeInconsistent);
    assert_eq!(
        sign(&Mechanism::Ecdsa, private),
        RvError::KeyTypeInconsistent
    );
}

pub fn a_vendor_key_is_made_and_kept_as_a_vendor_would(place: &Place) {
    let session = session(place);
    let slot = session.get_session_info().unwrap().slot_id();
    let pkcs11 = Pkcs11::new(place.shim.as_ref().unwrap()).unwrap();
    let info = |number| pkcs11.get_mechanism_info(slot, mechanism(number)).unwrap();
    assert!(info(KEY_GEN).generate_key_pair() && !info(KEY_GEN).sign());
    assert!(info(SIGN).sign() && !info(SIGN).verify());
    assert_eq!(
        (info(SIGN).min_key_size(), info(SIGN).max_key_size()),
        (256, 256)
    );

    let (_, private) = pair(&session, b"kept");
    let sm2 = plain(SIGN);
    let sign = |by: &Mechanism, key| refused(session.sign(by, key, &[1; 32]));
    let made = |public: &[Attribute], private: &[Attribute]| {
        refused(session.generate_key_pair(&plain(KEY_GEN), public, private))
    };
    let (public, good) = templates(b"unmade");
    let but = |template: &[Attribute], other: Attribute| {
        let mut template = template.to_vec();
        template.retain(|had| had.attribute_type() != other.attribute_type());
        template.push(other);
        template
    };
    let inconsistent = RvError::TemplateInconsistent;
    for other in [
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
        Attribute::KeyType(KeyType::EC),
    ] {
        assert_eq!(made(&public, &but(&good, other)), inconsistent);
    }
    let other = Attribute::EcParams(P256.to_vec());
    assert_eq!(
        made(&but(&public, other), &good),
        RvError::CurveNotSupported
    );
    assert!(found_all(&session, b"unmade").is_empty());

    // What a key may do is the template's.
    for (other, expected) in [
        (
            Attribute::AllowedMechanisms(vec![mechanism(KEY_GEN)]),
            RvError::MechanismInvalid,
        ),
        (Attribute::Sign(false), RvError::KeyFunctionNotPermitted),
    ] {
        let pair = session.generate_key_pair(&plain(KEY_GEN), &public, &but(&good, other));
        assert_eq!(sign(&sm2, pair.unwrap().1), expected);
    }

    // It stays inside, and no other comes in.
    let aes = [
        Attribute::Token(false),
        Attribute::ValueLen(32.into()),
        Attribute::Wrap(true),
    ];
    let wrapping = session.generate_key(&Mechanism::AesKeyGen, &aes).unwrap();
    let wrapped = session.wrap_key(&Mechanism::AesKeyWrapPad, wrapping, private);
    assert_eq!(refused(wrapped), RvError::KeyUnextractable);
    let mut brought = good;
    brought.push(Attribute::Class(ObjectClass::PRIVATE_KEY));
    brought.push(Attribute::Value(vec![1; 32]));
    session.create_object(&brought).unwrap_err();
}

pub fn faults_befall_sm2_too(place: &Place) {
    let session = session(place);
    let (public, private) = pair(&session, b"faulty");
    let point = point_of(&session, public);
    let sign = |e| session.sign(&plain(SIGN), private, e);
    place.tell_shim("flip 2");
    let spoiled = Signature::from_raw(&sign(&[1; 32]).unwrap()).unwrap();
    sm2::verify_digest(&point, &[1; 32], &spoiled).unwrap_err();
    verify(&point, &[1; 32], &sign(&[1; 32]).unwrap());
    // CKR_DEVICE_ERROR.
    place.tell_shim("fail C_GenerateKeyPair 48 1");
    let (public, template) = templates(b"unmade");
    let made = session.generate_key_pair(&plain(KEY_GEN), &public, &template);
    assert_eq!(refused(made), RvError::DeviceError);
    assert!(found_all(&session, b"unmade").is_empty());
    place.tell_shim("forget");
    assert_eq!(refused(sign(&[1; 32])), RvError::SessionHandleInvalid);
    drop(session);
    let session = open(place);
    let private = found(&session, ObjectClass::PRIVATE_KEY, b"faulty");
    let signature = session.sign(&plain(SIGN), private, &[1; 32]).unwrap();
    verify(&point, &[1; 32], &signature);
}

pub fn the_trial_finds_sm2_to_work(place: &Place) {
    place.initialize();
    let token = Token::open(&place.config_with_sm2()).unwrap();
    let (mechanisms, sm) = token.try_mechanisms(soon()).wait().unwrap();
    let wanted = [SmMechanism::Sm2KeyGen, SmMechanism::Sm2Sign];
    assert_eq!(
        sm.iter().map(|row| row.mechanism).collect::<Vec<_>>(),
        wanted
    );
    for row in &sm {
        assert!(
            row.present && matches!(row.works, Some(Trial::Works)),
            "{row:?}"
        );
    }
    // It is a SoftHSM for the rest, which signs and wraps.
    assert!(
        mechanisms
            .iter()
            .all(|row| row.present == row.works.is_some())
    );
    token.probe(soon()).wait().unwrap();
    assert_eq!(token.key_report(soon()).wait().unwrap().len(), 6);
    token.generate_rsa(soon(), [1; 16], 2048).wait().unwrap();
    drop(token);
    // A key of it in the token is one that its profile knows.
    pair(&open(place), b"kept");
    Token::open(&place.config_with_sm2()).unwrap();
}

/// The control: what these tests see is the shim's, and only where it is told to.
pub fn a_token_without_sm2_has_none_of_it(place: &Place) {
    let session = session(place);
    let (public, private) = templates(b"unmade");
    let made = session.generate_key_pair(&plain(KEY_GEN), &public, &private);
    assert_eq!(refused(made), RvError::MechanismInvalid);
    let ec = ec_pair(&session);
    let signed = session.sign(&plain(SIGN), ec.1, &[1; 32]);
    assert_eq!(refused(signed), RvError::MechanismInvalid);
    assert_eq!(
        session
            .find_objects(&[Attribute::KeyType(key_type())])
            .unwrap(),
        []
    );
}

/// The first session of a token just made.
fn session(place: &Place) -> Session {
    place.initialize();
    open(place)
}

/// By the shim, which the token's making has loaded and initialised.
fn open(place: &Place) -> Session {
    let pkcs11 = Pkcs11::new(place.shim.as_ref().unwrap()).unwrap();
    let slots = pkcs11.get_slots_with_initialized_token().unwrap();
    let mut slots = slots.into_iter();
    let is_ours = |slot: &_| pkcs11.get_token_info(*slot).unwrap().label() == LABEL;
    let slot = slots.find(is_ours).unwrap();
    let session = pkcs11.open_rw_session(slot).unwrap();
    let _ = session.login(UserType::User, Some(&AuthPin::from(PIN)));
    session
}

fn templates(id: &[u8]) -> (Vec<Attribute>, Vec<Attribute>) {
    let public = vec![
        Attribute::KeyType(key_type()),
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        // SoftHSM's keys do what they are not told not to.
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::EcParams(CURVE.to_vec()),
        Attribute::Id(id.to_vec()),
    ];
    let private = vec![
        Attribute::KeyType(key_type()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Modifiable(false),
        Attribute::Copyable(false),
        Attribute::AllowedMechanisms(vec![mechanism(SIGN)]),
        Attribute::Id(id.to_vec()),
    ];
    (public, private)
}

fn pair(session: &Session, id: &[u8]) -> (ObjectHandle, ObjectHandle) {
    let (public, private) = templates(id);
    let made = session.generate_key_pair(&plain(KEY_GEN), &public, &private);
    made.unwrap()
}

/// On another curve, for the session.
fn ec_pair(session: &Session) -> (ObjectHandle, ObjectHandle) {
    let public = [Attribute::Token(false), Attribute::EcParams(P256.to_vec())];
    let private = [Attribute::Token(false), Attribute::Sign(true)];
    let made = session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private);
    made.unwrap()
}

fn point_of(session: &Session, public: ObjectHandle) -> PublicKey {
    let told = session.get_attributes(public, &[AttributeType::EcPoint]);
    let Some(Attribute::EcPoint(point)) = told.unwrap().pop() else {
        panic!("no point")
    };
    // An OCTET STRING of 65 bytes.
    PublicKey::from_bytes(&point[2..]).unwrap()
}

fn verify(point: &PublicKey, e: &[u8; 32], signature: &[u8]) {
    let signature = Signature::from_raw(signature).unwrap();
    sm2::verify_digest(point, e, &signature).unwrap();
}

fn found_all(session: &Session, id: &[u8]) -> Vec<ObjectHandle> {
    session.find_objects(&[Attribute::Id(id.to_vec())]).unwrap()
}

fn found(session: &Session, class: ObjectClass, id: &[u8]) -> ObjectHandle {
    let template = [Attribute::Class(class), Attribute::Id(id.to_vec())];
    session.find_objects(&template).unwrap()[0]
}

fn refused<T>(result: Result<T, Error>) -> RvError {
    match result {
        Err(Error::Pkcs11(answer, _)) => answer,
        Err(other) => panic!("{other:?}"),
        Ok(_) => panic!("this must be refused"),
    }
}

fn mechanism(number: u64) -> MechanismType {
    MechanismType::new_vendor_defined(number).unwrap()
}

fn plain(number: u64) -> Mechanism<'static> {
    Mechanism::VendorDefined(VendorDefinedMechanism::new::<u8>(mechanism(number), None))
}

fn key_type() -> KeyType {
    KeyType::new_vendor_defined(0x8000_0004).unwrap()
}

const KEY_GEN: u64 = 0x8000_8001;
const SIGN: u64 = 0x8000_8105;
const CURVE: [u8; 10] = [0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d];
const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
