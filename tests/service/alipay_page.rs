//! AlipayService: payments in browser and app.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::Client;
use pintle::service::pb::v1::{
    PagePayMethod, SignAppPayRequest, SignPagePayRequest, SignatureScheme, VerifyRequest,
};
use tonic::Code;

use crate::refusal::assert_refused;
use crate::world::{key, world};

const GATEWAY: &str = "https://openapi.alipay.com/gateway.do";
const CONTENT: &str =
    r#"{"subject":"花呗 100% 'a' & <b>","out_trade_no":"A+1","total_amount":"0.01"}"#;

fn parameters(sign_type: &str, charset: &str) -> HashMap<String, String> {
    [
        ("app_id", "2021000000000001"),
        ("method", "alipay.trade.page.pay"),
        ("charset", charset),
        ("sign_type", sign_type),
        ("timestamp", "2026-11-23 06:47:58"),
        ("version", "1.0"),
        ("notify_url", ""),
        ("return_url", "https://shop.example/back?a=1&b=2"),
        ("biz_content", CONTENT),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect()
}

fn page(name: &str, sign_type: &str, method: PagePayMethod) -> SignPagePayRequest {
    SignPagePayRequest {
        key: key(name),
        parameters: parameters(sign_type, "utf-8"),
        gateway_url: GATEWAY.to_owned(),
        method: method.into(),
        return_string_to_sign: true,
    }
}

/// What a server reads of a query, in the charset given.
fn read(query: &str, charset: &str) -> Vec<(String, String)> {
    let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).unwrap();
    let decode = |text: &str| {
        let mut bytes = Vec::new();
        let mut rest = text.bytes();
        while let Some(byte) = rest.next() {
            bytes.push(match byte {
                b'+' => b' ',
                b'%' => {
                    let digits = [rest.next().unwrap(), rest.next().unwrap()];
                    hex::decode(digits).unwrap()[0]
                }
                byte => byte,
            });
        }
        encoding.decode_without_bom_handling(&bytes).0.into_owned()
    };
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap());
    pairs
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// What Alipay would verify of the parameters that came.
fn rebuilt(mut received: Vec<(String, String)>) -> String {
    received.retain(|(name, value)| name != "sign" && !value.is_empty());
    received.sort();
    let pairs = received
        .iter()
        .map(|(name, value)| format!("{name}={value}"));
    pairs.collect::<Vec<_>>().join("&")
}

async fn assert_signed(client: &Client, name: &str, message: &[u8], sign: &str) {
    let request = VerifyRequest {
        key: key(name),
        message: message.to_vec(),
        signature: STANDARD.decode(sign).unwrap(),
        ..VerifyRequest::default()
    };
    assert!(client.verify(request).await.unwrap().valid, "{name}");
}

#[test]
fn sign_page_pay_accepts_get_and_a_server_reads_what_was_signed() {
    world().run(async |world| {
        let client = world.client().await;
        for (name, sign_type, scheme) in [
            ("sign-rsa1", "RSA", SignatureScheme::Rsa),
            ("sign-rsa2", "RSA2", SignatureScheme::Rsa2),
            ("sign-sm2", "SM2", SignatureScheme::Sm2),
        ] {
            let answer = client
                .sign_page_pay(page(name, sign_type, PagePayMethod::Get))
                .await;
            let answer = answer.unwrap();
            assert!(answer.scheme() == scheme && answer.form.is_empty());
            let query = answer
                .url
                .strip_prefix(GATEWAY)
                .unwrap()
                .strip_prefix('?')
                .unwrap();
            assert!(query.is_ascii() && !query.contains(['"', '<', '\'', ' ']));
            let received = read(query, "utf-8");
            let sign = received.iter().find(|(name, _)| name == "sign").unwrap();
            assert_eq!(sign.1, answer.sign);
            let rebuilt = rebuilt(received);
            assert_eq!(rebuilt.as_bytes(), answer.string_to_sign);
            assert_signed(&client, name, rebuilt.as_bytes(), &answer.sign).await;
        }
    });
}

#[test]
fn sign_page_pay_accepts_post_and_a_browser_posts_what_was_signed() {
    world().run(async |world| {
        let client = world.client().await;
        let answer = client
            .sign_page_pay(page("sign-rsa2", "RSA2", PagePayMethod::Post))
            .await;
        let answer = answer.unwrap();
        let within = |form: &str, before: &str| {
            let (_, rest) = form.split_once(before).unwrap();
            let text = rest.split_once('"').unwrap().0;
            // The order in which a browser would not: `&amp;` last.
            text.replace("&quot;", "\"")
                .replace("&#39;", "'")
                .replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        };
        let action = within(&answer.form, " action=\"");
        assert_eq!(action, answer.url);
        assert!(!action.contains("biz_content"));
        let content = within(&answer.form, "name=\"biz_content\" value=\"");
        assert_eq!(content, CONTENT);
        assert_eq!(within(&answer.form, "accept-charset=\""), "utf-8");
        assert_eq!(answer.form.matches("type=\"hidden\"").count(), 1);
        let mut received = read(action.split_once('?').unwrap().1, "utf-8");
        received.push(("biz_content".to_owned(), content));
        let rebuilt = rebuilt(received);
        assert_eq!(rebuilt.as_bytes(), answer.string_to_sign);
        assert_signed(&client, "sign-rsa2", rebuilt.as_bytes(), &answer.sign).await;
    });
}

