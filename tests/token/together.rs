//! Several tokens in one process, all at work at the same time: two slots of one module beside a
//! token of another module. What one loses the others do not notice.

use cryptoki::session::UserType;
use cryptoki::types::AuthPin;
use pintle::hsm::{Error, Module, RsaHash, Sealed, Token, TokenConfig, Wrapped};
use pintle::secret::Secret;

use crate::place::{Kind, PIN, Place, SO_PIN, refusal, softhsm, soon};
use crate::recovery::refuses_pin;

pub fn several_tokens_work_at_the_same_time(place: &Place) {
    let tokens = open_three(place);
    let ids: Vec<_> = tokens.iter().map(Token::id).collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    std::thread::scope(|scope| {
        for (number, token) in (1u8..).zip(&tokens) {
            scope.spawn(move || work(token, number));
        }
    });
    // No token opens what is another's, whatever the seal says.
    let records: Vec<_> = tokens.iter().map(|token| seal(token, 1)).collect();
    let keys: Vec<_> = tokens.iter().map(wrapped).collect();
    for (i, token) in tokens.iter().enumerate() {
        for (j, record) in records.iter().enumerate() {
            let opened = token.unseal(soon(), Vec::new(), record.clone()).wait();
            let signed = sign(token, &keys[j]);
            if i == j {
                assert_eq!(opened.unwrap().expose_secret(), &[1; 32]);
                signed.unwrap();
                continue;
            }
            assert!(matches!(refusal(opened), Error::SealKeyUnknown));
            assert!(matches!(refusal(signed), Error::NotAuthentic));
        }
        let mac = |token: &Token| token.root_mac(soon(), vec![1]).wait().unwrap();
        assert_ne!(mac(token), mac(&tokens[(i + 1) % tokens.len()]));
    }
}

pub fn one_token_that_loses_its_login_disturbs_no_other(place: &Place) {
    let tokens = open_three(place);
    let attacker = place.attacker();
    let keys: Vec<_> = tokens.iter().map(wrapped).collect();
    for _ in 0..3 {
        attacker.session.logout().unwrap();
        for (number, (token, key)) in (1u8..).zip(tokens.iter().zip(&keys)) {
            work(token, number);
            sign(token, key).unwrap();
        }
    }
    // A PIN that no longer holds stops this token, and this token only.
    let other = AuthPin::from("9999-other");
    let pin = AuthPin::from(PIN);
    attacker.session.set_pin(&pin, &other).unwrap();
    attacker.session.logout().unwrap();
    let error = refusal(tokens[0].probe(soon()).wait());
    assert!(refuses_pin(&tokens[0], &error), "{error:?}");
    for (number, token) in (2u8..).zip(&tokens[1..]) {
        work(token, number);
    }
    attacker
        .session
        .login(UserType::User, Some(&other))
        .unwrap();
}

fn work(token: &Token, number: u8) {
    let key = wrapped(token);
    for _ in 0..20 {
        let record = seal(token, number);
        let opened = token.unseal(soon(), Vec::new(), record).wait().unwrap();
        assert_eq!(opened.expose_secret(), &[number; 32]);
        sign(token, &key).unwrap();
        token.root_mac(soon(), vec![number]).wait().unwrap();
    }
    token.probe(soon()).wait().unwrap();
}

fn seal(token: &Token, value: u8) -> Sealed {
    let clear = Secret::new(vec![value; 32]);
    token.seal(soon(), Vec::new(), clear).wait().unwrap()
}

fn wrapped(token: &Token) -> Wrapped {
    token.generate_wrapped_rsa(soon(), 2048).wait().unwrap().1
}

fn sign(token: &Token, key: &Wrapped) -> Result<Vec<u8>, Error> {
    let message = b"message".to_vec();
    let job = token.sign_wrapped_rsa(soon(), key.clone(), RsaHash::Sha256, message);
    job.wait()
}

/// The place's own token, another of the same module, and one of the other module.
fn open_three(place: &Place) -> [Token; 3] {
    let open = |module: Module, label: &str| {
        let config = TokenConfig {
            module,
            label: label.to_owned(),
            ..place.config()
        };
        let so_pin = Secret::new(SO_PIN.to_owned());
        Token::initialize(&config, Some(&so_pin)).unwrap();
        Token::open(&config).unwrap()
    };
    let embedded = |name| Module::Embedded {
        dir: place.folder.join(name),
    };
    let (second, third) = match place.kind {
        Kind::Embedded => (embedded("second"), softhsm()),
        Kind::SoftHsm => (softhsm(), embedded("third")),
    };
    [place.token(), open(second, "second"), open(third, "third")]
}
