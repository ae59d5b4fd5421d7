//! `application/x-www-form-urlencoded`, to bytes and back: decoded once, whatever the charset.

use crate::string_to_sign::Pairs;

/// Decodes a query or a form.
pub fn decode(text: &[u8]) -> Pairs {
    text.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match equals {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            (unescaped(name), unescaped(value))
        })
        .collect()
}

/// Encodes one; every byte that is not a letter, a digit or one of `-._*` is escaped.
pub fn encode(pairs: &Pairs) -> String {
    let pair = |(name, value): &(Vec<u8>, Vec<u8>)| format!("{}={}", escaped(name), escaped(value));
    pairs.iter().map(pair).collect::<Vec<_>>().join("&")
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let escape = after.first_chunk().and_then(|[high, low]| {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()
        });
        match (first, escape) {
            (b'+', _) => bytes.push(b' '),
            (b'%', Some(byte)) => {
                bytes.push(byte);
                rest = &after[2..];
            }
            (other, _) => bytes.push(*other),
        }
    }
    bytes
}

fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b' ' => text.push('+'),
            b'-' | b'.' | b'_' | b'*' => text.push(char::from(*byte)),
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(*byte)),
            byte => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_decodes_to_itself() {
        let pairs: Pairs = vec![((0..=255).collect(), b"a+b %41&=".to_vec())];
        assert_eq!(decode(encode(&pairs).as_bytes()), pairs);
    }

    #[test]
    fn a_broken_escape_stays_as_it_is() {
        assert_eq!(
            decode(b"a=%4&b=%zz"),
            [
                (b"a".to_vec(), b"%4".to_vec()),
                (b"b".to_vec(), b"%zz".to_vec())
            ]
        );
    }
}
