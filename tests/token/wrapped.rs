//! RSA signing keys that live outside the token, wrapped: they sign like resident ones, nothing of
//! them stays, and what happens to their session objects is not noticed.

use std::time::Instant;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use cryptoki::object::{Attribute, ObjectHandle};
use pintle::hsm::{Error, RsaHash, RsaPublic, Token, TokenConfig, Wrapped};
use pintle::limits;
use pintle::secret::Secret;

use crate::place::{Attacker, Place, SO_PIN, refusal, soon};
use crate::rsa::{openssl_key, openssl_signature};
use crate::rsa_variants::variants;

pub fn a_wrapped_key_signs_and_nothing_stays(place: &Place) {
    let token = place.token();
    let before = token.key_report(soon()).wait().unwrap().len();
    for bits in [2048, 3072, 4096] {
        let (public, wrapped) = token.generate_wrapped_rsa(soon(), bits).wait().unwrap();
        assert_eq!(public.n.len() * 8, usize::try_from(bits).unwrap());
        assert!(signs(&token, &public, &wrapped));
        println!(
            "{:?}: {bits} bits: {} bytes",
            place.kind,
            wrapped.as_bytes().len()
        );
        // What was stored is all that is needed.
        let stored = Wrapped::new(wrapped.as_bytes());
        assert!(signs(
            &Token::open(&place.config()).unwrap(),
            &public,
            &stored
        ));
    }
    let file = place.folder.join("key.der");
    for bits in ["2048", "4096"] {
        let pkcs8 = openssl_key(&file, &format!("rsa_keygen_bits:{bits}"), "RSA");
        let (public, wrapped) = import(&token, &pkcs8).unwrap();
        assert!(wrapped.as_bytes().len() <= limits::WRAPPED_BYTES_MAX);
        assert!(signs(&token, &public, &wrapped));
        assert_eq!(
            sign(&token, &wrapped, b"m").unwrap(),
            openssl_signature(&file, b"m")
        );
        assert!(!contains(wrapped.as_bytes(), &pkcs8[pkcs8.len() - 64..]));
    }
    assert_eq!(token.key_report(soon()).wait().unwrap().len(), before);
    let attacker = place.attacker();
    assert!(session_objects(&attacker, "pintle-leaving").is_empty());
    // Two openings of the token, each with its own of the three; the imported two once.
    let open = session_objects(&attacker, "pintle-wrapped").len();
    assert!((5..=8).contains(&open), "{open}");

    let error = refusal(token.generate_wrapped_rsa(soon(), 1024).wait());
    assert!(matches!(error, Error::RsaBits), "{error:?}");
    let error = refusal(import(&token, &[0x30, 0]));
    assert!(matches!(error, Error::NotRsaPkcs8), "{error:?}");
}

pub fn a_wrapped_key_outlives_its_session_object(place: &Place) {
    let token = place.token();
    let (public, wrapped) = token.generate_wrapped_rsa(soon(), 2048).wait().unwrap();
    let attacker = place.attacker();
    for _ in 0..3 {
        // The object goes alone.
        for object in session_objects(&attacker, "pintle-wrapped") {
            attacker.session.destroy_object(object).unwrap();
        }
        assert!(signs(&token, &public, &wrapped));
        assert_eq!(session_objects(&attacker, "pintle-wrapped").len(), 1);
        // The login goes, and the objects with it.
        attacker.session.logout().unwrap();
        assert!(signs(&token, &public, &wrapped));
        assert_eq!(session_objects(&attacker, "pintle-wrapped").len(), 1);
    }
    token.probe(soon()).wait().unwrap();
}

pub fn a_blob_that_wrap_did_not_make_is_not_authentic(place: &Place) {
    let token = place.token();
    let (public, wrapped) = token.generate_wrapped_rsa(soon(), 2048).wait().unwrap();
    let whole = wrapped.as_bytes();
    let changed = |change: fn(&mut Vec<u8>)| {
        let mut bytes = whole.to_vec();
        change(&mut bytes);
        bytes
    };
    let blobs = [
        changed(|bytes| bytes[0] ^= 1),
        changed(|bytes| bytes[100] ^= 1),
        changed(|bytes| *bytes.last_mut().unwrap() ^= 0x80),
        changed(|bytes| bytes.truncate(bytes.len() - 8)),
        changed(|bytes| bytes.truncate(bytes.len() - 1)),
        changed(|bytes| bytes.extend([0; 8])),
        changed(|bytes| bytes.swap(8, 16)),
        vec![0; whole.len()],
        vec![0; 16],
        vec![],
    ];
    for blob in blobs {
        let error = refusal(sign(&token, &Wrapped::new(&blob), b"m"));
        assert!(matches!(error, Error::NotAuthentic), "{error:?}");
        assert!(signs(&token, &public, &wrapped));
    }
    let long = Wrapped::new(&vec![0; limits::WRAPPED_BYTES_MAX + 8]);
    let error = refusal(sign(&token, &long, b"m"));
    assert!(matches!(error, Error::TooLong), "{error:?}");

    let other = TokenConfig {
        module: match place.module() {
            pintle::hsm::Module::Embedded { .. } => pintle::hsm::Module::Embedded {
                dir: place.folder.join("other"),
            },
            library => library,
        },
        label: "another".to_owned(),
        ..place.config()
    };
    Token::initialize(&other, Some(&Secret::new(SO_PIN.to_owned()))).unwrap();
    let other = Token::open(&other).unwrap();
    let error = refusal(sign(&other, &wrapped, b"m"));
    assert!(matches!(error, Error::NotAuthentic), "{error:?}");
}

