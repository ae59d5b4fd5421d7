//! One token held open: the anchor session that holds the login, the epoch, the handle cache, and
//! each worker's own session (PKCS#11 v3.0 §5.6). Recovery here is reopen, log in again and find
//! again, once, also after the module was initialised again; when that is done, and the breaker, is
//! `works`'.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

use cryptoki::error::{Error as CryptokiError, RvError};
use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, SessionState, UserType};
use cryptoki::slot::Slot;
use cryptoki::types::AuthPin;

use crate::hsm::error::Error;
use crate::hsm::gate::Pass;
use crate::hsm::kept::Kept;
use crate::hsm::lru::Lru;
use crate::hsm::master::proof::Proof;
use crate::hsm::master::seals::{self, SealKey, SealKeys};
use crate::hsm::master::{self, MasterKey, Masters};
use crate::hsm::module::{Loaded, Module};
use crate::hsm::profile::Profile;
use crate::hsm::scan;
use crate::hsm::slot::{self, TokenId};
use crate::hsm::trial::{Bench, Extent};
use crate::hsm::wrapped::Keeper;
use crate::limits;
use crate::secret::Secret;

/// How often this process has asked a token to accept a PIN, over all tokens. Hardware tokens lock
/// after a few refusals, so an operator watches this.
pub fn login_attempts() -> u64 {
    LOGIN_ATTEMPTS.load(Ordering::Relaxed)
}

static LOGIN_ATTEMPTS: AtomicU64 = AtomicU64::new(0);

/// What a handle or a session is valid for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Epoch {
    /// The module's era: after C_Initialize an old session's number may be a new session's, and
    /// closing the old would close the new.
    pub initialization: u32,
    /// Login count: handles die with the login.
    pub login: u32,
}

/// Which token is meant, and how it is entered.
pub(in crate::hsm) struct Identity {
    pub module: Module,
    pub label: String,
    pub id: TokenId,
    pub pin: Arc<Secret<String>>,
}

/// An open token.
pub(in crate::hsm) struct Held {
    pub loaded: Arc<Loaded>,
    pub profile: Profile,
    identity: Identity,
    anchor: Mutex<Anchor>,
    state: RwLock<State>,
    // What its master keys made of known values when it was opened.
    proof: Proof,
    handles: Mutex<Handles>,
    keeper: Mutex<Arc<Keeper>>,
    // Ids of `seal` keys that the token has not, and until when that is believed.
    strange_seals: Mutex<HashMap<[u8; 16], Instant>>,
}

struct Anchor {
    own: OwnSession,
    // A refused PIN is never tried again by this process.
    pin_refused: bool,
}

struct State {
    epoch: Epoch,
    slot: Slot,
    masters: Masters,
}

/// Handles of keys that stay on the token, found in one epoch.
struct Handles {
    epoch: Epoch,
    kept: Lru<(Kept, [u8; 16]), ObjectHandle>,
}

impl Held {
    /// Opens the anchor session, logs in, checks the master keys and judges every other, and tries
    /// the mechanisms.
    pub fn open(
        loaded: Arc<Loaded>,
        pass: &Pass<'_>,
        mut profile: Profile,
        slot: Slot,
        identity: Identity,
    ) -> Result<Self, Error> {
        let own = OwnSession::open(&loaded, slot, pass.era())?;
        log_in(&own.session, UserType::User, &identity.pin)?;
        let masters = master::check_all(&own.session, &loaded, &profile)?;
        scan::all(&own.session, &loaded.calls, &profile)?;
        profile.mechanisms = {
            let trial = OwnSession::open(&loaded, slot, pass.era())?;
            let bench = Bench {
                session: &trial.session,
                calls: &loaded.calls,
                profile: &profile,
            };
            bench.mechanisms(Extent::Cheap)?
        };
        let proof = Proof::take(&own.session, &loaded.calls, &masters)?;
        let epoch = Epoch {
            initialization: pass.era(),
            login: 1,
        };
        Ok(Self {
            loaded,
            profile,
            identity,
            anchor: Mutex::new(Anchor {
                own,
                pin_refused: false,
            }),
            state: RwLock::new(State {
                epoch,
                slot,
                masters,
            }),
            proof,
            handles: Mutex::new(Handles {
                epoch,
                kept: Lru::new(limits::TOKEN_HANDLES_MAX),
            }),
            keeper: Mutex::new(Arc::new(Keeper::new())),
            strange_seals: Mutex::default(),
        })
    }

    /// The epoch now.
    pub fn epoch(&self) -> Epoch {
        self.read().epoch
    }

