//! How the server's tasks learn that it stops, and how it learns that they have ended. No task outlives the server.

use std::convert::Infallible;

use tokio::sync::{mpsc, watch};

/// How far the stop has gone.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Run {
    /// Not at all.
    Serving,
    /// Nothing new; what is open is finished.
    Stopping,
    /// What is open is dropped.
    Cut,
}

/// Held by every task.
#[derive(Clone)]
pub(crate) struct Life {
    run: watch::Receiver<Run>,
    open: mpsc::Sender<Infallible>,
}

/// Held by the server. Dropping it cuts all tasks.
pub(crate) struct Lives {
    run: watch::Sender<Run>,
    ended: mpsc::Receiver<Infallible>,
}

/// A server's life, and the first task's share in it.
pub(crate) fn begin() -> (Lives, Life) {
    let (run_sender, run) = watch::channel(Run::Serving);
    let (open, ended) = mpsc::channel(1);
    (Lives { run: run_sender, ended }, Life { run, open })
}

impl Lives {
    /// Tells all tasks.
    pub(crate) fn tell(&self, run: Run) {
        self.run.send_replace(run);
    }

    /// Waits until every task has ended.
    pub(crate) async fn ended(&mut self) {
        // Nothing is ever sent: this returns when the last sender is gone.
        let _: Option<Infallible> = self.ended.recv().await;
    }
}

impl Life {
    /// Waits until the stop has gone as far as `run`, or the server is gone.
    pub(crate) async fn reaches(&mut self, run: Run) {
        // An error says that the server is gone.
        let _ = self.run.wait_for(|now| *now >= run).await;
    }

    /// Spawns a task that is dropped when the stop comes to its end.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let Self { mut run, open } = self.clone();
        tokio::spawn(async move {
            tokio::select! {
                biased;
                () = task => {}
                _ = run.wait_for(|now| *now == Run::Cut) => {}
            }
            // The task's own values are gone before the server is told.
            drop(open);
        });
    }
}

/// HTTP/2 spawns its streams like everything else.
impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Life {
    fn execute(&self, future: F) {
        self.spawn(future);
    }
}
