//! From the journal into the store: take what waits, fold it into one transaction, commit it exactly once.
//!
//! The pipeline owns a thread and a runtime of its own, so that a slow store or a long group never delays an answer, and so that it
//! may block. It is the only reader of the tail and the only caller of the [`Store`]. Batching is adaptive: a group is whatever came
//! while the last commit was in flight, up to a limit of rows; there is no linger. It is folded in that time, too ([`gather`]).

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use analytics::presence;
use analytics::presence::engine::Engine;
use store::batch::Batch;
use store::client::Pseudonyms;
use store::epoch::{Names, Ring};
use store::group::{self, Excluded, Fold, Group, Keep, ObservationRow};
use store::journal::Journal;
use store::optout::OptOuts;
use store::position::Position;
use store::quarantine::Quarantine;
use store::repeat::RepeatFilter;
use store::writer::{Advance, Class, Cursor, Maintained, Store, WriteError};
use tokio::sync::watch;

mod backoff;
mod commit;
mod epochs;
mod gather;
mod report;
mod source;
#[cfg(test)]
mod tests;

use backoff::Backoff;
use commit::Step;
use epochs::Epochs;
use gather::{Gather, Hand};
pub(crate) use report::Report;
use source::Source;

/// What a pipeline is made from.
pub(crate) struct Settings {
    pub(crate) pseudonyms: Pseudonyms,
    /// The keys that the pseudonyms are made with, where they are those of epochs.
    pub(crate) ring: Option<Arc<Mutex<Ring>>>,
    pub(crate) keep: Keep,
    /// Of whom nothing is written.
    pub(crate) opted_out: Arc<OptOuts>,
    /// Who is in no count.
    pub(crate) excluded: Arc<Excluded>,
    pub(crate) presence: presence::engine::Settings,
    /// The names of the receivers whose posts come this way: others in the store are another process's.
    pub(crate) receivers: Vec<String>,
    pub(crate) rows_max: usize,
    pub(crate) retention: Duration,
    pub(crate) keep_quarantine: Duration,
    pub(crate) keep_presence: store::presence::Keep,
    pub(crate) now_ms: fn() -> i64,
    /// The key of the repeat filter: random, of this process alone.
    pub(crate) filter_key: (u64, u64),
    /// Takes back a batch that came by the tail, for its memory.
    pub(crate) reuse: Box<dyn Fn(Box<Batch>) + Send>,
}

/// What a fold is made from.
struct Rules {
    pseudonyms: Pseudonyms,
    keep: Keep,
    opted_out: Arc<OptOuts>,
    excluded: Arc<Excluded>,
    presence: presence::engine::Settings,
    receivers: Vec<String>,
    filter_key: (u64, u64),
}

impl Rules {
    fn engine(&self) -> Engine {
        Engine::new(self.presence.clone())
    }

    fn fold(&self) -> Fold {
        Fold::new(self.pseudonyms.clone(), self.keep, Arc::clone(&self.opted_out), Arc::clone(&self.excluded), RepeatFilter::new(self.filter_key))
    }
}

/// Applies one journal to one store.
pub(crate) struct Pipeline<S> {
    store: S,
    journal: Arc<Journal>,
    quarantine: Quarantine,
    gather: Gather,
    /// The group that is being written.
    hand: Hand,
    rules: Rules,
    /// None where one key names clients for good.
    epochs: Option<Epochs>,
    retention: Duration,
    keep_quarantine: Duration,
    keep_presence: store::presence::Keep,
    now_ms: fn() -> i64,
    report: Arc<Report>,
    stop: watch::Receiver<bool>,
    cursor: Option<Cursor>,
    backoff: Backoff,
    maintained_ms: i64,
    /// Whether the next group tells all of presence that is pending, and not only what is due.
    publish_all: bool,
}

