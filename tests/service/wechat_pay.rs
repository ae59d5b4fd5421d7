//! WechatPayService. WeChat Pay's own side is played by keys of the world.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::Client;
use pintle::service::pb::v1::{
    DecryptWechatResourceRequest, SignRequest, SignWechatPaymentRequest, SignWechatRequestRequest,
    VerifyRequest, VerifyWechatMessageRequest, WechatPaymentKind, WechatPlatformKey,
};
use tonic::Code;

use crate::refusal::assert_refused;
use crate::world::{key, world};

fn request(name: &str) -> SignWechatRequestRequest {
    SignWechatRequestRequest {
        key: key(name),
        method: "POST".to_owned(),
        target: "/v3/pay/transactions/native".to_owned(),
        body: br#"{"amount":{"total":100}}"#.to_vec(),
        mchid: "1900000001".to_owned(),
        serial_no: "5157F09EFDC096DE15EBE81A47057A7232F1B8E1".to_owned(),
        return_string_to_sign: true,
        ..SignWechatRequestRequest::default()
    }
}

/// A quoted value of the header.
fn quoted<'a>(header: &'a str, name: &str) -> &'a str {
    let (_, rest) = header.split_once(&format!("{name}=\"")).unwrap();
    rest.split_once('"').unwrap().0
}

async fn verifies(client: &Client, name: &str, message: Vec<u8>, signature: &str) -> bool {
    let asked = VerifyRequest {
        key: key(name),
        message,
        signature: STANDARD.decode(signature).unwrap(),
        encoding: 0,
    };
    client.verify(asked).await.unwrap().valid
}

#[test]
fn sign_wechat_request_accepts_rsa_and_sm2_and_makes_the_whole_header() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, scheme) in [
            ("sign-rsa2", "WECHATPAY2-SHA256-RSA2048 "),
            ("sign-sm2", "WECHATPAY2-SM2-WITH-SM3 "),
        ] {
            let answer = client.sign_wechat_request(request(name)).await.unwrap();
            let header = &answer.authorization;
            assert!(header.starts_with(scheme), "{header}");
            assert_eq!(quoted(header, "mchid"), "1900000001");
            assert_eq!(quoted(header, "nonce_str"), answer.nonce);
            assert_eq!(quoted(header, "timestamp"), answer.timestamp.to_string());
            let string = format!(
                "POST\n/v3/pay/transactions/native\n{}\n{}\n{{\"amount\":{{\"total\":100}}}}\n",
                answer.timestamp, answer.nonce
            );
            assert_eq!(answer.signed_string.unwrap().text, string);
            let signature = quoted(header, "signature");
            assert!(verifies(&client, name, string.into_bytes(), signature).await);
        }
        // Without a body the last newline stays, and no two nonces are the same.
        let get = SignWechatRequestRequest {
            method: "GET".to_owned(),
            body: Vec::new(),
            timestamp: 1_795_416_548,
            ..request("sign-rsa2")
        };
        let one = client.sign_wechat_request(get.clone()).await.unwrap();
        let other = client.sign_wechat_request(get).await.unwrap();
        assert!(one.signed_string.unwrap().text.ends_with("\n\n"));
        assert!(one.nonce != other.nonce && one.timestamp == 1_795_416_548);
    });
}

#[test]
fn sign_wechat_request_refuses_what_would_break_the_header_or_the_string() {
    world().run(async |world| {
        let client = world.client().await;
        let good = || request("sign-rsa2");
        for (field, asked) in [
            (
                "method",
                SignWechatRequestRequest {
                    method: "post".to_owned(),
                    ..good()
                },
            ),
            (
                "target",
                SignWechatRequestRequest {
                    target: "v3/pay".to_owned(),
                    ..good()
                },
            ),
            (
                "target",
                SignWechatRequestRequest {
                    target: "/a\nb".to_owned(),
                    ..good()
                },
            ),
            (
                "mchid",
                SignWechatRequestRequest {
                    mchid: "1\",x=\"".to_owned(),
                    ..good()
                },
            ),
            (
                "serial_no",
                SignWechatRequestRequest {
                    serial_no: String::new(),
                    ..good()
                },
            ),
            (
                "nonce",
                SignWechatRequestRequest {
                    nonce: "a\n".to_owned(),
                    ..good()
                },
            ),
        ] {
            let answer = client.sign_wechat_request(asked).await;
            assert_refused(answer, Code::InvalidArgument, "FIELD_MALFORMED", field);
        }
        let answer = client.sign_wechat_request(request("sign-rsa1")).await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
    });
}

