//! DataService: data.

use std::collections::HashSet;

use pintle::client::Client;
use pintle::limits::{ASSOCIATED_DATA_BYTES_MAX, MESSAGE_BYTES_MAX};
use pintle::service::pb::v1::{
    DataMode, DecryptDataRequest, EncryptDataRequest, EncryptDataResponse, Residence,
    TranslateDataRequest,
};
use tonic::Code;

use crate::key_block::{block, brought};
use crate::refusal::{assert_refused, refused};
use crate::world::{key, world};

/// A data key of `keys.toml`, its mode, the bytes of its IV and its tag, and those of a block where
/// only whole blocks are taken.
struct DataKey {
    name: &'static str,
    mode: DataMode,
    iv: usize,
    tag: usize,
    whole: usize,
}

const fn data_key(
    name: &'static str,
    mode: DataMode,
    (iv, tag): (usize, usize),
    whole: usize,
) -> DataKey {
    DataKey {
        name,
        mode,
        iv,
        tag,
        whole,
    }
}

/// Those that encrypt and decrypt, with an IV that nobody gives.
const KEYS: [DataKey; 7] = [
    data_key("data-gcm-aes", DataMode::Gcm, (12, 16), 1),
    data_key("data-gcm-sm4", DataMode::Gcm, (12, 12), 1),
    data_key("data-ctr-sm4", DataMode::Ctr, (16, 0), 1),
    data_key("data-cbc-aes", DataMode::Cbc, (16, 0), 16),
    data_key("data-cbc-pkcs7", DataMode::Cbc, (16, 0), 1),
    data_key("data-cbc-tdes", DataMode::Cbc, (0, 0), 1),
    data_key("data-ecb-sm4", DataMode::Ecb, (0, 0), 16),
];

fn encrypt(name: &str, data: &[u8]) -> EncryptDataRequest {
    EncryptDataRequest {
        key: key(name),
        data: data.to_vec(),
        ..EncryptDataRequest::default()
    }
}

fn decrypt(name: &str, made: &EncryptDataResponse) -> DecryptDataRequest {
    DecryptDataRequest {
        key: key(name),
        data: made.data.clone(),
        iv: made.iv.clone(),
        tag: made.tag.clone(),
        ..DecryptDataRequest::default()
    }
}

fn translate(from: &str, to: &str, made: &EncryptDataResponse) -> TranslateDataRequest {
    TranslateDataRequest {
        source_key: key(from),
        destination_key: key(to),
        data: made.data.clone(),
        iv: made.iv.clone(),
        tag: made.tag.clone(),
        ..TranslateDataRequest::default()
    }
}

fn clear(length: usize) -> Vec<u8> {
    (0..=250).cycle().take(length).collect()
}

async fn made(client: &Client, name: &str, data: &[u8]) -> EncryptDataResponse {
    client.encrypt_data(encrypt(name, data)).await.unwrap()
}

#[test]
fn encrypt_data_accepts_every_mode_and_decrypt_data_takes_it_back() {
    world().run(async |world| {
        let client = world.client().await;
        for key in &KEYS {
            let name = key.name;
            for length in [0, 1, 15, 16, 17, 160, 4000, MESSAGE_BYTES_MAX] {
                let data = clear(length.next_multiple_of(key.whole));
                let made = made(&client, name, &data).await;
                assert!(made.mode() == key.mode, "{name}");
                assert_eq!((made.iv.len(), made.tag.len()), (key.iv, key.tag), "{name}");
                let used = made.key.clone().unwrap();
                assert_eq!((used.name.as_str(), used.version), (name, 1));
                assert!(used.residence() == Residence::Process);
                assert!(data.len() < 16 || made.data != data, "{name}");
                let opened = client.decrypt_data(decrypt(name, &made)).await.unwrap();
                assert_eq!(opened.data, data, "{name} {length}");
                assert!(opened.mode() == key.mode, "{name}");
            }
        }
    });
}

