//! A worker's desk: the jobs it has taken and the one it is at, where the supervisor can see them.
//! A C call can't be stopped: a worker that hangs in one is written off with all that lies on its
//! desk, and whatever it brings back is nobody's any more.
//!
//! Knows nothing of PKCS#11.

use std::collections::VecDeque;

use crate::hsm::sync::{Mutex, MutexGuard, PoisonError};

/// One per worker thread. `J` is a job, `D` what can be seen of the one under way.
pub(in crate::hsm) struct Desk<J, D> {
    state: Mutex<State<J, D>>,
}

struct State<J, D> {
    waiting: VecDeque<J>,
    doing: Option<D>,
    done: Vec<D>,
    written_off: bool,
}

/// What lay on the desk of a worker that was written off.
pub(in crate::hsm) struct Left<J, D> {
    /// What it hangs in.
    pub doing: D,
    /// Not begun.
    pub waiting: VecDeque<J>,
    /// Ended, and not handed over yet.
    pub done: Vec<D>,
}

impl<J, D> Desk<J, D> {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                doing: None,
                done: Vec::new(),
                written_off: false,
            }),
        }
    }

    /// Puts what the worker has taken on it.
    pub fn lay(&self, jobs: &mut VecDeque<J>) {
        self.lock().waiting.append(jobs);
    }

    /// Begins the next job; `None` when there is none.
    pub fn begin(&self, seen: impl FnOnce(&J) -> D) -> Option<J> {
        let mut state = self.lock();
        let job = state.waiting.pop_front()?;
        state.doing = Some(seen(&job));
        Some(job)
    }

    /// Ends the job, to be handed over; `false` when the worker was written off meanwhile and must go.
    pub fn end(&self) -> bool {
        let mut state = self.lock();
        let doing = state.doing.take();
        state.done.extend(doing);
        !state.written_off
    }

    /// What has ended since the last time. The worker hands over several at once, because each is a
    /// wake-up; whoever finds that it is late does it for it.
    #[must_use = "what has ended must be answered"]
    pub fn hand_over(&self) -> Vec<D> {
        std::mem::take(&mut self.lock().done)
    }

    /// Writes the worker off if what it is at is overdue: hands back all that lies here.
    pub fn write_off(&self, is_overdue: impl FnOnce(&D) -> bool) -> Option<Left<J, D>> {
        let mut state = self.lock();
        if state.written_off || !state.doing.as_ref().is_some_and(is_overdue) {
            return None;
        }
        state.written_off = true;
        Some(Left {
            doing: state.doing.take()?,
            waiting: std::mem::take(&mut state.waiting),
            done: std::mem::take(&mut state.done),
        })
    }

    /// Hands back what waits, without the job under way.
    #[must_use = "what waited must be answered"]
    pub fn clear(&self) -> VecDeque<J> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// Jobs on it that have not ended.
    pub fn load(&self) -> usize {
        let state = self.lock();
        state.waiting.len() + usize::from(state.doing.is_some())
    }

    /// Whether the worker was written off.
    pub fn is_written_off(&self) -> bool {
        self.lock().written_off
    }

    fn lock(&self) -> MutexGuard<'_, State<J, D>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
