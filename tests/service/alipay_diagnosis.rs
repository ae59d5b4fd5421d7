//! AlipayService: why a signature does not hold.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::Client;
use pintle::domain::alipay::SignType;
use pintle::service::pb::v1::{
    CheckProfileRequest, DiffSignStringRequest, DifferenceGuess, Finding, KeyRef, MismatchReason,
    ProfileFinding, SignV3RequestRequest, VerifyNotificationRequest, VerifyResponseRequest,
    VerifyV3ResponseRequest,
};
use tonic::Code;

use crate::alipay::signed;
use crate::alipay_notification::form;
use crate::alipay_verification::{alipay, sign};
use crate::refusal::assert_refused;
use crate::world::{key, world};

const NODE: &str = "alipay_trade_query_response";

fn reasons(finding: &Finding) -> Vec<MismatchReason> {
    let mut reasons: Vec<MismatchReason> = finding.reasons().collect();
    reasons.sort_by_key(|reason| *reason as i32);
    reasons
}

/// What the first finding says of a body that does not verify.
async fn why(
    client: &Client,
    name: &str,
    body: &str,
    other: Option<KeyRef>,
) -> Vec<MismatchReason> {
    let asked = VerifyResponseRequest {
        key: key(name),
        body: body.as_bytes().to_vec(),
        node: NODE.to_owned(),
        explain: true,
        other_key: other,
        ..VerifyResponseRequest::default()
    };
    let answer = client.verify_response(asked).await.unwrap();
    assert!(!answer.valid, "{body}");
    let diagnosis = answer.diagnosis.unwrap();
    assert_eq!(diagnosis.content.unwrap().bytes, answer.content);
    diagnosis.findings.first().map(reasons).unwrap_or_default()
}

#[test]
fn verify_response_accepts_to_say_what_happened_on_the_way() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let content = r#"{"a":"花/+ \" &"}"#;
        let sign = sign(SignType::Rsa2, content.as_bytes());
        let body = |content: &str, sign: &str| format!(r#"{{"{NODE}":{content},"sign":"{sign}"}}"#);
        use MismatchReason as Reason;
        for (content, sign, expected) in [
            (
                r#"{"a":"花/+ \" &amp;"}"#,
                sign.clone(),
                vec![Reason::HtmlEscaped],
            ),
            (
                r#"{"a":"\u82b1/+ \" &"}"#,
                sign.clone(),
                vec![Reason::UnicodeEscaped],
            ),
            (
                r#"{ "a": "花/+ \" &"}"#,
                sign.clone(),
                vec![Reason::WhiteSpaceInserted],
            ),
            (
                r#"{"a": "\u82b1/+ \" &"}"#,
                sign.clone(),
                vec![Reason::UnicodeEscaped, Reason::WhiteSpaceInserted],
            ),
            (content, sign.replace('+', " "), vec![Reason::SignPlusLost]),
            (
                content,
                sign.trim_end_matches('=').to_owned(),
                vec![Reason::SignPaddingLost],
            ),
            (
                content,
                format!("{}\\n{}", &sign[..64], &sign[64..]),
                vec![Reason::SignBroken],
            ),
            (
                r#"{"a": "花/+ \" &"}"#,
                sign.trim_end_matches('=').to_owned(),
                vec![Reason::WhiteSpaceInserted, Reason::SignPaddingLost],
            ),
            (r#"{"a":"花/+ \" &","amount":"9"}"#, sign.clone(), vec![]),
        ] {
            let found = why(&client, name, &body(content, &sign), None).await;
            assert!(found == expected, "{content} {sign}: {:?}", found.len());
        }
        let other = why(&client, "sign-rsa2", &body(content, &sign), key(name)).await;
        assert!(other == [Reason::OtherKey]);
    });
}

#[test]
fn verify_response_accepts_to_name_the_other_hash_and_never_takes_it() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let groups: serde_json::Value =
            serde_json::from_str(include_str!("../vectors/alipay/alipay.json")).unwrap();
        let mut responses = groups["v2_response"].as_array().unwrap().iter();
        let weaker = responses.find(|case| case["sign_type"] == "RSA").unwrap();
        let body = weaker["raw_response_utf8"].as_str().unwrap();
        assert!(why(&client, name, body, None).await == [MismatchReason::OtherHash]);
    });
}

