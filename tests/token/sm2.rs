//! SM2 keys that stay in a token: kept where its profile and its list of mechanisms have SM2, and where they
//! sign for their public half.

use pintle::domain::sm2::{ID_DEFAULT, PublicKey, Signature, digest, verify};
use pintle::hsm::{Error, ProfileChoice, Token, TokenConfig, Trial};

use crate::place::{Place, refusal, soon};

const ID: [u8; 16] = *b"an SM2 key of 16";
const LABEL: &str = "pintle-sm2";

pub fn a_kept_sm2_key_signs(place: &Place) {
    place.initialize();
    let config = place.config_with_sm2();
    let token = Token::open(&config).unwrap();
    let other = token.generate_sm2(soon(), [1; 16]).wait().unwrap();
    let public = token.generate_sm2(soon(), ID).wait().unwrap();
    assert_ne!(public, other);
    let error = refusal(token.generate_sm2(soon(), ID).wait());
    assert!(matches!(error, Error::KeyExists), "{error:?}");
    signs(&token, [1; 16], &other);
    signs(&token, ID, &public);
    assert_eq!(kept(&token), 2);
    assert_eq!(Token::unsafe_keys(&config).unwrap(), []);
    // Doctor tries the same numbers, and leaves nothing.
    let (_, tried) = token.try_mechanisms(soon()).wait().unwrap();
    let works = tried
        .iter()
        .filter(|row| matches!(row.works, Some(Trial::Works)));
    assert_eq!((works.count(), tried.len()), (2, 2), "{tried:?}");
    assert_eq!(kept(&token), 2);
    // It is found again by another login, which may destroy it.
    let again = Token::open(&config).unwrap();
    signs(&again, ID, &public);
    assert!(again.has_sm2(soon(), ID).wait().unwrap());
    again.destroy_sm2(soon(), ID).wait().unwrap();
    assert!(!token.has_sm2(soon(), ID).wait().unwrap());
    for gone in [
        refusal(token.sign_sm2(soon(), ID, [7; 32]).wait()),
        refusal(token.destroy_sm2(soon(), ID).wait()),
    ] {
        assert!(matches!(gone, Error::NoSuchKey), "{gone:?}");
    }
    signs(&token, [1; 16], &other);
    assert_eq!(kept(&token), 1);
}

/// Under a profile that no longer says SM2 nothing is signed, and what is there can be destroyed.
pub fn a_kept_sm2_key_outlives_its_profile_only_to_be_destroyed(place: &Place) {
    place.initialize();
    let token = Token::open(&place.config_with_sm2()).unwrap();
    token.generate_sm2(soon(), ID).wait().unwrap();
    drop(token);
    let token = Token::open(&place.config()).unwrap();
    let error = refusal(token.sign_sm2(soon(), ID, [7; 32]).wait());
    assert!(matches!(error, Error::NoSmNumber("sm2_sign")), "{error:?}");
    assert!(token.has_sm2(soon(), ID).wait().unwrap());
    token.destroy_sm2(soon(), ID).wait().unwrap();
    assert_eq!(kept(&token), 0);
}

pub fn an_sm2_key_that_does_not_sign_is_not_kept(place: &Place) {
    place.initialize();
    let token = Token::open(&place.config_with_sm2()).unwrap();
    place.tell_shim("flip 1");
    let error = refusal(token.generate_sm2(soon(), ID).wait());
    assert!(matches!(error, Error::SignatureDiffers), "{error:?}");
    assert_eq!(kept(&token), 0);
    for call in [
        "C_GenerateKeyPair",
        "C_DestroyObject",
        "C_SignInit",
        "C_Sign",
    ] {
        place.tell_shim(&format!("fail {call} 5 1"));
        let error = refusal(token.generate_sm2(soon(), ID).wait());
        assert!(matches!(error, Error::Call(_)), "{call}: {error:?}");
        assert_eq!(kept(&token), 0, "{call}");
    }
    let public = token.generate_sm2(soon(), ID).wait().unwrap();
    signs(&token, ID, &public);
}

/// Whatever a profile lacks, or says in vain, is told by its word before the token is asked.
pub fn a_token_without_sm2_keeps_no_sm2_key(place: &Place) {
    place.initialize();
    let token = place.with_profile("");
    let error = refusal(token.generate_sm2(soon(), ID).wait()).to_string();
    assert!(error.contains("`ckk_sm2`"), "{error}");
    let numbers = [
        "ckk_sm2 = 0x8000_0004\n",
        "sm2_key_gen = 0x8000_8001\n",
        "sm2_sign = 0x8000_8105\n",
    ];
    for (given, word) in [
        (&numbers[1..], "ckk_sm2"),
        (&numbers[..1], "sm2_key_gen"),
        // The token lists none of them.
        (&numbers[..2], "sm2_key_gen"),
        (&numbers[..], "sm2_key_gen"),
    ] {
        let token = place.with_profile(&format!("[sm]\n{}", given.concat()));
        let error = refusal(token.generate_sm2(soon(), ID).wait());
        let lacks = matches!(error, Error::NoSmNumber(_) | Error::SmNotOffered(_));
        assert!(lacks && error.to_string().contains(word), "{error}");
        let error = refusal(token.sign_sm2(soon(), ID, [7; 32]).wait());
        assert!(error.to_string().contains("sm2_sign"), "{error}");
        token.probe(soon()).wait().unwrap();
        assert_eq!(kept(&token), 0);
    }
}

impl Place {
    /// The token, opened under a profile that says this besides its name.
    fn with_profile(&self, numbers: &str) -> Token {
        let path = self.folder.join("own.toml");
        let kwp = match self.kind {
            crate::Kind::SoftHsm => "kwp = 0x210A\n",
            crate::Kind::Embedded => "",
        };
        let head = "name = \"own\"\nsource = \"none\"\nmanufacturer = []\n";
        std::fs::write(&path, format!("{head}{kwp}{numbers}")).unwrap();
        let config = TokenConfig {
            profile: Some(ProfileChoice::File(path)),
            ..self.config()
        };
        Token::open(&config).unwrap()
    }
}

fn signs(token: &Token, id: [u8; 16], public: &PublicKey) {
    for message in [&b""[..], b"a message"] {
        let e = digest(public, ID_DEFAULT, message);
        let signed = token.sign_sm2(soon(), id, e).wait().unwrap();
        let signature = Signature::from_raw(&signed).unwrap();
        verify(public, ID_DEFAULT, message, &signature).unwrap();
    }
}

/// How many objects there are of such keys; each is what its template says.
fn kept(token: &Token) -> usize {
    let all = token.key_report(soon()).wait().unwrap();
    // A pair's other half does not stay: the master keys, and what is counted here.
    let ours: Vec<_> = all.iter().filter(|key| key.label == LABEL).collect();
    assert_eq!(all.len(), MASTERS + ours.len());
    for key in &ours {
        assert_eq!(key.class, "private key");
        for (name, wanted) in [
            ("CKA_SENSITIVE", true),
            ("CKA_EXTRACTABLE", false),
            ("CKA_SIGN", true),
            ("CKA_DECRYPT", false),
            ("CKA_MODIFIABLE", false),
            ("CKA_COPYABLE", false),
        ] {
            assert_eq!(key.attribute(name), Some(wanted), "{name}");
        }
    }
    ours.len()
}

/// Five, and the public half of `audit`.
const MASTERS: usize = 6;
