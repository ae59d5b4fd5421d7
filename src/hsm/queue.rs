//! The bounded queue of one class of workers. It is open, shut while the token is away, or closed for
//! good; what waits when it is shut or closed is handed back, so that it can be answered.
//!
//! Knows nothing of jobs, tokens or deadlines.

use std::collections::VecDeque;

use crate::hsm::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// A queue with `workers` takers, who each take their share, `batch` at most.
pub(in crate::hsm) struct Queue<J> {
    state: Mutex<State<J>>,
    arrived: Condvar,
    max: usize,
    workers: usize,
    batch: usize,
}

struct State<J> {
    jobs: VecDeque<J>,
    door: Door,
    /// Takers asleep: a wake-up that nobody sleeps for is a system call for nothing.
    asleep: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Door {
    Open,
    Shut,
    Closed,
}

/// Why a job was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::hsm) enum Refused {
    /// Every place is taken.
    Full,
    /// The token is away.
    Shut,
    /// For good.
    Closed,
}

impl<J> Queue<J> {
    /// An open one.
    pub fn new(max: usize, workers: usize, batch: usize) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                door: Door::Open,
                asleep: 0,
            }),
            arrived: Condvar::new(),
            max,
            workers: workers.max(1),
            batch: batch.max(1),
        }
    }

    /// Puts a job in, or hands it back.
    pub fn push(&self, job: J) -> Result<(), (Refused, J)> {
        let mut state = self.lock();
        match state.door {
            Door::Shut => return Err((Refused::Shut, job)),
            Door::Closed => return Err((Refused::Closed, job)),
            Door::Open if state.jobs.len() >= self.max => return Err((Refused::Full, job)),
            Door::Open => {}
        }
        state.jobs.push_back(job);
        let wake = state.asleep > 0;
        drop(state);
        if wake {
            self.arrived.notify_one();
        }
        Ok(())
    }

    /// Waits for jobs and takes this worker's share, so that the lock and the wake-up are paid once for
    /// several; `false` when the queue is closed.
    pub fn take(&self, share: &mut VecDeque<J>) -> bool {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.door == Door::Closed {
                return false;
            }
            state.asleep += 1;
            let waited = self.arrived.wait(state);
            state = waited.unwrap_or_else(PoisonError::into_inner);
            state.asleep -= 1;
        }
        self.share(&mut state, share)
    }

    /// The same without waiting; `false` when there is nothing.
    pub fn try_take(&self, share: &mut VecDeque<J>) -> bool {
        self.share(&mut self.lock(), share)
    }

    fn share(&self, state: &mut State<J>, share: &mut VecDeque<J>) -> bool {
        let count = state.jobs.len().div_ceil(self.workers).min(self.batch);
        share.extend(state.jobs.drain(..count));
        count > 0
    }

    /// Takes no more until opened; hands back what waits.
    #[must_use = "what waited must be answered"]
    pub fn shut(&self) -> VecDeque<J> {
        let mut state = self.lock();
        if state.door == Door::Open {
            state.door = Door::Shut;
        }
        std::mem::take(&mut state.jobs)
    }

    /// Takes jobs again, unless closed.
    pub fn open(&self) {
        let mut state = self.lock();
        if state.door == Door::Shut {
            state.door = Door::Open;
        }
    }

    /// Takes no more, and sends the workers home; hands back what waits.
    #[must_use = "what waited must be answered"]
    pub fn close(&self) -> VecDeque<J> {
        let mut state = self.lock();
        state.door = Door::Closed;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        self.arrived.notify_all();
        jobs
    }

    /// Jobs that wait.
    pub fn depth(&self) -> usize {
        self.lock().jobs.len()
    }

    fn lock(&self) -> MutexGuard<'_, State<J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
