//! What UnionPay's gateway (acp 5.1.0 and 5.0.0) signs: the parameters sorted and joined, hashed,
//! and the **hexadecimal text** of that hash signed, which hashes it again. `certId` is a parameter
//! like any other. A terminal's UnionPay messages are the module `unionpay`.

use sha1::Sha1;
use sha2::{Digest, Sha256};

use crate::domain::alipay::charset::Charset;
use crate::domain::mac::Scheme;
use crate::domain::rsa;
use crate::limits::{MESSAGE_BYTES_MAX, UNIONPAY_NAME_BYTES_MAX, UNIONPAY_PARAMETERS_MAX};

/// The values of `version`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `5.0.0`: SHA-1. Weak.
    V5_0_0,
    /// `5.1.0`: SHA-256.
    V5_1_0,
}

/// The values of `signMethod`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignMethod {
    /// `01`: RSA, under a certificate.
    Certificate,
    /// `11`: SHA-256 with the secureKey.
    Sha256,
    /// `12`: SM3 with the secureKey.
    Sm3,
}

/// The joined parameters, in the charset that they name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringToSign {
    bytes: Vec<u8>,
    version: Version,
    sign_method: SignMethod,
}

/// Why there is no string-to-sign; all of it is the caller's fault.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum GatewayError {
    /// More parameters than one message may have.
    #[error("more than {UNIONPAY_PARAMETERS_MAX} parameters")]
    TooManyParameters,
    /// The string-to-sign would be longer than a message may be.
    #[error("the string to sign is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// A name that is empty, too long, or has `&`, `=` or what is not printable ASCII.
    #[error(
        "a parameter's name is not 1 to {UNIONPAY_NAME_BYTES_MAX} printable ASCII without & and ="
    )]
    Name,
    /// The same name twice.
    #[error("the parameter {parameter} is given twice")]
    DuplicateParameter {
        /// The name.
        parameter: String,
    },
    /// A `version` other than 5.0.0 and 5.1.0.
    #[error("the parameter version is not 5.0.0 or 5.1.0")]
    Version,
    /// A `signMethod` that the version does not have.
    #[error("the parameter signMethod is not 01, or for version 5.1.0 11 or 12")]
    SignMethod,
    /// An `encoding` other than UTF-8 and GBK.
    #[error("the parameter encoding is not UTF-8 or GBK")]
    Encoding,
    /// A `certId` that is missing under signMethod 01, or is not a decimal serial number.
    #[error("the parameter certId is not the certificate's serial number in decimal")]
    CertId,
    /// A character that the named encoding does not have.
    #[error("the parameter {parameter} has a character that its encoding lacks")]
    Unmappable {
        /// The name.
        parameter: String,
    },
}

impl StringToSign {
    /// Builds the string-to-sign of a request: without `signature` and without empty values (which
    /// UnionPay's SDK does not send), sorted by name bytewise, joined as `name=value` with `&`.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub fn for_request<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, GatewayError> {
        Self::build(parameters, false)
    }

    /// The same of what UnionPay answers, with or without its empty values: its own SDK keeps them there.
    ///
    /// # Errors
    /// See [`GatewayError`].
    pub fn for_response<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        keep_empty: bool,
    ) -> Result<Self, GatewayError> {
        Self::build(parameters, keep_empty)
    }

    fn build<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
        keep_empty: bool,
    ) -> Result<Self, GatewayError> {
        let mut parameters = sorted(parameters)?;
        parameters
            .retain(|(name, value)| *name != "signature" && (keep_empty || !value.is_empty()));
        let value = |name: &str| {
            let found = parameters.iter().find(|(candidate, _)| *candidate == name);
            found.map(|(_, value)| *value)
        };
        let version = match value("version") {
            Some("5.0.0") => Version::V5_0_0,
            Some("5.1.0") => Version::V5_1_0,
            _ => return Err(GatewayError::Version),
        };
        let sign_method = match (value("signMethod"), version) {
            (Some("01"), _) => SignMethod::Certificate,
            (Some("11"), Version::V5_1_0) => SignMethod::Sha256,
            (Some("12"), Version::V5_1_0) => SignMethod::Sm3,
            _ => return Err(GatewayError::SignMethod),
        };
        let charset = match value("encoding").map(Charset::parse) {
            None => Charset::Utf8,
            Some(Some(charset @ (Charset::Utf8 | Charset::Gbk))) => charset,
            Some(_) => return Err(GatewayError::Encoding),
        };
        let decimal = |id: &str| id.bytes().all(|byte| byte.is_ascii_digit());
        if sign_method == SignMethod::Certificate && !value("certId").is_some_and(decimal) {
            return Err(GatewayError::CertId);
        }
        let bytes = joined(&parameters, charset)?;
        Ok(Self {
            bytes,
            version,
            sign_method,
        })
    }

    /// The joined parameters.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// How the message says that it is signed.
    #[must_use]
    pub fn sign_method(&self) -> SignMethod {
        self.sign_method
    }

    /// The hash of signMethod 01, which is used twice.
    #[must_use]
    pub fn rsa_hash(&self) -> rsa::Hash {
        match self.version {
            Version::V5_0_0 => rsa::Hash::Sha1,
            Version::V5_1_0 => rsa::Hash::Sha256,
        }
    }

    /// The message that an RSA key signs: the lower-case hexadecimal text of the string's hash.
    #[must_use]
    pub fn rsa_message(&self) -> Vec<u8> {
        let text = match self.version {
            Version::V5_0_0 => hex::encode(Sha1::digest(&self.bytes)),
            Version::V5_1_0 => hex::encode(Sha256::digest(&self.bytes)),
        };
        text.into_bytes()
    }

    /// The MAC that signMethod 11 and 12 are, of [`StringToSign::as_bytes`]; none for 01.
    #[must_use]
    pub fn mac_scheme(&self) -> Option<Scheme> {
        match self.sign_method {
            SignMethod::Certificate => None,
            SignMethod::Sha256 => Some(Scheme::UnionPayGatewaySha256),
            SignMethod::Sm3 => Some(Scheme::UnionPayGatewaySm3),
        }
    }
}

fn joined(parameters: &[(&str, &str)], charset: Charset) -> Result<Vec<u8>, GatewayError> {
    let mut bytes = Vec::new();
    for (name, value) in parameters {
        if !bytes.is_empty() {
            bytes.push(b'&');
        }
        bytes.extend_from_slice(name.as_bytes());
        bytes.push(b'=');
        charset
            .encode(value, &mut bytes)
            .map_err(|_| GatewayError::Unmappable {
                parameter: (*name).to_owned(),
            })?;
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(GatewayError::TooLong);
        }
    }
    Ok(bytes)
}

/// Checks the names and sorts by them.
fn sorted<'a>(
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(&'a str, &'a str)>, GatewayError> {
    let allowed = |byte: u8| byte.is_ascii_graphic() && byte != b'&' && byte != b'=';
    let mut sorted = Vec::new();
    for (name, value) in parameters {
        if sorted.len() == UNIONPAY_PARAMETERS_MAX {
            return Err(GatewayError::TooManyParameters);
        }
        if name.is_empty() || name.len() > UNIONPAY_NAME_BYTES_MAX || !name.bytes().all(allowed) {
            return Err(GatewayError::Name);
        }
        sorted.push((name, value));
    }
    sorted.sort_unstable_by_key(|(name, _)| *name);
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(GatewayError::DuplicateParameter {
            parameter: twice[0].0.to_owned(),
        });
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests;
