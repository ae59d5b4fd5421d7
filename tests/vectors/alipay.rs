//! Alipay's own vector form: one object of groups, the keys among them. Those that no operation
//! takes are named with the reason.

#[path = "alipay_v3.rs"]
mod v3;
#[path = "alipay_verification.rs"]
mod verification;

use crate::case::{bytes, known, object, text};
use crate::report::{Outcome, Report, guarded};
use crate::{alipay_certificates, alipay_content, alipay_page};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::domain::alipay::{SignType, StringToSign};
use pintle::domain::cipher::{BlockCipher, Sm4};
use pintle::domain::{rsa, sm2};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use sm3::Sm3;

/// Runs every group of a file.
pub fn run(file: &str, groups: &Map<String, Value>, report: &mut Report) {
    for (group, value) in groups {
        if let Some(check) = list_check(group) {
            let Some(cases) = value.as_array() else {
                report.failed(&format!("{file} {group}"), "not a list");
                continue;
            };
            for (index, case) in cases.iter().enumerate() {
                let place = format!("{file} {group} {index}");
                report.outcome(&op(group), &place, outcome(|| check(groups, fields(case)?)));
            }
        } else if group == "gmt_0003_5_sm2_sign" {
            let place = format!("{file} {group}");
            report.outcome(
                &op(group),
                &place,
                outcome(|| standard_example(fields(value)?)),
            );
        } else if group == "sm2" {
            run_sm2(file, groups, value, report);
        } else if let Some(check) = object_check(group) {
            let place = format!("{file} {group}");
            report.outcome(&op(group), &place, outcome(|| check(fields(value)?)));
        } else if !matches!(group.as_str(), "_about" | "keys") {
            let cases = value.as_array().map_or(1, Vec::len);
            (0..cases)
                .for_each(|_| report.unsupported(&op(group), "not an operation of this version"));
        }
    }
}

type Check = fn(&Map<String, Value>, &Map<String, Value>) -> Result<(), String>;

fn list_check(group: &str) -> Option<Check> {
    match group {
        "v2_request" => Some(request),
        "page_pay" => Some(alipay_page::page_pay),
        "cert_sn" => Some(|_, case| alipay_certificates::serial(case)),
        "content_encryption" => Some(|_, case| alipay_content::content(case)),
        "v2_response" => Some(verification::response),
        "notify" => Some(verification::notification),
        "v3_request" => Some(v3::request),
        "v3_response" => Some(v3::response),
        "sm3_gbt_32905" => Some(|_, case| sm3(case)),
        "sm4_gbt_32907" => Some(|_, case| sm4(case)),
        _ => None,
    }
}

type ObjectCheck = fn(&Map<String, Value>) -> Result<(), String>;

fn object_check(group: &str) -> Option<ObjectCheck> {
    match group {
        "cert_chain" => Some(alipay_certificates::chain),
        "sm4_gcm_rfc8998" => Some(alipay_content::gcm),
        "unionpay_5_1_0" => Some(union_pay),
        "wechat_v3" => Some(wechat),
        _ => None,
    }
}

fn op(group: &str) -> String {
    format!("alipay.{group}")
}

fn outcome(check: impl FnOnce() -> Result<(), String>) -> Outcome {
    guarded(|| check().map_or_else(Outcome::Failed, |()| Outcome::Passed))
}

fn fields(value: &Value) -> Result<&Map<String, Value>, String> {
    value.as_object().ok_or_else(|| "not an object".to_owned())
}

fn same(what: &str, given: &[u8], expected: &[u8]) -> Result<(), String> {
    if given == expected {
        return Ok(());
    }
    let (given, expected) = (hex::encode(given), hex::encode(expected));
    Err(format!("{what}: expected {expected}, got {given}"))
}

