//! OS threads that own token sessions, fed by one bounded queue per class. A deadline is looked at
//! when a job is submitted and again when a worker takes it; a C call under way cannot be stopped.
//! No async here: a job's answer travels by a oneshot channel.

use std::collections::VecDeque;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::hsm::error::{Error, SessionLeft};
use crate::hsm::session::{Held, WorkerSession};
use crate::limits;

/// The answer to come of one token call. Dropping it is harmless: a job not yet begun is skipped,
/// one under way ends and its answer is wiped or discarded.
#[must_use = "a dropped job may never run"]
pub struct Job<T>(Answer<T>);

enum Answer<T> {
    Refused(Option<Error>),
    Coming(oneshot::Receiver<Result<T, Error>>),
}

impl<T> Job<T> {
    pub(in crate::hsm) fn refused(error: Error) -> Self {
        Self(Answer::Refused(Some(error)))
    }

    /// Waits on this thread; for callers without a runtime (it panics inside one).
    ///
    /// # Errors
    /// Whatever the job met, or why it did not run.
    pub fn wait(self) -> Result<T, Error> {
        match self.0 {
            Answer::Refused(error) => Err(error.unwrap_or(Error::Abandoned)),
            Answer::Coming(answer) => answer.blocking_recv().unwrap_or(Err(Error::Abandoned)),
        }
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Answer::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Abandoned))),
            Answer::Coming(answer) => Pin::new(answer)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(Error::Abandoned))),
        }
    }
}

/// Whether a job may run twice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::hsm) enum Retry {
    /// Nothing is left behind by a failed try.
    Once,
    /// A failed try may have made an object.
    Never,
}

