//! Our string-to-sign beside the one that a gateway says it made: where they part, and a guess why.
//!
//! The gateway shows its own in the `sub_msg` of isv.invalid-signature, behind 验签字符串为：, often
//! HTML-escaped.

use crate::domain::alipay::diagnosis::{html_unescaped, to_utf8, unicode_unescaped};
use crate::domain::alipay::notification::percent_decoded;
use crate::domain::alipay::response::plain_slashes;
use crate::limits::COMPARISON_WINDOW_BYTES;

/// Two strings, held against each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Where they part, bytes from the start; none where they are equal.
    pub offset: Option<usize>,
    /// What ours has around there.
    pub ours: Vec<u8>,
    /// What the gateway's has around there.
    pub theirs: Vec<u8>,
    /// Why, as far as one can see.
    pub guess: Option<Guess>,
    /// The parameter that is meant.
    pub parameter: Option<String>,
}

/// Why two strings part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guess {
    /// Non-ASCII characters are other bytes there.
    Charset,
    /// Ours has a parameter that did not arrive, or that the gateway leaves out.
    OnlyOurs,
    /// The gateway got a parameter that was not signed.
    OnlyTheirs,
    /// The same parameters in another order.
    Order,
    /// The same value, escaped or encoded on one side.
    Escaping,
    /// Another value.
    Value,
}

/// The gateway's string out of its message, or the message itself where nothing introduces one.
#[must_use]
pub fn of_gateway(message: &str) -> &str {
    let found = INTRODUCTIONS
        .iter()
        .filter_map(|introduction| message.split_once(introduction))
        .map(|(_, string)| string)
        .min_by_key(|string| string.len());
    found.unwrap_or(message)
}

/// Holds our string against the gateway's. Ours is read as GBK where it is not UTF-8, because the
/// gateway's message is text; offsets are then those of its UTF-8.
#[must_use]
pub fn compare(ours: &[u8], theirs: &str) -> Comparison {
    let ours = to_utf8(ours).unwrap_or_else(|| ours.to_vec());
    let plain = html_unescaped(theirs.as_bytes());
    // A message that is not escaped may have an entity of the caller's own in it.
    let raw = common(&ours, theirs.as_bytes()) > common(&ours, &plain);
    let theirs = if raw || ours == theirs.as_bytes() {
        theirs.as_bytes().to_vec()
    } else {
        plain
    };
    if ours == theirs {
        return Comparison {
            offset: None,
            ours: Vec::new(),
            theirs: Vec::new(),
            guess: None,
            parameter: None,
        };
    }
    let at = common(&ours, &theirs);
    let (guess, parameter) = guess(&ours, &theirs);
    Comparison {
        offset: Some(at),
        ours: window(&ours, at),
        theirs: window(&theirs, at),
        guess: Some(guess),
        parameter,
    }
}

