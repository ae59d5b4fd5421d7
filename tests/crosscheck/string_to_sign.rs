//! Alipay's string-to-sign of random requests, put together again in Python from the description.

use pintle::domain::alipay::StringToSign;

use crate::inputs::Inputs;
use crate::oracle::{agree_times, asked, count, word};

/// Cheap to ask, so that even the short run asks for many.
const LEAST: usize = 5_000;
const CHARSETS: [Option<&str>; 5] = [
    None,
    Some("utf-8"),
    Some("gbk"),
    Some("GBK"),
    Some("gb18030"),
];
const NAME_CHARACTERS: &[u8] = b"abcxyzABCXYZ019_-.[]%+\"\\~";
const TRICKY: &[u8] = b"&=%+\"\\ {}/<>'\n\t\r:,#;";
/// What GBK lacks: GB 18030 has it in four bytes.
const OUTSIDE_GBK: &[char] = &['😀', '𠮷', 'é', 'ñ', 'ก', '가', 'ß', '\u{200d}'];

#[test]
fn the_string_to_sign_agrees_with_another_implementation() {
    agree_times("alipay_string", count().max(LEAST), |inputs| {
        let parameters = parameters(inputs);
        let borrowed = parameters.iter().map(|(n, v)| (n.as_str(), v.as_str()));
        let ours = StringToSign::for_request(borrowed).unwrap();
        let words: Vec<String> = parameters
            .iter()
            .flat_map(|(name, value)| [word(name.as_bytes()), word(value.as_bytes())])
            .collect();
        asked(
            format!("alipay_string {}", words.join(" ")),
            ours.as_bytes(),
        )
    });
}

/// In no order, with `sign_type`, at times with `sign` and `charset`.
fn parameters(inputs: &mut Inputs) -> Vec<(String, String)> {
    let charset = inputs.one(&CHARSETS);
    let all = charset.is_none_or(|label| !label.eq_ignore_ascii_case("gbk"));
    let mut parameters = vec![("sign_type".to_owned(), inputs.one(&["RSA", "RSA2", "SM2"]))]
        .into_iter()
        .map(|(name, value)| (name, value.to_owned()))
        .collect::<Vec<_>>();
    if let Some(label) = charset {
        parameters.push(("charset".to_owned(), label.to_owned()));
    }
    if inputs.between(0, 1) == 0 {
        parameters.push(("sign".to_owned(), value(inputs, all)));
    }
    for _ in 0..inputs.between(0, 20) {
        let name = name(inputs);
        if parameters.iter().all(|(other, _)| *other != name) {
            let value = value(inputs, all);
            let at = inputs.between(0, parameters.len());
            parameters.insert(at, (name, value));
        }
    }
    parameters
}

fn name(inputs: &mut Inputs) -> String {
    // Short ones, so that many begin alike and the order is put to the test.
    let length = inputs.between(1, 5);
    (0..length)
        .map(|_| char::from(inputs.one(NAME_CHARACTERS)))
        .collect()
}

fn value(inputs: &mut Inputs, all: bool) -> String {
    // One in five or so is empty.
    let length = match inputs.between(0, 4) {
        0 => 0,
        _ => inputs.between(1, 24),
    };
    (0..length).map(|_| character(inputs, all)).collect()
}

fn character(inputs: &mut Inputs, all: bool) -> char {
    match inputs.between(0, 5) {
        0 | 1 => char::from(inputs.one(TRICKY)),
        2 => char::from(inputs.array::<1>()[0] % 0x5f + 0x20),
        3 if all => inputs.one(OUTSIDE_GBK),
        // The ideographs of GBK.
        _ => {
            let ideograph = u32::try_from(inputs.between(0x4e00, 0x9fa5)).unwrap();
            char::from_u32(ideograph).unwrap()
        }
    }
}
