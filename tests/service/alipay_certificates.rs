//! AlipayService: certificates. Their serials and chains are those of `alipay.json`.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::Client;
use pintle::limits::CERTIFICATES_MAX;
use pintle::service::pb::v1::{
    CertificateChainFault, CertificateKind, CheckCertificateChainRequest,
    CheckCertificateChainResponse, ComputeCertificateSerialRequest, SignatureScheme,
};
use prost_types::Timestamp;
use serde_json::Value;
use tonic::Code;

use crate::refusal::assert_refused;
use crate::world::world;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/alipay/alipay.json")).unwrap()
}

fn pem<'a>(vectors: &'a Value, name: &str) -> &'a str {
    vectors["cert_chain"][name].as_str().unwrap()
}

fn serial_of(
    pem: &[u8],
    kind: CertificateKind,
    scheme: SignatureScheme,
) -> ComputeCertificateSerialRequest {
    ComputeCertificateSerialRequest {
        certificates: pem.to_vec(),
        kind: kind.into(),
        sign_type: scheme.into(),
    }
}

/// A leaf of the vectors, at a time when all of its chain is valid.
fn chain(vectors: &Value) -> CheckCertificateChainRequest {
    CheckCertificateChainRequest {
        leaf: pem(vectors, "alipay_leaf").into(),
        intermediates: pem(vectors, "intermediate").into(),
        roots: pem(vectors, "root").into(),
        time: at(JANUARY_2027),
    }
}

const JANUARY_2027: i64 = 1_800_000_000;

#[expect(clippy::unnecessary_wraps, reason = "an optional field")]
fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

async fn check(
    client: &Client,
    asked: CheckCertificateChainRequest,
) -> CheckCertificateChainResponse {
    client.check_certificate_chain(asked).await.unwrap()
}

#[test]
fn compute_certificate_serial_accepts_every_vector_and_every_form() {
    world().run(async |world| {
        let client = world.client().await;
        let vectors = vectors();
        let none = SignatureScheme::Unspecified;
        for case in vectors["cert_sn"].as_array().unwrap() {
            let bundle = case["pem"].as_str().unwrap();
            if let Some(sn) = case["sn"].as_str() {
                let dense: String = bundle
                    .lines()
                    .filter(|line| !line.starts_with('-'))
                    .collect();
                let der = STANDARD.decode(&dense);
                let forms = [
                    bundle.as_bytes().to_vec(),
                    bundle.replace('\n', "\r\n").into_bytes(),
                    format!("CN = above\n{bundle}and below").into_bytes(),
                    dense.clone().into_bytes(),
                    der.unwrap(),
                ];
                for form in &forms {
                    for kind in [CertificateKind::App, CertificateKind::Alipay] {
                        let asked = serial_of(form, kind, none);
                        let answer = client.compute_certificate_serial(asked).await.unwrap();
                        assert_eq!(answer.serial, sn);
                        let one = &answer.certificates[0];
                        assert_eq!(one.alipay_serial, sn);
                        assert_eq!(
                            Some(one.serial_number.as_str()),
                            case["serial_dec"].as_str()
                        );
                    }
                }
            } else {
                for (scheme, field) in [
                    (SignatureScheme::Rsa, "root_sn_rsa_java"),
                    (SignatureScheme::Rsa2, "root_sn_rsa_java"),
                    (SignatureScheme::Sm2, "root_sn_sm2_java"),
                ] {
                    let asked = serial_of(bundle.as_bytes(), CertificateKind::Root, scheme);
                    let answer = client.compute_certificate_serial(asked).await.unwrap();
                    assert_eq!(Some(answer.serial.as_str()), case[field].as_str());
                    assert_eq!(answer.certificates.len(), 4);
                }
            }
        }
    });
}

