//! The signing master keys: `root`, `pan-index` and `audit`, and that the public half of `audit` is
//! to be had, and is the right one.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use pintle::hsm::{Error, MasterKey, Token};
use pintle::limits;
use spki::der::{Decode, Encode};

use crate::place::{Attacker, Place, refusal, soon};

pub fn root_and_pan_index_authenticate_and_differ(place: &Place) {
    let token = place.token();
    let root = |message: &[u8]| token.root_mac(soon(), message.to_vec()).wait().unwrap();
    let index = |message: &[u8]| token.pan_index(soon(), message.to_vec()).wait().unwrap();
    assert_eq!(root(b"catalogue"), root(b"catalogue"));
    assert_ne!(root(b"catalogue"), root(b"cataloguf"));
    assert_ne!(root(b"catalogue"), index(b"catalogue"));
    root(b"");
    root(&vec![7; limits::MESSAGE_BYTES_MAX]);
    // It is the HMAC that the key itself makes, and the token verifies it.
    let attacker = place.attacker();
    let object = attacker.master(MasterKey::Root.label());
    let verified = |mac: &[u8]| {
        let mechanism = Mechanism::Sha256Hmac;
        attacker
            .session
            .verify(&mechanism, object, b"catalogue", mac)
    };
    verified(&root(b"catalogue")).unwrap();
    assert!(verified(&index(b"catalogue")).is_err());
    // Another opening of the same token goes on with the same keys.
    let again = Token::open(&place.config()).unwrap();
    let mac = again.root_mac(soon(), b"catalogue".to_vec()).wait();
    assert_eq!(mac.unwrap(), root(b"catalogue"));

    let long = vec![0; limits::MESSAGE_BYTES_MAX + 1];
    for error in [
        refusal(token.root_mac(soon(), long.clone()).wait()),
        refusal(token.pan_index(soon(), long.clone()).wait()),
        refusal(token.audit_sign(soon(), long).wait()),
    ] {
        assert!(matches!(error, Error::TooLong), "{error:?}");
    }
}

pub fn audit_signs_and_its_public_key_is_to_be_had(place: &Place) {
    let token = place.token();
    let public = token.audit_public_key(soon()).wait().unwrap();
    let signature = token.audit_sign(soon(), b"checkpoint".to_vec()).wait();
    let signature = signature.unwrap();
    assert!(verifies(&public, b"checkpoint", &signature));
    assert!(!verifies(&public, b"checkpoinT", &signature));
    let again = Token::open(&place.config()).unwrap();
    assert_eq!(again.audit_public_key(soon()).wait().unwrap(), public);
}

pub fn a_public_key_that_is_not_audits_is_refused(place: &Place) {
    let token = place.token();
    let attacker = place.attacker();
    let ours = public_objects(&attacker)[0];
    attacker.session.destroy_object(ours).unwrap();
    let error = refusal(token.audit_public_key(soon()).wait());
    let missing = |error: &Error| matches!(error, Error::MasterKeyMissing(MasterKey::Audit));
    assert!(missing(&error), "{error:?}");
    let error = refusal(Token::open(&place.config()));
    assert!(missing(&error), "{error:?}");

    // Another pair's public half in its place.
    let curve = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let template = [
        Attribute::Token(true),
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::EcParams(curve.to_vec()),
        Attribute::Label(MasterKey::Audit.label().as_bytes().to_vec()),
    ];
    let pair = |template: &[Attribute]| {
        let private = [Attribute::Token(false), Attribute::Sign(true)];
        let mechanism = Mechanism::EccKeyPairGen;
        let session = &attacker.session;
        session.generate_key_pair(&mechanism, template, &private)
    };
    let (theirs, _) = pair(&template).unwrap();
    let point = attacker
        .session
        .get_attributes(theirs, &[AttributeType::EcPoint]);
    assert_eq!(point.unwrap().len(), 1);
    let error = refusal(token.audit_public_key(soon()).wait());
    let unsafe_point = matches!(
        error,
        Error::MasterKeyUnsafe {
            key: MasterKey::Audit,
            attribute: "CKA_EC_POINT"
        }
    );
    assert!(unsafe_point, "{error:?}");
    // Two of them: which is meant cannot be known.
    pair(&template).unwrap();
    let error = refusal(token.audit_public_key(soon()).wait());
    assert!(
        matches!(error, Error::MasterKeyTwice(MasterKey::Audit)),
        "{error:?}"
    );
}

fn verifies(public: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let info = spki::SubjectPublicKeyInfoRef::from_der(public).unwrap();
    // id-ecPublicKey on P-256, as others read it.
    let (oid, curve) = (info.algorithm.oid, info.algorithm.parameters.unwrap());
    assert_eq!(oid.to_string(), "1.2.840.10045.2.1");
    let curve = curve.decode_as::<spki::ObjectIdentifier>().unwrap();
    assert_eq!(curve.to_string(), "1.2.840.10045.3.1.7");
    assert_eq!(info.to_der().unwrap(), public);
    let point = info.subject_public_key.as_bytes().unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point)
        .verify(message, signature)
        .is_ok()
}

fn public_objects(attacker: &Attacker) -> Vec<cryptoki::object::ObjectHandle> {
    let template = [
        Attribute::Class(ObjectClass::PUBLIC_KEY),
        Attribute::Label(MasterKey::Audit.label().as_bytes().to_vec()),
    ];
    attacker.session.find_objects(&template).unwrap()
}
