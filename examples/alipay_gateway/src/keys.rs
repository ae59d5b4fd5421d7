//! Keys and signatures: what the merchants' public keys verify, and Alipay's own private keys, which
//! are published test keys; a forger's are made when one is needed.
//!
//! RSA is aws-lc-rs. SM2 is RustCrypto's `sm2::dsa`, of which Pintle uses only the curve. aws-lc-rs
//! does not sign with SHA-1 any more; the answers to an app of sign type RSA are signed by the
//! openssl command.

use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail, ensure};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    KeyPair, RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, RSA_PKCS1_2048_8192_SHA256,
    RSA_PKCS1_SHA256, UnparsedPublicKey,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sm2::SecretKey;
use sm2::dsa::signature::{Signer, Verifier};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::pkcs8::DecodePrivateKey;
use tempfile::NamedTempFile;

/// The identity that Alipay's SM2 signatures are made with.
const SM2_ID: &str = "1234567812345678";
/// An SM2 public key, X.509: everything before the point.
const SM2_SPKI_HEAD: &str = "3059301306072a8648ce3d020106082a811ccf5501822d034200";
/// The point, uncompressed.
const SM2_POINT_BYTES: usize = 65;

/// `sign_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignType {
    /// PKCS #1 v1.5, SHA-1.
    Rsa,
    /// PKCS #1 v1.5, SHA-256.
    Rsa2,
    /// SM2 with SM3, DER.
    Sm2,
}

impl SignType {
    /// Reads the parameter.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "RSA" => Some(Self::Rsa),
            "RSA2" => Some(Self::Rsa2),
            "SM2" => Some(Self::Sm2),
            _ => None,
        }
    }

    /// The parameter.
    pub fn label(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::Rsa2 => "RSA2",
            Self::Sm2 => "SM2",
        }
    }
}

/// The public keys that a merchant has uploaded for an app; X.509 SubjectPublicKeyInfo, DER.
#[derive(Clone, Debug, Default)]
pub struct AppKeys {
    /// For RSA and RSA2.
    pub rsa: Option<Vec<u8>>,
    /// For SM2.
    pub sm2: Option<Vec<u8>>,
}

impl AppKeys {
    /// The published test keys of the app of `pintle dev`: their public halves.
    ///
    /// # Errors
    /// Never, with the files as they are.
    pub fn of_pintle_dev() -> Result<Self> {
        let mut keys = Self::default();
        keys.add(TEST_APP_RSA)?;
        keys.add(TEST_APP_SM2)?;
        Ok(keys)
    }

    /// Takes base64 of a public key, with or without PEM lines, and puts it in its place.
    ///
    /// # Errors
    /// Text that is not the public key of an RSA or SM2 pair.
    pub fn add(&mut self, text: &str) -> Result<()> {
        let der = der_of(text)?;
        if sm2_point(&der).is_some() {
            self.sm2 = Some(der);
        } else {
            ensure!(
                der.len() > 270,
                "neither an SM2 nor an RSA public key of 2048 bits"
            );
            self.rsa = Some(der);
        }
        Ok(())
    }

    /// Whether the signature is this app's, by the key that the sign type asks for.
    pub fn verify(&self, sign_type: SignType, message: &[u8], sign: &[u8]) -> bool {
        let rsa = |algorithm| {
            self.rsa.as_ref().is_some_and(|key| {
                let key = UnparsedPublicKey::new(algorithm, key);
                key.verify(message, sign).is_ok()
            })
        };
        match sign_type {
            SignType::Rsa => rsa(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY),
            SignType::Rsa2 => rsa(&RSA_PKCS1_2048_8192_SHA256),
            SignType::Sm2 => self.sm2_verifies(message, sign).unwrap_or(false),
        }
    }

    fn sm2_verifies(&self, message: &[u8], sign: &[u8]) -> Option<bool> {
        let key = VerifyingKey::from_sec1_bytes(SM2_ID, sm2_point(self.sm2.as_ref()?)?).ok()?;
        let signature = Signature::from_slice(&raw_of_der(sign)?).ok()?;
        Some(key.verify(message, &signature).is_ok())
    }
}

const TEST_ALIPAY_RSA: &str = include_str!("../keys/test_alipay_rsa.pem");
const TEST_ALIPAY_SM2: &str = include_str!("../keys/test_alipay_sm2.pem");
const TEST_APP_RSA: &str = include_str!("../keys/test_app_rsa_public.pem");
const TEST_APP_SM2: &str = include_str!("../keys/test_app_sm2_public.pem");

/// Alipay's own keys.
pub struct AlipayKeys {
    rsa: RsaKeyPair,
    sm2: SigningKey,
}

impl AlipayKeys {
    /// The published test keys, which protect nothing.
    ///
    /// # Errors
    /// Never, with the files as they are.
    pub fn test() -> Result<Self> {
        let rsa = RsaKeyPair::from_pkcs8(&der_of(TEST_ALIPAY_RSA)?).context("no RSA key")?;
        let sm2 = SecretKey::from_pkcs8_der(&der_of(TEST_ALIPAY_SM2)?);
        let sm2 = sm2.map_err(|_| anyhow!("no SM2 key"))?;
        let sm2 = SigningKey::new(SM2_ID, &sm2).map_err(|_| anyhow!("no SM2 key"))?;
        Ok(Self { rsa, sm2 })
    }

