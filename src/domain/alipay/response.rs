//! What Alipay signs of a response of gateway.do (v2): the raw bytes of one member of the body, as
//! they came. An object from brace to brace, an encrypted value with its quotes.
//!
//! Java's SDK finds that member by its name's first occurrence in the text. Here it is a member of
//! the outermost object, so that no string within another member can stand in for it; and a body
//! in which the name occurs again is refused, as there.

use crate::domain::alipay::json::{self, Member};
use crate::limits::ALIPAY_NAME_BYTES_MAX;

/// A response, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response<'a> {
    node: &'a str,
    content: &'a [u8],
    sign: Option<String>,
    cert_sn: Option<String>,
}

/// Why a body has no signed bytes.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResponseError {
    /// The node's name is empty, too long, or no name.
    #[error("the node is not 1 to {ALIPAY_NAME_BYTES_MAX} of letters, digits and underscores")]
    Node,
    /// Not one JSON object, or one with escapes in its names.
    #[error("the body is not one JSON object")]
    Malformed,
    /// Neither the node nor `error_response`.
    #[error("the body has neither the node nor error_response as an object or a string")]
    NodeMissing,
    /// A name that matters is there twice.
    #[error("the body has the node, sign or alipay_cert_sn twice")]
    Twice,
}

/// The node of a gateway's own errors, for whichever method.
pub const ERROR_NODE: &str = "error_response";

/// The node in which the response to a method stands: `alipay.trade.pay` has
/// `alipay_trade_pay_response`.
#[must_use]
pub fn node_of(method: &str) -> String {
    format!("{}_response", method.replace('.', "_"))
}

impl<'a> Response<'a> {
    /// Takes a body apart: what was signed is the member `node`, or else `error_response`.
    ///
    /// # Errors
    /// [`ResponseError`].
    pub fn parse(body: &'a [u8], node: &'a str) -> Result<Self, ResponseError> {
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if node.is_empty() || node.len() > ALIPAY_NAME_BYTES_MAX || !node.bytes().all(is_name) {
            return Err(ResponseError::Node);
        }
        let members = json::members(body).map_err(|_| ResponseError::Malformed)?;
        if members.iter().any(|member| member.name.contains(&b'\\')) {
            return Err(ResponseError::Malformed);
        }
        let (node, content) = match once(&members, node)? {
            Some(content) => (node, content),
            None => {
                let content = once(&members, ERROR_NODE)?.ok_or(ResponseError::NodeMissing)?;
                (ERROR_NODE, content)
            }
        };
        if !matches!(content.first(), Some(b'{' | b'"')) {
            return Err(ResponseError::NodeMissing);
        }
        let name = format!("\"{node}\"");
        let occurrences = |text: &[u8]| {
            let windows = text.windows(name.len());
            windows.filter(|window| *window == name.as_bytes()).count()
        };
        if occurrences(body) - occurrences(content) > 1 {
            return Err(ResponseError::Twice);
        }
        let text = |name| -> Result<Option<String>, ResponseError> {
            let text = once(&members, name)?.and_then(json::text_of);
            Ok(text.filter(|text| !text.is_empty()))
        };
        Ok(Self {
            node,
            content,
            sign: text("sign")?,
            cert_sn: text("alipay_cert_sn")?,
        })
    }

    /// The node that was found: the one asked for, or [`ERROR_NODE`].
    #[must_use]
    pub fn node(&self) -> &'a str {
        self.node
    }

    /// The bytes that a signature would be over.
    #[must_use]
    pub fn content(&self) -> &'a [u8] {
        self.content
    }

    /// The signature as the body says it; none where the body has none.
    #[must_use]
    pub fn sign(&self) -> Option<&str> {
        self.sign.as_deref()
    }

    /// The serial number of Alipay's certificate, in certificate mode. The body says it, unsigned.
    #[must_use]
    pub fn cert_sn(&self) -> Option<&str> {
        self.cert_sn.as_deref()
    }

    /// Whether it tells a failure: `error_response`, or something with a `sub_code`. Only a failure
    /// may be believed without a signature.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        let members = json::members(self.content).unwrap_or_default();
        let mut codes = members.iter().filter(|member| member.name == b"sub_code");
        self.node == ERROR_NODE
            || codes.any(|code| json::text_of(code.value).is_some_and(|code| !code.is_empty()))
    }

    /// The content with every `\/` made `/`, where it has any. Java's SDK tries it second: some of
    /// Alipay's servers sign before they escape.
    #[must_use]
    pub fn with_plain_slashes(&self) -> Option<Vec<u8>> {
        plain_slashes(self.content)
    }
}

/// Text with every `\/` made `/`, where it has any.
pub(super) fn plain_slashes(text: &[u8]) -> Option<Vec<u8>> {
    let pairs = json::in_pairs(text);
    let mut plain = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        let next = text.get(at + 1).copied();
        at += 1;
        match next {
            Some(next) if pairs && json::is_pair(byte, Some(next)) => {
                plain.extend_from_slice(&[byte, next]);
                at += 1;
            }
            Some(b'/') if byte == b'\\' => {}
            _ => plain.push(byte),
        }
    }
    (plain.len() != text.len()).then_some(plain)
}

