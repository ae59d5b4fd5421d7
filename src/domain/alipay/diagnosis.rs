//! "invalid-signature, why?": what usually happens to signed bytes on their way, undone, so that a
//! verifier can say what would have verified. Guesses to be tried, never to be accepted.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::domain::alipay::charset::Charset;
use crate::domain::alipay::notification::{Notification, percent_decoded};
use crate::domain::alipay::response::plain_slashes;

/// One thing that must be undone, or done, for a signature to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// `&quot;` and its like made characters.
    HtmlUnescaped,
    /// Spaces made `+`.
    PlusRestored,
    /// Percent-decoded once more.
    DecodedAgain,
    /// Not percent-decoded.
    NotDecoded,
    /// From UTF-8 to GBK.
    ToGbk,
    /// From GBK to UTF-8.
    ToUtf8,
    /// `/` made `\/`.
    SlashEscaped,
    /// `\u82b1` made a character.
    UnicodeUnescaped,
    /// White space between JSON's tokens taken out.
    Compacted,
    /// White space at the end taken off.
    Trimmed,
    /// One parameter left out.
    ParameterLeftOut,
    /// Spaces in `sign` made `+`.
    SignPlusRestored,
    /// `=` put back at the end of `sign`.
    SignPadded,
    /// Line breaks taken out of `sign`.
    SignUnbroken,
    /// `sign` percent-decoded once more.
    SignDecodedAgain,
    /// `-` and `_` in `sign` made `+` and `/`.
    SignStandardAlphabet,
    /// The other hash under the same RSA key.
    OtherHash,
    /// The other key.
    OtherKey,
}

/// Bytes as they may have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variant {
    /// What was changed; nothing in what came.
    pub changes: Vec<Change>,
    /// The parameter that [`Change::ParameterLeftOut`] means.
    pub parameter: Option<String>,
    /// The outcome.
    pub bytes: Vec<u8>,
}

impl Change {
    /// What happened, and what to do.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            Self::HtmlUnescaped => {
                "it was HTML-escaped on the way (&quot; for a quote): verify what came, before any \
                 filter or template"
            }
            Self::PlusRestored => {
                "a + became a space: it was percent-decoded once too often, or not encoded when it \
                 was passed on"
            }
            Self::DecodedAgain => "it was percent-encoded twice: pass the bytes on as they came",
            Self::NotDecoded => {
                "it was already decoded before it came here: pass the raw form, not its values"
            }
            Self::ToGbk => {
                "it was signed in GBK and became UTF-8 on the way: verify the raw bytes, decode after"
            }
            Self::ToUtf8 => {
                "it was signed in UTF-8 and became GBK on the way: verify the raw bytes, decode after"
            }
            Self::SlashEscaped => {
                "slashes were escaped when it was signed: it was parsed and written again on the way"
            }
            Self::UnicodeUnescaped => {
                "characters became \\u escapes: it was parsed and written again on the way"
            }
            Self::Compacted => "white space was put in: it was parsed and written again on the way",
            Self::Trimmed => "white space was added at the end",
            Self::ParameterLeftOut => {
                "a parameter was added after it was signed, by a notify_url with a query or by a \
                 framework"
            }
            Self::SignPlusRestored => {
                "each + in the signature became a space: percent-encode it when it is passed on"
            }
            Self::SignPadded => "the = at the end of the signature were cut off",
            Self::SignUnbroken => "there are line breaks or spaces in the signature",
            Self::SignDecodedAgain => "the signature is still percent-encoded",
            Self::SignStandardAlphabet => {
                "the signature is in the URL alphabet of base64, with - and _ for + and /"
            }
            Self::OtherHash => {
                "it is signed with the other RSA hash: SHA-1 is sign_type RSA, SHA-256 is RSA2; the \
                 key's policy names one"
            }
            Self::OtherKey => {
                "it is signed by the other key: the application's key and Alipay's are exchanged, or \
                 another application's Alipay key is used"
            }
        }
    }
}

