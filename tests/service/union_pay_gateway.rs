//! UnionPayGatewayService. UnionPay's own side is played by keys of the world.

use std::collections::HashMap;

use pintle::client::Client;
use pintle::service::pb::v1::{
    CertificateChainFault, CreateCertificateRequestRequest, MacScheme, SignGatewayRequestRequest,
    SignRequest, SignatureScheme, TrustedCertificates, VerifyGatewayResponseRequest,
};
use sha2::{Digest, Sha256};
use tonic::Code;

use crate::partner::openssl;
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

fn verify(name: &str, parameters: HashMap<String, String>) -> VerifyGatewayResponseRequest {
    VerifyGatewayResponseRequest {
        key: key(name),
        parameters,
        trusted: None,
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
            let asked = verify("sign-rsa2", came.clone());
            let answer = client.verify_gateway_response(asked).await.unwrap();
            assert!(answer.valid && answer.signed);
            assert_eq!(answer.empty_values_signed, empty_values_signed);
            for change in [("respCode", "01"), ("signature", ""), ("more", "1")] {
                let mut changed = came.clone();
                changed.insert(change.0.to_owned(), change.1.to_owned());
                let asked = verify("sign-rsa2", changed);
                let answer = client.verify_gateway_response(asked).await.unwrap();
                assert!(!answer.valid, "{change:?}");
                assert_eq!(answer.signed, change.0 != "signature");
            }
        }
    });
}

/// Under a key that both sides know: 32 bytes that are a secureKey's hash.
const SECURE: [(&str, &str, MacScheme); 2] = [
    ("mac-gateway-sha256", "11", MacScheme::UnionpayGatewaySha256),
    ("mac-gateway-sm3", "12", MacScheme::UnionpayGatewaySm3),
];

#[test]
fn sign_gateway_request_accepts_a_secure_key_for_its_sign_method_alone() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, method, scheme) in SECURE {
            let asked = sign(name, &[("signMethod", method), ("certId", "")]);
            let answer = client.sign_gateway_request(asked).await.unwrap();
            assert!(answer.mac_scheme() == scheme);
            assert!(answer.scheme() == SignatureScheme::Unspecified);
            assert!(answer.signature.len() == 64 && answer.key.unwrap().name == name);
            let mut came = parameters(&[("signMethod", method), ("certId", "")]);
            came.insert("signature".to_owned(), answer.signature.clone());
            let asked = verify(name, came.clone());
            let right = client.verify_gateway_response(asked).await.unwrap();
            assert!(right.valid && right.signed && right.mac_scheme() == scheme);
            let signatures = [&answer.signature[2..], "", "no hexadecimal"];
            let changes = signatures.map(|signature| ("signature", signature));
            for (parameter, value) in [("merId", "777290058110098")].into_iter().chain(changes) {
                let mut changed = came.clone();
                changed.insert(parameter.to_owned(), value.to_owned());
                let answer = client.verify_gateway_response(verify(name, changed)).await;
                assert!(!answer.unwrap().valid, "{parameter} {value}");
            }
            for (other, _, _) in SECURE.into_iter().filter(|(other, _, _)| *other != name) {
                let asked = sign(other, &[("signMethod", method), ("certId", "")]);
                let answer = client.sign_gateway_request(asked).await;
                assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
                let answer = client.verify_gateway_response(verify(other, came.clone()));
                let refused = (Code::FailedPrecondition, "KEY_USAGE_REFUSED");
                assert_refused(answer.await, refused.0, refused.1, "key");
            }
        }
    });
}

#[test]
fn verify_gateway_response_refuses_a_key_of_another_sign_method_and_no_parameters() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, method) in [
            ("sign-rsa2", "11"),
            ("mac-gateway-sha256", "01"),
            ("mac-hmac", "11"),
        ] {
            let came = parameters(&[("signMethod", method), ("signature", "00")]);
            let answer = client.verify_gateway_response(verify(name, came)).await;
            assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        }
        let asked = verify("sign-rsa2", HashMap::new());
        let answer = client.verify_gateway_response(asked).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "parameters");
    });
}

/// A certificate of `sign-rsa2`, the authority that gave it, and one that nobody gave.
async fn certificates(client: &Client) -> [String; 3] {
    let asked = CreateCertificateRequestRequest {
        key: key("sign-rsa2"),
        subject: "CN=acp".to_owned(),
    };
    let request = client.create_certificate_request(asked).await.unwrap().pem;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (root, root_key, own) = (at("root.pem"), at("root.key"), at("own.pem"));
    for (name, certificate) in [("CN=root", &root), ("CN=own", &own)] {
        let made = [
            "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
        ];
        let files = ["-subj", &format!("/{name}"), "-keyout", &root_key];
        let (done, said) = openssl(&[&made[..], &files, &["-out", certificate]].concat(), b"");
        assert!(done, "{said}");
        if name == "CN=root" {
            std::fs::copy(&root_key, at("kept.key")).unwrap();
        }
    }
    let (leaf, kept) = (at("leaf.pem"), at("kept.key"));
    let given = ["x509", "-req", "-days", "2", "-CA", &root, "-CAkey", &kept];
    let given = [&given[..], &["-out", &leaf]].concat();
    let (done, said) = openssl(&given, request.as_bytes());
    assert!(done, "{said}");
    [leaf, root, own].map(|path| std::fs::read_to_string(path).unwrap())
}

#[test]
fn verify_gateway_response_accepts_a_certificate_and_says_what_it_is() {
    world().run(async |world| {
        let client = world.client().await;
        let [leaf, root, own] = certificates(&client).await;
        let told = async |certificate: &str, roots: Option<&str>| {
            let named = [("signPubKeyCert", certificate)];
            let answer = client.sign_gateway_request(sign("sign-rsa2", &named)).await;
            let mut came = parameters(&named);
            came.insert("signature".to_owned(), answer.unwrap().signature);
            let asked = VerifyGatewayResponseRequest {
                trusted: roots.map(|roots| TrustedCertificates {
                    intermediates: Vec::new(),
                    roots: roots.into(),
                }),
                ..verify("sign-rsa2", came)
            };
            let answer = client.verify_gateway_response(asked).await;
            answer.map(|answer| {
                assert!(answer.valid);
                answer.certificate
            })
        };
        let named = told(&leaf, Some(&root)).await.unwrap().unwrap();
        assert!(named.known && named.trusted && named.subject_at_fault.is_empty());
        assert_eq!(named.certificate.as_ref().unwrap().subject, "CN=acp");
        let named = told(&leaf, None).await.unwrap().unwrap();
        assert!(named.known && !named.trusted);
        assert!(named.fault() == CertificateChainFault::Unspecified);
        // The message holds under the key; the certificate in it is another's.
        let named = told(&own, Some(&root)).await.unwrap().unwrap();
        assert!(!named.known && !named.trusted);
        assert!(named.fault() == CertificateChainFault::IssuerUnknown);
        assert!(told("no certificate", Some(&root)).await.unwrap().is_none());
        let answer = told(&leaf, Some("no root")).await;
        let refused = (Code::InvalidArgument, "CERTIFICATE_MALFORMED");
        assert_refused(answer, refused.0, refused.1, "trusted.roots");
    });
}
