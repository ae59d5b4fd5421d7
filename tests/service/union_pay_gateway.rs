//! UnionPayGatewayService. UnionPay's own side is played by keys of the world.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::service::pb::v1::{
    SignGatewayRequestRequest, SignRequest, SignatureScheme, VerifyGatewayResponseRequest,
};
use sha2::{Digest, Sha256};
use tonic::Code;

use crate::refusal::assert_refused;
use crate::world::{key, world};

fn parameters(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    let fixed = [
        ("version", "5.1.0"),
        ("encoding", "UTF-8"),
        ("signMethod", "01"),
        ("certId", "68759585097"),
        ("merId", "777290058110097"),
        ("orderId", "20261126000001"),
        ("reqReserved", ""),
    ];
    let all = fixed.iter().chain(pairs);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn sign(name: &str, pairs: &[(&str, &str)]) -> SignGatewayRequestRequest {
    SignGatewayRequestRequest {
        key: key(name),
        parameters: parameters(pairs),
        return_string_to_sign: true,
    }
}

#[test]
fn sign_gateway_request_accepts_both_versions_each_under_its_own_hash() {
    world().run(async |world| {
        let client = world.client().await;
        let asked = sign("sign-rsa2", &[("merName", "花店")]);
        let answer = client.sign_gateway_request(asked).await.unwrap();
        let string = "certId=68759585097&encoding=UTF-8&merId=777290058110097&merName=花店\
                      &orderId=20261126000001&signMethod=01&version=5.1.0";
        assert_eq!(answer.signed_string.as_ref().unwrap().text, string);
        // The signature is over the hexadecimal text of the hash.
        let asked = SignRequest {
            key: key("sign-rsa2"),
            message: hex::encode(Sha256::digest(string)).into_bytes(),
            encoding: 0,
        };
        assert_eq!(answer.signature, client.sign(asked).await.unwrap().base64);
        let asked = sign("sign-rsa1", &[("version", "5.0.0")]);
        let answer = client.sign_gateway_request(asked).await.unwrap();
        assert!(answer.scheme() == SignatureScheme::Rsa);
    });
}

#[test]
fn sign_gateway_request_refuses_a_key_of_the_other_version_and_parameters_that_do_not_fit() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, version) in [
            ("sign-rsa1", "5.1.0"),
            ("sign-rsa2", "5.0.0"),
            ("sign-sm2", "5.1.0"),
        ] {
            let answer = client
                .sign_gateway_request(sign(name, &[("version", version)]))
                .await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        }
        for (name, value, field) in [
            ("version", "6.0.0", "parameters.version"),
            ("signMethod", "11", "parameters.signMethod"),
            ("signMethod", "02", "parameters.signMethod"),
            ("certId", "4A5B", "parameters.certId"),
            ("certId", "", "parameters.certId"),
        ] {
            let answer = client
                .sign_gateway_request(sign("sign-rsa2", &[(name, value)]))
                .await;
            assert_refused(answer, Code::InvalidArgument, "PARAMETER_MALFORMED", field);
        }
        let answer = client
            .sign_gateway_request(sign("sign-rsa2", &[("a&b", "1")]))
            .await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "PARAMETER_MALFORMED",
            "parameters",
        );
    });
}

#[test]
fn verify_gateway_response_accepts_empty_values_signed_or_not_and_says_which() {
    world().run(async |world| {
        let client = world.client().await;
        for empty_values_signed in [false, true] {
            let mut came = parameters(&[("respCode", "00"), ("respMsg", "成功[0000000]")]);
            let mut pairs: Vec<_> = came
                .iter()
                .filter(|(_, value)| empty_values_signed || !value.is_empty())
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            pairs.sort();
            let asked = SignRequest {
                key: key("sign-rsa2"),
                message: hex::encode(Sha256::digest(pairs.join("&"))).into_bytes(),
                encoding: 0,
            };
            let signature = client.sign(asked).await.unwrap().base64;
            came.insert("signature".to_owned(), signature);
            let asked = VerifyGatewayResponseRequest {
                key: key("sign-rsa2"),
                parameters: came.clone(),
            };
            let answer = client.verify_gateway_response(asked).await.unwrap();
            assert!(answer.valid && answer.signed);
            assert_eq!(answer.empty_values_signed, empty_values_signed);
            for change in [("respCode", "01"), ("signature", ""), ("more", "1")] {
                let mut changed = came.clone();
                changed.insert(change.0.to_owned(), change.1.to_owned());
                let asked = VerifyGatewayResponseRequest {
                    key: key("sign-rsa2"),
                    parameters: changed,
                };
                let answer = client.verify_gateway_response(asked).await.unwrap();
                assert!(!answer.valid, "{change:?}");
                assert_eq!(answer.signed, change.0 != "signature");
            }
        }
    });
}

#[test]
fn verify_gateway_response_refuses_a_message_under_a_secure_key_and_no_parameters() {
    world().run(async |world| {
        let client = world.client().await;
        let asked = VerifyGatewayResponseRequest {
            key: key("sign-rsa2"),
            parameters: parameters(&[("signMethod", "11"), ("signature", &STANDARD.encode(b"x"))]),
        };
        let answer = client.verify_gateway_response(asked).await;
        let field = "parameters.signMethod";
        assert_refused(answer, Code::InvalidArgument, "PARAMETER_MALFORMED", field);
        let asked = VerifyGatewayResponseRequest {
            key: key("sign-rsa2"),
            parameters: HashMap::new(),
        };
        let answer = client.verify_gateway_response(asked).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "parameters");
    });
}
