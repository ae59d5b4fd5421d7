//! RSA keys that both sign and open sensitive fields: by two mechanisms, and by no other.

use aws_lc_rs::rsa::{
    OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPublicEncryptingKey,
    PublicEncryptingKey, PublicKeyComponents,
};
use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents as VerifyingComponents,
};
use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::object::{Attribute, AttributeType};
use pintle::hsm::{Error, RsaHash, RsaPublic, Token};
use pintle::secret::Secret;

use crate::place::{Place, refusal, soon};
use crate::rsa::openssl_key;

const ID: [u8; 16] = *b"the fields' key.";

pub fn a_field_key_signs_and_opens(place: &Place) {
    let token = place.token();
    for (number, bits) in [(1, 2048), (2, 3072)] {
        let id = [number; 16];
        let public = token.generate_field_rsa(soon(), id, bits).wait().unwrap();
        assert_eq!(public.n.len() * 8, usize::try_from(bits).unwrap());
        signs_and_opens(&token, id, &public);
        let error = refusal(token.generate_field_rsa(soon(), id, bits).wait());
        assert!(matches!(error, Error::KeyExists), "{error:?}");
    }
    let folder = tempfile::tempdir().unwrap();
    let pkcs8 = openssl_key(&folder.path().join("k"), "rsa_keygen_bits:2048", "RSA");
    let import = token.import_field_rsa(soon(), ID, Secret::new(pkcs8));
    let public = import.wait().unwrap();
    signs_and_opens(&token, ID, &public);
    // It is found again by another login, and is destroyed as any signing key.
    let again = Token::open(&place.config()).unwrap();
    signs_and_opens(&again, ID, &public);
    token.destroy_rsa(soon(), ID).wait().unwrap();
    let sealed = wrap(&OAEP_SHA1_MGF1SHA1, &public, b"1", None);
    let error = refusal(again.open_fields(soon(), ID, vec![sealed]).wait());
    assert!(matches!(error, Error::NoSuchKey), "{error:?}");
}

fn signs_and_opens(token: &Token, id: [u8; 16], public: &RsaPublic) {
    let message = b"message".to_vec();
    let signature = token.sign_rsa(soon(), id, RsaHash::Sha256, message);
    let key = VerifyingComponents {
        n: &public.n,
        e: &public.e,
    };
    let signature = signature.wait().unwrap();
    key.verify(&RSA_PKCS1_2048_8192_SHA256, b"message", &signature)
        .unwrap();
    let longest = vec![7; public.n.len() - 42];
    let fields: [&[u8]; 3] = [b"", b"6222021234567890123", &longest];
    let sealed = fields.map(|field| wrap(&OAEP_SHA1_MGF1SHA1, public, field, None));
    let opened = token.open_fields(soon(), id, sealed.to_vec()).wait();
    let opened = opened.unwrap();
    assert_eq!(opened.len(), fields.len());
    for (opened, field) in opened.iter().zip(fields) {
        assert!(opened.expose_secret().as_slice() == field);
    }
}

pub fn fields_that_do_not_open_get_one_answer(place: &Place) {
    let token = place.token();
    let public = token.generate_field_rsa(soon(), ID, 2048).wait().unwrap();
    let good = wrap(&OAEP_SHA1_MGF1SHA1, &public, b"field", None);
    let mut bad: Vec<Vec<u8>> = vec![
        wrap(&OAEP_SHA256_MGF1SHA256, &public, b"field", None),
        wrap(&OAEP_SHA1_MGF1SHA1, &public, b"field", Some(b"label")),
        vec![],
        vec![0; 256],
        vec![1; 256],
        vec![0xff; 256],
        vec![1; 513],
        public.n.clone(),
        good[1..].to_vec(),
        [good.as_slice(), &[0]].concat(),
    ];
    for index in [0, 1, 100, 255] {
        let mut changed = good.clone();
        changed[index] ^= 1;
        bad.push(changed);
    }
    for bad in bad {
        let shown = hex::encode(&bad);
        for fields in [vec![bad.clone()], vec![good.clone(), bad]] {
            let error = refusal(token.open_fields(soon(), ID, fields).wait());
            assert!(matches!(error, Error::NotOpened), "{shown}: {error:?}");
        }
        let opened = token.open_fields(soon(), ID, vec![good.clone()]).wait();
        opened.unwrap();
    }
}

/// Raw RSA above all: it would make of each signature a decryption. And no key that only signs opens.
pub fn a_field_key_does_two_things_and_a_signing_key_one(place: &Place) {
    let token = place.token();
    let public = token.generate_field_rsa(soon(), ID, 2048).wait().unwrap();
    let sealed = wrap(&OAEP_SHA1_MGF1SHA1, &public, b"field", None);
    let attacker = place.attacker();
    let key = attacker.find("pintle-rsa")[0];
    let session = &attacker.session;
    // The control: the token has the key, and this is what it is for.
    let oaep = Mechanism::RsaPkcsOaep(PkcsOaepParams::new(
        cryptoki::mechanism::MechanismType::SHA1,
        PkcsMgfType::MGF1_SHA1,
        PkcsOaepSource::empty(),
    ));
    assert_eq!(session.decrypt(&oaep, key, &sealed).unwrap(), b"field");
    session.sign(&Mechanism::Sha256RsaPkcs, key, b"m").unwrap();
    for mechanism in [Mechanism::RsaPkcs, Mechanism::RsaX509] {
        assert!(session.decrypt(&mechanism, key, &sealed).is_err());
        assert!(session.sign(&mechanism, key, &sealed[..32]).is_err());
        assert!(session.sign(&mechanism, key, &sealed).is_err());
    }
    assert!(session.sign(&Mechanism::Sha1RsaPkcs, key, b"m").is_err());
    let error = refusal(token.sign_rsa(soon(), ID, RsaHash::Sha1, vec![1]).wait());
    assert!(matches!(error, Error::Call(_)), "{error:?}");
    for change in [
        Attribute::Extractable(true),
        Attribute::Unwrap(true),
        Attribute::AllowedMechanisms(vec![cryptoki::mechanism::MechanismType::RSA_X_509]),
    ] {
        let one = std::slice::from_ref(&change);
        assert!(session.update_attributes(key, one).is_err());
        assert!(session.copy_object(key, &[change]).is_err());
    }
    let read = session.get_attributes(key, &[AttributeType::PrivateExponent]);
    assert!(read.as_ref().map_or(true, Vec::is_empty));

    let public = token.generate_rsa(soon(), [1; 16], 2048).wait().unwrap();
    let sealed = wrap(&OAEP_SHA1_MGF1SHA1, &public, b"field", None);
    assert!(
        token
            .open_fields(soon(), [1; 16], vec![sealed])
            .wait()
            .is_err()
    );
    token.probe(soon()).wait().unwrap();
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
