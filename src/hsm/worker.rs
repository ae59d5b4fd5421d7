//! What a worker thread does: takes its share of the queue, runs each job in a session of its own, and
//! cures what can be cured (PKCS#11 v3.0 §5.1, return values; the classes are `error`'s):
//!
//! | what the token said | what is done |
//! |---|---|
//! | the request's fault | answered |
//! | the session is gone or stuck | another session, login where it is lost, once more |
//! | not logged in, or a handle names nothing | login, find everything again, once more |
//! | anything vague or of the device or the module | a probe under `seal`: if it works, the answer stands (a tampered blob gets such answers too); if not, the breaker opens |
//!
//! "Once more" is for what may run twice only.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use crate::hsm::error::{Class, Error, SessionLeft};
use crate::hsm::gate::Pass;
use crate::hsm::pool::{self, Doing, Retry, WorkerDesk};
use crate::hsm::seal;
use crate::hsm::session::{Epoch, WorkerSession};
use crate::hsm::stats::{Fault, PoolClass};
use crate::hsm::works::Works;

/// A thread's work, until the queue is closed or it is written off.
pub(in crate::hsm) fn work(works: &Arc<Works>, class: PoolClass, desk: &WorkerDesk) {
    let pool = works.pool(class);
    let mut seat = Seat {
        works: Arc::clone(works),
        session: None,
    };
    let mut share = VecDeque::new();
    let mut kept = Kept { since: None };
    while pool.queue.try_take(&mut share) || {
        kept.hand_over(desk);
        pool.queue.take(&mut share)
    } {
        desk.lay(&mut share);
        if !clear(works, class, desk, &mut seat, &mut kept) {
            break;
        }
    }
    drop(seat);
    pool.leave(desk);
}

/// Answers that lie on the desk: each is a wake-up of another thread, and several together are one.
struct Kept {
    /// When the first of their jobs began.
    since: Option<Instant>,
}

impl Kept {
    fn hand_over(&mut self, desk: &WorkerDesk) {
        if self.since.take().is_some() {
            pool::give(desk.hand_over());
        }
    }
}

/// Does what lies on the desk; false where the worker was written off.
fn clear(
    works: &Works,
    class: PoolClass,
    desk: &WorkerDesk,
    seat: &mut Seat,
    kept: &mut Kept,
) -> bool {
    let pool = works.pool(class);
    let is_last = || desk.load() == 1 && pool.queue.depth() == 0;
    while let Some(job) = desk.begin(|job| Doing::of(job, works.call_timeout)) {
        // Over the last job there is they are not kept: meanwhile those who get them bring the next.
        if kept.since.is_some() && (job.function.is_slow() || is_last()) {
            kept.hand_over(desk);
        }
        let begun = Instant::now();
        works.stats.waited(class, begun - job.submitted);
        let mut ended = begun;
        if job.deadline <= begun {
            job.answer.refuse(Error::Deadline);
            works.stats.failed(Fault::Of(Class::Pool), 1);
        } else {
            let function = job.function;
            // A job that panics answers Abandoned; its session may be mid-operation.
            let ran = catch_unwind(AssertUnwindSafe(|| (job.run)(seat)));
            let failed = match ran {
                Ok(done) => done.err().map(|error| Fault::from(&error)),
                Err(_) => {
                    seat.session = None;
                    Some(Fault::Of(Class::Pool))
                }
            };
            ended = Instant::now();
            works.stats.called(function, ended - begun, failed);
        }
        if !desk.end() {
            return false;
        }
        if ended - *kept.since.get_or_insert(begun) >= pool.keep {
            kept.hand_over(desk);
        }
    }
    true
}

/// A worker's place: its session, opened when needed and replaced when broken.
pub(in crate::hsm) struct Seat {
    works: Arc<Works>,
    session: Option<WorkerSession>,
}

impl Seat {
    /// Runs a job, cured once where that can be.
    pub fn run<T>(
        &mut self,
        deadline: Instant,
        retry: Retry,
        job: &mut impl FnMut(&WorkerSession) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let works = Arc::clone(&self.works);
        if let Some(why) = works.breaker.why() {
            return Err(Error::Unavailable(why));
        }
        let epoch = works.held.epoch();
        let pass = match works.held.loaded.enter() {
            Ok(pass) => pass,
            Err(error) => return Err(works.trip(error, epoch)),
        };
        if let Err(error) = self.session(&pass) {
            return Err(works.trip(error, epoch));
        }
        let error = match self.attempt(&pass, job) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let answer = match self.cure(&pass, epoch, error) {
            Cure::Answer(error) => return Err(error),
            Cure::Away(error) => return Err(works.trip(error, epoch)),
            Cure::Again(error) => error,
        };
        works
            .stats
            .cured(answer.session_left() != SessionLeft::Usable);
        if retry == Retry::Never || deadline <= Instant::now() {
            return Err(answer);
        }
        let epoch = works.held.epoch();
        match self.attempt(&pass, job) {
            Ok(value) => Ok(value),
            Err(error) if error.is_suspicious() && self.probe(&pass).is_err() => {
                Err(works.trip(error, epoch))
            }
            Err(error) => Err(error),
        }
    }

    fn attempt<T>(
        &mut self,
        pass: &Pass<'_>,
        job: &mut impl FnMut(&WorkerSession) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = self.session(pass)?;
        let done = job(session);
        if let Err(error) = &done {
            match error.session_left() {
                SessionLeft::Usable => {}
                SessionLeft::Stuck => self.session = None,
                SessionLeft::Gone => {
                    session.mark_dead();
                    self.session = None;
                }
            }
        }
        done
    }

    fn cure(&mut self, pass: &Pass<'_>, epoch: Epoch, error: Error) -> Cure {
        if !error.is_suspicious() {
            return Cure::Answer(error);
        }
        let session = self.session.as_ref();
        let login_lost = error.is_vague() && session.is_some_and(WorkerSession::login_is_lost);
        if error.session_left() == SessionLeft::Stuck {
            return Cure::Again(error);
        }
        // What failed may have been begun all the same: no session is used again after that.
        self.session = None;
        if error.is_curable() || login_lost {
            return match self.works.held.recover(pass, epoch) {
                Ok(()) => Cure::Again(error),
                Err(worse) => Cure::Away(worse),
            };
        }
        match self.probe(pass) {
            Ok(()) => Cure::Answer(error),
            Err(_) => Cure::Away(error),
        }
    }

    fn probe(&mut self, pass: &Pass<'_>) -> Result<(), Error> {
        self.attempt(pass, &mut seal::probe)
    }

    fn session(&mut self, pass: &Pass<'_>) -> Result<&mut WorkerSession, Error> {
        let held = &self.works.held;
        // In a new era the number of an old session is nobody's, or another's.
        self.session.take_if(|session| session.era() != pass.era());
        if let Some(session) = &mut self.session
            && !session.is_current()
        {
            session.renew();
        }
        match &mut self.session {
            Some(session) => Ok(session),
            empty => Ok(empty.insert(held.worker_session(pass)?)),
        }
    }
}

/// What is done about an error.
enum Cure {
    /// It is the answer.
    Answer(Error),
    /// What was broken is whole again; the job may run once more.
    Again(Error),
    /// The token does not serve.
    Away(Error),
}
