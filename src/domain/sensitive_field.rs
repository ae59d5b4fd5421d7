//! Sensitive fields of a payment message (敏感字段): a card number, a name, an identity, each encrypted by
//! itself under the receiver's public key and sent as base64. WeChat Pay APIv3 has RSAES-OAEP with SHA-1
//! (RFC 8017 §7.1) and, 商密, SM2 in the ASN.1 form of GM/T 0009; UnionPay's gateway RSAES-PKCS1-v1_5
//! (§7.2). Says how much goes into a field; deliberately encrypts nothing, since that takes random bytes.

use crate::limits::SM2_ENCRYPTED_BYTES_MAX;

/// How a key's fields are encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EncryptionScheme {
    /// RSAES-PKCS1-v1_5: UnionPay's gateway. Weak: whoever decrypts it and says why not opens it to all
    /// (Bleichenbacher, CRYPTO 1998). Nothing here decrypts it.
    RsaPkcs1,
    /// RSAES-OAEP with SHA-1, MGF1 of SHA-1 and an empty label: WeChat Pay. Of SHA-1 no collision
    /// resistance is asked.
    RsaOaepSha1,
    /// SM2, C1 ‖ C3 ‖ C2 as an ASN.1 SEQUENCE: WeChat Pay, 商密.
    Sm2,
}

impl EncryptionScheme {
    /// The longest field under an RSA modulus of so many bytes; SM2 asks nothing of it.
    #[must_use]
    pub const fn field_bytes_max(self, modulus_bytes: usize) -> usize {
        match self {
            Self::RsaPkcs1 => modulus_bytes.saturating_sub(PKCS1_BYTES),
            Self::RsaOaepSha1 => modulus_bytes.saturating_sub(2 * SHA1_BYTES + 2),
            Self::Sm2 => SM2_ENCRYPTED_BYTES_MAX,
        }
    }
}

/// Why fields are not encrypted, or not decrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// Empty, or longer than the key's scheme takes.
    #[error("a field is empty or longer than the key's scheme takes")]
    Length,
    /// Everything that depends on clear fields, and their base64.
    #[error("the fields were rejected")]
    Rejected,
    /// A partner's key that was brought in encrypts nothing.
    #[error("a partner's key does not encrypt")]
    Encryption,
}

/// The block's two leading bytes, eight of padding at least, and the zero after them.
const PKCS1_BYTES: usize = 11;
const SHA1_BYTES: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_as_long_as_rfc_8017_lets_it() {
        for (bytes, pkcs1, oaep) in [(256, 245, 214), (384, 373, 342), (512, 501, 470)] {
            assert_eq!(EncryptionScheme::RsaPkcs1.field_bytes_max(bytes), pkcs1);
            assert_eq!(EncryptionScheme::RsaOaepSha1.field_bytes_max(bytes), oaep);
        }
        assert_eq!(EncryptionScheme::RsaOaepSha1.field_bytes_max(1), 0);
        assert_eq!(
            EncryptionScheme::Sm2.field_bytes_max(0),
            SM2_ENCRYPTED_BYTES_MAX
        );
    }
}
