//! A distinguished name in the text form of RFC 2253 as Java's `X500Principal.getName()` has it,
//! which is what Alipay hashes. Java differs from the RFC in what it escapes (`=` and `#` anywhere,
//! every space at either end) and in strings that are not UTF-8, whose bytes it reads as UTF-8
//! anyway.

use der::oid::ObjectIdentifier;
use der::{Encode, Tag, Tagged};
use x509_cert::attr::AttributeTypeAndValue;
use x509_cert::name::Name;

/// The last relative name first, joined with commas and without spaces.
pub(super) fn rfc2253(name: &Name) -> der::Result<String> {
    let mut parts = Vec::new();
    for relative in name.iter_rdn() {
        let attributes: der::Result<Vec<String>> = relative.iter().map(attribute).collect();
        parts.push(attributes?.join("+"));
    }
    parts.reverse();
    Ok(parts.join(","))
}

fn attribute(attribute: &AttributeTypeAndValue) -> der::Result<String> {
    let value = &attribute.value;
    let keyword = KEYWORDS.iter().find(|(oid, _)| *oid == attribute.oid);
    match keyword {
        Some((_, keyword)) if is_string(value.tag()) => {
            let text = String::from_utf8_lossy(value.value());
            Ok(format!("{keyword}={}", escaped(&text)))
        }
        Some((_, keyword)) => Ok(format!("{keyword}=#{}", hex::encode(value.to_der()?))),
        None => Ok(format!(
            "{}=#{}",
            attribute.oid,
            hex::encode(value.to_der()?)
        )),
    }
}

/// The string types whose value Java writes as text.
const fn is_string(tag: Tag) -> bool {
    matches!(
        tag,
        Tag::PrintableString
            | Tag::TeletexString
            | Tag::Ia5String
            | Tag::GeneralString
            | Tag::BmpString
            | Tag::Utf8String
    )
}

fn escaped(text: &str) -> String {
    let blank = |character: char| matches!(character, ' ' | '\r');
    let inner = text.trim_matches(blank);
    let lead = text.len() - text.trim_start_matches(blank).len();
    let inner_end = lead + inner.len();
    let mut escaped = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        match character {
            '\0' => escaped.push_str("\\00"),
            ',' | '=' | '+' | '<' | '>' | '#' | ';' | '"' | '\\' => {
                escaped.push('\\');
                escaped.push(character);
            }
            _ => {
                if at < lead || at >= inner_end {
                    escaped.push('\\');
                }
                escaped.push(character);
            }
        }
    }
    escaped
}

/// The attributes that RFC 2253 has words for; others are written by number and in hexadecimal.
const KEYWORDS: [(ObjectIdentifier, &str); 9] = [
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.9"), "STREET"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (
        ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1"),
        "UID",
    ),
    (
        ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25"),
        "DC",
    ),
];
