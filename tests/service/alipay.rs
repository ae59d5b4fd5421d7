//! AlipayService.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::{Client, Error};
use pintle::limits::{ALIPAY_NAME_BYTES_MAX, ALIPAY_PARAMETERS_MAX};
use pintle::service::pb::v1::{
    Residence, SignRequestRequest, SignRequestResponse, SignatureScheme, VerifyRequest,
};
use tonic::Code;

use crate::refusal::assert_refused;
use crate::world::{key, world};

/// A Huabei instalment payment, to be signed under `sign_type`.
fn payment(sign_type: &str) -> HashMap<String, String> {
    [
        ("app_id", "2021000000000001"),
        ("method", "alipay.trade.precreate"),
        ("charset", "utf-8"),
        ("sign_type", sign_type),
        ("timestamp", "2026-11-23 06:47:58"),
        ("version", "1.0"),
        ("app_auth_token", ""),
        (
            "biz_content",
            r#"{"subject":"花呗 & 100%","extend_params":{"hb_fq_num":"3","hb_fq_seller_percent":"0"}}"#,
        ),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

async fn ask(
    client: &Client,
    name: &str,
    parameters: HashMap<String, String>,
) -> Result<SignRequestResponse, Error> {
    let request = SignRequestRequest {
        key: key(name),
        parameters,
        return_string_to_sign: true,
    };
    client.sign_request(request).await
}

/// A string-to-sign and the key's signature of it.
pub async fn signed(client: &Client, name: &str, sign_type: &str) -> (Vec<u8>, Vec<u8>) {
    let answer = ask(client, name, payment(sign_type)).await.unwrap();
    (answer.string_to_sign, STANDARD.decode(answer.sign).unwrap())
}

#[test]
fn sign_request_accepts_rsa_rsa2_and_sm2_and_each_signature_verifies() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, sign_type, scheme, residence) in [
            ("sign-rsa1", "RSA", SignatureScheme::Rsa, Residence::Token),
            ("sign-rsa2", "RSA2", SignatureScheme::Rsa2, Residence::Token),
            ("sign-sm2", "SM2", SignatureScheme::Sm2, Residence::Process),
        ] {
            let answer = ask(&client, name, payment(sign_type)).await.unwrap();
            assert!(answer.scheme() == scheme, "{name}");
            assert!(
                answer.key.as_ref().unwrap().residence() == residence,
                "{name}"
            );
            let expected = format!(
                "app_id=2021000000000001&biz_content={{\"subject\":\"花呗 & 100%\",\
                 \"extend_params\":{{\"hb_fq_num\":\"3\",\"hb_fq_seller_percent\":\"0\"}}}}\
                 &charset=utf-8&method=alipay.trade.precreate&sign_type={sign_type}\
                 &timestamp=2026-11-23 06:47:58&version=1.0"
            );
            assert_eq!(
                String::from_utf8(answer.string_to_sign.clone()).unwrap(),
                expected
            );
            let request = VerifyRequest {
                key: key(name),
                message: answer.string_to_sign,
                signature: STANDARD.decode(&answer.sign).unwrap(),
                ..VerifyRequest::default()
            };
            assert!(client.verify(request).await.unwrap().valid, "{name}");
        }
    });
}

#[test]
fn sign_request_accepts_silence_about_the_string_to_sign() {
    world().run(async |world| {
        let client = world.client().await;
        let request = SignRequestRequest {
            key: key("sign-sm2"),
            parameters: payment("SM2"),
            return_string_to_sign: false,
        };
        assert!(
            client
                .sign_request(request)
                .await
                .unwrap()
                .string_to_sign
                .is_empty()
        );
    });
}

#[test]
fn two_sm2_signatures_of_one_request_differ_and_two_rsa_signatures_do_not() {
    world().run(async |world| {
        let client = world.client().await;
        let (_, first) = signed(&client, "sign-sm2", "SM2").await;
        assert_ne!(first, signed(&client, "sign-sm2", "SM2").await.1);
        let (_, first) = signed(&client, "sign-rsa2", "RSA2").await;
        assert_eq!(first, signed(&client, "sign-rsa2", "RSA2").await.1);
    });
}

#[test]
fn sign_request_refuses_a_sign_type_that_is_not_the_keys() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, sign_type) in [
            ("sign-rsa2", "RSA"),
            ("sign-rsa2", "SM2"),
            ("sign-sm2", "RSA2"),
        ] {
            let answer = ask(&client, name, payment(sign_type)).await;
            let field = "parameters.sign_type";
            assert_refused(answer, Code::InvalidArgument, "SIGN_TYPE_MISMATCH", field);
        }
    });
}

#[test]
fn sign_request_refuses_parameters_that_cannot_be_signed() {
    world().run(async |world| {
        let client = world.client().await;
        let refuse = async |edit: fn(&mut HashMap<String, String>), reason, field| {
            let mut parameters = payment("RSA2");
            edit(&mut parameters);
            let answer = ask(&client, "sign-rsa2", parameters).await;
            assert_refused(answer, Code::InvalidArgument, reason, field);
        };
        let sign_type = "parameters.sign_type";
        refuse(
            |all| drop(all.remove("sign_type")),
            "PARAMETER_MISSING",
            sign_type,
        )
        .await;
        refuse(
            |all| put(all, "sign_type", "MD5"),
            "PARAMETER_MALFORMED",
            sign_type,
        )
        .await;
        refuse(
            |all| put(all, "charset", "latin-9"),
            "CHARSET_UNKNOWN",
            "parameters.charset",
        )
        .await;
        refuse(
            |all| put(all, "a&b", "1"),
            "PARAMETER_MALFORMED",
            "parameters",
        )
        .await;
        refuse(|all| put(all, "", "1"), "PARAMETER_MALFORMED", "parameters").await;
        refuse(
            |all| put(all, &"n".repeat(ALIPAY_NAME_BYTES_MAX + 1), "1"),
            "PARAMETER_MALFORMED",
            "parameters",
        )
        .await;
        let many = |all: &mut HashMap<String, String>| {
            (0..ALIPAY_PARAMETERS_MAX).for_each(|at| put(all, &format!("p{at}"), "1"));
        };
        refuse(many, "PARAMETER_TOO_MANY", "parameters").await;
        refuse(HashMap::clear, "MISSING_FIELD", "parameters").await;
        let long = |all: &mut HashMap<String, String>| put(all, "biz_content", &"x".repeat(65536));
        refuse(long, "MESSAGE_TOO_LARGE", "parameters").await;
    });
}

#[test]
fn sign_request_refuses_a_key_that_does_not_sign() {
    world().run(async |world| {
        let client = world.client().await;
        let answer = ask(&client, "mac-hmac", payment("RSA2")).await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        let answer = ask(&client, "sign-nobody", payment("RSA2")).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
    });
}

fn put(parameters: &mut HashMap<String, String>, name: &str, value: &str) {
    parameters.insert(name.to_owned(), value.to_owned());
}
