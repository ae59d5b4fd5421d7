//! Certificates: Alipay's names for them, and whether they come from a root. No key and no token.

use crate::domain::alipay::{SignType, certificate_serial};
use crate::domain::certificate::chain::{self, Broken};
use crate::domain::certificate::{Certificate, CertificateError};
use crate::keys::act;
use crate::ops::Error;

/// Whose serial is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SerialOf {
    /// The first certificate: an app's or Alipay's.
    Leaf,
    /// A bundle of roots, in the family of this scheme.
    Roots(SignType),
}

/// Certificates to be followed to a root.
pub struct Chain<'a> {
    /// The one to be judged, first, and others.
    pub leaf: &'a [u8],
    /// What may stand between; empty for nothing.
    pub intermediates: &'a [u8],
    /// What is trusted.
    pub roots: &'a [u8],
    /// When, in seconds since 1970; none is now.
    pub at: Option<u64>,
}

/// The serial that Alipay gives a certificate or a bundle, and the certificates.
///
/// # Errors
/// [`Error::Certificates`], [`Error::RootsMissing`].
pub fn serial(bytes: &[u8], of: SerialOf) -> Result<(String, Vec<Certificate>), Error> {
    let certificates = read("certificates", bytes)?;
    let serial = match of {
        SerialOf::Leaf => certificates.first().map(certificate_serial::of),
        SerialOf::Roots(scheme) => certificate_serial::of_roots(&certificates, scheme),
    };
    Ok((serial.ok_or(Error::RootsMissing)?, certificates))
}

/// The chain, from the leaf to its root; one that does not hold is an answer.
///
/// # Errors
/// [`Error::Certificates`].
pub fn check_chain(asked: &Chain<'_>) -> Result<Result<Vec<Certificate>, Broken>, Error> {
    let given = read("leaf", asked.leaf)?;
    let missing = Error::Certificates("leaf", CertificateError::Missing);
    let (leaf, others) = given.split_first().ok_or(missing)?;
    let mut between = others.to_vec();
    if !asked.intermediates.is_empty() {
        between.extend(read("intermediates", asked.intermediates)?);
    }
    let roots = read("roots", asked.roots)?;
    let at = asked.at.unwrap_or_else(act::now);
    let chain = chain::check(leaf, &between, &roots, at);
    Ok(chain.map(|chain| chain.into_iter().cloned().collect()))
}

fn read(field: &'static str, bytes: &[u8]) -> Result<Vec<Certificate>, Error> {
    Certificate::read_all(bytes).map_err(|error| Error::Certificates(field, error))
}
