//! One token held open: the anchor session that holds the login, the epoch, the handle cache, and
//! each worker's own session (PKCS#11 v3.0 §5.6). Recovery here is reopen, log in again and find
//! again, once; re-initialising the module and the breaker are not here.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::hsm::error::Error;
use crate::hsm::master::{self, MasterKey, Masters};
use crate::hsm::module::Loaded;
use crate::hsm::profile::Profile;
use crate::secret::Secret;

/// How often this process has asked a token to accept a PIN, over all tokens. Hardware tokens lock
/// after a few refusals, so an operator watches this.
pub fn login_attempts() -> u64 {
    LOGIN_ATTEMPTS.load(Ordering::Relaxed)
}

static LOGIN_ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// What a handle or a session is valid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hsm) struct Epoch {
    /// C_Initialize count: after another one, an old session's number may be a new session's, and
    /// closing the old would close the new.
    initialization: u32,
    /// Login count: handles die with the login.
    login: u32,
}

/// An open token.
pub(in crate::hsm) struct Held {
    pub loaded: Arc<Loaded>,
    pub profile: Profile,
    slot: Slot,
    pin: Arc<Secret<String>>,
    anchor: Mutex<Anchor>,
    state: RwLock<State>,
}

struct Anchor {
    own: OwnSession,
    // A refused PIN is never tried again by this process.
    pin_refused: bool,
}

struct State {
    epoch: Epoch,
    masters: Masters,
    rsa: HashMap<[u8; 16], ObjectHandle>,
}

impl Held {
    /// Opens the anchor session, logs in, and checks the master keys.
    pub fn open(
        loaded: Arc<Loaded>,
        profile: Profile,
        slot: Slot,
        pin: Arc<Secret<String>>,
    ) -> Result<Self, Error> {
        let own = OwnSession::open(&loaded, slot)?;
        log_in(&own.session, UserType::User, &pin)?;
        let masters = master::check_all(&own.session, &loaded, &profile)?;
        Ok(Self {
            loaded,
            profile,
            slot,
            pin,
            anchor: Mutex::new(Anchor {
                own,
                pin_refused: false,
            }),
            state: RwLock::new(State {
                epoch: Epoch {
                    initialization: 1,
                    login: 1,
                },
                masters,
                rsa: HashMap::new(),
            }),
        })
    }

    /// The epoch now.
    pub fn epoch(&self) -> Epoch {
        self.read().epoch
    }

    /// `CKA_ID` of `seal`.
    pub fn seal_key_id(&self) -> [u8; 16] {
        self.read().masters.seal_key_id
    }

    /// A session for one worker.
    pub fn worker_session(self: &Arc<Self>) -> Result<WorkerSession, Error> {
        let epoch = self.epoch();
        Ok(WorkerSession {
            held: Arc::clone(self),
            epoch,
            own: OwnSession::open(&self.loaded, self.slot)?,
        })
    }