/// The string-to-sign by our rule, and the signature over the SDK's own string.
///
/// Where `matches_rule` is false the SDK signed an empty value: our string must then be the rule's
/// and not the SDK's. Where `params` is absent they are read back from the SDK's string, which has
/// no `&` within a value.
fn request(groups: &Map<String, Value>, case: &Map<String, Value>) -> Result<(), String> {
    known(case, REQUEST_FIELDS, "of a request")?;
    let sdk = text(case, "sdk_string_to_sign")?;
    let parameters: Vec<(&str, &str)> = match case.get("params") {
        Some(Value::Object(parameters)) => parameters
            .iter()
            .map(|(name, value)| value.as_str().map(|value| (name.as_str(), value)))
            .collect::<Option<_>>()
            .ok_or("params has a value that is not a text")?,
        Some(_) => return Err("params is not an object".to_owned()),
        None => sdk
            .split('&')
            .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
            .collect(),
    };
    let ours = StringToSign::for_request(parameters).map_err(|error| error.to_string())?;
    let charset = text(case, "charset")?;
    let encoding = encoding_rs::Encoding::for_label(charset.as_bytes()).ok_or("unknown charset")?;
    let encoded = |string: &str| encoding.encode(string).0.into_owned();
    let sdk_bytes = encoded(sdk);

    let rule = case
        .get("rule_string_to_sign")
        .map_or(Some(sdk), Value::as_str);
    same(
        "string to sign",
        ours.as_bytes(),
        &encoded(rule.ok_or("the rule's is not a text")?),
    )?;
    let matches_rule = case.get("matches_rule") != Some(&Value::Bool(false));
    if (ours.as_bytes() == sdk_bytes) != matches_rule {
        return Err(format!(
            "matches_rule is {matches_rule}, but the strings say otherwise"
        ));
    }
    if case.contains_key("string_to_sign_bytes_hex") {
        let expected = bytes("string_to_sign", text(case, "string_to_sign_bytes_hex")?)?;
        same("string to sign", ours.as_bytes(), &expected)?;
    }
    if case.contains_key("string_to_sign_sha256") {
        let expected = bytes("sha256", text(case, "string_to_sign_sha256")?)?;
        same(
            "SHA-256 of the SDK's string",
            &Sha256::digest(&sdk_bytes),
            &expected,
        )?;
    }
    if ours.sign_type().label() != text(case, "sign_type")? {
        return Err("sign_type is another one than in the parameters".to_owned());
    }
    let valid = verifies(groups, ours.sign_type(), &sdk_bytes, text(case, "sign")?)?;
    if Some(&Value::Bool(valid)) != case.get("openssl_verifies") {
        return Err(format!(
            "the signature's validity is {valid}, OpenSSL says otherwise"
        ));
    }
    Ok(())
}

pub(crate) fn verifies(
    groups: &Map<String, Value>,
    scheme: SignType,
    message: &[u8],
    sign: &str,
) -> Result<bool, String> {
    let keys = object(groups, "keys")?;
    if scheme.rsa_hash().is_some() {
        let key = rsa_key(keys, "app_rsa_pub")?;
        let private = rsa::pkcs8_public(&pem(keys, "app_rsa_pkcs8")?);
        if private.as_ref() != Ok(&key) {
            return Err("the private key's public half is another".to_owned());
        }
    }
    signed_by(keys, "app", scheme, message, sign)
}

/// Whether the signature is that of the key pair of this owner.
fn signed_by(
    keys: &Map<String, Value>,
    owner: &str,
    scheme: SignType,
    message: &[u8],
    sign: &str,
) -> Result<bool, String> {
    let signature = STANDARD.decode(sign).map_err(|error| error.to_string())?;
    let Some(hash) = scheme.rsa_hash() else {
        let key = sm2_key(keys, &format!("{owner}_sm2_pub"))?;
        return Ok(sm2::verify_der(&key, sm2::ID_DEFAULT, message, &signature).is_ok());
    };
    let key = rsa_key(keys, &format!("{owner}_rsa_pub"))?;
    Ok(rsa::verify(&key, hash, message, &signature).is_ok())
}

