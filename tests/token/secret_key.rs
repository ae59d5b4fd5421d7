//! Symmetric keys that stay in the token: what they compute is what the domain's own ciphers
//! compute, each does one thing, and none comes out.

use aes::cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use cmac::Mac;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, ObjectHandle};
use pintle::hsm::{Direction, Error, SecretKind, SecretUse, Token};
use pintle::limits;
use pintle::secret::Secret;

use crate::place::{Attacker, Kind, Place, refusal, soon};

const KINDS: [SecretKind; 5] = [
    SecretKind::Aes128,
    SecretKind::Aes192,
    SecretKind::Aes256,
    SecretKind::Tdes2,
    SecretKind::Tdes3,
];

/// The kinds that this token has; the others must be refused by name.
fn kinds(place: &Place, token: &Token) -> Vec<SecretKind> {
    let (has, has_not): (Vec<_>, Vec<_>) = KINDS
        .into_iter()
        .partition(|kind| place.kind == Kind::SoftHsm || kind.block_bytes() == 16);
    for kind in has_not {
        for usage in [SecretUse::Cmac, SecretUse::Ecb] {
            let made = token.generate_secret(soon(), [1; 16], kind, usage);
            let brought = import(token, [1; 16], kind, usage);
            for error in [refusal(made.wait()), refusal(brought)] {
                assert!(matches!(error, Error::NotOffered(_)), "{error:?}");
            }
        }
        for error in [
            refusal(cmac(token, [1; 16], kind, &[b""])),
            refusal(ecb(token, [1; 16], kind, Direction::Encrypt, &[0; 8])),
        ] {
            println!("{:?}: {error}", place.kind);
            assert!(error.to_string().contains("CKM_DES3_"), "{error}");
        }
    }
    has
}

pub fn an_imported_secret_computes_what_our_ciphers_do(place: &Place) {
    let token = place.token();
    for kind in kinds(place, &token) {
        let messages: [&[u8]; 4] = [b"", b"a", &[7; 16], &[9; limits::TOKEN_CMAC_BYTES_MAX]];
        import(&token, [1; 16], kind, SecretUse::Cmac).unwrap();
        let macs = cmac(&token, [1; 16], kind, &messages).unwrap();
        for (mac, message) in macs.iter().zip(messages) {
            assert_eq!(mac.expose_secret(), &our_cmac(kind, message), "{kind:?}");
        }
        import(&token, [2; 16], kind, SecretUse::Ecb).unwrap();
        let clear: Vec<u8> = (0..48).collect();
        let sealed = ecb(&token, [2; 16], kind, Direction::Encrypt, &clear).unwrap();
        assert_eq!(sealed.expose_secret(), &our_ecb(kind, &clear, true));
        let opened = ecb(&token, [2; 16], kind, Direction::Decrypt, &clear).unwrap();
        assert_eq!(opened.expose_secret(), &our_ecb(kind, &clear, false));

        // Another opening finds it; a destroyed one is gone; an id is used once.
        let again = Token::open(&place.config()).unwrap();
        assert!(again.has_secret(soon(), [1; 16], kind).wait().unwrap());
        let error = refusal(import(&again, [1; 16], kind, SecretUse::Cmac));
        assert!(matches!(error, Error::KeyExists), "{error:?}");
        for id in [[1; 16], [2; 16]] {
            again.destroy_secret(soon(), id, kind).wait().unwrap();
            assert!(!token.has_secret(soon(), id, kind).wait().unwrap());
        }
        let error = refusal(cmac(&token, [1; 16], kind, &messages));
        assert!(matches!(error, Error::NoSuchKey), "{kind:?}: {error:?}");
        let error = refusal(token.destroy_secret(soon(), [1; 16], kind).wait());
        assert!(matches!(error, Error::NoSuchKey), "{error:?}");
    }
}

