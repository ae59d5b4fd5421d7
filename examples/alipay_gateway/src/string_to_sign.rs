//! What is signed, from Alipay's published rules, on bytes: requests and notifications of v2,
//! requests and answers of v3. A second implementation on purpose: nothing of Pintle's is used, so
//! that two readings of the same rule meet.

/// Decoded parameters, as they came.
pub type Pairs = Vec<(Vec<u8>, Vec<u8>)>;

/// A request to gateway.do: everything but `sign` and what is empty.
pub fn of_request(pairs: &Pairs) -> Vec<u8> {
    joined(pairs, &["sign"])
}

/// A trade notification (V1): without `sign` and `sign_type`.
pub fn of_notification(pairs: &Pairs) -> Vec<u8> {
    joined(pairs, &["sign", "sign_type"])
}

/// A v3 request: the part of the header before `,sign=`, method, path with query as on the wire,
/// body, and the app_auth_token's line only where there is one.
pub fn of_v3_request(
    auth: &str,
    method: &str,
    path: &str,
    body: &[u8],
    token: Option<&str>,
) -> Vec<u8> {
    let mut text = format!("{auth}\n{method}\n{path}\n").into_bytes();
    text.extend_from_slice(body);
    text.push(b'\n');
    if let Some(token) = token {
        text.extend_from_slice(token.as_bytes());
        text.push(b'\n');
    }
    text
}

/// A v3 answer.
pub fn of_v3_answer(timestamp: &str, nonce: &str, body: &[u8]) -> Vec<u8> {
    let mut text = format!("{timestamp}\n{nonce}\n").into_bytes();
    text.extend_from_slice(body);
    text.push(b'\n');
    text
}

fn joined(pairs: &Pairs, left_out: &[&str]) -> Vec<u8> {
    let mut kept: Vec<_> = pairs
        .iter()
        .filter(|(name, value)| {
            !value.is_empty() && !left_out.iter().any(|out| out.as_bytes() == name)
        })
        .collect();
    kept.sort_by(|a, b| a.0.cmp(&b.0));
    let lines: Vec<Vec<u8>> = kept
        .into_iter()
        .map(|(name, value)| [name.as_slice(), b"=", value.as_slice()].concat())
        .collect();
    lines.join(&b'&')
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde_json::Value;

    use super::*;
    use crate::keys::{AppKeys, SignType};

    const VECTORS: &str = include_str!("../../../tests/vectors/alipay/alipay.json");

    fn text<'a>(vector: &'a Value, name: &str) -> &'a str {
        vector[name].as_str().unwrap_or_default()
    }

    fn app(vectors: &Value) -> AppKeys {
        let mut keys = AppKeys::default();
        for name in ["app_rsa_pub", "app_sm2_pub"] {
            keys.add(text(&vectors["keys"], name)).unwrap();
        }
        keys
    }

    #[test]
    fn the_v3_requests_of_the_vectors_verify() {
        let vectors: Value = serde_json::from_str(VECTORS).unwrap();
        let keys = app(&vectors);
        for vector in vectors["v3_request"].as_array().unwrap() {
            let message = of_v3_request(
                text(vector, "auth_string"),
                text(vector, "method"),
                text(vector, "request_url"),
                text(vector, "body").as_bytes(),
                vector["app_auth_token"].as_str(),
            );
            assert_eq!(message, text(vector, "string_to_sign").as_bytes());
            let sign = STANDARD.decode(text(vector, "sign")).unwrap();
            assert!(keys.verify(SignType::Rsa2, &message, &sign));
        }
    }

    #[test]
    fn a_request_keeps_sign_type_and_a_notification_does_not() {
        let pairs: Pairs = [("sign_type", "RSA2"), ("b", ""), ("a", "&="), ("sign", "x")]
            .map(|(name, value)| (name.into(), value.into()))
            .into();
        assert_eq!(of_request(&pairs), b"a=&=&sign_type=RSA2");
        assert_eq!(of_notification(&pairs), b"a=&=");
    }

    #[test]
    fn a_v3_request_ends_its_body_with_a_line_even_where_it_is_empty() {
        assert_eq!(
            of_v3_request("app_id=1", "GET", "/v3/a?b=c", b"", None),
            b"app_id=1\nGET\n/v3/a?b=c\n\n"
        );
    }
}