#[test]
fn verify_response_accepts_silence_and_refuses_another_key_without_a_question() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let asked = VerifyResponseRequest {
            key: key(name),
            body: format!(r#"{{"{NODE}":{{}},"sign":"AA=="}}"#).into_bytes(),
            node: NODE.to_owned(),
            ..VerifyResponseRequest::default()
        };
        let answer = client.verify_response(asked.clone()).await.unwrap();
        assert!(answer.diagnosis.is_none());
        let other_key = key("sign-rsa2");
        let other = VerifyResponseRequest {
            other_key,
            ..asked.clone()
        };
        let answer = client.verify_response(other).await;
        assert_refused(
            answer,
            Code::InvalidArgument,
            "FIELD_SUPERFLUOUS",
            "other_key",
        );
        let other = VerifyResponseRequest {
            other_key: key("sign-nobody"),
            explain: true,
            ..asked.clone()
        };
        let answer = client.verify_response(other).await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "other_key");
        let same = VerifyResponseRequest {
            other_key: key(name),
            explain: true,
            ..asked
        };
        let answer = client.verify_response(same).await.unwrap();
        assert!(answer.diagnosis.unwrap().same_key);
    });
}

#[test]
fn verify_notification_accepts_to_say_what_happened_on_the_way() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let bills = "[{\"amount\":\"1+1\"}]";
        let signed = format!("app_id=2021&bills={bills}&subject=花");
        let sent: [(&str, &[u8]); 3] = [
            ("app_id", b"2021"),
            ("bills", bills.as_bytes()),
            ("subject", "花".as_bytes()),
        ];
        let form = form(SignType::Rsa2, &sent, signed.as_bytes());
        let gbk = form.replace("%E8%8A%B1", "%BB%A8");
        let html = form.replace("%22", "%26quot%3B");
        let spaces = form.replace("1%2B1", "1+1");
        let twice = form.replace("%22", "%2522").replace("%2B1", "%252B1");
        let more = format!("tenant=7&{form}");
        use MismatchReason as Reason;
        for (form, expected, parameter) in [
            (gbk, Reason::SignedInUtf8, ""),
            (html, Reason::HtmlEscaped, ""),
            (spaces, Reason::PlusLost, ""),
            (twice, Reason::EncodedTwice, ""),
            (more, Reason::ParameterAdded, "tenant"),
        ] {
            let asked = VerifyNotificationRequest {
                key: key(name),
                form: form.clone().into_bytes(),
                explain: true,
                other_key: None,
            };
            let answer = client.verify_notification(asked).await.unwrap();
            assert!(!answer.valid, "{form}");
            let findings = answer.diagnosis.unwrap().findings;
            let [finding] = findings.as_slice() else {
                panic!("{} findings: {form}", findings.len());
            };
            assert!(reasons(finding) == [expected], "{form}");
            assert_eq!(finding.parameter, parameter);
            assert!(!finding.sentence.is_empty());
        }
    });
}

#[test]
fn verify_v3_response_accepts_to_say_what_happened_on_the_way() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let signature = sign(SignType::Rsa2, b"7\nn\n{\"a\":1}\n");
        let asked = |body: &str| VerifyV3ResponseRequest {
            key: key(name),
            timestamp: "7".to_owned(),
            nonce: "n".to_owned(),
            body: body.as_bytes().to_vec(),
            signature: signature.clone(),
            explain: true,
            other_key: None,
        };
        let good = client.verify_v3_response(asked("{\"a\":1}")).await.unwrap();
        assert!(good.valid && good.diagnosis.is_none());
        let answer = client
            .verify_v3_response(asked("{\"a\": 1}"))
            .await
            .unwrap();
        let diagnosis = answer.diagnosis.unwrap();
        assert!(reasons(&diagnosis.findings[0]) == [MismatchReason::WhiteSpaceInserted]);
        // Our own request, verified by the server's key as if Alipay had signed it.
        let request = SignV3RequestRequest {
            key: key("sign-rsa2"),
            method: "GET".to_owned(),
            target: "/".to_owned(),
            app_id: "1".to_owned(),
            return_string_to_sign: true,
            ..SignV3RequestRequest::default()
        };
        let signed = client.sign_v3_request(request).await.unwrap();
        assert!(signed.signed_string.unwrap().text.ends_with("\nGET\n/\n\n"));
    });
}

