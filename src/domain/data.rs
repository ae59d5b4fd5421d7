//! Data under a block cipher: ECB, CBC and CTR (SP 800-38A, GB/T 17964) and GCM (SP 800-38D,
//! GB/T 36624), with or without the padding of PKCS #7 (RFC 5652, 6.3).
//!
//! A [`Rule`] fixes mode, padding, whose the IV is and how long the tag; whoever calls chooses
//! none of it. IVs come in as arguments. Everything that depends on clear data (a wrong padding, a
//! wrong tag) is one answer. It deliberately has no CFB, OFB, CCM or ciphertext stealing, and takes
//! GCM's IV of 96 bits only.

mod gcm;
mod mode;
mod padding;

pub use self::gcm::{open as gcm_open, seal as gcm_seal};

use core::convert::Infallible;

use zeroize::Zeroize;

use crate::domain::cipher::{BlockAlgorithm, BlockCipher, PinCipher};
use crate::limits;
use crate::secret::Secret;

/// A mode of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Each block on its own. Shows which blocks are the same.
    Ecb,
    /// Cipher block chaining.
    Cbc,
    /// Counter mode, the whole block a counter.
    Ctr,
    /// Galois/counter mode: authenticated.
    Gcm,
}

/// How data is filled up to whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Padding {
    /// Not at all: it must be whole blocks.
    Whole,
    /// PKCS #7: always, with as many bytes as each of them says.
    Pkcs7,
}

/// Whose the IV is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IvRule {
    /// Made here for each encryption, and handed out with what it encrypted.
    Random,
    /// The caller's. Weak: nobody knows whether it repeats.
    Caller,
    /// Zeros, always. Weak: equal beginnings show.
    Zero,
}

/// How one key encrypts data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    mode: Mode,
    padding: Padding,
    iv: Option<IvRule>,
    tag_bytes: u8,
}

/// Why there is no such rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// Only ECB and CBC are padded.
    #[error("the mode has no padding")]
    Padding,
    /// CBC and CTR say whose the IV is, CTR not that it is zero; the others do not.
    #[error("not an IV rule of the mode")]
    Iv,
    /// GCM has a tag of 12 to 16 bytes, the others have none.
    #[error("not a tag's length of the mode")]
    Tag,
}

impl Rule {
    /// A rule whose parts go together. `iv` is for CBC and CTR; GCM's IV is always made here.
    pub const fn new(
        mode: Mode,
        padding: Padding,
        iv: Option<IvRule>,
        tag_bytes: u8,
    ) -> Result<Self, RuleError> {
        match (mode, padding) {
            (Mode::Ctr | Mode::Gcm, Padding::Pkcs7) => return Err(RuleError::Padding),
            (Mode::Ecb | Mode::Cbc, _) | (Mode::Ctr | Mode::Gcm, Padding::Whole) => {}
        }
        match (mode, iv) {
            (Mode::Ecb | Mode::Gcm, Some(_))
            | (Mode::Cbc | Mode::Ctr, None)
            | (Mode::Ctr, Some(IvRule::Zero)) => return Err(RuleError::Iv),
            (Mode::Ecb | Mode::Gcm, None) | (Mode::Cbc | Mode::Ctr, Some(_)) => {}
        }
        let tags = limits::GCM_TAG_BYTES_MIN..=limits::GCM_TAG_BYTES_MAX;
        let fits = match mode {
            Mode::Ecb | Mode::Cbc | Mode::Ctr => tag_bytes == 0,
            Mode::Gcm => *tags.start() <= tag_bytes && tag_bytes <= *tags.end(),
        };
        if !fits {
            return Err(RuleError::Tag);
        }
        Ok(Self {
            mode,
            padding,
            iv,
            tag_bytes,
        })
    }

    /// The mode.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// The padding.
    #[must_use]
    pub const fn padding(&self) -> Padding {
        self.padding
    }

    /// What the rule says of the IV: nothing for ECB, which has none, and for GCM.
    #[must_use]
    pub const fn iv(&self) -> Option<IvRule> {
        self.iv
    }

    /// Bytes of the tag; 0 where there is none.
    #[must_use]
    pub const fn tag_bytes(&self) -> u8 {
        self.tag_bytes
    }

    /// Whether the mode is one of the cipher's: CTR and GCM want blocks of 16 bytes.
    #[must_use]
    pub const fn fits(&self, algorithm: BlockAlgorithm) -> bool {
        match self.mode {
            Mode::Ecb | Mode::Cbc => true,
            Mode::Ctr | Mode::Gcm => algorithm.block_bytes() == 16,
        }
    }

