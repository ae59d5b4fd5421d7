//! What another user of the same module can do behind our back, and what cures itself.

use cryptoki::types::AuthPin;
use pintle::hsm::{Error, RsaHash, login_attempts};
use pintle::secret::Secret;

use crate::place::{PIN, Place, refusal, soon};

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
        assert!(matches!(error, Error::PinIncorrect), "{error:?}");
    }
    assert_eq!(login_attempts(), before + 1);
}
