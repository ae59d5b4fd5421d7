//! PKCS#11: one module loaded, one token found by label, sessions owned by threads, and the few
//! operations that this service asks of a token. The only place that says cryptoki.
//! Deliberately knows nothing of key names, records or policy, and never makes a missing master
//! key: only [`Token::initialize`] does, which only `pintle init` calls.
//!
//! ```text
//! Token        this file: what the layers above may ask
//! pool         threads, bounded queues, deadlines, one retry        → session
//! session      the login (anchor), epochs, handles, recovery        → master
//! seal mac rsa wrapped transport secret_key   the operations themselves, on a worker's session → raw
//! kept carrier              keys on the token: found, and brought in
//! master       the five master keys: templates, making, check       → object
//! slot         finding a token by label, making one, what it says of itself
//! module       one Pkcs11 per module and process                    → embedded
//! mechanism    the allow-list; profile: what of it this token has
//! ```

mod carrier;
#[cfg(feature = "embedded-token")]
mod embedded;
mod error;
mod kept;
mod lru;
mod mac;
mod master;
mod mechanism;
mod module;
mod object;
mod pool;
mod profile;
mod raw;
mod rsa;
mod seal;
mod secret_key;
mod session;
mod slot;
mod transport;
mod wrapped;

use std::sync::Arc;
use std::time::Instant;

use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;

pub use error::{Class, Error, Why};
pub use master::MasterKey;
pub use master::seals::SealKeys;
pub use mechanism::{Allowed, MechanismReport};
pub use module::Module;
pub use object::ObjectReport;
pub use pool::Job;
pub use raw::Direction;
pub use rsa::{RsaHash, RsaPublic};
pub use seal::Sealed;
pub use secret_key::{SecretKind, SecretUse};
pub use session::login_attempts;
pub use slot::{TokenId, TokenInfo};
pub use wrapped::Wrapped;

use crate::hsm::kept::Kept;
use crate::hsm::master::seals;
use crate::hsm::module::{Loaded, Opened};
use crate::hsm::pool::{Pool, Retry};
use crate::hsm::profile::Profile;
use crate::hsm::session::{Held, OwnSession};
use crate::limits;
use crate::secret::Secret;

/// Which token to open, and how.
#[derive(Clone)]
pub struct TokenConfig {
    /// The PKCS#11 module.
    pub module: Module,
    /// `CKA_LABEL` of the token.
    pub label: String,
    /// The user's PIN.
    pub pin: Arc<Secret<String>>,
    /// Workers for all but RSA; SoftHSM wants one, a second halves its rate.
    pub symmetric_workers: usize,
    /// Workers for RSA.
    pub asymmetric_workers: usize,
}

/// An open token. Clones share its sessions; the last one dropped closes them, and waits for calls
/// under way (at most [`limits::DRAIN_MAX`]).
#[derive(Clone)]
pub struct Token(Arc<Open>);

struct Open {
    held: Arc<Held>,
    symmetric: Pool,
    asymmetric: Pool,
    info: TokenInfo,
}

/// How a token stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It works.
    Serving,
    /// It does not, and is looked at again and again.
    Away(Why),
    /// It does not, and a person must see to it.
    Refusing(Why),
}

/// Jobs waiting, by class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolDepth {
    /// All but RSA.
    pub symmetric: usize,
    /// RSA.
    pub asymmetric: usize,
}

/// What [`Token::initialize`] did.
#[derive(Clone, Debug)]
pub struct InitReport {
    /// The token.
    pub token: TokenInfo,
    /// True if the token itself was made, not only its keys.
    pub token_made: bool,
    /// The master keys made.
    pub made: Vec<MasterKey>,
    /// `CKA_ID` of the new `seal`.
    pub seal_key_id: [u8; 16],
}

impl Token {
    /// Opens a token whose master keys exist and are safe.
    ///
    /// # Errors
    /// [`Error::MasterKeyMissing`], [`Error::MasterKeyUnsafe`], [`Error::PinIncorrect`] (never
    /// tried twice), [`Error::TokenMissing`], [`Error::ModuleLoad`], or what the token answered.
    pub fn open(config: &TokenConfig) -> Result<Self, Error> {
        let (opened, slot) = Self::existing(config)?;
        let info = slot::describe(&opened.loaded, slot)?;
        let profile = Profile::read(&opened.loaded.calls, slot)?;
        let pin = Arc::clone(&config.pin);
        let held = Arc::new(Held::open(opened.loaded, profile, slot, pin)?);
        Ok(Self(Arc::new(Open {
            symmetric: Pool::start(
                "sym",
                config.symmetric_workers,
                limits::POOL_BATCH_MAX,
                &held,
            )?,
            asymmetric: Pool::start("asym", config.asymmetric_workers, 1, &held)?,
            held,
            info,
        })))
    }