fn payment(name: &str, kind: WechatPaymentKind) -> SignWechatPaymentRequest {
    SignWechatPaymentRequest {
        key: key(name),
        kind: kind.into(),
        appid: "wx8888888888888888".to_owned(),
        prepay_id: "wx201410272009395522657a690389285100".to_owned(),
        nonce: "5K8264ILTKCH16CQ2502SI8ZNMTM67VS".to_owned(),
        timestamp: 1_414_561_699,
    }
}

#[test]
fn sign_wechat_payment_accepts_jsapi_and_app() {
    world().run(async |world| {
        let client = world.client().await;
        for (kind, package) in [
            (
                WechatPaymentKind::Jsapi,
                "prepay_id=wx201410272009395522657a690389285100",
            ),
            (
                WechatPaymentKind::App,
                "wx201410272009395522657a690389285100",
            ),
        ] {
            for (name, sign_type) in [("sign-rsa2", "RSA"), ("sign-sm2", "SM2")] {
                let answer = client
                    .sign_wechat_payment(payment(name, kind))
                    .await
                    .unwrap();
                assert_eq!(answer.sign_type, sign_type);
                let string = format!(
                    "wx8888888888888888\n1414561699\n5K8264ILTKCH16CQ2502SI8ZNMTM67VS\n{package}\n"
                );
                assert!(verifies(&client, name, string.into_bytes(), &answer.pay_sign).await);
            }
        }
    });
}

#[test]
fn sign_wechat_payment_refuses_no_kind_and_a_prepay_id_of_two_lines() {
    world().run(async |world| {
        let client = world.client().await;
        let asked = payment("sign-rsa2", WechatPaymentKind::Unspecified);
        let answer = client.sign_wechat_payment(asked).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "kind");
        let asked = SignWechatPaymentRequest {
            prepay_id: "a\nb".to_owned(),
            ..payment("sign-rsa2", WechatPaymentKind::App)
        };
        let answer = client.sign_wechat_payment(asked).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "FIELD_MALFORMED",
            "prepay_id",
        );
    });
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// Both keys of a migration, and a message that the one of `serial` has signed.
async fn message(client: &Client, serial: &str, signer: &str) -> VerifyWechatMessageRequest {
    let (timestamp, nonce, body) = (now(), "fdasflkja484w", "{\"id\":\"花\"}".as_bytes());
    let string = [format!("{timestamp}\n{nonce}\n").as_bytes(), body, b"\n"].concat();
    let asked = SignRequest {
        key: key(signer),
        message: string,
        encoding: 0,
    };
    let platform = |serial: &str, name: &str| WechatPlatformKey {
        serial: serial.to_owned(),
        key: key(name),
    };
    VerifyWechatMessageRequest {
        keys: vec![
            platform("408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB", "sign-rsa2"),
            platform("PUB_KEY_ID_0114232134912410000000000000", "sign-sm2"),
        ],
        serial: serial.to_owned(),
        timestamp,
        nonce: nonce.to_owned(),
        body: body.to_vec(),
        signature: client.sign(asked).await.unwrap().base64,
    }
}

#[test]
fn verify_wechat_message_accepts_either_key_of_a_migration_and_says_what_is_wrong() {
    world().run(async |world| {
        let client = world.client().await;
        let (certificate, public_key) = (
            "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB",
            "PUB_KEY_ID_0114232134912410000000000000",
        );
        for (serial, signer) in [(certificate, "sign-rsa2"), (public_key, "sign-sm2")] {
            let good = message(&client, serial, signer).await;
            let answer = client.verify_wechat_message(good.clone()).await.unwrap();
            assert!(
                answer.valid && !answer.stale && !answer.serial_unknown,
                "{serial}"
            );
            assert_eq!(answer.key.unwrap().name, signer);
            let mut changed = good.clone();
            changed.body.push(b' ');
            assert!(!client.verify_wechat_message(changed).await.unwrap().valid);
            let mut broken = good.clone();
            broken.signature = "WECHATPAY/SIGNTEST/abc".to_owned();
            assert!(!client.verify_wechat_message(broken).await.unwrap().valid);
            // The serial decides the key: the other one's signature is not right under it.
            let other = if serial == certificate {
                public_key
            } else {
                certificate
            };
            let mut swapped = good;
            swapped.serial = other.to_owned();
            assert!(!client.verify_wechat_message(swapped).await.unwrap().valid);
        }
        let mut unknown = message(&client, certificate, "sign-rsa2").await;
        unknown.serial = "00".to_owned();
        let answer = client.verify_wechat_message(unknown).await.unwrap();
        assert!(answer.serial_unknown && !answer.valid && answer.key.is_none());
        let mut old = message(&client, certificate, "sign-rsa2").await;
        old.timestamp -= 3600;
        assert!(client.verify_wechat_message(old).await.unwrap().stale);
    });
}

