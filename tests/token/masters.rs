//! The master keys: made once, found exactly once, refused when weakened; and the PIN.

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use pintle::hsm::{Error, MasterKey, Token, TokenConfig, login_attempts};
use pintle::secret::Secret;

use crate::place::{Attacker, Kind, Place, SO_PIN, refusal, secret_pin, soon};

pub fn a_second_init_is_refused_and_changes_nothing(place: &Place) {
    let so_pin = Secret::new(SO_PIN.to_owned());
    let first = Token::initialize(&place.config(), Some(&so_pin)).unwrap();
    assert!(first.token_made);
    assert_eq!(first.made, MasterKey::ALL);
    let error = refusal(Token::initialize(&place.config(), Some(&so_pin)));
    assert!(
        matches!(error, Error::MasterKeyExists(MasterKey::Seal)),
        "{error:?}"
    );
    let token = Token::open(&place.config()).unwrap();
    assert_eq!(token.seal_key_id(), first.seal_key_id);
    let report = token.key_report(soon()).wait().unwrap();
    for row in &report {
        println!("{:?}: {row:?}", place.kind);
    }
    // Five keys, and the public half of one.
    assert_eq!(report.len(), 6);
}

pub fn a_missing_master_key_is_named(place: &Place) {
    drop(place.token());
    // One at a time, the last first, since a missing one is named in the order of making.
    for key in MasterKey::ALL.into_iter().rev() {
        let attacker = place.attacker();
        for object in attacker.find(key.label()) {
            attacker.session.destroy_object(object).unwrap();
        }
        let error = refusal(Token::open(&place.config()));
        assert!(
            matches!(error, Error::MasterKeyMissing(missing) if missing == key),
            "{error:?}"
        );
        assert!(error.to_string().contains(key.label()), "{error}");
    }
}

pub fn a_weakened_master_key_is_refused_by_attribute(place: &Place) {
    drop(place.token());
    let attacker = place.attacker();
    let weakened = [
        (Attribute::Extractable(true), "CKA_EXTRACTABLE"),
        (Attribute::Sensitive(false), "CKA_SENSITIVE"),
        (Attribute::Modifiable(true), "CKA_MODIFIABLE"),
        (Attribute::Wrap(true), "CKA_WRAP"),
        (Attribute::Unwrap(true), "CKA_UNWRAP"),
        (Attribute::Sign(true), "CKA_SIGN"),
        (Attribute::Derive(true), "CKA_DERIVE"),
        (Attribute::Encrypt(false), "CKA_ENCRYPT"),
        (Attribute::ValueLen(32.into()), ""),
    ];
    for (weak, name) in weakened {
        replace(&attacker, MasterKey::Seal, &[weak, gcm_only()]);
        match Token::open(&place.config()) {
            // The control: the template without a weakness opens.
            Ok(_) => assert_eq!(name, ""),
            Err(Error::MasterKeyUnsafe { key, attribute }) => {
                assert_eq!((key, attribute), (MasterKey::Seal, name));
            }
            Err(other) => panic!("{other:?}"),
        }
    }
    let wider = vec![MechanismType::AES_GCM, MechanismType::AES_ECB];
    for allowed in [vec![], vec![Attribute::AllowedMechanisms(wider)]] {
        replace(&attacker, MasterKey::Seal, &allowed);
        let error = refusal(Token::open(&place.config()));
        let named = matches!(
            error,
            Error::MasterKeyUnsafe {
                key: MasterKey::Seal,
                attribute: "CKA_ALLOWED_MECHANISMS"
            }
        );
        assert!(named, "{error:?}");
    }
    // `wrap` from a template that is right but for the missing pin on what it unwraps.
    replace(&attacker, MasterKey::Seal, &[gcm_only()]);
    let kwp = if place.kind == Kind::SoftHsm {
        vec![Attribute::AllowedMechanisms(vec![
            MechanismType::AES_KEY_WRAP_PAD,
        ])]
    } else {
        // cryptoki has no name for kryoptic's number; without the list that is the fault named.
        vec![]
    };
    replace(&attacker, MasterKey::Wrap, &kwp);
    let error = refusal(Token::open(&place.config()));
    println!("{:?}: {error}", place.kind);
    assert!(
        matches!(
            error,
            Error::MasterKeyUnsafe {
                key: MasterKey::Wrap,
                ..
            }
        ),
        "{error:?}"
    );
}

pub fn a_master_key_there_twice_is_refused(place: &Place) {
    drop(place.token());
    make(&place.attacker(), MasterKey::Root, &[]);
    let error = refusal(Token::open(&place.config()));
    assert!(
        matches!(error, Error::MasterKeyTwice(MasterKey::Root)),
        "{error:?}"
    );
}

pub fn a_wrong_pin_is_tried_once(place: &Place) {
    place.initialize();
    let before = login_attempts();
    let wrong = TokenConfig {
        pin: secret_pin("wrong-pin"),
        ..place.config()
    };
    let error = refusal(Token::open(&wrong));
    assert!(matches!(error, Error::PinIncorrect), "{error:?}");
    assert_eq!(login_attempts(), before + 1);
    Token::open(&place.config()).unwrap();
}

pub fn a_token_of_another_label_is_not_touched(place: &Place) {
    place.initialize();
    let other = TokenConfig {
        label: "unknown".to_owned(),
        ..place.config()
    };
    let error = refusal(Token::open(&other));
    assert!(matches!(error, Error::TokenMissing { .. }), "{error:?}");
    if place.kind == Kind::Embedded {
        // One folder, one token: init with another label must not make it anew.
        let so_pin = Secret::new(SO_PIN.to_owned());
        let error = refusal(Token::initialize(&other, Some(&so_pin)));
        assert!(matches!(error, Error::TokenNotMade { .. }), "{error:?}");
    } else {
        let error = refusal(Token::initialize(&other, None));
        assert!(matches!(error, Error::TokenNotMade { .. }), "{error:?}");
    }
    Token::open(&place.config()).unwrap();
}

fn gcm_only() -> Attribute {
    Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM])
}

/// Destroys a master key and makes another by our template with some attributes replaced.
fn replace(attacker: &Attacker, key: MasterKey, with: &[Attribute]) {
    for object in attacker.find(key.label()) {
        attacker.session.destroy_object(object).unwrap();
    }
    make(attacker, key, with);
}

fn make(attacker: &Attacker, key: MasterKey, with: &[Attribute]) {
    let seal = key == MasterKey::Seal;
    let wrap = key == MasterKey::Wrap;
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::Copyable(false),
        Attribute::Encrypt(seal),
        Attribute::Decrypt(seal),
        Attribute::Wrap(wrap),
        Attribute::Unwrap(wrap),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
        Attribute::ValueLen(32.into()),
        Attribute::Label(key.label().as_bytes().to_vec()),
        Attribute::Id(vec![5; 16]),
    ];
    for attribute in with {
        template.retain(|other| other.attribute_type() != attribute.attribute_type());
        template.push(attribute.clone());
    }
    let (mechanism, key_type) = if seal || wrap {
        (Mechanism::AesKeyGen, KeyType::AES)
    } else {
        (Mechanism::GenericSecretKeyGen, KeyType::GENERIC_SECRET)
    };
    template.push(Attribute::KeyType(key_type));
    attacker
        .session
        .generate_key(&mechanism, &template)
        .unwrap();
}
