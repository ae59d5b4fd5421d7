//! MACs: the vector's key imported with the rule the case needs, its MAC made and checked.

use pintle::client::Error;
use pintle::domain::mac::hmac::Hash;
use pintle::domain::mac::{Padding, Rule, Scheme};
use pintle::service::pb::v1::{GenerateMacRequest, KeyRef, VerifyMacRequest};

use sha2::Digest;

use crate::vectors::{Bench, Case, Outcome, Verdict};

const REFUSED_KEY: &str = "no key policy takes this key: library only";

/// Runs a MAC case; none where it is no such case.
pub async fn run(bench: &Bench, case: &Case<'_>) -> Option<Verdict> {
    let (scheme, field) = match case.op() {
        "iso9797_1_alg1_tdes" => (Scheme::Iso9797Alg1Tdes, "mac"),
        "iso9797_1_alg3_des" => (Scheme::Iso9797Alg3Des, "mac"),
        "iso9797_1_alg3_des_first4" => (Scheme::Iso9797Alg3Des, "mac4"),
        "sm4_cbc_mac" => (Scheme::Iso9797Alg1Sm4, "mac"),
        "cmac_tdes" => (Scheme::CmacTdes, "mac"),
        "cmac_aes" => (Scheme::CmacAes, "mac"),
        "cmac_aes_verify" => (Scheme::CmacAes, "tag"),
        "sm4_cmac" => (Scheme::CmacSm4, "mac"),
        "unionpay_ecb_mac" => (Scheme::UnionPayEcbHex8, "mac_ascii"),
        "sm4_pos_mac" => match case.text("hex_case_text") {
            Ok("lower") => (Scheme::Sm4PosHex8Lower, "mac_hex8_ascii"),
            _ => (Scheme::Sm4PosHex8, "mac_hex8_ascii"),
        },
        "hmac_sha1" | "hmac_sha1_verify" => (Scheme::HmacSha1, "mac"),
        "hmac_sha224" | "hmac_sha224_verify" => (Scheme::HmacSha224, "mac"),
        "hmac_sha256" | "hmac_sha256_verify" => (Scheme::HmacSha256, "mac"),
        "hmac_sha384" | "hmac_sha384_verify" => (Scheme::HmacSha384, "mac"),
        "hmac_sha512" | "hmac_sha512_verify" => (Scheme::HmacSha512, "mac"),
        "hmac_sm3" | "hmac_sm3_verify" => (Scheme::HmacSm3, "mac"),
        _ => return None,
    };
    Some(match case.is_valid() {
        Some(valid) => verify(bench, case, scheme, valid).await,
        None => generate(bench, case, scheme, field).await,
    })
}

async fn generate(bench: &Bench, case: &Case<'_>, scheme: Scheme, field: &str) -> Verdict {
    let message = case.bytes("data").or_else(|_| case.bytes("mab"))?;
    let expected = match case.expected(field) {
        Some(text) if field.ends_with("_ascii") => text.as_bytes().to_vec(),
        Some(_) => case.expected_bytes(field)?,
        None => return Ok(Outcome::Unsupported("only a step on the way: library only")),
    };
    let Some(key) = key(bench, case, scheme, expected.len()).await? else {
        return Ok(Outcome::Unsupported(REFUSED_KEY));
    };
    let request = GenerateMacRequest {
        key: Some(key.clone()),
        message: message.clone(),
    };
    let made = bench
        .client
        .generate_mac(request)
        .await
        .map_err(|error| error.to_string())?;
    if made.mac != expected {
        let (given, expected) = (hex::encode(made.mac), hex::encode(expected));
        return Err(format!("expected {expected}, got {given}"));
    }
    let mut wrong = expected.clone();
    wrong[0] ^= 1;
    for (mac, valid) in [(expected, true), (wrong, false)] {
        let request = VerifyMacRequest {
            key: Some(key.clone()),
            message: message.clone(),
            mac,
        };
        let answer = bench
            .client
            .verify_mac(request)
            .await
            .map_err(|error| error.to_string())?;
        if answer.valid != valid {
            return Err(format!("VerifyMac answers {}", answer.valid));
        }
    }
    Ok(Outcome::Ran)
}

