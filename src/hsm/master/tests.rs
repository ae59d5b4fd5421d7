//! What `wrap` unwraps, on the embedded token. The suite in `tests/token` has this for SoftHSM;
//! kryoptic's number for RFC 5649 has no name outside this crate.

use std::path::Path;
use std::sync::Arc;

use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::{Session, UserType};

use crate::hsm::error::Error;
use crate::hsm::master::{MasterKey, check_all, find};
use crate::hsm::mechanism::Allowed;
use crate::hsm::module::Opened;
use crate::hsm::profile::Profile;
use crate::hsm::session::{self, OwnSession};
use crate::hsm::{Module, Token, TokenConfig, module, slot};
use crate::secret::Secret;

/// One token for both: kryoptic does not take a second folder while the first one goes away.
#[test]
fn what_wrap_unwraps_stays_inside_and_a_wrap_key_that_pins_nothing_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (opened, own) = initialized(folder.path());
    what_wrap_unwraps_stays_inside(&opened, &own.session);
    a_wrap_key_that_pins_nothing_is_refused(&opened, &own.session);
}

#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
fn what_wrap_unwraps_stays_inside(opened: &Opened, session: &Session) {
    let careless = [
        Attribute::Token(false),
        Attribute::ValueLen(16.into()),
        Attribute::Wrap(true),
        Attribute::Unwrap(true),
    ];
    let careless = session.generate_key(&Allowed::AesKeyGen.plain(), &careless);
    let careless = careless.unwrap();
    let victim = extractable_rsa(session);
    let wrap = find(session, &opened.loaded.calls, MasterKey::Wrap).unwrap()[0];
    let kwp = Allowed::AesKwp.plain();
    let unwrapped = |key, key_type, asked: &[Attribute]| {
        let blob = session.wrap_key(&kwp, key, victim).unwrap();
        let mut template = vec![Attribute::KeyType(key_type)];
        template.extend_from_slice(asked);
        session.unwrap_key(&kwp, key, &blob, &template)
    };
    let value = |object| {
        session
            .get_attributes(object, &[AttributeType::PrivateExponent])
            .unwrap()
    };

    let class = Attribute::Class(ObjectClass::PRIVATE_KEY);
    let open = [
        class.clone(),
        Attribute::Extractable(true),
        Attribute::Sensitive(false),
    ];
    // The control: a key that pins nothing gives the value away.
    let out = unwrapped(careless, KeyType::RSA, &open).unwrap();
    assert_eq!(value(out).len(), 1);
    let as_secret = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Derive(true),
    ];
    unwrapped(careless, KeyType::GENERIC_SECRET, &as_secret).unwrap();

    assert!(unwrapped(wrap, KeyType::RSA, &open).is_err());
    assert!(unwrapped(wrap, KeyType::GENERIC_SECRET, &as_secret).is_err());
    assert!(unwrapped(wrap, KeyType::GENERIC_SECRET, &as_secret[..1]).is_err());
    for asked in [
        Attribute::Extractable(true),
        Attribute::Sensitive(false),
        Attribute::Decrypt(true),
        Attribute::Unwrap(true),
        Attribute::Derive(true),
        Attribute::Modifiable(true),
        Attribute::Copyable(true),
        Attribute::Private(false),
        Attribute::Token(true),
    ] {
        assert!(
            unwrapped(wrap, KeyType::RSA, std::slice::from_ref(&asked)).is_err(),
            "{asked:?} was granted"
        );
    }
    let out = unwrapped(wrap, KeyType::RSA, &[Attribute::Sign(true)]).unwrap();
    assert!(value(out).is_empty());
    assert!(session.wrap_key(&kwp, careless, out).is_err());
    for change in [Attribute::Decrypt(true), Attribute::Derive(true)] {
        let change = std::slice::from_ref(&change);
        assert!(session.copy_object(out, change).is_err());
        assert!(session.update_attributes(out, change).is_err());
    }
}

/// The private half of a session pair that may be wrapped.
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
fn extractable_rsa(session: &Session) -> ObjectHandle {
    let public = [
        Attribute::ModulusBits(2048.into()),
        Attribute::PublicExponent(vec![1, 0, 1]),
    ];
    let private = [
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::Sign(true),
    ];
    let pair = session.generate_key_pair(&Allowed::RsaKeyPairGen.plain(), &public, &private);
    pair.unwrap().1
}

#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
fn a_wrap_key_that_pins_nothing_is_refused(opened: &Opened, session: &Session) {
    let loaded = &opened.loaded;
    let profile = Profile::read(loaded, opened.slot.unwrap(), None).unwrap();
    check_all(session, loaded, &profile).unwrap();

    session
        .destroy_object(find(session, &opened.loaded.calls, MasterKey::Wrap).unwrap()[0])
        .unwrap();
    let mut template = MasterKey::Wrap.rule().template(ObjectClass::SECRET_KEY);
    template.extend([
        Attribute::Label(MasterKey::Wrap.label().as_bytes().to_vec()),
        Attribute::ValueLen(32.into()),
        Attribute::AllowedMechanisms(vec![Allowed::AesKwp.as_type()]),
    ]);
    session
        .generate_key(&Allowed::AesKeyGen.plain(), &template)
        .unwrap();
    assert!(matches!(
        check_all(session, loaded, &profile).err(),
        Some(Error::MasterKeyUnsafe {
            key: MasterKey::Wrap,
            attribute: "CKA_UNWRAP_TEMPLATE"
        })
    ));
}

/// A token with its master keys, and a session that is logged in.
#[expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
fn initialized(folder: &Path) -> (Opened, OwnSession) {
    let config = TokenConfig {
        module: Module::Embedded {
            dir: folder.join("token"),
        },
        label: "pinned".to_owned(),
        pin: Arc::new(Secret::new("1234-user".to_owned())),
        symmetric_workers: 1,
        asymmetric_workers: 1,
        call_timeout: crate::limits::TOKEN_CALL_TIMEOUT,
        profile: None,
    };
    Token::initialize(&config, None).unwrap();
    let opened = module::open(&config.module, &config.label, false).unwrap();
    let slot = slot::find(&opened, &config.label).unwrap().unwrap();
    let own = OwnSession::open(&opened.loaded, slot, 1).unwrap();
    session::log_in(&own.session, UserType::User, &config.pin).unwrap();
    (opened, own)
}
