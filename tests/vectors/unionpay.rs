//! What Chinese terminals compute: the UnionPay ECB MAC, its form with SM4, and the keys that a
//! sign-in brings under the terminal's key.

use crate::case::{Answer, Case, Op, hex};
use pintle::domain::check_value::{Method, compute_by};
use pintle::domain::cipher::{BlockCipher, Sm4, Tdes};
use pintle::domain::mac::{MacKey, Rule, Scheme, generate};
use pintle::domain::unionpay::sign_in::{Delivered, Layout, field_62};
use serde_json::Value;

/// What runs.
pub const OPS: &[Op] = &[
    Op::new("unionpay_ecb_mac", &["mak", "mab"], |case| {
        let (key, message) = (case.bytes("mak")?, case.bytes("mab")?);
        let (Some(text), Some(raw)) = (
            mac(Scheme::UnionPayEcbHex8, &key, &message),
            mac(Scheme::UnionPayEcbRaw8, &key, &message),
        ) else {
            return Ok(Answer::Refused);
        };
        Ok(Answer::Gave(vec![
            ("mac_ascii", plain(&text)),
            ("mac_field64", hex(&text)),
            ("enc2", hex(&raw)),
            ("xor_block", hex(&sum::<8>(&message))),
        ]))
    })
    .remarks(&["hex_expanded", "enc1", "xor2"]),
    Op::new("sm4_pos_mac", &["key", "data", "hex_case_text"], |case| {
        let (text, raw) = match case.text("hex_case_text")? {
            "upper" => (Scheme::Sm4PosHex8, Scheme::Sm4PosRaw8),
            "lower" => (Scheme::Sm4PosHex8Lower, Scheme::Sm4PosRaw8Lower),
            other => return Err(format!("{other} is no case")),
        };
        let (key, message) = (case.bytes("key")?, case.bytes("data")?);
        let (Some(text), Some(raw)) = (mac(text, &key, &message), mac(raw, &key, &message)) else {
            return Ok(Answer::Refused);
        };
        Ok(Answer::Gave(vec![
            ("mac_hex8_ascii", plain(&text)),
            ("mac_raw8", hex(&raw)),
            ("xor_block", hex(&sum::<16>(&message))),
        ]))
    }),
    Op::new("tdes_key_under_tmk", &["tmk", "cryptogram"], |case| {
        let Ok(tmk) = Tdes::new(&case.bytes("tmk")?) else {
            return Ok(Answer::Refused);
        };
        under_tmk::<8, _>(case, &tmk, Method::TdesZero)
    }),
    Op::new("sm4_key_under_tmk", &["tmk", "cryptogram"], |case| {
        let Ok(tmk) = Sm4::new(&case.bytes("tmk")?) else {
            return Ok(Answer::Refused);
        };
        under_tmk::<16, _>(case, &tmk, Method::Sm4Zero)
    }),
    Op::new(
        "unionpay_field_62",
        &["layout_text", "pik", "pik_kcv", "mak", "mak_kcv"],
        field_62_of,
    )
    .optional(&["tdk", "tdk_kcv"]),
];

fn field_62_of(case: &Case<'_>) -> Result<Answer, String> {
    let layout = match case.text("layout_text")? {
        "001" => Layout::Unionpay001,
        "003" => Layout::Unionpay003,
        "004" => Layout::Unionpay004,
        other => return Err(format!("{other} is no layout")),
    };
    let mut keys = Vec::new();
    for name in ["pik", "mak", "tdk"] {
        if case.has(name) {
            keys.push((case.bytes(name)?, case.bytes(&format!("{name}_kcv"))?));
        }
    }
    let delivered: Vec<_> = keys
        .iter()
        .map(|(cryptogram, check_value)| Delivered {
            cryptogram,
            check_value,
        })
        .collect();
    Ok(match field_62(layout, &delivered) {
        Some(field) => Answer::Gave(vec![("field_62", hex(&field))]),
        None => Answer::Refused,
    })
}

fn mac(scheme: Scheme, key: &[u8], message: &[u8]) -> Option<Vec<u8>> {
    let rule = Rule::new(scheme, None, 8).ok()?;
    let key = MacKey::new(scheme, key).ok()?;
    Some(generate(&key, &rule, message).ok()?.as_bytes().to_vec())
}

/// Characters, compared as they are.
fn plain(text: &[u8]) -> Value {
    Value::String(String::from_utf8_lossy(text).into_owned())
}

fn sum<const N: usize>(message: &[u8]) -> [u8; N] {
    let mut sum = [0; N];
    for (at, byte) in message.iter().enumerate() {
        sum[at % N] ^= byte;
    }
    sum
}

fn under_tmk<const N: usize, C>(case: &Case<'_>, tmk: &C, method: Method) -> Result<Answer, String>
where
    C: BlockCipher<N, Error = core::convert::Infallible>,
{
    let mut key = case.bytes("cryptogram")?;
    let (blocks, []) = key.as_chunks_mut() else {
        return Ok(Answer::Refused);
    };
    let Ok(()) = tmk.decrypt_blocks(blocks);
    let mut fields = vec![("key", hex(&key))];
    if let Some(length) = case.expected_length("kcv") {
        let value = compute_by(method, &key, length).map_err(|error| error.to_string())?;
        fields.push(("kcv", hex(value.as_bytes())));
    }
    Ok(Answer::Gave(fields))
}
