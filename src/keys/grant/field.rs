//! What keys for sensitive fields give: a partner's public half, or how one's own pair decrypts.

use std::sync::Arc;

use crate::domain::sensitive_field::EncryptionScheme;
use crate::domain::sm2;
use crate::keys::grant::{DecryptFields, EncryptFields, Grant};
use crate::keys::material::Material;
use crate::keys::open_key::{OpenKey, PublicKey};
use crate::keys::record::Labels;
use crate::keys::resident::Resident;
use crate::secret::Locked;

/// A partner's public half and its scheme.
pub struct FieldEncryption {
    key: Arc<PublicKey>,
    scheme: EncryptionScheme,
}

/// The private half and its scheme.
pub struct FieldDecryption {
    opener: OpenerPart,
    scheme: EncryptionScheme,
}

enum OpenerPart {
    Rsa(Resident),
    Sm2(Arc<Locked<sm2::PrivateKey>>),
}

/// How a field is decrypted.
pub enum FieldOpener<'a> {
    /// In the token, by RSAES-OAEP with SHA-1.
    Rsa(&'a Resident),
    /// In this process, by `domain::sm2::encryption`.
    Sm2(&'a sm2::PrivateKey),
}

pub(super) fn encryption(key: &OpenKey) -> Option<FieldEncryption> {
    Some(FieldEncryption {
        key: Arc::clone(key.public_key()?),
        scheme: key.header().policy.encryption?,
    })
}

pub(super) fn decryption(key: &OpenKey) -> Option<FieldDecryption> {
    let scheme = key.header().policy.encryption?;
    let opener = match (key.material(), scheme) {
        (Material::Token(resident), EncryptionScheme::RsaOaepSha1) => {
            OpenerPart::Rsa(resident.clone())
        }
        (Material::Sm2(private), EncryptionScheme::Sm2) => OpenerPart::Sm2(Arc::clone(private)),
        _ => return None,
    };
    Some(FieldDecryption { opener, scheme })
}

impl Grant<EncryptFields> {
    /// The partner's public half.
    pub fn public_key(&self) -> &PublicKey {
        &self.part.key
    }

    /// The scheme of the key's policy.
    pub fn scheme(&self) -> EncryptionScheme {
        self.part.scheme
    }

    /// What the partner calls this version of its key, which the message says beside the fields: the
    /// key's label `serial`; empty where it has none.
    pub fn serial(&self) -> &str {
        let labels = &self.key.header().labels;
        let own = labels
            .iter()
            .find(|(name, _)| name.as_str() == Labels::SERIAL);
        own.map(|(_, text)| text).unwrap_or_default()
    }
}

impl Grant<DecryptFields> {
    /// How to decrypt.
    pub fn opener(&self) -> FieldOpener<'_> {
        match &self.part.opener {
            OpenerPart::Rsa(resident) => FieldOpener::Rsa(resident),
            OpenerPart::Sm2(key) => FieldOpener::Sm2(key.expose_secret()),
        }
    }

    /// The scheme of the key's policy.
    pub fn scheme(&self) -> EncryptionScheme {
        self.part.scheme
    }
}