/// What a JSON value, or a body, may have been: with one change, and with two.
#[must_use]
pub fn of_content(content: &[u8]) -> Vec<Variant> {
    let mut variants = Variants::new(content);
    if let Some(plain) = plain_slashes(content) {
        variants.add(Vec::new(), None, plain);
    }
    for _ in 0..2 {
        for known in variants.0.clone() {
            for (change, undo) in CONTENT {
                if !known.changes.contains(change)
                    && let Some(bytes) = undo(&known.bytes)
                {
                    let changes = [known.changes.as_slice(), &[*change]].concat();
                    variants.add(changes, None, bytes);
                }
            }
        }
    }
    variants.0
}

/// What the signed string of a notification may have been: in each reading, with one change.
#[must_use]
pub fn of_notification(notification: &Notification, form: &[u8]) -> Vec<Variant> {
    let mut variants = Variants(Vec::new());
    let mut readings = |changes: &[Change], parameter: Option<&str>, form: &Notification| {
        for (_, string) in form.strings_to_sign() {
            variants.add(changes.to_vec(), parameter.map(str::to_owned), string);
        }
    };
    readings(&[], None, notification);
    for (change, undo) in VALUES {
        if let Some(changed) = notification.mapped(undo) {
            readings(&[*change], None, &changed);
        }
    }
    if let Ok(changed) = Notification::parse_with(form, <[u8]>::to_vec) {
        readings(&[Change::NotDecoded], None, &changed);
    }
    for parameter in notification.parameters() {
        let name = parameter.name.as_str();
        if !matches!(name, "sign" | "sign_type" | "alipay_cert_sn") {
            let changed = notification.without(name);
            readings(&[Change::ParameterLeftOut], Some(name), &changed);
        }
    }
    variants.0
}

/// What a signature in base64 may have been; only what is base64.
#[must_use]
pub fn of_sign(sign: &str) -> Vec<Variant> {
    let mut texts = Variants::new(sign.as_bytes());
    for _ in 0..2 {
        for known in texts.0.clone() {
            for (change, undo) in SIGN {
                if let Some(bytes) = undo(&known.bytes) {
                    let changes = [known.changes.as_slice(), &[*change]].concat();
                    texts.add(changes, None, bytes);
                }
            }
        }
    }
    let mut variants = Variants(Vec::new());
    for text in texts.0 {
        if let Ok(bytes) = STANDARD.decode(&text.bytes) {
            variants.add(text.changes, None, bytes);
        }
    }
    variants.0
}

/// Variants, each once: the first way to it is the shortest.
struct Variants(Vec<Variant>);

impl Variants {
    fn new(bytes: &[u8]) -> Self {
        Self(vec![Variant {
            changes: Vec::new(),
            parameter: None,
            bytes: bytes.to_vec(),
        }])
    }

    fn add(&mut self, changes: Vec<Change>, parameter: Option<String>, bytes: Vec<u8>) {
        if !self.0.iter().any(|known| known.bytes == bytes) {
            self.0.push(Variant {
                changes,
                parameter,
                bytes,
            });
        }
    }
}

type Undo = fn(&[u8]) -> Option<Vec<u8>>;

const CONTENT: &[(Change, Undo)] = &[
    (Change::HtmlUnescaped, |text| Some(html_unescaped(text))),
    (Change::DecodedAgain, |text| {
        Some(percent_decoded(text, false))
    }),
    (Change::PlusRestored, |text| {
        Some(replaced(text, b' ', b'+'))
    }),
    (Change::ToGbk, to_gbk),
    (Change::ToUtf8, to_utf8),
    (Change::SlashEscaped, slash_escaped),
    (Change::UnicodeUnescaped, unicode_unescaped),
    (Change::Trimmed, |text| Some(text.trim_ascii_end().to_vec())),
    (Change::Compacted, |text| Some(compacted(text))),
];

const VALUES: &[(Change, Undo)] = &[
    (Change::HtmlUnescaped, |text| Some(html_unescaped(text))),
    (Change::DecodedAgain, |text| {
        Some(percent_decoded(text, true))
    }),
    (Change::PlusRestored, |text| {
        Some(replaced(text, b' ', b'+'))
    }),
    (Change::ToGbk, to_gbk),
    (Change::ToUtf8, to_utf8),
    (Change::Trimmed, |text| Some(text.trim_ascii_end().to_vec())),
];

