//! The end of an epoch: its key is destroyed, and its rows lose their clients.
//!
//! First the key, so that nothing of the epoch can be named any more; then everything that was taken in is published, so that nothing has to be
//! counted by what goes; then the rows, a step at a time. Each of the three stands in the book of keys or in the rows themselves, so that a
//! process that is killed in between goes on with it.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::epoch::{Ended, Ring};
use store::forget::Forget;
use store::writer::{Store, WriteError};

use super::commit::Step;
use super::{Drained, Pipeline};
use crate::config::ANONYMOUS;

/// The keys of epochs, and what of their end is under way.
pub(super) struct Epochs {
    ring: Arc<Mutex<Ring>>,
    /// The ring's generation as of which nothing of ended epochs waits to be published, and the sites that have rows.
    published: Option<(u64, Vec<String>)>,
    /// Rows that have lost their client, of the epoch that is being cleared.
    rows: u64,
    /// Whether rows of ended epochs may have clients again: a database may be one restored from a backup.
    looks_again: bool,
    /// When to try again after an error, milliseconds since 1970.
    not_before_ms: i64,
}

impl Epochs {
    pub(super) fn new(ring: Arc<Mutex<Ring>>) -> Self {
        Self { ring, published: None, rows: 0, looks_again: true, not_before_ms: i64::MIN }
    }

