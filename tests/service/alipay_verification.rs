//! AlipayService, what it verifies. Alipay's own side is played here, by the test keys of the
//! vectors: what is checked was never signed by the code that checks it.

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, RsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::{Client, Error};
use pintle::domain::alipay::SignType;
use pintle::domain::sm2;
use pintle::keys::attributes::{Algorithm, Exportability, Mode, Usage};
use pintle::keys::import;
use pintle::keys::key_policy::KeyPolicy;
use pintle::keys::key_ref::KeyName;
use pintle::keys::spec::KeySpec;
use pintle::limits::MESSAGE_BYTES_MAX;
use pintle::secret::Secret;
use pintle::service::pb::v1::{SignatureScheme, VerifyResponseRequest, VerifyResponseResponse};
use serde_json::Value;
use tokio::sync::OnceCell;
use tonic::Code;

use crate::refusal::assert_refused;
use crate::world::{World, key, world};

/// The vectors.
static GROUPS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../vectors/alipay/alipay.json")).unwrap());
/// Their keys.
static KEYS: LazyLock<&Value> = LazyLock::new(|| &GROUPS["keys"]);

/// The name of Alipay's key of a scheme, imported the first time.
pub async fn alipay(world: &'static World, scheme: SignType) -> &'static str {
    static IMPORTED: OnceCell<()> = OnceCell::const_new();
    let all = async || {
        for scheme in [SignType::Rsa2, SignType::Sm2] {
            import(world, name_of(scheme), scheme).await;
        }
    };
    IMPORTED.get_or_init(all).await;
    name_of(scheme)
}

fn name_of(scheme: SignType) -> &'static str {
    match scheme {
        SignType::Rsa | SignType::Rsa2 => "sign-alipay-rsa2",
        SignType::Sm2 => "sign-alipay-sm2",
    }
}

async fn import(world: &World, name: &str, scheme: SignType) {
    let (pem, algorithm) = match scheme {
        SignType::Rsa | SignType::Rsa2 => ("alipay_rsa_pkcs8", Algorithm::Rsa2048),
        SignType::Sm2 => ("alipay_sm2_pkcs8", Algorithm::Sm2),
    };
    let spec = KeySpec {
        name: KeyName::parse(name).unwrap(),
        usage: Usage::Signature,
        mode: Mode::Sign,
        side: None,
        algorithm,
        exportability: Exportability::NonExportable,
        residence: Usage::Signature.residence(algorithm),
        policy: KeyPolicy {
            signature: Some(scheme),
            ..KeyPolicy::default()
        },
    };
    let pem = Secret::new(KEYS[pem].as_str().unwrap().to_owned());
    let tenant = KeyName::parse("default").unwrap();
    import::import_pkcs8(&world.context.catalogue, &tenant, spec, &pem)
        .await
        .unwrap();
}

/// Alipay's signature, in base64.
pub fn sign(scheme: SignType, content: &[u8]) -> String {
    let der = |name: &str| {
        let pem = KEYS[name].as_str().unwrap();
        der::Document::from_pem(pem).unwrap().1.into_vec()
    };
    if scheme == SignType::Sm2 {
        let key = sm2::PrivateKey::from_pkcs8(&der("alipay_sm2_pkcs8")).unwrap();
        let signed = sm2::sign(&key, sm2::ID_DEFAULT, content, &[7; 32]);
        return STANDARD.encode(signed.to_der());
    }
    let key = RsaKeyPair::from_pkcs8(&der("alipay_rsa_pkcs8")).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(
        &signature::RSA_PKCS1_SHA256,
        &SystemRandom::new(),
        content,
        &mut signature,
    )
    .unwrap();
    STANDARD.encode(signature)
}

const METHOD: &str = "alipay.trade.query";
const NODE: &str = "alipay_trade_query_response";

