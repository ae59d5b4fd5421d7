//! What a holder of the token's PIN tries against the master keys (Clulow, CHES 2003; Bortolozzo
//! et al., CCS 2010). Every attack is also run where it must succeed: an attack that cannot succeed
//! proves nothing.

use aes::cipher::{BlockCipherEncrypt, KeyInit};
use cryptoki::mechanism::misc::ExtractParams;
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use hmac::Mac;
use pintle::hsm::MasterKey;

use crate::place::{Attacker, Kind, Place, soon};

pub fn no_attribute_of_a_master_key_can_be_set(place: &Place) {
    let token = place.token();
    let before = token.key_report(soon()).wait().unwrap();
    let attacker = place.attacker();
    let bad = bad_key(&attacker);
    for change in changes() {
        for key in MasterKey::ALL {
            let object = attacker.master(key.label());
            let set = attacker
                .session
                .update_attributes(object, std::slice::from_ref(&change));
            assert!(set.is_err(), "{key} took {change:?}");
        }
    }
    let after = token.key_report(soon()).wait().unwrap();
    for (was, is) in before.iter().zip(&after) {
        assert_eq!(was.attributes, is.attributes, "{}", was.label);
    }
    // The control: a key that may be modified takes the usage.
    let set = attacker
        .session
        .update_attributes(bad, &[Attribute::Sign(true)]);
    set.unwrap();
}

pub fn no_copy_of_a_master_key_helps(place: &Place) {
    let token = place.token();
    let attacker = place.attacker();
    for key in MasterKey::ALL {
        let object = attacker.master(key.label());
        for change in changes() {
            let template = [Attribute::Token(false), change.clone()];
            let copy = attacker.session.copy_object(object, &template);
            assert!(copy.is_err(), "{key} was copied with {change:?}");
        }
        let plain = attacker
            .session
            .copy_object(object, &[Attribute::Token(false)]);
        assert!(plain.is_err(), "{key} was copied");
    }
    token.probe(soon()).wait().unwrap();
    // The control: a key that may be copied is, with the usage it lacked.
    let harmless = generate(&attacker, &[Attribute::Wrap(true)]);
    let copy = attacker
        .session
        .copy_object(harmless, &[Attribute::Decrypt(true)]);
    println!(
        "{:?}: a copy of a careless key gains DECRYPT: {}",
        place.kind,
        copy.is_ok()
    );
    attacker
        .session
        .copy_object(harmless, &[Attribute::Token(false)])
        .unwrap();
}

pub fn wrap_then_decrypt_gets_nothing(place: &Place) {
    let token = place.token();
    token.generate_rsa(soon(), [1; 16], 2048).wait().unwrap();
    let attacker = place.attacker();
    let bad = bad_key(&attacker);
    let victim = generate(&attacker, &[Attribute::Extractable(true)]);

    // The control: twelve calls to a key with both uses give the victim's value.
    let value = clulow(&attacker, bad, bad, victim).unwrap();
    assert_eq!(value.len(), 16);
    let theirs = attacker
        .session
        .encrypt(&Mechanism::AesEcb, victim, &[7; 16])
        .unwrap();
    let mut ours = aes::Block::from([7; 16]);
    aes::Aes128::new_from_slice(&value)
        .unwrap()
        .encrypt_block(&mut ours);
    assert_eq!(theirs, ours.as_slice());

    // No pair of our keys does, neither for an extractable key nor for our own.
    let mut victims = vec![victim, attacker.find("pintle-rsa")[0]];
    victims.extend(MasterKey::ALL.map(|key| attacker.master(key.label())));
    for wrapping in MasterKey::ALL {
        for decrypting in MasterKey::ALL {
            for victim in &victims {
                let wrapping = attacker.master(wrapping.label());
                let decrypting = attacker.master(decrypting.label());
                assert!(clulow(&attacker, wrapping, decrypting, *victim).is_none());
            }
        }
    }
    // Nor does any key an attacker makes take ours out.
    for ours in &victims[1..] {
        for mechanism in self::wrapping() {
            assert!(attacker.session.wrap_key(&mechanism, bad, *ours).is_err());
        }
    }
}

