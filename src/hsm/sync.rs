//! The locks of the pool's core (`gate`, `queue`, `desk`, `breaker`). They are named here only, so
//! that `tests/shuttle` can put a scheduler's in their place and run the same files through every
//! order of events it can think of.

use std::sync;

pub(in crate::hsm) type AtomicBool = sync::atomic::AtomicBool;
pub(in crate::hsm) type Condvar = sync::Condvar;
pub(in crate::hsm) type Mutex<T> = sync::Mutex<T>;
pub(in crate::hsm) type MutexGuard<'a, T> = sync::MutexGuard<'a, T>;
pub(in crate::hsm) type Ordering = sync::atomic::Ordering;
pub(in crate::hsm) type PoisonError<T> = sync::PoisonError<T>;
