//! The end of an epoch: its key is destroyed, and its rows lose their clients.
//!
//! First the key, so that nothing of the epoch can be named any more; then everything that was taken in is published, so that nothing has to be
//! counted by what goes; then the rows, a step at a time. Each of the three stands in the book of keys or in the rows themselves, so that a
//! process that is killed in between goes on with it.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use store::epoch::{Ended, Names, Ring};
use store::forget::Forget;
use store::writer::{Class, Store, WriteError};

use super::commit::Step;
use super::{Drained, Pipeline};
use crate::config::ANONYMOUS;

/// The keys of epochs, and what of their end is under way.
pub(super) struct Epochs {
    ring: Arc<Mutex<Ring>>,
    /// The receivers and sites of the configuration.
    names: Names,
    /// The ring's generation as of which nothing of ended epochs waits to be published, and whose rows they are.
    published: Option<(u64, Names)>,
    /// Rows that have lost their client, of the epoch that is being cleared.
    rows: u64,
    /// Whether rows of ended epochs may have clients again: a database may be one restored from a backup.
    looks_again: bool,
    /// When to try again after an error of the store or the book, milliseconds since 1970.
    not_before_ms: i64,
    /// When to try again to destroy keys.
    destroy_not_before_ms: i64,
}

impl Epochs {
    /// With the names of now.
    pub(super) fn new(ring: Arc<Mutex<Ring>>, names: Names) -> Self {
        Self { ring, names, published: None, rows: 0, looks_again: true, not_before_ms: i64::MIN, destroy_not_before_ms: i64::MIN }
    }

    /// What is published is not known any more, and what was cleared may be there again.
    pub(super) fn look_again(&mut self) {
        self.published = None;
        self.looks_again = true;
    }

    /// Writes down whose rows there will be, so that they are found when the names have left the configuration.
    pub(super) fn remember(&self) -> Result<Names, WriteError> {
        self.ring().names(&self.names).map_err(|error| WriteError::new(Class::Retry, format!("remember whose rows are cleared: {error}")))
    }

    /// Whether a key of another mode is there yet.
    pub(super) fn has_foreign(&self) -> bool {
        self.ring().has_foreign()
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        // Nothing in it is ever half done.
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Epochs {
    fn destroy_due(&mut self, reached: i64, now_ms: i64) {
        if self.destroy_not_before_ms > now_ms {
            return;
        }
        let destroyed = {
            let mut ring = self.ring();
            ring.mind_the_clock();
            let before = ring.ended().len();
            let result = if ring.has_due(reached) { ring.destroy_due(reached).map(drop) } else { Ok(()) };
            (ring.ended().len() - before, result)
        };
        if destroyed.0 > 0 {
            metrics::counter!(crate::metrics::KEYS_DESTROYED_TOTAL).increment(destroyed.0 as u64);
            tracing::info!(keys = destroyed.0, "the keys of ended epochs are destroyed; their rows lose their clients");
        }
        if let Err(error) = destroyed.1 {
            self.destroy_not_before_ms = now_ms + RETRY_AFTER_MS;
            metrics::counter!(crate::metrics::KEY_ERRORS_TOTAL).increment(1);
            tracing::error!(error = %error, "a key whose time is over cannot be destroyed: it is tried again every minute; make its file writable");
        }
    }
}

impl<S: Store> Pipeline<S> {
    /// Ends what epochs are over; says whether there is more to do at once. A rule that has changed ends them before anything else comes in.
    pub(super) async fn end_epochs(&mut self) -> ControlFlow<Drained, bool> {
        loop {
            let Some(epochs) = &self.epochs else { return ControlFlow::Continue(false) };
            // Posts go on being answered, and wait in the journal.
            let must_clear_first = epochs.ring().must_clear_first();
            self.gather.hold(must_clear_first);
            let more = self.end_epochs_step().await?;
            if !must_clear_first {
                return ControlFlow::Continue(more);
            }
            if !self.epochs.as_ref().is_some_and(|epochs| epochs.ring().must_clear_first()) {
                self.gather.hold(false);
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
        let Some(epochs) = self.epochs.as_mut() else { return ControlFlow::Continue(false) };
        epochs.destroy_due(reached, now_ms);
        if epochs.not_before_ms > now_ms {
            return ControlFlow::Continue(false);
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
                    // Posts that wait for it should not wait long.
                    let is_waited_for = epochs.ring().must_clear_first();
                    epochs.not_before_ms = now_ms + if is_waited_for { WAITED_FOR_AFTER_MS } else { RETRY_AFTER_MS };
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
        self.publish_all = true;
        if self.has_moved() {
            return self.commit().await;
        }
        self.gather.fold.settle();
        self.commit_from(Step::Closed).await
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
            let mut names = epochs.remember()?;
            let receivers: Vec<String> = names.receivers.iter().cloned().collect();
            let scopes = store.presence(journal.id()).await?.scopes;
            names.sites.extend(scopes.iter().map(|scope| scope.site.to_string()).filter(|site| rules.presence.is_of(site, &receivers)));
            epochs.published = Some((generation, names));
        }
        let names = epochs.published.as_ref().map(|(_, names)| names.clone()).unwrap_or_default();
        let (receivers, sites) = (names.receivers.into_iter().collect(), names.sites.into_iter().collect());
        let keep_counts = ended.is_some_and(|ended| ended.kind.starts_with(ANONYMOUS));
        let (from, to) = match ended {
            Some(ended) if keep_counts => (ended.epoch.from, ended.epoch.to),
            Some(ended) => (from, ended.epoch.to),
            None => (from, ended_until.unwrap_or(i64::MIN)),
        };
        let forgotten = store.forget(&Forget { from, to, receivers, sites, ended_until, keep_counts }).await?;
        epochs.rows += forgotten.rows;
        metrics::counter!(crate::metrics::ROWS_FORGOTTEN_TOTAL).increment(forgotten.rows);
        if forgotten.more {
            return Ok(true);
        }
        let now_ms = (self.now_ms)();
        let rows = std::mem::take(&mut epochs.rows);
        let Some(ended) = ended else {
            // An old sample's key may hide some of them for an hour.
            let has_ended_all = epochs.ring().has_ended_all();
            epochs.looks_again = !has_ended_all;
            if epochs.looks_again {
                epochs.not_before_ms = now_ms + RETRY_AFTER_MS;
            }
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
/// As [`RETRY_AFTER_MS`], while posts are held until it is done.
const WAITED_FOR_AFTER_MS: i64 = 5_000;
