//! SM2 and RSA signatures.

use crate::case::{Answer, Case, Op, hex};
use pintle::domain::{rsa, sm2};

/// What runs.
pub const OPS: &[Op] = &[
    Op::new(
        "sm2_sign",
        &["private_key", "public_key", "id", "message", "k"],
        |case| {
            let Ok(key) = sm2::PrivateKey::from_bytes(&case.array("private_key")?) else {
                return Ok(Answer::Refused);
            };
            if key.public().to_bytes().as_slice() != case.bytes("public_key")? {
                return Err("the public key is not the private key's".to_owned());
            }
            let (id, message) = (case.bytes("id")?, case.bytes("message")?);
            let id = sm2::Id::new(&id).map_err(|error| error.to_string())?;
            let Ok(signed) = sm2::sign_with_nonce(&key, id, &message, &case.array("k")?) else {
                return Ok(Answer::Refused);
            };
            sm2::verify(key.public(), id, &message, &signed).map_err(|error| error.to_string())?;
            Ok(Answer::Gave(vec![
                ("za", hex(&sm2::za(key.public(), id))),
                ("e", hex(&sm2::digest(key.public(), id, &message))),
                ("r", hex(&signed.r())),
                ("s", hex(&signed.s())),
            ]))
        },
    ),
    Op::new(
        "sm2_verify",
        &["public_key", "id", "message", "signature"],
        |case| {
            let Ok(key) = sm2::PublicKey::from_bytes(&case.bytes("public_key")?) else {
                return Ok(Answer::Refused);
            };
            let (id, bytes) = (case.bytes("id")?, case.bytes("signature")?);
            let id = sm2::Id::new(&id).map_err(|error| error.to_string())?;
            let signature = sm2::Signature::from_raw(&bytes);
            let Ok(signature) = signature.or_else(|_| sm2::Signature::from_der(&bytes)) else {
                return Ok(Answer::Refused);
            };
            Ok(Answer::valid(
                sm2::verify(&key, id, &case.bytes("message")?, &signature).is_ok(),
            ))
        },
    ),
    Op::new(
        "sm2_verify_digest",
        &["public_key", "digest_e", "signature_der"],
        |case| {
            let Ok(key) = sm2::PublicKey::from_bytes(&case.bytes("public_key")?) else {
                return Ok(Answer::Refused);
            };
            let Ok(signature) = sm2::Signature::from_der(&case.bytes("signature_der")?) else {
                return Ok(Answer::Refused);
            };
            let digest = case.array("digest_e")?;
            Ok(Answer::valid(
                sm2::verify_digest(&key, &digest, &signature).is_ok(),
            ))
        },
    )
    .optional(&["private_key"]),
    Op::new(
        "rsa_pkcs1v15_verify",
        &["n", "e", "hash", "message", "signature"],
        |case| {
            let hash = match case.text("hash")? {
                "SHA1" => rsa::Hash::Sha1,
                "SHA256" => rsa::Hash::Sha256,
                _ => {
                    return Ok(Answer::Unsupported(
                        "RSA signatures are over SHA-1 or SHA-256",
                    ));
                }
            };
            let Ok(key) = rsa::PublicKey::new(&integer(case, "n")?, &integer(case, "e")?) else {
                return Ok(Answer::Refused);
            };
            let (message, signature) = (case.bytes("message")?, case.bytes("signature")?);
            let valid = rsa::verify_with_weak_modulus(&key, hash, &message, &signature).is_ok();
            // What the service uses agrees, but never accepts a modulus too short for the hash.
            let long_enough = key.modulus_bits() >= hash.modulus_bits_min();
            if rsa::verify(&key, hash, &message, &signature).is_ok() != (valid && long_enough) {
                return Err("verify and verify_with_weak_modulus disagree".to_owned());
            }
            Ok(Answer::valid(valid))
        },
    )
    .remarks(&["reason"]),
];

/// A number, which may have an odd count of digits.
fn integer(case: &Case<'_>, name: &str) -> Result<Vec<u8>, String> {
    let digits = case.text(name)?;
    let padding = if digits.len() % 2 == 0 { "" } else { "0" };
    crate::case::bytes(name, &format!("{padding}{digits}"))
}