pub fn a_generated_secret_is_of_its_kind_and_does_one_thing(place: &Place) {
    let token = place.token();
    for (number, kind) in (1u8..).zip(kinds(place, &token)) {
        let (signs, encrypts) = ([number; 16], [number + 100; 16]);
        for (id, usage) in [(signs, SecretUse::Cmac), (encrypts, SecretUse::Ecb)] {
            let made = token.generate_secret(soon(), id, kind, usage).wait();
            made.unwrap();
            let again = token.generate_secret(soon(), id, kind, usage).wait();
            assert!(matches!(refusal(again), Error::KeyExists));
        }
        let one = cmac(&token, signs, kind, &[b"m", b"m", b"n"]).unwrap();
        let values: Vec<_> = one.iter().map(Secret::expose_secret).collect();
        assert_eq!(values[0].len(), kind.block_bytes());
        assert!(values[0] == values[1] && values[0] != values[2]);
        let sealed = ecb(&token, encrypts, kind, Direction::Encrypt, &[5; 32]).unwrap();
        let sealed = sealed.expose_secret();
        let opened = ecb(&token, encrypts, kind, Direction::Decrypt, sealed).unwrap();
        assert_eq!(opened.expose_secret(), &[5; 32]);
        // Each does its own thing only, whoever asks.
        assert!(cmac(&token, encrypts, kind, &[b"m"]).is_err());
        assert!(ecb(&token, signs, kind, Direction::Encrypt, &[0; 16]).is_err());
        token.probe(soon()).wait().unwrap();
    }
}

pub fn a_secret_key_does_not_come_out(place: &Place) {
    let token = place.token();
    for (number, kind) in (1u8..).zip(kinds(place, &token)) {
        for (id, usage) in [(number, SecretUse::Cmac), (number + 50, SecretUse::Ecb)] {
            let made = token.generate_secret(soon(), [id; 16], kind, usage).wait();
            made.unwrap();
            import(&token, [id + 100; 16], kind, usage).unwrap();
        }
    }
    let attacker = place.attacker();
    let keys = attacker.find("pintle-secret");
    assert!(keys.len() >= 12);
    let careless = careless(&attacker);
    for key in keys {
        let session = &attacker.session;
        let read = session.get_attributes(key, &[AttributeType::Value]);
        assert!(read.as_ref().map_or(true, Vec::is_empty));
        for change in [
            Attribute::Extractable(true),
            Attribute::Sensitive(false),
            Attribute::Wrap(true),
            Attribute::Derive(true),
            Attribute::Decrypt(true),
            Attribute::Modifiable(true),
        ] {
            assert!(
                session
                    .update_attributes(key, std::slice::from_ref(&change))
                    .is_err()
            );
            assert!(session.copy_object(key, &[change]).is_err());
        }
        assert!(
            session
                .copy_object(key, &[Attribute::Token(false)])
                .is_err()
        );
        for mechanism in [
            Mechanism::AesKeyWrap,
            Mechanism::AesKeyWrapPad,
            Mechanism::AesEcb,
        ] {
            // Neither out under another's, nor another's out under it.
            assert!(session.wrap_key(&mechanism, careless, key).is_err());
            assert!(session.wrap_key(&mechanism, key, careless).is_err());
        }
    }
    // The control: a careless key goes out.
    let out = attacker
        .session
        .wrap_key(&Mechanism::AesKeyWrap, careless, careless);
    out.unwrap();
}

pub fn what_is_not_a_secret_of_its_kind_is_refused(place: &Place) {
    let token = place.token();
    for kind in KINDS {
        for bytes in [0, 8, kind.value_bytes() - 1, kind.value_bytes() + 1, 64] {
            let value = Secret::new(vec![1; bytes]);
            let bring = token.import_secret(soon(), [1; 16], kind, SecretUse::Ecb, value);
            let error = refusal(bring.wait());
            assert!(matches!(error, Error::SecretLength), "{error:?}");
        }
    }
    let kind = SecretKind::Aes128;
    for bytes in [0, 15, 17] {
        let error = refusal(ecb(
            &token,
            [1; 16],
            kind,
            Direction::Encrypt,
            &vec![0; bytes],
        ));
        assert!(matches!(error, Error::NotWholeBlocks), "{error:?}");
    }
    let long = vec![0; limits::TOKEN_ECB_BYTES_MAX + 16];
    let error = refusal(ecb(&token, [1; 16], kind, Direction::Encrypt, &long));
    assert!(matches!(error, Error::TooLong), "{error:?}");
    let long = vec![0; limits::TOKEN_CMAC_BYTES_MAX + 1];
    let error = refusal(cmac(&token, [1; 16], kind, &[&long]));
    assert!(matches!(error, Error::TooLong), "{error:?}");
    let many = [&b"m"[..]; limits::TOKEN_CMACS_MAX + 1];
    let error = refusal(cmac(&token, [1; 16], kind, &many));
    assert!(matches!(error, Error::TooLong), "{error:?}");
    let error = refusal(cmac(&token, [1; 16], kind, &[b"m"]));
    assert!(matches!(error, Error::NoSuchKey), "{error:?}");
}