#[test]
fn decrypt_data_accepts_associated_data_that_was_authenticated_and_no_other() {
    world().run(async |world| {
        let client = world.client().await;
        let request = EncryptDataRequest {
            associated_data: b"0200".to_vec(),
            ..encrypt("data-gcm-sm4", b"data")
        };
        let made = client.encrypt_data(request).await.unwrap();
        let with = |associated: &[u8]| DecryptDataRequest {
            associated_data: associated.to_vec(),
            ..decrypt("data-gcm-sm4", &made)
        };
        let opened = client.decrypt_data(with(b"0200")).await.unwrap();
        assert_eq!(opened.data, b"data");
        for other in [&b""[..], b"0210", b"02000"] {
            let answer = client.decrypt_data(with(other)).await;
            assert_refused(answer, Code::InvalidArgument, "DATA_REJECTED", "data");
        }
    });
}

#[test]
fn encrypt_data_refuses_an_iv_that_is_not_the_callers_to_give() {
    world().run(async |world| {
        let client = world.client().await;
        let with = |name: &str, length: usize| EncryptDataRequest {
            iv: vec![7; length],
            ..encrypt(name, &[1; 16])
        };
        for key in &KEYS {
            for length in [1, 8, 12, 16] {
                let answer = client.encrypt_data(with(key.name, length)).await;
                assert_refused(answer, Code::InvalidArgument, "DATA_IV", "iv");
            }
        }
        for length in [0, 1, 12, 15, 17] {
            let answer = client.encrypt_data(with("data-ctr-caller", length)).await;
            assert_refused(answer, Code::InvalidArgument, "DATA_IV", "iv");
        }
        let made = client.encrypt_data(with("data-ctr-caller", 16)).await;
        assert_eq!(made.unwrap().iv, [7; 16]);
    });
}

#[test]
fn encrypt_data_accepts_equal_data_and_never_makes_an_iv_twice() {
    world().run(async |world| {
        let client = world.client().await;
        let names = [
            "data-gcm-aes",
            "data-gcm-sm4",
            "data-ctr-sm4",
            "data-cbc-aes",
        ];
        for name in names {
            let (mut ivs, mut answers) = (HashSet::new(), HashSet::new());
            for _ in 0..500 {
                let made = made(&client, name, &[0; 16]).await;
                assert!(ivs.insert(made.iv), "{name}");
                assert!(answers.insert(made.data), "{name}: equal data shows");
            }
        }
    });
}

#[test]
fn encrypt_data_refuses_data_of_other_lengths() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, length) in [("data-cbc-aes", 15), ("data-ecb-sm4", 17)] {
            let answer = client.encrypt_data(encrypt(name, &clear(length))).await;
            assert_refused(answer, Code::InvalidArgument, "DATA_LENGTH", "data");
        }
        let longer = clear(MESSAGE_BYTES_MAX + 1);
        let answer = client.encrypt_data(encrypt("data-gcm-aes", &longer)).await;
        assert_refused(answer, Code::InvalidArgument, "MESSAGE_TOO_LARGE", "data");
        let with = |name: &str, length| EncryptDataRequest {
            associated_data: clear(length),
            ..encrypt(name, b"data")
        };
        let longest = with("data-gcm-aes", ASSOCIATED_DATA_BYTES_MAX);
        client.encrypt_data(longest).await.unwrap();
        let (code, field) = (Code::InvalidArgument, "associated_data");
        let longer = with("data-gcm-aes", ASSOCIATED_DATA_BYTES_MAX + 1);
        let answer = client.encrypt_data(longer).await;
        assert_refused(answer, code, "MESSAGE_TOO_LARGE", field);
        let answer = client.encrypt_data(with("data-cbc-pkcs7", 1)).await;
        assert_refused(answer, code, "ASSOCIATED_DATA_REFUSED", field);
    });
}

#[test]
fn encrypt_data_refuses_keys_of_another_usage_mode_or_policy() {
    world().run(async |world| {
        let client = world.client().await;
        let others = [
            "tpk-tdes",
            "zpk-in-aes",
            "mac-alg3",
            "data-decrypt-only",
            "data-no-mode",
            "tdk-one",
        ];
        for name in others {
            let answer = client.encrypt_data(encrypt(name, &[1; 16])).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        }
        let answer = client.encrypt_data(encrypt("data-nobody-made", b"m")).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
    });
}

