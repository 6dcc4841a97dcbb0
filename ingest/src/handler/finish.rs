//! A post whose body is whole runs to its end, even when hyper drops the handler because the peer has left: it may be in the
//! journal already, and then it must be counted as such.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::runtime::Handle;
use tokio::task::JoinSet;

/// Posts that go on without their connection; `None` once there shall be no more of them.
pub(crate) struct Detached(Mutex<Option<JoinSet<()>>>);

impl Default for Detached {
    fn default() -> Self {
        Self(Mutex::new(Some(JoinSet::new())))
    }
}

impl Detached {
    fn tasks(&self) -> MutexGuard<'_, Option<JoinSet<()>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        // Without a runtime nothing can go on: dropping the future counts the post by its fallback.
        let Ok(runtime) = Handle::try_current() else { return };
        if let Some(tasks) = self.tasks().as_mut() {
            while tasks.try_join_next().is_some() {}
            tasks.spawn_on(future, &runtime);
        }
    }

    /// Waits until all have ended.
    pub(crate) async fn join(&self) {
        while poll_fn(|context| self.tasks().as_mut().map_or(Poll::Ready(None), |tasks| tasks.poll_join_next(context))).await.is_some() {}
    }

    /// Ends those that have not ended, and all later ones at once.
    pub(crate) async fn end(&self) {
        let tasks = self.tasks().take();
        if let Some(mut tasks) = tasks {
            tasks.shutdown().await;
        }
    }
}

/// A future that is spawned rather than dropped when it is not done.
pub(crate) struct Finish<F: Future + Send + 'static> {
    future: Option<Pin<Box<F>>>,
    detached: Arc<Detached>,
}

impl<F: Future + Send + 'static> Finish<F> {
    pub(crate) fn new(detached: &Arc<Detached>, future: F) -> Self {
        Self { future: Some(Box::pin(future)), detached: Arc::clone(detached) }
    }
}

impl<F: Future + Send + 'static> Future for Finish<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        // Taken out while it is polled: one that panics is not polled again.
        let Some(mut future) = self.future.take() else { return Poll::Pending };
        let polled = future.as_mut().poll(context);
        if polled.is_pending() {
            self.future = Some(future);
        }
        polled
    }
}

impl<F: Future + Send + 'static> Drop for Finish<F> {
    fn drop(&mut self) {
        if let Some(future) = self.future.take() {
            self.detached.spawn(async move {
                future.await;
            });
        }
    }
}
