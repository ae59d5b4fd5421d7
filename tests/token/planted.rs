//! Bad templates, planted by somebody who has the PIN: each alone keeps the token from being
//! opened, and is named with the rule that it breaks.

use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use pintle::hsm::{Error, MasterKey, SecretKind, SecretUse, Standing, Token, UnsafeKey};

use crate::place::{Attacker, Place, refusal, soon};

pub fn a_planted_key_keeps_the_token_from_being_opened(place: &Place) {
    let token = place.token();
    ours(&token);
    drop(token);
    let attacker = place.attacker();
    let mut count = 0;
    for (rule, plant) in bad_templates() {
        let label = format!("planted {count}");
        let Some(objects) = plant(&attacker, &label) else {
            println!(
                "{:?}: the token makes no key that breaks {rule}",
                place.kind
            );
            continue;
        };
        let error = refusal(Token::open(&place.config()));
        let Error::TemplateUnsafe(found) = &error else {
            panic!("{label}, {rule}: {error:?}")
        };
        assert!(error.needs_person());
        let all = Token::unsafe_keys(&place.config()).unwrap();
        assert!(all.contains(found), "{all:?}");
        let broken: Vec<&UnsafeKey> = all.iter().filter(|key| key.rule == rule).collect();
        assert!(!broken.is_empty(), "{label}: {rule} is not among {all:?}");
        for key in &broken {
            assert_eq!(key.id, b"\x0a\x0b");
            let named = key.label.starts_with("planted") || key.label.starts_with("pintle-");
            assert!(named, "{key}");
        }
        assert!(error.to_string().contains("0a0b"), "{error}");
        count += 1;
        for object in objects {
            attacker.session.destroy_object(object).unwrap();
        }
    }
    println!("{:?}: {count} bad templates, each refused", place.kind);
    assert!(count >= 20, "{count}");
    // The control: without them it opens, and so does it with a foreign key that is safe.
    Token::open(&place.config()).unwrap();
    secret(&attacker, "planted and safe", &[]).unwrap();
    Token::open(&place.config()).unwrap();
}

/// Keys of every kind that this service makes and keeps.
fn ours(token: &Token) {
    token.generate_rsa(soon(), [1; 16], 2048).wait().unwrap();
    let field_key = token.generate_field_rsa(soon(), [4; 16], 2048);
    field_key.wait().unwrap();
    let (_, _wrapped) = token.generate_wrapped_rsa(soon(), 2048).wait().unwrap();
    for (id, usage) in [([2; 16], SecretUse::Cmac), ([3; 16], SecretUse::Ecb)] {
        let made = token.generate_secret(soon(), id, SecretKind::Aes256, usage);
        made.wait().unwrap();
    }
}

pub fn a_key_planted_while_it_serves_is_found_by_the_next_recovery(place: &Place) {
    let token = place.token();
    let attacker = place.attacker();
    secret(&attacker, "planted late", &[Attribute::Derive(true)]).unwrap();
    token.probe(soon()).wait().unwrap();
    attacker.session.logout().unwrap();
    let error = refusal(token.probe(soon()).wait());
    assert!(error.to_string().contains("planted late"), "{error}");
    assert!(error.needs_person(), "{error:?}");
}

/// Label, id and template are right, so that only what the key makes of a known value tells it.
pub fn a_master_key_in_the_place_of_another_is_known_by_its_check_value(place: &Place) {
    let token = place.token();
    let attacker = place.attacker();
    let seal = attacker.master("pintle-seal");
    let read = attacker.session.get_attributes(seal, &[AttributeType::Id]);
    attacker.session.destroy_object(seal).unwrap();
    secret(&attacker, "pintle-seal", &read.unwrap()).unwrap();
    attacker.session.logout().unwrap();
    for _ in 0..3 {
        let error = refusal(token.probe(soon()).wait());
        let Error::Unavailable(why) = &error else {
            panic!("{error:?}");
        };
        let changed = matches!(why.error(), Error::MasterKeyChanged(MasterKey::Seal));
        assert!(changed && why.needs_person(), "{error:?}");
    }
    assert!(matches!(token.standing(), Standing::Refusing(_)));
}

