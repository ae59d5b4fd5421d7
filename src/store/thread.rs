//! Threads that own connections: a bounded queue in front of each pool, and a deadline on each job
//! that is looked at before the job touches the file.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::limits;
use crate::store::error::Error;
use crate::store::reply::Reply;

/// A connection that a pool can own.
pub(in crate::store) trait Connection: Send + 'static {
    /// How long the next job may wait for the file's own locks.
    fn set_patience(&self, patience: Duration) -> Result<(), Error>;
}

/// Threads that share one queue, each with its own connection. Dropping it lets the jobs already
/// queued end, then closes the connections.
pub(in crate::store) struct Pool<C> {
    queue: Option<SyncSender<Job<C>>>,
    threads: Vec<JoinHandle<()>>,
}

type Job<C> = Box<dyn FnOnce(&mut C) + Send>;

impl<C: Connection> Pool<C> {
    pub(in crate::store) fn start(name: &str, connections: Vec<C>) -> Result<Self, Error> {
        let (queue, jobs) = sync_channel::<Job<C>>(limits::STORE_QUEUE_MAX);
        let jobs = Arc::new(Mutex::new(jobs));
        let mut pool = Self {
            queue: Some(queue),
            threads: Vec::new(),
        };
        for mut connection in connections {
            let jobs = Arc::clone(&jobs);
            let thread = std::thread::Builder::new()
                .name(name.to_owned())
                .spawn(move || {
                    while let Some(job) = next(&jobs) {
                        job(&mut connection);
                    }
                })
                .map_err(|source| Error::File {
                    path: name.into(),
                    source,
                })?;
            pool.threads.push(thread);
        }
        Ok(pool)
    }

    pub(in crate::store) fn submit<T: Send + 'static>(
        &self,
        deadline: Instant,
        call: impl FnOnce(&mut C) -> Result<T, Error> + Send + 'static,
    ) -> Reply<T> {
        let (answer, receiver) = oneshot::channel();
        let job: Job<C> = Box::new(move |connection| {
            let result = match deadline.checked_duration_since(Instant::now()) {
                None => Err(Error::Deadline),
                Some(left) => connection
                    .set_patience(left)
                    .and_then(|()| call(connection)),
            };
            // The caller may have gone; nobody else wants the answer.
            let _ = answer.send(result);
        });
        let Some(queue) = &self.queue else {
            return Reply::refused(deadline, Error::Stopped);
        };
        match queue.try_send(job) {
            Ok(()) => Reply::waiting(deadline, receiver),
            Err(TrySendError::Full(_)) => Reply::refused(deadline, Error::QueueFull),
            Err(TrySendError::Disconnected(_)) => Reply::refused(deadline, Error::Stopped),
        }
    }
}

impl<C> Drop for Pool<C> {
    fn drop(&mut self) {
        self.queue = None;
        for thread in self.threads.drain(..) {
            // A panic in a job was already answered to its caller as `Stopped`.
            let _ = thread.join();
        }
    }
}

fn next<C>(jobs: &Mutex<Receiver<Job<C>>>) -> Option<Job<C>> {
    jobs.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}