    /// Makes a pair of each kind.
    ///
    /// # Errors
    /// Where there is no randomness.
    pub fn generate() -> Result<Self> {
        let rsa = RsaKeyPair::generate(KeySize::Rsa2048).context("no RSA key")?;
        // Half of all numbers are below the order; a hundred in a row above it do not happen.
        let sm2 = (0..100)
            .find_map(|_| {
                let mut scalar = [0; 32];
                SystemRandom::new().fill(&mut scalar).ok()?;
                SigningKey::from_slice(SM2_ID, &scalar).ok()
            })
            .context("no SM2 key")?;
        Ok(Self { rsa, sm2 })
    }

    /// The public key for a sign type, base64 of X.509: what Alipay's console shows.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn public(&self, sign_type: SignType) -> Result<String> {
        let der = match sign_type {
            SignType::Rsa | SignType::Rsa2 => {
                let der = AsDer::<PublicKeyX509Der<'_>>::as_der(self.rsa.public_key())?;
                der.as_ref().to_vec()
            }
            SignType::Sm2 => {
                let mut der = hex::decode(SM2_SPKI_HEAD)?;
                der.extend_from_slice(&self.sm2.verifying_key().to_sec1_bytes());
                der
            }
        };
        Ok(STANDARD.encode(der))
    }

    /// A signature in base64, as the answer carries it.
    ///
    /// # Errors
    /// Where the key cannot sign; for RSA without openssl on the PATH.
    pub fn sign(&self, sign_type: SignType, message: &[u8]) -> Result<String> {
        let signature = match sign_type {
            SignType::Rsa => self.sign_with_sha1(message)?,
            SignType::Rsa2 => {
                let mut signature = vec![0; self.rsa.public_modulus_len()];
                self.rsa
                    .sign(
                        &RSA_PKCS1_SHA256,
                        &SystemRandom::new(),
                        message,
                        &mut signature,
                    )
                    .map_err(|_| anyhow!("RSA does not sign"))?;
                signature
            }
            SignType::Sm2 => {
                let signature: Signature = self.sm2.try_sign(message)?;
                der_of_raw(&signature.to_bytes())
            }
        };
        Ok(STANDARD.encode(signature))
    }

    fn sign_with_sha1(&self, message: &[u8]) -> Result<Vec<u8>> {
        let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&self.rsa)?;
        // Each call has a file of its own, for this user alone, that goes with it.
        let mut file = NamedTempFile::new()?;
        file.write_all(pkcs8.as_ref())?;
        let mut child = Command::new("openssl")
            .args(["dgst", "-sha1", "-keyform", "DER", "-sign"])
            .arg(file.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("openssl signs with SHA-1 here")?;
        let mut stdin = child.stdin.take().context("openssl has no input")?;
        stdin.write_all(message)?;
        drop(stdin);
        let done = child.wait_with_output()?;
        if !done.status.success() {
            bail!("openssl does not sign with SHA-1");
        }
        Ok(done.stdout)
    }
}

fn der_of(text: &str) -> Result<Vec<u8>> {
    let lines = text.lines().filter(|line| !line.starts_with("-----"));
    let joined: String = lines.map(str::trim).collect();
    STANDARD.decode(joined).context("not base64")
}

fn sm2_point(spki: &[u8]) -> Option<&[u8]> {
    let head = hex::decode(SM2_SPKI_HEAD).ok()?;
    let point = spki.strip_prefix(head.as_slice())?;
    (point.len() == SM2_POINT_BYTES).then_some(point)
}

/// DER SEQUENCE of two INTEGERs to r ‖ s; strict.
fn raw_of_der(der: &[u8]) -> Option<[u8; 64]> {
    let body = der.strip_prefix(&[0x30])?;
    let (length, mut rest) = body.split_first()?;
    if usize::from(*length) != rest.len() {
        return None;
    }
    let mut raw = [0; 64];
    for half in raw.as_chunks_mut::<32>().0 {
        let after = rest.strip_prefix(&[0x02])?;
        let (length, after) = after.split_first()?;
        let (number, after) = after.split_at_checked(usize::from(*length))?;
        let number = match number {
            [0, second, ..] if *second >= 0x80 => &number[1..],
            [first, ..] if *first > 0 && *first < 0x80 => number,
            _ => return None,
        };
        let start = 32_usize.checked_sub(number.len())?;
        half[start..].copy_from_slice(number);
        rest = after;
    }
    rest.is_empty().then_some(raw)
}

fn der_of_raw(raw: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for half in raw.chunks(32) {
        let zeros = half.iter().take_while(|byte| **byte == 0).count();
        let mut number = half[zeros..].to_vec();
        if number.first().is_none_or(|first| *first >= 0x80) {
            number.insert(0, 0);
        }
        body.push(0x02);
        body.extend(u8::try_from(number.len()));
        body.extend(number);
    }
    let mut der = vec![0x30];
    der.extend(u8::try_from(body.len()));
    der.extend(body);
    der
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alipays_as_an_app(keys: &AlipayKeys) -> AppKeys {
        let mut app = AppKeys::default();
        for sign_type in [SignType::Rsa2, SignType::Sm2] {
            app.add(&keys.public(sign_type).unwrap()).unwrap();
        }
        app
    }

    #[test]
    fn what_a_key_signs_its_public_half_verifies_and_no_other_scheme_does() {
        let keys = AlipayKeys::generate().unwrap();
        let app = alipays_as_an_app(&keys);
        let all = [SignType::Rsa, SignType::Rsa2, SignType::Sm2];
        for made in all {
            let sign = STANDARD
                .decode(keys.sign(made, b"message").unwrap())
                .unwrap();
            for checked in all {
                let valid = app.verify(checked, b"message", &sign);
                assert_eq!(valid, made == checked, "{made:?} as {checked:?}");
                assert!(!app.verify(checked, b"massage", &sign));
            }
        }
    }
}