    /// Makes the login and the handles good again, unless another worker has done so since
    /// `broken` was read.
    pub fn recover(&self, broken: Epoch) -> Result<(), Error> {
        let mut anchor = self.lock_anchor();
        if self.epoch() != broken {
            return Ok(());
        }
        if anchor.pin_refused {
            return Err(Error::PinIncorrect);
        }
        if anchor.own.state().is_none() {
            let fresh = OwnSession::open(&self.loaded, self.slot)?;
            anchor.own.dead = true;
            anchor.own = fresh;
        }
        if anchor.own.state() != Some(SessionState::RwUser)
            && let Err(error) = log_in(&anchor.own.session, UserType::User, &self.pin)
        {
            anchor.pin_refused = matches!(error, Error::PinIncorrect | Error::PinLocked);
            return Err(error);
        }
        let (session, profile) = (&anchor.own.session, &self.profile);
        let masters = master::check_all(session, &self.loaded, profile)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.epoch.login += 1;
        state.masters = masters;
        state.rsa.clear();
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_anchor(&self) -> MutexGuard<'_, Anchor> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session, closed when dropped unless it is dead: then its number may be another's by now.
pub(in crate::hsm) struct OwnSession {
    loaded: Arc<Loaded>,
    pub session: Session,
    dead: bool,
}

impl OwnSession {
    /// Opens one for reading and writing.
    pub fn open(loaded: &Arc<Loaded>, slot: Slot) -> Result<Self, Error> {
        Ok(Self {
            session: loaded.pkcs11.open_rw_session_no_drop(slot)?,
            loaded: Arc::clone(loaded),
            dead: false,
        })
    }

    /// What the token says of it; `None` when it is gone.
    fn state(&self) -> Option<SessionState> {
        let info = self.session.get_session_info().ok()?;
        Some(info.session_state())
    }
}

impl Drop for OwnSession {
    fn drop(&mut self) {
        if !self.dead {
            self.loaded.calls.close(&self.session);
        }
    }
}

/// A session that one worker thread owns.
pub(in crate::hsm) struct WorkerSession {
    held: Arc<Held>,
    epoch: Epoch,
    own: OwnSession,
}

impl WorkerSession {
    pub fn session(&self) -> &Session {
        &self.own.session
    }

    pub fn loaded(&self) -> &Loaded {
        &self.held.loaded
    }

    pub fn profile(&self) -> &Profile {
        &self.held.profile
    }

    /// A master key, as it is used in this epoch.
    pub fn master(&self, key: MasterKey) -> ObjectHandle {
        let state = self.held.read();
        match key {
            MasterKey::Seal => state.masters.seal,
            MasterKey::Wrap => state.masters.wrap,
            MasterKey::Audit => state.masters.audit,
            MasterKey::Root => state.masters.root,
            MasterKey::PanIndex => state.masters.pan_index,
        }
    }

    /// The RSA key's handle if it was found in this epoch.
    pub fn cached_rsa(&self, object_id: &[u8; 16]) -> Option<ObjectHandle> {
        self.held.read().rsa.get(object_id).copied()
    }

    /// Remembers a handle, unless the epoch it was found in is over.
    pub fn cache_rsa(&self, object_id: [u8; 16], object: ObjectHandle) {
        let mut state = self.held.state.write();
        let state = state.as_deref_mut().ok();
        if let Some(state) = state.filter(|state| state.epoch == self.epoch) {
            state.rsa.insert(object_id, object);
        }
    }

    /// Forgets a handle.
    pub fn forget_rsa(&self, object_id: &[u8; 16]) {
        if let Ok(mut state) = self.held.state.write() {
            state.rsa.remove(object_id);
        }
    }

    /// True while the epoch it was opened in lasts.
    pub fn is_current(&self) -> bool {
        self.epoch == self.held.epoch()
    }

    /// Kept over a new login, which leaves sessions as they are.
    pub fn renew(&mut self) {
        self.epoch = self.held.epoch();
    }

    /// The epoch it works in.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Its handle names nothing any more: it is forgotten, not closed.
    pub fn mark_dead(&mut self) {
        self.own.dead = true;
    }

    /// Whether the token says that the user is not logged in.
    pub fn login_is_lost(&self) -> bool {
        self.own.state() != Some(SessionState::RwUser)
    }
}

impl Drop for WorkerSession {
    fn drop(&mut self) {
        if self.epoch.initialization != self.held.epoch().initialization {
            self.own.dead = true;
        }
    }
}

/// Logs in, once. Login is per token and process, so "already" is as good.
pub(in crate::hsm) fn log_in(
    session: &Session,
    user: UserType,
    pin: &Secret<String>,
) -> Result<(), Error> {
    LOGIN_ATTEMPTS.fetch_add(1, Ordering::Relaxed);
    match session.login(user, Some(&auth_pin(pin))) {
        Err(CryptokiError::Pkcs11(RvError::UserAlreadyLoggedIn, _)) => Ok(()),
        other => Ok(other?),
    }
}

/// The PIN in cryptoki's own wiping type.
pub(in crate::hsm) fn auth_pin(pin: &Secret<String>) -> AuthPin {
    AuthPin::from(pin.expose_secret().as_str())
}
