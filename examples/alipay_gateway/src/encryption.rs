//! Content encryption `AES`: AES-128-CBC, PKCS #7, an IV of zeros, base64.

use anyhow::{Context, Result, anyhow};
use aws_lc_rs::cipher::{
    AES_128, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
    PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Encrypts an answer's node.
pub fn encrypt(key: &[u8], text: &[u8]) -> Result<String> {
    let mut bytes = text.to_vec();
    let iv = EncryptionContext::Iv128(FixedLength::from([0; 16]));
    unbound(key)
        .and_then(|key| PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(|_| anyhow!("no key")))?
        .less_safe_encrypt(&mut bytes, iv)
        .map_err(|_| anyhow!("AES does not encrypt"))?;
    Ok(STANDARD.encode(bytes))
}

/// Decrypts a request's content.
pub fn decrypt(key: &[u8], text: &str) -> Result<Vec<u8>> {
    let mut bytes = STANDARD.decode(text).context("not base64")?;
    let iv = DecryptionContext::Iv128(FixedLength::from([0; 16]));
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(unbound(key)?).map_err(|_| anyhow!("no key"))?;
    let clear = key
        .decrypt(&mut bytes, iv)
        .map_err(|_| anyhow!("AES does not decrypt"))?;
    Ok(clear.to_vec())
}

fn unbound(key: &[u8]) -> Result<UnboundCipherKey> {
    UnboundCipherKey::new(&AES_128, key).map_err(|_| anyhow!("not an AES-128 key"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encrypted_decrypts() {
        let text = encrypt(&[7; 16], "花呗".as_bytes()).unwrap();
        assert_eq!(decrypt(&[7; 16], &text).unwrap(), "花呗".as_bytes());
        assert!(decrypt(&[7; 16], "AAAA").is_err());
    }
}