/// A key that wraps and may be wrapped.
fn careless(attacker: &Attacker) -> ObjectHandle {
    let template = [
        Attribute::Token(false),
        Attribute::Wrap(true),
        Attribute::Extractable(true),
        Attribute::Encrypt(true),
        Attribute::ValueLen(16.into()),
    ];
    let made = attacker
        .session
        .generate_key(&Mechanism::AesKeyGen, &template);
    made.unwrap()
}

/// Distinct bytes of odd parity, so that no two TDES keys are one.
fn value(kind: SecretKind) -> Vec<u8> {
    (1u8..)
        .map(|byte| byte << 1 | u8::from(byte.count_ones() % 2 == 0))
        .take(kind.value_bytes())
        .collect()
}

fn import(token: &Token, id: [u8; 16], kind: SecretKind, usage: SecretUse) -> Result<(), Error> {
    let value = Secret::new(value(kind));
    token.import_secret(soon(), id, kind, usage, value).wait()
}

fn cmac(
    token: &Token,
    id: [u8; 16],
    kind: SecretKind,
    messages: &[&[u8]],
) -> Result<Vec<Secret<Vec<u8>>>, Error> {
    let messages = messages.iter().map(|message| message.to_vec()).collect();
    token.cmac(soon(), id, kind, messages).wait()
}

fn ecb(
    token: &Token,
    id: [u8; 16],
    kind: SecretKind,
    direction: Direction,
    data: &[u8],
) -> Result<Secret<Vec<u8>>, Error> {
    let data = Secret::new(data.to_vec());
    token.ecb(soon(), id, kind, direction, data).wait()
}

fn our_cmac(kind: SecretKind, message: &[u8]) -> Vec<u8> {
    fn tag<M: Mac + KeyInit>(key: &[u8], message: &[u8]) -> Vec<u8> {
        let mut mac = <M as KeyInit>::new_from_slice(key).unwrap();
        mac.update(message);
        mac.finalize().into_bytes().to_vec()
    }
    let key = value(kind);
    match kind {
        SecretKind::Aes128 => tag::<cmac::Cmac<aes::Aes128>>(&key, message),
        SecretKind::Aes192 => tag::<cmac::Cmac<aes::Aes192>>(&key, message),
        SecretKind::Aes256 => tag::<cmac::Cmac<aes::Aes256>>(&key, message),
        SecretKind::Tdes2 => tag::<cmac::Cmac<des::TdesEde2>>(&key, message),
        SecretKind::Tdes3 => tag::<cmac::Cmac<des::TdesEde3>>(&key, message),
    }
}

fn our_ecb(kind: SecretKind, data: &[u8], encrypt: bool) -> Vec<u8> {
    fn run<C>(key: &[u8], data: &[u8], encrypt: bool) -> Vec<u8>
    where
        C: BlockCipherEncrypt + BlockCipherDecrypt + KeyInit,
    {
        let cipher = C::new_from_slice(key).unwrap();
        let mut out = Vec::new();
        for chunk in data.chunks_exact(C::block_size()) {
            let mut block = aes::cipher::Block::<C>::try_from(chunk).unwrap();
            if encrypt {
                cipher.encrypt_block(&mut block);
            } else {
                cipher.decrypt_block(&mut block);
            }
            out.extend_from_slice(&block);
        }
        out
    }
    let key = value(kind);
    match kind {
        SecretKind::Aes128 => run::<aes::Aes128>(&key, data, encrypt),
        SecretKind::Aes192 => run::<aes::Aes192>(&key, data, encrypt),
        SecretKind::Aes256 => run::<aes::Aes256>(&key, data, encrypt),
        SecretKind::Tdes2 => run::<des::TdesEde2>(&key, data, encrypt),
        SecretKind::Tdes3 => run::<des::TdesEde3>(&key, data, encrypt),
    }
}