#[test]
fn diff_sign_string_accepts_the_gateways_message_and_says_where_it_parts() {
    world().run(async |world| {
        let client = world.client().await;
        let (string, signature) = signed(&client, "sign-rsa2", "RSA2").await;
        assert!(!STANDARD.encode(signature).is_empty());
        let text = String::from_utf8(string.clone()).unwrap();
        let escaped = text.replace('&', "&amp;").replace('"', "&quot;");
        let ask = async |theirs: &str| {
            let asked = DiffSignStringRequest {
                string_to_sign: string.clone(),
                gateway_message: format!("验签出错，网关生成的验签字符串为：{theirs}"),
            };
            client.diff_sign_string(asked).await.unwrap()
        };
        let answer = ask(&escaped).await;
        assert!(answer.equal && answer.guess() == DifferenceGuess::Unspecified);
        let answer = ask(&escaped.replace("花呗", "??")).await;
        assert!(!answer.equal && answer.guess() == DifferenceGuess::Charset);
        assert_eq!(answer.parameter, "biz_content");
        assert_eq!(answer.offset as usize, text.find('花').unwrap());
        let answer = ask(&escaped.replace("&amp;charset=utf-8", "")).await;
        assert!(answer.guess() == DifferenceGuess::ParameterOnlyOurs);
        assert_eq!(answer.parameter, "charset");
    });
}

#[test]
fn diff_sign_string_refuses_nothing_to_compare() {
    world().run(async |world| {
        let client = world.client().await;
        for (ours, theirs, field) in [
            ("", "a=1", "string_to_sign"),
            ("a=1", "", "gateway_message"),
        ] {
            let asked = DiffSignStringRequest {
                string_to_sign: ours.as_bytes().to_vec(),
                gateway_message: theirs.to_owned(),
            };
            let answer = client.diff_sign_string(asked).await;
            assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", field);
        }
    });
}

#[test]
fn check_profile_accepts_two_keys_and_warns_of_one_taken_for_both() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let ask = async |app: &str, alipay: &str| {
            let asked = CheckProfileRequest {
                app_key: key(app),
                alipay_key: key(alipay),
            };
            let answer = client.check_profile(asked).await.unwrap();
            assert_eq!(answer.app_key.as_ref().unwrap().name, app);
            assert_eq!(answer.alipay_key.as_ref().unwrap().name, alipay);
            answer.findings().collect::<Vec<_>>()
        };
        assert!(ask("sign-rsa2", name).await.is_empty());
        assert!(ask(name, name).await == [ProfileFinding::SamePublicKey]);
        assert!(
            ask("sign-rsa1", name).await
                == [
                    ProfileFinding::SchemesDiffer,
                    ProfileFinding::AppKeyWeakScheme
                ]
        );
        assert!(ask("sign-sm2", name).await == [ProfileFinding::SchemesDiffer]);
    });
}

#[test]
fn check_profile_refuses_keys_that_sign_nothing_by_their_field() {
    world().run(async |world| {
        let client = world.client().await;
        for (app, alipay, code, reason, field) in [
            (
                "mac-hmac",
                "sign-rsa2",
                Code::FailedPrecondition,
                "KEY_USAGE_REFUSED",
                "app_key",
            ),
            (
                "sign-rsa2",
                "mac-hmac",
                Code::FailedPrecondition,
                "KEY_USAGE_REFUSED",
                "alipay_key",
            ),
            (
                "sign-rsa2",
                "sign-nobody",
                Code::NotFound,
                "KEY_UNKNOWN",
                "alipay_key",
            ),
        ] {
            let asked = CheckProfileRequest {
                app_key: key(app),
                alipay_key: key(alipay),
            };
            assert_refused(client.check_profile(asked).await, code, reason, field);
        }
        let answer = client.check_profile(CheckProfileRequest::default()).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "app_key");
    });
}
