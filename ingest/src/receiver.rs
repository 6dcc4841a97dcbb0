//! Receivers: a path that Meraki posts to, with its validator, its secrets and its counters.
//!
//! Law: on every receiver `received = accepted + quarantined + rejected + shed + open`. The sides are counted independently, so that
//! a post that vanished between them would show.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use metrics::Counter;

use crate::metrics::POSTS_TOTAL;
use crate::wire::Secret;

/// What became of a post. Every post on a known path has exactly one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Durable, and it will become rows.
    Accepted,
    /// Durable, but of unknown shape: it goes to quarantine.
    Quarantined,
    /// Not JSON, or its transfer or content coding is broken.
    NotJson,
    /// No secret, or a wrong one.
    Secret,
    /// Over `limits.body`, before or after gzip.
    TooLarge,
    /// Not whole within `limits.body_timeout`.
    TooSlow,
    /// A content coding other than identity and gzip.
    Encoding,
    /// The peer left before the body was whole.
    Aborted,
    /// The memory budget was used up.
    ShedMemory,
    /// The journal is full or cannot write.
    ShedJournal,
    /// Another copy of the data directory writes.
    ShedFenced,
    /// The process is stopping.
    ShedStopping,
}

/// The sides of the law.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Answered 200.
    Kept,
    /// Something was wrong with the post.
    Rejected,
    /// Nothing was wrong with the post, but it could not be taken.
    Shed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Accepted,
        Self::Quarantined,
        Self::NotJson,
        Self::Secret,
        Self::TooLarge,
        Self::TooSlow,
        Self::Encoding,
        Self::Aborted,
        Self::ShedMemory,
        Self::ShedJournal,
        Self::ShedFenced,
        Self::ShedStopping,
    ];

    /// The value of the metric's `outcome` label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Quarantined => "quarantined",
            Self::NotJson => "not_json",
            Self::Secret => "secret",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::Encoding => "encoding",
            Self::Aborted => "aborted",
            Self::ShedMemory => "shed_memory",
            Self::ShedJournal => "shed_journal",
            Self::ShedFenced => "shed_fenced",
            Self::ShedStopping => "shed_stopping",
        }
    }

    /// Its side of the law.
    #[must_use]
    pub const fn class(self) -> Class {
        match self {
            Self::Accepted | Self::Quarantined => Class::Kept,
            Self::NotJson | Self::Secret | Self::TooLarge | Self::TooSlow | Self::Encoding | Self::Aborted => Class::Rejected,
            Self::ShedMemory | Self::ShedJournal | Self::ShedFenced | Self::ShedStopping => Class::Shed,
        }
    }
}

/// One receiver. Its counters belong to the metrics recorder that is installed when it is made.
pub struct Receiver {
    name: Arc<str>,
    path: Box<str>,
    validator: Bytes,
    secrets: ArcSwap<Vec<Secret>>,
    received: AtomicU64,
    open: AtomicU64,
    outcomes: [AtomicU64; Outcome::ALL.len()],
    counters: [Counter; Outcome::ALL.len()],
    last_post_at_ms: AtomicI64,
    unknown_log: Hourly,
    secret_log: Hourly,
}

impl Receiver {
    /// A receiver that nothing has been posted to.
    #[must_use]
    pub fn new(name: &str, path: &str, validator: &str, secrets: Vec<Secret>) -> Arc<Self> {
        let name: Arc<str> = name.into();
        Arc::new(Self {
            counters: Outcome::ALL.map(|outcome| metrics::counter!(POSTS_TOTAL, "receiver" => Arc::clone(&name), "outcome" => outcome.name())),
            name,
            path: path.into(),
            validator: Bytes::copy_from_slice(validator.as_bytes()),
            secrets: ArcSwap::from_pointee(secrets),
            received: AtomicU64::new(0),
            open: AtomicU64::new(0),
            outcomes: Default::default(),
            last_post_at_ms: AtomicI64::new(0),
            unknown_log: Hourly::default(),
            secret_log: Hourly::default(),
        })
    }

