//! RSA signing keys by the thousand: made in the token or brought in, taken out under the master
//! key `wrap` (RFC 5649) and kept by the caller; in the token only while in use, as sensitive
//! session objects that sign and nothing else, which the pinned template of `wrap` sees to.
//!
//! The session objects belong to one session of their own, the keeper's: they outlive workers, are
//! shared by them, and all end with it when an epoch does, since the number of a handle means
//! nothing after that. A hit takes no session but the worker's; misses come one at a time. A handle
//! that went away behind our back is opened again, once.
//! Does not verify its signatures: the operation that releases one does.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use cryptoki::object::{Attribute, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use sha2::{Digest, Sha256};

use crate::hsm::Function;
use crate::hsm::error::{Class, Error, SessionLeft};
use crate::hsm::lru::Lru;
use crate::hsm::master::{self, MasterKey};
use crate::hsm::mechanism::Allowed;
use crate::hsm::pool::{Job, Retry};
use crate::hsm::session::{Epoch, OwnSession, WorkerSession};
use crate::hsm::{RsaHash, RsaPublic, Token, carrier, rsa, seal};
use crate::limits;
use crate::secret::Secret;

/// A signing key as it came from under `wrap`: nothing outside that token opens it. Clones share
/// the bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrapped {
    bytes: Arc<[u8]>,
    id: [u8; 32],
}

impl Wrapped {
    /// What was stored.
    pub fn new(bytes: &[u8]) -> Self {
        Self {
            bytes: bytes.into(),
            id: Sha256::digest(bytes).into(),
        }
    }

    /// What to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    fn check(&self) -> Result<(), Error> {
        match self.bytes.len() {
            bytes if bytes > limits::WRAPPED_BYTES_MAX => Err(Error::TooLong),
            // RFC 5649: two blocks of eight at least.
            bytes if bytes < 16 || !bytes.is_multiple_of(8) => Err(Error::NotAuthentic),
            _ => Ok(()),
        }
    }
}

impl Token {
    /// Makes an RSA signing key of 2048, 3072 or 4096 bits in the token and takes it out wrapped.
    pub fn generate_wrapped_rsa(&self, deadline: Instant, bits: u32) -> Job<(RsaPublic, Wrapped)> {
        if let Err(error) = rsa::check_bits(bits) {
            return Job::refused(error);
        }
        let make = move |worker: &_| generate(worker, bits);
        self.asymmetric(Function::GenerateWrappedRsa, deadline, Retry::Once, make)
    }

    /// Wraps an RSA signing key that comes as unencrypted PKCS #8 DER; none of it stays in the
    /// token.
    pub fn import_wrapped_rsa(
        &self,
        deadline: Instant,
        pkcs8: Secret<Vec<u8>>,
    ) -> Job<(RsaPublic, Wrapped)> {
        if let Err(error) = rsa::check_pkcs8(&pkcs8) {
            return Job::refused(error);
        }
        let bring = move |worker: &_| import(worker, &pkcs8);
        self.asymmetric(Function::ImportWrappedRsa, deadline, Retry::Once, bring)
    }

    /// An RSASSA-PKCS1-v1_5 signature under a wrapped key, not yet verified;
    /// [`Error::NotAuthentic`] for what this token's `wrap` did not wrap.
    pub fn sign_wrapped_rsa(
        &self,
        deadline: Instant,
        wrapped: Wrapped,
        hash: RsaHash,
        message: Vec<u8>,
    ) -> Job<Vec<u8>> {
        if message.len() > limits::MESSAGE_BYTES_MAX {
            return Job::refused(Error::TooLong);
        }
        if let Err(error) = wrapped.check() {
            return Job::refused(error);
        }
        let sign = move |worker: &_| sign(worker, &wrapped, hash, &message);
        self.asymmetric(Function::SignWrappedRsa, deadline, Retry::Once, sign)
    }
}