const SIGN: &[(Change, Undo)] = &[
    (Change::SignPlusRestored, |text| {
        Some(replaced(text.trim_ascii_end(), b' ', b'+'))
    }),
    (Change::SignPadded, padded),
    (Change::SignUnbroken, |text| {
        let kept = text.iter().filter(|byte| !byte.is_ascii_whitespace());
        Some(kept.copied().collect())
    }),
    (Change::SignDecodedAgain, |text| {
        Some(percent_decoded(text, false))
    }),
    (Change::SignStandardAlphabet, |text| {
        Some(replaced(&replaced(text, b'-', b'+'), b'_', b'/'))
    }),
];

fn replaced(text: &[u8], from: u8, to: u8) -> Vec<u8> {
    let replace = |byte: &u8| if *byte == from { to } else { *byte };
    text.iter().map(replace).collect()
}

/// The five characters that HTML escapes.
pub(super) fn html_unescaped(text: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        let found = ENTITIES
            .iter()
            .find(|(entity, _)| rest.starts_with(entity.as_bytes()));
        match found {
            Some((entity, character)) => {
                plain.push(*character);
                rest = rest.get(entity.len()..).unwrap_or_default();
            }
            None => {
                plain.push(byte);
                rest = after;
            }
        }
    }
    plain
}

const ENTITIES: &[(&str, u8)] = &[
    ("&quot;", b'"'),
    ("&#34;", b'"'),
    ("&#x22;", b'"'),
    ("&amp;", b'&'),
    ("&#38;", b'&'),
    ("&lt;", b'<'),
    ("&#60;", b'<'),
    ("&gt;", b'>'),
    ("&#62;", b'>'),
    ("&apos;", b'\''),
    ("&#39;", b'\''),
    ("&#x27;", b'\''),
    ("&#43;", b'+'),
    ("&#61;", b'='),
];

/// UTF-8 as GBK, where it is UTF-8 and more than ASCII.
pub(super) fn to_gbk(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok().filter(|it| !it.is_ascii())?;
    let mut bytes = Vec::new();
    Charset::Gb18030.encode(text, &mut bytes).ok()?;
    Some(bytes)
}

/// GBK as UTF-8, where it is not UTF-8 already.
pub(super) fn to_utf8(text: &[u8]) -> Option<Vec<u8>> {
    if std::str::from_utf8(text).is_ok() {
        return None;
    }
    Charset::Gb18030.decode(text).map(String::into_bytes)
}

fn slash_escaped(text: &[u8]) -> Option<Vec<u8>> {
    if plain_slashes(text).is_some() {
        return None;
    }
    let mut escaped = Vec::with_capacity(text.len());
    for byte in text {
        if *byte == b'/' {
            escaped.push(b'\\');
        }
        escaped.push(*byte);
    }
    Some(escaped)
}

/// `\uXXXX` above ASCII as UTF-8, pairs of surrogates too.
pub(super) fn unicode_unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(text).ok()?;
    let unit = |text: &str| {
        let digits = text.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    };
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let units = [unit(rest), rest.get(6..).and_then(unit)];
        let units: Vec<u16> = units.into_iter().map_while(|unit| unit).collect();
        let decoded = char::decode_utf16(units).next();
        match decoded {
            Some(Ok(decoded)) if !decoded.is_ascii() => {
                plain.push(decoded);
                rest = rest.get(6 * decoded.len_utf16()..).unwrap_or_default();
            }
            _ => {
                plain.push(character);
                rest = rest.get(character.len_utf8()..).unwrap_or_default();
                // What a backslash escapes stays behind it.
                if character == '\\'
                    && let Some(escaped) = rest.chars().next()
                {
                    plain.push(escaped);
                    rest = rest.get(escaped.len_utf8()..).unwrap_or_default();
                }
            }
        }
    }
    Some(plain.into_bytes())
}

