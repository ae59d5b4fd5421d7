//! What keys for signatures give: how to sign, and the public half.

use crate::domain::alipay::SignType;
use crate::keys::grant::{
    Grant, ReadPublicKey, RequestCertificate, Sign, Signer, SignerPart, VerifySignature,
};
use crate::keys::open_key::PublicKey;

/// Keys that sign.
macro_rules! signs {
    ($($operation:ident),+) => { $(
        impl Grant<$operation> {
            /// How to sign: which object the token signs with, or the key itself.
            pub fn signer(&self) -> Signer<'_> {
                match &self.part.signer {
                    SignerPart::Rsa { key, hash } => Signer::Rsa { key, hash: *hash },
                    SignerPart::Sm2(key) => Signer::Sm2(key.expose_secret()),
                    SignerPart::Sm2InToken(resident) => Signer::Sm2InToken(resident),
                }
            }

            /// The scheme of the key's policy.
            pub fn scheme(&self) -> SignType {
                self.part.public.scheme
            }

            /// The public half: every signature is verified with it before release.
            pub fn public_key(&self) -> &PublicKey {
                &self.part.public.key
            }
        }
    )+ };
}
signs!(Sign, RequestCertificate);

impl Grant<RequestCertificate> {
    /// The public half: SubjectPublicKeyInfo, DER.
    pub fn subject_public_key_info(&self) -> &[u8] {
        self.key.header().public_key.as_deref().unwrap_or_default()
    }
}

impl Grant<VerifySignature> {
    /// The scheme of the key's policy.
    pub fn scheme(&self) -> SignType {
        self.part.scheme
    }

    /// The public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.part.key
    }
}

impl Grant<ReadPublicKey> {
    /// The scheme of the key's policy; none where the key signs nothing.
    pub fn scheme(&self) -> Option<SignType> {
        self.part
    }

    /// When its time is over, seconds since 1970.
    pub fn expiry(&self) -> Option<u64> {
        self.key.header().expiry
    }

    /// The public half: SubjectPublicKeyInfo, DER.
    pub fn subject_public_key_info(&self) -> &[u8] {
        self.key.header().public_key.as_deref().unwrap_or_default()
    }
}