fn common(one: &[u8], other: &[u8]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

fn window(text: &[u8], at: usize) -> Vec<u8> {
    let start = at.saturating_sub(COMPARISON_WINDOW_BYTES);
    let end = text.len().min(at.saturating_add(COMPARISON_WINDOW_BYTES));
    text.get(start..end).unwrap_or_default().to_vec()
}

fn guess(ours: &[u8], theirs: &[u8]) -> (Guess, Option<String>) {
    let (ours, theirs) = (parameters(ours), parameters(theirs));
    let lacking = |these: &[Named], those: &[Named]| {
        let lacks = |(name, _): &&Named| !those.iter().any(|(other, _)| other == name);
        these.iter().find(lacks).map(|(name, _)| name.clone())
    };
    if let Some(name) = lacking(&ours, &theirs) {
        return (Guess::OnlyOurs, Some(name));
    }
    if let Some(name) = lacking(&theirs, &ours) {
        return (Guess::OnlyTheirs, Some(name));
    }
    let pairs = || ours.iter().zip(&theirs);
    if let Some(((name, _), _)) = pairs().find(|((one, _), (other, _))| one != other) {
        return (Guess::Order, Some(name.clone()));
    }
    let differs = pairs().find(|((_, one), (_, other))| one != other);
    match differs {
        Some(((name, one), (_, other))) => (of_values(one, other), Some(name.clone())),
        None => (Guess::Value, None),
    }
}

/// Why two values differ.
fn of_values(one: &[u8], other: &[u8]) -> Guess {
    let spoilt = |text: &[u8]| {
        let text = String::from_utf8_lossy(text);
        let ascii: String = text
            .chars()
            .filter(|it| it.is_ascii() && *it != '?')
            .collect();
        (text.len() != ascii.len(), ascii)
    };
    let ((one_wide, one_ascii), (other_wide, other_ascii)) = (spoilt(one), spoilt(other));
    // The same but for what is not ASCII, or became ?.
    if (one_wide || other_wide) && one_ascii == other_ascii {
        return Guess::Charset;
    }
    let undone = |text: &[u8]| -> Vec<Vec<u8>> {
        let unicode = unicode_unescaped(text).unwrap_or_default();
        vec![
            html_unescaped(text),
            percent_decoded(text, false),
            percent_decoded(text, true),
            plain_slashes(text).unwrap_or_default(),
            unicode,
            text.trim_ascii().to_vec(),
        ]
    };
    if undone(one).iter().any(|it| it == other) || undone(other).iter().any(|it| it == one) {
        return Guess::Escaping;
    }
    Guess::Value
}

/// A parameter's name and value.
type Named = (String, Vec<u8>);

/// The parameters, as far as a string without escapes tells: a part without a name belongs to the
/// value before it.
fn parameters(string: &[u8]) -> Vec<Named> {
    let mut parameters: Vec<Named> = Vec::new();
    for part in string.split(|byte| *byte == b'&') {
        let at = part.iter().position(|byte| *byte == b'=');
        let in_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte == b'-';
        let name = at
            .and_then(|at| part.get(..at))
            .filter(|name| !name.is_empty() && name.iter().all(in_name));
        match (name, parameters.last_mut()) {
            (None, Some((_, value))) => {
                value.push(b'&');
                value.extend_from_slice(part);
            }
            (None, None) => parameters.push((String::new(), part.to_vec())),
            (Some(name), _) => {
                let value = part.get(name.len() + 1..).unwrap_or_default();
                parameters.push((String::from_utf8_lossy(name).into_owned(), value.to_vec()));
            }
        }
    }
    parameters
}

/// What stands before the string, in the messages that are known.
const INTRODUCTIONS: [&str; 4] = [
    "验签字符串为：",
    "验签字符串为:",
    "验签字符串：",
    "verify string is:",
];

#[cfg(test)]
mod tests {
    use super::*;

    const OURS: &str =
        "app_id=1&biz_content={\"subject\":\"花 & a=b\"}&charset=utf-8&sign_type=RSA2";

    fn guessed(theirs: &str) -> (Option<Guess>, Option<String>) {
        let comparison = compare(OURS.as_bytes(), theirs);
        (comparison.guess, comparison.parameter)
    }

    #[test]
    fn the_gateways_string_is_taken_out_of_its_message() {
        let message = "验签出错，建议检查签名字符串或签名私钥与应用公钥是否匹配，网关生成的验签字符串为：a=1&amp;b=2";
        assert_eq!(of_gateway(message), "a=1&amp;b=2");
        assert_eq!(of_gateway("a=1"), "a=1");
        assert_eq!(compare(b"a=1&b=2", of_gateway(message)).offset, None);
    }

    #[test]
    fn equal_strings_are_equal_escaped_or_not_and_in_gbk() {
        let escaped = OURS.replace('&', "&amp;").replace('"', "&quot;");
        for theirs in [OURS, escaped.as_str()] {
            assert_eq!(compare(OURS.as_bytes(), theirs).offset, None);
        }
        assert_eq!(compare(b"a=&quot;", "a=&quot;").offset, None);
        assert_eq!(compare(b"a=\xBB\xA8", "a=花").offset, None);
    }

    #[test]
    fn the_first_byte_that_differs_is_shown_from_both_sides() {
        let comparison = compare(b"a=1&b=2", "a=1&b=3&c=4");
        assert_eq!(comparison.offset, Some(6));
        assert_eq!(comparison.ours, b"a=1&b=2");
        assert_eq!(comparison.theirs, b"a=1&b=3&c=4");
        let long = "x".repeat(500);
        let comparison = compare(
            format!("a={long}1{long}").as_bytes(),
            &format!("a={long}2{long}"),
        );
        assert_eq!(comparison.ours.len(), 2 * COMPARISON_WINDOW_BYTES);
        assert_eq!(compare(b"", "a=1").offset, Some(0));
        assert_eq!(compare(b"a=1", "").offset, Some(0));
    }

    #[test]
    fn why_they_differ_is_guessed() {
        let named = |guess, name: &str| (Some(guess), Some(name.to_owned()));
        assert_eq!(
            guessed(&OURS.replace("花", "?")),
            named(Guess::Charset, "biz_content")
        );
        assert_eq!(
            guessed(&OURS.replace("花", "鑺?")),
            named(Guess::Charset, "biz_content")
        );
        let fewer = OURS.replace("&charset=utf-8", "");
        assert_eq!(guessed(&fewer), named(Guess::OnlyOurs, "charset"));
        let more = OURS.replace("&sign_type", "&format=JSON&sign_type");
        assert_eq!(guessed(&more), named(Guess::OnlyTheirs, "format"));
        let other = "charset=utf-8&app_id=1&biz_content={\"subject\":\"花 & a=b\"}&sign_type=RSA2";
        assert_eq!(guessed(other).0, Some(Guess::Order));
        let encoded = OURS.replace("花 & a=b", "%E8%8A%B1 %26 a%3Db");
        assert_eq!(guessed(&encoded), named(Guess::Escaping, "biz_content"));
        assert_eq!(
            guessed(&OURS.replace("RSA2", "RSA")),
            named(Guess::Value, "sign_type")
        );
    }
}
