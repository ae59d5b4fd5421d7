//! What holds for any input: decoders never panic, the signed bytes of a response are those that
//! another parser finds, a form gives back what went in.

use std::collections::BTreeMap;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::Value;

use crate::domain::alipay::notification::{Notification, Reading};
use crate::domain::alipay::response::{Response, ResponseError};
use crate::domain::alipay::{comparison, diagnosis};

const NODE: &str = "alipay_x_response";

/// Bytes of which JSON, forms and double-byte characters are made, in any order.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let pieces: Vec<&[u8]> = vec![
        b"{",
        b"}",
        b"[",
        b"]",
        b"\"",
        b"\\",
        b":",
        b",",
        b" ",
        b"/",
        b"&",
        b"=",
        b"%",
        b"+",
        b"u",
        b"0",
        b"a",
        b"\\/",
        b"\\u82b1",
        b"%41",
        b"&amp;",
        b"\xD5\x5C",
        b"\x81",
        b"\xE8\x8A\xB1",
        b"\"alipay_x_response\":",
        b"\"sign\":",
        b"\"error_response\":{}",
        b"\n",
    ];
    vec(select(pieces), 0..40).prop_map(|pieces| pieces.concat())
}

/// JSON values with what confuses naive readers in their strings.
fn values() -> impl Strategy<Value = Value> {
    let texts = vec(
        select(vec![
            "a",
            "}",
            "{",
            "\"",
            "\\",
            "/",
            "花",
            "\"sign\":\"x\"",
            "\n",
            "]",
            "😀",
        ]),
        0..6,
    );
    let texts = texts.prop_map(|pieces| Value::from(pieces.concat()));
    let leaves = prop_oneof![
        texts,
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
    ];
    leaves.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-z]{1,3}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// An object or a string, as a node is.
fn nodes() -> impl Strategy<Value = Value> {
    prop_oneof![
        btree_map("[a-z]{1,3}", values(), 0..4)
            .prop_map(|members| Value::Object(members.into_iter().collect())),
        "[A-Za-z0-9+/]{0,20}=".prop_map(Value::from),
    ]
}

/// A value as one of several serialisers writes it.
fn written(value: &Value, style: u8) -> String {
    let text = match style & 1 {
        0 => serde_json::to_string(value).unwrap(),
        _ => serde_json::to_string_pretty(value).unwrap(),
    };
    match style & 2 {
        0 => text,
        _ => text.replace('/', "\\/"),
    }
}

/// The slow way: the shortest beginning of `text` that a whole parser takes for a value.
fn shortest_value(text: &str) -> &str {
    let ends = text.char_indices().map(|(at, it)| at + it.len_utf8());
    let mut beginnings = ends.map(|end| &text[..end]);
    beginnings
        .find(|beginning| serde_json::from_str::<Value>(beginning).is_ok())
        .unwrap()
}

fn percent(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

proptest! {
    #[test]
    fn no_decoder_panics(text in prop_oneof![soup(), vec(any::<u8>(), 0..60)]) {
        let _ = Response::parse(&text, NODE).map(|response| {
            (response.is_failure(), response.with_plain_slashes())
        });
        if let Ok(notification) = Notification::parse(&text) {
            let _ = notification.is_ambiguous(Reading::ALL[7]);
            let _ = notification.text(&text);
            let _ = diagnosis::of_notification(&notification, &text);
        }
        let _ = diagnosis::of_content(&text);
        let lossy = String::from_utf8_lossy(&text);
        let _ = diagnosis::of_sign(&lossy);
        let _ = comparison::compare(&text, comparison::of_gateway(&lossy));
    }

    #[test]
    fn what_another_parser_takes_for_a_response_has_the_same_node(text in soup()) {
        let Ok(Value::Object(body)) = serde_json::from_slice::<Value>(&text) else {
            return Ok(());
        };
        if let Ok(response) = Response::parse(&text, NODE) {
            let content: Value = serde_json::from_slice(response.content()).unwrap();
            prop_assert_eq!(Some(&content), body.get(response.node()));
        }
    }

    #[test]
    fn the_signed_bytes_are_those_that_the_slow_way_finds(
        before in btree_map("b[a-z]{1,5}", values(), 0..3),
        node in nodes(),
        after in btree_map("A[A-Z]{1,5}", values(), 0..3),
        sign in "[A-Za-z0-9+/]{1,12}={0,2}",
        style: u8,
    ) {
        let member = |(name, value): (&String, &Value)| {
            format!("\"{name}\" :{},", written(value, style))
        };
        let before: String = before.iter().map(member).collect();
        let after: String = after.iter().map(member).collect();
        let start = format!("{{{before}\"{NODE}\": ");
        let node = written(&node, style);
        let signed = sign.replace('/', if style & 4 == 0 { "/" } else { "\\/" });
        let body = format!("{start}{node} ,{after}\"sign\":\"{signed}\"}}");
        let response = Response::parse(body.as_bytes(), NODE).unwrap();
        prop_assert_eq!(response.content(), node.as_bytes());
        prop_assert_eq!(response.content(), shortest_value(&body[start.len()..]).as_bytes());
        prop_assert_eq!(response.sign(), Some(sign.as_str()));
        // The same with the node once more, wherever it stands.
        let again = body.replacen('{', &format!("{{\"{NODE}\":{{}},"), 1);
        let again = Response::parse(again.as_bytes(), NODE);
        prop_assert_eq!(again, Err(ResponseError::Twice));
    }

    #[test]
    fn a_form_gives_back_what_went_in(
        parameters in btree_map("[a-zA-Z0-9_.-]{1,8}", vec(any::<u8>(), 0..12), 0..12),
    ) {
        let pairs: Vec<String> = parameters
            .iter()
            .rev()
            .map(|(name, value)| format!("{name}={}", percent(value)))
            .collect();
        let notification = Notification::parse(pairs.join("&").as_bytes()).unwrap();
        let found: BTreeMap<String, Vec<u8>> = notification
            .parameters()
            .iter()
            .map(|it| (it.name.clone(), it.value.clone()))
            .collect();
        prop_assert_eq!(&found, &parameters);
        let joined: Vec<Vec<u8>> = parameters
            .iter()
            .filter(|(name, value)| {
                !value.is_empty() && !["sign", "sign_type"].contains(&name.as_str())
            })
            .map(|(name, value)| [name.as_bytes(), b"=", value].concat())
            .collect();
        prop_assert_eq!(notification.string_to_sign(Reading::ALL[0]), joined.join(&b'&'));
    }

    #[test]
    fn a_string_is_equal_to_itself_however_the_gateway_escapes_it(text in "[ -~花呗]{1,60}") {
        prop_assume!(!text.contains("&#") && !text.contains(';'));
        let escaped = text.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
        prop_assert_eq!(comparison::compare(text.as_bytes(), &text).offset, None);
        prop_assert_eq!(comparison::compare(text.as_bytes(), &escaped).offset, None);
    }
}