#[test]
fn decrypt_data_refuses_keys_of_another_usage_mode_or_policy() {
    world().run(async |world| {
        let client = world.client().await;
        let made = made(&client, "data-encrypt-only", &[1; 20]).await;
        // A PIN block's key opens no data, and a track's key no track.
        let others = ["tpk-aes", "data-encrypt-only", "data-no-mode", "tdk-whole"];
        for name in others {
            let answer = client.decrypt_data(decrypt(name, &made)).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        }
        let opened = client
            .decrypt_data(decrypt("data-decrypt-only", &made))
            .await;
        assert_eq!(opened.unwrap().data, [1; 20]);
    });
}

#[test]
fn decrypt_data_refuses_ivs_tags_and_lengths_that_are_not_the_policys() {
    world().run(async |world| {
        let client = world.client().await;
        let gcm = made(&client, "data-gcm-sm4", &[1; 20]).await;
        for length in (0..=20).filter(|length| *length != 12) {
            let request = DecryptDataRequest {
                iv: vec![7; length],
                ..decrypt("data-gcm-sm4", &gcm)
            };
            let answer = client.decrypt_data(request).await;
            assert_refused(answer, Code::InvalidArgument, "DATA_IV", "iv");
            // A beginning of the right tag is none: truncation is the policy's, not the caller's.
            let request = DecryptDataRequest {
                tag: gcm.tag.iter().copied().cycle().take(length).collect(),
                ..decrypt("data-gcm-sm4", &gcm)
            };
            let answer = client.decrypt_data(request).await;
            assert_refused(answer, Code::InvalidArgument, "DATA_TAG", "tag");
        }
        let cbc = made(&client, "data-cbc-pkcs7", &[1; 20]).await;
        for length in [0, 1, 15, 17, 31] {
            let request = DecryptDataRequest {
                data: clear(length),
                ..decrypt("data-cbc-pkcs7", &cbc)
            };
            let answer = client.decrypt_data(request).await;
            assert_refused(answer, Code::InvalidArgument, "DATA_LENGTH", "data");
        }
    });
}

#[test]
fn decrypt_data_refuses_every_wrong_padding_and_every_wrong_tag_with_one_answer() {
    world().run(async |world| {
        let client = world.client().await;
        let mut answers = HashSet::new();
        let cbc = made(&client, "data-cbc-pkcs7", &clear(20)).await;
        let mut accepted = 0;
        for value in 0..=255 {
            // Chained into the last byte of the padding: it takes every value.
            let mut changed = cbc.clone();
            changed.data[15] ^= value;
            let answer = client
                .decrypt_data(decrypt("data-cbc-pkcs7", &changed))
                .await;
            match answer {
                Ok(_) => accepted += 1,
                refusal => {
                    answers.insert(format!("{:?}", refused(refusal)));
                }
            }
        }
        assert_eq!(accepted, 2, "the padding as it is, and a last byte of 1");
        for name in ["data-gcm-aes", "data-gcm-sm4"] {
            let gcm = made(&client, name, &clear(20)).await;
            for bit in 0..(gcm.data.len() + gcm.tag.len()) * 8 {
                let mut changed = gcm.clone();
                let byte = match (bit / 8).checked_sub(gcm.data.len()) {
                    None => &mut changed.data[bit / 8],
                    Some(at) => &mut changed.tag[at],
                };
                *byte ^= 1 << (bit % 8);
                let answer = client.decrypt_data(decrypt(name, &changed)).await;
                answers.insert(format!("{:?}", refused(answer)));
            }
        }
        assert_eq!(answers.len(), 1, "{answers:#?}");
        let all = |word| answers.iter().all(|answer: &String| answer.contains(word));
        assert!(all("DATA_REJECTED"));
    });
}

