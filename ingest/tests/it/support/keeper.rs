//! A journal that follows a script.

use std::sync::{Arc, Mutex};

use ingest::handler::Keep;
use store::journal::{Append, AppendError, Appended, Kind};
use store::mac::Mac;
use store::position::Position;
use tokio::sync::{Semaphore, watch};

/// What was kept.
pub(crate) struct Kept {
    pub(crate) is_unknown: bool,
    pub(crate) has_batch: bool,
    /// The addresses of its clients, in order.
    pub(crate) clients: Vec<Mac>,
    pub(crate) observations: u64,
    pub(crate) receiver: String,
    pub(crate) received_at_ms: i64,
    pub(crate) body: String,
}

#[derive(Clone)]
pub(crate) struct Keeper(Arc<Script>);

struct Script {
    kept: Mutex<Vec<Kept>>,
    failure: Mutex<Option<AppendError>>,
    gate: Semaphore,
    arrived: watch::Sender<u64>,
}

/// More than any test posts.
const OPEN: usize = 1_000_000;

impl Default for Keeper {
    fn default() -> Self {
        Self(Arc::new(Script { kept: Mutex::default(), failure: Mutex::default(), gate: Semaphore::new(OPEN), arrived: watch::Sender::new(0) }))
    }
}

impl Keeper {
    /// Answers nothing from now on.
    pub(crate) fn hold(&self) {
        self.0.gate.forget_permits(OPEN);
    }

    /// Answers again.
    pub(crate) fn release(&self) {
        self.0.gate.add_permits(OPEN);
    }

    /// Fails from now on.
    pub(crate) fn fail(&self, failure: AppendError) {
        *self.0.failure.lock().unwrap() = Some(failure);
    }

    /// Waits until so many posts have come in.
    pub(crate) async fn arrived(&self, posts: u64) {
        let mut arrived = self.0.arrived.subscribe();
        tokio::time::timeout(super::PATIENCE, arrived.wait_for(|&now| now >= posts)).await.unwrap().unwrap();
    }

    pub(crate) fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.0.kept.lock().unwrap()
    }
}

impl Keep for Keeper {
    async fn keep(&self, post: Append) -> Result<Appended, AppendError> {
        self.0.arrived.send_modify(|posts| *posts += 1);
        self.0.gate.acquire().await.unwrap().forget();
        self.0.gate.add_permits(1);
        if let Some(failure) = *self.0.failure.lock().unwrap() {
            return Err(failure);
        }
        let mut kept = self.kept();
        kept.push(Kept {
            is_unknown: matches!(post.kind, Kind::Unknown),
            has_batch: post.batch.is_some(),
            clients: post.batch.iter().flat_map(|batch| batch.clients.iter().map(|client| client.mac)).collect(),
            observations: post.batch.as_ref().map_or(0, |batch| batch.told()),
            receiver: post.receiver.to_string(),
            received_at_ms: post.received_at_ms,
            body: String::from_utf8(post.body.clone()).unwrap(),
        });
        Ok(Appended { position: Position(kept.len() as u64), body: post.body })
    }
}