    /// What is published is not known any more, and what was cleared may be there again.
    pub(super) fn look_again(&mut self) {
        self.published = None;
        self.looks_again = true;
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing in it is ever half done.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Store> Pipeline<S> {
    /// Ends what epochs are over; says whether there is more to do at once. A rule that has changed ends them before anything else comes in.
    pub(super) async fn end_epochs(&mut self) -> ControlFlow<Drained, bool> {
        loop {
            let more = self.end_epochs_step().await?;
            let Some(epochs) = &self.epochs else { return ControlFlow::Continue(false) };
            if !epochs.ring().must_clear_first() {
                return ControlFlow::Continue(more);
            }
            if self.stopping() {
                return ControlFlow::Break(Drained::Stopped);
            }
            if !more {
                // An error: told already, and tried again after a while.
                let wait = std::time::Duration::from_secs(1);
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = self.stop.wait_for(|stop| *stop) => return ControlFlow::Break(Drained::Stopped),
                }
            }
        }
    }

    async fn end_epochs_step(&mut self) -> ControlFlow<Drained, bool> {
        let now_ms = (self.now_ms)();
        // Posts that wait are named by the time at which they arrived.
        let reached = if self.gather.source.has_work() { self.gather.received_ms().min(now_ms) } else { now_ms }.div_euclid(1_000);
        let Some(epochs) = self.epochs.as_mut().filter(|epochs| epochs.not_before_ms <= now_ms) else { return ControlFlow::Continue(false) };
        let destroyed = {
            let mut ring = epochs.ring();
            if ring.has_due(reached) { ring.destroy_due(reached) } else { Ok(0) }
        };
        match destroyed {
            Ok(0) => {}
            Ok(keys) => {
                metrics::counter!(crate::metrics::KEYS_DESTROYED_TOTAL).increment(keys as u64);
                tracing::info!(keys, "the keys of ended epochs are destroyed; their rows lose their clients");
            }
            Err(error) => {
                epochs.not_before_ms = now_ms + RETRY_AFTER_MS;
                metrics::counter!(crate::metrics::KEY_ERRORS_TOTAL).increment(1);
                tracing::error!(error = %error, "a key whose time is over cannot be destroyed: it is tried again every minute; make its file writable");
            }
        }
        let (generation, next, ended_until) = {
            let ring = epochs.ring();
            (ring.generation(), ring.to_clear(), ring.ended_until())
        };
        let again = epochs.looks_again.then_some(ended_until).flatten();
        let (ended, from) = match (next, again) {
            (Some((ended, from)), _) => (Some(ended), from),
            (None, Some(_)) => (None, i64::MIN),
            (None, None) => return ControlFlow::Continue(false),
        };
        let is_published = epochs.published.as_ref().is_some_and(|(published, _)| *published == generation);
        if !is_published {
            self.publish_everything().await?;
        }
        match self.forget_step(ended.as_ref(), from, ended_until, generation, is_published).await {
            Ok(more) => ControlFlow::Continue(more),
            Err(error) => {
                metrics::counter!(crate::metrics::STORE_ERRORS_TOTAL, "class" => error.class.name()).increment(1);
                self.report.failed(&error);
                if let Some(epochs) = &mut self.epochs {
                    epochs.not_before_ms = now_ms + RETRY_AFTER_MS;
                    epochs.published = None;
                }
                // The store has dropped its connection. If this fails too, the next write finds out and keeps trying.
                let _ = self.store.connect().await;
                ControlFlow::Continue(false)
            }
        }
    }

    /// Nothing of an ended epoch can be taken in any more; what was taken in is written.
    async fn publish_everything(&mut self) -> ControlFlow<Drained> {
        self.gather.fold.settle();
        self.publish_all = true;
        if self.has_moved() { self.commit().await } else { self.commit_from(Step::Closed).await }
    }

    /// A step with the rows of an epoch; without one, of all that have ended.
    async fn forget_step(
        &mut self,
        ended: Option<&Ended>,
        from: i64,
        ended_until: Option<i64>,
        generation: u64,
        is_published: bool,
    ) -> Result<bool, WriteError> {
        let Self { store, rules, journal, epochs: Some(epochs), .. } = self else { return Ok(false) };
        if !is_published {
            let scopes = store.presence(journal.id()).await?.scopes;
            let mut sites: Vec<String> =
                scopes.iter().map(|scope| scope.site.to_string()).filter(|site| rules.presence.is_of(site, &rules.receivers)).collect();
            sites.sort();
            sites.dedup();
            epochs.published = Some((generation, sites));
        }
        let sites = epochs.published.as_ref().map(|(_, sites)| sites.clone()).unwrap_or_default();
        let keep_counts = ended.is_some_and(|ended| ended.kind.starts_with(ANONYMOUS));
        let (from, to) = match ended {
            Some(ended) if keep_counts => (ended.epoch.from, ended.epoch.to),
            Some(ended) => (from, ended.epoch.to),
            None => (from, ended_until.unwrap_or(i64::MIN)),
        };
        let forgotten = store.forget(&Forget { from, to, receivers: rules.receivers.clone(), sites, ended_until, keep_counts }).await?;
        epochs.rows += forgotten.rows;
        metrics::counter!(crate::metrics::ROWS_FORGOTTEN_TOTAL).increment(forgotten.rows);
        if forgotten.more {
            return Ok(true);
        }
        let now_ms = (self.now_ms)();
        let rows = std::mem::take(&mut epochs.rows);
        let Some(ended) = ended else {
            epochs.looks_again = false;
            if rows > 0 {
                tracing::warn!(rows, "rows of ended epochs had clients again, as after a restore: they have lost them");
            }
            return Ok(false);
        };
        let cleared = epochs.ring().cleared(ended, rows);
        match cleared {
            Ok(()) => tracing::info!(from = ended.epoch.from, to = ended.epoch.to, rows, "an epoch is over: no row of it has a client any more"),
            Err(error) => {
                epochs.not_before_ms = now_ms + RETRY_AFTER_MS;
                metrics::counter!(crate::metrics::KEY_ERRORS_TOTAL).increment(1);
                tracing::error!(error = %error, "the book of destroyed keys cannot be written: it is tried again every minute; make it writable");
            }
        }
        Ok(epochs.not_before_ms <= now_ms)
    }
}

/// How long an error puts the end of an epoch off.
const RETRY_AFTER_MS: i64 = 60_000;
