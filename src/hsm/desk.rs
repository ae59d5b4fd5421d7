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
    written_off: bool,
}

impl<J, D> Desk<J, D> {
    /// An empty one.
    pub fn new() -> Self {
        Self {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                doing: None,
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

    /// Ends the job; `false` when the worker was written off meanwhile and must go.
    pub fn end(&self) -> bool {
        let mut state = self.lock();
        state.doing = None;
        !state.written_off
    }

    /// Writes the worker off if what it is at is overdue: hands back that and what waits.
    pub fn write_off(&self, is_overdue: impl FnOnce(&D) -> bool) -> Option<(D, VecDeque<J>)> {
        let mut state = self.lock();
        if state.written_off || !state.doing.as_ref().is_some_and(is_overdue) {
            return None;
        }
        state.written_off = true;
        let doing = state.doing.take()?;
        Some((doing, std::mem::take(&mut state.waiting)))
    }

    /// Hands back what waits, without the job under way.
    #[must_use = "what waited must be answered"]
    pub fn clear(&self) -> VecDeque<J> {
        std::mem::take(&mut self.lock().waiting)
    }

    /// Jobs on it, the one under way included.
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
