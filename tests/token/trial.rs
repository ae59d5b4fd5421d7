//! Mechanisms are tried, not believed.

use pintle::hsm::{Allowed, ProfileChoice, Token, TokenConfig, Trial};

use crate::place::{Kind, Place, soon};

pub fn every_listed_mechanism_was_tried_and_works(place: &Place) {
    place.initialize();
    let start = std::time::Instant::now();
    let token = Token::open(&place.config()).unwrap();
    println!(
        "{:?}: opened, with its trials, in {:?}",
        place.kind,
        start.elapsed()
    );
    let rsa = [
        Allowed::RsaKeyPairGen,
        Allowed::Sha1RsaPkcs,
        Allowed::Sha256RsaPkcs,
        Allowed::RsaOaep,
    ];
    for row in token.mechanisms() {
        let tried = row.present && !rsa.contains(&row.mechanism);
        let works = matches!(row.works, Some(Trial::Works));
        assert_eq!((works, row.works.is_some()), (tried, tried), "{row:?}");
    }
    let start = std::time::Instant::now();
    let (all, sm) = token.try_mechanisms(soon()).wait().unwrap();
    println!(
        "{:?}: everything tried in {:?}",
        place.kind,
        start.elapsed()
    );
    for row in &all {
        let Some(outcome) = row.works else {
            assert!(!row.present, "{row:?}");
            continue;
        };
        // SoftHSM lists OAEP, and has it with SHA-1 only.
        let other_hash = place.kind == Kind::SoftHsm && row.mechanism == Allowed::RsaOaep;
        let expected = if other_hash {
            "works with SHA-1 only"
        } else {
            "works"
        };
        assert_eq!(outcome.to_string(), expected, "{}", row.mechanism.name());
    }
    assert!(sm.is_empty());
    // Nothing of it stays.
    assert_eq!(token.key_report(soon()).wait().unwrap().len(), 6);
    let (make, workers) = token.make();
    let (name, workers_wanted) = match place.kind {
        Kind::SoftHsm => ("softhsm", Some(1)),
        Kind::Embedded => ("kryoptic", None),
    };
    assert_eq!((make.unwrap().0, workers), (name, workers_wanted));
}

/// A profile gives SHA-256's number for SM3 and one that the token has not for SM4: the first does
/// something else, the second is not there. The token is a token all the same.
pub fn a_profile_that_is_wrong_of_the_token_is_found_out(place: &Place) {
    place.initialize();
    let path = place.folder.join("wrong.toml");
    let text = "name = \"wrong\"\nsource = \"none\"\nmanufacturer = []\n\
                [sm]\nsm3 = 0x250\nsm4_ecb = 0x8000_0108\nsm2_key_gen = 0x1055\n";
    std::fs::write(&path, text).unwrap();
    let config = TokenConfig {
        profile: Some(ProfileChoice::File(path)),
        ..place.config()
    };
    let token = Token::open(&config).unwrap();
    let (_, sm) = token.try_mechanisms(soon()).wait().unwrap();
    let said: Vec<_> = sm
        .iter()
        .map(|row| {
            let outcome = row.works.map(|outcome| outcome.to_string());
            (row.mechanism.name(), row.present, outcome)
        })
        .collect();
    println!("{:?}: {said:?}", place.kind);
    let differs = Some("answers something else".to_owned());
    assert!(said.contains(&("sm4_ecb", false, None)), "{said:?}");
    assert!(said.contains(&("sm3", true, differs)), "{said:?}");
    // EC Edwards keys are not SM2 keys, or the token refuses the curve.
    let edwards = said.iter().find(|row| row.0 == "sm2_key_gen").unwrap();
    assert_ne!(edwards.2.as_deref(), Some("works"));
    token.probe(soon()).wait().unwrap();
    drop(token);

    let unknown = TokenConfig {
        profile: Some(ProfileChoice::of("nobody's")),
        ..place.config()
    };
    let error = crate::place::refusal(Token::open(&unknown)).to_string();
    assert!(
        error.contains("softhsm") && error.contains("nobody's"),
        "{error}"
    );
}
