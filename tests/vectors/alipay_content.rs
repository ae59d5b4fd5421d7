//! Alipay's content encryption, and the SM4-GCM of RFC 8998 beneath it.

use crate::case::{bytes, known, text};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::domain::alipay::content::{self, ContentForm};
use pintle::domain::cipher::{Aes, PinCipher, Sm4};
use pintle::domain::data;
use serde_json::{Map, Value};

/// Encrypted and decrypted, under the vector's IV.
pub fn content(case: &Map<String, Value>) -> Result<(), String> {
    known(case, FIELDS, "of a content case")?;
    let form = match text(case, "alg")?.split(' ').next() {
        Some("AES") => ContentForm::Aes,
        Some("AES_V2") => ContentForm::AesV2,
        Some("SM4") => ContentForm::Sm4,
        _ => return Err("an unknown form".to_owned()),
    };
    let key = STANDARD.decode(text(case, "key_b64")?);
    let key = key.map_err(|error| error.to_string())?;
    let key = match form {
        ContentForm::Sm4 => Sm4::new(&key).map(PinCipher::Sm4),
        ContentForm::Aes | ContentForm::AesV2 => Aes::new(&key).map(PinCipher::Aes),
    };
    let key = key.map_err(|error| error.to_string())?;
    let iv = match case.get("iv_hex") {
        Some(_) => bytes("iv", text(case, "iv_hex")?)?,
        None => vec![0; 16],
    };
    let iv = <[u8; 16]>::try_from(iv).map_err(|_| "an IV of another length")?;
    let (clear, sealed) = (text(case, "plaintext")?, text(case, "ciphertext_b64")?);
    let ours = content::encrypt(&key, form, &iv, clear.as_bytes());
    if ours.as_deref() != Ok(sealed) {
        return Err(format!("expected {sealed}, got {ours:?}"));
    }
    let opened = content::decrypt(&key, form, sealed).map_err(|error| error.to_string())?;
    if opened.expose_secret() != clear.as_bytes() {
        return Err("decrypted to something else".to_owned());
    }
    Ok(())
}

/// RFC 8998, A.1.
pub fn gcm(case: &Map<String, Value>) -> Result<(), String> {
    let field = |name: &str| bytes(name, text(case, name)?);
    let key = Sm4::new(&field("key")?).map_err(|error| error.to_string())?;
    let mut sealed = field("pt")?;
    let Ok(tag) = data::gcm_seal(&key, &field("iv")?, &field("aad")?, &mut sealed);
    if sealed != field("ct")? || tag[..] != field("tag")? {
        return Err(format!("{} {}", hex::encode(sealed), hex::encode(tag)));
    }
    Ok(())
}

const FIELDS: &[&str] = &[
    "alg",
    "mode",
    "key_b64",
    "iv_hex",
    "plaintext",
    "ciphertext_b64",
    "sources",
];
