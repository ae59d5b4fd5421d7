//! What another user of the same module can do behind our back, and what cures itself.

use std::time::{Duration, Instant};

use cryptoki::types::AuthPin;
use pintle::hsm::{Error, RsaHash, Standing, Token, login_attempts};
use pintle::secret::Secret;

use crate::place::{Kind, PIN, Place, refusal, soon};

pub fn a_logout_behind_our_back_is_cured(place: &Place) {
    let token = place.token();
    let clear = || Secret::new(b"clear".to_vec());
    let sealed = token.seal(soon(), Vec::new(), clear()).wait().unwrap();
    token.generate_rsa(soon(), [1; 16], 2048).wait().unwrap();
    let sign = || token.sign_rsa(soon(), [1; 16], RsaHash::Sha256, b"m".to_vec());
    let before = sign().wait().unwrap();
    let attacker = place.attacker();
    for _ in 0..3 {
        attacker.session.logout().unwrap();
        let opened = token.unseal(soon(), Vec::new(), sealed.clone()).wait();
        assert!(opened.unwrap().expose_secret() == b"clear");
        attacker.session.logout().unwrap();
        assert_eq!(sign().wait().unwrap(), before);
        attacker.session.logout().unwrap();
        token.seal(soon(), Vec::new(), clear()).wait().unwrap();
        token.probe(soon()).wait().unwrap();
    }
}

pub fn a_pin_changed_behind_our_back_is_tried_once(place: &Place) {
    let token = place.token();
    let attacker = place.attacker();
    let other = AuthPin::from("9999-other");
    attacker
        .session
        .set_pin(&AuthPin::from(PIN), &other)
        .unwrap();
    attacker.session.logout().unwrap();
    let before = login_attempts();
    for _ in 0..3 {
        let error = refusal(token.probe(soon()).wait());
        assert!(refuses_pin(&token, &error), "{error:?}");
    }
    assert_eq!(login_attempts(), before + 1);
}

/// The token says that its PIN was refused, and stands that way.
pub fn refuses_pin(token: &Token, error: &Error) -> bool {
    let of_pin = |error: &Error| matches!(error, Error::PinIncorrect);
    let said = matches!(error, Error::Unavailable(why) if of_pin(why.error()));
    said && matches!(token.standing(), Standing::Refusing(why) if of_pin(why.error()))
}

pub fn a_token_that_was_away_serves_again(place: &Place) {
    let token = place.token();
    let clear = || Secret::new(b"clear".to_vec());
    let sealed = token.seal(soon(), Vec::new(), clear()).wait().unwrap();
    token.generate_rsa(soon(), [1; 16], 2048).wait().unwrap();
    let (_, wrapped) = token.generate_wrapped_rsa(soon(), 2048).wait().unwrap();
    let message = || b"m".to_vec();
    let sign = || token.sign_rsa(soon(), [1; 16], RsaHash::Sha256, message());
    let sign_wrapped =
        || token.sign_wrapped_rsa(soon(), wrapped.clone(), RsaHash::Sha256, message());
    let before = (sign().wait().unwrap(), sign_wrapped().wait().unwrap());
    let epoch = token.epoch();
    for _ in 0..3 {
        let logins = login_attempts();
        place.hide();
        let gone = Instant::now();
        while matches!(token.standing(), Standing::Serving) {
            let _ = token.probe(soon()).wait();
            assert!(gone.elapsed() < Duration::from_secs(2));
        }
        for _ in 0..20 {
            let asked = Instant::now();
            let error = refusal(token.unseal(soon(), Vec::new(), sealed.clone()).wait());
            assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
            assert!(
                asked.elapsed() < Duration::from_millis(500),
                "refused at once"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
        place.show();
        let back = Instant::now();
        while !matches!(token.standing(), Standing::Serving) {
            assert!(
                back.elapsed() < Duration::from_secs(30),
                "{:?}",
                token.standing()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        println!("serving {:?} after it was back", back.elapsed());
        let opened = token.unseal(soon(), Vec::new(), sealed.clone()).wait();
        assert!(opened.unwrap().expose_secret() == b"clear");
        let after = (sign().wait().unwrap(), sign_wrapped().wait().unwrap());
        assert!(before == after);
        // It was never tried on what was not there.
        assert!(login_attempts() <= logins + 2);
    }
    assert!(token.epoch().initialization >= epoch.initialization + 3);
    assert_eq!(token.workers_lost(), 0);
}

pub fn a_token_made_anew_is_refused_and_nothing_is_made_on_it(place: &Place) {
    let token = place.token();
    let sealed = token
        .seal(soon(), Vec::new(), Secret::new(vec![1]))
        .wait()
        .unwrap();
    let logins = login_attempts();
    place.make_anew();
    let start = Instant::now();
    let refusing = loop {
        let _ = token.probe(soon()).wait();
        match token.standing() {
            Standing::Refusing(why) => break why,
            other => assert!(start.elapsed() < Duration::from_secs(30), "{other:?}"),
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    println!("refuses: {refusing}");
    for _ in 0..10 {
        let error = refusal(token.unseal(soon(), Vec::new(), sealed.clone()).wait());
        assert!(matches!(error, Error::Unavailable(_)), "{error:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(matches!(token.standing(), Standing::Refusing(_)));
    // Looked at again and again, and nothing was made.
    assert!(
        login_attempts() <= logins + 4,
        "{}",
        login_attempts() - logins
    );
    let seals = place.attacker().find("pintle-seal").len();
    assert_eq!(seals, usize::from(place.kind == Kind::Embedded));
}
