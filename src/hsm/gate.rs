//! The gate of a module: calls pass through it, and C_Finalize waits until none is inside.
//! C_Finalize beside a call under way crashes SoftHSM, and after it every session's number may be
//! another's: each initialisation is an era, and what was opened in one is never closed in another.
//!
//! Knows nothing of PKCS#11: who passes and who drains is `session`'s and `module`'s.

use std::time::{Duration, Instant};

use crate::hsm::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// One per module.
pub(in crate::hsm) struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    era: u32,
    inside: usize,
    door: Door,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    /// Calls pass.
    Open,
    /// Nobody new enters; those inside finish.
    Draining,
    /// One alone is inside.
    Held,
    /// The module is not initialised.
    Shut,
}

/// The right to call the module in one era, until dropped.
pub(in crate::hsm) struct Pass<'a> {
    gate: &'a Gate,
    era: u32,
}

/// The right to end the era. Dropped without a word the gate is shut.
pub(in crate::hsm) struct Alone<'a> {
    gate: &'a Gate,
    next: Door,
}

impl Gate {
    /// An open gate, in the first era.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                era: 1,
                inside: 0,
                door: Door::Open,
            }),
            changed: Condvar::new(),
        }
    }

    /// Enters, waiting for a drain to end, but no longer than `patience`; `None` where the module is
    /// not initialised or the drain took too long.
    pub fn enter(&self, patience: Duration) -> Option<Pass<'_>> {
        let mut state = self.lock();
        if matches!(state.door, Door::Draining | Door::Held) {
            state = self.wait_while(state, patience, |state| {
                matches!(state.door, Door::Draining | Door::Held)
            });
        }
        if state.door != Door::Open {
            return None;
        }
        state.inside += 1;
        let era = state.era;
        Some(Pass { gate: self, era })
    }

    /// Enters to tidy up what was opened in `era`, without waiting; `None` where that era is over:
    /// then there is nothing to tidy. A drain under way only waits a little longer.
    pub fn enter_of(&self, era: u32) -> Option<Pass<'_>> {
        let mut state = self.lock();
        if state.era != era || !matches!(state.door, Door::Open | Door::Draining) {
            return None;
        }
        state.inside += 1;
        Some(Pass { gate: self, era })
    }

    /// Lets nobody in and waits for those inside; `None` where one of them stays longer than
    /// `patience`, or another drains already, and then calls pass as before.
    pub fn drain(&self, patience: Duration) -> Option<Alone<'_>> {
        let mut state = self.lock();
        let before = state.door;
        if matches!(before, Door::Draining | Door::Held) {
            return None;
        }
        state.door = Door::Draining;
        let mut state = self.wait_while(state, patience, |state| state.inside > 0);
        if state.inside > 0 {
            state.door = before;
            drop(state);
            self.changed.notify_all();
            return None;
        }
        state.door = Door::Held;
        Some(Alone {
            gate: self,
            next: Door::Shut,
        })
    }

    fn wait_while<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        patience: Duration,
        blocked: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        let until = Instant::now() + patience;
        while blocked(&state) {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        state
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pass<'_> {
    /// The era it is good for.
    pub fn era(&self) -> u32 {
        self.era
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.inside -= 1;
        let last = state.inside == 0 && state.door == Door::Draining;
        drop(state);
        if last {
            self.gate.changed.notify_all();
        }
    }
}

impl Alone<'_> {
    /// The module is initialised again: a new era, and calls pass.
    pub fn reopen(mut self) {
        self.next = Door::Open;
    }
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let mut state = self.gate.lock();
        state.era += 1;
        state.door = self.next;
        drop(state);
        self.gate.changed.notify_all();
    }
}
