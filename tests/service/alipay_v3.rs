//! AlipayService, the v3 protocol.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::domain::alipay::SignType;
use pintle::limits::MESSAGE_BYTES_MAX;
use pintle::service::pb::v1::{SignV3RequestRequest, VerifyRequest, VerifyV3ResponseRequest};
use sha2::{Digest, Sha256};
use tonic::Code;

use crate::alipay_verification::{alipay, sign};
use crate::refusal::assert_refused;
use crate::world::{key, world};

fn asked() -> SignV3RequestRequest {
    SignV3RequestRequest {
        key: key("sign-rsa2"),
        method: "POST".to_owned(),
        target: "/v3/alipay/trade/pay?a=%E4+1".to_owned(),
        body: "{\"subject\":\"花呗\"}".as_bytes().to_vec(),
        app_id: "2021000000000001".to_owned(),
        return_string_to_sign: true,
        ..SignV3RequestRequest::default()
    }
}

#[test]
fn sign_v3_request_accepts_a_request_and_makes_nonce_and_time_where_none_are_given() {
    world().run(async |world| {
        let client = world.client().await;
        let answer = client.sign_v3_request(asked()).await.unwrap();
        let string = answer.signed_string.unwrap();
        let (nonce, time) = (&answer.nonce, answer.timestamp_ms);
        let authorization = format!("app_id=2021000000000001,nonce={nonce},timestamp={time}");
        let body = "{\"subject\":\"花呗\"}";
        let lines = format!("{authorization}\nPOST\n/v3/alipay/trade/pay?a=%E4+1\n{body}\n");
        assert_eq!(string.text, lines);
        assert_eq!(string.bytes, lines.as_bytes());
        assert_eq!(string.hex, hex::encode(&lines));
        assert_eq!(string.sha256, hex::encode(Sha256::digest(&lines)));
        assert_eq!(nonce.len(), 36);
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        assert!(now.as_millis().abs_diff(u128::from(time)) < 60_000);
        let prefix = format!("ALIPAY-SHA256withRSA {authorization},sign=");
        let sign = answer.authorization.strip_prefix(&prefix).unwrap();
        let verify = VerifyRequest {
            key: key("sign-rsa2"),
            message: string.bytes,
            signature: STANDARD.decode(sign).unwrap(),
            ..VerifyRequest::default()
        };
        assert!(client.verify(verify).await.unwrap().valid);
        let again = client.sign_v3_request(asked()).await.unwrap();
        assert_ne!(again.nonce, answer.nonce);
    });
}

#[test]
fn sign_v3_request_accepts_nonce_time_certificate_and_token_of_the_callers() {
    world().run(async |world| {
        let client = world.client().await;
        let request = SignV3RequestRequest {
            nonce: "n".to_owned(),
            timestamp_ms: 7,
            app_cert_sn: "5c".to_owned(),
            app_auth_token: "t".to_owned(),
            method: "GET".to_owned(),
            body: Vec::new(),
            ..asked()
        };
        let answer = client.sign_v3_request(request.clone()).await.unwrap();
        let lines = "app_id=2021000000000001,app_cert_sn=5c,nonce=n,timestamp=7\nGET\n\
                     /v3/alipay/trade/pay?a=%E4+1\n\nt\n";
        assert_eq!(answer.signed_string.unwrap().text, lines);
        let silent = SignV3RequestRequest {
            return_string_to_sign: false,
            ..request
        };
        let silent = client.sign_v3_request(silent).await.unwrap();
        assert!(silent.signed_string.is_none());
        assert_eq!(silent.authorization, answer.authorization);
    });
}