impl<S: Store> Pipeline<S> {
    /// A pipeline that has not touched its store yet.
    pub(crate) fn new(store: S, journal: Arc<Journal>, quarantine: Quarantine, settings: Settings, report: Arc<Report>, stop: watch::Receiver<bool>) -> Self {
        let Settings {
            pseudonyms,
            ring,
            keep,
            opted_out,
            excluded,
            presence,
            receivers,
            rows_max,
            retention,
            keep_quarantine,
            keep_presence,
            now_ms,
            filter_key,
            reuse,
        } = settings;
        let rules = Rules { pseudonyms, keep, opted_out, excluded, presence, receivers, filter_key };
        let own = rules.presence.sites.iter().map(|site| &site.name).filter(|name| rules.presence.is_of(name, &rules.receivers));
        let names = Names { receivers: rules.receivers.iter().cloned().collect(), sites: own.cloned().collect() };
        let source = Source::new(Arc::clone(&journal));
        Self {
            store,
            journal,
            quarantine,
            gather: Gather::new(source, rules.fold(), rules.engine(), rows_max, reuse, Arc::clone(&report)),
            hand: Hand::default(),
            rules,
            epochs: ring.map(|ring| Epochs::new(ring, names)),
            retention,
            keep_quarantine,
            keep_presence,
            now_ms,
            report,
            stop,
            cursor: None,
            backoff: Backoff::default(),
            maintained_ms: i64::MIN,
            publish_all: false,
        }
    }

    /// Runs until it is told to stop, or until another process has taken its place.
    ///
    /// At the stop, the group in hand is finished when the store takes it at once; everything else stays in the journal.
    pub(crate) async fn run(mut self) {
        loop {
            if self.attach().await.is_break() {
                return;
            }
            match self.drain().await {
                Drained::Stopped => {
                    // Tried once; a store that is away finds it in its own rows at the next start.
                    let _ = self.settle().await;
                    return;
                }
                Drained::Fenced => {
                    self.fence("another process has taken over this journal's cursor");
                    return;
                }
                Drained::Rewound(position) => self.rewind(position),
            }
        }
    }

    /// Connects, takes the cursor over, and tells the repeat filter what the store has; tries until it works.
    async fn attach(&mut self) -> ControlFlow<()> {
        loop {
            match self.try_attach().await {
                Ok(()) => {
                    self.report.running();
                    self.backoff.reset();
                    return ControlFlow::Continue(());
                }
                Err(error) if error.class == Class::CursorMoved => {
                    self.fence(&error.message);
                    return ControlFlow::Break(());
                }
                Err(error) => self.trouble(&error).await?,
            }
        }
    }

    async fn try_attach(&mut self) -> Result<(), WriteError> {
        self.store.connect().await?;
        let next = self.journal.durable().next;
        // Looked at before the epoch is raised: a stale copy of a data directory must not take the live process down with it.
        if let Some(cursor) = self.store.cursor(self.journal.id()).await?
            && cursor.position > next
        {
            let message = format!(
                "the store is ahead of this journal: it has applied everything before record {}, and the journal's next record is {next}",
                cursor.position
            );
            return Err(WriteError::new(Class::CursorMoved, message));
        }
        let cursor = self.store.adopt(self.journal.id(), self.journal.first_position()).await?;
        let first = self.journal.first_position();
        let newest = self.store.newest_received_ms().await?.unwrap_or(0);
        let since = self.gather.fold.start(newest.div_euclid(1_000));
        let Self { store, gather: Gather { fold, engine, .. }, rules, epochs, .. } = self;
        let mut stored = store.presence(self.journal.id()).await?;
        stored.scopes.retain(|scope| rules.presence.is_of(&scope.site, &rules.receivers));
        if let Some(scope) = engine.recall(&stored.scopes).first() {
            let message = format!(
                "the rows of site {:?} under profile {:?} were made with other values, time zone, opening hours or zones than are configured now, and the two \
                 cannot be added up: put the configuration back, or run footfall recompute for the days that are stored, or give the site another name or the \
                 profile another version",
                scope.site, scope.profile
            );
            return Err(WriteError::new(Class::Schema, message));
        }
        engine.recall_members(&stored.members);
        epochs.as_ref().map(Epochs::remember).transpose()?;
        if stored.unpublished_since.is_some() && epochs.as_ref().is_some_and(Epochs::has_foreign) {
            let message = "privacy.mode has changed, and observations of the old mode are not in the rows of presence yet: start footfall once more with \
                           the old mode and stop it with SIGTERM when it is idle, then change the mode";
            return Err(WriteError::new(Class::Schema, message));
        }
        // What was not published yet is taken in again, from the rows themselves.
        let unpublished = stored.unpublished_since.unwrap_or(i64::MAX);
        let take_in = |recent: &Group| {
            fold.remember(recent);
            engine.recall_newest(recent);
            let is_own = |source: &group::Source| recent.texts.get(source.receiver).is_some_and(|receiver| rules.receivers.iter().any(|own| own == receiver));
            let own: Vec<bool> = recent.sources.iter().map(is_own).collect();
            let is_ours = |row: &ObservationRow| row.observed_at >= unpublished && own[row.source as usize];
            for run in recent.observations.chunk_by(|a, b| is_ours(a) == is_ours(b)).filter(|run| is_ours(&run[0])) {
                engine.absorb(recent, run);
            }
            engine.next_group();
        };
        store.recent(since.min(unpublished), &mut { take_in }).await?;
        // They were counted when they came.
        let _ = self.gather.engine.take_late();
        store.catch_up(since).await?;
        // Only now, so that an attempt that fails does not count the gap too.
        if cursor.position < first {
            metrics::counter!(crate::metrics::STORE_GAP_RECORDS_TOTAL).increment(first.0 - cursor.position.0);
            tracing::error!(from = %cursor.position, to = %first, "the store asks for records that the journal no longer holds; they are lost to it: it was restored from too old a copy");
        }
        self.cursor = Some(cursor);
        self.gather.source.seek(cursor.position.max(first));
        self.report.moved(cursor.position);
        self.journal.applied(cursor.position);
        self.measure();
        tracing::info!(store = self.store.kind(), cursor = %cursor.position, backlog = next.0.saturating_sub(cursor.position.0), "store attached");
        Ok(())
    }

