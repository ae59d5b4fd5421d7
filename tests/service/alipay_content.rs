//! AlipayService: content encryption.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::Client;
use pintle::limits::{CONTENT_CHARACTERS_MAX, MESSAGE_BYTES_MAX};
use pintle::service::pb::v1::{
    AlipayContentForm, DecryptContentRequest, DecryptDataRequest, EncryptContentRequest,
    EncryptContentResponse, EncryptDataRequest, Residence, TranslateDataRequest,
};
use tonic::Code;

use crate::refusal::assert_refused;
use crate::world::{key, world};

const KEYS: [(&str, AlipayContentForm); 3] = [
    ("data-content-aes", AlipayContentForm::Aes),
    ("data-content-aes-v2", AlipayContentForm::AesV2),
    ("data-content-sm4", AlipayContentForm::Sm4),
];

fn encrypt(name: &str, data: &[u8]) -> EncryptContentRequest {
    EncryptContentRequest {
        key: key(name),
        data: data.to_vec(),
    }
}

fn decrypt(name: &str, content: &str) -> DecryptContentRequest {
    DecryptContentRequest {
        key: key(name),
        content: content.to_owned(),
    }
}

async fn made(client: &Client, name: &str, data: &[u8]) -> EncryptContentResponse {
    client.encrypt_content(encrypt(name, data)).await.unwrap()
}

#[test]
fn encrypt_content_accepts_each_form_and_decrypt_content_accepts_what_it_made() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, form) in KEYS {
            for length in [0, 1, 15, 16, 17, 1000, MESSAGE_BYTES_MAX] {
                let data = vec![b'x'; length];
                let made = made(&client, name, &data).await;
                assert!(made.form() == form, "{name}");
                assert!(made.key.as_ref().unwrap().residence() == Residence::Process);
                let opened = client.decrypt_content(decrypt(name, &made.content)).await;
                let opened = opened.unwrap();
                assert_eq!(opened.data, data, "{name} {length}");
                assert!(opened.form() == form, "{name}");
            }
        }
    });
}

#[test]
fn decrypt_content_accepts_what_alipays_own_sdk_encrypted() {
    world().run(async |world| {
        let client = world.client().await;
        let clear = r#"{"out_trade_no":"A1"}"#;
        let theirs = "v9xEJGtFY9vW2Ge//P1+YJTSwlxQ+HjY6YUnBJPxUqM=";
        let ours = made(&client, "data-content-aes", clear.as_bytes()).await;
        assert_eq!(ours.content, theirs);
        let opened = client.decrypt_content(decrypt("data-content-aes", theirs));
        assert_eq!(opened.await.unwrap().data, clear.as_bytes());
    });
}

#[test]
fn an_iv_is_new_each_time_where_the_form_has_one() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, form) in KEYS {
            let (first, second) = (
                made(&client, name, b"data").await.content,
                made(&client, name, b"data").await.content,
            );
            assert_eq!(first == second, form == AlipayContentForm::Aes, "{name}");
            let bytes = STANDARD.decode(first).unwrap().len();
            let expected = match form {
                AlipayContentForm::Aes => 16,
                AlipayContentForm::AesV2 => 32,
                _ => 36,
            };
            assert_eq!(bytes, expected, "{name}");
        }
    });
}

/// Base64, length, padding and tag: whoever sends them learns nothing but that it was wrong.
#[test]
fn decrypt_content_refuses_whatever_is_wrong_with_one_answer() {
    world().run(async |world| {
        let client = world.client().await;
        let rejected = async |name: &str, content: &str| {
            let answer = client.decrypt_content(decrypt(name, content)).await;
            let (code, reason) = (Code::InvalidArgument, "DATA_REJECTED");
            assert_refused(answer, code, reason, "content");
        };
        for (name, form) in KEYS {
            for content in ["", "AAAA", "not base64!", "v9xEJGtFY9vW2Ge", "\u{82b1}"] {
                rejected(name, content).await;
            }
            let made = made(&client, name, b"0123456789").await.content;
            let sealed = STANDARD.decode(&made).unwrap();
            for cut in 1..sealed.len() {
                rejected(name, &STANDARD.encode(&sealed[..cut])).await;
            }
            let changed: Vec<usize> = match form {
                AlipayContentForm::Sm4 => (0..sealed.len() * 8).collect(),
                // The last byte of the block before the padded one turns its number of bytes into
                // one that is none.
                AlipayContentForm::AesV2 => vec![15 * 8],
                _ => Vec::new(),
            };
            for bit in changed {
                let mut sealed = sealed.clone();
                sealed[bit / 8] ^= 0x80 >> (bit % 8);
                rejected(name, &STANDARD.encode(&sealed)).await;
            }
        }
    });
}

#[test]
fn encrypt_content_refuses_keys_of_other_data_and_too_much_of_it() {
    world().run(async |world| {
        let client = world.client().await;
        for name in [
            "data-gcm-sm4",
            "data-cbc-pkcs7",
            "tdk-whole-sm4",
            "mac-hmac",
        ] {
            let answer = client.encrypt_content(encrypt(name, b"data")).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
            let answer = client.decrypt_content(decrypt(name, "AAAA")).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        }
        let answer = client
            .decrypt_content(decrypt("data-content-aes-v2-out", "AAAA"))
            .await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        let long = vec![0; MESSAGE_BYTES_MAX + 1];
        let answer = client
            .encrypt_content(encrypt("data-content-aes", &long))
            .await;
        assert_refused(answer, Code::InvalidArgument, "MESSAGE_TOO_LARGE", "data");
        let long = "A".repeat(CONTENT_CHARACTERS_MAX + 4);
        let answer = client
            .decrypt_content(decrypt("data-content-aes", &long))
            .await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "MESSAGE_TOO_LARGE",
            "content",
        );
    });
}

#[test]
fn no_other_call_takes_a_content_key() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, _) in KEYS {
            let (code, reason) = (Code::FailedPrecondition, "KEY_USAGE_REFUSED");
            let asked = EncryptDataRequest {
                key: key(name),
                data: vec![0; 16],
                ..EncryptDataRequest::default()
            };
            assert_refused(client.encrypt_data(asked).await, code, reason, "key");
            let asked = DecryptDataRequest {
                key: key(name),
                data: vec![0; 32],
                ..DecryptDataRequest::default()
            };
            assert_refused(client.decrypt_data(asked).await, code, reason, "key");
            let asked = TranslateDataRequest {
                source_key: key(name),
                destination_key: key("data-gcm-sm4"),
                data: vec![0; 32],
                ..TranslateDataRequest::default()
            };
            let answer = client.translate_data(asked).await;
            assert_refused(answer, code, reason, "source_key");
        }
    });
}