pub fn five_thousand_keys_are_judged_at_the_start(place: &Place) {
    let many = std::env::var("PINTLE_SCAN_KEYS").map_or(300, |text| text.parse().unwrap());
    drop(place.token());
    let start = std::time::Instant::now();
    Token::open(&place.config()).unwrap();
    let few = start.elapsed();
    let attacker = place.attacker();
    for at in 0..many {
        secret(&attacker, &format!("safe {at}"), &[]).unwrap();
    }
    let start = std::time::Instant::now();
    let token = Token::open(&place.config()).unwrap();
    let kind = place.kind;
    println!(
        "{kind:?}: opened in {few:?}, with {many} more keys in {:?}",
        start.elapsed()
    );
    drop(token);
    let start = std::time::Instant::now();
    assert_eq!(Token::unsafe_keys(&place.config()).unwrap(), []);
    println!("{kind:?}: the scan alone {:?}", start.elapsed());
}

type Plant = Box<dyn Fn(&Attacker, &str) -> Option<Vec<ObjectHandle>>>;

fn bad_templates() -> Vec<(&'static str, Plant)> {
    let mut bad = bad_secrets();
    bad.extend(bad_pairs());
    bad.extend(bad_names());
    bad
}

fn bad_secrets() -> Vec<(&'static str, Plant)> {
    let changed: [(&'static str, Vec<Attribute>); 17] = [
        ("sensitive", vec![Attribute::Sensitive(false)]),
        ("extractable", vec![Attribute::Extractable(true)]),
        ("private", vec![Attribute::Private(false)]),
        ("wrap+decrypt", vec![Attribute::Wrap(true)]),
        (
            "wrap+decrypt",
            vec![Attribute::Wrap(true), Attribute::Encrypt(false)],
        ),
        ("unwrap+decrypt", vec![Attribute::Unwrap(true)]),
        (
            "unwrap+encrypt",
            vec![Attribute::Unwrap(true), Attribute::Decrypt(false)],
        ),
        (
            "unwrap+sign",
            vec![
                Attribute::Unwrap(true),
                Attribute::Sign(true),
                Attribute::Encrypt(false),
                Attribute::Decrypt(false),
            ],
        ),
        ("two uses", vec![Attribute::Sign(true)]),
        (
            "two uses",
            vec![
                Attribute::Wrap(true),
                Attribute::Verify(true),
                Attribute::Encrypt(false),
                Attribute::Decrypt(false),
            ],
        ),
        ("derive", vec![Attribute::Derive(true)]),
        ("modifiable", vec![Attribute::Modifiable(true)]),
        ("copyable", vec![Attribute::Copyable(true)]),
        (
            "unwrap template",
            vec![
                Attribute::Unwrap(true),
                Attribute::Wrap(true),
                Attribute::Encrypt(false),
                Attribute::Decrypt(false),
            ],
        ),
        (
            "wide mechanisms",
            vec![Attribute::AllowedMechanisms(vec![
                MechanismType::AES_GCM,
                MechanismType::AES_ECB,
            ])],
        ),
        (
            "wide mechanisms",
            vec![Attribute::AllowedMechanisms(vec![MechanismType::AES_CMAC])],
        ),
        ("any mechanism", vec![Attribute::AllowedMechanisms(vec![])]),
    ];
    let planted = changed.map(|(rule, with)| -> (&'static str, Plant) {
        let plant = move |attacker: &Attacker, label: &str| {
            secret(attacker, label, &with).map(|key| vec![key])
        };
        (rule, Box::new(plant))
    });
    planted.into_iter().collect()
}

fn bad_pairs() -> Vec<(&'static str, Plant)> {
    let changed: [(&'static str, Option<Attribute>, Option<Attribute>); 8] = [
        ("sign+open", Some(Attribute::Decrypt(true)), None),
        ("sign+open", Some(Attribute::Unwrap(true)), None),
        ("sensitive", Some(Attribute::Sensitive(false)), None),
        ("extractable", Some(Attribute::Extractable(true)), None),
        ("modifiable", Some(Attribute::Modifiable(true)), None),
        ("copyable", Some(Attribute::Copyable(true)), None),
        ("public wrap", None, Some(Attribute::Wrap(true))),
        ("private", Some(Attribute::Private(false)), None),
    ];
    let planted = changed.map(|(rule, private, public)| -> (&'static str, Plant) {
        let plant = move |attacker: &Attacker, label: &str| {
            pair(attacker, label, private.as_slice(), public.as_slice())
        };
        (rule, Box::new(plant))
    });
    planted.into_iter().chain(bad_lists()).collect()
}

/// Keys that sign and decrypt by more than the two mechanisms that make it safe.
fn bad_lists() -> Vec<(&'static str, Plant)> {
    let (sign, open) = (MechanismType::SHA256_RSA_PKCS, MechanismType::RSA_PKCS_OAEP);
    let lists = [
        vec![sign, open, MechanismType::RSA_PKCS],
        vec![open, MechanismType::RSA_X_509],
        vec![MechanismType::RSA_PKCS],
    ];
    let plants = lists.map(|list| -> (&'static str, Plant) {
        let with = [Attribute::Decrypt(true), Attribute::AllowedMechanisms(list)];
        let plant = move |attacker: &Attacker, label: &str| pair(attacker, label, &with, &[]);
        ("sign+open", Box::new(plant))
    });
    let both = [
        Attribute::Unwrap(true),
        Attribute::AllowedMechanisms(vec![sign, open]),
    ];
    let unwraps: Plant = Box::new(move |attacker, label| pair(attacker, label, &both, &[]));
    plants.into_iter().chain([("sign+open", unwraps)]).collect()
}

fn bad_names() -> Vec<(&'static str, Plant)> {
    let trusted: Plant = Box::new(|attacker, label| {
        secret(attacker, label, &[Attribute::Trusted(true)]).map(|key| vec![key])
    });
    let impostor: Plant = Box::new(|attacker, _| pair(attacker, "pintle-wrap", &[], &[]));
    let twin: Plant = Box::new(|attacker, _| {
        let one = pair(attacker, "pintle-rsa", &[], &[])?;
        let two = pair(attacker, "pintle-rsa", &[], &[])?;
        Some([one, two].concat())
    });
    vec![("trusted", trusted), ("impostor", impostor), ("twin", twin)]
}

/// A key that nothing is wrong with, some of it replaced; `None` where the token refuses it.
fn secret(attacker: &Attacker, label: &str, with: &[Attribute]) -> Option<ObjectHandle> {
    let template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Copyable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::ValueLen(32.into()),
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(vec![0x0a, 0x0b]),
        Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM]),
        Attribute::Modifiable(false),
    ];
    let template = replaced(template, with);
    let made = attacker
        .session
        .generate_key(&Mechanism::AesKeyGen, &template);
    made.ok()
}