    /// Bytes of the IV under this cipher; 0 where there is none to give or to take.
    #[must_use]
    pub const fn iv_bytes(&self, algorithm: BlockAlgorithm) -> usize {
        match (self.mode, self.iv) {
            (Mode::Gcm, _) => limits::GCM_IV_BYTES,
            (_, None | Some(IvRule::Zero)) => 0,
            (_, Some(IvRule::Random | IvRule::Caller)) => algorithm.block_bytes(),
        }
    }

    /// Whether each encryption has an IV made for it.
    #[must_use]
    pub const fn makes_iv(&self) -> bool {
        matches!(self.mode, Mode::Gcm) || matches!(self.iv, Some(IvRule::Random))
    }

    /// Whether a key under this rule is weak: ECB, an IV that is not made here, and, where the key
    /// decrypts, CBC with padding, since whether a padding is right is an answer about clear data.
    #[must_use]
    pub const fn is_weak(&self, decrypts: bool) -> bool {
        match (self.mode, self.padding, self.iv) {
            (Mode::Ecb, ..) | (.., Some(IvRule::Caller | IvRule::Zero)) => true,
            (Mode::Cbc, Padding::Pkcs7, _) => decrypts,
            (Mode::Cbc, Padding::Whole, _) | (Mode::Ctr | Mode::Gcm, ..) => false,
        }
    }
}

