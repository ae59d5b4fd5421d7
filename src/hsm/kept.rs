//! Keys that stay on the token beside the master keys: found by class, type, label and `CKA_ID`,
//! their handles remembered for an epoch, destroyed by id. What each may do is said where it is
//! made (`rsa`, `sm2`, `secret_key`, `transport`).

use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};

use crate::hsm::error::Error;
use crate::hsm::profile::Profile;
use crate::hsm::secret_key::SecretKind;
use crate::hsm::session::WorkerSession;
use crate::hsm::sm2;

/// A kind of key, each with a label of its own: one is never found for another.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::hsm) enum Kept {
    /// Signs.
    SigningRsa,
    /// Signs by SM2, in a token that has it.
    SigningSm2,
    /// Opens what a partner wrapped for us.
    TransportRsa,
    /// Protects or derives others.
    Secret(SecretKind),
}

impl Kept {
    /// Its `CKA_LABEL`.
    pub fn label(self) -> Vec<u8> {
        match self {
            Self::SigningRsa => b"pintle-rsa".to_vec(),
            Self::SigningSm2 => b"pintle-sm2".to_vec(),
            Self::TransportRsa => b"pintle-transport".to_vec(),
            Self::Secret(_) => b"pintle-secret".to_vec(),
        }
    }

    /// An SM2 key's type is its maker's number: under a profile that no longer says it the label and the
    /// id find the key all the same, so that it can be destroyed.
    fn template(self, object_id: [u8; 16], profile: &Profile) -> Vec<Attribute> {
        let (class, key_type) = match self {
            Self::SigningRsa | Self::TransportRsa => (ObjectClass::PRIVATE_KEY, Some(KeyType::RSA)),
            Self::SigningSm2 => (ObjectClass::PRIVATE_KEY, sm2::key_type(profile)),
            Self::Secret(kind) => (ObjectClass::SECRET_KEY, Some(kind.key_type())),
        };
        let mut template = vec![
            Attribute::Class(class),
            Attribute::Token(true),
            Attribute::Label(self.label()),
            Attribute::Id(object_id.to_vec()),
        ];
        template.extend(key_type.map(Attribute::KeyType));
        template
    }
}

/// Whether a key of this label is one that this service keeps.
pub(in crate::hsm) fn is_ours(label: &[u8]) -> bool {
    label.starts_with(b"pintle-")
}

/// The key's handle, found once in an epoch.
pub(in crate::hsm) fn handle(
    worker: &WorkerSession,
    kept: Kept,
    object_id: [u8; 16],
) -> Result<ObjectHandle, Error> {
    if let Some(key) = worker.cached(kept, object_id) {
        return Ok(key);
    }
    let found = find(worker, kept, object_id)?;
    let key = *found.first().ok_or(Error::NoSuchKey)?;
    worker.cache(kept, object_id, key);
    Ok(key)
}

/// The key's handle, where no other has its id.
pub(in crate::hsm) fn only(
    worker: &WorkerSession,
    kept: Kept,
    object_id: [u8; 16],
) -> Result<ObjectHandle, Error> {
    match find(worker, kept, object_id)?.as_slice() {
        [] => Err(Error::NoSuchKey),
        [key] => Ok(*key),
        [_, _, ..] => Err(Error::KeyExists),
    }
}

/// Whether the token has it.
pub(in crate::hsm) fn has(
    worker: &WorkerSession,
    kept: Kept,
    object_id: [u8; 16],
) -> Result<bool, Error> {
    Ok(!find(worker, kept, object_id)?.is_empty())
}

/// Two keys of one id would be one too many.
pub(in crate::hsm) fn refuse_existing(
    worker: &WorkerSession,
    kept: Kept,
    object_id: [u8; 16],
) -> Result<(), Error> {
    if has(worker, kept, object_id)? {
        return Err(Error::KeyExists);
    }
    Ok(())
}

/// Destroys it.
pub(in crate::hsm) fn destroy(
    worker: &WorkerSession,
    kept: Kept,
    object_id: [u8; 16],
) -> Result<(), Error> {
    worker.forget(kept, object_id);
    let found = find(worker, kept, object_id)?;
    if found.is_empty() {
        return Err(Error::NoSuchKey);
    }
    for key in found {
        worker.session().destroy_object(key)?;
    }
    Ok(())
}

fn find(
    worker: &WorkerSession,
    kept: Kept,
    object_id: [u8; 16],
) -> Result<Vec<ObjectHandle>, Error> {
    let found = worker
        .session()
        .find_objects(&kept.template(object_id, worker.profile()))?;
    // Without a login private objects are not refused but unseen.
    if found.is_empty() && worker.login_is_lost() {
        return Err(Error::login_lost());
    }
    Ok(found)
}
