//! RSA signing keys: made or brought in, used, and never read.

use std::path::Path;
use std::process::Command;

use aws_lc_rs::signature::{
    RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY as WITH_SHA1, RSA_PKCS1_2048_8192_SHA256,
    RsaPublicKeyComponents,
};
use cryptoki::object::{Attribute, AttributeType, ObjectClass};
use pintle::hsm::{Error, RsaHash, RsaPublic, Token};
use pintle::secret::Secret;

use crate::place::{Place, refusal, soon};

const ID: [u8; 16] = *b"an rsa object id";
const MESSAGE: &[u8] = b"app_id=2021&biz_content={}&method=alipay.trade.precreate";

pub fn a_generated_key_signs(place: &Place) {
    let token = place.token();
    for (number, bits) in [(1, 2048), (2, 3072), (3, 4096)] {
        let id = [number; 16];
        let public = token.generate_rsa(soon(), id, bits).wait().unwrap();
        assert_eq!(public.n.len() * 8, usize::try_from(bits).unwrap());
        assert_eq!(public.e, [1, 0, 1]);
        signs(&token, id, &public);
        let error = refusal(token.generate_rsa(soon(), id, bits).wait());
        assert!(matches!(error, Error::KeyExists), "{error:?}");
    }
    let error = refusal(token.generate_rsa(soon(), ID, 1024).wait());
    assert!(matches!(error, Error::RsaBits), "{error:?}");
    let error = refusal(sign(&token, [9; 16], MESSAGE));
    assert!(matches!(error, Error::NoSuchKey), "{error:?}");
    // Another opening finds the same keys.
    let again = Token::open(&place.config()).unwrap();
    assert_eq!(
        sign(&again, [1; 16], b"m").unwrap(),
        sign(&token, [1; 16], b"m").unwrap()
    );
}

pub fn an_imported_key_signs(place: &Place) {
    let token = place.token();
    for (number, bits) in [(1, "2048"), (2, "4096")] {
        let id = [number; 16];
        let file = place.folder.join("key.der");
        let pkcs8 = openssl_key(&file, &format!("rsa_keygen_bits:{bits}"), "RSA");
        let public = import(&token, id, &pkcs8).unwrap();
        signs(&token, id, &public);
        // The signature is that of the very key that openssl made.
        let theirs = openssl_signature(&file, MESSAGE);
        assert_eq!(sign(&token, id, MESSAGE).unwrap(), theirs);
        let error = refusal(import(&token, id, &pkcs8));
        assert!(matches!(error, Error::KeyExists), "{error:?}");
    }
    // The key that carried it is gone.
    let report = token.key_report(soon()).wait().unwrap();
    assert!(report.iter().all(|row| row.label.starts_with("pintle-")));
    let attacker = place.attacker();
    let aes = [
        Attribute::Token(false),
        Attribute::Class(ObjectClass::SECRET_KEY),
    ];
    for left in attacker.session.find_objects(&aes).unwrap() {
        let label = attacker
            .session
            .get_attributes(left, &[AttributeType::Label])
            .unwrap();
        assert_eq!(label, [Attribute::Label(b"pintle-seal".to_vec())]);
    }
}

pub fn an_rsa_key_does_not_come_out(place: &Place) {
    let token = place.token();
    token.generate_rsa(soon(), [1; 16], 2048).wait().unwrap();
    let pkcs8 = openssl_key(&place.folder.join("key.der"), "rsa_keygen_bits:2048", "RSA");
    import(&token, [2; 16], &pkcs8).unwrap();

    let report = token.key_report(soon()).wait().unwrap();
    let keys: Vec<_> = report.iter().filter(|row| row.key_type == "RSA").collect();
    assert_eq!(keys.len(), 2);
    for row in keys {
        println!("{:?}: {row:?}", place.kind);
        assert_eq!(row.class, "private key");
        for (name, wanted) in [
            ("CKA_PRIVATE", true),
            ("CKA_SENSITIVE", true),
            ("CKA_EXTRACTABLE", false),
            ("CKA_MODIFIABLE", false),
            ("CKA_COPYABLE", false),
            ("CKA_SIGN", true),
            ("CKA_DECRYPT", false),
            ("CKA_UNWRAP", false),
        ] {
            assert_eq!(row.attribute(name), Some(wanted), "{name}");
        }
        // Where it was born; kryoptic says nothing of a key that was brought in.
        let born_here = row.attribute("CKA_NEVER_EXTRACTABLE") == Some(true);
        assert_eq!(born_here, row.id == [1; 16]);
    }

    let attacker = place.attacker();
    let private = attacker.find("pintle-rsa");
    assert_eq!(private.len(), 2);
    for key in private {
        for part in [
            AttributeType::PrivateExponent,
            AttributeType::Prime1,
            AttributeType::Prime2,
            AttributeType::Coefficient,
        ] {
            let read = attacker.session.get_attributes(key, &[part]);
            assert!(read.as_ref().map_or(true, Vec::is_empty), "{part:?}");
        }
        let copy = attacker
            .session
            .copy_object(key, &[Attribute::Token(false)]);
        assert!(copy.is_err());
        for change in [
            Attribute::Extractable(true),
            Attribute::Sensitive(false),
            Attribute::Decrypt(true),
        ] {
            assert!(attacker.session.update_attributes(key, &[change]).is_err());
        }
    }
}