/// A body with this node, signed.
fn body(scheme: SignType, node: &str, content: &str) -> String {
    let sign = sign(scheme, content.as_bytes());
    format!(r#"{{"{node}":{content},"alipay_cert_sn":"5c","sign":"{sign}"}}"#)
}

fn asked(name: &str, body: &str) -> VerifyResponseRequest {
    VerifyResponseRequest {
        key: key(name),
        body: body.as_bytes().to_vec(),
        method: METHOD.to_owned(),
        ..VerifyResponseRequest::default()
    }
}

async fn response(
    client: &Client,
    name: &str,
    body: &str,
) -> Result<VerifyResponseResponse, Error> {
    client.verify_response(asked(name, body)).await
}

#[test]
fn verify_response_accepts_what_alipay_signed_under_each_scheme() {
    world().run(async |world| {
        let client = world.client().await;
        let content = r#"{"code":"10000","subject":"a } \"sign\":\"x\" 花"}"#;
        for (scheme, said) in [
            (SignType::Rsa2, SignatureScheme::Rsa2),
            (SignType::Sm2, SignatureScheme::Sm2),
        ] {
            let name = alipay(world, scheme).await;
            let answer = response(&client, name, &body(scheme, NODE, content))
                .await
                .unwrap();
            assert!(answer.valid && answer.signed && !answer.failure);
            assert!(answer.scheme() == said);
            assert_eq!(answer.node, NODE);
            assert_eq!(answer.content, content.as_bytes());
            assert_eq!(answer.alipay_cert_sn, "5c");
            assert_eq!(answer.key.unwrap().name, name);
        }
    });
}

#[test]
fn verify_response_accepts_errors_encrypted_values_plain_slashes_and_nodes_by_name() {
    world().run(async |world| {
        let client = world.client().await;
        let scheme = SignType::Rsa2;
        let name = alipay(world, scheme).await;
        let error = r#"{"code":"40002","sub_code":"isv.invalid-signature"}"#;
        let answer = response(&client, name, &body(scheme, "error_response", error))
            .await
            .unwrap();
        assert!(answer.valid && answer.failure);
        assert_eq!(answer.node, "error_response");

        let answer = response(&client, name, &body(scheme, NODE, "\"AbC=\""))
            .await
            .unwrap();
        assert!(answer.valid);
        assert_eq!(answer.content, b"\"AbC=\"");

        let sign = sign(scheme, br#"{"qr_code":"https://qr.alipay.com/x"}"#);
        let escaped =
            format!(r#"{{"{NODE}":{{"qr_code":"https:\/\/qr.alipay.com\/x"}},"sign":"{sign}"}}"#);
        let answer = response(&client, name, &escaped).await.unwrap();
        assert!(answer.valid && answer.matched_unescaped);
        assert_eq!(answer.content, br#"{"qr_code":"https://qr.alipay.com/x"}"#);

        let asked = VerifyResponseRequest {
            method: String::new(),
            node: "response".to_owned(),
            ..asked(name, &body(scheme, "response", "\"AbC=\""))
        };
        assert!(client.verify_response(asked).await.unwrap().valid);
    });
}

#[test]
fn verify_response_accepts_no_change_and_no_other_scheme() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let signed = body(SignType::Rsa2, NODE, r#"{"total_amount":"0.01"}"#);
        let mut responses = GROUPS["v2_response"].as_array().unwrap().iter();
        let weaker = responses.find(|case| case["sign_type"] == "RSA").unwrap();
        let weaker = weaker["raw_response_utf8"].as_str().unwrap().to_owned();
        for body in [
            signed.replace("0.01", "9.01"),
            signed.replace("\":\"0.01", "\": \"0.01"),
            signed.replace("\"sign\":\"", "\"sign\":\" "),
            weaker,
        ] {
            let answer = response(&client, name, &body).await.unwrap();
            assert!(!answer.valid && answer.signed, "{body}");
        }
        let answer = response(&client, "sign-rsa2", &signed).await.unwrap();
        assert!(!answer.valid);
    });
}

#[test]
fn verify_response_accepts_unsigned_bodies_as_not_valid_and_says_which_tell_a_failure() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        for (node, content, failure) in [
            (NODE, r#"{"code":"10000"}"#, false),
            ("error_response", r#"{"code":"40002"}"#, true),
            (
                NODE,
                r#"{"code":"40004","sub_code":"ACQ.TRADE_NOT_EXIST"}"#,
                true,
            ),
        ] {
            let body = format!(r#"{{"{node}":{content}}}"#);
            let answer = response(&client, name, &body).await.unwrap();
            assert!(!answer.valid && !answer.signed);
            assert_eq!(answer.failure, failure, "{body}");
            assert_eq!(answer.content, content.as_bytes());
        }
    });
}

#[test]
fn verify_response_refuses_bodies_without_one_signed_node() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let signed = body(SignType::Rsa2, NODE, "{}");
        let twice = signed.replacen('{', &format!(r#"{{"{NODE}":{{"code":"10000"}},"#), 1);
        let after = signed.replace(
            "\"alipay_cert_sn\"",
            &format!("\"x\":{{\"{NODE}\":{{}}}},\"y\""),
        );
        for (body, reason) in [
            ("<html>502</html>", "RESPONSE_MALFORMED"),
            ("{}", "RESPONSE_NODE_MISSING"),
            (twice.as_str(), "RESPONSE_NODE_TWICE"),
            (after.as_str(), "RESPONSE_NODE_TWICE"),
        ] {
            let answer = response(&client, name, body).await;
            assert_refused(answer, Code::InvalidArgument, reason, "body");
        }
        let long = format!(r#"{{"{NODE}":"{}"}}"#, "x".repeat(MESSAGE_BYTES_MAX));
        let answer = response(&client, name, &long).await;
        assert_refused(answer, Code::InvalidArgument, "MESSAGE_TOO_LARGE", "body");
    });
}

#[test]
fn verify_response_refuses_other_keys_and_requests_that_do_not_say_what_was_signed() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let answer = response(&client, "mac-hmac", "{\"error_response\":{}}").await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        let answer = response(&client, "sign-alipay-nobody", "{\"error_response\":{}}").await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
        let refuse = async |edit: fn(&mut VerifyResponseRequest), reason, field| {
            let mut request = asked(name, "{}");
            edit(&mut request);
            let answer = client.verify_response(request).await;
            assert_refused(answer, Code::InvalidArgument, reason, field);
        };
        refuse(|all| all.key = None, "MISSING_FIELD", "key").await;
        refuse(|all| all.body.clear(), "MISSING_FIELD", "body").await;
        refuse(|all| all.method.clear(), "MISSING_FIELD", "method").await;
        refuse(|all| all.node = "n".to_owned(), "FIELD_SUPERFLUOUS", "node").await;
        refuse(
            |all| all.method = "a b".to_owned(),
            "FIELD_MALFORMED",
            "node",
        )
        .await;
    });
}
