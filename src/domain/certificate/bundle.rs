//! Taking a bundle apart (RFC 7468, lax): PEM blocks among any text, one DER certificate, or the
//! bare base64 of one. It deliberately takes no block of another label: a private key that somebody
//! pasted along is refused, not looked at.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::certificate::CertificateError;
use crate::limits::{CERTIFICATE_BUNDLE_BYTES_MAX, CERTIFICATES_MAX};

/// The DER of each certificate, in order.
pub(super) fn split(bytes: &[u8]) -> Result<Vec<Vec<u8>>, CertificateError> {
    if bytes.len() > CERTIFICATE_BUNDLE_BYTES_MAX {
        return Err(CertificateError::TooLong);
    }
    if bytes.first() == Some(&SEQUENCE) {
        return Ok(vec![bytes.to_vec()]);
    }
    let mut blocks = Vec::new();
    let mut rest = bytes;
    while let Some((_, after)) = split_once(rest, BEGIN) {
        let (label, body) = split_once(after, DASHES).ok_or(CertificateError::Encoding)?;
        if label != CERTIFICATE {
            return Err(CertificateError::OtherBlock);
        }
        let (body, after) = split_once(body, END).ok_or(CertificateError::Encoding)?;
        if blocks.len() == CERTIFICATES_MAX {
            return Err(CertificateError::TooMany);
        }
        blocks.push(decoded(body)?);
        rest = after;
    }
    if blocks.is_empty() {
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return Err(CertificateError::Missing);
        }
        blocks.push(decoded(bytes)?);
    }
    Ok(blocks)
}

fn decoded(body: &[u8]) -> Result<Vec<u8>, CertificateError> {
    let dense: Vec<u8> = body
        .iter()
        .copied()
        .filter(|byte| !byte.is_ascii_whitespace())
        .collect();
    STANDARD
        .decode(dense)
        .map_err(|_| CertificateError::Encoding)
}

/// What stands before and behind the first `mark`.
fn split_once<'a>(bytes: &'a [u8], mark: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = bytes.windows(mark.len()).position(|part| part == mark)?;
    Some((&bytes[..at], &bytes[at + mark.len()..]))
}

const SEQUENCE: u8 = 0x30;
const BEGIN: &[u8] = b"-----BEGIN ";
const DASHES: &[u8] = b"-----";
const CERTIFICATE: &[u8] = b"CERTIFICATE";
const END: &[u8] = b"-----END CERTIFICATE-----";