/// The value of the member of this name, which is there once at most.
fn once<'a>(members: &[Member<'a>], name: &str) -> Result<Option<&'a [u8]>, ResponseError> {
    let mut found = members
        .iter()
        .filter(|member| member.name == name.as_bytes());
    let first = found.next().map(|member| member.value);
    if found.next().is_some() {
        return Err(ResponseError::Twice);
    }
    Ok(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &str = "alipay_trade_query_response";

    fn parse(body: &str) -> Result<Response<'_>, ResponseError> {
        Response::parse(body.as_bytes(), NODE)
    }

    fn content(body: &str) -> String {
        String::from_utf8(parse(body).unwrap().content().to_vec()).unwrap()
    }

    #[test]
    fn a_method_names_its_node() {
        assert_eq!(node_of("alipay.trade.query"), NODE);
    }

    #[test]
    fn strings_hide_braces_names_and_quotes() {
        let inner = r#"{"a":"} \" \\","sign":"no","x":{"y":["}",{}]}}"#;
        let body = format!(r#" {{ "{NODE}" : {inner} , "sign" : "a\/b\u002b" }} "#);
        let response = parse(&body).unwrap();
        assert_eq!(response.content(), inner.as_bytes());
        assert_eq!(response.sign(), Some("a/b+"));
        assert_eq!(response.cert_sn(), None);
    }

    #[test]
    fn a_string_in_front_cannot_stand_in_for_the_node() {
        let forged = r#"\"alipay_trade_query_response\":{\"code\":\"10000\"}"#;
        let body = format!(r#"{{"memo":"{forged}","{NODE}":{{"code":"4"}},"sign":"s"}}"#);
        assert_eq!(content(&body), r#"{"code":"4"}"#);
    }

    #[test]
    fn an_encrypted_value_keeps_its_quotes() {
        assert_eq!(
            content(&format!(r#"{{"sign":"s","{NODE}":"AbC+/="}}"#)),
            "\"AbC+/=\""
        );
    }

    #[test]
    fn a_name_that_is_there_twice_is_refused() {
        let sign = r#""sign":"s""#;
        for body in [
            format!(r#"{{"{NODE}":{{}},"{NODE}":{{}},{sign}}}"#),
            format!(r#"{{"{NODE}":{{}},{sign},"x":{{"{NODE}":{{}}}}}}"#),
            format!(r#"{{"{NODE}":{{}},{sign},{sign}}}"#),
        ] {
            assert_eq!(parse(&body), Err(ResponseError::Twice), "{body}");
        }
        let escaped = format!(r#"{{"{NODE}":{{}},"si\u0067n":"s"}}"#);
        assert_eq!(parse(&escaped), Err(ResponseError::Malformed));
    }

    #[test]
    fn what_is_no_response_is_refused() {
        for body in [
            "",
            "{",
            "[]",
            "<html>",
            "{\"a\"}",
            "{\"a\":}",
            "{} {}",
            "{\"a\":1,}",
        ] {
            assert_eq!(parse(body), Err(ResponseError::Malformed), "{body}");
        }
        for body in [
            "{}".to_owned(),
            format!(r#"{{"{NODE}":7}}"#),
            format!(r#"{{"{NODE}":null}}"#),
        ] {
            assert_eq!(parse(&body), Err(ResponseError::NodeMissing), "{body}");
        }
        for node in ["", "a b", "a\"", &"n".repeat(ALIPAY_NAME_BYTES_MAX + 1)] {
            assert_eq!(Response::parse(b"{}", node), Err(ResponseError::Node));
        }
    }

    #[test]
    fn only_errors_may_go_unsigned() {
        for (body, failure) in [
            (r#"{"error_response":{"code":"40002"}}"#.to_owned(), true),
            (
                format!(r#"{{"{NODE}":{{"code":"40004","sub_code":"ACQ.X"}}}}"#),
                true,
            ),
            (format!(r#"{{"{NODE}":{{"code":"10000"}}}}"#), false),
            (format!(r#"{{"{NODE}":"AbC="}}"#), false),
            (format!(r#"{{"{NODE}":{{"x":{{"sub_code":"1"}}}}}}"#), false),
        ] {
            let response = parse(&body).unwrap();
            assert_eq!(response.sign(), None);
            assert_eq!(response.is_failure(), failure, "{body}");
        }
    }

    #[test]
    fn the_second_byte_of_a_gbk_character_is_no_backslash_and_no_brace() {
        // 誠 is D5 5C, 亄 is 81 7B, 亇 is 81 7D.
        let inner = b"{\"a\":\"\xD5\x5C\",\"b\":\"\x81\x7B\x81\x7D\"}".as_slice();
        let node = format!("{{\"{NODE}\":");
        let body = [node.as_bytes(), inner, b",\"sign\":\"s\"}"].concat();
        let response = Response::parse(&body, NODE).unwrap();
        assert_eq!(response.content(), inner);
        assert_eq!(response.with_plain_slashes(), None);
        assert_eq!(plain_slashes(b"\xD5\x5C/"), None);
    }

    #[test]
    fn plain_slashes_are_made_where_there_are_escaped_ones() {
        assert_eq!(plain_slashes(b"a\\/b\\/"), Some(b"a/b/".to_vec()));
        assert_eq!(plain_slashes(b"a/b"), None);
    }
}
