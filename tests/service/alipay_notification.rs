//! AlipayService.VerifyNotification.

use pintle::client::{Client, Error};
use pintle::domain::alipay::SignType;
use pintle::limits::{ALIPAY_PARAMETERS_MAX, MESSAGE_BYTES_MAX};
use pintle::service::pb::v1::{
    NotificationVersion, VerifyNotificationRequest, VerifyNotificationResponse,
};
use tonic::Code;

use crate::alipay_verification::{alipay, sign};
use crate::refusal::assert_refused;
use crate::world::{key, world};

/// Percent-encoded as a browser does it.
pub fn encoded(text: &[u8]) -> String {
    let encode = |byte: &u8| match byte {
        b' ' => "+".to_owned(),
        byte if byte.is_ascii_alphanumeric() => char::from(*byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.iter().map(encode).collect()
}

/// A form of these parameters, in this order, with Alipay's signature over `signed`.
pub fn form(scheme: SignType, parameters: &[(&str, &[u8])], signed: &[u8]) -> String {
    let sign = sign(scheme, signed);
    let sign: (&str, &[u8]) = ("sign", sign.as_bytes());
    let pairs = parameters.iter().chain([&sign]);
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    pairs.join("&")
}

async fn ask(client: &Client, name: &str, form: &str) -> Result<VerifyNotificationResponse, Error> {
    let asked = VerifyNotificationRequest {
        key: key(name),
        form: form.as_bytes().to_vec(),
        ..VerifyNotificationRequest::default()
    };
    client.verify_notification(asked).await
}

const PAID: &[(&str, &[u8])] = &[
    ("trade_status", b"TRADE_SUCCESS"),
    ("subject", "花呗 100%+1 \"q\"".as_bytes()),
    ("sign_type", b"RSA2"),
    ("empty", b""),
    ("alipay_cert_sn", b"5c"),
    ("app_id", b"2021"),
];

#[test]
fn verify_notification_accepts_each_reading_and_says_which() {
    world().run(async |world| {
        let client = world.client().await;
        let subject = "subject=花呗 100%+1 \"q\"&trade_status=TRADE_SUCCESS";
        for (signed, version, empty, cert_sn_left_out) in [
            (
                format!("alipay_cert_sn=5c&app_id=2021&{subject}"),
                NotificationVersion::V1,
                false,
                false,
            ),
            (
                format!("alipay_cert_sn=5c&app_id=2021&empty=&{subject}"),
                NotificationVersion::V1,
                true,
                false,
            ),
            (
                format!("alipay_cert_sn=5c&app_id=2021&sign_type=RSA2&{subject}"),
                NotificationVersion::V2,
                false,
                false,
            ),
            (
                format!("app_id=2021&{subject}"),
                NotificationVersion::V1,
                false,
                true,
            ),
            (
                format!("app_id=2021&empty=&sign_type=RSA2&{subject}"),
                NotificationVersion::V2,
                true,
                true,
            ),
        ] {
            for scheme in [SignType::Rsa2, SignType::Sm2] {
                let name = alipay(world, scheme).await;
                let form = form(scheme, PAID, signed.as_bytes());
                let answer = ask(&client, name, &form).await.unwrap();
                assert!(
                    answer.valid && answer.signed && !answer.ambiguous,
                    "{signed}"
                );
                assert!(answer.version() == version, "{signed}");
                assert_eq!(answer.empty_values_signed, empty, "{signed}");
                assert_eq!(answer.alipay_cert_sn_left_out, cert_sn_left_out, "{signed}");
                assert_eq!(answer.content, signed.as_bytes());
                let names: Vec<&str> = answer
                    .parameters
                    .iter()
                    .map(|it| it.name.as_str())
                    .collect();
                assert_eq!(
                    names.contains(&"sign_type"),
                    version == NotificationVersion::V2
                );
                assert_eq!(names.contains(&"alipay_cert_sn"), !cert_sn_left_out);
                assert!(!names.contains(&"sign"));
            }
        }
    });
}

#[test]
fn verify_notification_accepts_gbk_by_its_bytes() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let subject = b"\xBB\xA8\xDF\xC2".as_slice();
        let parameters = [("charset", b"GBK".as_slice()), ("subject", subject)];
        let signed = [b"charset=GBK&subject=", subject].concat();
        let answer = ask(&client, name, &form(SignType::Rsa2, &parameters, &signed)).await;
        let answer = answer.unwrap();
        assert!(answer.valid);
        assert_eq!(answer.parameters[1].value, subject);
        assert_eq!(answer.parameters[1].text, "花呗");
    });
}

#[test]
fn verify_notification_accepts_no_change_and_answers_no_parameters_then() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let parameters = [("app_id", b"2021".as_slice()), ("total_amount", b"1.00")];
        let signed = form(
            SignType::Rsa2,
            &parameters,
            b"app_id=2021&total_amount=1.00",
        );
        assert!(ask(&client, name, &signed).await.unwrap().valid);
        let (unsigned, _) = signed.split_once("&sign=").unwrap();
        for (form, has_sign) in [
            (signed.replace("1%2E00", "9%2E00"), true),
            (signed.replace("app_id", "app_ID"), true),
            (format!("{signed}&more=1"), true),
            (unsigned.to_owned(), false),
            (format!("{unsigned}&sign="), false),
        ] {
            let answer = ask(&client, name, &form).await.unwrap();
            assert!(!answer.valid, "{form}");
            assert_eq!(answer.signed, has_sign, "{form}");
            assert!(answer.parameters.is_empty());
            assert!(answer.version() == NotificationVersion::Unspecified);
        }
        assert!(!ask(&client, "sign-rsa2", &signed).await.unwrap().valid);
    });
}

#[test]
fn verify_notification_accepts_but_marks_what_reads_as_other_parameters_too() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let string = b"subject=x&total_amount=9&z=&total_amount=1";
        for (parameters, ambiguous) in [
            (
                [
                    ("subject", b"x&total_amount=9&z=".as_slice()),
                    ("total_amount", b"1"),
                ]
                .as_slice(),
                true,
            ),
            (
                &[
                    ("subject", b"x"),
                    ("total_amount", b"9"),
                    ("z", b"&total_amount=1"),
                ],
                true,
            ),
        ] {
            let form = form(SignType::Rsa2, parameters, string);
            let answer = ask(&client, name, &form).await.unwrap();
            assert!(answer.valid);
            assert_eq!(answer.ambiguous, ambiguous);
        }
    });
}

#[test]
fn verify_notification_refuses_what_is_no_form() {
    world().run(async |world| {
        let client = world.client().await;
        let name = alipay(world, SignType::Rsa2).await;
        let many: Vec<String> = (0..=ALIPAY_PARAMETERS_MAX)
            .map(|at| format!("p{at}=1"))
            .collect();
        for (form, reason) in [
            (String::new(), "MISSING_FIELD"),
            ("a=1&a=2".to_owned(), "FORM_MALFORMED"),
            ("=1".to_owned(), "FORM_MALFORMED"),
            (many.join("&"), "PARAMETER_TOO_MANY"),
            ("x".repeat(MESSAGE_BYTES_MAX + 1), "MESSAGE_TOO_LARGE"),
        ] {
            let answer = ask(&client, name, &form).await;
            assert_refused(answer, Code::InvalidArgument, reason, "form");
        }
        let answer = ask(&client, "mac-hmac", "a=1").await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
        let answer = ask(&client, "sign-nobody", "a=1").await;
        assert_refused(answer, Code::NotFound, "KEY_UNKNOWN", "key");
    });
}
