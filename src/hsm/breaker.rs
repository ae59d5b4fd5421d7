//! The circuit breaker of one token: closed while it serves; open when it does not, so that calls are
//! refused at once; half-open while one probe, alone, finds out whether it does again. Probes come at
//! growing intervals.
//!
//! Knows nothing of PKCS#11 and reads no clock. What must change together with it (a queue's door)
//! is done under its lock, by the caller's closure.

use std::time::{Duration, Instant};

use crate::hsm::sync::{AtomicBool, Mutex, MutexGuard, Ordering, PoisonError};

/// `W` says why it is open.
pub(in crate::hsm) struct Breaker<W> {
    state: Mutex<State<W>>,
    closed: AtomicBool,
    waits: Waits,
}

/// Before the first probe, and at most between two.
#[derive(Clone, Copy)]
pub(in crate::hsm) struct Waits {
    pub first: Duration,
    pub longest: Duration,
}

enum State<W> {
    Closed,
    Open { why: W, due: Instant, tries: u32 },
    HalfOpen { why: W, tries: u32 },
}

/// Where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// One probe is under way.
    HalfOpen,
    /// Calls are refused.
    Open,
}

impl<W: Clone> Breaker<W> {
    /// A closed one.
    pub fn new(waits: Waits) -> Self {
        Self {
            state: Mutex::new(State::Closed),
            closed: AtomicBool::new(true),
            waits,
        }
    }

    /// Opens it if it is closed and `holds` (what was seen may be over), and does `also` with that;
    /// tells whether it did.
    pub fn trip(
        &self,
        why: W,
        now: Instant,
        holds: impl FnOnce() -> bool,
        also: impl FnOnce(),
    ) -> bool {
        let mut state = self.lock();
        if !matches!(*state, State::Closed) || !holds() {
            return false;
        }
        *state = State::Open {
            why,
            due: now + self.waits.first,
            tries: 0,
        };
        self.closed.store(false, Ordering::Release);
        also();
        true
    }

    /// Lets one probe through when it is time: how many went before.
    pub fn begin_probe(&self, now: Instant) -> Option<u32> {
        let mut state = self.lock();
        let State::Open { why, due, tries } = &*state else {
            return None;
        };
        if *due > now {
            return None;
        }
        let tries = *tries;
        *state = State::HalfOpen {
            why: why.clone(),
            tries,
        };
        Some(tries)
    }

    /// The probe failed: open again, for longer.
    pub fn probe_failed(&self, why: W, now: Instant) {
        let mut state = self.lock();
        if let State::HalfOpen { tries, .. } = *state {
            let wait = self.waits.first * 2u32.saturating_pow(tries.min(16));
            *state = State::Open {
                why,
                due: now + wait.min(self.waits.longest),
                tries: tries.saturating_add(1),
            };
        }
    }

    /// The probe succeeded: closed, and `also` is done with that.
    pub fn probe_succeeded(&self, also: impl FnOnce()) {
        let mut state = self.lock();
        if matches!(*state, State::HalfOpen { .. }) {
            *state = State::Closed;
            also();
            self.closed.store(true, Ordering::Release);
        }
    }

    /// Why it is not closed.
    pub fn why(&self) -> Option<W> {
        if self.closed.load(Ordering::Acquire) {
            return None;
        }
        match &*self.lock() {
            State::Closed => None,
            State::Open { why, .. } | State::HalfOpen { why, .. } => Some(why.clone()),
        }
    }

    /// Where it stands.
    pub fn state(&self) -> BreakerState {
        match &*self.lock() {
            State::Closed => BreakerState::Closed,
            State::Open { .. } => BreakerState::Open,
            State::HalfOpen { .. } => BreakerState::HalfOpen,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<W>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
