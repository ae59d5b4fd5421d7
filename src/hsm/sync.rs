//! The locks of the pool's core (`gate`, `queue`, `desk`, `breaker`). They are named here only, so
//! that `tests/shuttle` can put a scheduler's in their place and run the same files through every
//! order of events it can think of.

pub(in crate::hsm) use std::sync::atomic::{AtomicBool, Ordering};
pub(in crate::hsm) use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
