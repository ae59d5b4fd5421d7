//! A key that was found, authenticated and opened. It shows what is public about it; its material
//! is for `keys::grant` alone.
//!
//! ```compile_fail,E0624
//! fn steal(key: &pintle::keys::open_key::OpenKey) {
//!     key.material();
//! }
//! ```
//! ```compile_fail,E0616
//! fn steal(key: &pintle::keys::open_key::OpenKey) {
//!     let _ = &key.material;
//! }
//! ```
//! ```compile_fail,E0603
//! use pintle::keys::material::Material;
//! ```

use std::sync::Arc;

use crate::domain::{certificate, rsa, sm2};
use crate::keys::attributes::{Algorithm, Residence};
use crate::keys::material::Material;
use crate::keys::policy::{OperationSet, operations};
use crate::keys::record::Header;

/// An open key. Useless without a [`crate::keys::grant::Grant`].
pub struct OpenKey {
    header: Arc<Header>,
    key_use: KeyUse,
    operations: OperationSet,
    public_key: Option<Arc<PublicKey>>,
    material: Material,
    until: u64,
}

impl OpenKey {
    /// Takes an authenticated header with its material; none where the public half is no key of the
    /// header's algorithm.
    pub(in crate::keys) fn new(header: Header, material: Material) -> Option<Self> {
        let public_key = match &header.public_key {
            Some(info) => Some(Arc::new(PublicKey::read(header.algorithm, info)?)),
            None => None,
        };
        let key_use = KeyUse {
            name: header.name.to_string(),
            version: header.version,
            residence: header.residence,
            block: None,
        };
        let operations = operations(header.usage, header.mode, header.side, header.algorithm);
        Some(Self {
            header: Arc::new(header),
            key_use,
            operations,
            public_key,
            material,
            until: u64::MAX,
        })
    }

    /// Notes that the key came in a block of this hash, under the key that its header names.
    pub(in crate::keys) fn in_block(mut self, hash: [u8; 8]) -> Self {
        self.key_use.block = Some(hash);
        self
    }

    /// What this key derives for one call: all that is said of this key holds for it, but that it is
    /// clear in this process.
    pub(in crate::keys) fn deriving(&self, material: Material) -> Self {
        Self {
            header: Arc::clone(&self.header),
            key_use: KeyUse {
                residence: Residence::Process,
                ..self.key_use.clone()
            },
            operations: self.operations,
            public_key: None,
            material,
            until: self.until,
        }
    }

    /// Whether it was derived for one transaction of a device, and so faces a terminal.
    pub fn is_derived(&self) -> bool {
        matches!(self.material, Material::Transaction(_))
    }

    /// The same, to be found anew from a moment on, seconds since 1970.
    pub(in crate::keys) fn holding_until(self, until: u64) -> Self {
        Self { until, ..self }
    }

    /// When it must be found anew, seconds since 1970.
    pub(in crate::keys) const fn holds_until(&self) -> u64 {
        self.until
    }

    /// What the sealed record says of the key.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// Which key, and where it is clear.
    pub fn key_use(&self) -> &KeyUse {
        &self.key_use
    }

    /// The public half of a key pair.
    pub(in crate::keys) fn public_key(&self) -> Option<&Arc<PublicKey>> {
        self.public_key.as_ref()
    }

    /// What the usage table grants to a key of this kind.
    pub(in crate::keys) fn operations(&self) -> OperationSet {
        self.operations
    }

    /// The key itself, for `keys::grant`.
    pub(in crate::keys) fn material(&self) -> &Material {
        &self.material
    }
}

/// Which key answered, and where it was clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyUse {
    /// The key's name.
    pub name: String,
    /// Its version.
    pub version: u32,
    /// Where the clear key was.
    pub residence: Residence,
    /// The beginning of the hash of the key block that the caller brought; name and version are then
    /// those of the key that opened it.
    pub block: Option<[u8; 8]>,
}

impl KeyUse {
    /// The key's name in the journal.
    pub fn audit_name(&self) -> String {
        match self.block {
            None => self.name.clone(),
            Some(hash) => format!("{}/{}", self.name, hex::encode(hash)),
        }
    }
}

/// The public half of a key pair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PublicKey {
    /// For RSASSA-PKCS1-v1_5.
    Rsa(rsa::PublicKey),
    /// For SM2.
    Sm2(sm2::PublicKey),
}

impl From<certificate::PublicKey> for PublicKey {
    fn from(key: certificate::PublicKey) -> Self {
        match key {
            certificate::PublicKey::Rsa(key) => Self::Rsa(key),
            certificate::PublicKey::Sm2(key) => Self::Sm2(key),
        }
    }
}

impl PublicKey {
    fn read(algorithm: Algorithm, info: &[u8]) -> Option<Self> {
        match algorithm {
            Algorithm::Sm2 => sm2::PublicKey::from_spki(info).ok().map(Self::Sm2),
            _ => rsa::PublicKey::from_spki(info).ok().map(Self::Rsa),
        }
    }
}
