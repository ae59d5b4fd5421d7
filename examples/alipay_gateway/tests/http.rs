//! The gateway over HTTP: what the SDKs of the vectors signed is accepted, and what they signed wrongly
//! is answered as Alipay answers it; faults, encryption, GBK, v3, the control side.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use alipay_gateway::gateway::{App, Gateway, Settings};
use alipay_gateway::keys::{AlipayKeys, AppKeys, SignType};
use alipay_gateway::script::{Effect, Rule};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const VECTORS: &str = include_str!("../../../tests/vectors/alipay/alipay.json");
const APP_ID: &str = "2021000000000001";

/// One request; the answer's head and body, whatever came of it.
async fn ask(gateway: &Gateway, head: &str, body: &[u8]) -> (String, Vec<u8>) {
    let mut stream = TcpStream::connect(gateway.address).await.unwrap();
    let length = body.len();
    let head =
        format!("{head}\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return (String::new(), Vec::new());
    };
    let head = String::from_utf8(answer[..end].to_vec()).unwrap();
    (head, answer[end + 4..].to_vec())
}

fn form(fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    let escaped = |bytes: &[u8]| {
        bytes
            .iter()
            .map(|b| format!("%{b:02X}"))
            .collect::<String>()
    };
    let pair = |(name, value): &(String, Vec<u8>)| format!("{name}={}", escaped(value));
    fields
        .iter()
        .map(pair)
        .collect::<Vec<_>>()
        .join("&")
        .into_bytes()
}

/// A gateway with one app, whose public keys are those of the test pair that signs here.
async fn gateway(tricky: bool) -> (Gateway, AlipayKeys) {
    let settings = Settings {
        tricky,
        ..Settings::default()
    };
    let gateway = Gateway::start(0, settings).await.unwrap();
    let own = AlipayKeys::test().unwrap();
    let mut keys = AppKeys::default();
    for sign_type in [SignType::Rsa2, SignType::Sm2] {
        keys.add(&own.public(sign_type).unwrap()).unwrap();
    }
    let aes = Some(vec![7; 16]);
    gateway.add_app(APP_ID, App { keys, aes });
    (gateway, own)
}

/// A signed call of v2, its values in the charset given.
async fn call(
    gateway: &Gateway,
    own: &AlipayKeys,
    sign_type: SignType,
    charset: &str,
    method: &str,
    content: &Value,
) -> Vec<u8> {
    let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).unwrap();
    let mut fields: Vec<(String, Vec<u8>)> = [
        ("app_id", APP_ID.to_owned()),
        ("biz_content", content.to_string()),
        ("charset", charset.to_owned()),
        ("method", format!("alipay.trade.{method}")),
        ("sign_type", sign_type.label().to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), encoding.encode(&value).0.into_owned()))
    .into();
    let lines: Vec<Vec<u8>> = fields
        .iter()
        .map(|(name, value)| [name.as_bytes(), b"=", value].concat())
        .collect();
    let sign = own.sign(sign_type, &lines.join(&b'&')).unwrap();
    fields.push(("sign".to_owned(), sign.into_bytes()));
    ask(gateway, "POST /gateway.do HTTP/1.1", &form(&fields))
        .await
        .1
}

/// The node of an answer, cut out by hand: everything before the signature at the end.
fn node(body: &[u8]) -> (&[u8], Vec<u8>) {
    let start = body.iter().position(|byte| *byte == b':').unwrap() + 1;
    let marker = b",\"sign\":\"";
    let end = body
        .windows(marker.len())
        .rposition(|part| part == marker)
        .unwrap();
    let sign = &body[end + marker.len()..body.len() - 2];
    (&body[start..end], STANDARD.decode(sign).unwrap())
}

fn sale(number: &str) -> Value {
    json!({"out_trade_no": number, "total_amount": "600.00", "subject": "花呗"})
}