pub fn what_wrap_unwraps_stays_inside(place: &Place) {
    let token = place.token();
    let (_, stored) = token.generate_wrapped_rsa(soon(), 2048).wait().unwrap();
    let attacker = place.attacker();
    let session = &attacker.session;
    let bad = generate(&attacker, &[Attribute::Wrap(true), Attribute::Unwrap(true)]);
    let victim = signing_pair(&attacker);
    let open = [Attribute::Extractable(true), Attribute::Sensitive(false)];
    let value = |object| {
        let read = session.get_attributes(object, &[AttributeType::PrivateExponent]);
        read.map_or(0, |values| values.len())
    };
    if place.kind == Kind::Embedded {
        // cryptoki has no name for this token's number: its turn is in the library's own tests.
        return;
    }
    // The control: a key that pins nothing gives the value away.
    let kwp = Mechanism::AesKeyWrapPad;
    let blob = session.wrap_key(&kwp, bad, victim).unwrap();
    let out = unwrap(&attacker, &kwp, bad, &blob, &open).unwrap();
    assert_eq!(value(out), 1);

    // `wrap` wraps by its own mechanism only, and what it unwraps is pinned.
    let wrap = attacker.master(MasterKey::Wrap.label());
    let other = session.wrap_key(&Mechanism::AesKeyWrap, wrap, victim);
    assert!(
        other.is_err(),
        "wrap took a mechanism that it is not bound to"
    );
    let theirs = session.wrap_key(&kwp, wrap, victim).unwrap();
    for blob in [theirs.as_slice(), stored.as_bytes()] {
        for asked in freedoms() {
            let out = unwrap(&attacker, &kwp, wrap, blob, std::slice::from_ref(&asked));
            assert!(out.is_err(), "{asked:?} was granted");
        }
        assert!(unwrap(&attacker, &kwp, wrap, blob, &open).is_err());
        // The control: as it is pinned, it comes in, and stays.
        let out = unwrap(&attacker, &kwp, wrap, blob, &[]).unwrap();
        assert_eq!(value(out), 0);
        assert!(
            session
                .copy_object(out, &[Attribute::Decrypt(true)])
                .is_err()
        );
        for mechanism in wrapping() {
            assert!(session.wrap_key(&mechanism, bad, out).is_err());
        }
        for change in changes() {
            assert!(session.update_attributes(out, &[change]).is_err());
        }
    }
}

/// The control of all the above on one token: beside our master keys stands a wrapping key that is
/// bad in one way, and the very same attacks take out a key whose value is known. Such a token is
/// not opened.
pub fn the_same_attacks_take_a_key_out_of_a_token_with_a_bad_wrap(place: &Place) {
    drop(place.token());
    let attacker = place.attacker();
    let session = &attacker.session;
    let value = [0x5a; 16];
    let victim = known(&attacker, &value);
    let decrypts = [Attribute::Decrypt(true)];
    let copied = |key, with: &[Attribute]| {
        let template = [&[Attribute::Token(false)], with].concat();
        session.copy_object(key, &template)
    };
    // Each attack as (name, what is bad, how the bad key is brought to decrypt).
    type Turn<'a> = Box<dyn Fn(ObjectHandle) -> Option<ObjectHandle> + 'a>;
    let attacks: [(&str, Vec<Attribute>, Turn<'_>); 4] = [
        ("wrap, decrypt", decrypts.to_vec(), Box::new(Some)),
        (
            "set-attribute",
            vec![Attribute::Modifiable(true)],
            Box::new(|key| {
                let set = session.update_attributes(key, &decrypts);
                set.ok().map(|()| key)
            }),
        ),
        (
            "copy with DECRYPT",
            vec![Attribute::Copyable(true), Attribute::Modifiable(true)],
            Box::new(|key| copied(key, &decrypts).ok()),
        ),
        (
            "copy with MODIFIABLE",
            vec![Attribute::Copyable(true), Attribute::Modifiable(true)],
            Box::new(|key| {
                let copy = copied(key, &[Attribute::Modifiable(true)]).ok()?;
                session.update_attributes(copy, &decrypts).ok()?;
                Some(copy)
            }),
        ),
    ];
    for (name, bad, turn) in attacks {
        let key = careless_wrap(&attacker, &bad);
        let error = crate::place::refusal(pintle::hsm::Token::open(&place.config()));
        assert!(error.to_string().contains("a careless wrap"), "{error}");
        let decrypting = turn(key).unwrap_or_else(|| panic!("{name} was refused"));
        let out = clulow(&attacker, key, decrypting, victim);
        assert_eq!(out.as_deref(), Some(&value[..]), "{name}");
        session.destroy_object(key).unwrap();

        let ours = attacker.master(MasterKey::Wrap.label());
        let out = turn(ours).and_then(|ours_too| clulow(&attacker, ours, ours_too, victim));
        assert!(out.is_none(), "{name}");
    }
    // And what it unwraps, unpinned, can be read.
    let key = careless_wrap(&attacker, &[Attribute::Unwrap(true)]);
    let kw = Mechanism::AesKeyWrap;
    let blob = session.wrap_key(&kw, key, victim).unwrap();
    let open = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::GENERIC_SECRET),
        Attribute::Token(false),
        Attribute::Sensitive(false),
        Attribute::Extractable(true),
    ];
    let out = session.unwrap_key(&kw, key, &blob, &open).unwrap();
    let read = session
        .get_attributes(out, &[AttributeType::Value])
        .unwrap();
    assert_eq!(read, [Attribute::Value(value.to_vec())]);
}