#[test]
fn compute_certificate_serial_accepts_a_bundle_and_says_what_an_operator_wants_to_know() {
    world().run(async |world| {
        let client = world.client().await;
        let vectors = vectors();
        let both = [pem(&vectors, "app_leaf"), pem(&vectors, "root")].concat();
        let none = SignatureScheme::Unspecified;
        let asked = serial_of(both.as_bytes(), CertificateKind::App, none);
        let answer = client.compute_certificate_serial(asked).await.unwrap();
        let [leaf, root] = answer.certificates.as_slice() else {
            panic!("two certificates");
        };
        assert_eq!(answer.serial, leaf.alipay_serial);
        assert_eq!(
            leaf.subject,
            "CN=2088000000000000-2021000000000001,OU=pos,O=merchant,C=CN"
        );
        assert_eq!(
            leaf.issuer,
            "CN=Test Class 2 R1,OU=Certification Authority,O=Test Org,C=CN"
        );
        assert_eq!(leaf.serial_hex, "2021012345678901234567");
        assert_eq!(leaf.signature_algorithm, "SHA256withRSA");
        assert_eq!(leaf.key_algorithm, "RSA-2048");
        assert_eq!(leaf.not_before, at(1_795_416_846));
        assert_eq!(leaf.not_after, at(1_826_952_846));
        assert_eq!(root.subject, root.issuer);
        let bundle = vectors["cert_sn"][3]["pem"].as_str().unwrap();
        let asked = serial_of(
            bundle.as_bytes(),
            CertificateKind::Root,
            SignatureScheme::Sm2,
        );
        let answer = client.compute_certificate_serial(asked).await.unwrap();
        let said = answer.certificates.iter();
        let said: Vec<_> = said
            .map(|one| (one.signature_algorithm.as_str(), one.key_algorithm.as_str()))
            .collect();
        let rsa = ("SHA256withRSA", "RSA-2048");
        let expected = [rsa, ("SM3withSM2", "SM2"), rsa, ("1.2.840.10045.4.3.2", "")];
        assert_eq!(said, expected);
    });
}

#[test]
fn compute_certificate_serial_refuses_what_is_no_certificate_and_what_does_not_go_together() {
    world().run(async |world| {
        let client = world.client().await;
        let vectors = vectors();
        let (none, app) = (SignatureScheme::Unspecified, CertificateKind::App);
        let leaf = pem(&vectors, "app_leaf").as_bytes().to_vec();
        let refuse = async |asked, reason, field: &'static str| {
            let answer = client.compute_certificate_serial(asked).await;
            assert_refused(answer, Code::InvalidArgument, reason, field);
        };
        let field = "certificates";
        refuse(serial_of(b"", app, none), "MISSING_FIELD", field).await;
        refuse(
            serial_of(b"hello", app, none),
            "CERTIFICATE_MALFORMED",
            field,
        )
        .await;
        let cut = &leaf[..leaf.len() - 40];
        refuse(serial_of(cut, app, none), "CERTIFICATE_MALFORMED", field).await;
        let key = vectors["keys"]["app_rsa_pkcs8"].as_str().unwrap();
        let both = [&leaf[..], key.as_bytes()].concat();
        refuse(
            serial_of(&both, app, none),
            "CERTIFICATE_OTHER_BLOCK",
            field,
        )
        .await;
        let many = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n";
        let many = many.repeat(CERTIFICATES_MAX + 1);
        refuse(
            serial_of(many.as_bytes(), app, none),
            "MESSAGE_TOO_LARGE",
            field,
        )
        .await;
        let unspecified = CertificateKind::Unspecified;
        refuse(serial_of(&leaf, unspecified, none), "MISSING_FIELD", "kind").await;
        let rsa2 = SignatureScheme::Rsa2;
        refuse(
            serial_of(&leaf, app, rsa2),
            "FIELD_SUPERFLUOUS",
            "sign_type",
        )
        .await;
        let root = CertificateKind::Root;
        refuse(serial_of(&leaf, root, none), "MISSING_FIELD", "sign_type").await;
        let sm2 = SignatureScheme::Sm2;
        refuse(
            serial_of(&leaf, root, sm2),
            "CERTIFICATE_FAMILY_MISSING",
            "sign_type",
        )
        .await;
    });
}