/// The wrapped keys that are open in the token.
pub(in crate::hsm) struct Keeper {
    // Locked for the time of a miss; before `opened` where both are.
    session: Mutex<Option<OwnSession>>,
    opened: Mutex<Opened>,
}

struct Opened {
    epoch: Option<Epoch>,
    handles: Lru<[u8; 32], ObjectHandle>,
    // The one that was last to be opened, whether it could or not.
    latest: Option<Wrapped>,
}

impl Keeper {
    /// None open, no session yet.
    pub fn new() -> Self {
        Self::after(None)
    }

    /// One in the place of another.
    pub fn instead_of(other: &Self) -> Self {
        Self::after(other.opened().latest.clone())
    }

    fn after(latest: Option<Wrapped>) -> Self {
        Self {
            session: Mutex::new(None),
            opened: Mutex::new(Opened {
                epoch: None,
                handles: Lru::new(limits::WRAPPED_KEYS_OPEN_MAX),
                latest,
            }),
        }
    }

    fn opened(&self) -> MutexGuard<'_, Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn cached(&self, epoch: Epoch, id: &[u8; 32]) -> Option<ObjectHandle> {
        let mut opened = self.opened();
        if opened.epoch != Some(epoch) {
            return None;
        }
        opened.handles.get(id)
    }

    /// Starts anew in an epoch: closing the session ends every object it made.
    fn start(&self, epoch: Epoch) {
        let mut opened = self.opened();
        opened.epoch = Some(epoch);
        opened.handles.clear();
    }
}

/// Opens the key that was last to be opened: a token that hangs in that alone does all else well.
///
/// # Errors
/// What the token met.
pub(in crate::hsm) fn probe(worker: &WorkerSession) -> Result<(), Error> {
    let latest = worker.keeper().opened().latest.clone();
    match latest.map(|wrapped| handle(worker, &wrapped)) {
        // What cannot be opened is no fault of the token's.
        None | Some(Ok(_) | Err(Error::NotAuthentic)) => Ok(()),
        Some(Err(error)) => Err(error),
    }
}

fn sign(
    worker: &WorkerSession,
    wrapped: &Wrapped,
    hash: RsaHash,
    message: &[u8],
) -> Result<Vec<u8>, Error> {
    let key = handle(worker, wrapped)?;
    match rsa::sign_with(worker, key, hash, message) {
        Err(error) if error.class() == Class::Object => {
            // The object ended without our doing: its number is not for us to destroy. Another
            // worker may have met the same and opened the key anew: that one stays.
            let keeper = worker.keeper();
            keeper
                .opened()
                .handles
                .remove_if(&wrapped.id, |ended| ended == key);
            rsa::sign_with(worker, handle(worker, wrapped)?, hash, message)
        }
        other => other,
    }
}

/// The key's session object, opened if it is not.
fn handle(worker: &WorkerSession, wrapped: &Wrapped) -> Result<ObjectHandle, Error> {
    let keeper = worker.keeper();
    if let Some(key) = keeper.cached(worker.epoch_now(), &wrapped.id) {
        return Ok(key);
    }
    let mut session = keeper
        .session
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let epoch = worker.epoch_now();
    // Another worker may have opened it meanwhile.
    if let Some(key) = keeper.cached(epoch, &wrapped.id) {
        return Ok(key);
    }
    if keeper.opened().epoch != Some(epoch) {
        *session = None;
        keeper.start(epoch);
    }
    keeper.opened().latest = Some(wrapped.clone());
    let opened = unwrap_in(worker, &mut session, wrapped);
    let key = match opened {
        // The keeper's session is broken, not the worker's: its like is opened here.
        Err(error) if error.session_left() != SessionLeft::Usable => {
            if let Some(mut broken) = session.take()
                && error.session_left() == SessionLeft::Gone
            {
                broken.mark_dead();
            }
            keeper.start(epoch);
            unwrap_in(worker, &mut session, wrapped)?
        }
        other => other?,
    };
    let evicted = keeper.opened().handles.insert(wrapped.id, key);
    if let (Some(evicted), Some(own)) = (evicted, session.as_ref()) {
        // Should this fail, it ends with the session.
        let _ = own.session.destroy_object(evicted);
    }
    Ok(key)
}

