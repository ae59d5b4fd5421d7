//! Random fill: the fill digits of PIN block formats 3 and 4 (ISO 9564-1, 9.3.4 and 9.3.5), and the
//! extra entropy of SM2 signatures, and the IVs of data calls.
//!
//! One ChaCha20 generator per worker thread, so that the hot path takes no lock. Each is seeded
//! from a root generator, whose own seed is the token's C_GenerateRandom ⊕ the operating system's,
//! fetched again in the background. Keys and the IVs of seals never come from here: those are the
//! token's.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use zeroize::Zeroizing;

use crate::hsm;
use crate::keys::fleet::Fleet;
use crate::limits;

/// A source of fill, shared by all workers.
#[derive(Clone)]
pub struct Fill(Arc<Root>);

/// The generator from which the workers' are seeded.
struct Root {
    /// Differs for every seed of every root of this process.
    epoch: AtomicU64,
    generator: Mutex<Seeding>,
}

struct Seeding {
    generator: ChaCha20Rng,
    /// Workers it may still seed.
    left: u32,
}

/// The generator of one worker thread.
struct Worker {
    epoch: u64,
    generator: ChaCha20Rng,
    /// Bytes it may still make.
    left: u64,
}

thread_local! {
    static WORKER: RefCell<Option<Worker>> = const { RefCell::new(None) };
}

/// Counts the seeds of all roots, so that a worker sees that its root was seeded again.
static EPOCHS: AtomicU64 = AtomicU64::new(1);

/// The generators have made as much as one seed may, and the token has not given another.
#[derive(Debug, thiserror::Error)]
#[error("random fill is used up and the token gave no new seed")]
pub struct Exhausted;

impl Fill {
    /// Seeds a source from a token that serves and the operating system.
    ///
    /// # Errors
    /// When no token gives no random bytes.
    pub async fn new(fleet: &Fleet, deadline: Instant) -> Result<Self, hsm::Error> {
        let seeding = Seeding::new(&*seed(fleet, deadline).await?);
        let epoch = EPOCHS.fetch_add(1, Ordering::Relaxed).into();
        Ok(Self(Arc::new(Root {
            epoch,
            generator: Mutex::new(seeding),
        })))
    }

    /// Seeds it again. The old state goes into the new seed, so it never gets worse.
    ///
    /// # Errors
    /// When the token gives no random bytes; the old seed stays in use within its bound.
    pub async fn reseed(&self, fleet: &Fleet, deadline: Instant) -> Result<(), hsm::Error> {
        let mut fresh = seed(fleet, deadline).await?;
        let mut root = self
            .0
            .generator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let mut old = Zeroizing::new([0; SEED_BYTES]);
        root.generator.fill_bytes(&mut *old);
        fresh
            .iter_mut()
            .zip(old.iter())
            .for_each(|(fresh, old)| *fresh ^= old);
        *root = Seeding::new(&fresh);
        self.0
            .epoch
            .store(EPOCHS.fetch_add(1, Ordering::Relaxed), Ordering::Release);
        Ok(())
    }

    /// Seeds it again and again until dropped.
    pub async fn reseed_for_ever(&self, fleet: &Fleet) {
        loop {
            tokio::time::sleep(limits::FILL_RESEED).await;
            let deadline = Instant::now() + limits::PROBE_DEADLINE;
            if let Err(error) = self.reseed(fleet, deadline).await {
                tracing::warn!(cause = %error, "random fill was not seeded again");
            }
        }
    }

    /// Fresh random bytes.
    ///
    /// # Errors
    /// [`Exhausted`] when no new seed came for too long.
    pub fn draw<const N: usize>(&self) -> Result<[u8; N], Exhausted> {
        WORKER.with_borrow_mut(|worker| {
            let epoch = self.0.epoch.load(Ordering::Acquire);
            let needed = N as u64;
            let usable = |worker: &Worker| worker.epoch == epoch && worker.left >= needed;
            if !worker.as_ref().is_some_and(usable) {
                *worker = Some(self.worker(epoch)?);
            }
            let worker = worker.as_mut().ok_or(Exhausted)?;
            worker.left -= needed;
            let mut bytes = [0; N];
            worker.generator.fill_bytes(&mut bytes);
            Ok(bytes)
        })
    }

    fn worker(&self, epoch: u64) -> Result<Worker, Exhausted> {
        let mut root = self
            .0
            .generator
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        root.left = root.left.checked_sub(1).ok_or(Exhausted)?;
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        root.generator.fill_bytes(&mut *seed);
        let generator = ChaCha20Rng::from_seed(*seed);
        Ok(Worker {
            epoch,
            generator,
            left: limits::FILL_BYTES_PER_SEED,
        })
    }
}

impl Seeding {
    fn new(seed: &[u8; SEED_BYTES]) -> Self {
        Self {
            generator: ChaCha20Rng::from_seed(*seed),
            left: limits::FILL_WORKERS_PER_SEED,
        }
    }
}

/// C_GenerateRandom ⊕ the operating system: as good as the better of the two.
async fn seed(fleet: &Fleet, deadline: Instant) -> Result<Zeroizing<[u8; SEED_BYTES]>, hsm::Error> {
    let random = Zeroizing::new(fleet.random(deadline, SEED_BYTES).await?);
    Ok(mixed(&random))
}

fn mixed(token: &[u8]) -> Zeroizing<[u8; SEED_BYTES]> {
    let mut seed = Zeroizing::new([0; SEED_BYTES]);
    // Without the operating system's half the token's still stands.
    let _ = getrandom::fill(&mut *seed);
    seed.iter_mut()
        .zip(token)
        .for_each(|(seed, token)| *seed ^= token);
    seed
}

const SEED_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    fn fill() -> Fill {
        let epoch = EPOCHS.fetch_add(1, Ordering::Relaxed).into();
        let seeding = Seeding::new(&mixed(&[7; SEED_BYTES]));
        Fill(Arc::new(Root {
            epoch,
            generator: Mutex::new(seeding),
        }))
    }

    #[test]
    fn two_draws_differ_and_two_threads_draw_differently() {
        let fill = fill();
        let here: [u8; 16] = fill.draw().unwrap();
        assert_ne!(here, fill.draw().unwrap());
        let there = fill.clone();
        let there: [u8; 16] = std::thread::spawn(move || there.draw().unwrap())
            .join()
            .unwrap();
        assert_ne!(here, there);
    }

    #[test]
    fn two_sources_on_one_thread_do_not_share_a_generator() {
        let (one, other) = (fill(), fill());
        let first: [u8; 16] = one.draw().unwrap();
        assert_ne!(first, other.draw().unwrap());
    }

    #[test]
    fn a_seed_that_has_made_all_it_may_refuses() {
        let fill = fill();
        fill.0.generator.lock().unwrap().left = 1;
        fill.draw::<8>().unwrap();
        WORKER.with_borrow_mut(|worker| worker.as_mut().unwrap().left = 7);
        assert!(fill.draw::<8>().is_err());
    }
}