    /// Applies groups until something ends it.
    async fn drain(&mut self) -> Drained {
        loop {
            let more_to_forget = match self.end_epochs().await {
                ControlFlow::Continue(more) => more,
                ControlFlow::Break(ended) => return ended,
            };
            let more_to_tidy = self.maintain().await || more_to_forget;
            if self.stopping() {
                return Drained::Stopped;
            }
            // A gap before the first record is passed at once, so that it is told once and not at every start.
            if !self.gather.source.has_work() && !self.has_moved() {
                self.report.idle();
                if more_to_tidy {
                    continue;
                }
                self.gather.engine.clock((self.now_ms)());
                let idle = if self.has_unwritten() { SETTLE_AFTER } else { MAINTENANCE_EVERY };
                let rested = tokio::select! {
                    () = self.gather.source.work() => false,
                    _ = self.stop.wait_for(|stop| *stop) => return Drained::Stopped,
                    () = tokio::time::sleep(idle) => true,
                };
                if rested && let ControlFlow::Break(ended) = self.settle().await {
                    return ended;
                }
                continue;
            }
            let gathered = self.gather.fill();
            // What was gathered before a read failed is committed all the same; a failure that lasts must not look like a success.
            if self.has_moved()
                && let ControlFlow::Break(ended) = self.commit().await
            {
                return ended;
            }
            if let Err(error) = gathered
                && self.trouble(&WriteError::new(Class::Retry, format!("take posts in from the journal: {error}"))).await.is_break()
            {
                return Drained::Stopped;
            }
        }
    }

    /// Writes what was put off while there was more to do.
    async fn settle(&mut self) -> ControlFlow<Drained> {
        if self.cursor.is_none() || self.has_moved() || !self.has_unwritten() {
            return ControlFlow::Continue(());
        }
        self.gather.fold.settle();
        self.publish_all = true;
        self.commit_from(Step::Closed).await
    }

    /// Whether something waits to be written until there is nothing else to do.
    fn has_unwritten(&mut self) -> bool {
        self.gather.fold.has_put_off() || self.gather.engine.has_news()
    }

    /// Housekeeping of the store, about once a minute; says whether more is waiting to be done at once.
    async fn maintain(&mut self) -> bool {
        let now = (self.now_ms)();
        if now < self.maintained_ms.saturating_add(MAINTENANCE_EVERY.as_millis() as i64) {
            return false;
        }
        match self.tend_store(now).await {
            Ok(done) => {
                self.maintained_ms = if done.more { i64::MIN } else { now };
                metrics::gauge!(crate::metrics::STORE_DEFAULT_PARTITION_ROWS).set(done.default_partition_rows as f64);
                if done.default_partition_rows > 0 {
                    tracing::warn!(rows = done.default_partition_rows, "rows stand in a default partition: a day's partition could not be made in time");
                }
                if done.partitions_made + done.partitions_dropped > 0 {
                    tracing::info!(made = done.partitions_made, dropped = done.partitions_dropped, "partitions made and dropped");
                }
                self.report.running();
                done.more
            }
            Err(error) => {
                self.maintained_ms = now;
                metrics::counter!(crate::metrics::STORE_ERRORS_TOTAL, "class" => error.class.name()).increment(1);
                self.report.failed(&error);
                // The store has dropped its connection. If this fails too, the next write finds out and keeps trying.
                let _ = self.store.connect().await;
                false
            }
        }
    }