/// One class of workers. Dropping it closes the queue: what waits is abandoned, and what runs is
/// waited for (a process that ends inside a call of SoftHSM crashes), but not for ever. The threads
/// themselves are waited for too: one whose own clean-up ran beside that of the whole process would
/// free the same memory of the module's library twice.
pub(in crate::hsm) struct Pool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts the workers; each opens its session at its first job, and takes up to `batch` jobs
    /// at a time: more than one pays only where a job is shorter than a thread's wake-up.
    pub fn start(
        name: &str,
        workers: usize,
        batch: usize,
        held: &Arc<Held>,
    ) -> Result<Self, Error> {
        let workers = workers.clamp(1, limits::POOL_WORKERS_MAX);
        let mut pool = Self {
            threads: Vec::with_capacity(workers),
            queue: Arc::new(Queue {
                waiting: Mutex::new(Waiting {
                    jobs: VecDeque::new(),
                    open: true,
                    working: workers,
                }),
                arrived: Condvar::new(),
                left: Condvar::new(),
                workers,
                batch,
            }),
        };
        for number in 0..workers {
            let queue = Arc::clone(&pool.queue);
            let held = Arc::clone(held);
            let thread = thread::Builder::new()
                .name(format!("hsm-{name}-{number}"))
                .spawn(move || work(&queue, held))
                .map_err(|_| {
                    // The drop below must not wait for those that never came.
                    pool.queue.lock().working -= workers - number;
                    Error::NoThread
                })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    /// Puts a job into the queue, or refuses it at once.
    pub fn submit<T, F>(&self, deadline: Instant, retry: Retry, mut job: F) -> Job<T>
    where
        T: Send + 'static,
        F: FnMut(&WorkerSession) -> Result<T, Error> + Send + 'static,
    {
        if deadline <= Instant::now() {
            return Job::refused(Error::Deadline);
        }
        let (send, answer) = oneshot::channel();
        let run = Box::new(move |turn: Turn<'_>| {
            let result = match turn {
                // Nobody waits any more.
                _ if send.is_closed() => return,
                Turn::Late => Err(Error::Deadline),
                Turn::At(seat) => seat.run(retry, &mut job),
            };
            // The caller may have gone meanwhile.
            let _ = send.send(result);
        });
        match self.queue.push(Queued { deadline, run }) {
            Ok(()) => Job(Answer::Coming(answer)),
            Err(error) => Job::refused(error),
        }
    }

    /// Jobs waiting.
    pub fn depth(&self) -> usize {
        self.queue.lock().jobs.len()
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut waiting = self.queue.lock();
        waiting.open = false;
        let abandoned = std::mem::take(&mut waiting.jobs);
        self.queue.arrived.notify_all();
        let left = self
            .queue
            .left
            .wait_timeout_while(waiting, limits::DRAIN_MAX, |waiting| waiting.working > 0);
        let all_left = match left {
            Ok((waiting, _)) => waiting.working == 0,
            Err(_) => false,
        };
        drop(abandoned);
        let own = thread::current().id();
        for thread in self.threads.drain(..) {
            // One that hangs in the module is left behind; a worker that drops the pool is none to
            // wait for.
            if all_left && thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }
}

struct Queue {
    waiting: Mutex<Waiting>,
    arrived: Condvar,
    left: Condvar,
    workers: usize,
    batch: usize,
}

struct Waiting {
    jobs: VecDeque<Queued>,
    open: bool,
    working: usize,
}

struct Queued {
    deadline: Instant,
    run: Box<dyn FnOnce(Turn<'_>) + Send>,
}

enum Turn<'a> {
    Late,
    At(&'a mut Seat),
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Queued) -> Result<(), Error> {
        let mut waiting = self.lock();
        if !waiting.open {
            return Err(Error::Abandoned);
        }
        if waiting.jobs.len() >= limits::POOL_QUEUE_MAX {
            return Err(Error::QueueFull);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.arrived.notify_one();
        Ok(())
    }

    /// Waits for jobs and moves this worker's share of them, a few at a time, so that the lock and
    /// the wake-up are paid once; `None` when the pool is closed.
    fn take(&self, batch: &mut VecDeque<Queued>) -> Option<()> {
        let mut waiting = self.lock();
        while waiting.jobs.is_empty() {
            if !waiting.open {
                return None;
            }
            waiting = self
                .arrived
                .wait(waiting)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let share = waiting.jobs.len().div_ceil(self.workers);
        batch.extend(waiting.jobs.drain(..share.min(self.batch)));
        Some(())
    }
}

fn work(queue: &Queue, held: Arc<Held>) {
    let mut seat = Seat {
        held,
        session: None,
    };
    let mut batch = VecDeque::with_capacity(queue.batch);
    while queue.take(&mut batch).is_some() {
        for job in batch.drain(..) {
            if !queue.lock().open {
                break;
            }
            let turn = if job.deadline <= Instant::now() {
                Turn::Late
            } else {
                Turn::At(&mut seat)
            };
            // A job that panics answers Abandoned; its session may be mid-operation.
            if catch_unwind(AssertUnwindSafe(|| (job.run)(turn))).is_err() {
                seat.session = None;
            }
        }
    }
    drop(seat);
    queue.lock().working -= 1;
    queue.left.notify_all();
}

/// A worker's place: its session, opened when needed and replaced when broken.
struct Seat {
    held: Arc<Held>,
    session: Option<WorkerSession>,
}

impl Seat {
    fn run<T>(
        &mut self,
        retry: Retry,
        job: &mut impl FnMut(&WorkerSession) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let session = self.session()?;
        let epoch = session.epoch();
        let error = match job(session) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        let curable = error.is_curable() || (error.is_vague() && session.login_is_lost());
        if !curable {
            return Err(error);
        }
        match error.session_left() {
            SessionLeft::Usable => self.held.recover(epoch)?,
            SessionLeft::Stuck => self.session = None,
            SessionLeft::Gone => {
                session.mark_dead();
                self.session = None;
                self.held.recover(epoch)?;
            }
        }
        if retry == Retry::Never {
            return Err(error);
        }
        job(self.session()?)
    }

    fn session(&mut self) -> Result<&mut WorkerSession, Error> {
        if let Some(session) = &mut self.session
            && !session.is_current()
        {
            session.renew();
        }
        match &mut self.session {
            Some(session) => Ok(session),
            empty => Ok(empty.insert(self.held.worker_session()?)),
        }
    }
}