fn rsa_key(keys: &Map<String, Value>, name: &str) -> Result<rsa::PublicKey, String> {
    rsa::PublicKey::from_spki(&pem(keys, name)?).map_err(|error| error.to_string())
}

/// Signatures of other implementations over one message, good and bad ones.
fn run_sm2(file: &str, groups: &Map<String, Value>, value: &Value, report: &mut Report) {
    let checked = |list: &'static str, valid: bool| -> Result<Vec<(String, Outcome)>, String> {
        let group = fields(value)?;
        known(
            group,
            &["id", "message", "key", "valid_der_b64", "invalid"],
            "of sm2",
        )?;
        let key = sm2_key(object(groups, "keys")?, text(group, "key")?)?;
        let id = sm2::Id::new(text(group, "id")?.as_bytes()).map_err(|error| error.to_string())?;
        let message = text(group, "message")?.as_bytes();
        let signatures = object(group, list)?.iter();
        Ok(signatures
            .map(|(name, sign)| {
                let check = outcome(|| {
                    let sign = sign.as_str().ok_or("not a text")?;
                    let sign = STANDARD.decode(sign).map_err(|error| error.to_string())?;
                    let verifies = sm2::verify_der(&key, id, message, &sign).is_ok();
                    let verdict = if verifies { "valid" } else { "invalid" };
                    if verifies == valid {
                        Ok(())
                    } else {
                        Err(format!("it is {verdict}"))
                    }
                });
                (name.clone(), check)
            })
            .collect())
    };
    for (list, valid) in [("valid_der_b64", true), ("invalid", false)] {
        match checked(list, valid) {
            Err(error) => report.failed(&format!("{file} sm2 {list}"), &error),
            Ok(outcomes) => {
                for (name, outcome) in outcomes {
                    report.outcome(&op("sm2"), &format!("{file} sm2 «{name}»"), outcome);
                }
            }
        }
    }
}

fn standard_example(case: &Map<String, Value>) -> Result<(), String> {
    known(case, STANDARD_EXAMPLE_FIELDS, "of the example")?;
    let field = |name: &str| bytes(name, text(case, name)?.trim_start_matches("0x"));
    let number = |name: &str| {
        <[u8; 32]>::try_from(field(name)?).map_err(|_| format!("{name} is not 32 bytes"))
    };
    if text(case, "curve")? != "sm2p256v1" {
        return Err("another curve".to_owned());
    }
    let key = sm2::PrivateKey::from_bytes(&number("d")?).map_err(|error| error.to_string())?;
    let id = sm2::Id::new(text(case, "id")?.as_bytes()).map_err(|error| error.to_string())?;
    let message = text(case, "message")?.as_bytes();
    let signed = sm2::sign_with_nonce(&key, id, message, &number("k")?);
    let signed = signed.map_err(|error| error.to_string())?;
    same(
        "public key",
        &key.public().to_bytes(),
        &[field("Px")?, field("Py")?].concat(),
    )?;
    same("ZA", &sm2::za(key.public(), id), &field("ZA")?)?;
    same("e", &sm2::digest(key.public(), id, message), &field("e")?)?;
    same("r", &signed.r(), &field("r")?)?;
    same("s", &signed.s(), &field("s")?)?;
    same("DER", &signed.to_der(), &field("der_hex")?)
}

fn sm3(case: &Map<String, Value>) -> Result<(), String> {
    known(case, &["msg", "digest", "note"], "of an SM3 case")?;
    let digest = Sm3::digest(text(case, "msg")?.as_bytes());
    same("digest", &digest, &bytes("digest", text(case, "digest")?)?)
}

