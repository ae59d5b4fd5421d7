//! Key blocks (X9.143, TR-31): opened, written, and their protection keys.
//!
//! What the library does not write (versions A and C, a key stronger than its protection key) is
//! written by [`writing`] and must then be opened by the library; what it does write must be the
//! same in both.

mod writing;

use crate::case::{Answer, Case, Op, hex};
use pintle::domain::check_value::{self, Method};
use pintle::domain::key_block::{
    BlockKeys, Decoded, Header, Masking, ProtectionKeys, Unwrapped, Version, WrapError, wrap,
};
use serde_json::{Map, Value};

/// What runs.
pub const OPS: &[Op] = &[
    Op::new("tr31_unwrap", &["kbpk", "key_block"], unwrap).optional(&["version", "note"]),
    Op::new(
        "tr31_wrap_fixed_padding",
        &["kbpk", "header_in", "key", "pad_bytes"],
        wrap_fixed_padding,
    )
    .optional(&["note"]),
    Op::new("tr31_header_parse", &["header"], |case| {
        let Ok(decoded) = Header::decode(case.text("header")?.as_bytes()) else {
            return Ok(Answer::Refused);
        };
        Ok(Answer::Gave(header_fields(case, &decoded)))
    })
    .optional(&["note"]),
    Op::new("tr31_kbpk_derive", &["kbpk", "version"], block_keys).optional(&["note"]),
    Op::new("tr31_kbpk_variant", &["kbpk", "version"], block_keys).optional(&["note"]),
];

fn unwrap(case: &Case<'_>) -> Result<Answer, String> {
    let block = case.text("key_block")?.as_bytes();
    let version = block.first().copied().and_then(Version::from_code);
    let Some(version) = version else {
        return Ok(Answer::Refused);
    };
    let Ok(keys) = ProtectionKeys::from_kbpk(version, &case.bytes("kbpk")?) else {
        return Ok(Answer::Refused);
    };
    let Ok(Unwrapped { header, key }) = pintle::domain::key_block::unwrap(&keys, block) else {
        return Ok(Answer::Refused);
    };
    let text = header
        .encode(block.len())
        .map_err(|fault| fault.to_string())?;
    if !block.starts_with(text.as_bytes()) {
        return Err("the header is not written as it was read".to_owned());
    }
    let decoded = Decoded {
        header_chars: text.len(),
        block_chars: block.len(),
        header,
    };
    let mut fields = header_fields(case, &decoded);
    fields.push(("key", hex(key.expose_secret())));
    if let Some(length) = case.expected_length("kcv") {
        let method = match decoded.header.algorithm.code() {
            b'A' => Method::AesCmac,
            _ => Method::TdesZero,
        };
        let value = check_value::compute_by(method, key.expose_secret(), length)
            .map_err(|error| error.to_string())?;
        fields.push(("kcv", hex(value.as_bytes())));
    }
    Ok(Answer::Gave(fields))
}

fn wrap_fixed_padding(case: &Case<'_>) -> Result<Answer, String> {
    let (key, padding) = (case.bytes("key")?, case.bytes("pad_bytes")?);
    let kbpk = case.bytes("kbpk")?;
    let Ok(Decoded { header, .. }) = Header::decode(case.text("header_in")?.as_bytes()) else {
        return Ok(Answer::Refused);
    };
    let Ok(keys) = ProtectionKeys::from_kbpk(header.version, &kbpk) else {
        return Ok(Answer::Refused);
    };
    let expected = writing::write(&kbpk, &header, &key, &padding)?;
    let masking = Masking::to_bytes(key.len() + padding.len());
    let block = match wrap(&keys, &header, &key, masking, &padding) {
        Ok(block) if block != expected => return Err(format!("written as {block}")),
        Ok(block) => block,
        Err(WrapError::Legacy | WrapError::Stronger) => expected,
        Err(_) => return Ok(Answer::Refused),
    };
    let opened = pintle::domain::key_block::unwrap(&keys, block.as_bytes());
    match opened {
        Ok(opened) if *opened.key.expose_secret() == key => Ok(Answer::text("key_block", &block)),
        _ => Err("what was written is not opened".to_owned()),
    }
}

fn block_keys(case: &Case<'_>) -> Result<Answer, String> {
    let version = case.text("version")?.as_bytes().first().copied();
    let version = version
        .and_then(Version::from_code)
        .ok_or("no such version")?;
    let Ok(keys) = BlockKeys::from_kbpk(version, &case.bytes("kbpk")?) else {
        return Ok(Answer::Refused);
    };
    Ok(Answer::Gave(vec![
        ("kbek", hex(keys.expose_kbek())),
        ("kbak", hex(keys.expose_kbak())),
    ]))
}

/// The header as text, or as an object of the fields that are expected.
fn header_fields(case: &Case<'_>, decoded: &Decoded) -> Vec<(&'static str, Value)> {
    let header = &decoded.header;
    let expected = case.expected("optional_blocks").and_then(Value::as_object);
    let blocks: Map<String, Value> = header
        .blocks
        .iter()
        // psec, among others, does not show the padding block.
        .filter(|block| block.id != *b"PB" || expected.is_some_and(|e| e.contains_key("PB")))
        .map(|block| {
            let id = block.id.map(char::from).iter().collect();
            (id, Value::String(block.data.to_owned()))
        })
        .collect();
    let ksn = [*b"KS", *b"IK"]
        .into_iter()
        .find_map(|id| header.blocks.find(id))
        .map_or("", |block| block.data);
    let shown = match case.expected("header") {
        Some(Value::Object(expected)) => Value::Object(
            expected
                .iter()
                .filter_map(|(name, like)| Some((name.clone(), field(decoded, name, like)?)))
                .collect(),
        ),
        _ => header
            .encode(decoded.block_chars)
            .map_or(Value::Null, Value::String),
    };
    vec![
        ("header", shown),
        ("optional_blocks", Value::Object(blocks)),
        ("ksn", Value::String(ksn.to_owned())),
    ]
}

/// One field of a header, a number or a text as the case has it.
fn field(decoded: &Decoded, name: &str, like: &Value) -> Option<Value> {
    let header = &decoded.header;
    let number = |number: usize, width: usize| {
        if like.is_number() {
            Value::from(number)
        } else {
            Value::String(format!("{number:0width$}"))
        }
    };
    Some(match name {
        "version" | "version_id" => Value::String(char::from(header.version.code()).to_string()),
        "length" => number(decoded.block_chars, 4),
        "usage" | "key_usage" => Value::String(header.usage.to_string()),
        "algorithm" => Value::String(header.algorithm.to_string()),
        "mode" | "mode_of_use" => Value::String(header.mode.to_string()),
        "key_version" | "version_num" => Value::String(header.key_version.to_string()),
        "exportability" => Value::String(header.exportability.to_string()),
        "opt_blocks" => number(header.blocks.len(), 2),
        "key_context" => Value::String(header.context.to_string()),
        "reserved" => Value::String(format!("{}0", header.context)),
        _ => return None,
    })
}