async fn verify(bench: &Bench, case: &Case<'_>, scheme: Scheme, valid: bool) -> Verdict {
    let length = case
        .number("tag_len")
        .and_then(|length| usize::try_from(length).ok());
    let Some(key) = key(bench, case, scheme, length.ok_or("no tag_len")?).await? else {
        return Ok(Outcome::Unsupported(REFUSED_KEY));
    };
    let (message, mac) = (case.bytes("data")?, case.bytes("tag")?);
    let answer = bench
        .client
        .verify_mac(VerifyMacRequest {
            key: Some(key),
            message,
            mac,
        })
        .await;
    let answered = match answer {
        Ok(answer) => answer.valid,
        Err(Error::Refused(refused)) if refused.reason == "MAC_LENGTH" => false,
        Err(error) => return Err(error.to_string()),
    };
    if answered == valid {
        return Ok(Outcome::Ran);
    }
    Err(format!("VerifyMac answers {answered}"))
}

/// The case's key under the rule it needs; none where no policy takes it.
async fn key(
    bench: &Bench,
    case: &Case<'_>,
    scheme: Scheme,
    length: usize,
) -> Result<Option<KeyRef>, String> {
    let padding = match case.number("padding") {
        None => None,
        Some(1) => Some(Padding::Method1),
        Some(2) => Some(Padding::Method2),
        Some(3) => Some(Padding::Method3),
        Some(other) => return Err(format!("padding {other}")),
    };
    let length = u8::try_from(length).map_err(|error| error.to_string())?;
    let Ok(rule) = Rule::new(scheme, padding, length) else {
        return Ok(None);
    };
    let zeros = padding == Some(Padding::Method1) && scheme != Scheme::Iso9797Alg3Des;
    let weak = zeros || scheme.folds() || scheme == Scheme::HmacSha1;
    Ok(bench.keys.mac(rule, weak, &value(case, scheme)?).await)
}

fn value(case: &Case<'_>, scheme: Scheme) -> Result<Vec<u8>, String> {
    let Ok(mut value) = case.bytes("key").or_else(|_| case.bytes("mak")) else {
        // Two double-length keys with equal halves: K and K′ of the retail MAC.
        let (one, other) = (case.bytes("key1")?, case.bytes("key2")?);
        return match (scheme, one.as_slice(), other.as_slice()) {
            (
                Scheme::Iso9797Alg3Des,
                [k @ .., _, _, _, _, _, _, _, _],
                [k2 @ .., _, _, _, _, _, _, _, _],
            ) if k == &one[8..] && k2 == &other[8..] => Ok([k, k2].concat()),
            _ => Err("key1 and key2 are not K and K′".to_owned()),
        };
    };
    // RFC 2104, section 2: a short key is filled with zeros, one longer than a block is hashed.
    if let Some(hash) = scheme.hash() {
        let block = if hash.bytes() > 32 { 128 } else { 64 };
        if value.len() < hash.bytes() {
            value.resize(hash.bytes(), 0);
        } else if value.len() > block {
            value = digest(hash, &value);
        }
    }
    match scheme {
        Scheme::Iso9797Alg1Tdes | Scheme::CmacTdes
            if value.len() == 24 && value[..8] == value[16..] =>
        {
            value.truncate(16);
        }
        _ => {}
    }
    Ok(value)
}

fn digest(hash: Hash, value: &[u8]) -> Vec<u8> {
    match hash {
        Hash::Sha1 => sha1::Sha1::digest(value).to_vec(),
        Hash::Sha224 => sha2::Sha224::digest(value).to_vec(),
        Hash::Sha256 => sha2::Sha256::digest(value).to_vec(),
        Hash::Sha384 => sha2::Sha384::digest(value).to_vec(),
        Hash::Sha512 => sha2::Sha512::digest(value).to_vec(),
        Hash::Sm3 => sm3::Sm3::digest(value).to_vec(),
    }
}
