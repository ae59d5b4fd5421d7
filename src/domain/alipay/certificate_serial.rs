//! The name that Alipay gives a certificate (`app_cert_sn`, `alipay_cert_sn`,
//! `alipay_root_cert_sn`): MD5 over the issuer's RFC 2253 text and the decimal serial number, in
//! lower-case hexadecimal. The hash names and protects nothing: whoever makes two certificates of
//! one name still has to have a root sign them.

use md5::{Digest, Md5};

use crate::domain::alipay::SignType;
use crate::domain::certificate::Certificate;

/// The serial of one certificate: `app_cert_sn` or `alipay_cert_sn`.
#[must_use]
pub fn of(certificate: &Certificate) -> String {
    let mut hash = Md5::new();
    hash.update(certificate.issuer());
    hash.update(certificate.serial_decimal());
    hex::encode(hash.finalize())
}

/// The serial of a bundle of roots, `alipay_root_cert_sn`: those of every certificate that is signed
/// in the family of the scheme, in the bundle's order, joined with `_`. None where there is none.
#[must_use]
pub fn of_roots(bundle: &[Certificate], scheme: SignType) -> Option<String> {
    let family = match scheme {
        SignType::Rsa | SignType::Rsa2 => "1.2.840.113549.1.1",
        SignType::Sm2 => "1.2.156.10197.1.501",
    };
    let serials: Vec<String> = bundle
        .iter()
        .filter(|root| root.signature_oid().starts_with(family))
        .map(of)
        .collect();
    (!serials.is_empty()).then(|| serials.join("_"))
}