/// Without white space outside strings.
fn compacted(text: &[u8]) -> Vec<u8> {
    let (mut inside, mut escaped) = (false, false);
    let mut compact = Vec::with_capacity(text.len());
    for byte in text {
        if inside || !byte.is_ascii_whitespace() {
            compact.push(*byte);
        }
        match byte {
            _ if escaped => escaped = false,
            b'\\' if inside => escaped = true,
            b'"' => inside = !inside,
            _ => {}
        }
    }
    compact
}

fn padded(text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=')?;
    let bare = text.get(..=end)?;
    let bytes = STANDARD_NO_PAD.decode(bare).ok()?;
    Some(STANDARD.encode(bytes).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(variants: &[Variant], bytes: &[u8]) -> Vec<Change> {
        let found = variants.iter().find(|variant| variant.bytes == bytes);
        found.expect("not among the variants").changes.clone()
    }

    #[test]
    fn what_came_is_first_and_unchanged() {
        for variants in [of_content(b"{}"), of_sign("AA==")] {
            assert_eq!(variants[0].changes, []);
        }
    }

    #[test]
    fn what_happens_to_a_body_is_undone() {
        use Change::*;
        for (came, signed, changes) in [
            ("{&quot;a&quot;:&#39;}", "{\"a\":'}", vec![HtmlUnescaped]),
            ("{\"a\":\"%2B\"}", "{\"a\":\"+\"}", vec![DecodedAgain]),
            ("{\"a\":\"1 2\"}", "{\"a\":\"1+2\"}", vec![PlusRestored]),
            ("{\"a\":\"/\"}", "{\"a\":\"\\/\"}", vec![SlashEscaped]),
            (
                "\"\\u82b1\\ud83d\\ude00\\n\"",
                "\"花😀\\n\"",
                vec![UnicodeUnescaped],
            ),
            (
                "{ \"a\" : \" \\\" \" }",
                "{\"a\":\" \\\" \"}",
                vec![Compacted],
            ),
            ("{}\r\n", "{}", vec![Trimmed]),
            (
                "{\"a\": \"\\u82b1\"}",
                "{\"a\":\"花\"}",
                vec![UnicodeUnescaped, Compacted],
            ),
        ] {
            let ways = ways(&of_content(came.as_bytes()), signed.as_bytes());
            assert!(ways.len() == changes.len(), "{came}: {ways:?}");
            assert!(
                changes.iter().all(|change| ways.contains(change)),
                "{ways:?}"
            );
        }
        let gbk = b"\"\xBB\xA8\"".as_slice();
        assert_eq!(ways(&of_content("\"花\"".as_bytes()), gbk), [ToGbk]);
        assert_eq!(ways(&of_content(gbk), "\"花\"".as_bytes()), [ToUtf8]);
    }

    #[test]
    fn what_happens_to_a_signature_is_undone() {
        use Change::*;
        let bytes = [0xFB, 0xEF, 0xBE, 0xFF];
        assert_eq!(STANDARD.encode(bytes), "++++/w==");
        for (came, changes) in [
            ("++++/w==", vec![]),
            ("    /w==", vec![SignPlusRestored]),
            ("++++/w", vec![SignPadded]),
            ("++++/w=", vec![SignPadded]),
            ("++++\r\n/w==", vec![SignUnbroken]),
            ("%2B%2B%2B%2B%2Fw%3D%3D", vec![SignDecodedAgain]),
            ("----_w==", vec![SignStandardAlphabet]),
            ("    /w", vec![SignPlusRestored, SignPadded]),
        ] {
            assert_eq!(ways(&of_sign(came), &bytes), changes, "{came}");
        }
        assert_eq!(of_sign("***"), []);
    }

    #[test]
    fn a_parameter_that_was_added_is_named() {
        let form = b"a=1&tenant=7&sign=s";
        let variants = of_notification(&Notification::parse(form).unwrap(), form);
        let found = variants.iter().find(|variant| variant.bytes == b"a=1");
        let found = found.unwrap();
        assert_eq!(found.changes, [Change::ParameterLeftOut]);
        assert_eq!(found.parameter.as_deref(), Some("tenant"));
    }
}
