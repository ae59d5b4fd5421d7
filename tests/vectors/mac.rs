//! ISO/IEC 9797-1, CMAC and HMAC, through the rules that a key's policy has.

use crate::case::{Answer, Case, Op};
use pintle::domain::cipher::{Des, Sm4, Tdes};
use pintle::domain::mac::{MacError, MacKey, Padding, Rule, Scheme, iso9797};
use pintle::domain::mac::{VerifyError, generate, pad, verify};

macro_rules! hmac {
    (verify $name:literal, $scheme:expr) => {
        Op::new($name, &["key", "data", "tag", "tag_len"], |case| {
            verdict(case, &any_key(case, $scheme)?)
        })
    };
    ($name:literal, $scheme:expr) => {
        Op::new($name, &["key", "data"], |case| {
            made(case, &any_key(case, $scheme)?, $scheme, "mac")
        })
    };
}

/// What runs.
pub const OPS: &[Op] = &[
    Op::new("iso9797_1_pad", &["method", "block_size", "data"], |case| {
        let padded = pad(
            method(case, "method")?,
            case.number("block_size")?,
            &case.bytes("data")?,
        );
        Ok(padded.map_or(Answer::Refused, |padded| Answer::bytes("padded", &padded)))
    }),
    Op::new("iso9797_1_alg1_tdes", &["key", "data", "padding"], |case| {
        mac(case, Scheme::Iso9797Alg1Tdes, &case.bytes("key")?, "mac")
    }),
    Op::new("iso9797_1_alg3_des", &["data", "padding"], |case| {
        let Some(key) = retail_key(case)? else {
            return Ok(Answer::Unsupported(
                "algorithm 3 takes single DES keys K and K' only",
            ));
        };
        mac(case, Scheme::Iso9797Alg3Des, &key, "mac")
    })
    .optional(&["key", "key1", "key2", "note"]),
    Op::new(
        "iso9797_1_alg3_des_first4",
        &["key", "data", "padding"],
        |case| mac(case, Scheme::Iso9797Alg3Des, &case.bytes("key")?, "mac4"),
    ),
    Op::new("sm4_cbc_mac", &["key", "data", "padding"], |case| {
        mac(case, Scheme::Iso9797Alg1Sm4, &case.bytes("key")?, "mac")
    }),
    Op::new(
        "sm4_retail_alg3",
        &["key1", "key2", "data", "padding"],
        |case| {
            let keys = (
                Sm4::new(&case.bytes("key1")?),
                Sm4::new(&case.bytes("key2")?),
            );
            let (Ok(k), Ok(k_prime)) = keys else {
                return Ok(Answer::Refused);
            };
            let padding = method(case, "padding")?;
            let Ok(mac) = iso9797::algorithm_3(&k, &k_prime, padding, &case.bytes("data")?);
            Ok(Answer::bytes("mac", &mac))
        },
    ),
    Op::new("cmac_tdes", &["key", "data"], |case| {
        mac(case, Scheme::CmacTdes, &case.bytes("key")?, "mac")
    }),
    Op::new("cmac_aes", &["key", "data"], |case| {
        mac(case, Scheme::CmacAes, &case.bytes("key")?, "mac")
    }),
    Op::new(
        "cmac_aes_verify",
        &["key", "data", "tag", "tag_len"],
        |case| {
            let Ok(key) = MacKey::new(Scheme::CmacAes, &case.bytes("key")?) else {
                return Ok(Answer::Refused);
            };
            verdict(case, &key)
        },
    ),
    Op::new("sm4_cmac", &["key", "data"], |case| {
        mac(case, Scheme::CmacSm4, &case.bytes("key")?, "mac")
    }),
    Op::new("iso9797_1_alg1_des", &["key", "data", "padding"], |case| {
        mac(case, Scheme::Iso9797Alg1Des, &case.bytes("key")?, "mac")
    }),
    Op::new("iso9797_1_alg1_aes", &["key", "data", "padding"], |case| {
        mac(case, Scheme::Iso9797Alg1Aes, &case.bytes("key")?, "mac")
    }),
    hmac!("hmac_sha1", Scheme::HmacSha1),
    hmac!("hmac_sha224", Scheme::HmacSha224),
    hmac!("hmac_sha256", Scheme::HmacSha256),
    hmac!("hmac_sha384", Scheme::HmacSha384),
    hmac!("hmac_sha512", Scheme::HmacSha512),
    hmac!("hmac_sm3", Scheme::HmacSm3),
    hmac!(verify "hmac_sha1_verify", Scheme::HmacSha1),
    hmac!(verify "hmac_sha224_verify", Scheme::HmacSha224),
    hmac!(verify "hmac_sha256_verify", Scheme::HmacSha256),
    hmac!(verify "hmac_sha384_verify", Scheme::HmacSha384),
    hmac!(verify "hmac_sha512_verify", Scheme::HmacSha512),
    hmac!(verify "hmac_sm3_verify", Scheme::HmacSm3),
];

