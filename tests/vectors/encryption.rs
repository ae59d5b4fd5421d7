//! SM2 encryption: made with the case's nonce and opened again, in both forms.

use crate::case::{Answer, Case, Op, hex};
use pintle::domain::sm2::encryption::{Ciphertext, decrypt, encrypt};
use pintle::domain::sm2::{PrivateKey, PublicKey};
use serde_json::Value;

/// What runs.
pub const OPS: &[Op] = &[
    Op::new(
        "sm2_encrypt",
        &["public_key", "private_key", "plaintext", "k"],
        encrypted,
    )
    .remarks(&["c1c2c3"]),
    Op::new("sm2_decrypt", &["private_key", "c1c3c2"], |case| {
        opened(case, Ciphertext::from_bytes(&case.bytes("c1c3c2")?).ok())
    }),
    Op::new(
        "sm2_decrypt_asn1",
        &["private_key", "ciphertext_der"],
        |case| {
            let read = Ciphertext::from_der(&case.bytes("ciphertext_der")?);
            opened(case, read.ok())
        },
    ),
];

fn encrypted(case: &Case<'_>) -> Result<Answer, String> {
    let key =
        PublicKey::from_bytes(&case.bytes("public_key")?).map_err(|error| error.to_string())?;
    let message = case.bytes("plaintext")?;
    let Ok(made) = encrypt(&key, &message, &case.array("k")?) else {
        return Ok(Answer::Refused);
    };
    let private = private(case)?;
    let back = decrypt(&private, &made).map_err(|error| error.to_string())?;
    if back.expose_secret() != &message {
        return Err("it does not decrypt to what was encrypted".to_owned());
    }
    let bytes = made.to_bytes();
    Ok(Answer::Gave(vec![
        ("c1", hex(&bytes[..65])),
        ("c3", hex(&bytes[65..97])),
        ("c2", hex(&bytes[97..])),
        ("c1c3c2", hex(&bytes)),
        ("asn1_der", hex(&made.to_der())),
    ]))
}

fn opened(case: &Case<'_>, read: Option<Ciphertext>) -> Result<Answer, String> {
    let private = private(case)?;
    let opened = read.and_then(|read| decrypt(&private, &read).ok());
    Ok(match opened {
        Some(message) => Answer::Gave(vec![
            ("valid", Value::Bool(true)),
            ("plaintext", hex(message.expose_secret())),
        ]),
        None => Answer::Refused,
    })
}

fn private(case: &Case<'_>) -> Result<PrivateKey, String> {
    PrivateKey::from_bytes(&case.array("private_key")?).map_err(|error| error.to_string())
}
