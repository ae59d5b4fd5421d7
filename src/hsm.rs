//! PKCS#11: one module loaded, one token found by label, sessions owned by threads, and the few
//! operations that this service asks of a token. The only place that says cryptoki.
//! Deliberately knows nothing of key names, records or policy, and never makes a missing master
//! key: only [`Token::initialize`] does, which only `pintle init` calls.
//!
//! ```text
//! Token        this file: what the layers above may ask
//! works        two pools, the breaker, the supervisor that mends     → worker, stats
//! worker       a thread's jobs: run, cured once, or the breaker opened → session
//! pool         threads that own sessions, deadlines, writing off     → queue, desk
//! session      the login (anchor), epochs, handles, recovery        → master
//! gate queue desk breaker   the core: locks only, checked by a scheduler in tests/shuttle → sync
//! seal mac rsa sm2 wrapped transport sensitive_field secret_key   the operations themselves, on a worker's session → raw
//! kept carrier              keys on the token: found, and brought in
//! master       the five master keys: templates, making, check       → object
//! slot         finding a token by label, making one, what it says of itself
//! module       one Pkcs11 per module and process                    → embedded
//! mechanism    the allow-list; profile: what of it this token has, and its make's numbers
//! trial        each mechanism tried; scan: each key's template judged
//! ```

mod breaker;
mod carrier;
mod desk;
#[cfg(feature = "embedded-token")]
mod embedded;
mod error;
mod function;
mod gate;
mod kept;
mod lru;
mod mac;
mod master;
mod mechanism;
mod module;
mod object;
mod pool;
mod profile;
mod queue;
mod raw;
mod rsa;
mod scan;
mod seal;
mod secret_key;
mod sensitive_field;
mod session;
mod slot;
mod sm2;
mod stats;
mod sync;
mod transport;
mod trial;
mod worker;
mod works;
mod wrapped;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;

pub use breaker::BreakerState;
pub use error::{Class, Error, Why};
pub use function::Function;
pub use master::MasterKey;
pub use master::seals::SealKeys;
pub use mechanism::{Allowed, MechanismReport, SmMechanism, SmReport};
pub use module::Module;
pub use object::ObjectReport;
pub use pool::Job;
pub use profile::ProfileChoice;
pub use raw::Direction;
pub use rsa::{RsaHash, RsaPublic};
pub use scan::UnsafeKey;
pub use seal::Sealed;
pub use secret_key::{SecretKind, SecretUse};
pub use session::{Epoch, login_attempts};
pub use slot::{TokenId, TokenInfo};
pub use stats::write_series;
pub use trial::Trial;
pub use works::Standing;
pub use wrapped::Wrapped;

use crate::hsm::kept::Kept;
use crate::hsm::master::seals;
use crate::hsm::module::{Loaded, Opened};
use crate::hsm::pool::Retry;
use crate::hsm::profile::Profile;
use crate::hsm::session::{Held, Identity, OwnSession, WorkerSession};
use crate::hsm::stats::{Fault, PoolClass};
use crate::hsm::trial::{Bench, Extent};
use crate::hsm::works::Works;
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
    /// A call that takes longer hangs ([`limits::TOKEN_CALL_TIMEOUT`], unless the network is slow).
    pub call_timeout: Duration,
    /// The profile of its make; `None` for what its manufacturer string says.
    pub profile: Option<ProfileChoice>,
}

/// An open token. Clones share its sessions; the last one dropped closes them, and waits for calls
/// under way (at most [`limits::DRAIN_MAX`]).
#[derive(Clone)]
pub struct Token(Arc<Open>);

