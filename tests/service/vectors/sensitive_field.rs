//! Sensitive fields: the vector's key imported, its ciphertext decrypted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use pintle::client::Error;
use pintle::domain::sensitive_field::EncryptionScheme;
use pintle::service::pb::v1::DecryptWechatFieldsRequest;

use crate::vectors::signing::{pem, sm2_pem};
use crate::vectors::{Bench, Case, Outcome, Verdict};

/// Runs a decryption; none where it is no such case.
pub async fn run(bench: &Bench, case: &Case<'_>) -> Option<Verdict> {
    match case.op() {
        "rsa_oaep_sha1_decrypt" => Some(rsa(bench, case).await),
        "sm2_decrypt_asn1" => Some(sm2(bench, case).await),
        _ => None,
    }
}

async fn rsa(bench: &Bench, case: &Case<'_>) -> Verdict {
    let pem = pem(&case.bytes("private_key_pkcs8")?)?;
    let scheme = EncryptionScheme::RsaOaepSha1;
    decrypted(bench, case, (scheme, &pem), case.bytes("ciphertext")?).await
}

async fn sm2(bench: &Bench, case: &Case<'_>) -> Verdict {
    let pem = sm2_pem(case.text("private_key")?)?;
    let sealed = case.bytes("ciphertext_der")?;
    decrypted(bench, case, (EncryptionScheme::Sm2, &pem), sealed).await
}

async fn decrypted(
    bench: &Bench,
    case: &Case<'_>,
    (scheme, pem): (EncryptionScheme, &str),
    sealed: Vec<u8>,
) -> Verdict {
    let request = DecryptWechatFieldsRequest {
        key: Some(bench.keys.fields(scheme, pem).await?),
        fields: vec![STANDARD.encode(sealed)],
    };
    let refused = case.is_refused() || case.is_valid() == Some(false);
    match bench.client.decrypt_wechat_fields(request).await {
        Ok(answer) if !refused && answer.fields == [case.expected_bytes("plaintext")?] => {
            Ok(Outcome::Ran)
        }
        Err(Error::Refused(error)) if refused && error.reason == "DATA_REJECTED" => {
            Ok(Outcome::Ran)
        }
        Ok(_) => Err("another answer".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
