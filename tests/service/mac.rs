//! MacService.

use pintle::limits::MESSAGE_BYTES_MAX;
use pintle::service::pb::v1::{GenerateMacRequest, KeyRef, MacScheme, Residence, VerifyMacRequest};
use tonic::Code;

use crate::refusal::assert_refused;
use crate::world::{key, world};

/// Every MAC key of `keys.toml`, its scheme and its length.
pub const KEYS: [(&str, MacScheme, usize); 28] = [
    ("mac-alg3", MacScheme::Iso97971Alg3Des, 8),
    ("mac-alg1-tdes", MacScheme::Iso97971Alg1Tdes, 4),
    ("mac-alg1-sm4", MacScheme::Iso97971Alg1Sm4, 16),
    ("mac-cmac-tdes", MacScheme::CmacTdes, 8),
    ("mac-cmac-aes", MacScheme::CmacAes, 16),
    ("mac-hmac", MacScheme::HmacSha256, 32),
    ("mac-alg1-des", MacScheme::Iso97971Alg1Des, 8),
    ("mac-x9-9", MacScheme::Iso97971Alg1Des, 4),
    ("mac-x9-19", MacScheme::Iso97971Alg3Des, 8),
    ("mac-alg1-aes", MacScheme::Iso97971Alg1Aes, 16),
    ("mac-alg1-weak", MacScheme::Iso97971Alg1Tdes, 8),
    ("mac-alg3-padding-3", MacScheme::Iso97971Alg3Des, 8),
    ("mac-cmac-sm4", MacScheme::CmacSm4, 16),
    ("mac-hmac-sha1", MacScheme::HmacSha1, 20),
    ("mac-hmac-sha224", MacScheme::HmacSha224, 28),
    ("mac-hmac-sha384", MacScheme::HmacSha384, 48),
    ("mac-hmac-sha512", MacScheme::HmacSha512, 64),
    ("mac-hmac-sm3", MacScheme::HmacSm3, 32),
    ("mac-gateway-sha256", MacScheme::UnionpayGatewaySha256, 32),
    ("mac-gateway-sm3", MacScheme::UnionpayGatewaySm3, 32),
    ("mac-unionpay-hex-des", MacScheme::UnionpayEcbHex8, 8),
    ("mac-unionpay-hex", MacScheme::UnionpayEcbHex8, 8),
    ("mac-unionpay-raw", MacScheme::UnionpayEcbRaw8, 8),
    ("mac-sm4-pos-hex", MacScheme::Sm4PosHex8, 8),
    ("mac-sm4-pos-hex-lower", MacScheme::Sm4PosHex8Lower, 8),
    ("mac-sm4-pos-raw", MacScheme::Sm4PosRaw8, 8),
    ("mac-sm4-pos-raw-lower", MacScheme::Sm4PosRaw8Lower, 8),
    ("mac-sm4-online", MacScheme::Iso97971Alg1Sm4, 16),
];

fn generate(name: &str, message: &[u8]) -> GenerateMacRequest {
    GenerateMacRequest {
        key: key(name),
        message: message.to_vec(),
    }
}

fn verify(name: &str, message: &[u8], mac: &[u8]) -> VerifyMacRequest {
    VerifyMacRequest {
        key: key(name),
        message: message.to_vec(),
        mac: mac.to_vec(),
    }
}

#[test]
fn generate_mac_accepts_every_scheme_with_the_length_of_the_key_policy() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, scheme, length) in KEYS {
            let answer = client
                .generate_mac(generate(name, b"0200 message"))
                .await
                .unwrap();
            assert_eq!(answer.mac.len(), length, "{name}");
            assert!(answer.scheme() == scheme, "{name}");
            let used = answer.key.unwrap();
            assert_eq!((used.name.as_str(), used.version), (name, 1));
            assert!(used.residence() == Residence::Process);
        }
    });
}

#[test]
fn verify_mac_accepts_what_generate_mac_made_and_answers_false_for_anything_else() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, _, _) in KEYS {
            let made = client
                .generate_mac(generate(name, b"0200 message"))
                .await
                .unwrap()
                .mac;
            let answer = client
                .verify_mac(verify(name, b"0200 message", &made))
                .await
                .unwrap();
            assert!(answer.valid, "{name}");
            let answer = client
                .verify_mac(verify(name, b"0200 massage", &made))
                .await
                .unwrap();
            assert!(!answer.valid, "{name}");
            for at in 0..made.len() {
                let mut wrong = made.clone();
                wrong[at] ^= 1;
                let answer = client
                    .verify_mac(verify(name, b"0200 message", &wrong))
                    .await;
                assert!(!answer.unwrap().valid, "{name} byte {at}");
            }
        }
    });
}

