//! The works of one open token: its two pools, its breaker, and the supervisor thread that writes off
//! what hangs and mends what is away. Mending is a probe on a thread of its own (it may hang too, and
//! then there is no second): a new login and everything found again; where that does not help, the
//! module initialised again; where a person must see to it, nothing but looking again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::hsm::breaker::{Breaker, BreakerState, Waits};
use crate::hsm::error::{Error, Why};
use crate::hsm::pool::{self, Pool};
use crate::hsm::seal;
use crate::hsm::session::{Epoch, Held};
use crate::hsm::stats::{Fault, PoolClass, Stats};
use crate::hsm::worker;
use crate::hsm::wrapped;
use crate::limits;

/// How a token stands.
#[derive(Clone, Debug)]
pub enum Standing {
    /// It works.
    Serving,
    /// It does not, and is looked at again and again.
    Away(Why),
    /// It does not, and a person must see to it.
    Refusing(Why),
}

/// One open token at work.
pub(in crate::hsm) struct Works {
    pub held: Arc<Held>,
    pub breaker: Breaker<Why>,
    pub stats: Stats,
    pub call_timeout: Duration,
    symmetric: Pool,
    asymmetric: Pool,
    label: String,
    stop: Mutex<bool>,
    stopped: Condvar,
}

impl Works {
    /// Starts the workers and the supervisor.
    pub fn start(
        held: Arc<Held>,
        label: &str,
        workers: [usize; 2],
        call_timeout: Duration,
    ) -> Result<(Arc<Self>, JoinHandle<()>), Error> {
        let works = Arc::new(Self {
            held,
            breaker: Breaker::new(Waits {
                first: limits::BREAKER_WAIT_FIRST,
                longest: limits::BREAKER_WAIT_LONGEST,
            }),
            stats: Stats::new(),
            call_timeout,
            symmetric: Pool::new(
                workers[0],
                limits::POOL_BATCH_MAX,
                limits::ANSWER_KEPT_SYMMETRIC,
            ),
            asymmetric: Pool::new(workers[1], 1, limits::ANSWER_KEPT_ASYMMETRIC),
            label: label.to_owned(),
            stop: Mutex::new(false),
            stopped: Condvar::new(),
        });
        works.held.loaded.serving.fetch_add(1, Ordering::Relaxed);
        let own = Arc::clone(&works);
        let started = works.replenish().and_then(|()| {
            let supervisor = thread::Builder::new().name("hsm-supervisor".to_owned());
            supervisor
                .spawn(move || supervise(&own))
                .map_err(|_| Error::NoThread)
        });
        match started {
            Ok(supervisor) => Ok((works, supervisor)),
            Err(error) => {
                works.stop();
                Err(error)
            }
        }
    }

    /// One class's pool.
    pub fn pool(&self, class: PoolClass) -> &Pool {
        match class {
            PoolClass::Symmetric => &self.symmetric,
            PoolClass::Asymmetric => &self.asymmetric,
        }
    }

    /// How it stands.
    pub fn standing(&self) -> Standing {
        match self.breaker.why() {
            None => Standing::Serving,
            Some(why) if why.needs_person() => Standing::Refusing(why),
            Some(why) => Standing::Away(why),
        }
    }

    /// Opens the breaker over something met in `epoch`, unless that is over; what waits is refused at
    /// once. Answers what the caller is told.
    pub fn trip(&self, error: Error, epoch: Epoch) -> Error {
        let why = Why::from(error.before_initialization());
        let mut waiting = Vec::new();
        let tripped = self.breaker.trip(
            why.clone(),
            Instant::now(),
            || self.held.epoch() == epoch,
            || {
                waiting = self.symmetric.shut();
                waiting.extend(self.asymmetric.shut());
                self.held.loaded.serving.fetch_sub(1, Ordering::Relaxed);
            },
        );
        if tripped {
            self.stats.opened();
            let token = self.label.as_str();
            tracing::error!(token, cause = %why, "the token does not serve");
        }
        let unavailable = Error::Unavailable(why);
        self.stats.failed(Fault::Unavailable, waiting.len());
        pool::refuse(waiting, &unavailable);
        unavailable
    }