struct Open {
    works: Arc<Works>,
    supervisor: Option<JoinHandle<()>>,
    info: TokenInfo,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.works.stop();
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
    }
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
        let profile = Profile::read(&opened.loaded, slot, config.profile.as_ref())?;
        let identity = Identity {
            module: opened.module,
            label: config.label.clone(),
            id: info.id(),
            pin: Arc::clone(&config.pin),
        };
        let loaded = opened.loaded;
        let pass = loaded.enter()?;
        let held = Held::open(Arc::clone(&loaded), &pass, profile, slot, identity)?;
        drop(pass);
        let workers = [config.symmetric_workers, config.asymmetric_workers];
        let works = Works::start(Arc::new(held), &config.label, workers, config.call_timeout)?;
        Ok(Self(Arc::new(Open {
            works: works.0,
            supervisor: Some(works.1),
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
        let profile = Profile::read(loaded, slot, config.profile.as_ref())?;
        let pass = loaded.enter()?;
        let own = OwnSession::open(loaded, slot, pass.era())?;
        session::log_in(&own.session, UserType::User, &config.pin)?;
        master::refuse_existing(&own.session, &loaded.calls)?;
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
        let profile = Profile::read(loaded, slot, config.profile.as_ref())?;
        let pass = loaded.enter()?;
        let own = OwnSession::open(loaded, slot, pass.era())?;
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
        self.0.works.held.seal_keys()
    }

    /// Looks on the token for the `seal` keys that are there by now, and seals under the newest
    /// from then on.
    pub fn follow_seal_keys(&self, deadline: Instant) -> Job<SealKeys> {
        let follow = |worker: &WorkerSession| worker.follow_seals();
        self.symmetric(Function::FollowSeals, deadline, Retry::Once, follow)
    }

    /// Jobs waiting now.
    pub fn pool_depth(&self) -> PoolDepth {
        PoolDepth {
            symmetric: self.0.works.pool(PoolClass::Symmetric).depth(),
            asymmetric: self.0.works.pool(PoolClass::Asymmetric).depth(),
        }
    }

    /// How it stands now. While it does not serve, every job is refused at once.
    pub fn standing(&self) -> Standing {
        self.0.works.standing()
    }

    /// Symmetric jobs waiting and under way.
    pub fn load(&self) -> usize {
        self.0.works.pool(PoolClass::Symmetric).load()
    }

    /// The epoch now: how often its module was initialised, and how often it was logged in to.
    pub fn epoch(&self) -> Epoch {
        self.0.works.held.epoch()
    }

    /// Where its breaker stands.
    pub fn breaker(&self) -> BreakerState {
        self.0.works.breaker.state()
    }

    /// Threads that hang in a call to it.
    pub fn workers_lost(&self) -> usize {
        self.0.works.lost()
    }

    /// Every key that stays on the token and has an unsafe template, once for each rule it breaks:
    /// also where [`Token::open`] refuses the token for them.
    ///
    /// # Errors
    /// What [`Token::open`] may answer before it looks at any key.
    pub fn unsafe_keys(config: &TokenConfig) -> Result<Vec<UnsafeKey>, Error> {
        let (opened, slot) = Self::existing(config)?;
        let loaded = &opened.loaded;
        let profile = Profile::read(loaded, slot, config.profile.as_ref())?;
        let pass = loaded.enter()?;
        let own = OwnSession::open(loaded, slot, pass.era())?;
        session::log_in(&own.session, UserType::User, &config.pin)?;
        scan::findings(&own.session, &loaded.calls, &profile)
    }

    /// Tries every mechanism that the token lists, those too that take RSA keys to be made, and
    /// those whose numbers are its maker's.
    pub fn try_mechanisms(&self, deadline: Instant) -> Job<(Vec<MechanismReport>, Vec<SmReport>)> {
        self.asymmetric(Function::Trial, deadline, Retry::Once, |worker| {
            let own = worker.another_session()?;
            let bench = Bench {
                session: &own.session,
                calls: &worker.loaded().calls,
                profile: worker.profile(),
            };
            Ok((bench.mechanisms(Extent::Whole)?, bench.sm()?))
        })
    }

    /// The profile of its make, as (name, source), and the symmetric workers that it suggests.
    pub fn make(&self) -> (Option<(&str, &str)>, Option<usize>) {
        let profile = &self.0.works.held.profile;
        (profile.make(), profile.symmetric_workers())
    }

    /// The allow-list of mechanisms, which of it this token lists, and what came of trying it.
    pub fn mechanisms(&self) -> &[MechanismReport] {
        &self.0.works.held.profile.mechanisms
    }

    /// Random bytes from the token's generator, at most [`limits::RANDOM_BYTES_MAX`].
    pub fn random(&self, deadline: Instant, len: usize) -> Job<Vec<u8>> {
        if len > limits::RANDOM_BYTES_MAX {
            return Job::refused(Error::TooLong);
        }
        self.symmetric(Function::Random, deadline, Retry::Once, move |worker| {
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
        let seal = move |worker: &_| seal::seal(worker, &aad, &plain);
        self.symmetric(Function::Seal, deadline, Retry::Once, seal)
    }

    /// Opens what [`Token::seal`] sealed with the same `aad`, under the `seal` key it names;
    /// [`Error::NotAuthentic`] for anything else, [`Error::SealKeyUnknown`] where the token has no
    /// such key, also when asked again.
    pub fn unseal(&self, deadline: Instant, aad: Vec<u8>, sealed: Sealed) -> Job<Secret<Vec<u8>>> {
        if let Err(error) = seal::check_sealed(&sealed) {
            return Job::refused(error);
        }
        let unseal = move |worker: &_| seal::unseal(worker, &aad, &sealed);
        self.symmetric(Function::Unseal, deadline, Retry::Once, unseal)
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
        self.asymmetric(Function::GenerateRsa, deadline, Retry::Never, make)
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
        self.asymmetric(Function::ImportRsa, deadline, Retry::Never, bring)
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
        self.asymmetric(Function::SignRsa, deadline, Retry::Once, sign)
    }

    /// Destroys an RSA key; [`Error::NoSuchKey`] if it is not there. Not retried.
    pub fn destroy_rsa(&self, deadline: Instant, object_id: [u8; 16]) -> Job<()> {
        let destroy = move |worker: &_| kept::destroy(worker, Kept::SigningRsa, object_id);
        self.asymmetric(Function::DestroyRsa, deadline, Retry::Never, destroy)
    }

    /// Whether the token has an RSA key of this id.
    pub fn has_rsa(&self, deadline: Instant, object_id: [u8; 16]) -> Job<bool> {
        let has = move |worker: &_| kept::has(worker, Kept::SigningRsa, object_id);
        self.asymmetric(Function::FindRsa, deadline, Retry::Once, has)
    }

    /// A real seal and open under `seal`: what readiness means.
    pub fn probe(&self, deadline: Instant) -> Job<()> {
        self.symmetric(Function::Probe, deadline, Retry::Once, seal::probe)
    }

    /// The attributes of every key on the token.
    pub fn key_report(&self, deadline: Instant) -> Job<Vec<ObjectReport>> {
        let report = |worker: &WorkerSession| object::report(worker.session());
        self.symmetric(Function::Report, deadline, Retry::Once, report)
    }

    fn offers(&self, mechanisms: &[Allowed]) -> Result<(), Error> {
        let profile = &self.0.works.held.profile;
        mechanisms
            .iter()
            .try_for_each(|mechanism| profile.offers(*mechanism))
    }

    fn symmetric<T, F>(&self, function: Function, deadline: Instant, retry: Retry, job: F) -> Job<T>
    where
        T: Send + 'static,
        F: FnMut(&WorkerSession) -> Result<T, Error> + Send + 'static,
    {
        self.submit(PoolClass::Symmetric, function, deadline, retry, job)
    }

    fn asymmetric<T, F>(
        &self,
        function: Function,
        deadline: Instant,
        retry: Retry,
        job: F,
    ) -> Job<T>
    where
        T: Send + 'static,
        F: FnMut(&WorkerSession) -> Result<T, Error> + Send + 'static,
    {
        self.submit(PoolClass::Asymmetric, function, deadline, retry, job)
    }

    fn submit<T, F>(
        &self,
        class: PoolClass,
        function: Function,
        deadline: Instant,
        retry: Retry,
        job: F,
    ) -> Job<T>
    where
        T: Send + 'static,
        F: FnMut(&WorkerSession) -> Result<T, Error> + Send + 'static,
    {
        let works = &self.0.works;
        let why = || {
            works.stats.failed(Fault::Unavailable, 1);
            works.breaker.why()
        };
        works
            .pool(class)
            .submit(function, deadline, retry, job, why)
    }
}

#[cfg(test)]
mod tests;