#[test]
fn verify_wechat_message_refuses_no_keys_too_many_and_keys_of_other_schemes() {
    world().run(async |world| {
        let client = world.client().await;
        let serial = "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB";
        let good = message(&client, serial, "sign-rsa2").await;
        let nine = vec![good.keys[0].clone(); 9];
        for keys in [Vec::new(), nine] {
            let asked = VerifyWechatMessageRequest {
                keys,
                ..good.clone()
            };
            let answer = client.verify_wechat_message(asked).await;
            assert_refused(answer, Code::InvalidArgument, "FIELD_MALFORMED", "keys");
        }
        let mut asked = good;
        asked.keys[0].key = key("sign-rsa1");
        let answer = client.verify_wechat_message(asked).await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
    });
}

/// A callback under the test key of `keys.toml`, made with Python's cryptography (AES-256-GCM).
fn resource() -> DecryptWechatResourceRequest {
    DecryptWechatResourceRequest {
        key: key("data-wechat"),
        algorithm: "AEAD_AES_256_GCM".to_owned(),
        nonce: "fdasflkja484".to_owned(),
        associated_data: "transaction".to_owned(),
        ciphertext: "HTydgU/OEelwPB47x0tOC1weX0H2z99GPCZnBLTmHwQE5AuG5qPYJWWPxy9XOHkKEQaoY45/BgD+\
                     0ZWPed0Tl5lhBN6Deu+O3nfZ143nApIcXZwFpD1OZX+Q3A=="
            .to_owned(),
    }
}

/// The same under SM4, made with the same library.
fn resource_sm4() -> DecryptWechatResourceRequest {
    DecryptWechatResourceRequest {
        key: key("data-wechat-sm4"),
        algorithm: "AEAD_SM4_GCM".to_owned(),
        ciphertext: "TjrmiXIBHDlhofGPbPqGRtoZeBVP0bCAjfox+/P00mgTVanCn2O4KVUEtN/jiqjuBGPyyMlz6zds\
                     F3dX+tL1gO1llRGj0m1+P8nm5Ny/xm5DA+sGzJPlOUtlag=="
            .to_owned(),
        ..resource()
    }
}

type Change = fn(&mut DecryptWechatResourceRequest);

#[test]
fn decrypt_wechat_resource_accepts_aes_and_sm4() {
    world().run(async |world| {
        let client = world.client().await;
        let clear = r#"{"out_trade_no":"20261127000001","trade_state":"SUCCESS","attach":"花店"}"#;
        for asked in [resource(), resource_sm4()] {
            let name = asked.key.as_ref().unwrap().name.clone();
            let answer = client.decrypt_wechat_resource(asked).await.unwrap();
            assert_eq!(String::from_utf8(answer.data).unwrap(), clear);
            assert_eq!(answer.key.unwrap().name, name);
        }
    });
}

#[test]
fn decrypt_wechat_resource_refuses_what_was_changed_and_what_is_no_resource() {
    world().run(async |world| {
        let client = world.client().await;
        let changed: [Change; 3] = [
            |asked| asked.nonce = "fdasflkja485".to_owned(),
            |asked| asked.associated_data = "refund".to_owned(),
            |asked| asked.ciphertext.replace_range(..1, "I"),
        ];
        for change in changed {
            for mut asked in [resource(), resource_sm4()] {
                change(&mut asked);
                let answer = client.decrypt_wechat_resource(asked).await;
                assert_refused(answer, Code::InvalidArgument, "DATA_REJECTED", "ciphertext");
            }
        }
        let malformed: [(Change, &str); 4] = [
            (|asked| asked.algorithm = "AES".to_owned(), "algorithm"),
            (|asked| asked.nonce.push('1'), "nonce"),
            (
                |asked| asked.associated_data = "a".repeat(2049),
                "associated_data",
            ),
            (|asked| asked.ciphertext.insert(7, ' '), "ciphertext"),
        ];
        for (change, field) in malformed {
            let mut asked = resource();
            change(&mut asked);
            let answer = client.decrypt_wechat_resource(asked).await;
            assert_refused(answer, Code::InvalidArgument, "FIELD_MALFORMED", field);
        }
        for name in ["data-wechat-sm4", "data-cbc-aes", "sign-rsa2"] {
            let asked = DecryptWechatResourceRequest {
                key: key(name),
                ..resource()
            };
            let answer = client.decrypt_wechat_resource(asked).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        }
    });
}