fn sm4(case: &Map<String, Value>) -> Result<(), String> {
    known(case, &["key", "pt", "ct", "rounds"], "of an SM4 case")?;
    let key = bytes("key", text(case, "key")?)?;
    let cipher = Sm4::new(&key).map_err(|error| error.to_string())?;
    let block = bytes("pt", text(case, "pt")?)?;
    let mut block = <[u8; 16]>::try_from(block).map_err(|_| "pt is not one block")?;
    for _ in 0..case
        .get("rounds")
        .and_then(Value::as_u64)
        .ok_or("rounds is not a number")?
    {
        let Ok(()) = cipher.encrypt_block(&mut block);
    }
    same("ct", &block, &bytes("ct", text(case, "ct")?)?)
}

fn sm2_key(keys: &Map<String, Value>, name: &str) -> Result<sm2::PublicKey, String> {
    sm2::PublicKey::from_spki(&pem(keys, name)?).map_err(|error| error.to_string())
}

fn pem(keys: &Map<String, Value>, name: &str) -> Result<Vec<u8>, String> {
    let (_, document) =
        der::Document::from_pem(text(keys, name)?).map_err(|error| error.to_string())?;
    Ok(document.as_bytes().to_vec())
}

const REQUEST_FIELDS: &[&str] = &[
    "name",
    "source",
    "sign_type",
    "charset",
    "params",
    "sdk_string_to_sign",
    "rule_string_to_sign",
    "matches_rule",
    "string_to_sign_sha256",
    "string_to_sign_bytes_hex",
    "sign",
    "openssl_verifies",
];

const STANDARD_EXAMPLE_FIELDS: &[&str] = &[
    "curve", "id", "message", "d", "k", "Px", "Py", "ZA", "e", "r", "s", "der_hex", "checked",
];

/// WeChat Pay's string; its signature is made through the service.
fn wechat(group: &Map<String, Value>) -> Result<(), String> {
    let string = text(group, "string_to_sign")?;
    let parts: Vec<&str> = string.split('\n').collect();
    let [method, url, timestamp, nonce, body, ""] = parts[..] else {
        return Err("not five lines".to_owned());
    };
    let request = pintle::domain::wechat_pay::Request {
        method,
        url,
        timestamp: timestamp.parse().map_err(|_| "no time")?,
        nonce,
        body: body.as_bytes(),
    };
    let ours = pintle::domain::wechat_pay::request(request).map_err(|error| error.to_string())?;
    same("string", &ours, string.as_bytes())
}

/// UnionPay's string, its hash and the signature under a secureKey.
fn union_pay(group: &Map<String, Value>) -> Result<(), String> {
    use pintle::domain::mac::{self, MacKey, Rule};
    use pintle::domain::union_pay_gateway::StringToSign;
    use sha2::{Digest, Sha256};
    let parameters = object(group, "params")?;
    let pairs = |method: &'static str| {
        let one = move |(name, value): (&String, &Value)| {
            let value = value.as_str().unwrap_or_default();
            let value = if name == "signMethod" { method } else { value };
            (name.clone(), value.to_owned())
        };
        parameters.iter().map(one).collect::<Vec<_>>()
    };
    let build = |pairs: &[(String, String)]| {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        StringToSign::for_request(pairs).map_err(|error| error.to_string())
    };
    let ours = build(&pairs("01"))?;
    same("string", ours.as_bytes(), text(group, "string")?.as_bytes())?;
    same(
        "hash",
        &ours.rsa_message(),
        text(group, "sha256_hex")?.as_bytes(),
    )?;
    let string = build(&pairs("11"))?;
    let scheme = string.mac_scheme().ok_or("no MAC")?;
    let key = Sha256::digest(text(group, "secure_key")?);
    let key = MacKey::new(scheme, &key).map_err(|error| error.to_string())?;
    let rule = Rule::new(scheme, None, 32).map_err(|error| error.to_string())?;
    let mac = mac::generate(&key, &rule, string.as_bytes()).map_err(|error| error.to_string())?;
    same(
        "signMethod 11",
        hex::encode(mac.as_bytes()).as_bytes(),
        text(group, "signature_signMethod11")?.as_bytes(),
    )
}
