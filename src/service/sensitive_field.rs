//! Sensitive fields on the wire: of WeChat Pay and of UnionPay's gateway.

use crate::domain::sensitive_field::EncryptionScheme;
use crate::limits;
use crate::secret::Secret;
use crate::service::Error;
use crate::service::pb::v1 as pb;

/// Clear fields, as many as a call takes.
pub(super) fn clear(fields: Vec<Vec<u8>>) -> Result<Vec<Secret<Vec<u8>>>, Error> {
    // Moved, not copied: what is refused is wiped as well.
    let fields: Vec<_> = fields.into_iter().map(Secret::new).collect();
    check_count(&fields)?;
    Ok(fields)
}

/// Clear fields on their way out.
pub(super) fn bare(fields: Vec<Secret<Vec<u8>>>) -> Vec<Vec<u8>> {
    let bare = |mut field: Secret<Vec<u8>>| std::mem::take(field.expose_secret_mut());
    fields.into_iter().map(bare).collect()
}

/// Refuses none, and more than a call takes.
pub(super) fn check_count<T>(fields: &[T]) -> Result<(), Error> {
    match fields.len() {
        0 => Err(Error::FieldMissing("fields")),
        1..=limits::SENSITIVE_FIELDS_MAX => Ok(()),
        _ => Err(Error::FieldMalformed("fields")),
    }
}

pub(super) const fn encryption_scheme(scheme: EncryptionScheme) -> pb::EncryptionScheme {
    match scheme {
        EncryptionScheme::RsaPkcs1 => pb::EncryptionScheme::RsaPkcs1,
        EncryptionScheme::RsaOaepSha1 => pb::EncryptionScheme::RsaOaepSha1,
        EncryptionScheme::Sm2 => pb::EncryptionScheme::Sm2,
    }
}
