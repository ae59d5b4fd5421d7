//! What is to fail, and what was forgotten.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cryptoki_sys::{
    CK_MECHANISM_TYPE, CK_RV, CK_SESSION_HANDLE, CKR_CRYPTOKI_NOT_INITIALIZED, CKR_DEVICE_REMOVED,
    CKR_SESSION_HANDLE_INVALID, CKR_USER_NOT_LOGGED_IN,
};

use crate::real::real;

/// One rule: a function (or `any`), what happens, and how often yet.
pub struct Rule {
    pub function: String,
    pub fault: Fault,
    pub left: Option<u64>,
}

/// What happens.
#[derive(Clone, Copy)]
pub enum Fault {
    /// This is answered; the real module is not asked.
    Answer(CK_RV),
    /// The real module is asked, and this answered.
    AnswerAfter(CK_RV),
    /// The call ends when it is released.
    Hang,
    /// The call takes longer.
    Delay(Duration),
    /// A bit of what C_Sign answers is turned.
    Flip,
}

/// The state of this copy of the module.
#[derive(Default)]
pub struct State {
    pub rules: Vec<Rule>,
    pub counts: HashMap<&'static str, u64>,
    pub in_flight: u64,
    pub hanging: u64,
    open: HashSet<CK_SESSION_HANDLE>,
    forgotten: HashSet<CK_SESSION_HANDLE>,
    logged_out: bool,
    /// Away; true if only C_Initialize finds it again.
    vanished: Option<bool>,
    /// It is back, but C_Initialize was not called since.
    stale: bool,
    released: u64,
    recorded: HashSet<(CK_MECHANISM_TYPE, &'static str)>,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);
static CHANGED: Condvar = Condvar::new();

/// The state, locked.
pub fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a call is to do after it was let in.
pub struct Admitted {
    pub answer_after: Option<CK_RV>,
    pub flip: bool,
}

/// Functions that work without a login, as real tokens have it.
const PUBLIC: [&str; 9] = [
    "C_Initialize",
    "C_Finalize",
    "C_OpenSession",
    "C_CloseSession",
    "C_GetSessionInfo",
    "C_Login",
    "C_GetSlotList",
    "C_GetTokenInfo",
    "C_GenerateRandom",
];

/// Lets a call in, or answers it; it may take its time here.
pub fn admit(
    function: &'static str,
    session: Option<CK_SESSION_HANDLE>,
) -> Result<Admitted, CK_RV> {
    let mut state = state();
    *state.counts.entry(function).or_default() += 1;
    state.check(function, session)?;
    let at = state.rules.iter().position(|rule| {
        (rule.function == function || rule.function == "any") && rule.left != Some(0)
    });
    let mut admitted = Admitted {
        answer_after: None,
        flip: false,
    };
    let Some(rule) = at.and_then(|at| state.rules.get_mut(at)) else {
        state.in_flight += 1;
        return Ok(admitted);
    };
    rule.left = rule.left.map(|left| left.saturating_sub(1));
    let fault = rule.fault;
    state.in_flight += 1;
    match fault {
        Fault::Answer(rv) => {
            state.in_flight -= 1;
            return Err(rv);
        }
        Fault::AnswerAfter(rv) => admitted.answer_after = Some(rv),
        Fault::Flip => admitted.flip = true,
        Fault::Delay(delay) => {
            drop(state);
            std::thread::sleep(delay);
        }
        Fault::Hang => {
            let before = state.released;
            state.hanging += 1;
            let mut state = CHANGED
                .wait_while(state, |state| state.released == before)
                .unwrap_or_else(PoisonError::into_inner);
            state.hanging -= 1;
            // It was let go while sessions may have been forgotten.
            if let Err(rv) = state.check(function, session) {
                state.in_flight -= 1;
                return Err(rv);
            }
        }
    }
    Ok(admitted)
}

/// The call has ended.
pub fn leave() {
    state().in_flight -= 1;
}

impl State {
    fn check(&self, function: &str, session: Option<CK_SESSION_HANDLE>) -> Result<(), CK_RV> {
        if self.vanished.is_some() && !matches!(function, "C_Initialize" | "C_Finalize") {
            return Err(CKR_DEVICE_REMOVED);
        }
        if self.stale && !matches!(function, "C_Initialize" | "C_Finalize") {
            return Err(CKR_CRYPTOKI_NOT_INITIALIZED);
        }
        if session.is_some_and(|session| self.forgotten.contains(&session)) {
            return Err(CKR_SESSION_HANDLE_INVALID);
        }
        if self.logged_out && !PUBLIC.contains(&function) {
            return Err(CKR_USER_NOT_LOGGED_IN);
        }
        Ok(())
    }

    /// Whether the login is forgotten.
    pub fn is_logged_out(&self) -> bool {
        self.logged_out
    }

    /// Notes a session that was opened or closed.
    pub fn session(&mut self, session: CK_SESSION_HANDLE, is_open: bool) {
        if is_open {
            self.open.insert(session);
        } else {
            self.open.remove(&session);
        }
    }

    /// The real module was logged in to (or still was).
    pub fn logged_in(&mut self) {
        self.logged_out = false;
    }

    /// The real module was initialised, or finalised: nothing of before is left.
    pub fn begin_anew(&mut self) {
        self.open.clear();
        self.forgotten.clear();
        self.logged_out = false;
        self.stale = false;
    }

    /// Every session so far is gone, and the login with them. The real ones stay open behind this:
    /// C_CloseAllSessions under load crashes SoftHSM.
    pub fn forget(&mut self) -> usize {
        let count = self.open.len();
        self.forgotten.extend(self.open.drain());
        self.logged_out = true;
        count
    }

    /// The token is pulled.
    pub fn vanish(&mut self, until_initialized: bool) {
        self.vanished = Some(until_initialized);
    }

    /// It is back.
    pub fn return_(&mut self) {
        if let Some(until_initialized) = self.vanished.take() {
            self.stale = until_initialized;
            self.forget();
        }
    }

    /// Lets go what hangs and ends every rule.
    pub fn release(&mut self) {
        self.rules.clear();
        self.released += 1;
        CHANGED.notify_all();
    }

    /// The counts as words.
    pub fn counted(&self) -> String {
        let mut text = format!("in_flight={} hanging={}", self.in_flight, self.hanging);
        let mut counts: Vec<_> = self.counts.iter().collect();
        counts.sort_unstable();
        for (function, count) in counts {
            let _ = write!(text, " {function}={count}");
        }
        text
    }

    /// Notes a mechanism at its first use by a function.
    pub fn record(&mut self, mechanism: CK_MECHANISM_TYPE, function: &'static str) {
        if !self.recorded.insert((mechanism, function)) {
            return;
        }
        let Ok(Some(path)) = real().map(|real| real.settings.record.as_ref()) else {
            return;
        };
        let file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(path);
        let written = file.and_then(|mut file| {
            // One write: other processes append to the same file.
            file.write_all(format!("{mechanism:#010x} {function}\n").as_bytes())
        });
        if let Err(error) = written {
            eprintln!("shim: {}: {error}", path.display());
        }
    }
}
