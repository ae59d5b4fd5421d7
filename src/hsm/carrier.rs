//! How a clear value gets into the token: wrapped here under an ephemeral key by RFC 5649 and
//! unwrapped there, since many tokens refuse C_CreateObject with a value. The ephemeral key is a
//! session object, made and destroyed by the call.

use aes_kw::KeyInit;
use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroize;

use crate::hsm::error::Error;
use crate::hsm::mechanism::Allowed;
use crate::hsm::session::WorkerSession;
use crate::hsm::trial::Bench;
use crate::secret::Secret;

/// Brings a value in as an object of this template (which says class and type); what came of it is
/// the caller's to check.
pub(in crate::hsm) fn bring(
    worker: &WorkerSession,
    value: &Secret<Vec<u8>>,
    template: &[Attribute],
) -> Result<ObjectHandle, Error> {
    let bench = Bench {
        session: worker.session(),
        calls: &worker.loaded().calls,
        profile: worker.profile(),
    };
    bring_by(&bench, worker.profile().kwp, value, template)
}

/// The same in a session of no worker's, by one number for RFC 5649.
pub(in crate::hsm) fn bring_by(
    bench: &Bench<'_>,
    kwp: Allowed,
    value: &Secret<Vec<u8>>,
    template: &[Attribute],
) -> Result<ObjectHandle, Error> {
    let session = bench.session;
    let mut kek = Secret::new([0u8; 32]);
    session.generate_random_slice(kek.expose_secret_mut())?;
    let wrapped = wrap(&kek, value)?;

    let mut template = template.to_vec();
    let secret = template.contains(&Attribute::Class(ObjectClass::SECRET_KEY));
    if secret && bench.profile.wants_value_len() {
        let bytes = u64::try_from(value.expose_secret().len()).map_err(|_| Error::TooLong)?;
        // Before CKA_MODIFIABLE: see `rsa`.
        template.insert(0, Attribute::ValueLen(bytes.into()));
    }
    let kek = create_kek(session, kwp, &kek, Way::In)?;
    let unwrapped = session.unwrap_key(&kwp.plain(), kek, wrapped.expose_secret(), &template);
    // A session object: should this fail, it ends with the session.
    let _ = session.destroy_object(kek);
    Ok(unwrapped?)
}
/// Which way an ephemeral key carries.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::hsm) enum Way {
    /// It unwraps.
    In,
    /// It wraps.
    Out,
}

/// A session object that carries one way and does nothing else.
pub(in crate::hsm) fn create_kek(
    session: &Session,
    kwp: Allowed,
    value: &Secret<[u8; 32]>,
    way: Way,
) -> Result<ObjectHandle, Error> {
    let mut template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(KeyType::AES),
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Unwrap(way == Way::In),
        Attribute::Wrap(way == Way::Out),
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

/// What was wrapped there, unwrapped here; `None` where it is not RFC 5649 under this key.
pub(in crate::hsm) fn unwrap(kek: &Secret<[u8; 32]>, wrapped: &[u8]) -> Option<Secret<Vec<u8>>> {
    let cipher = aes_kw::KwpAes256::new_from_slice(kek.expose_secret()).ok()?;
    let mut value = Secret::new(vec![0; wrapped.len()]);
    let length = cipher
        .unwrap_key(wrapped, value.expose_secret_mut())
        .ok()?
        .len();
    value.expose_secret_mut().truncate(length);
    Some(value)
}
