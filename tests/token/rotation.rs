//! Several `seal` keys: the newest seals, every one opens, and a token that is open follows what
//! another process makes and destroys.

use cryptoki::mechanism::MechanismType;
use cryptoki::object::{Attribute, KeyType, ObjectClass};
use pintle::hsm::{Error, MasterKey, Sealed, Token};
use pintle::limits;
use pintle::secret::Secret;

use crate::place::{Place, refusal, soon};

pub fn every_seal_key_opens_and_the_newest_seals(place: &Place) {
    let token = place.token();
    let first = token.seal_keys();
    assert_eq!(first.current, token.seal_key_id());
    assert!(first.older.is_empty());
    let mut records = vec![seal(&token, 1)];
    for round in 2..=limits::SEAL_KEYS_MAX {
        let made = Token::make_next_seal(&place.config()).unwrap();
        // What is open goes on with what it knows, until it looks.
        assert_ne!(token.seal_key_id(), made.current);
        opens(&token, &records);
        assert_eq!(token.follow_seal_keys(soon()).wait().unwrap(), made);
        assert_eq!(token.seal_keys(), made);
        assert_eq!(made.older.len() + 1, round);
        assert_eq!(made.older.last(), Some(&first.current));
        records.push(seal(&token, u8::try_from(round).unwrap()));
        assert_eq!(records[round - 1].seal_key_id, made.current);
    }
    opens(&token, &records);
    // One record under the name of another's key does not open.
    let crossed = Sealed {
        seal_key_id: records[1].seal_key_id,
        ..records[0].clone()
    };
    let error = refusal(open(&token, &crossed));
    assert!(matches!(error, Error::NotAuthentic), "{error:?}");

    let again = Token::open(&place.config()).unwrap();
    assert_eq!(again.seal_keys(), token.seal_keys());
    opens(&again, &records);
    assert_eq!(seal(&again, 9).seal_key_id, token.seal_key_id());
    let error = refusal(Token::make_next_seal(&place.config()));
    assert!(matches!(error, Error::SealKeysFull), "{error:?}");
    let error = refusal(Token::initialize(&place.config(), None));
    assert!(matches!(error, Error::MasterKeyExists(MasterKey::Seal)));
}

pub fn an_open_token_follows_another_process(place: &Place) {
    const STEP: &str = "PINTLE_TEST_ROTATION";
    match std::env::var(STEP).as_deref() {
        Ok("make") => {
            Token::make_next_seal(&place.config()).unwrap();
            let record = seal(&Token::open(&place.config()).unwrap(), 7);
            let text = [record.seal_key_id.as_slice(), &record.iv, &record.bytes].concat();
            return std::fs::write(place.folder.join("record"), text).unwrap();
        }
        Ok(_) => {
            let token = Token::open(&place.config()).unwrap();
            let older = token.seal_keys().older[0];
            Token::destroy_old_seal(&place.config(), older).unwrap();
            return;
        }
        Err(_) => {}
    }
    let another_process = |step: &str| {
        let exe = std::env::current_exe().unwrap();
        let arguments = ["child", "--exact", "--nocapture"];
        let mut command = place.command(&exe);
        assert!(
            command
                .args(arguments)
                .env(STEP, step)
                .status()
                .unwrap()
                .success()
        );
    };
    let token = place.token();
    let old = seal(&token, 1);
    another_process("make");
    // The first record of the unknown key is what makes it known; no restart, no second try.
    let bytes = std::fs::read(place.folder.join("record")).unwrap();
    let new = Sealed {
        seal_key_id: bytes[..16].try_into().unwrap(),
        iv: bytes[16..28].try_into().unwrap(),
        bytes: bytes[28..].to_vec(),
    };
    assert_ne!(token.seal_key_id(), new.seal_key_id);
    assert_eq!(open(&token, &new).unwrap().expose_secret(), &[7; 40]);
    assert_eq!(seal(&token, 2).seal_key_id, new.seal_key_id);
    opens(&token, std::slice::from_ref(&old));

    another_process("destroy");
    let error = refusal(open(&token, &old));
    assert!(matches!(error, Error::SealKeyUnknown), "{error:?}");
    open(&token, &new).unwrap();
    token.probe(soon()).wait().unwrap();
}

