//! The store that a database URL names.

use std::time::Duration;

use crate::forget::{Forget, Forgotten};
use crate::group::{Group, LocationRow, ObservationRow, Part};
use crate::null::Null;
use crate::position::{JournalId, Position};
#[cfg(feature = "postgres")]
use crate::postgres::Postgres;
use crate::presence::rebuild::{Found, Rebuild, Step, Which};
use crate::presence::{Changes, Keep, RecordKey, Stored};
#[cfg(feature = "sqlite")]
use crate::sqlite::Sqlite;
use crate::writer::{Advance, Cursor, Maintained, Store, WriteError};

/// One of the stores.
pub enum Database {
    /// A file.
    #[cfg(feature = "sqlite")]
    Sqlite(Sqlite),
    /// A server.
    #[cfg(feature = "postgres")]
    Postgres(Box<Postgres>),
    /// Nothing: rows are thrown away.
    Null(Null),
}

impl Database {
    /// The store that the URL names. Nothing is opened.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the URL and how to mend it. It never holds the URL, which may hold a password.
    pub fn from_url(url: &str) -> Result<Self, String> {
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        match scheme {
            #[cfg(feature = "sqlite")]
            "sqlite" => Sqlite::new(url).map(Self::Sqlite),
            #[cfg(feature = "postgres")]
            "postgres" | "postgresql" => Postgres::new(url).map(|store| Self::Postgres(Box::new(store))),
            "null" => Ok(Self::Null(Null::default())),
            _ => Err(format!("{scheme:?} is no known database: write sqlite:PATH for a file, or postgres://USER:PASSWORD@HOST:PORT/DATABASE for a server")),
        }
    }
}

/// Calls the same method of whichever store it is.
macro_rules! either {
    ($database:expr, $store:ident => $call:expr) => {
        match $database {
            #[cfg(feature = "sqlite")]
            Database::Sqlite($store) => $call,
            #[cfg(feature = "postgres")]
            Database::Postgres($store) => $call,
            Database::Null($store) => $call,
        }
    };
}

impl Store for Database {
    fn kind(&self) -> &'static str {
        either!(self, store => store.kind())
    }

    async fn connect(&mut self) -> Result<(), WriteError> {
        either!(self, store => store.connect().await)
    }

    async fn adopt(&mut self, journal: JournalId, first: Position) -> Result<Cursor, WriteError> {
        either!(self, store => store.adopt(journal, first).await)
    }

    async fn cursor(&mut self, journal: JournalId) -> Result<Option<Cursor>, WriteError> {
        either!(self, store => store.cursor(journal).await)
    }

    async fn write(&mut self, group: &Group, advance: &Advance) -> Result<(), WriteError> {
        either!(self, store => store.write(group, advance).await)
    }

    async fn probe(&mut self, group: &Group, part: &Part) -> Result<(), WriteError> {
        either!(self, store => store.probe(group, part).await)
    }

    async fn newest_received_ms(&mut self) -> Result<Option<i64>, WriteError> {
        either!(self, store => store.newest_received_ms().await)
    }

    async fn recent(&mut self, since_s: i64, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
        either!(self, store => store.recent(since_s, each).await)
    }

    async fn catch_up(&mut self, since_s: i64) -> Result<(), WriteError> {
        either!(self, store => store.catch_up(since_s).await)
    }

    async fn find_observations(&mut self, group: &Group, rows: &[ObservationRow]) -> Result<Vec<bool>, WriteError> {
        either!(self, store => store.find_observations(group, rows).await)
    }

    async fn find_locations(&mut self, group: &Group, rows: &[LocationRow]) -> Result<Vec<bool>, WriteError> {
        either!(self, store => store.find_locations(group, rows).await)
    }

    async fn presence(&mut self, journal: JournalId) -> Result<Stored, WriteError> {
        either!(self, store => store.presence(journal).await)
    }

    async fn records(&mut self, keys: &[RecordKey]) -> Result<Vec<Vec<u8>>, WriteError> {
        either!(self, store => store.records(keys).await)
    }

    async fn tend(&mut self, now_ms: i64, keep: &Keep) -> Result<bool, WriteError> {
        either!(self, store => store.tend(now_ms, keep).await)
    }

    async fn forget(&mut self, what: &Forget) -> Result<Forgotten, WriteError> {
        either!(self, store => store.forget(what).await)
    }

    async fn maintain(&mut self, now_ms: i64, keep: Duration) -> Result<Maintained, WriteError> {
        either!(self, store => store.maintain(now_ms, keep).await)
    }
}

impl Rebuild for Database {
    async fn open(&mut self, stop_writers: bool) -> Result<(), WriteError> {
        either!(self, store => store.open(stop_writers).await)
    }

    async fn commit(&mut self) -> Result<(), WriteError> {
        either!(self, store => store.commit().await)
    }

    async fn found(&mut self, profile: &str) -> Result<Option<Found>, WriteError> {
        either!(self, store => store.found(profile).await)
    }

    async fn run(&mut self, step: Step<'_>) -> Result<(), WriteError> {
        either!(self, store => store.run(step).await)
    }

    async fn write_presence(&mut self, changes: &Changes) -> Result<(), WriteError> {
        either!(self, store => store.write_presence(changes).await)
    }

    async fn replay(&mut self, which: Which, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
        either!(self, store => store.replay(which, each).await)
    }

    async fn arrivals(&mut self) -> Result<Option<(i64, i64)>, WriteError> {
        either!(self, store => store.arrivals().await)
    }
}