/// What encryption gives.
pub struct Encrypted {
    /// As long as the data, and its padding where there is one.
    pub data: Vec<u8>,
    /// GCM's tag; empty for other modes.
    pub tag: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataError {
    /// Not whole blocks, or, to be decrypted with padding, not even one.
    #[error("not a length that the mode takes")]
    Length,
    /// Not as long as the mode's.
    #[error("not an IV of the mode")]
    Iv,
    /// Only GCM authenticates what it does not encrypt.
    #[error("the mode has no associated data")]
    AssociatedData,
    /// Not as long as the rule says.
    #[error("not a tag of the rule's length")]
    Tag,
    /// CTR and GCM want blocks of 16 bytes.
    #[error("not a mode of the cipher")]
    Mode,
    /// Whatever is wrong with what is inside: the padding, or the tag.
    #[error("rejected")]
    Rejected,
}

/// Encrypts `clear` under an IV of [`Rule::iv_bytes`].
pub fn encrypt(
    key: &PinCipher,
    rule: &Rule,
    iv: &[u8],
    associated: &[u8],
    clear: &[u8],
) -> Result<Encrypted, DataError> {
    checked(key, rule, iv, associated)?;
    match key {
        PinCipher::Tdes(tdes) => encrypt_chained(tdes, rule, iv, clear),
        PinCipher::Aes(aes) => encrypt_16(aes, rule, iv, associated, clear),
        PinCipher::Sm4(sm4) => encrypt_16(sm4, rule, iv, associated, clear),
    }
}

/// Decrypts what [`encrypt`] made. Nothing comes out of data whose tag is wrong.
pub fn decrypt(
    key: &PinCipher,
    rule: &Rule,
    iv: &[u8],
    associated: &[u8],
    (data, tag): (&[u8], &[u8]),
) -> Result<Secret<Vec<u8>>, DataError> {
    checked(key, rule, iv, associated)?;
    if tag.len() != usize::from(rule.tag_bytes) {
        return Err(DataError::Tag);
    }
    match key {
        PinCipher::Tdes(tdes) => decrypt_chained(tdes, rule, iv, data),
        PinCipher::Aes(aes) => decrypt_16(aes, rule, iv, associated, (data, tag)),
        PinCipher::Sm4(sm4) => decrypt_16(sm4, rule, iv, associated, (data, tag)),
    }
}

fn checked(key: &PinCipher, rule: &Rule, iv: &[u8], associated: &[u8]) -> Result<(), DataError> {
    if !rule.fits(key.algorithm()) {
        return Err(DataError::Mode);
    }
    if iv.len() != rule.iv_bytes(key.algorithm()) {
        return Err(DataError::Iv);
    }
    match rule.mode {
        Mode::Ecb | Mode::Cbc | Mode::Ctr if !associated.is_empty() => {
            Err(DataError::AssociatedData)
        }
        Mode::Ecb | Mode::Cbc | Mode::Ctr | Mode::Gcm => Ok(()),
    }
}

fn encrypt_16<C: BlockCipher<16, Error = Infallible>>(
    cipher: &C,
    rule: &Rule,
    iv: &[u8],
    associated: &[u8],
    clear: &[u8],
) -> Result<Encrypted, DataError> {
    match rule.mode {
        Mode::Ecb | Mode::Cbc => encrypt_chained(cipher, rule, iv, clear),
        Mode::Ctr => {
            let iv = iv.try_into().map_err(|_| DataError::Iv)?;
            let mut data = clear.to_vec();
            let Ok(()) = mode::ctr(cipher, iv, &mut data);
            Ok(Encrypted {
                data,
                tag: Vec::new(),
            })
        }
        Mode::Gcm => {
            let mut data = clear.to_vec();
            let Ok(tag) = gcm::seal(cipher, iv, associated, &mut data);
            let tag = tag[..usize::from(rule.tag_bytes)].to_vec();
            Ok(Encrypted { data, tag })
        }
    }
}

fn decrypt_16<C: BlockCipher<16, Error = Infallible>>(
    cipher: &C,
    rule: &Rule,
    iv: &[u8],
    associated: &[u8],
    (data, tag): (&[u8], &[u8]),
) -> Result<Secret<Vec<u8>>, DataError> {
    match rule.mode {
        Mode::Ecb | Mode::Cbc => decrypt_chained(cipher, rule, iv, data),
        Mode::Ctr => {
            let iv = iv.try_into().map_err(|_| DataError::Iv)?;
            let mut clear = Secret::new(data.to_vec());
            let Ok(()) = mode::ctr(cipher, iv, clear.expose_secret_mut());
            Ok(clear)
        }
        Mode::Gcm => {
            let mut clear = Secret::new(data.to_vec());
            let Ok(verdict) = gcm::open(cipher, iv, associated, clear.expose_secret_mut(), tag);
            verdict.map_err(|gcm::Mismatch| DataError::Rejected)?;
            Ok(clear)
        }
    }
}

/// ECB, or CBC where the rule says something of an IV.
fn encrypt_chained<C: BlockCipher<N, Error = Infallible>, const N: usize>(
    cipher: &C,
    rule: &Rule,
    iv: &[u8],
    clear: &[u8],
) -> Result<Encrypted, DataError> {
    // Never grown: what a vector leaves behind when it moves would be clear data.
    let mut data = Vec::with_capacity(clear.len().saturating_add(N));
    data.extend_from_slice(clear);
    match rule.padding {
        Padding::Whole => {}
        Padding::Pkcs7 => padding::pad::<N>(&mut data),
    }
    let (blocks, rest) = data.as_chunks_mut::<N>();
    if !rest.is_empty() {
        data.zeroize();
        return Err(DataError::Length);
    }
    let Ok(()) = match rule.iv {
        None => cipher.encrypt_blocks(blocks),
        Some(_) => mode::cbc_encrypt(cipher, &initial(iv), blocks),
    };
    Ok(Encrypted {
        data,
        tag: Vec::new(),
    })
}

fn decrypt_chained<C: BlockCipher<N, Error = Infallible>, const N: usize>(
    cipher: &C,
    rule: &Rule,
    iv: &[u8],
    data: &[u8],
) -> Result<Secret<Vec<u8>>, DataError> {
    let mut clear = Secret::new(data.to_vec());
    let (blocks, rest) = clear.expose_secret_mut().as_chunks_mut::<N>();
    if !rest.is_empty() {
        return Err(DataError::Length);
    }
    let Ok(()) = match rule.iv {
        None => cipher.decrypt_blocks(blocks),
        Some(_) => mode::cbc_decrypt(cipher, &initial(iv), blocks),
    };
    match (rule.padding, blocks.last()) {
        (Padding::Whole, _) => {}
        (Padding::Pkcs7, None) => return Err(DataError::Length),
        (Padding::Pkcs7, Some(last)) => {
            let padded = padding::padded(last).ok_or(DataError::Rejected)?;
            let length = data.len() - padded;
            // A shorter vector would keep the padding unwiped behind its end.
            clear.expose_secret_mut()[length..].zeroize();
            clear.expose_secret_mut().truncate(length);
        }
    }
    Ok(clear)
}

/// The first block that is chained: zeros where the rule has no IV to give.
fn initial<const N: usize>(iv: &[u8]) -> [u8; N] {
    iv.try_into().unwrap_or([0; N])
}

#[cfg(test)]
mod tests;
