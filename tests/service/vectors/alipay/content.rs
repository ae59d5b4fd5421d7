//! Content encryption: to the byte where there is no IV, and there and back where one is made here.

use pintle::service::pb::v1::{DecryptContentRequest, EncryptContentRequest};
use serde_json::Value;

use crate::vectors::{Bench, Outcome, Verdict};
use crate::world::key;

/// Keys of `keys.toml`, which have the vectors' values.
pub async fn content(bench: &Bench, case: &Value) -> Verdict {
    let form = case["alg"].as_str().and_then(|alg| alg.split(' ').next());
    let name = match form {
        Some("AES") => "data-content-aes",
        Some("AES_V2") => "data-content-aes-v2",
        Some("SM4") => "data-content-sm4",
        _ => return Err("an unknown form".to_owned()),
    };
    let clear = case["plaintext"].as_str().ok_or("no plaintext")?.as_bytes();
    let theirs = case["ciphertext_b64"].as_str().ok_or("no ciphertext")?;
    let request = EncryptContentRequest {
        key: key(name),
        data: clear.to_vec(),
    };
    let made = bench.client.encrypt_content(request).await;
    let made = made.map_err(|error| error.to_string())?.content;
    if form == Some("AES") && made != theirs {
        return Err(format!("got {made}"));
    }
    for content in [theirs, &made] {
        let request = DecryptContentRequest {
            key: key(name),
            content: content.to_owned(),
        };
        let opened = bench.client.decrypt_content(request).await;
        if opened.map_err(|error| error.to_string())?.data != clear {
            return Err("decrypted to something else".to_owned());
        }
    }
    Ok(Outcome::Ran)
}
