//! SM2 signatures: the vector's key imported, its signature verified.

use pintle::domain::alipay::SignType;
use pintle::domain::sm2::{PrivateKey, Signature};
use pintle::service::pb::v1::{KeyRef, VerifyRequest};
use pkcs8::LineEnding;

use crate::vectors::{Bench, Case, Outcome, Verdict};

/// The private keys of published examples, by their public halves: only a pair can be imported.
const PAIRS: &[(&str, &str)] = &[(
    "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020\
     CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13",
    "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8",
)];

/// Runs a signature case; none where it is no such case.
pub async fn run(bench: &Bench, case: &Case<'_>) -> Option<Verdict> {
    match case.op() {
        "sm2_verify" => Some(verify(bench, case).await),
        "sm2_sign" => Some(match signature_in(bench, case).await {
            Ok(_) => Ok(Outcome::Unsupported("needs a forced nonce: library only")),
            Err(why) => Err(why),
        }),
        _ => None,
    }
}

async fn verify(bench: &Bench, case: &Case<'_>) -> Verdict {
    if case.bytes("id")? != b"1234567812345678" {
        return Ok(Outcome::Unsupported(
            "the identity is the scheme's: library only",
        ));
    }
    let public = case.text("public_key")?;
    let Some((_, private)) = PAIRS.iter().find(|(known, _)| *known == public) else {
        return Ok(Outcome::Unsupported(
            "a key is imported with its private half: library only",
        ));
    };
    let signature = case.bytes("signature")?;
    let signature = Signature::from_raw(&signature).map_or(signature, |raw| raw.to_der());
    let valid = ask(bench, private, case.bytes("message")?, signature).await?;
    if Some(valid) == case.is_valid() {
        return Ok(Outcome::Ran);
    }
    Err(format!("Verify answers {valid}"))
}

/// The signature that a forced nonce makes is one that the service accepts.
async fn signature_in(bench: &Bench, case: &Case<'_>) -> Verdict {
    if case.bytes("id")? != b"1234567812345678" {
        return Ok(Outcome::Ran);
    }
    let raw = [case.expected_bytes("r")?, case.expected_bytes("s")?].concat();
    let signature = Signature::from_raw(&raw).map_err(|error| error.to_string())?;
    let private = case.text("private_key")?;
    match ask(bench, private, case.bytes("message")?, signature.to_der()).await? {
        true => Ok(Outcome::Ran),
        false => Err("Verify answers false".to_owned()),
    }
}

async fn ask(
    bench: &Bench,
    private: &str,
    message: Vec<u8>,
    signature: Vec<u8>,
) -> Result<bool, String> {
    let key = import(bench, private).await?;
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

async fn import(bench: &Bench, private: &str) -> Result<KeyRef, String> {
    bench.keys.signing(SignType::Sm2, &sm2_pem(private)?).await
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