#[test]
fn sign_app_pay_accepts_gbk_and_writes_its_bytes() {
    world().run(async |world| {
        let client = world.client().await;
        let asked = SignAppPayRequest {
            key: key("sign-sm2"),
            parameters: parameters("SM2", "GBK"),
            return_string_to_sign: true,
        };
        let answer = client.sign_app_pay(asked).await.unwrap();
        assert!(
            answer.order.contains("%22%3A%22%BB%A8%DF%C2+100%25+"),
            "{}",
            answer.order
        );
        assert!(!answer.order.contains("notify_url"));
        let rebuilt = rebuilt(read(&answer.order, "gbk"));
        let bytes = encoding_rs::GBK.encode(&rebuilt).0.into_owned();
        assert_eq!(bytes, answer.string_to_sign);
        assert_signed(&client, "sign-sm2", &bytes, &answer.sign).await;
        let quiet = SignAppPayRequest {
            key: key("sign-sm2"),
            parameters: parameters("SM2", "GBK"),
            return_string_to_sign: false,
        };
        let answer = client.sign_app_pay(quiet).await.unwrap();
        assert!(answer.string_to_sign.is_empty());
    });
}

#[test]
fn sign_page_pay_refuses_a_gateway_that_is_no_url_and_content_that_a_form_would_change() {
    world().run(async |world| {
        let client = world.client().await;
        let refuse = async |edit: fn(&mut SignPagePayRequest), reason, field| {
            let mut asked = page("sign-rsa2", "RSA2", PagePayMethod::Post);
            edit(&mut asked);
            let answer = client.sign_page_pay(asked).await;
            assert_refused(answer, Code::InvalidArgument, reason, field);
        };
        refuse(
            |asked| asked.gateway_url.clear(),
            "MISSING_FIELD",
            "gateway_url",
        )
        .await;
        for url in [
            "javascript:alert(1)",
            "ftp://gateway",
            "https://",
            "https:///path",
            "https://gate\"onload=\"x",
            "https://gate/do?a=1",
            "https://gate/do#a",
            "https://gate/ do",
        ] {
            let mut asked = page("sign-rsa2", "RSA2", PagePayMethod::Get);
            url.clone_into(&mut asked.gateway_url);
            let answer = client.sign_page_pay(asked).await;
            let (code, field) = (Code::InvalidArgument, "gateway_url");
            assert_refused(answer, code, "FIELD_MALFORMED", field);
        }
        refuse(|asked| asked.method = 0, "MISSING_FIELD", "method").await;
        refuse(|asked| asked.method = 9, "ENUM_UNKNOWN", "method").await;
        refuse(
            |asked| asked.parameters.clear(),
            "MISSING_FIELD",
            "parameters",
        )
        .await;
        let lines = |asked: &mut SignPagePayRequest| {
            let content = "{\n}".to_owned();
            asked.parameters.insert("biz_content".to_owned(), content);
        };
        refuse(lines, "PARAMETER_MALFORMED", "parameters.biz_content").await;
        let mut asked = page("sign-rsa2", "RSA2", PagePayMethod::Get);
        lines(&mut asked);
        client.sign_page_pay(asked).await.unwrap();
        let asked = page("sign-rsa2", "SM2", PagePayMethod::Get);
        let answer = client.sign_page_pay(asked).await;
        let field = "parameters.sign_type";
        assert_refused(answer, Code::InvalidArgument, "SIGN_TYPE_MISMATCH", field);
    });
}

#[test]
fn sign_app_pay_refuses_parameters_and_keys_that_sign_request_refuses() {
    world().run(async |world| {
        let client = world.client().await;
        let ask = |name: &str, sign_type: &str| SignAppPayRequest {
            key: key(name),
            parameters: parameters(sign_type, "utf-8"),
            return_string_to_sign: false,
        };
        let mut none = ask("sign-rsa2", "RSA2");
        none.parameters.clear();
        let answer = client.sign_app_pay(none).await;
        assert_refused(answer, Code::InvalidArgument, "MISSING_FIELD", "parameters");
        let answer = client.sign_app_pay(ask("sign-rsa2", "RSA")).await;
        let field = "parameters.sign_type";
        assert_refused(answer, Code::InvalidArgument, "SIGN_TYPE_MISMATCH", field);
        let answer = client.sign_app_pay(ask("mac-hmac", "RSA2")).await;
        assert_refused(answer, Code::FailedPrecondition, "KEY_USAGE_REFUSED", "key");
    });
}