/// A token key that wraps by any mechanism, bad in one way more.
fn careless_wrap(attacker: &Attacker, bad: &[Attribute]) -> ObjectHandle {
    let mut template = vec![
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Wrap(true),
        Attribute::ValueLen(32.into()),
        Attribute::Label(b"a careless wrap".to_vec()),
    ];
    for attribute in [
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Copyable(false),
        Attribute::Modifiable(false),
    ] {
        let replaced = bad
            .iter()
            .any(|other| other.attribute_type() == attribute.attribute_type());
        if !replaced {
            template.push(attribute);
        }
    }
    template.extend_from_slice(bad);
    let made = attacker
        .session
        .generate_key(&Mechanism::AesKeyGen, &template);
    made.unwrap()
}

/// A sensitive session key of a value that the test knows.
fn known(attacker: &Attacker, value: &[u8]) -> ObjectHandle {
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
        Attribute::Value(value.to_vec()),
    ];
    attacker.session.create_object(&template).unwrap()
}

/// What a holder of the PIN would like an unwrapped signing key to be.
fn freedoms() -> Vec<Attribute> {
    vec![
        Attribute::Extractable(true),
        Attribute::Sensitive(false),
        Attribute::Decrypt(true),
        Attribute::Unwrap(true),
        Attribute::Derive(true),
        Attribute::Modifiable(true),
        Attribute::Copyable(true),
        Attribute::Private(false),
        Attribute::Token(true),
        Attribute::Class(ObjectClass::SECRET_KEY),
    ]
}

/// The private half of an extractable session pair.
fn signing_pair(attacker: &Attacker) -> ObjectHandle {
    let public = [
        Attribute::Token(false),
        Attribute::ModulusBits(2048.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ];
    let private = [
        Attribute::Token(false),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::Sign(true),
    ];
    let mechanism = Mechanism::RsaPkcsKeyPairGen;
    let pair = attacker
        .session
        .generate_key_pair(&mechanism, &public, &private);
    pair.unwrap().1
}

pub fn deriving_from_a_master_key_or_its_copy_gets_nothing(place: &Place) {
    let _token = place.token();
    let attacker = place.attacker();
    // The control: where the token has the mechanism, a careless key comes out whole.
    let careless = generate(&attacker, &[Attribute::Derive(true)]);
    let value = shrink(&attacker, careless);
    assert_eq!(
        value.map(|value| value.len()),
        place.derives().then_some(16)
    );
    for key in MasterKey::ALL {
        let object = attacker.master(key.label());
        assert!(shrink(&attacker, object).is_none(), "{key} came out");
        let freed = [
            Attribute::Token(false),
            Attribute::Derive(true),
            Attribute::AllowedMechanisms(vec![MechanismType::EXTRACT_KEY_FROM_KEY]),
        ];
        let copy = attacker.session.copy_object(object, &freed);
        let value = copy.ok().and_then(|copy| shrink(&attacker, copy));
        assert!(value.is_none(), "a copy of {key} came out");
    }
}

/// Takes a key out byte by byte (Clulow §2.3): each byte becomes a key of its own, which is found
/// by trying all 256.
fn shrink(attacker: &Attacker, base: ObjectHandle) -> Option<Vec<u8>> {
    let mut value = Vec::new();
    for byte in 0..16 {
        let mechanism = Mechanism::ExtractKeyFromKey(ExtractParams::new(byte * 8));
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Token(false),
            Attribute::Sign(true),
            Attribute::ValueLen(1.into()),
        ];
        let session = &attacker.session;
        let small = session.derive_key(&mechanism, base, &template).ok()?;
        let tag = session.sign(&Mechanism::Sha256Hmac, small, b"m").ok()?;
        value.push((0..=u8::MAX).find(|guess| {
            let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(&[*guess]).unwrap();
            mac.update(b"m");
            mac.finalize().into_bytes().as_slice() == tag
        })?);
    }
    Some(value)
}

