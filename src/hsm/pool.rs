//! One class of OS threads that own token sessions, fed by a bounded queue. A deadline is looked at
//! when a job is submitted and again when a worker takes it; a C call under way cannot be stopped, so
//! a worker that hangs in one is written off: its caller is answered, and the thread, should it come
//! back, goes home. No async here: a job's answer travels by a oneshot channel.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::hsm::desk::Desk;
use crate::hsm::error::{Error, Why};
use crate::hsm::function::Function;
use crate::hsm::queue::{Queue, Refused};
use crate::hsm::session::WorkerSession;
use crate::hsm::worker::Seat;
use crate::limits;

/// The answer to come of one token call. Dropping it is harmless: a job not yet begun is skipped,
/// one under way ends and its answer is wiped or discarded.
#[must_use = "a dropped job may never run"]
pub struct Job<T>(Coming<T>);

enum Coming<T> {
    Refused(Option<Error>),
    Answer(oneshot::Receiver<Result<T, Error>>),
}

impl<T> Job<T> {
    pub(in crate::hsm) fn refused(error: Error) -> Self {
        Self(Coming::Refused(Some(error)))
    }

    /// Waits on this thread; for callers without a runtime (it panics inside one).
    ///
    /// # Errors
    /// Whatever the job met, or why it did not run.
    pub fn wait(self) -> Result<T, Error> {
        match self.0 {
            Coming::Refused(error) => Err(error.unwrap_or(Error::Abandoned)),
            Coming::Answer(answer) => answer.blocking_recv().unwrap_or(Err(Error::Abandoned)),
        }
    }
}

impl<T> Future for Job<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Coming::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Abandoned))),
            Coming::Answer(answer) => Pin::new(answer)
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

/// Who answers the caller: the worker, or the supervisor for it.
pub(in crate::hsm) trait Answer: Send + Sync {
    /// Gives what the job has brought, if anything.
    fn give(&self);

    /// Refuses, unless there is an answer.
    fn refuse(&self, error: Error);
}

/// The one answer: the first is kept, and given once.
struct Reply<T>(Mutex<Owed<T>>);

enum Owed<T> {
    Answer(oneshot::Sender<Result<T, Error>>),
    Delivery(oneshot::Sender<Result<T, Error>>, Result<T, Error>),
    Nothing,
}

impl<T> Reply<T> {
    /// Lays an answer ready.
    fn settle(&self, answer: Result<T, Error>) {
        let mut owed = self.lock();
        *owed = match std::mem::replace(&mut *owed, Owed::Nothing) {
            Owed::Answer(sender) => Owed::Delivery(sender, answer),
            settled => settled,
        };
    }

    /// False when the caller has gone or was answered.
    fn is_awaited(&self) -> bool {
        matches!(&*self.lock(), Owed::Answer(sender) if !sender.is_closed())
    }

    fn lock(&self) -> MutexGuard<'_, Owed<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send> Answer for Reply<T> {
    fn give(&self) {
        let owed = std::mem::replace(&mut *self.lock(), Owed::Nothing);
        if let Owed::Delivery(sender, answer) = owed {
            // The caller may have gone meanwhile.
            let _ = sender.send(answer);
        }
    }

    fn refuse(&self, error: Error) {
        self.settle(Err(error));
        self.give();
    }
}

/// A job that waits.
pub(in crate::hsm) struct Queued {
    pub function: Function,
    pub deadline: Instant,
    pub submitted: Instant,
    pub answer: Arc<dyn Answer>,
    pub run: Run,
}

/// Runs a job at a worker's seat and lays its answer ready; tells what was met where it failed.
type Run = Box<dyn FnOnce(&mut Seat) -> Result<(), Error> + Send>;

/// What the supervisor sees of a job under way.
pub(in crate::hsm) struct Doing {
    pub until: Instant,
    pub answer: Arc<dyn Answer>,
}

/// A worker's desk.
pub(in crate::hsm) type WorkerDesk = Desk<Queued, Doing>;

/// One class of workers.
pub(in crate::hsm) struct Pool {
    pub queue: Queue<Queued>,
    /// How long a worker that has more to do keeps an answer.
    pub keep: Duration,
    workers: usize,
    staff: Mutex<Staff>,
    left: Condvar,
    lost: AtomicUsize,
}

struct Staff {
    desks: Vec<Arc<WorkerDesk>>,
    threads: Vec<JoinHandle<()>>,
    working: usize,
}

impl Pool {
    /// A queue without workers yet. Each worker takes up to `batch` jobs at a time: more than one pays
    /// only where a job is shorter than a thread's wake-up.
    pub fn new(workers: usize, batch: usize, keep: Duration) -> Self {
        let workers = workers.clamp(1, limits::POOL_WORKERS_MAX);
        Self {
            queue: Queue::new(limits::POOL_QUEUE_MAX, workers, batch),
            keep,
            workers,
            staff: Mutex::new(Staff {
                desks: Vec::with_capacity(workers),
                threads: Vec::with_capacity(workers),
                working: 0,
            }),
            left: Condvar::new(),
            lost: AtomicUsize::new(0),
        }
    }

    /// Starts as many workers as are wanting.
    pub fn replenish(
        &self,
        name: &str,
        work: impl Fn(&WorkerDesk) + Clone + Send + 'static,
    ) -> Result<(), Error> {
        let mut staff = self.staff();
        staff.desks.retain(|desk| !desk.is_written_off());
        staff.threads.retain(|thread| !thread.is_finished());
        for number in staff.desks.len()..self.workers {
            let desk = Arc::new(Desk::new());
            let (work, own) = (work.clone(), Arc::clone(&desk));
            let thread = thread::Builder::new()
                .name(format!("hsm-{name}-{number}"))
                .spawn(move || work(&own))
                .map_err(|_| Error::NoThread)?;
            staff.desks.push(desk);
            staff.threads.push(thread);
            staff.working += 1;
        }
        Ok(())
    }

