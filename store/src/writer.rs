//! What a store promises to the pipeline, and the classes of its errors.

use std::future::Future;
use std::time::Duration;

use crate::forget::{Forget, Forgotten};
use crate::group::{Group, LocationRow, ObservationRow, Part};
use crate::position::{JournalId, Position};
use crate::presence::{Keep, RecordKey, Stored};

/// A database that takes groups of rows, each exactly once.
///
/// The pipeline is the only caller and calls one method at a time. A store holds at most a few connections of its own, caches
/// dictionary ids only after the COMMIT that made them, and never retries by itself: it says the error's [`Class`] and the pipeline
/// decides. After any error the store has dropped its connection (a failed or cancelled COPY leaves it unusable), so the next
/// call needs [`Store::connect`] first. No method is cancel-safe; the pipeline never cancels one, each has deadlines of its own.
pub trait Store: Send + 'static {
    /// `sqlite` or `postgres`, for status and logs.
    fn kind(&self) -> &'static str;

    /// Opens a new connection and brings the schema up to date.
    ///
    /// # Errors
    /// [`Class::Retry`] when the server is away, [`Class::Schema`] when migrations cannot run or the schema is newer than known.
    fn connect(&mut self) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Makes this process the one writer of `journal`: raises the cursor's epoch, which fences every earlier process with the same
    /// journal, and returns the cursor. A journal that the store does not know yet starts at `first`.
    fn adopt(&mut self, journal: JournalId, first: Position) -> impl Future<Output = Result<Cursor, WriteError>> + Send;

    /// Reads the cursor as it stands; `None` when the store does not know the journal.
    fn cursor(&mut self, journal: JournalId) -> impl Future<Output = Result<Option<Cursor>, WriteError>> + Send;

    /// One transaction: moves the cursor from `advance.start()` to `advance.end()` by compare-and-set, and writes every row of the group and what it
    /// changes of presence.
    ///
    /// # Errors
    /// [`Class::CursorMoved`] when the compare-and-set found another epoch, position or turn (nothing was written); any other error may
    /// stand on either side of COMMIT: only reading the cursor on a new connection tells.
    fn write(&mut self, group: &Group, advance: &Advance) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Writes the rows of `part` and rolls back: tells whether the database would take them. Moves no cursor.
    fn probe(&mut self, group: &Group, part: &Part) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// The time of the newest arrival in the store, milliseconds since 1970; `None` when it is empty.
    fn newest_received_ms(&mut self) -> impl Future<Output = Result<Option<i64>, WriteError>> + Send;

    /// Reads back all observations and locations with `observed_at >= since_s`, in chunks: each call of `each` gets a group with
    /// `texts`, `sources`, `observations` and `locations` filled.
    fn recent(&mut self, since_s: i64, each: &mut (dyn FnMut(&Group) + Send)) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// Brings `last_seen` of clients and access points up to what the store's own observations and locations since `since_s` tell: what an
    /// earlier process had put off when it ended.
    fn catch_up(&mut self, since_s: i64) -> impl Future<Output = Result<(), WriteError>> + Send;

    /// For each of `rows` (whose sources and texts are `group`'s), whether an equal observation is stored.
    fn find_observations(&mut self, group: &Group, rows: &[ObservationRow]) -> impl Future<Output = Result<Vec<bool>, WriteError>> + Send;

    /// For each of `rows`, whether a location equal in all but `received_at` is stored.
    fn find_locations(&mut self, group: &Group, rows: &[LocationRow]) -> impl Future<Output = Result<Vec<bool>, WriteError>> + Send;

    /// What the store has of presence, for an engine that begins; of the journal, from when on observations are not in it.
    fn presence(&mut self, journal: JournalId) -> impl Future<Output = Result<Stored, WriteError>> + Send;

    /// The packed records of clients, in the order of the keys; empty where there is none.
    fn records(&mut self, keys: &[RecordKey]) -> impl Future<Output = Result<Vec<Vec<u8>>, WriteError>> + Send;

    /// Housekeeping: makes partitions ahead, drops what is older than `keep` by its day received (SQLite: one small step of
    /// deleting), and looks whether the default partition is empty.
    fn maintain(&mut self, now_ms: i64, keep: Duration) -> impl Future<Output = Result<Maintained, WriteError>> + Send;

    /// Housekeeping of presence: percentiles and finality of windows that have closed, and one small step of deleting what is older than it is
    /// kept. Says whether more is waiting.
    fn tend(&mut self, now_ms: i64, keep: &Keep) -> impl Future<Output = Result<bool, WriteError>> + Send;

    /// One step of making rows of an ended epoch lose their clients: observations, locations and what is known of clients go, visits and stays
    /// stay as nobody's. Told again, it goes on where it was, whatever happened in between.
    fn forget(&mut self, what: &Forget) -> impl Future<Output = Result<Forgotten, WriteError>> + Send;
}

