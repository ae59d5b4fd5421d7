//! What an Alipay gateway signs: the string-to-sign of a v2 request (gateway.do) and the values of
//! `sign_type`. `biz_content` is opaque and signed exactly as it will be sent; nothing here parses
//! JSON, percent-decodes, trims or keeps a list of known parameters. Responses, notifications and
//! the v3 protocol have other rules, each in a module of its own.

pub mod certificate_serial;
pub(in crate::domain) mod charset;
pub mod comparison;
pub mod content;
pub mod diagnosis;
mod json;
pub mod notification;
pub mod page;
pub mod response;
pub mod v3;

use crate::domain::rsa;
use crate::limits::{ALIPAY_NAME_BYTES_MAX, ALIPAY_PARAMETERS_MAX, MESSAGE_BYTES_MAX};
use charset::Charset;

/// The signature schemes that Alipay names, which are also those of a signing key's policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SignType {
    /// `RSA`: PKCS #1 v1.5 with SHA-1. Weak.
    Rsa,
    /// `RSA2`: PKCS #1 v1.5 with SHA-256.
    Rsa2,
    /// `SM2`: SM3withSM2, identity 1234567812345678, DER.
    Sm2,
}

/// The exact bytes that are signed, in the charset that the parameters name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StringToSign {
    bytes: Vec<u8>,
    sign_type: SignType,
}

/// Why there is no string-to-sign; all of it is the caller's fault, and [`AlipayError::parameter`]
/// names what to mend.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum AlipayError {
    /// More parameters than one request may have.
    #[error("more than {ALIPAY_PARAMETERS_MAX} parameters")]
    TooManyParameters,
    /// The string-to-sign would be longer than a message may be.
    #[error("the string to sign is longer than {MESSAGE_BYTES_MAX} bytes")]
    TooLong,
    /// A parameter without a name.
    #[error("a parameter has an empty name")]
    EmptyName,
    /// A name that is too long.
    #[error("a parameter's name is longer than {ALIPAY_NAME_BYTES_MAX} bytes")]
    NameTooLong,
    /// A name with `&` or `=`, which would make two requests sign alike, or not printable ASCII,
    /// whose place in the order differs from SDK to SDK.
    #[error("a parameter's name is not printable ASCII without & and =")]
    NameCharacters,
    /// The same name twice.
    #[error("the parameter {parameter} is given twice")]
    DuplicateParameter {
        /// The name.
        parameter: String,
    },
    /// No `sign_type`, or an empty one.
    #[error("the parameter sign_type is missing")]
    SignTypeMissing,
    /// A `sign_type` other than RSA, RSA2 and SM2.
    #[error("the parameter sign_type is not RSA, RSA2 or SM2")]
    SignTypeUnknown,
    /// A charset other than those of the module `charset`.
    #[error("the parameter charset is not utf-8, gbk, gb2312 or gb18030")]
    CharsetUnknown,
    /// A character that the named charset does not have.
    #[error("the parameter {parameter} has a character that its charset {charset} lacks")]
    Unmappable {
        /// The name.
        parameter: String,
        /// The charset.
        charset: &'static str,
    },
    /// A `biz_content` that a browser would change on the way: with a line break in it.
    #[error("the parameter biz_content has a line break, which no form carries as it is")]
    LineBreakInForm,
}

impl SignType {
    /// Every scheme.
    pub const ALL: [Self; 3] = [Self::Rsa, Self::Rsa2, Self::Sm2];

    /// Reads a `sign_type` value; upper case, as Alipay has it.
    #[must_use]
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scheme| scheme.label() == label)
    }

    /// The `sign_type` value.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Rsa => "RSA",
            Self::Rsa2 => "RSA2",
            Self::Sm2 => "SM2",
        }
    }

    /// The hash under PKCS #1 v1.5; none for SM2.
    #[must_use]
    pub fn rsa_hash(self) -> Option<rsa::Hash> {
        match self {
            Self::Rsa => Some(rsa::Hash::Sha1),
            Self::Rsa2 => Some(rsa::Hash::Sha256),
            Self::Sm2 => None,
        }
    }
}

impl StringToSign {
    /// Builds the string-to-sign of a request from every query and form parameter, decoded:
    /// without `sign` and without empty values, with `sign_type`, sorted by name bytewise, joined
    /// as `name=value` with `&`, unescaped, in the charset that `charset` names (utf-8 if none).
    pub fn for_request<'a>(
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, AlipayError> {
        let parameters = sorted(parameters)?;
        let value = |name: &str| {
            let found = parameters.iter().find(|(candidate, _)| *candidate == name);
            found
                .map(|(_, value)| *value)
                .filter(|value| !value.is_empty())
        };
        let sign_type = value("sign_type").ok_or(AlipayError::SignTypeMissing)?;
        let sign_type = SignType::parse(sign_type).ok_or(AlipayError::SignTypeUnknown)?;
        let charset = match value("charset") {
            Some(label) => Charset::parse(label).ok_or(AlipayError::CharsetUnknown)?,
            None => Charset::Utf8,
        };
        let mut bytes = Vec::new();
        for (name, value) in &parameters {
            if *name == "sign" || value.is_empty() {
                continue;
            }
            if !bytes.is_empty() {
                bytes.push(b'&');
            }
            // A name is ASCII, which every charset here has as it is.
            bytes.extend_from_slice(name.as_bytes());
            bytes.push(b'=');
            charset
                .encode(value, &mut bytes)
                .map_err(|_| AlipayError::Unmappable {
                    parameter: (*name).to_owned(),
                    charset: charset.label(),
                })?;
            if bytes.len() > MESSAGE_BYTES_MAX {
                return Err(AlipayError::TooLong);
            }
        }
        Ok(Self { bytes, sign_type })
    }

    /// What is signed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What is signed, to keep.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The scheme that the parameters themselves name; a signer compares it with its key's own.
    #[must_use]
    pub fn sign_type(&self) -> SignType {
        self.sign_type
    }
}

impl AlipayError {
    /// The parameter to mend, where it is one.
    #[must_use]
    pub fn parameter(&self) -> Option<&str> {
        match self {
            Self::TooManyParameters
            | Self::TooLong
            | Self::EmptyName
            | Self::NameTooLong
            | Self::NameCharacters => None,
            Self::DuplicateParameter { parameter } | Self::Unmappable { parameter, .. } => {
                Some(parameter)
            }
            Self::SignTypeMissing | Self::SignTypeUnknown => Some("sign_type"),
            Self::CharsetUnknown => Some("charset"),
            Self::LineBreakInForm => Some("biz_content"),
        }
    }
}

/// Checks the names and sorts by them.
fn sorted<'a>(
    parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<(&'a str, &'a str)>, AlipayError> {
    let mut sorted = Vec::new();
    for (name, value) in parameters {
        if sorted.len() == ALIPAY_PARAMETERS_MAX {
            return Err(AlipayError::TooManyParameters);
        }
        if name.is_empty() {
            return Err(AlipayError::EmptyName);
        }
        if name.len() > ALIPAY_NAME_BYTES_MAX {
            return Err(AlipayError::NameTooLong);
        }
        if !name
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'&' && byte != b'=')
        {
            return Err(AlipayError::NameCharacters);
        }
        sorted.push((name, value));
    }
    sorted.sort_unstable_by_key(|(name, _)| *name);
    if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        return Err(AlipayError::DuplicateParameter {
            parameter: twice[0].0.to_owned(),
        });
    }
    Ok(sorted)
}

#[cfg(test)]
mod tests;
