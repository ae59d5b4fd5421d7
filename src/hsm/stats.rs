//! What a token's works count. Kept small: the numbers are for metrics.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::hsm::{Class, Function};

/// A class of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PoolClass {
    /// All but RSA.
    Symmetric,
    /// RSA.
    Asymmetric,
}

/// One token's counters.
pub(in crate::hsm) struct Stats {
    calls: AtomicU64,
    openings: AtomicU64,
}

impl Stats {
    /// All at zero.
    pub fn new() -> Self {
        Self {
            calls: AtomicU64::new(0),
            openings: AtomicU64::new(0),
        }
    }

    /// A job waited this long for a worker.
    pub fn waited(&self, _class: PoolClass, _wait: Duration) {}

    /// A job ran this long, and whose fault it was where it failed.
    pub fn called(&self, _function: Function, _took: Duration, _failed: Option<Class>) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    /// The breaker opened.
    pub fn opened(&self) {
        self.openings.fetch_add(1, Ordering::Relaxed);
    }

    /// Calls were given up.
    pub fn abandoned(&self, _calls: usize) {}

    /// The token serves again after a new login.
    pub fn mended_lightly(&self) {}

    /// The token serves again after its module was initialised again.
    pub fn mended_heavily(&self) {}
}