/// Every attribute that would let something out.
fn changes() -> Vec<Attribute> {
    vec![
        Attribute::Decrypt(true),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
        Attribute::Derive(true),
        Attribute::Extractable(true),
        Attribute::Sensitive(false),
        Attribute::Modifiable(true),
        Attribute::Copyable(true),
        Attribute::Private(false),
        Attribute::AllowedMechanisms(vec![MechanismType::AES_ECB, MechanismType::AES_KEY_WRAP]),
    ]
}

fn wrapping() -> [Mechanism<'static>; 3] {
    [
        Mechanism::AesKeyWrap,
        Mechanism::AesKeyWrapPad,
        Mechanism::AesEcb,
    ]
}

/// A key with both uses, as a careless application makes it.
fn bad_key(attacker: &Attacker) -> ObjectHandle {
    generate(attacker, &[Attribute::Wrap(true), Attribute::Decrypt(true)])
}

/// An AES-128 session key, sensitive, that encrypts; with more.
fn generate(attacker: &Attacker, more: &[Attribute]) -> ObjectHandle {
    let mut template = vec![
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Encrypt(true),
        Attribute::ValueLen(16.into()),
    ];
    template.extend_from_slice(more);
    attacker
        .session
        .generate_key(&Mechanism::AesKeyGen, &template)
        .unwrap()
}

/// Unwraps an RSA private key by the template that `wrap` pins, some of it replaced.
fn unwrap(
    attacker: &Attacker,
    mechanism: &Mechanism,
    key: ObjectHandle,
    blob: &[u8],
    with: &[Attribute],
) -> Result<ObjectHandle, cryptoki::error::Error> {
    let mut template = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::RSA),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Copyable(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Modifiable(false),
    ];
    for attribute in with {
        template.retain(|other| other.attribute_type() != attribute.attribute_type());
        let secret = *attribute == Attribute::Class(ObjectClass::SECRET_KEY);
        if secret {
            template.retain(|other| other.attribute_type() != AttributeType::KeyType);
            template.insert(0, Attribute::KeyType(KeyType::GENERIC_SECRET));
        }
        // Before CKA_MODIFIABLE, after which SoftHSM takes nothing.
        template.insert(0, attribute.clone());
    }
    attacker.session.unwrap_key(mechanism, key, blob, &template)
}

/// Wraps the victim and takes the wrapping off by the decryption of single blocks: RFC 3394 §2.2.2,
/// six rounds of one call for each eight bytes.
fn clulow(
    attacker: &Attacker,
    wrapping: ObjectHandle,
    decrypting: ObjectHandle,
    victim: ObjectHandle,
) -> Option<Vec<u8>> {
    let session = &attacker.session;
    let wrapped = [Mechanism::AesKeyWrap, Mechanism::AesKeyWrapPad]
        .iter()
        .find_map(|mechanism| session.wrap_key(mechanism, wrapping, victim).ok())?;
    let mut blocks: Vec<[u8; 8]> = wrapped
        .chunks_exact(8)
        .map(|block| block.try_into().unwrap())
        .collect();
    let count = blocks.len() - 1;
    let mut first = blocks.remove(0);
    for round in (0..6).rev() {
        for index in (0..count).rev() {
            let step = u64::try_from(count * round + index + 1).unwrap();
            let masked = u64::from_be_bytes(first) ^ step;
            let input = [masked.to_be_bytes(), blocks[index]].concat();
            let clear = session
                .decrypt(&Mechanism::AesEcb, decrypting, &input)
                .ok()?;
            first.copy_from_slice(&clear[..8]);
            blocks[index].copy_from_slice(&clear[8..]);
        }
    }
    // RFC 3394 §2.2.3: the initial value shows that the key came out right.
    (first == [0xa6; 8]).then(|| blocks.concat())
}
