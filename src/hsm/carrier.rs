//! How a clear value gets into the token: wrapped here under an ephemeral key by RFC 5649 and
//! unwrapped there, since many tokens refuse C_CreateObject with a value. The ephemeral key is a
//! session object, made and destroyed by the call.

use aes_kw::KeyInit;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroize;

use crate::hsm::error::Error;
use crate::hsm::mechanism::Allowed;
use crate::hsm::session::WorkerSession;
use crate::secret::Secret;

/// Brings a value in as an object of this template (which says class and type); what came of it is
/// the caller's to check.
pub(in crate::hsm) fn bring(
    worker: &WorkerSession,
    value: &Secret<Vec<u8>>,
    template: &[Attribute],
) -> Result<ObjectHandle, Error> {
    let session = worker.session();
    let mut kek = Secret::new([0u8; 32]);
    session.generate_random_slice(kek.expose_secret_mut())?;
    let wrapped = wrap(&kek, value)?;

    let kek = create_kek(session, worker.profile().kwp, &kek)?;
    let kwp: Mechanism<'static> = worker.profile().kwp.plain();
    let unwrapped = session.unwrap_key(&kwp, kek, wrapped.expose_secret(), template);
    // A session object: should this fail, it ends with the session.
    let _ = session.destroy_object(kek);
    Ok(unwrapped?)
}

/// A session object that can unwrap and nothing else.
fn create_kek(
    session: &Session,
    kwp: Allowed,
    value: &Secret<[u8; 32]>,
) -> Result<ObjectHandle, Error> {
    let mut template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Unwrap(true),
        Attribute::Wrap(false),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Sign(false),
        Attribute::Verify(false),
        Attribute::Derive(false),
        Attribute::AllowedMechanisms(vec![kwp.as_type()]),
        Attribute::Value(value.expose_secret().to_vec()),
    ];
    let created = session.create_object(&template);
    for attribute in &mut template {
        if let Attribute::Value(value) = attribute {
            value.zeroize();
        }
    }
    Ok(created?)
}

fn wrap(kek: &Secret<[u8; 32]>, value: &Secret<Vec<u8>>) -> Result<Secret<Vec<u8>>, Error> {
    let cipher =
        aes_kw::KwpAes256::new_from_slice(kek.expose_secret()).map_err(|_| Error::TooLong)?;
    // RFC 5649 §4.1: padded to eight bytes, one block of eight before.
    let length = value.expose_secret().len().next_multiple_of(8) + 8;
    let mut wrapped = Secret::new(vec![0; length]);
    cipher
        .wrap_key(value.expose_secret(), wrapped.expose_secret_mut())
        .map_err(|_| Error::TooLong)?;
    Ok(wrapped)
}