#[tokio::test]
async fn what_the_sdks_signed_is_accepted_and_what_npm_signs_wrongly_is_told() {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let gateway = Gateway::start(0, Settings::default()).await.unwrap();
    let mut keys = AppKeys::default();
    keys.add(vectors["keys"]["app_rsa_pub"].as_str().unwrap())
        .unwrap();
    let aes = Some(vec![7; 16]);
    gateway.add_app(APP_ID, App { keys, aes });
    let mut asked = 0;
    for vector in vectors["v2_request"].as_array().unwrap() {
        let Some(parameters) = vector["params"].as_object() else {
            continue;
        };
        let label = vector["charset"].as_str().unwrap();
        let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
        let mut fields: Vec<(String, Vec<u8>)> = parameters
            .iter()
            .map(|(name, value)| {
                let value = encoding.encode(value.as_str().unwrap_or_default()).0;
                (name.clone(), value.into_owned())
            })
            .filter(|(name, _)| name != "sign")
            .collect();
        let sign = vector["sign"].as_str().unwrap();
        fields.push(("sign".to_owned(), sign.as_bytes().to_vec()));
        let query = String::from_utf8(form(&fields)).unwrap();
        let (_, body) = ask(&gateway, &format!("GET /gateway.do?{query} HTTP/1.1"), b"").await;
        let (text, _, _) = encoding.decode(&body);
        let refused = text.contains("isv.invalid-signature");
        let follows = vector["matches_rule"] != json!(false);
        assert_eq!(refused, !follows, "{}: {text}", vector["name"]);
        if refused {
            let own = vector["rule_string_to_sign"].as_str().unwrap();
            let told: Value = serde_json::from_str(&text).unwrap();
            let told = told.as_object().unwrap().values().next().unwrap();
            let told = told["sub_msg"].as_str().unwrap().replace("&quot;", "\"");
            assert!(
                told.replace("&amp;", "&").ends_with(&format!("：{own}")),
                "{told}"
            );
        }
        asked += 1;
    }
    assert!(asked >= 7, "{asked} requests");
    assert_eq!(gateway.counts().refused, 1);
}

#[tokio::test]
async fn an_answer_is_signed_as_it_is_written_in_every_charset_and_scheme() {
    let (gateway, own) = gateway(true).await;
    let mut keys = AppKeys::default();
    keys.add(&own.public(SignType::Rsa2).unwrap()).unwrap();
    keys.add(&own.public(SignType::Sm2).unwrap()).unwrap();
    for (index, charset) in ["utf-8", "gbk"].into_iter().enumerate() {
        for sign_type in [SignType::Rsa, SignType::Rsa2, SignType::Sm2] {
            let number = format!("{index}{}", sign_type.label());
            let body = call(
                &gateway,
                &own,
                sign_type,
                charset,
                "precreate",
                &sale(&number),
            )
            .await;
            let (node, sign) = node(&body);
            assert!(
                keys.verify(sign_type, node, &sign),
                "{charset} {sign_type:?}"
            );
            let text = String::from_utf8_lossy(node);
            assert!(text.contains(r"https:\/\/qr.alipay.com\/"), "{text}");
        }
    }
    assert_eq!(gateway.trades(APP_ID).len(), 6);
    assert!(
        gateway
            .trades(APP_ID)
            .iter()
            .all(|trade| trade.subject == "花呗")
    );
}

#[tokio::test]
async fn an_answer_is_signed_before_its_slashes_are_escaped_where_a_rule_says_so() {
    let (gateway, own) = gateway(false).await;
    let mut keys = AppKeys::default();
    keys.add(&own.public(SignType::Rsa2).unwrap()).unwrap();
    gateway.script([Rule {
        method: "alipay.trade.precreate".to_owned(),
        out_trade_no: None,
        times: 1,
        effect: Effect::SignedUnescaped,
    }]);
    let sale = sale("A");
    let body = call(&gateway, &own, SignType::Rsa2, "utf-8", "precreate", &sale).await;
    let (node, sign) = node(&body);
    assert!(!keys.verify(SignType::Rsa2, node, &sign));
    let plain = String::from_utf8_lossy(node).replace("\\/", "/");
    assert!(plain.contains("https://qr.alipay.com/"), "{plain}");
    assert!(keys.verify(SignType::Rsa2, plain.as_bytes(), &sign));
}