pub fn only_an_old_seal_key_is_destroyed(place: &Place) {
    let token = place.token();
    let first = token.seal_key_id();
    let old = seal(&token, 1);
    let destroy = |id| Token::destroy_old_seal(&place.config(), id);
    let error = refusal(destroy(first));
    assert!(matches!(error, Error::SealKeyCurrent), "{error:?}");
    let error = refusal(destroy([9; 16]));
    assert!(matches!(error, Error::SealKeyUnknown), "{error:?}");
    opens(&token, std::slice::from_ref(&old));

    let second = Token::make_next_seal(&place.config()).unwrap().current;
    let error = refusal(destroy(second));
    assert!(matches!(error, Error::SealKeyCurrent), "{error:?}");
    let left = destroy(first).unwrap();
    assert_eq!((left.current, left.older.len()), (second, 0));
    // The open token still names the first as current: it finds out by using it.
    let record = seal(&token, 2);
    assert_eq!(record.seal_key_id, second);
    let error = refusal(open(&token, &old));
    assert!(matches!(error, Error::SealKeyUnknown), "{error:?}");
    // A number is not used again, so nothing old is ever taken for new.
    let third = Token::make_next_seal(&place.config()).unwrap().current;
    assert!(!place.attacker().find("pintle-seal.3").is_empty());
    let again = Token::open(&place.config()).unwrap();
    assert_eq!(again.seal_key_id(), third);
    assert_eq!(open(&again, &record).unwrap().expose_secret(), &[2; 40]);
}

pub fn a_seal_key_that_init_did_not_make_is_refused(place: &Place) {
    let token = place.token();
    let (known, before) = (token.seal_key_id(), seal(&token, 1));
    let attacker = place.attacker();
    // A key of which the attacker knows the value, right in everything that can be asked for.
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Modifiable(false),
        Attribute::Copyable(false),
        Attribute::Encrypt(true),
        Attribute::Decrypt(true),
        Attribute::Wrap(false),
        Attribute::Unwrap(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
        Attribute::AllowedMechanisms(vec![MechanismType::AES_GCM]),
        Attribute::Label(b"pintle-seal.2".to_vec()),
        Attribute::Id(vec![4; 16]),
        Attribute::Value(vec![5; 32]),
    ];
    let forged = attacker.session.create_object(&template).unwrap();
    let named = |error: &Error| {
        matches!(
            error,
            Error::MasterKeyUnsafe {
                key: MasterKey::Seal,
                attribute: "CKA_ALWAYS_SENSITIVE" | "CKA_NEVER_EXTRACTABLE"
            }
        )
    };
    for error in [
        refusal(Token::open(&place.config())),
        refusal(Token::make_next_seal(&place.config())),
        refusal(token.follow_seal_keys(soon()).wait()),
    ] {
        assert!(named(&error), "{error:?}");
    }
    let theirs = Sealed {
        seal_key_id: [4; 16],
        ..before.clone()
    };
    assert!(named(&refusal(open(&token, &theirs))));
    // What is open goes on with what it knows.
    assert_eq!(seal(&token, 2).seal_key_id, known);
    opens(&token, std::slice::from_ref(&before));
    attacker.session.destroy_object(forged).unwrap();
    Token::open(&place.config()).unwrap();
}

pub fn an_unknown_seal_key_is_not_looked_for_again_and_again(place: &Place) {
    let token = place.token();
    let strange = Sealed {
        seal_key_id: [4; 16],
        ..seal(&token, 1)
    };
    let error = refusal(open(&token, &strange));
    assert!(matches!(error, Error::SealKeyUnknown), "{error:?}");
    let start = std::time::Instant::now();
    // As many searches of the token would take longer than this by far.
    for _ in 0..1000 {
        refusal(open(&token, &strange));
    }
    let each = start.elapsed() / 1000;
    println!("{:?}: {each:?} for a seal known to be strange", place.kind);
    assert!(each < std::time::Duration::from_millis(1));
    // It is looked for again after a while.
    std::thread::sleep(limits::SEAL_SEARCH_INTERVAL);
    let error = refusal(open(&token, &strange));
    assert!(matches!(error, Error::SealKeyUnknown), "{error:?}");
}

fn seal(token: &Token, value: u8) -> Sealed {
    let clear = Secret::new(vec![value; 40]);
    token.seal(soon(), b"aad".to_vec(), clear).wait().unwrap()
}

fn open(token: &Token, record: &Sealed) -> Result<Secret<Vec<u8>>, Error> {
    token.unseal(soon(), b"aad".to_vec(), record.clone()).wait()
}

fn opens(token: &Token, records: &[Sealed]) {
    for (index, record) in records.iter().enumerate() {
        let opened = open(token, record).unwrap();
        assert_eq!(opened.expose_secret(), &vec![record_value(index); 40]);
    }
}

fn record_value(index: usize) -> u8 {
    u8::try_from(index + 1).unwrap()
}