    /// Makes the master keys, and the token too where `so_pin` is given and it does not exist (the
    /// embedded token always, under an SO PIN that nobody keeps if none is given).
    ///
    /// # Errors
    /// [`Error::MasterKeyExists`] if any is there already, and then nothing is made;
    /// [`Error::TokenNotMade`] if there is no token and none may be made; or what the token
    /// answered, and then the keys made so far are destroyed.
    pub fn initialize(
        config: &TokenConfig,
        so_pin: Option<&Secret<String>>,
    ) -> Result<InitReport, Error> {
        let opened = module::open(&config.module, &config.label, true)?;
        let (slot, token_made) = match slot::find(&opened, &config.label)? {
            Some(slot) => (slot, false),
            None => (slot::make_token(&opened, config, so_pin)?, true),
        };
        let loaded = &opened.loaded;
        let profile = Profile::read(&loaded.calls, slot)?;
        let own = OwnSession::open(loaded, slot)?;
        session::log_in(&own.session, UserType::User, &config.pin)?;
        master::refuse_existing(&own.session)?;
        master::make_all(&own.session, loaded, &profile)?;
        let masters = master::check_all(&own.session, loaded, &profile)?;
        Ok(InitReport {
            token: slot::describe(loaded, slot)?,
            token_made,
            made: MasterKey::ALL.to_vec(),
            seal_key_id: masters.seals.current().id,
        })
    }

    /// Makes the next `seal` key: by the same template, current from now on; the others stay to
    /// open what they sealed. For a command only, never for a running server, which follows.
    ///
    /// # Errors
    /// [`Error::SealKeysFull`], what [`Token::open`] may answer, or what the token answered, and
    /// then nothing is made.
    pub fn make_next_seal(config: &TokenConfig) -> Result<SealKeys, Error> {
        Self::as_ceremony(config, seals::make_next)
    }

    /// Destroys a `seal` key that no longer seals: nothing that it sealed opens again, here or
    /// in a restored store. For a command only, once every record is sealed anew and every server
    /// follows.
    ///
    /// # Errors
    /// [`Error::SealKeyCurrent`], [`Error::SealKeyUnknown`], or what [`Token::open`] may answer.
    pub fn destroy_old_seal(config: &TokenConfig, id: [u8; 16]) -> Result<SealKeys, Error> {
        Self::as_ceremony(config, |session, loaded, profile| {
            seals::destroy_old(session, loaded, profile, &id)
        })
    }

    /// On a token whose master keys exist and are safe, in a session of its own.
    fn as_ceremony<T>(
        config: &TokenConfig,
        act: impl FnOnce(&Session, &Loaded, &Profile) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let (opened, slot) = Self::existing(config)?;
        let loaded = &opened.loaded;
        let profile = Profile::read(&loaded.calls, slot)?;
        let own = OwnSession::open(loaded, slot)?;
        session::log_in(&own.session, UserType::User, &config.pin)?;
        master::check_all(&own.session, loaded, &profile)?;
        act(&own.session, loaded, &profile)
    }

    fn existing(config: &TokenConfig) -> Result<(Opened, Slot), Error> {
        let opened = module::open(&config.module, &config.label, false)?;
        let slot = slot::find(&opened, &config.label)?.ok_or_else(|| Error::TokenMissing {
            label: config.label.clone(),
        })?;
        Ok((opened, slot))
    }

    /// What the token says of itself.
    pub fn info(&self) -> &TokenInfo {
        &self.0.info
    }

    /// The token's stable name.
    pub fn id(&self) -> TokenId {
        self.0.info.id()
    }

    /// `CKA_ID` of the `seal` key that seals, as far as this process knows.
    pub fn seal_key_id(&self) -> [u8; 16] {
        self.seal_keys().current
    }

    /// The `seal` keys, as far as this process knows.
    pub fn seal_keys(&self) -> SealKeys {
        self.0.held.seal_keys()
    }

    /// Looks on the token for the `seal` keys that are there by now, and seals under the newest
    /// from then on.
    pub fn follow_seal_keys(&self, deadline: Instant) -> Job<SealKeys> {
        self.symmetric(deadline, |worker| worker.follow_seals())
    }

    /// Jobs waiting now.
    pub fn pool_depth(&self) -> PoolDepth {
        PoolDepth {
            symmetric: self.0.symmetric.depth(),
            asymmetric: self.0.asymmetric.depth(),
        }
    }

    /// How it stands now. While it does not serve, every job is refused at once.
    pub fn standing(&self) -> Standing {
        Standing::Serving
    }

    /// Symmetric jobs waiting and under way.
    pub fn load(&self) -> usize {
        self.0.symmetric.depth()
    }

    /// The allow-list of mechanisms, and which of it this token lists.
    pub fn mechanisms(&self) -> &[MechanismReport] {
        &self.0.held.profile.mechanisms
    }