pub fn many_workers_share_the_open_keys(place: &Place) {
    place.initialize();
    let config = TokenConfig {
        asymmetric_workers: 3,
        ..place.config()
    };
    let token = Token::open(&config).unwrap();
    let keys: Vec<_> = (0..6)
        .map(|_| token.generate_wrapped_rsa(soon(), 2048).wait().unwrap())
        .collect();
    let again = Token::open(&config).unwrap();
    let attacker = place.attacker();
    for _ in 0..4 {
        // Gone behind our back, and asked for by all at once.
        for object in session_objects(&attacker, "pintle-wrapped") {
            attacker.session.destroy_object(object).unwrap();
        }
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let (token, again, keys) = (&token, &again, &keys);
                scope.spawn(move || {
                    for round in 0..6 {
                        let (public, wrapped) = &keys[(thread + round) % keys.len()];
                        let token = if round % 2 == 0 { token } else { again };
                        assert!(signs(token, public, wrapped));
                    }
                });
            }
        });
    }
    // One object a key and opening, whoever opened it.
    for (public, wrapped) in &keys {
        assert!(signs(&token, public, wrapped) && signs(&again, public, wrapped));
    }
    let open = session_objects(&attacker, "pintle-wrapped").len();
    assert_eq!(open, 2 * keys.len());
    drop(again);
    let left = session_objects(&attacker, "pintle-wrapped").len();
    assert_eq!(left, keys.len(), "an opening takes its own along");
}

pub fn only_so_many_keys_are_open_at_once(place: &Place) {
    let token = place.token();
    let pkcs8 = openssl_key(&place.folder.join("key.der"), "rsa_keygen_bits:2048", "RSA");
    let more = limits::WRAPPED_KEYS_OPEN_MAX + 128;
    let variants = variants(&pkcs8).take(more);
    let keys: Vec<_> = variants
        .map(|pkcs8| import(&token, &pkcs8).unwrap())
        .collect();
    assert_eq!(keys.len(), more);
    let attacker = place.attacker();
    let open = || session_objects(&attacker, "pintle-wrapped").len();
    assert_eq!(open(), limits::WRAPPED_KEYS_OPEN_MAX);
    // Those that had to go come back, and others go for them.
    for (public, wrapped) in keys.iter().take(3).chain(keys.last()) {
        assert!(signs(&token, public, wrapped));
    }
    assert_eq!(open(), limits::WRAPPED_KEYS_OPEN_MAX);
    let cost = |keys: &[(RsaPublic, Wrapped)]| {
        let start = Instant::now();
        for (_, wrapped) in keys {
            sign(&token, wrapped, b"m").unwrap();
        }
        start.elapsed() / u32::try_from(keys.len()).unwrap()
    };
    let resident = {
        token
            .import_rsa(soon(), [1; 16], Secret::new(pkcs8))
            .wait()
            .unwrap();
        let start = Instant::now();
        for _ in 0..100 {
            let sign = token.sign_rsa(soon(), [1; 16], RsaHash::Sha256, b"m".to_vec());
            sign.wait().unwrap();
        }
        start.elapsed() / 100
    };
    // A hundred of those that had to go; then the same again, hot.
    let (cold, hot) = (cost(&keys[10..110]), cost(&keys[10..110]));
    println!(
        "{:?}: resident {resident:?}, wrapped hot {hot:?}, wrapped cold {cold:?}, {} open",
        place.kind,
        open()
    );
}

fn sign(token: &Token, wrapped: &Wrapped, message: &[u8]) -> Result<Vec<u8>, Error> {
    let hash = RsaHash::Sha256;
    let job = token.sign_wrapped_rsa(soon(), wrapped.clone(), hash, message.to_vec());
    job.wait()
}

fn signs(token: &Token, public: &RsaPublic, wrapped: &Wrapped) -> bool {
    let signature = sign(token, wrapped, b"message").unwrap();
    let key = RsaPublicKeyComponents {
        n: &public.n,
        e: &public.e,
    };
    key.verify(&RSA_PKCS1_2048_8192_SHA256, b"message", &signature)
        .is_ok()
}

fn import(token: &Token, pkcs8: &[u8]) -> Result<(RsaPublic, Wrapped), Error> {
    let pkcs8 = Secret::new(pkcs8.to_vec());
    token.import_wrapped_rsa(soon(), pkcs8).wait()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn session_objects(attacker: &Attacker, label: &str) -> Vec<ObjectHandle> {
    let template = [
        Attribute::Token(false),
        Attribute::Label(label.as_bytes().to_vec()),
    ];
    attacker.session.find_objects(&template).unwrap()
}