#[test]
fn decrypt_data_refuses_to_let_out_what_is_translated_only() {
    world().run(async |world| {
        let client = world.client().await;
        let name = "data-translate-only";
        let made = made(&client, name, b"a track").await;
        let answer = client.decrypt_data(decrypt(name, &made)).await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "CLEAR_DATA_REFUSED",
            "key",
        );
    });
}

#[test]
fn translate_data_accepts_every_pair_of_modes() {
    world().run(async |world| {
        let client = world.client().await;
        let data = clear(160);
        for from in &KEYS {
            let made = made(&client, from.name, &data).await;
            for to in &KEYS {
                let request = translate(from.name, to.name, &made);
                let answer = client.translate_data(request).await.unwrap();
                assert!(answer.mode() == to.mode);
                assert_eq!((answer.iv.len(), answer.tag.len()), (to.iv, to.tag));
                assert_eq!(answer.source_key.unwrap().name, from.name);
                assert_eq!(answer.destination_key.unwrap().name, to.name);
                let request = DecryptDataRequest {
                    key: key(to.name),
                    data: answer.data,
                    iv: answer.iv,
                    tag: answer.tag,
                    ..DecryptDataRequest::default()
                };
                let opened = client.decrypt_data(request).await.unwrap();
                assert_eq!(opened.data, data, "{} → {}", from.name, to.name);
            }
        }
    });
}

#[test]
fn translate_data_accepts_a_key_that_translates_only_towards_keys_that_cannot_decrypt() {
    world().run(async |world| {
        let client = world.client().await;
        let from = "data-translate-only";
        let made = made(&client, from, b"a track").await;
        for to in ["data-partner", "data-encrypt-only", "data-translate-only"] {
            let answer = client.translate_data(translate(from, to, &made)).await;
            answer.unwrap();
        }
        for to in ["data-gcm-aes", "data-cbc-pkcs7"] {
            let answer = client.translate_data(translate(from, to, &made)).await;
            let (code, field) = (Code::FailedPrecondition, "destination_key");
            assert_refused(answer, code, "CLEAR_DATA_REFUSED", field);
        }
    });
}

#[test]
fn translate_data_refuses_what_decrypt_data_and_encrypt_data_refuse() {
    world().run(async |world| {
        let client = world.client().await;
        let odd = made(&client, "data-cbc-pkcs7", &clear(20)).await;
        let ask = async |edit: fn(&mut TranslateDataRequest)| {
            let mut request = translate("data-cbc-pkcs7", "data-gcm-aes", &odd);
            edit(&mut request);
            client.translate_data(request).await
        };
        let (code, usage) = (Code::InvalidArgument, Code::FailedPrecondition);
        // The last byte of the block before the padding: no padding ends in what it then reads.
        let answer = ask(|asked| asked.data[15] ^= 0x55).await;
        assert_refused(answer, code, "DATA_REJECTED", "data");
        let answer = ask(|asked| asked.iv.clear()).await;
        assert_refused(answer, code, "DATA_IV", "iv");
        let answer = ask(|asked| asked.destination_iv = vec![1; 12]).await;
        assert_refused(answer, code, "DATA_IV", "destination_iv");
        let answer = ask(|asked| asked.source_key = key("tpk-aes")).await;
        assert_refused(answer, usage, "KEY_USAGE_REFUSED", "source_key");
        for other in ["zpk-out-tdes-0", "tdk-one", "data-decrypt-only"] {
            let mut request = translate("data-cbc-pkcs7", "data-gcm-aes", &odd);
            request.destination_key = key(other);
            let answer = client.translate_data(request).await;
            assert_refused(answer, usage, "KEY_USAGE_REFUSED", "destination_key");
        }
        let answer = ask(|asked| asked.source_key = None).await;
        assert_refused(answer, code, "MISSING_FIELD", "source_key");
        // 20 bytes are no whole blocks, which the source's padding hid: not told from a wrong one.
        let answer = ask(|asked| asked.destination_key = key("data-ecb-sm4")).await;
        assert_refused(answer, code, "DATA_REJECTED", "data");
    });
}

