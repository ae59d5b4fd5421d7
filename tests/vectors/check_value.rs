//! Key check values at the length the file has, made and compared.

use crate::case::{Answer, Case, Op, hex};
use pintle::domain::check_value::{Method, compute_by, verify};
use serde_json::Value;

/// What runs.
pub const OPS: &[Op] = &[
    Op::new("kcv_des_zero", &["key"], |case| one(case, Method::TdesZero)),
    Op::new("kcv_aes_cmac", &["key"], |case| one(case, Method::AesCmac)),
    Op::new("kcv_aes_zero", &["key"], |case| one(case, Method::AesZero)),
    Op::new("kcv_tdes_zero", &["key"], |case| {
        one(case, Method::TdesZero)
    }),
    Op::new("kcv_sm4_zero", &["key"], |case| one(case, Method::Sm4Zero)),
    Op::new("kcv_aes_both", &["key"], |case| {
        let values = (
            value(case, Method::AesCmac, "kcv_cmac")?,
            value(case, Method::AesZero, "kcv_ecb_zero")?,
        );
        Ok(match values {
            (Some(cmac), Some(zero)) => {
                Answer::Gave(vec![("kcv_cmac", cmac), ("kcv_ecb_zero", zero)])
            }
            _ => Answer::Refused,
        })
    }),
];

fn one(case: &Case<'_>, method: Method) -> Result<Answer, String> {
    let value = value(case, method, "kcv")?;
    Ok(value.map_or(Answer::Refused, |value| Answer::Gave(vec![("kcv", value)])))
}

fn value(case: &Case<'_>, method: Method, field: &str) -> Result<Option<Value>, String> {
    let key = case.bytes("key")?;
    let length = case
        .expected_length(field)
        .unwrap_or_else(|| method.length());
    let Ok(value) = compute_by(method, &key, length) else {
        return Ok(None);
    };
    verify(method, &key, value.as_bytes()).map_err(|error| error.to_string())?;
    Ok(Some(hex(value.as_bytes())))
}