    /// Puts a job into the queue, or refuses it at once; `why` says why the queue is shut.
    pub fn submit<T, F>(
        &self,
        function: Function,
        deadline: Instant,
        retry: Retry,
        mut job: F,
        why: impl FnOnce() -> Option<Why>,
    ) -> Job<T>
    where
        T: Send + 'static,
        F: FnMut(&WorkerSession) -> Result<T, Error> + Send + 'static,
    {
        let submitted = Instant::now();
        if deadline <= submitted {
            return Job::refused(Error::Deadline);
        }
        let (send, answer) = oneshot::channel();
        let reply = Arc::new(Reply(Mutex::new(Owed::Answer(send))));
        let own = Arc::clone(&reply);
        let run = move |seat: &mut Seat| {
            // Nobody waits any more.
            if !own.is_awaited() {
                return Ok(());
            }
            match seat.run(deadline, retry, &mut job) {
                Ok(value) => {
                    own.settle(Ok(value));
                    Ok(())
                }
                Err(error) => {
                    own.settle(Err(error.clone()));
                    Err(error)
                }
            }
        };
        let queued = Queued {
            function,
            deadline,
            submitted,
            answer: reply,
            run: Box::new(run),
        };
        match self.queue.push(queued) {
            Ok(()) => Job(Coming::Answer(answer)),
            Err((Refused::Full, _)) => Job::refused(Error::QueueFull),
            Err((Refused::Closed, _)) => Job::refused(Error::Abandoned),
            Err((Refused::Shut, _)) => {
                Job::refused(why().map_or(Error::Abandoned, Error::Unavailable))
            }
        }
    }

    /// Writes off the workers whose call is overdue and answers for them; how many there were. What
    /// the others have done is handed over, in case they hang.
    pub fn write_off(&self, now: Instant) -> usize {
        let mut staff = self.staff();
        let (mut hung, mut done) = (Vec::new(), Vec::new());
        for desk in &staff.desks {
            hung.extend(desk.write_off(|doing| doing.until <= now));
            done.extend(desk.hand_over());
        }
        staff.working -= hung.len();
        self.lost.fetch_add(hung.len(), Ordering::Relaxed);
        drop(staff);
        give(done);
        let count = hung.len();
        for left in hung {
            give(left.done);
            left.doing.answer.refuse(Error::Hung);
            refuse(left.waiting, &Error::Hung);
        }
        count
    }

    /// Refuses everything that waits, in the queue and on desks, until opened again.
    pub fn shut(&self) -> Vec<Queued> {
        let mut waiting = Vec::from(self.queue.shut());
        for desk in &self.staff().desks {
            waiting.extend(desk.clear());
        }
        waiting
    }

    /// A worker's last word: whether it was written off or sent home.
    pub fn leave(&self, desk: &WorkerDesk) {
        if desk.is_written_off() {
            self.lost.fetch_sub(1, Ordering::Relaxed);
        } else {
            self.staff().working -= 1;
            self.left.notify_all();
        }
    }

    /// Closes the queue: what waits is abandoned, and what runs is waited for (a process that ends
    /// inside a call of SoftHSM crashes), but not for ever. The threads themselves are waited for too:
    /// one whose own clean-up ran beside that of the whole process would free the same memory of the
    /// module's library twice.
    pub fn close(&self) {
        refuse(self.queue.close(), &Error::Abandoned);
        let staff = self.staff();
        for desk in &staff.desks {
            refuse(desk.clear(), &Error::Abandoned);
        }
        let left = self
            .left
            .wait_timeout_while(staff, limits::DRAIN_MAX, |staff| staff.working > 0);
        let (mut staff, _) = left.unwrap_or_else(PoisonError::into_inner);
        let all_left = staff.working == 0 && self.lost() == 0;
        let threads = std::mem::take(&mut staff.threads);
        drop(staff);
        let own = thread::current().id();
        for thread in threads {
            // One that hangs in the module is left behind; a worker that drops the pool is none to
            // wait for.
            if (all_left || thread.is_finished()) && thread.thread().id() != own {
                let _ = thread.join();
            }
        }
    }

    /// Jobs waiting.
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }

    /// Jobs waiting and under way.
    pub fn load(&self) -> usize {
        let desks: usize = self.staff().desks.iter().map(|desk| desk.load()).sum();
        self.queue.depth() + desks
    }

    /// Threads that hang in a call.
    pub fn lost(&self) -> usize {
        self.lost.load(Ordering::Relaxed)
    }

    fn staff(&self) -> MutexGuard<'_, Staff> {
        self.staff.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Doing {
    /// Of a job that begins now.
    pub fn of(job: &Queued, call_timeout: Duration) -> Self {
        Self {
            until: Instant::now() + job.function.patience(call_timeout),
            answer: Arc::clone(&job.answer),
        }
    }
}

/// Hands over what jobs have brought.
pub(in crate::hsm) fn give(done: impl IntoIterator<Item = Doing>) {
    for job in done {
        job.answer.give();
    }
}

/// Answers jobs that will not run.
pub(in crate::hsm) fn refuse(jobs: impl IntoIterator<Item = Queued>, error: &Error) {
    for job in jobs {
        job.answer.refuse(error.clone());
    }
}