/// How far a journal has been applied to the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    /// Which process may move it: raised by each [`Store::adopt`].
    pub epoch: i64,
    /// The next record to apply.
    pub position: Position,
    /// How many transactions have moved it, so that one that applies no record can be told from one that was not committed.
    pub turn: i64,
}

/// A move of the cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Advance {
    /// Whose cursor.
    pub journal: JournalId,
    /// The epoch that this process got from [`Store::adopt`].
    pub epoch: i64,
    /// Where the cursor must stand.
    pub from: Position,
    /// Where it goes.
    pub to: Position,
    /// The turn that the cursor must be at; it is at the next one afterwards.
    pub turn: i64,
}

impl Advance {
    /// The cursor as it must be.
    #[must_use]
    pub const fn start(&self) -> Cursor {
        Cursor { epoch: self.epoch, position: self.from, turn: self.turn }
    }

    /// The cursor as it is afterwards.
    #[must_use]
    pub const fn end(&self) -> Cursor {
        Cursor { epoch: self.epoch, position: self.to, turn: self.turn + 1 }
    }
}

/// What housekeeping did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Maintained {
    /// Partitions made ahead.
    pub partitions_made: u32,
    /// Partitions dropped, or 0 in SQLite.
    pub partitions_dropped: u32,
    /// Rows deleted, in SQLite.
    pub rows_deleted: u64,
    /// Whether more is waiting to be deleted at once (SQLite deletes in small steps).
    pub more: bool,
    /// Rows in default partitions: must be 0.
    pub default_partition_rows: u64,
}

/// What the pipeline does about an error.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Class {
    /// The store is away, busy or in doubt: reconnect, read the cursor, try again for ever.
    Retry,
    /// Tables, columns, privileges or the login are not as they must be: pause, say so, try again slowly.
    Schema,
    /// The rows themselves are refused: find the poison by bisection.
    Data,
    /// The compare-and-set of the cursor moved nothing.
    CursorMoved,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Retry, Self::Schema, Self::Data, Self::CursorMoved];

    /// The value of the metric's `class` label.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Schema => "schema",
            Self::Data => "data",
            Self::CursorMoved => "cursor_moved",
        }
    }

    /// The class of a SQLSTATE. Values, constraints, a key told twice and program limits (22, 23, 21, 54) are the rows' fault, logins,
    /// names and privileges (28, 3D000, 42) the schema's; everything else passes by itself.
    #[must_use]
    pub fn of_sqlstate(code: &str) -> Self {
        match code.get(..2) {
            Some("21" | "22" | "23" | "54") => Self::Data,
            Some("28" | "42") => Self::Schema,
            _ if code == "3D000" => Self::Schema,
            _ => Self::Retry,
        }
    }
}

/// Why the store did not do what it was asked. The text names what was being tried and never a row's values.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct WriteError {
    /// What to do about it.
    pub class: Class,
    /// What was being tried and what the database said.
    pub message: String,
}

impl WriteError {
    /// An error of a class, with its text.
    pub fn new(class: Class, message: impl Into<String>) -> Self {
        Self { class, message: message.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sqlstates_are_classed_as_documented() {
        let cases = [
            (Class::Data, &["22003", "22021", "23505", "23514", "21000", "54000"][..]),
            (Class::Schema, &["42P01", "42703", "42501", "28P01", "3D000"]),
            (Class::Retry, &["08006", "40001", "40P01", "53100", "53300", "55P03", "57P01", "57014", "58030", "25006", "XX000", "", "3F000"]),
        ];
        for (class, codes) in cases {
            for code in codes {
                assert_eq!(Class::of_sqlstate(code), class, "{code}");
            }
        }
    }
}