#[test]
fn check_certificate_chain_accepts_a_chain_and_gives_the_leafs_key() {
    world().run(async |world| {
        let client = world.client().await;
        let vectors = vectors();
        for (leaf, key) in [
            ("app_leaf", "app_rsa_pub"),
            ("alipay_leaf", "alipay_rsa_pub"),
        ] {
            let whole = [pem(&vectors, leaf), pem(&vectors, "intermediate")].concat();
            let apart = CheckCertificateChainRequest {
                leaf: pem(&vectors, leaf).into(),
                ..chain(&vectors)
            };
            let together = CheckCertificateChainRequest {
                leaf: whole.into(),
                intermediates: Vec::new(),
                ..chain(&vectors)
            };
            for asked in [apart, together] {
                let answer = check(&client, asked).await;
                assert!(answer.valid && answer.fault() == CertificateChainFault::Unspecified);
                assert_eq!(answer.chain.len(), 3);
                assert_eq!(answer.chain[2].subject, answer.chain[2].issuer);
                let public = vectors["keys"][key].as_str().unwrap();
                let (_, public) = der::Document::from_pem(public).unwrap();
                assert_eq!(answer.subject_public_key_info, public.as_bytes(), "{leaf}");
            }
        }
    });
}

#[test]
fn check_certificate_chain_accepts_to_say_what_is_wrong() {
    world().run(async |world| {
        let client = world.client().await;
        let vectors = vectors();
        let wrong =
            async |edit: &dyn Fn(&mut CheckCertificateChainRequest), fault, subject: &str| {
                let mut asked = chain(&vectors);
                edit(&mut asked);
                let answer = check(&client, asked).await;
                assert!(!answer.valid);
                assert_eq!(answer.fault().as_str_name(), fault);
                assert!(
                    answer.subject_at_fault.starts_with(subject),
                    "{}",
                    answer.subject_at_fault
                );
                assert!(answer.chain.is_empty() && answer.subject_public_key_info.is_empty());
            };
        let unknown = "CERTIFICATE_CHAIN_FAULT_ISSUER_UNKNOWN";
        let other = vectors["cert_sn"][3]["pem"].as_str().unwrap();
        let (_, other) = other.split_once("-----END CERTIFICATE-----\n").unwrap();
        wrong(&|asked| asked.intermediates.clear(), unknown, "CN=ali,").await;
        wrong(
            &|asked| asked.roots = other.into(),
            unknown,
            "CN=Test Class 2 R1",
        )
        .await;
        let expired = "CERTIFICATE_CHAIN_FAULT_EXPIRED";
        wrong(&|asked| asked.time = at(1_826_952_847), expired, "CN=ali,").await;
        let early = "CERTIFICATE_CHAIN_FAULT_NOT_YET_VALID";
        wrong(&|asked| asked.time = at(0), early, "CN=ali,").await;
        let changed = pem(&vectors, "alipay_leaf");
        let end = changed.rfind("Aa66").unwrap();
        let changed = [&changed[..end], "Ba66", &changed[end + 4..]].concat();
        let signature = "CERTIFICATE_CHAIN_FAULT_SIGNATURE";
        wrong(
            &|asked| asked.leaf = changed.clone().into(),
            signature,
            "CN=ali,",
        )
        .await;
    });
}

#[test]
fn check_certificate_chain_refuses_what_is_no_certificate() {
    world().run(async |world| {
        let client = world.client().await;
        let vectors = vectors();
        let refuse = async |edit: fn(&mut CheckCertificateChainRequest), reason, field| {
            let mut asked = chain(&vectors);
            edit(&mut asked);
            let answer = client.check_certificate_chain(asked).await;
            assert_refused(answer, Code::InvalidArgument, reason, field);
        };
        refuse(|asked| asked.leaf.clear(), "MISSING_FIELD", "leaf").await;
        refuse(|asked| asked.roots.clear(), "MISSING_FIELD", "roots").await;
        let malformed = "CERTIFICATE_MALFORMED";
        refuse(|asked| asked.leaf.truncate(500), malformed, "leaf").await;
        refuse(
            |asked| asked.intermediates.truncate(500),
            malformed,
            "intermediates",
        )
        .await;
        refuse(|asked| asked.roots = vec![0x30, 0], malformed, "roots").await;
        refuse(|asked| asked.time = at(-1), "FIELD_MALFORMED", "time").await;
    });
}