pub fn what_is_not_an_rsa_key_is_refused(place: &Place) {
    let token = place.token();
    let file = place.folder.join("other.der");
    let p256 = openssl_key(&file, "ec_paramgen_curve:P-256", "EC");
    for bad in [p256, vec![], vec![0x30, 0x00], vec![0xff; 64]] {
        let error = refusal(import(&token, ID, &bad));
        assert!(matches!(error, Error::NotRsaPkcs8), "{error:?}");
    }
    let small = openssl_key(&file, "rsa_keygen_bits:1024", "RSA");
    let error = refusal(import(&token, ID, &small));
    assert!(matches!(error, Error::RsaBits), "{error:?}");
    assert!(!token.has_rsa(soon(), ID).wait().unwrap());
}

pub fn a_destroyed_key_is_gone(place: &Place) {
    let token = place.token();
    token.generate_rsa(soon(), ID, 2048).wait().unwrap();
    sign(&token, ID, MESSAGE).unwrap();
    assert!(token.has_rsa(soon(), ID).wait().unwrap());
    token.destroy_rsa(soon(), ID).wait().unwrap();
    assert!(!token.has_rsa(soon(), ID).wait().unwrap());
    for error in [
        refusal(sign(&token, ID, MESSAGE)),
        refusal(token.destroy_rsa(soon(), ID).wait()),
    ] {
        assert!(matches!(error, Error::NoSuchKey), "{error:?}");
    }
    // One that another process destroyed, its handle still cached here.
    token.generate_rsa(soon(), ID, 2048).wait().unwrap();
    let attacker = place.attacker();
    let key = attacker.find("pintle-rsa")[0];
    attacker.session.destroy_object(key).unwrap();
    let error = refusal(sign(&token, ID, MESSAGE));
    assert!(matches!(error, Error::NoSuchKey), "{error:?}");
    token.probe(soon()).wait().unwrap();
}

fn signs(token: &Token, id: [u8; 16], public: &RsaPublic) {
    let key = RsaPublicKeyComponents {
        n: &public.n,
        e: &public.e,
    };
    let long = vec![b'a'; 60_000];
    for message in [MESSAGE, b"", &long] {
        let signature = sign(token, id, message).unwrap();
        key.verify(&RSA_PKCS1_2048_8192_SHA256, message, &signature)
            .unwrap();
        assert!(
            key.verify(&RSA_PKCS1_2048_8192_SHA256, b"other", &signature)
                .is_err()
        );
        let weak = token
            .sign_rsa(soon(), id, RsaHash::Sha1, message.to_vec())
            .wait()
            .unwrap();
        key.verify(&WITH_SHA1, message, &weak).unwrap();
    }
}

fn sign(token: &Token, id: [u8; 16], message: &[u8]) -> Result<Vec<u8>, Error> {
    let message = message.to_vec();
    token.sign_rsa(soon(), id, RsaHash::Sha256, message).wait()
}

fn import(token: &Token, id: [u8; 16], pkcs8: &[u8]) -> Result<RsaPublic, Error> {
    let pkcs8 = Secret::new(pkcs8.to_vec());
    token.import_rsa(soon(), id, pkcs8).wait()
}

pub fn openssl_key(file: &Path, option: &str, algorithm: &str) -> Vec<u8> {
    let pem = file.with_extension("pem");
    let openssl = |arguments: &[&str], input: &Path| {
        let mut command = Command::new("openssl");
        command.args(arguments).arg("-out").arg(input);
        command
    };
    let mut make = openssl(&["genpkey", "-quiet", "-algorithm", algorithm], &pem);
    assert!(make.args(["-pkeyopt", option]).status().unwrap().success());
    let mut convert = openssl(&["pkcs8", "-topk8", "-nocrypt", "-outform", "DER"], file);
    assert!(convert.arg("-in").arg(&pem).status().unwrap().success());
    std::fs::read(file).unwrap()
}

pub fn openssl_signature(key: &Path, message: &[u8]) -> Vec<u8> {
    let text = key.with_extension("txt");
    std::fs::write(&text, message).unwrap();
    let output = Command::new("openssl")
        .args(["dgst", "-sha256", "-keyform", "DER", "-sign"])
        .arg(key)
        .arg(&text)
        .output()
        .unwrap();
    assert!(output.status.success());
    output.stdout
}
