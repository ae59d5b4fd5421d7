//! RSA transport keys: what a partner wraps by OAEP with SHA-256 opens, and nothing else does.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey,
    PublicEncryptingKey, PublicKeyComponents,
};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType};
use pintle::hsm::{Allowed, Error, RsaHash, RsaPublic, Token};

use crate::place::{Kind, Place, refusal, soon};

const ID: [u8; 16] = *b"a transport key.";

pub fn what_a_partner_wraps_opens(place: &Place) {
    let token = place.token();
    let before = token.key_report(soon()).wait().unwrap().len();
    if place.kind == Kind::SoftHsm {
        // It lists OAEP, and has SHA-1 only: no key is made, and none stays.
        let error = refusal(token.generate_transport_rsa(soon(), ID, 2048).wait());
        assert!(
            matches!(error, Error::NotOffered(Allowed::RsaOaep)),
            "{error:?}"
        );
        assert!(!token.has_transport_rsa(soon(), ID).wait().unwrap());
        assert_eq!(token.key_report(soon()).wait().unwrap().len(), before);
        return;
    }
    for (number, bits) in [(1, 2048), (2, 3072), (3, 4096)] {
        let id = [number; 16];
        let public = token
            .generate_transport_rsa(soon(), id, bits)
            .wait()
            .unwrap();
        assert_eq!(public.n.len() * 8, usize::try_from(bits).unwrap());
        for value in [&b""[..], b"a", &[7; 32], &[9; 190]] {
            let wrapped = wrap(&OAEP_SHA256_MGF1SHA256, &public, value, None);
            let opened = token.open_oaep(soon(), id, wrapped).wait().unwrap();
            assert!(opened.expose_secret().as_slice() == value);
        }
        let error = refusal(token.generate_transport_rsa(soon(), id, bits).wait());
        assert!(matches!(error, Error::KeyExists), "{error:?}");
    }
    let public = token
        .generate_transport_rsa(soon(), ID, 2048)
        .wait()
        .unwrap();
    let wrapped = wrap(&OAEP_SHA256_MGF1SHA256, &public, b"key", None);
    let again = Token::open(&place.config()).unwrap();
    again.open_oaep(soon(), ID, wrapped.clone()).wait().unwrap();
    token.destroy_transport_rsa(soon(), ID).wait().unwrap();
    assert!(!again.has_transport_rsa(soon(), ID).wait().unwrap());
    let error = refusal(token.open_oaep(soon(), ID, wrapped).wait());
    assert!(matches!(error, Error::NoSuchKey), "{error:?}");
}

pub fn what_does_not_open_gets_one_answer(place: &Place) {
    let token = place.token();
    if place.kind == Kind::SoftHsm {
        let error = refusal(token.open_oaep(soon(), ID, vec![1; 256]).wait());
        assert!(matches!(error, Error::NoSuchKey), "{error:?}");
        return;
    }
    let public = token
        .generate_transport_rsa(soon(), ID, 2048)
        .wait()
        .unwrap();
    let good = wrap(&OAEP_SHA256_MGF1SHA256, &public, &[7; 32], None);
    // The same number with its leading zero left out.
    let short = loop {
        let wrapped = wrap(&OAEP_SHA256_MGF1SHA256, &public, &[7; 32], None);
        if let [0, rest @ ..] = wrapped.as_slice() {
            break rest.to_vec();
        }
    };
    let mut blobs: Vec<Vec<u8>> = vec![
        short,
        wrap(&OAEP_SHA1_MGF1SHA1, &public, &[7; 32], None),
        wrap(&OAEP_SHA256_MGF1SHA256, &public, &[7; 32], Some(b"label")),
        vec![],
        vec![0; 256],
        vec![1; 256],
        vec![0xff; 256],
        vec![1; 512],
        public.n.clone(),
        good[1..].to_vec(),
        [good.as_slice(), &[0]].concat(),
    ];
    for index in [0, 1, 100, 255] {
        let mut changed = good.clone();
        changed[index] ^= 1;
        blobs.push(changed);
    }
    for blob in blobs {
        let shown = hex::encode(&blob);
        let error = match token.open_oaep(soon(), ID, blob).wait() {
            Ok(clear) => panic!("{shown} opened to {} bytes", clear.expose_secret().len()),
            Err(error) => error,
        };
        assert!(matches!(error, Error::NotOpened), "{error:?}");
        token.open_oaep(soon(), ID, good.clone()).wait().unwrap();
    }
    let error = refusal(token.open_oaep(soon(), ID, vec![1; 513]).wait());
    assert!(matches!(error, Error::TooLong), "{error:?}");
}

pub fn a_transport_key_does_one_thing(place: &Place) {
    let token = place.token();
    if place.kind == Kind::SoftHsm {
        // No such key can be made there.
        assert!(
            token
                .generate_transport_rsa(soon(), ID, 2048)
                .wait()
                .is_err()
        );
        return;
    }
    token
        .generate_transport_rsa(soon(), ID, 2048)
        .wait()
        .unwrap();
    // One id may name a signing key and a transport key: neither is taken for the other.
    let sign = || token.sign_rsa(soon(), ID, RsaHash::Sha256, b"m".to_vec());
    assert!(matches!(refusal(sign().wait()), Error::NoSuchKey));
    token.generate_rsa(soon(), ID, 2048).wait().unwrap();
    sign().wait().unwrap();
    token.destroy_rsa(soon(), ID).wait().unwrap();
    assert!(token.has_transport_rsa(soon(), ID).wait().unwrap());

    let attacker = place.attacker();
    let key = attacker.find("pintle-transport")[0];
    let session = &attacker.session;
    for mechanism in [
        Mechanism::Sha256RsaPkcs,
        Mechanism::RsaPkcs,
        Mechanism::RsaX509,
    ] {
        assert!(session.sign(&mechanism, key, &[1; 32]).is_err());
        assert!(session.decrypt(&mechanism, key, &[1; 256]).is_err());
    }
    for change in [
        Attribute::Sign(true),
        Attribute::Extractable(true),
        Attribute::Unwrap(true),
    ] {
        assert!(
            session
                .update_attributes(key, std::slice::from_ref(&change))
                .is_err()
        );
        assert!(session.copy_object(key, &[change]).is_err());
    }
    let read = session.get_attributes(key, &[AttributeType::PrivateExponent]);
    assert!(read.as_ref().map_or(true, Vec::is_empty));
}

fn wrap(
    algorithm: &'static OaepAlgorithm,
    public: &RsaPublic,
    value: &[u8],
    label: Option<&[u8]>,
) -> Vec<u8> {
    let components = PublicKeyComponents {
        n: &public.n,
        e: &public.e,
    };
    let key: PublicEncryptingKey = components.try_into().unwrap();
    let key = OaepPublicEncryptingKey::new(key).unwrap();
    let mut wrapped = vec![0; key.ciphertext_size()];
    key.encrypt(algorithm, value, &mut wrapped, label).unwrap();
    wrapped
}
