//! What waits for the journal's thread: bounded in count, taken all at once.
//!
//! The async side waits for room; the thread waits on a condition variable and takes everything that came meanwhile under one lock, which
//! is what makes the next group.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Semaphore, oneshot};

use super::{Append, AppendError, Appended};

/// A post that waits and whom to tell.
pub(crate) struct Job {
    pub(crate) post: Append,
    /// The received time as it will be written; set with the position.
    pub(crate) received_ns: u64,
    pub(crate) done: oneshot::Sender<Result<Appended, AppendError>>,
}

/// What else the thread is asked to do.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Errands {
    /// Try again to make a segment: there may be room, or the disk may be well.
    pub(crate) retry: bool,
    /// Finish the active segment, which is old, and begin another.
    pub(crate) rotate: bool,
}

/// What the thread woke for.
pub(crate) struct Taken {
    pub(crate) errands: Errands,
    /// No more will come after the jobs taken with this.
    pub(crate) stopped: bool,
}

pub(crate) struct Queue {
    inner: Mutex<Inner>,
    woken: Condvar,
    room: Semaphore,
}

#[derive(Default)]
struct Inner {
    jobs: VecDeque<Job>,
    errands: Errands,
    stopped: bool,
    /// The thread waits for something to do.
    #[cfg(test)]
    idle: bool,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self { inner: Mutex::default(), woken: Condvar::new(), room: Semaphore::new(JOBS_MAX) }
    }

    /// Waits for room and leaves the post with the thread. Cancel safe: a future that is dropped has left nothing.
    pub(crate) async fn push(&self, post: Append) -> Result<oneshot::Receiver<Result<Appended, AppendError>>, AppendError> {
        let permit = self.room.acquire().await.map_err(|_| AppendError::Stopped)?;
        let (done, receiver) = oneshot::channel();
        let mut inner = self.lock();
        if inner.stopped {
            return Err(AppendError::Stopped);
        }
        permit.forget();
        inner.jobs.push_back(Job { post, received_ns: 0, done });
        drop(inner);
        self.woken.notify_one();
        Ok(receiver)
    }

    /// Leaves posts with the thread under one lock, so that they make one group.
    #[cfg(test)]
    pub(crate) fn push_together(&self, posts: Vec<Append>) -> Vec<oneshot::Receiver<Result<Appended, AppendError>>> {
        let mut inner = self.lock();
        let waiting = posts.into_iter().map(|post| {
            self.room.forget_permits(1);
            let (done, receiver) = oneshot::channel();
            inner.jobs.push_back(Job { post, received_ns: 0, done });
            receiver
        });
        let waiting = waiting.collect();
        drop(inner);
        self.woken.notify_one();
        waiting
    }

    /// Whether everything asked for is done.
    #[cfg(test)]
    pub(crate) fn is_idle(&self) -> bool {
        let inner = self.lock();
        inner.idle && inner.jobs.is_empty() && !inner.errands.retry && !inner.errands.rotate
    }

    /// Asks for an errand.
    pub(crate) fn ask(&self, errands: Errands) {
        let mut inner = self.lock();
        inner.errands.retry |= errands.retry;
        inner.errands.rotate |= errands.rotate;
        drop(inner);
        self.woken.notify_one();
    }

    /// From now on nothing is taken in.
    pub(crate) fn stop(&self) {
        self.lock().stopped = true;
        self.room.close();
        self.woken.notify_one();
    }

    /// Waits for something to do and takes all of it.
    pub(crate) fn take(&self, jobs: &mut VecDeque<Job>) -> Taken {
        let mut inner = self.lock();
        while inner.jobs.is_empty() && !inner.stopped && !inner.errands.retry && !inner.errands.rotate {
            #[cfg(test)]
            {
                inner.idle = true;
            }
            inner = self.woken.wait(inner).unwrap_or_else(PoisonError::into_inner);
        }
        #[cfg(test)]
        {
            inner.idle = false;
        }
        std::mem::swap(&mut inner.jobs, jobs);
        let taken = Taken { errands: std::mem::take(&mut inner.errands), stopped: inner.stopped };
        drop(inner);
        self.room.add_permits(jobs.len());
        taken
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// More than this many posts never wait here; the rest waits in its own tasks.
const JOBS_MAX: usize = 1024;