    /// Its configured name.
    #[must_use]
    pub const fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The path that it answers on.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// What GET answers.
    #[must_use]
    pub const fn validator(&self) -> &Bytes {
        &self.validator
    }

    /// The secrets of now.
    pub fn secrets(&self) -> Guard<Arc<Vec<Secret>>> {
        self.secrets.load()
    }

    /// Takes other secrets, from the next post on.
    pub fn replace_secrets(&self, secrets: Vec<Secret>) {
        self.secrets.store(Arc::new(secrets));
    }

    /// What it has counted. The parts are read one after another: under load they may be a few posts apart.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let last = self.last_post_at_ms.load(Ordering::Relaxed);
        Counts {
            outcomes: std::array::from_fn(|at| self.outcomes[at].load(Ordering::Acquire)),
            open: self.open.load(Ordering::Acquire),
            received: self.received.load(Ordering::Acquire),
            last_post_at_ms: (last != 0).then_some(last),
        }
    }

    /// Whether the hourly line about a post of unknown shape is due.
    pub(crate) fn unknown_is_worth_a_line(&self, now_ms: i64) -> bool {
        self.unknown_log.due(now_ms)
    }

    /// Whether the hourly line about a post without the right secret is due.
    pub(crate) fn secret_is_worth_a_line(&self, now_ms: i64) -> bool {
        self.secret_log.due(now_ms)
    }

    /// Counts a post as received. Whatever happens to the returned value, exactly one outcome is counted too.
    pub(crate) fn arrive(self: &Arc<Self>) -> Open {
        self.received.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        Open { receiver: Arc::clone(self), outcome: Outcome::Aborted }
    }
}

impl fmt::Debug for Receiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The path may be unguessable on purpose, validator and secrets are secret.
        f.debug_struct("Receiver").field("name", &self.name).field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// What a receiver has counted since the start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Posts whose head arrived.
    pub received: u64,
    /// Posts without an outcome yet.
    pub open: u64,
    /// When the last post was kept, milliseconds since 1970.
    pub last_post_at_ms: Option<i64>,
    outcomes: [u64; Outcome::ALL.len()],
}

impl Counts {
    /// Posts with this outcome.
    #[must_use]
    pub const fn of(&self, outcome: Outcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// Posts with an outcome of this class.
    #[must_use]
    pub fn of_class(&self, class: Class) -> u64 {
        Outcome::ALL.into_iter().filter(|outcome| outcome.class() == class).map(|outcome| self.of(outcome)).sum()
    }

    /// Whether received = kept + rejected + shed + open.
    #[must_use]
    pub fn balance(&self) -> bool {
        self.received == self.outcomes.iter().sum::<u64>() + self.open
    }
}

/// A post without an outcome yet. When it is dropped before it has one, because the peer or the process went away, the fallback is
/// counted.
pub(crate) struct Open {
    receiver: Arc<Receiver>,
    outcome: Outcome,
}

impl Open {
    pub(crate) const fn receiver(&self) -> &Arc<Receiver> {
        &self.receiver
    }

