//! Signatures: the vector's public key imported as a partner's, its signature verified; its RSA key
//! imported, its message signed; and what a forced nonce makes in SM2, which the service cannot be asked
//! for, verified.

use pintle::domain::alipay::SignType;
use pintle::domain::rsa;
use pintle::domain::sm2::{PrivateKey, PublicKey, Signature};
use pintle::keys::attributes::Algorithm;
use pintle::service::pb::v1::{KeyRef, SignRequest, VerifyRequest};
use pkcs8::LineEnding;

use crate::vectors::{Bench, Case, Outcome, Verdict};

/// Runs a signature case; none where it is no such case.
pub async fn run(bench: &Bench, case: &Case<'_>) -> Option<Verdict> {
    match case.op() {
        "sm2_verify" => Some(sm2_verify(bench, case).await),
        "rsa_pkcs1v15_verify" => Some(rsa_verify(bench, case).await),
        "rsa_pkcs1v15_sign" => Some(rsa_sign(bench, case).await),
        "sm2_sign" => Some(match signature_in(bench, case).await {
            Ok(_) => Ok(Outcome::Unsupported("needs a forced nonce: library only")),
            Err(why) => Err(why),
        }),
        _ => None,
    }
}

async fn sm2_verify(bench: &Bench, case: &Case<'_>) -> Verdict {
    if case.bytes("id")? != b"1234567812345678" {
        return Ok(Outcome::Unsupported(
            "the identity is the scheme's: library only",
        ));
    }
    let public = PublicKey::from_bytes(&case.bytes("public_key")?);
    let public = public.map_err(|error| error.to_string())?.to_spki();
    let signature = case.bytes("signature")?;
    let signature = Signature::from_raw(&signature).map_or(signature, |raw| raw.to_der());
    let key = bench
        .keys
        .partner(SignType::Sm2, Algorithm::Sm2, &public)
        .await?;
    compare(
        case,
        ask(bench, key, case.bytes("message")?, signature).await?,
    )
}

async fn rsa_verify(bench: &Bench, case: &Case<'_>) -> Verdict {
    let (n, e) = (number(case, "n")?, number(case, "e")?);
    let Some(scheme) = scheme(case)? else {
        return Ok(Outcome::Unsupported(OTHER_HASH));
    };
    let public = rsa::PublicKey::new(&n, &e).map_err(|error| error.to_string())?;
    let algorithm = match public.modulus_bits() {
        2048 => Algorithm::Rsa2048,
        3072 => Algorithm::Rsa3072,
        4096 => Algorithm::Rsa4096,
        _ => {
            return Ok(Outcome::Unsupported(
                "no key has a modulus under 2048 bits: library only",
            ));
        }
    };
    let key = bench
        .keys
        .partner(scheme, algorithm, &public.to_spki())
        .await?;
    let (message, signature) = (case.bytes("message")?, case.bytes("signature")?);
    compare(case, ask(bench, key, message, signature).await?)
}

/// Deterministic, so that it is the vector's to the byte.
async fn rsa_sign(bench: &Bench, case: &Case<'_>) -> Verdict {
    let Some(scheme) = scheme(case)? else {
        return Ok(Outcome::Unsupported(OTHER_HASH));
    };
    let pem = pem(&case.bytes("private_key_pkcs8")?)?;
    let request = SignRequest {
        key: Some(bench.keys.signing(scheme, &pem).await?),
        message: case.bytes("message")?,
        ..SignRequest::default()
    };
    let answer = bench.client.sign(request).await;
    let signature = answer.map_err(|error| error.to_string())?.signature;
    if signature == case.expected_bytes("signature")? {
        Ok(Outcome::Ran)
    } else {
        Err("another signature".to_owned())
    }
}

/// The scheme that has the case's hash.
fn scheme(case: &Case<'_>) -> Result<Option<SignType>, String> {
    Ok(match case.text("hash")? {
        "SHA1" => Some(SignType::Rsa),
        "SHA256" => Some(SignType::Rsa2),
        _ => None,
    })
}

fn compare(case: &Case<'_>, valid: bool) -> Verdict {
    if Some(valid) == case.is_valid() {
        return Ok(Outcome::Ran);
    }
    Err(format!("Verify answers {valid}"))
}

/// A number, which may have an odd count of digits.
fn number(case: &Case<'_>, name: &str) -> Result<Vec<u8>, String> {
    let digits = case.text(name)?;
    let padding = if digits.len() % 2 == 0 { "" } else { "0" };
    hex::decode(format!("{padding}{digits}")).map_err(|error| format!("{name}: {error}"))
}

/// The signature that a forced nonce makes is one that the service accepts.
async fn signature_in(bench: &Bench, case: &Case<'_>) -> Verdict {
    if case.bytes("id")? != b"1234567812345678" {
        return Ok(Outcome::Ran);
    }
    let raw = [case.expected_bytes("r")?, case.expected_bytes("s")?].concat();
    let signature = Signature::from_raw(&raw).map_err(|error| error.to_string())?;
    let pem = sm2_pem(case.text("private_key")?)?;
    let key = bench.keys.signing(SignType::Sm2, &pem).await?;
    match ask(bench, key, case.bytes("message")?, signature.to_der()).await? {
        true => Ok(Outcome::Ran),
        false => Err("Verify answers false".to_owned()),
    }
}

async fn ask(
    bench: &Bench,
    key: KeyRef,
    message: Vec<u8>,
    signature: Vec<u8>,
) -> Result<bool, String> {
    let request = VerifyRequest {
        key: Some(key),
        message,
        signature,
        ..VerifyRequest::default()
    };
    let answer = bench
        .client
        .verify(request)
        .await
        .map_err(|error| error.to_string())?;
    Ok(answer.valid)
}

/// PKCS #8 of a scalar in hex, PEM.
pub fn sm2_pem(private: &str) -> Result<String, String> {
    let value = hex::decode(private).map_err(|error| error.to_string())?;
    let value = value.as_slice().try_into().map_err(|_| "not 32 bytes")?;
    let pair = PrivateKey::from_bytes(value).map_err(|error| error.to_string())?;
    let der = pair.to_pkcs8().map_err(|error| error.to_string())?;
    pem(der.expose_secret())
}

/// PKCS #8 in PEM.
pub fn pem(der: &[u8]) -> Result<String, String> {
    let document = pkcs8::SecretDocument::try_from(der).map_err(|error| error.to_string())?;
    let pem = document.to_pem("PRIVATE KEY", LineEnding::LF);
    pem.map(|pem| pem.to_string())
        .map_err(|error| error.to_string())
}

const OTHER_HASH: &str = "RSA signatures are over SHA-1 or SHA-256";