    /// The `seal` keys known.
    pub fn seal_keys(&self) -> SealKeys {
        self.read().masters.seals.ids()
    }

    /// Looks for the `seal` keys again: another process may have made or destroyed one. What is
    /// known stays known where the token's answer cannot be trusted.
    fn follow_seals(&self) -> Result<SealKeys, Error> {
        let anchor = self.lock_anchor();
        let found = seals::find_all(&anchor.own.session, &self.loaded, &self.profile);
        let found = match found {
            // Without a login private objects are not refused but unseen.
            Err(Error::MasterKeyMissing(_)) if anchor.own.state() != Some(SessionState::RwUser) => {
                return Err(Error::login_lost());
            }
            found => found?,
        };
        let ids = found.ids();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.masters.seals = found;
        Ok(ids)
    }

    /// A session for one worker, in the era of its pass.
    pub fn worker_session(self: &Arc<Self>, pass: &Pass<'_>) -> Result<WorkerSession, Error> {
        let mut epoch = self.epoch();
        if epoch.initialization != pass.era() {
            self.recover(pass, epoch)?;
            epoch = self.epoch();
        }
        let slot = self.read().slot;
        Ok(WorkerSession {
            held: Arc::clone(self),
            epoch,
            own: OwnSession::open(&self.loaded, slot, pass.era())?,
        })
    }

    /// Makes the login and the handles good again, unless another worker has done so since
    /// `broken` was read. Never makes a master key, and never takes another for one.
    ///
    /// # Errors
    /// [`Error::TokenChanged`], before any login; [`Error::PinIncorrect`], also without a login where
    /// it was refused before; [`Error::MasterKeyChanged`], [`Error::MasterKeyMissing`]; or what the
    /// token answered.
    pub fn recover(&self, pass: &Pass<'_>, broken: Epoch) -> Result<(), Error> {
        let mut anchor = self.lock_anchor();
        let epoch = self.epoch();
        if epoch != broken && epoch.initialization == pass.era() {
            return Ok(());
        }
        if anchor.pin_refused {
            return Err(Error::PinIncorrect);
        }
        let mut slot = self.read().slot;
        if epoch.initialization != pass.era() || anchor.own.era != pass.era() {
            slot = self.find_slot()?;
            anchor.own = OwnSession::open(&self.loaded, slot, pass.era())?;
        } else if anchor.own.state().is_none() {
            let fresh = OwnSession::open(&self.loaded, slot, pass.era())?;
            anchor.own.dead = true;
            anchor.own = fresh;
        }
        if anchor.own.state() != Some(SessionState::RwUser)
            && let Err(error) = log_in(&anchor.own.session, UserType::User, &self.identity.pin)
        {
            anchor.pin_refused = matches!(error, Error::PinIncorrect | Error::PinLocked);
            return Err(error);
        }
        let session = &anchor.own.session;
        let masters = master::check_all(session, &self.loaded, &self.profile)?;
        self.proof.holds(session, &self.loaded.calls, &masters)?;
        scan::all(session, &self.loaded.calls, &self.profile)?;
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.epoch.initialization = pass.era();
        state.epoch.login += 1;
        state.slot = slot;
        state.masters = masters;
        let mut handles = self.lock_handles();
        handles.epoch = state.epoch;
        handles.kept.clear();
        Ok(())
    }