    async fn tend_store(&mut self, now: i64) -> Result<Maintained, WriteError> {
        let keep_ms = i64::try_from(self.keep_quarantine.as_millis()).unwrap_or(i64::MAX);
        match self.quarantine.remove_before(now.saturating_sub(keep_ms)) {
            Ok(0) => {}
            Ok(files) => tracing::info!(files, "what stood in quarantine for longer than retention.quarantine is removed"),
            Err(error) => tracing::warn!(error = %error, "the quarantine cannot be cleaned: make its directory readable and writable"),
        }
        let done = self.store.maintain(now, self.retention).await?;
        let more = self.store.tend(now, &self.keep_presence).await?;
        Ok(Maintained { more: done.more || more, ..done })
    }

    /// Counts and reports an error, then waits before the next try. Breaks when it is time to stop.
    async fn trouble(&mut self, error: &WriteError) -> ControlFlow<()> {
        metrics::counter!(crate::metrics::STORE_ERRORS_TOTAL, "class" => error.class.name()).increment(1);
        self.report.failed(error);
        let wait = if error.class == Class::Retry { self.backoff.next() } else { PAUSE };
        tokio::select! {
            () = tokio::time::sleep(wait) => ControlFlow::Continue(()),
            _ = self.stop.wait_for(|stop| *stop) => ControlFlow::Break(()),
        }
    }

    /// Another process writes with this journal's name: stop taking posts, and say what stays behind.
    fn fence(&self, why: &str) {
        self.journal.fence();
        self.report.fenced(why);
        metrics::counter!(crate::metrics::STORE_FENCED_TOTAL).increment(1);
        let staying = self.journal.durable().next.0.saturating_sub(self.report.cursor().max(self.journal.first_position()).0);
        tracing::error!(
            why,
            answered_posts_staying = staying,
            "fenced: no more posts are taken here; the answered posts that the store lacks stay in this journal"
        );
    }

    /// The store was set back to an earlier state: apply from its own cursor, with a filter that knows only what it has now.
    fn rewind(&mut self, position: Position) {
        tracing::warn!(from = %self.report.cursor(), to = %position, "the store was set back; what came after is applied again from the journal");
        self.gather.begin_anew(self.rules.fold(), self.rules.engine());
        if let Some(epochs) = &mut self.epochs {
            epochs.look_again();
        }
        self.cursor = None;
    }

    fn measure(&mut self) {
        metrics::gauge!(crate::metrics::REPEAT_FILTER_BYTES).set(self.gather.fold.filter_bytes() as f64);
        metrics::gauge!(crate::metrics::PRESENCE_BYTES).set(self.gather.engine.bytes() as f64);
        metrics::gauge!(crate::metrics::PRESENCE_PENDING).set(self.gather.engine.pending() as f64);
        metrics::gauge!(crate::metrics::PRESENCE_CLIENTS).set(self.gather.engine.clients() as f64);
        metrics::gauge!(crate::metrics::KNOWN_FACTS_BYTES).set(self.gather.fold.known_bytes() as f64);
    }

    fn advance(&self) -> Option<Advance> {
        let cursor = self.cursor?;
        let Cursor { epoch, position, turn } = cursor;
        Some(Advance { journal: self.journal.id(), epoch, from: position, to: self.gather.source.next_position(), turn })
    }

    /// Whether the source is past the store's cursor.
    fn has_moved(&self) -> bool {
        self.cursor.is_some_and(|cursor| cursor.position != self.gather.source.next_position())
    }

    fn stopping(&self) -> bool {
        *self.stop.borrow()
    }
}

/// Why applying ended.
enum Drained {
    Stopped,
    Fenced,
    Rewound(Position),
}

/// How often partitions and retention are looked after.
const MAINTENANCE_EVERY: Duration = Duration::from_secs(60);
/// How long nothing must come before what was put off is written.
const SETTLE_AFTER: Duration = Duration::from_secs(2);
/// How long to wait when the schema is not as it must be: a person has to act.
const PAUSE: Duration = Duration::from_secs(10);
