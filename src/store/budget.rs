//! Budgets: how often something was tried in a period, kept in the store so that all its servers
//! share them. What waits is written together, many in one transaction.
//!
//! The store knows nothing of what a budget is of: a subject is 32 bytes, and a period ends. Rows
//! are not authenticated: whoever can write the store can forget tries (threat model).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::limits;
use crate::store::Store;
use crate::store::error::Error;
use crate::store::reply::Reply;

/// One budget, and how much of it there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Of what: every name it has. The highest count of any of them is the budget's.
    pub subjects: Vec<[u8; 32]>,
    /// When its period ends, seconds since 1970. Another period is another budget.
    pub ends: u64,
    /// How many tries it allows.
    pub most: u32,
}

/// What came of a reservation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// One try is taken off every budget.
    Taken,
    /// One of them is used up, and nothing is taken off any.
    Refused,
}

/// What waits to be written.
#[derive(Default)]
pub(in crate::store) struct Queue(Mutex<Vec<Waiting>>);

/// One call's reservation, or its return.
pub(in crate::store) struct Waiting {
    pub(in crate::store) budgets: Vec<Budget>,
    pub(in crate::store) give_back: bool,
    pub(in crate::store) deadline: Instant,
    pub(in crate::store) now: u64,
    answer: oneshot::Sender<Result<Reservation, Error>>,
}

impl Waiting {
    /// Answers; whoever asked may have gone.
    pub(in crate::store) fn answer(self, answer: Result<Reservation, Error>) {
        let _ = self.answer.send(answer);
    }
}

impl Queue {
    /// Everything that waits, in its order.
    fn take(&self) -> Vec<Waiting> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Store {
    /// Takes one try off every budget, or off none. Once it is taken it stays so, also where the
    /// answer comes too late, until [`Store::give_back`].
    ///
    /// # Errors
    /// [`Error::QueueFull`], [`Error::Deadline`], or what SQLite answered; then nothing was taken, or
    /// it is not known and counts as taken.
    pub fn reserve(&self, deadline: Instant, budgets: Vec<Budget>, now: u64) -> Reply<Reservation> {
        self.put(deadline, budgets, now, false)
    }

    /// Puts one try back to every budget, once for each [`Reservation::Taken`]. It is in the queue
    /// when this returns: what is reserved later finds it done.
    ///
    /// # Errors
    /// As [`Store::reserve`]; then the try stays taken.
    pub fn give_back(
        &self,
        deadline: Instant,
        budgets: Vec<Budget>,
        now: u64,
    ) -> Reply<Reservation> {
        self.put(deadline, budgets, now, true)
    }

    fn put(
        &self,
        deadline: Instant,
        budgets: Vec<Budget>,
        now: u64,
        give_back: bool,
    ) -> Reply<Reservation> {
        let (answer, receiver) = oneshot::channel();
        let waiting = Waiting {
            budgets,
            give_back,
            deadline,
            now,
            answer,
        };
        let queue = &self.inner.budgets;
        {
            let mut waits = queue.0.lock().unwrap_or_else(PoisonError::into_inner);
            if waits.len() >= limits::BUDGET_QUEUE_MAX {
                return Reply::refused(deadline, Error::QueueFull);
            }
            waits.push(waiting);
            if waits.len() > 1 {
                // The job that the first of them queued takes this one along.
                return Reply::waiting(deadline, receiver);
            }
        }
        let errand = Errand {
            queue: Arc::clone(queue),
            done: false,
        };
        let longest = Instant::now() + limits::DEADLINE_MAX;
        // Each of those who wait is answered by itself.
        drop(self.inner.writer.submit(longest, move |writer| {
            writer.spend(errand.take());
            Ok(())
        }));
        Reply::waiting(deadline, receiver)
    }
}

/// What a job of the writer takes along. A job that is never run answers those who wait all the
/// same: otherwise they, and whoever comes after them, would wait for nobody.
struct Errand {
    queue: Arc<Queue>,
    done: bool,
}

impl Errand {
    fn take(mut self) -> Vec<Waiting> {
        self.done = true;
        self.queue.take()
    }
}

impl Drop for Errand {
    fn drop(&mut self) {
        if !self.done {
            for waiting in self.queue.take() {
                waiting.answer(Err(Error::Budgets));
            }
        }
    }
}