    /// Keeps wrapped keys anew: who hangs in a call may hold the keeper's session for ever. Its objects
    /// end with it.
    pub fn leave_keeper(&self) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        *keeper = Arc::new(Keeper::instead_of(&keeper));
    }

    /// The slot of the very token that was opened, in a module initialised again.
    fn find_slot(&self) -> Result<Slot, Error> {
        let Identity { module, label, .. } = &self.identity;
        let missing = || Error::TokenMissing {
            label: label.clone(),
        };
        let opened = self.loaded.opened_again(module)?;
        let slot = slot::find(&opened, label)?.ok_or_else(missing)?;
        if slot::describe(&self.loaded, slot)?.id() != self.identity.id {
            return Err(Error::TokenChanged {
                label: label.clone(),
            });
        }
        Ok(slot)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_handles(&self) -> MutexGuard<'_, Handles> {
        self.handles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_anchor(&self) -> MutexGuard<'_, Anchor> {
        self.anchor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session, closed when dropped unless it is dead: then its number may be another's by now.
pub(in crate::hsm) struct OwnSession {
    loaded: Arc<Loaded>,
    pub session: Session,
    era: u32,
    dead: bool,
}

impl OwnSession {
    /// Opens one for reading and writing, in an era that the caller has a pass for.
    pub fn open(loaded: &Arc<Loaded>, slot: Slot, era: u32) -> Result<Self, Error> {
        Ok(Self {
            session: loaded.pkcs11.open_rw_session_no_drop(slot)?,
            loaded: Arc::clone(loaded),
            era,
            dead: false,
        })
    }

    /// Its number names nothing, or another's session, any more.
    pub fn mark_dead(&mut self) {
        self.dead = true;
    }

    /// What the token says of it; `None` when it is gone.
    fn state(&self) -> Option<SessionState> {
        let info = self.session.get_session_info().ok()?;
        Some(info.session_state())
    }
}

impl Drop for OwnSession {
    fn drop(&mut self) {
        // In a later era its number is another's.
        if !self.dead
            && let Some(_pass) = self.loaded.gate.enter_of(self.era)
        {
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

    /// A master key, as it is used in this epoch; of `seal`, the current one.
    pub fn master(&self, key: MasterKey) -> ObjectHandle {
        let state = self.held.read();
        match key {
            MasterKey::Seal => state.masters.seals.current().object,
            MasterKey::Wrap => state.masters.wrap,
            MasterKey::Audit => state.masters.audit,
            MasterKey::Root => state.masters.root,
            MasterKey::PanIndex => state.masters.pan_index,
        }
    }

    /// The `seal` key that seals.
    pub fn current_seal(&self) -> SealKey {
        self.held.read().masters.seals.current()
    }

    /// The `seal` key of this id. One that is not known is looked for on the token, but not again
    /// within [`limits::SEAL_SEARCH_INTERVAL`]: a store full of strange seals must not keep the
    /// token busy.
    pub fn seal_of(&self, id: &[u8; 16]) -> Result<SealKey, Error> {
        if let Some(key) = self.held.read().masters.seals.of(id) {
            return Ok(key);
        }
        let now = Instant::now();
        {
            let mut strange = self.held.strange_seals.lock();
            let strange = strange.as_deref_mut().map_err(|_| Error::SealKeyUnknown)?;
            strange.retain(|_, until| *until > now);
            if strange.contains_key(id) || strange.len() >= limits::SEAL_STRANGE_MAX {
                return Err(Error::SealKeyUnknown);
            }
        }
        self.follow_seals()?;
        if let Some(key) = self.held.read().masters.seals.of(id) {
            return Ok(key);
        }
        if let Ok(mut strange) = self.held.strange_seals.lock() {
            strange.insert(*id, now + limits::SEAL_SEARCH_INTERVAL);
        }
        Err(Error::SealKeyUnknown)
    }

    /// Looks for the `seal` keys again.
    pub fn follow_seals(&self) -> Result<SealKeys, Error> {
        self.held.follow_seals()
    }

    /// A key's handle if it was found in this epoch.
    pub fn cached(&self, kept: Kept, object_id: [u8; 16]) -> Option<ObjectHandle> {
        let mut handles = self.held.lock_handles();
        if handles.epoch != self.epoch {
            return None;
        }
        handles.kept.get(&(kept, object_id))
    }

    /// Remembers a handle, unless the epoch it was found in is over.
    pub fn cache(&self, kept: Kept, object_id: [u8; 16], object: ObjectHandle) {
        let mut handles = self.held.lock_handles();
        if handles.epoch == self.epoch {
            handles.kept.insert((kept, object_id), object);
        }
    }

    /// Forgets a handle.
    pub fn forget(&self, kept: Kept, object_id: [u8; 16]) {
        self.held.lock_handles().kept.remove(&(kept, object_id));
    }

    /// The wrapped keys that are open, and whose they are.
    pub fn keeper(&self) -> Arc<Keeper> {
        let keeper = self.held.keeper.lock();
        Arc::clone(&keeper.unwrap_or_else(PoisonError::into_inner))
    }

    /// A session beside this one, whose objects outlive this one.
    pub fn another_session(&self) -> Result<OwnSession, Error> {
        let slot = self.held.read().slot;
        OwnSession::open(&self.held.loaded, slot, self.own.era)
    }

    /// The epoch by now, whatever this session has worked in.
    pub fn epoch_now(&self) -> Epoch {
        self.held.epoch()
    }

    /// True while the epoch it was opened in lasts.
    pub fn is_current(&self) -> bool {
        self.epoch == self.held.epoch()
    }

    /// The era it was opened in; it is not used in another.
    pub fn era(&self) -> u32 {
        self.own.era
    }

    /// Kept over a new login, which leaves sessions as they are.
    pub fn renew(&mut self) {
        self.epoch = self.held.epoch();
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
