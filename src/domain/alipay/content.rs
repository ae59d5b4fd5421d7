//! Content encryption: what `encrypt_type` announces of `biz_content` and of answers. Base64 of
//!
//! - `AES`: AES-128-CBC with PKCS #7 padding and an IV of zeros, so equal beginnings show;
//! - `AES_V2`: the same under a random IV, which stands before it;
//! - `SM4`: SM4-GCM under a random IV of 16 bytes (hashed to the first counter block), which stands
//!   before it, and the tag of 16 bytes behind it.
//!
//! Which of them is the key's, never the message's. Whatever is wrong with a ciphertext is one
//! answer: base64, length, padding and tag alike.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::cipher::{BlockAlgorithm, PinCipher};
use crate::domain::data::{self, IvRule, Mode, Padding, Rule};
use crate::secret::Secret;

/// How one key encrypts content.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ContentForm {
    /// `AES`. Weak.
    Aes,
    /// `AES_V2`.
    AesV2,
    /// `SM4`.
    Sm4,
}

/// Whatever is wrong with a ciphertext, or a cipher that is not the form's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("rejected")]
pub struct ContentRejected;

/// Bytes of an IV.
pub const IV_BYTES: usize = 16;

impl ContentForm {
    /// Every form.
    pub const ALL: [Self; 3] = [Self::Aes, Self::AesV2, Self::Sm4];

    /// Whether the form is one of the cipher.
    #[must_use]
    pub const fn fits(self, algorithm: BlockAlgorithm) -> bool {
        match self {
            Self::Aes | Self::AesV2 => matches!(algorithm, BlockAlgorithm::Aes),
            Self::Sm4 => matches!(algorithm, BlockAlgorithm::Sm4),
        }
    }

    /// Whether a key of this form is weak: where the IV is always the same and, where the key
    /// decrypts, where only the padding says whether a ciphertext is right.
    #[must_use]
    pub const fn is_weak(self, decrypts: bool) -> bool {
        match self.chained() {
            Some(rule) => rule.is_weak(decrypts),
            None => false,
        }
    }

    /// CBC's rule; none for GCM.
    const fn chained(self) -> Option<Rule> {
        let iv = match self {
            Self::Aes => IvRule::Zero,
            Self::AesV2 => IvRule::Random,
            Self::Sm4 => return None,
        };
        match Rule::new(Mode::Cbc, Padding::Pkcs7, Some(iv), 0) {
            Ok(rule) => Some(rule),
            Err(_) => None,
        }
    }
}

/// Encrypts `clear`; `AES` does not look at `iv`.
pub fn encrypt(
    key: &PinCipher,
    form: ContentForm,
    iv: &[u8; IV_BYTES],
    clear: &[u8],
) -> Result<String, ContentRejected> {
    if !form.fits(key.algorithm()) {
        return Err(ContentRejected);
    }
    let mut sealed = Vec::new();
    match (form.chained(), key) {
        (Some(rule), key) => {
            let iv = &iv[..rule.iv_bytes(key.algorithm())];
            sealed.extend_from_slice(iv);
            let made = data::encrypt(key, &rule, iv, b"", clear).map_err(|_| ContentRejected)?;
            sealed.extend_from_slice(&made.data);
        }
        (None, PinCipher::Sm4(sm4)) => {
            // Never grown, and encrypted where it lies: nothing clear is left behind.
            sealed.reserve_exact(iv.len() + clear.len() + TAG_BYTES);
            sealed.extend_from_slice(iv);
            sealed.extend_from_slice(clear);
            let Ok(tag) = data::gcm_seal(sm4, iv, b"", &mut sealed[IV_BYTES..]);
            sealed.extend_from_slice(&tag);
        }
        (None, PinCipher::Tdes(_) | PinCipher::Aes(_)) => return Err(ContentRejected),
    }
    Ok(STANDARD.encode(sealed))
}

/// Decrypts what [`encrypt`], or Alipay, made.
pub fn decrypt(
    key: &PinCipher,
    form: ContentForm,
    content: &str,
) -> Result<Secret<Vec<u8>>, ContentRejected> {
    if !form.fits(key.algorithm()) {
        return Err(ContentRejected);
    }
    let sealed = STANDARD.decode(content).map_err(|_| ContentRejected)?;
    match (form.chained(), key) {
        (Some(rule), key) => {
            let iv_bytes = rule.iv_bytes(key.algorithm());
            let (iv, data) = sealed.split_at_checked(iv_bytes).ok_or(ContentRejected)?;
            data::decrypt(key, &rule, iv, b"", (data, b"")).map_err(|_| ContentRejected)
        }
        (None, PinCipher::Sm4(sm4)) => {
            let (iv, rest) = sealed.split_at_checked(IV_BYTES).ok_or(ContentRejected)?;
            let end = rest.len().checked_sub(TAG_BYTES).ok_or(ContentRejected)?;
            let (data, tag) = rest.split_at(end);
            let mut clear = Secret::new(data.to_vec());
            let Ok(verdict) = data::gcm_open(sm4, iv, b"", clear.expose_secret_mut(), tag);
            verdict.map_err(|_| ContentRejected)?;
            Ok(clear)
        }
        (None, PinCipher::Tdes(_) | PinCipher::Aes(_)) => Err(ContentRejected),
    }
}

/// Bytes of GCM's tag.
const TAG_BYTES: usize = 16;