fn unwrap_in(
    worker: &WorkerSession,
    session: &mut Option<OwnSession>,
    wrapped: &Wrapped,
) -> Result<ObjectHandle, Error> {
    let own = match session {
        Some(own) => own,
        empty => empty.insert(worker.another_session()?),
    };
    let mechanism = worker.profile().kwp.plain();
    let wrap = worker.master(MasterKey::Wrap);
    let template = signing_template();
    let unwrapped = own
        .session
        .unwrap_key(&mechanism, wrap, wrapped.as_bytes(), &template)
        .map_err(Error::from);
    match unwrapped {
        Err(Error::Call(fault)) if fault.blames_ciphertext() => Err(Error::NotAuthentic),
        // SoftHSM says GENERAL_ERROR of a tampered blob, kryoptic DEVICE_ERROR; of a broken token
        // they say the same.
        Err(error) if error.is_vague() && seal::probe(worker).is_ok() => Err(Error::NotAuthentic),
        other => other,
    }
}

fn generate(worker: &WorkerSession, bits: u32) -> Result<(RsaPublic, Wrapped), Error> {
    let session = worker.session();
    let (public, private) = session.generate_key_pair(
        &Allowed::RsaKeyPairGen.plain(),
        &rsa::public_template(bits),
        &leaving_template(),
    )?;
    // Its numbers are read from what is opened again.
    let _ = session.destroy_object(public);
    take_out(worker, private)
}

fn import(worker: &WorkerSession, pkcs8: &Secret<Vec<u8>>) -> Result<(RsaPublic, Wrapped), Error> {
    let mut template = vec![
        Attribute::Class(ObjectClass::PRIVATE_KEY),
        Attribute::KeyType(KeyType::RSA),
    ];
    template.extend(leaving_template());
    let private = carrier::bring(worker, pkcs8, &template)?;
    take_out(worker, private)
}

/// Wraps the session object and destroys it; what is answered has been opened again.
fn take_out(worker: &WorkerSession, private: ObjectHandle) -> Result<(RsaPublic, Wrapped), Error> {
    let session = worker.session();
    let wrapped = wrap(worker, session, private);
    let destroyed = session.destroy_object(private);
    let wrapped = wrapped?;
    destroyed?;
    let opened = handle(worker, &wrapped)?;
    let public = rsa::inspect(session, opened)?;
    Ok((public, wrapped))
}

fn wrap(
    worker: &WorkerSession,
    session: &Session,
    private: ObjectHandle,
) -> Result<Wrapped, Error> {
    let bytes = worker.loaded().calls.wrap_key(
        session,
        worker.profile().kwp.raw(),
        worker.master(MasterKey::Wrap),
        private,
        limits::WRAPPED_BYTES_MAX,
    )?;
    Ok(Wrapped::new(&bytes))
}

/// A key on its way out: it does nothing, and lives for one call.
fn leaving_template() -> Vec<Attribute> {
    vec![
        Attribute::Token(false),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(true),
        Attribute::Copyable(false),
        Attribute::Sign(false),
        Attribute::Decrypt(false),
        Attribute::Unwrap(false),
        Attribute::Derive(false),
        Attribute::Label(b"pintle-leaving".to_vec()),
        // Last: see `rsa`.
        Attribute::Modifiable(false),
    ]
}

/// A key in use: what `wrap` pins, said as SoftHSM wants it, and that it signs.
fn signing_template() -> Vec<Attribute> {
    let mut template = vec![
        Attribute::KeyType(KeyType::RSA),
        Attribute::Sign(true),
        Attribute::Label(b"pintle-wrapped".to_vec()),
    ];
    // Ends with CKA_MODIFIABLE: see `rsa`.
    template.extend(master::pinned());
    template
}