    /// The outcome to count when nobody names another: at first [`Outcome::Aborted`].
    pub(crate) const fn fall_back_to(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Counts the post's outcome.
    pub(crate) fn close(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// Counts the outcome of a post that is kept since `received_at_ms`.
    pub(crate) fn close_kept(self, outcome: Outcome, received_at_ms: i64) {
        self.receiver.last_post_at_ms.fetch_max(received_at_ms, Ordering::Relaxed);
        self.close(outcome);
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let at = self.outcome as usize;
        self.receiver.counters[at].increment(1);
        self.receiver.outcomes[at].fetch_add(1, Ordering::Release);
        self.receiver.open.fetch_sub(1, Ordering::Release);
    }
}

/// All receivers by path.
#[derive(Debug, Default)]
pub struct Receivers {
    list: Vec<Arc<Receiver>>,
    by_path: HashMap<Box<[u8]>, Arc<Receiver>>,
}

/// Two receivers have this path.
#[derive(thiserror::Error, Debug, PartialEq, Eq)]
#[error("two receivers have the path {0}")]
pub struct DuplicatePath(pub String);

impl Receivers {
    /// Each with a path of its own.
    ///
    /// # Errors
    /// When two have the same path.
    pub fn new(list: Vec<Arc<Receiver>>) -> Result<Self, DuplicatePath> {
        let mut by_path = HashMap::with_capacity(list.len());
        for receiver in &list {
            match by_path.entry(receiver.path.as_bytes().into()) {
                Entry::Occupied(_) => return Err(DuplicatePath(receiver.path.clone().into())),
                Entry::Vacant(place) => place.insert(Arc::clone(receiver)),
            };
        }
        Ok(Self { list, by_path })
    }

    /// The receiver on a path, compared byte by byte.
    #[must_use]
    pub fn at(&self, path: &[u8]) -> Option<&Arc<Receiver>> {
        self.by_path.get(path)
    }

    /// All of them in the order of the configuration.
    #[must_use]
    pub fn all(&self) -> &[Arc<Receiver>] {
        &self.list
    }
}

/// Lets one event an hour through, for log lines that any sender can cause.
#[derive(Default)]
struct Hourly(AtomicI64);

impl Hourly {
    fn due(&self, now_ms: i64) -> bool {
        const HOUR_MS: i64 = 3_600_000;
        let last = self.0.load(Ordering::Relaxed);
        // A clock that was set back does not silence the line for longer than an hour of its own time.
        let due = last == 0 || now_ms >= last + HOUR_MS || now_ms < last;
        due && self.0.compare_exchange(last, now_ms, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_arrival_has_one_outcome_also_when_it_is_dropped() {
        let receiver = Receiver::new("mall", "/a", "v", Vec::new());
        for outcome in Outcome::ALL {
            receiver.arrive().close(outcome);
        }
        drop(receiver.arrive());
        let mut open = receiver.arrive();
        open.fall_back_to(Outcome::ShedStopping);
        drop(open);
        receiver.arrive().close_kept(Outcome::Accepted, 7_000);
        let still_open = receiver.arrive();
        let counts = receiver.counts();
        assert_eq!((counts.received, counts.open, counts.last_post_at_ms), (16, 1, Some(7_000)));
        assert_eq!((counts.of(Outcome::Aborted), counts.of(Outcome::ShedStopping), counts.of(Outcome::Accepted)), (2, 2, 2));
        assert_eq!([Class::Kept, Class::Rejected, Class::Shed].map(|class| counts.of_class(class)), [3, 7, 5]);
        assert!(counts.balance());
        drop(still_open);
        assert!(receiver.counts().balance());
    }

    #[test]
    fn outcomes_stand_at_their_own_index() {
        for (at, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, at);
        }
    }

    #[test]
    fn paths_are_compared_as_bytes_and_belong_to_one_receiver() {
        let of = |path| Receiver::new("r", path, "v", Vec::new());
        let receivers = Receivers::new(vec![of("/a"), of("/a/")]).unwrap();
        assert_eq!(receivers.at(b"/a/").map(|found| found.path()), Some("/a/"));
        assert!(receivers.at(b"/A").is_none());
        assert_eq!(receivers.all().len(), 2);
        assert_eq!(Receivers::new(vec![of("/a"), of("/a")]).unwrap_err(), DuplicatePath("/a".into()));
    }

    #[test]
    fn a_line_an_hour() {
        let hourly = Hourly::default();
        let now = 1_700_000_000_000;
        assert_eq!([now, now + 1, now + 3_599_999, now + 3_600_000, now + 3_600_001].map(|at| hourly.due(at)), [true, false, false, true, false]);
        assert!(hourly.due(now - 1), "after the clock was set back");
    }
}