/// A signing pair that nothing is wrong with, some of it replaced; without its public half where
/// that is not what is replaced.
fn pair(
    attacker: &Attacker,
    label: &str,
    with: &[Attribute],
    public_with: &[Attribute],
) -> Option<Vec<ObjectHandle>> {
    let named = [
        Attribute::Label(label.as_bytes().to_vec()),
        Attribute::Id(vec![0x0a, 0x0b]),
        Attribute::Token(true),
    ];
    let public = [
        Attribute::Private(false),
        Attribute::Verify(true),
        Attribute::Encrypt(false),
        Attribute::Wrap(false),
        Attribute::ModulusBits(2048.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ];
    let private = [
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Copyable(false),
        Attribute::Sign(true),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Modifiable(false),
    ];
    let made = attacker.session.generate_key_pair(
        &Mechanism::RsaPkcsKeyPairGen,
        &replaced([&named[..], &public].concat(), public_with),
        &replaced([&named[..], &private].concat(), with),
    );
    let (public, private) = made.ok()?;
    if public_with.is_empty() {
        attacker.session.destroy_object(public).unwrap();
        return Some(vec![private]);
    }
    Some(vec![public, private])
}

fn replaced(mut template: Vec<Attribute>, with: &[Attribute]) -> Vec<Attribute> {
    for attribute in with {
        template.retain(|other| other.attribute_type() != attribute.attribute_type());
        let empty = *attribute == Attribute::AllowedMechanisms(vec![]);
        if !empty {
            template.push(attribute.clone());
        }
    }
    template
}
