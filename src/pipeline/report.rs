//! What the pipeline tells the world: its state, its counts, and whether they add up.

use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU8, AtomicU64, Ordering::Relaxed};

use super::gather::Beside;
use store::batch::Discard;
use store::group::Tally;
use store::journal::Durable;
use store::position::Position;
use store::writer::{Class, WriteError};

/// How the store is doing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Groups are committed as they come.
    Running,
    /// The store is away or busy; it is tried again and again.
    Retrying,
    /// The schema or the privileges are not as they must be; a person has to act.
    Paused,
    /// Another process writes with this journal's name.
    Fenced,
}

impl State {
    /// The name in `/v1/status`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Retrying => "retrying",
            Self::Paused => "paused",
            Self::Fenced => "fenced",
        }
    }
}

/// Observations by their outcome since the process started.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(crate) struct Outcomes {
    /// Told by posts of earlier processes or applied a second time, which the journal does not count as appended now.
    pub(crate) replayed: u64,
    /// Written, and in time for presence.
    pub(crate) written: u64,
    /// Written, and too late for presence.
    pub(crate) late: u64,
    pub(crate) repeats: u64,
    pub(crate) discarded: u64,
}

/// Shared between the pipeline, which writes it, and the admin listener, which reads it.
pub(crate) struct Report {
    state: AtomicU8,
    cursor: AtomicU64,
    /// When the oldest record of the group in hand arrived; 0 when nothing waits.
    pending_since_ms: AtomicI64,
    last_error: Mutex<Option<String>>,
    outcomes: Mutex<Outcomes>,
    mismatch: AtomicI64,
}

impl Report {
    pub(crate) fn new() -> Self {
        let report = Self {
            state: AtomicU8::new(State::Retrying as u8),
            cursor: AtomicU64::new(0),
            pending_since_ms: AtomicI64::new(0),
            last_error: Mutex::new(None),
            outcomes: Mutex::new(Outcomes::default()),
            mismatch: AtomicI64::new(0),
        };
        report.set_state(State::Retrying);
        report
    }

    pub(crate) fn state(&self) -> State {
        match self.state.load(Relaxed) {
            0 => State::Running,
            1 => State::Retrying,
            2 => State::Paused,
            _ => State::Fenced,
        }
    }

    pub(crate) fn cursor(&self) -> Position {
        Position(self.cursor.load(Relaxed))
    }

    pub(crate) fn last_error(&self) -> Option<String> {
        lock(&self.last_error).clone()
    }

    /// The cursor and the outcomes of everything before it: one view of both.
    pub(crate) fn applied(&self) -> (Position, Outcomes) {
        let outcomes = lock(&self.outcomes);
        (self.cursor(), *outcomes)
    }

    pub(crate) fn mismatch(&self) -> i64 {
        self.mismatch.load(Relaxed)
    }

    /// Seconds since the oldest record that is not applied yet arrived; 0 when all are.
    pub(crate) fn lag_s(&self, now_ms: i64) -> f64 {
        match self.pending_since_ms.load(Relaxed) {
            0 => 0.0,
            since => (now_ms - since).max(0) as f64 / 1_000.0,
        }
    }

    pub(super) fn running(&self) {
        let was = self.state();
        self.set_state(State::Running);
        let error = lock(&self.last_error).take();
        if was != State::Running && error.is_some() {
            tracing::info!("the store works again");
        }
    }

    pub(super) fn fenced(&self, why: &str) {
        self.set_state(State::Fenced);
        *lock(&self.last_error) = Some(why.to_owned());
    }

    /// An error: the state changes, and the log says so once per state and message.
    pub(super) fn failed(&self, error: &WriteError) {
        let state = if matches!(error.class, Class::Schema) { State::Paused } else { State::Retrying };
        let before = lock(&self.last_error).replace(error.message.clone());
        let first = self.state() != state || before.is_none();
        let changed = before.as_deref() != Some(&error.message);
        self.set_state(state);
        match (first, changed, state) {
            (true, _, State::Paused) => {
                tracing::error!(error = %error, "the store is paused: its schema or privileges are not as they must be; posts are answered and kept in the journal");
            }
            (true, _, _) => {
                tracing::warn!(error = %error, "the store takes nothing at the moment; posts are answered and kept in the journal, and it is tried again");
            }
            (false, true, _) => tracing::debug!(error = %error, "the store still takes nothing"),
            _ => {}
        }
    }

    pub(super) fn moved(&self, cursor: Position) {
        let _together = lock(&self.outcomes);
        self.cursor.store(cursor.0, Relaxed);
    }

    pub(super) fn pending_since(&self, received_at_ms: i64) {
        let _ = self.pending_since_ms.compare_exchange(0, received_at_ms, Relaxed, Relaxed);
    }

    pub(super) fn idle(&self) {
        self.pending_since_ms.store(0, Relaxed);
    }

    /// A group is in the store: so many rows of observations, of which `beside` says how many are late. `waits_since_ms` is when the first post
    /// of the next one arrived.
    pub(super) fn committed(&self, tally: &Tally, rows: u64, beside: &Beside, cursor: Position, waits_since_ms: Option<i64>) {
        let late = beside.late.min(rows);
        let written = rows - late;
        self.running();
        self.pending_since_ms.store(waits_since_ms.unwrap_or(0), Relaxed);
        {
            let mut outcomes = lock(&self.outcomes);
            self.cursor.store(cursor.0, Relaxed);
            outcomes.replayed += beside.replayed;
            outcomes.written += written;
            outcomes.late += late;
            outcomes.repeats += tally.repeats;
            outcomes.discarded += tally.discarded.total();
        }
        for (outcome, count) in [("written", written), ("late", late), ("repeat", tally.repeats), ("discarded", tally.discarded.total())] {
            metrics::counter!(crate::metrics::OBSERVATIONS_TOTAL, "outcome" => outcome).increment(count);
        }
        for reason in Discard::ALL {
            metrics::counter!(crate::metrics::OBSERVATIONS_DISCARDED_TOTAL, "reason" => reason.name()).increment(tally.discarded.of(reason));
        }
    }

    /// When everything durable is applied, what was told must be what became of it: the difference is published.
    pub(super) fn audit(&self, durable: &Durable) {
        let (cursor, outcomes) = self.applied();
        if durable.next != cursor {
            return;
        }
        let told = durable.observations + outcomes.replayed;
        let accounted = outcomes.written + outcomes.late + outcomes.repeats + outcomes.discarded;
        let mismatch = told.cast_signed() - accounted.cast_signed();
        if mismatch != 0 && self.mismatch() != mismatch {
            tracing::error!(told, accounted, "observations do not add up");
        }
        self.mismatch.store(mismatch, Relaxed);
        metrics::gauge!(crate::metrics::ACCOUNTING_MISMATCH).set(mismatch as f64);
    }

    fn set_state(&self, state: State) {
        self.state.store(state as u8, Relaxed);
        metrics::gauge!(crate::metrics::STORE_STATE).set(f64::from(state as u8));
    }
}

/// A poisoned lock means a panic elsewhere, after which these counts are still good to read.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