#[test]
fn sign_v3_request_refuses_fields_that_would_change_what_is_signed_and_keys_of_other_schemes() {
    world().run(async |world| {
        let client = world.client().await;
        let refuse = async |edit: fn(&mut SignV3RequestRequest), reason, field| {
            let mut request = asked();
            edit(&mut request);
            let answer = client.sign_v3_request(request).await;
            assert_refused(answer, Code::InvalidArgument, reason, field);
        };
        refuse(|it| it.key = None, "MISSING_FIELD", "key").await;
        refuse(|it| it.method.clear(), "MISSING_FIELD", "method").await;
        refuse(|it| it.target.clear(), "MISSING_FIELD", "target").await;
        refuse(|it| it.app_id.clear(), "MISSING_FIELD", "app_id").await;
        let malformed = "FIELD_MALFORMED";
        refuse(|it| it.method.push('\n'), malformed, "method").await;
        refuse(|it| it.target.push('\n'), malformed, "target").await;
        refuse(|it| it.app_id.push(','), malformed, "app_id").await;
        refuse(|it| it.nonce.push('\n'), malformed, "nonce").await;
        refuse(|it| it.app_cert_sn.push(','), malformed, "app_cert_sn").await;
        refuse(
            |it| it.app_auth_token.push('\n'),
            malformed,
            "app_auth_token",
        )
        .await;
        let long = |it: &mut SignV3RequestRequest| it.body = vec![b'x'; MESSAGE_BYTES_MAX + 1];
        refuse(long, "MESSAGE_TOO_LARGE", "body").await;
        for name in ["sign-sm2", "sign-rsa1", "mac-hmac"] {
            let request = SignV3RequestRequest {
                key: key(name),
                ..asked()
            };
            let answer = client.sign_v3_request(request).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        }
    });
}

fn response(name: &str, body: &str) -> VerifyV3ResponseRequest {
    let signed = format!("1795416548300\nn\n{body}\n");
    VerifyV3ResponseRequest {
        key: key(name),
        timestamp: "1795416548300".to_owned(),
        nonce: "n".to_owned(),
        body: body.as_bytes().to_vec(),
        signature: sign(SignType::Rsa2, signed.as_bytes()),
        ..VerifyV3ResponseRequest::default()
    }
}

#[test]
fn verify_v3_response_accepts_what_alipay_signed_and_nothing_else() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        for body in ["{\"code\":\"花\"}", "", "{\n}\n"] {
            let signed = response(name, body);
            assert!(
                client
                    .verify_v3_response(signed.clone())
                    .await
                    .unwrap()
                    .valid
            );
            let edits: [fn(&mut VerifyV3ResponseRequest); 6] = [
                |it| it.body.push(b' '),
                |it| it.nonce.push('x'),
                |it| it.timestamp.push('0'),
                |it| it.signature = "AA==".to_owned(),
                |it| it.signature.insert(0, ' '),
                |it| it.key = key("sign-rsa2"),
            ];
            for edit in edits {
                let mut changed = signed.clone();
                edit(&mut changed);
                assert!(!client.verify_v3_response(changed).await.unwrap().valid);
            }
        }
    });
}

#[test]
fn verify_v3_response_refuses_missing_headers_and_those_that_are_none() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let refuse = async |edit: fn(&mut VerifyV3ResponseRequest), reason, field| {
            let mut request = response(name, "{}");
            edit(&mut request);
            let answer = client.verify_v3_response(request).await;
            assert_refused(answer, Code::InvalidArgument, reason, field);
        };
        refuse(|it| it.key = None, "MISSING_FIELD", "key").await;
        refuse(|it| it.timestamp.clear(), "MISSING_FIELD", "timestamp").await;
        refuse(|it| it.nonce.clear(), "MISSING_FIELD", "nonce").await;
        refuse(|it| it.signature.clear(), "MISSING_FIELD", "signature").await;
        refuse(|it| it.nonce.push('\n'), "FIELD_MALFORMED", "nonce").await;
        refuse(|it| it.timestamp.push('\n'), "FIELD_MALFORMED", "timestamp").await;
        let long = |it: &mut VerifyV3ResponseRequest| it.body = vec![b'x'; MESSAGE_BYTES_MAX + 1];
        refuse(long, "MESSAGE_TOO_LARGE", "body").await;
        let answer = client.verify_v3_response(response("mac-hmac", "{}")).await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
    });
}