    /// Random bytes from the token's generator, at most [`limits::RANDOM_BYTES_MAX`].
    pub fn random(&self, deadline: Instant, len: usize) -> Job<Vec<u8>> {
        if len > limits::RANDOM_BYTES_MAX {
            return Job::refused(Error::TooLong);
        }
        self.symmetric(deadline, move |worker| {
            let mut bytes = vec![0; len];
            worker.session().generate_random_slice(&mut bytes)?;
            Ok(bytes)
        })
    }

    /// Seals at most [`limits::SEALED_BYTES_MAX`] bytes under the current `seal` key, bound to
    /// `aad`.
    pub fn seal(&self, deadline: Instant, aad: Vec<u8>, plain: Secret<Vec<u8>>) -> Job<Sealed> {
        if plain.expose_secret().len() > limits::SEALED_BYTES_MAX {
            return Job::refused(Error::TooLong);
        }
        self.symmetric(deadline, move |worker| seal::seal(worker, &aad, &plain))
    }

    /// Opens what [`Token::seal`] sealed with the same `aad`, under the `seal` key it names;
    /// [`Error::NotAuthentic`] for anything else, [`Error::SealKeyUnknown`] where the token has no
    /// such key, also when asked again.
    pub fn unseal(&self, deadline: Instant, aad: Vec<u8>, sealed: Sealed) -> Job<Secret<Vec<u8>>> {
        if let Err(error) = seal::check_sealed(&sealed) {
            return Job::refused(error);
        }
        self.symmetric(deadline, move |worker| seal::unseal(worker, &aad, &sealed))
    }

    /// Makes an RSA signing key of 2048, 3072 or 4096 bits in the token. Not retried.
    pub fn generate_rsa(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        bits: u32,
    ) -> Job<RsaPublic> {
        if let Err(error) = rsa::check_bits(bits) {
            return Job::refused(error);
        }
        let make = move |worker: &_| rsa::generate(worker, object_id, bits);
        self.0.asymmetric.submit(deadline, Retry::Never, make)
    }

    /// Brings an RSA signing key in as unencrypted PKCS #8 DER. Not retried.
    pub fn import_rsa(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        pkcs8: Secret<Vec<u8>>,
    ) -> Job<RsaPublic> {
        if let Err(error) = rsa::check_pkcs8(&pkcs8) {
            return Job::refused(error);
        }
        let bring = move |worker: &_| rsa::import(worker, object_id, &pkcs8);
        self.0.asymmetric.submit(deadline, Retry::Never, bring)
    }

    /// An RSASSA-PKCS1-v1_5 signature, not yet verified.
    pub fn sign_rsa(
        &self,
        deadline: Instant,
        object_id: [u8; 16],
        hash: RsaHash,
        message: Vec<u8>,
    ) -> Job<Vec<u8>> {
        if message.len() > limits::MESSAGE_BYTES_MAX {
            return Job::refused(Error::TooLong);
        }
        let sign = move |worker: &_| rsa::sign(worker, object_id, hash, &message);
        self.0.asymmetric.submit(deadline, Retry::Once, sign)
    }

    /// Destroys an RSA key; [`Error::NoSuchKey`] if it is not there. Not retried.
    pub fn destroy_rsa(&self, deadline: Instant, object_id: [u8; 16]) -> Job<()> {
        let destroy = move |worker: &_| kept::destroy(worker, Kept::SigningRsa, object_id);
        self.0.asymmetric.submit(deadline, Retry::Never, destroy)
    }

    /// Whether the token has an RSA key of this id.
    pub fn has_rsa(&self, deadline: Instant, object_id: [u8; 16]) -> Job<bool> {
        let has = move |worker: &_| kept::has(worker, Kept::SigningRsa, object_id);
        self.0.asymmetric.submit(deadline, Retry::Once, has)
    }

    /// A real seal and open under `seal`: what readiness means.
    pub fn probe(&self, deadline: Instant) -> Job<()> {
        self.symmetric(deadline, seal::probe)
    }

    /// The attributes of every key on the token.
    pub fn key_report(&self, deadline: Instant) -> Job<Vec<ObjectReport>> {
        self.symmetric(deadline, |worker| object::report(worker.session()))
    }

    fn offers(&self, mechanisms: &[Allowed]) -> Result<(), Error> {
        let profile = &self.0.held.profile;
        mechanisms
            .iter()
            .try_for_each(|mechanism| profile.offers(*mechanism))
    }

    fn symmetric<T, F>(&self, deadline: Instant, job: F) -> Job<T>
    where
        T: Send + 'static,
        F: FnMut(&session::WorkerSession) -> Result<T, Error> + Send + 'static,
    {
        self.0.symmetric.submit(deadline, Retry::Once, job)
    }
}
