//! The answer to come of one store call: a future, or a blocking wait for those without a runtime.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::Instant;

use tokio::sync::oneshot;

use crate::store::error::Error;

/// One answer to come. Dropping it does not stop a write that has begun.
#[must_use = "a reply does nothing unless awaited or waited for"]
pub struct Reply<T> {
    deadline: Instant,
    state: State<T>,
}

enum State<T> {
    Refused(Option<Error>),
    Waiting(oneshot::Receiver<Result<T, Error>>),
}

impl<T> Reply<T> {
    pub(in crate::store) fn refused(deadline: Instant, error: Error) -> Self {
        Self {
            deadline,
            state: State::Refused(Some(error)),
        }
    }

    pub(in crate::store) fn waiting(
        deadline: Instant,
        receiver: oneshot::Receiver<Result<T, Error>>,
    ) -> Self {
        Self {
            deadline,
            state: State::Waiting(receiver),
        }
    }

    /// Blocks this thread until the answer or the call's deadline.
    ///
    /// # Errors
    /// What the store answered, or [`Error::Deadline`].
    pub fn wait(mut self) -> Result<T, Error> {
        let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(answer) = Pin::new(&mut self).poll(&mut context) {
                return answer;
            }
            let Some(left) = self.deadline.checked_duration_since(Instant::now()) else {
                return Err(Error::Deadline);
            };
            std::thread::park_timeout(left);
        }
    }
}

impl<T> Future for Reply<T> {
    type Output = Result<T, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.state {
            State::Refused(error) => Poll::Ready(Err(error.take().unwrap_or(Error::Stopped))),
            State::Waiting(receiver) => Pin::new(receiver)
                .poll(context)
                .map(|answer| answer.unwrap_or(Err(Error::Stopped))),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