/// A key of any length: known answers have shorter ones than a policy takes.
fn any_key(case: &Case<'_>, scheme: Scheme) -> Result<MacKey, String> {
    MacKey::hmac_of_any_length(scheme, &case.bytes("key")?).map_err(|error| error.to_string())
}

/// K ‖ K' as one `key`, or each written twice over as `key1` and `key2`.
fn retail_key(case: &Case<'_>) -> Result<Option<Vec<u8>>, String> {
    if case.has("key") == (case.has("key1") || case.has("key2")) {
        return Err("either the input key or the inputs key1 and key2".to_owned());
    }
    if case.has("key") {
        return case.bytes("key").map(Some);
    }
    let mut key = Vec::new();
    for name in ["key1", "key2"] {
        let doubled = case.bytes(name)?;
        match doubled.split_at(doubled.len() / 2) {
            (half, other) if half == other => key.extend_from_slice(half),
            _ => return Ok(None),
        }
    }
    Ok(Some(key))
}

fn mac(case: &Case<'_>, scheme: Scheme, key: &[u8], field: &'static str) -> Result<Answer, String> {
    match MacKey::new(scheme, key) {
        Ok(key) => made(case, &key, scheme, field),
        Err(_) => Ok(Answer::Refused),
    }
}

fn made(
    case: &Case<'_>,
    key: &MacKey,
    scheme: Scheme,
    field: &'static str,
) -> Result<Answer, String> {
    let data = case.bytes("data")?;
    let length = case
        .expected_length(field)
        .unwrap_or_else(|| scheme.lengths().1);
    let rule = rule(case, scheme, length)?;
    let tag = match generate(key, &rule, &data) {
        Ok(tag) => tag,
        // Rules refuse it; the standard does not, so the algorithm is asked itself.
        Err(MacError::EmptyMessage) => return empty_message(case, scheme, length, field),
        Err(error) => return Err(error.to_string()),
    };
    let mut other = tag.as_bytes().to_vec();
    if verify(key, &rule, &data, &other) != Ok(()) {
        return Err("verification refuses what generation made".to_owned());
    }
    if let Some(last) = other.last_mut() {
        *last ^= 1;
    }
    if verify(key, &rule, &data, &other) != Err(VerifyError::Mismatch) {
        return Err("verification accepts a changed MAC".to_owned());
    }
    Ok(Answer::bytes(field, tag.as_bytes()))
}

fn empty_message(
    case: &Case<'_>,
    scheme: Scheme,
    length: usize,
    field: &'static str,
) -> Result<Answer, String> {
    let refused = |_| "a key that the scheme accepts".to_owned();
    let padding = method(case, "padding")?;
    let key = if case.has("key") {
        case.bytes("key")?
    } else {
        return Ok(Answer::Refused);
    };
    let mac = match scheme {
        Scheme::Iso9797Alg1Tdes => {
            let Ok(mac) = iso9797::algorithm_1(&Tdes::new(&key).map_err(refused)?, padding, b"");
            mac.to_vec()
        }
        Scheme::Iso9797Alg1Sm4 => {
            let Ok(mac) = iso9797::algorithm_1(&Sm4::new(&key).map_err(refused)?, padding, b"");
            mac.to_vec()
        }
        Scheme::Iso9797Alg3Des => {
            let k = Des::new(&key[..8]).map_err(refused)?;
            let k_prime = Des::new(&key[8..]).map_err(refused)?;
            let Ok(mac) = iso9797::algorithm_3(&k, &k_prime, padding, b"");
            mac.to_vec()
        }
        _ => return Ok(Answer::Refused),
    };
    Ok(Answer::bytes(field, &mac[..length]))
}

fn verdict(case: &Case<'_>, key: &MacKey) -> Result<Answer, String> {
    let rule = rule(case, key.scheme(), case.number("tag_len")?)?;
    let verdict = verify(key, &rule, &case.bytes("data")?, &case.bytes("tag")?);
    Ok(Answer::valid(verdict.is_ok()))
}

fn rule(case: &Case<'_>, scheme: Scheme, length: usize) -> Result<Rule, String> {
    let padding = scheme
        .needs_padding()
        .then(|| method(case, "padding"))
        .transpose()?;
    let length = u8::try_from(length).map_err(|_| "the MAC is too long")?;
    Rule::new(scheme, padding, length).map_err(|error| error.to_string())
}

fn method(case: &Case<'_>, name: &str) -> Result<Padding, String> {
    match case.number(name)? {
        1 => Ok(Padding::Method1),
        2 => Ok(Padding::Method2),
        3 => Ok(Padding::Method3),
        _ => Err(format!("{name} is not padding method 1, 2 or 3")),
    }
}