#[tokio::test]
async fn a_lost_answer_was_done_and_a_fault_is_used_once() {
    let (gateway, own) = gateway(false).await;
    gateway.script([Rule {
        method: "alipay.trade.precreate".to_owned(),
        out_trade_no: None,
        times: 1,
        effect: Effect::Lost,
    }]);
    let ask = async || {
        call(
            &gateway,
            &own,
            SignType::Rsa2,
            "utf-8",
            "precreate",
            &sale("A"),
        )
        .await
    };
    assert_eq!(ask().await, b"");
    assert!(gateway.trade("A").is_some());
    let body = String::from_utf8(ask().await).unwrap();
    assert!(body.contains("\"code\":\"10000\""), "{body}");
}

#[tokio::test]
async fn v3_is_verified_and_answered_with_signed_headers() {
    let (gateway, own) = gateway(false).await;
    let body = sale("V3").to_string();
    let auth = format!("app_id={APP_ID},nonce=n,timestamp=1");
    let path = "/v3/alipay/trade/precreate";
    for right in [true, false] {
        let signed = if right { &*body } else { "{}" };
        let message = format!("{auth}\nPOST\n{path}\n{signed}\n");
        let sign = own.sign(SignType::Rsa2, message.as_bytes()).unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nauthorization: ALIPAY-SHA256withRSA {auth},sign={sign}"
        );
        let (head, answer) = ask(&gateway, &head, body.as_bytes()).await;
        assert_eq!(head.starts_with("HTTP/1.1 200"), right, "{head}");
        let header = |name: &str| {
            let line = head
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            line.trim_start_matches(": ").to_owned()
        };
        let [timestamp, nonce] = ["alipay-timestamp", "alipay-nonce"].map(header);
        let answer = String::from_utf8(answer).unwrap();
        let message = format!("{timestamp}\n{nonce}\n{answer}\n");
        let sign = STANDARD.decode(header("alipay-signature")).unwrap();
        let mut keys = AppKeys::default();
        keys.add(&own.public(SignType::Rsa2).unwrap()).unwrap();
        assert!(keys.verify(SignType::Rsa2, message.as_bytes(), &sign));
    }
}

#[tokio::test]
async fn the_control_side_adds_apps_and_rules_scans_and_shows_the_books() {
    let (gateway, own) = gateway(false).await;
    let post = async |path: &str, body: Value| {
        let head = format!("POST /control/{path} HTTP/1.1");
        let (head, answer) = ask(&gateway, &head, body.to_string().as_bytes()).await;
        (
            head.starts_with("HTTP/1.1 200"),
            String::from_utf8(answer).unwrap(),
        )
    };
    let key = own.public(SignType::Rsa2).unwrap();
    let app = json!({"app_id": "other", "public_keys": [key]});
    assert!(post("apps", app).await.0);
    let rule = json!([{"method": "alipay.trade.query", "effect": "unknown", "done": false}]);
    assert!(post("rules", rule).await.0);
    assert!(
        !post("rules", json!([{"method": "m", "effect": "no such"}]))
            .await
            .0
    );
    call(
        &gateway,
        &own,
        SignType::Rsa2,
        "utf-8",
        "precreate",
        &sale("A"),
    )
    .await;
    let qr_code = gateway.trade("A").unwrap().qr_code.unwrap();
    let scan = json!({"qr_code": qr_code, "waits": 9});
    assert!(post("scan", scan.clone()).await.0);
    assert!(!post("scan", scan).await.0);
    assert!(post("password", json!({"out_trade_no": "A"})).await.0);
    let (_, books) = ask(&gateway, "GET /books HTTP/1.1", b"").await;
    let books: Value = serde_json::from_slice(&books).unwrap();
    assert_eq!(books["kept_amount"], "600.00");
    assert_eq!(books["trades"][0]["status"], "TRADE_SUCCESS");
}
