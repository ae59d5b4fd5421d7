//! SM2 keys that stay in a token: refused where its profile or its list of mechanisms has no SM2.

use pintle::hsm::{Error, ProfileChoice, Token, TokenConfig};

use crate::place::{Place, refusal, soon};

const ID: [u8; 16] = *b"an SM2 key of 16";
const LABEL: &str = "pintle-sm2";

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

/// How many objects there are of such keys.
fn kept(token: &Token) -> usize {
    let all = token.key_report(soon()).wait().unwrap();
    all.iter().filter(|key| key.label == LABEL).count()
}
