//! Sealing and opening under the `seal` key.

use std::time::Instant;

use pintle::hsm::{Error, Module, Sealed, Token, TokenConfig};
use pintle::limits;
use pintle::secret::Secret;

use crate::place::{Place, SO_PIN, refusal, soon};

const AAD: &[u8] = b"the header";
const CLEAR: &[u8] = b"sixteen byte key and some more";

pub fn a_sealed_value_opens_again(place: &Place) {
    let token = place.token();
    for clear in [CLEAR, b"", &[7; limits::SEALED_BYTES_MAX]] {
        let sealed = seal(&token, AAD, clear);
        assert_eq!(sealed.bytes.len(), clear.len() + 16);
        let opened = token.unseal(soon(), AAD.to_vec(), sealed).wait().unwrap();
        assert!(opened.expose_secret().as_slice() == clear);
    }
    let (one, other) = (seal(&token, AAD, CLEAR), seal(&token, AAD, CLEAR));
    assert_ne!(one.iv, other.iv);

    let random = |len| token.random(soon(), len).wait().unwrap();
    assert_ne!(random(32), random(32));
    assert_eq!(
        random(limits::RANDOM_BYTES_MAX).len(),
        limits::RANDOM_BYTES_MAX
    );
    token.probe(soon()).wait().unwrap();
    println!("{:?}: {:?} {:?}", place.kind, token.info(), token.id());
    assert!(token.info().software);
    for row in token.mechanisms() {
        println!("{:?}: {} {}", place.kind, row.mechanism.name(), row.present);
    }
}

pub fn a_tampered_seal_is_not_authentic_and_the_worker_lives_on(place: &Place) {
    let token = place.token();
    let sealed = seal(&token, AAD, CLEAR);
    let flip = |change: fn(&mut Sealed)| {
        let mut changed = sealed.clone();
        change(&mut changed);
        changed
    };
    let tampered = [
        flip(|sealed| sealed.iv[0] ^= 1),
        flip(|sealed| sealed.bytes[0] ^= 1),
        flip(|sealed| *sealed.bytes.last_mut().unwrap() ^= 0x80),
        flip(|sealed| sealed.bytes.truncate(CLEAR.len() + 15)),
        flip(|sealed| sealed.bytes.push(0)),
        flip(|sealed| sealed.bytes.truncate(16)),
        flip(|sealed| sealed.bytes.truncate(15)),
        flip(|sealed| sealed.bytes.clear()),
    ];
    let still_works = || {
        let opened = token.unseal(soon(), AAD.to_vec(), sealed.clone()).wait();
        assert!(opened.unwrap().expose_secret().as_slice() == CLEAR);
    };
    for changed in tampered {
        let error = refusal(token.unseal(soon(), AAD.to_vec(), changed).wait());
        assert!(matches!(error, Error::NotAuthentic), "{error:?}");
        still_works();
    }
    for aad in [&b"the headeR"[..], b"the heade", b""] {
        let error = refusal(token.unseal(soon(), aad.to_vec(), sealed.clone()).wait());
        assert!(matches!(error, Error::NotAuthentic), "{error:?}");
        still_works();
    }
}

pub fn another_token_opens_nothing(place: &Place) {
    let token = place.token();
    let sealed = seal(&token, AAD, CLEAR);
    let other = TokenConfig {
        module: match place.module() {
            Module::Embedded { .. } => Module::Embedded {
                dir: place.folder.join("other"),
            },
            library => library,
        },
        label: "another".to_owned(),
        ..place.config()
    };
    let so_pin = Secret::new(SO_PIN.to_owned());
    let report = Token::initialize(&other, Some(&so_pin)).unwrap();
    assert!(report.token_made);
    let other = Token::open(&other).unwrap();
    assert_ne!(token.id(), other.id());
    assert_ne!(token.seal_key_id(), other.seal_key_id());
    assert_eq!(report.seal_key_id, other.seal_key_id());
    let error = refusal(other.unseal(soon(), AAD.to_vec(), sealed.clone()).wait());
    assert!(matches!(error, Error::SealKeyUnknown), "{error:?}");
    let renamed = Sealed {
        seal_key_id: other.seal_key_id(),
        ..sealed.clone()
    };
    let error = refusal(other.unseal(soon(), AAD.to_vec(), renamed).wait());
    assert!(matches!(error, Error::NotAuthentic), "{error:?}");
    token.unseal(soon(), AAD.to_vec(), sealed).wait().unwrap();
}

pub fn sizes_are_refused_before_the_token_is_asked(place: &Place) {
    let token = place.token();
    let long = Secret::new(vec![0; limits::SEALED_BYTES_MAX + 1]);
    let error = refusal(token.seal(soon(), Vec::new(), long).wait());
    assert!(matches!(error, Error::TooLong), "{error:?}");
    let long = Sealed {
        seal_key_id: token.seal_key_id(),
        iv: [0; 12],
        bytes: vec![0; limits::SEALED_BYTES_MAX + 17],
    };
    let error = refusal(token.unseal(soon(), Vec::new(), long).wait());
    assert!(matches!(error, Error::TooLong), "{error:?}");
    let error = refusal(token.random(soon(), limits::RANDOM_BYTES_MAX + 1).wait());
    assert!(matches!(error, Error::TooLong), "{error:?}");
}

pub fn the_cost_of_opening_is_printed(place: &Place) {
    let token = place.token();
    let sealed = seal(&token, &[1; 200], &[2; 32]);
    let open = || token.unseal(soon(), vec![1; 200], sealed.clone());
    open().wait().unwrap();
    let start = Instant::now();
    for _ in 0..500 {
        open().wait().unwrap();
    }
    let alone = start.elapsed() / 500;
    let start = Instant::now();
    let jobs: Vec<_> = (0..limits::POOL_QUEUE_MAX).map(|_| open()).collect();
    let count = u32::try_from(jobs.len()).unwrap();
    for job in jobs {
        job.wait().unwrap();
    }
    let queued = start.elapsed() / count;
    println!(
        "{:?}: opening 32 bytes: {alone:?} alone with the thread's round trip, {queued:?} queued",
        place.kind
    );
    // No bar here: this guards only against a query or a search for each record.
    assert!(queued < std::time::Duration::from_millis(1));
}

fn seal(token: &Token, aad: &[u8], clear: &[u8]) -> Sealed {
    let clear = Secret::new(clear.to_vec());
    token.seal(soon(), aad.to_vec(), clear).wait().unwrap()
}