#[test]
fn verify_mac_refuses_a_mac_of_any_length_but_the_policys() {
    world().run(async |world| {
        let client = world.client().await;
        let made = client
            .generate_mac(generate("mac-alg3", b"message"))
            .await
            .unwrap()
            .mac;
        for length in (1..=40).filter(|length| *length != made.len()) {
            let mac: Vec<u8> = made.iter().copied().cycle().take(length).collect();
            let answer = client
                .verify_mac(verify("mac-alg3", b"message", &mac))
                .await;
            assert_refused(answer, Code::InvalidArgument, "MAC_LENGTH", "mac");
        }
        let answer = client.verify_mac(verify("mac-alg3", b"message", &[])).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "mac");
    });
}

#[test]
fn generate_mac_refuses_a_message_longer_than_64_kib_and_takes_the_longest() {
    world().run(async |world| {
        let client = world.client().await;
        let longest = vec![0x5A; MESSAGE_BYTES_MAX];
        client
            .generate_mac(generate("mac-hmac", &longest))
            .await
            .unwrap();
        let longer = vec![0x5A; MESSAGE_BYTES_MAX + 1];
        let answer = client.generate_mac(generate("mac-hmac", &longer)).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "MESSAGE_TOO_LARGE",
            "message",
        );
        // Beyond what is decoded at all: the same reason, and no field was read.
        let longest = vec![0x5A; 2 * MESSAGE_BYTES_MAX];
        let answer = client.generate_mac(generate("mac-hmac", &longest)).await;
        assert_refused(answer, Code::InvalidArgument, "MESSAGE_TOO_LARGE", None);
    });
}

#[test]
fn generate_mac_refuses_an_empty_message_where_padding_would_not_show_it() {
    world().run(async |world| {
        let client = world.client().await;
        let answer = client.generate_mac(generate("mac-padding-1", b"")).await;
        assert_refused(answer, Code::InvalidArgument, "MESSAGE_EMPTY", "message");
        let answer = client
            .verify_mac(verify("mac-padding-1", b"", &[0; 8]))
            .await;
        assert_refused(answer, Code::InvalidArgument, "MESSAGE_EMPTY", "message");
        client
            .generate_mac(generate("mac-hmac", b""))
            .await
            .unwrap();
    });
}

#[test]
fn generate_mac_refuses_keys_of_another_usage_mode_or_state() {
    world().run(async |world| {
        let client = world.client().await;
        for name in ["mac-verify-only", "tpk-tdes", "sign-rsa2"] {
            let answer = client.generate_mac(generate(name, b"message")).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        }
        let answer = client
            .verify_mac(verify("mac-verify-only", b"message", &[0; 8]))
            .await;
        assert!(!answer.unwrap().valid);
        let answer = client
            .verify_mac(verify("mac-generate-only", b"message", &[0; 8]))
            .await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        let answer = client
            .generate_mac(generate("mac-disabled", b"message"))
            .await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_STATE_REFUSED", "key");
    });
}

#[test]
fn generate_mac_refuses_a_key_that_is_missing_malformed_or_unknown() {
    world().run(async |world| {
        let client = world.client().await;
        let ask = async |key: Option<KeyRef>| {
            client
                .generate_mac(GenerateMacRequest {
                    key,
                    message: b"m".to_vec(),
                })
                .await
        };
        let named = |name: &str, version| {
            Some(KeyRef {
                name: name.to_owned(),
                version,
                ..KeyRef::default()
            })
        };
        let answer = ask(None).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "key");
        let answer = ask(named("", 0)).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "key");
        for name in ["MAC", "-mac", "mac/..", "mac alg3", &"a".repeat(64)] {
            let answer = ask(named(name, 0)).await;
            assert_refused(answer, Code::InvalidArgument, "KEY_NAME_MALFORMED", "key");
        }
        let answer = ask(named("mac-nobody-made", 0)).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
        let answer = ask(named("mac-alg3", 7)).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
        ask(named("mac-alg3", 1)).await.unwrap();
    });
}