    /// Ends it: jobs that wait are abandoned, calls under way waited for, at most
    /// [`limits::DRAIN_MAX`].
    pub fn stop(&self) {
        *self.stop.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.stopped.notify_all();
        self.symmetric.close();
        self.asymmetric.close();
        if self.breaker.state() == BreakerState::Closed {
            self.held.loaded.serving.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Threads that hang in a call.
    pub fn lost(&self) -> usize {
        self.symmetric.lost() + self.asymmetric.lost()
    }

    fn replenish(self: &Arc<Self>) -> Result<(), Error> {
        for (class, name) in [
            (PoolClass::Symmetric, "sym"),
            (PoolClass::Asymmetric, "asym"),
        ] {
            let works = Arc::clone(self);
            let work = move |desk: &_| worker::work(&works, class, desk);
            self.pool(class).replenish(name, work)?;
        }
        Ok(())
    }

    fn write_off(&self) {
        let now = Instant::now();
        let hung = self.symmetric.write_off(now) + self.asymmetric.write_off(now);
        if hung > 0 {
            self.stats.abandoned(hung);
            self.stats.failed(Fault::Hung, hung);
            self.trip(Error::Hung, self.held.epoch());
        }
    }

    /// Sleeps one interval; true when it is to stop.
    fn rest(&self) -> bool {
        let stop = self.stop.lock().unwrap_or_else(PoisonError::into_inner);
        let rested = self
            .stopped
            .wait_timeout_while(stop, limits::SUPERVISE_INTERVAL, |stop| !*stop);
        *rested.unwrap_or_else(PoisonError::into_inner).0
    }
}

fn supervise(works: &Arc<Works>) {
    let mut mending: Option<JoinHandle<()>> = None;
    while !works.rest() {
        works.write_off();
        if mending.as_ref().is_some_and(|thread| !thread.is_finished()) {
            continue;
        }
        if let Some(tries) = works.breaker.begin_probe(Instant::now()) {
            let own = Arc::clone(works);
            let mend = thread::Builder::new().name("hsm-mender".to_owned());
            match mend.spawn(move || mend_once(&own, tries)) {
                Ok(thread) => mending = Some(thread),
                Err(_) => works
                    .breaker
                    .probe_failed(Error::NoThread.into(), Instant::now()),
            }
        }
    }
    // As a worker's: a call under way is waited for, but not for ever.
    let patience = Instant::now() + limits::DRAIN_MAX;
    if let Some(thread) = mending {
        while !thread.is_finished() && Instant::now() < patience {
            thread::sleep(limits::SUPERVISE_INTERVAL);
        }
        if thread.is_finished() {
            let _ = thread.join();
        }
    }
}

fn mend_once(works: &Arc<Works>, tries: u32) {
    let before = works.breaker.why();
    let mended = catch_unwind(AssertUnwindSafe(|| mend(works)));
    let mended = mended
        .unwrap_or(Err(Error::Abandoned))
        .and_then(|()| works.replenish());
    let token = works.label.as_str();
    match mended {
        Ok(()) => {
            works.breaker.probe_succeeded(|| {
                works.held.loaded.serving.fetch_add(1, Ordering::Relaxed);
                works.symmetric.queue.open();
                works.asymmetric.queue.open();
            });
            tracing::info!(token, tries, "the token serves again");
        }
        Err(error) => {
            let why = Why::from(error);
            let said = before.map(|why| why.to_string());
            if said.as_deref() != Some(why.to_string().as_str()) {
                tracing::error!(token, tries, cause = %why, "the token is still away");
            }
            works.breaker.probe_failed(why, Instant::now());
        }
    }
}

fn mend(works: &Works) -> Result<(), Error> {
    if works.lost() > limits::WORKERS_LOST_MAX {
        return Err(Error::TooManyHang);
    }
    if works.lost() > 0 {
        // Here, on a thread that may hang: its session is closed by a call as any other.
        works.held.leave_keeper();
    }
    let Err(error) = renew_and_probe(&works.held) else {
        works.stats.mended_lightly();
        return Ok(());
    };
    // Nothing that a new initialisation would change, and hardware counts refusals.
    if matches!(error, Error::PinIncorrect | Error::PinLocked) {
        return Err(error);
    }
    match works.held.loaded.initialize_again() {
        Ok(()) => {}
        // What was found says more than that nothing could be done about it now.
        Err(Error::ModuleBusy) => return Err(error.before_initialization()),
        Err(worse) => return Err(worse),
    }
    renew_and_probe(&works.held)?;
    works.stats.mended_heavily();
    Ok(())
}

/// Logs in where that is lost, finds every master key again, seals and opens something, and opens a
/// wrapped key if one was opened before.
fn renew_and_probe(held: &Arc<Held>) -> Result<(), Error> {
    let pass = held.loaded.enter()?;
    held.recover(&pass, held.epoch())?;
    let worker = held.worker_session(&pass)?;
    seal::probe(&worker)?;
    wrapped::probe(&worker)
}
