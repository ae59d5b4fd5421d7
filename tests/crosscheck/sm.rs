//! SM3 and SM4 with OpenSSL, SM2 with gmssl, which is Python alone: some seventy milliseconds to a
//! verification.

use pintle::domain::cipher::{BlockCipher, Sm4};
use pintle::domain::sm2;
use sm3::Digest;

use crate::oracle::{Asked, agree, asked, word};

const ID: &[u8] = b"1234567812345678";

#[test]
fn sm3_agrees_with_openssl() {
    agree("sm3", |inputs| {
        let data = inputs.message(0);
        asked(format!("sm3 {}", word(&data)), &sm3::Sm3::digest(&data)[..])
    });
}

#[test]
fn sm4_agrees_with_openssl() {
    agree("sm4_ecb", |inputs| {
        let (key, blocks) = (inputs.bytes(16), inputs.between(1, 8));
        let plain = inputs.bytes(16 * blocks);
        let mut enciphered = plain.clone();
        let sm4 = Sm4::new(&key).unwrap();
        let Ok(()) = sm4.encrypt_blocks(enciphered.as_chunks_mut().0);
        let question = format!("sm4_ecb {} {}", word(&key), word(&plain));
        asked(question, &enciphered)
    });
}

#[test]
fn gmssl_signs_as_we_do_with_the_same_nonce() {
    agree("sm2_sign", |inputs| {
        let key = sm2::PrivateKey::from_random(&inputs.array());
        let (nonce, data) = (
            sm2::PrivateKey::from_random(&inputs.array()),
            inputs.message(1),
        );
        let nonce = nonce.to_bytes();
        let id = sm2::Id::new(ID).unwrap();
        let signature = sm2::sign_with_nonce(&key, id, &data, nonce.expose_secret()).unwrap();
        let question = format!(
            "sm2_sign {} {} {} {}",
            word(key.to_bytes().expose_secret()),
            word(&key.public().to_bytes()),
            word(nonce.expose_secret()),
            word(&data)
        );
        asked(question, &signature.to_raw())
    });
}

#[test]
fn gmssl_verifies_what_we_sign_and_not_what_was_changed() {
    agree("sm2_verify", |inputs| {
        let key = sm2::PrivateKey::from_random(&inputs.array());
        let (id, mut data) = (sm2::Id::new(ID).unwrap(), inputs.message(1));
        let signature = sm2::sign(&key, id, &data, &inputs.array()).to_raw();
        let changed = inputs.between(0, 7) == 0;
        if changed {
            data[0] ^= 1;
        }
        let public = key.public().to_bytes();
        let question = format!(
            "sm2_verify {} {} {}",
            word(&public),
            word(&signature),
            word(&data)
        );
        Asked {
            question,
            ours: (!changed).to_string(),
        }
    });
}