#[test]
fn encrypt_data_accepts_a_key_in_a_partners_block_under_the_rule_of_its_protection_key() {
    world().run(async |world| {
        let client = world.client().await;
        let protection = "kbpk-data";
        let here = brought(protection, &block(protection, b"D0ABN", "data-gcm-aes"));
        let request = EncryptDataRequest {
            key: here.clone(),
            ..encrypt("", b"a receipt")
        };
        let made = client.encrypt_data(request).await.unwrap();
        assert!(made.mode() == DataMode::Gcm);
        // The same key by its name, whose policy is its own.
        let opened = client.decrypt_data(decrypt("data-gcm-aes", &made)).await;
        assert_eq!(opened.unwrap().data, b"a receipt");
        let request = DecryptDataRequest {
            key: here,
            ..decrypt("", &made)
        };
        let answer = client.decrypt_data(request).await;
        assert_refused(
            answer,
            Code::FailedPrecondition,
            "CLEAR_DATA_REFUSED",
            "key",
        );
        // GCM is no mode of TDES; a PIN key is none for data; and another protection key's policy
        // says nothing of data.
        for (protection, codes, value) in [
            (protection, b"D0TBN", "data-cbc-tdes"),
            (protection, b"P0ADN", "tpk-aes"),
            ("kbpk-tracks", b"D0ABN", "data-gcm-aes"),
        ] {
            let request = EncryptDataRequest {
                key: brought(protection, &block(protection, codes, value)),
                ..encrypt("", b"a receipt")
            };
            let answer = client.encrypt_data(request).await;
            assert!(answer.is_err(), "{codes:?}");
        }
    });
}

/// Whoever may ask whether a padding is right reads every block (Vaudenay 2002). It works against
/// a key that somebody accepted as weak, which is the control; a sound key gives no such answer.
#[test]
fn a_padding_oracle_reads_what_is_under_weak_keys_only() {
    world().run(async |world| {
        let client = world.client().await;
        let secret = *b"PAN 622202 CVV 9";
        let weak = made(&client, "data-cbc-pkcs7", &secret).await;
        let block: [u8; 16] = weak.data[..16].try_into().unwrap();
        let found = padding_attack(&client, "data-cbc-pkcs7", block).await;
        let found = found.expect("the attacker is not able to attack");
        let read: Vec<u8> = found.iter().zip(&weak.iv).map(|(a, b)| a ^ b).collect();
        assert_eq!(read, secret);

        let sound = made(&client, "data-gcm-aes", &secret).await;
        let block: [u8; 16] = sound.data[..16].try_into().unwrap();
        let found = padding_attack(&client, "data-gcm-aes", block).await;
        assert_eq!(found, None);
    });
}

/// What a block decrypts to, asked of nothing but whether data is accepted.
async fn padding_attack(client: &Client, name: &str, block: [u8; 16]) -> Option<[u8; 16]> {
    let mut inner = [0u8; 16];
    for at in (0..16).rev() {
        let padding = u8::try_from(16 - at).unwrap();
        let mut guess = None;
        for value in 0..=255u8 {
            let mut iv = [0xA5; 16];
            iv[at] = value;
            (at + 1..16).for_each(|i| iv[i] = inner[i] ^ padding);
            let mut right = accepted(client, name, iv, block).await;
            if right && at > 0 {
                // Not a longer padding by chance.
                iv[at - 1] ^= 0xFF;
                right = accepted(client, name, iv, block).await;
            }
            if right {
                guess = Some(value ^ padding);
                break;
            }
        }
        inner[at] = guess?;
    }
    Some(inner)
}

async fn accepted(client: &Client, name: &str, iv: [u8; 16], block: [u8; 16]) -> bool {
    let is_gcm = name.contains("gcm");
    let request = DecryptDataRequest {
        key: key(name),
        data: block.to_vec(),
        iv: iv[..if is_gcm { 12 } else { 16 }].to_vec(),
        tag: if is_gcm { iv.to_vec() } else { Vec::new() },
        ..DecryptDataRequest::default()
    };
    let answer = client.decrypt_data(request).await;
    if answer.is_err() {
        assert_eq!(refused(answer).reason, "DATA_REJECTED");
        return false;
    }
    true
}
