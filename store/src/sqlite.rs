//! The SQLite store: one file, one connection, all observations of a group in one statement.
//!
//! WAL with `synchronous = FULL`: a commit is on disk when it returns. SQLite runs on a thread of the driver's; a statement that waits
//! for a disk that hangs waits with it, which no deadline could mend.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, SqliteConnection};

use crate::dictionary::{Absent, Ids, Learned, Wanted, newest_received_ms, resolve, whole};
use crate::forget::{Forget, Forgotten, Progress};
use crate::group::{Group, LocationRow, ObservationRow, Part};
use crate::migrations;
use crate::position::{JournalId, Position};
use crate::presence::told::Dialect;
use crate::presence::{Keep, RecordKey, Stored, tend};
use crate::upsert;
use crate::writer::{Advance, Class, Cursor, Maintained, Store, WriteError};

mod cursor;
mod dictionary;
mod error;
mod find;
mod forget;
mod presence;
mod rebuild;
mod recent;
mod retention;
mod rows;
mod told;
mod values;

use error::step;
use told::Told;

/// A store in a SQLite file.
pub struct Sqlite {
    path: PathBuf,
    connection: Option<Open>,
    /// Which file the connection has open.
    file: Option<FileId>,
    ids: Box<Ids>,
}

/// Device and inode.
type FileId = (u64, u64);

/// An open connection, and its tables of rows in memory.
struct Open {
    driver: SqliteConnection,
    told: Told,
    /// How far an ended epoch is forgotten.
    forgetting: Box<Option<Progress>>,
}

impl Sqlite {
    /// Reads the URL: `sqlite:PATH` or `sqlite://PATH`. Nothing is opened.
    ///
    /// # Errors
    /// What is wrong with the URL and the remedy.
    pub fn new(url: &str) -> Result<Self, String> {
        Ok(Self { path: path_of(url)?, connection: None, file: None, ids: Box::default() })
    }

    /// Takes the connection out; whoever is done without an error puts it back.
    fn take(&mut self) -> Result<Open, WriteError> {
        self.connection.take().ok_or_else(|| WriteError::new(Class::Retry, "the SQLite file is not open"))
    }

    /// A file that was moved away or replaced still takes rows, but nobody will ever see them. Asked after a COMMIT, so that what went
    /// into such a file counts as in doubt, and the cursor of the file that is there now decides.
    fn check_name(&self) -> Result<(), WriteError> {
        if self.file.is_some() && file_id(&self.path) == self.file {
            return Ok(());
        }
        Err(WriteError::new(Class::Retry, format!("the database file {} was moved away or replaced", self.path.display())))
    }

    /// Makes the file if there is none, readable by its owner only; SQLite gives its companions the same mode.
    fn make_file(&self) -> Result<(), WriteError> {
        let made = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&self.path);
        made.map(drop).map_err(|error| {
            let class = if error.kind() == io::ErrorKind::PermissionDenied { Class::Schema } else { Class::Retry };
            WriteError::new(class, format!("open the database file {}: {error}", self.path.display()))
        })
    }

    async fn open(&self) -> Result<Open, WriteError> {
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(false)
            .pragma("cache_size", "-32768")
            // A long reader lets the WAL grow; this gives the space back afterwards.
            .pragma("journal_size_limit", "67108864")
            // What is deleted leaves nothing readable in pages that are written anyway.
            .pragma("secure_delete", "FAST")
            .statement_cache_capacity(STATEMENTS)
            .row_buffer_size(ROWS_IN_FLIGHT)
            .disable_statement_logging();
        let mut connection = step("open the database file", options.connect()).await?;
        error::migrate(migrations::migrator(migrations::SQLITE).run_direct(None, &mut connection, false)).await?;
        let told = Told::register(&mut connection).await?;
        Ok(Open { driver: connection, told, forgetting: Box::default() })
    }
}

impl Store for Sqlite {
    fn kind(&self) -> &'static str {
        "sqlite"
    }

    async fn connect(&mut self) -> Result<(), WriteError> {
        if let Some(connection) = self.connection.take() {
            // Waits for its thread, so that the file has one writer.
            let _closed = connection.driver.close().await;
        }
        self.ids.clear();
        self.make_file()?;
        self.file = file_id(&self.path);
        let connection = Box::pin(self.open()).await?;
        self.check_name()?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn adopt(&mut self, journal: JournalId, first: Position) -> Result<Cursor, WriteError> {
        let mut connection = self.take()?;
        let cursor = cursor::adopt(&mut connection.driver, journal, first).await?;
        self.connection = Some(connection);
        Ok(cursor)
    }

    async fn cursor(&mut self, journal: JournalId) -> Result<Option<Cursor>, WriteError> {
        let mut connection = self.take()?;
        let cursor = cursor::read(&mut connection.driver, journal).await?;
        self.connection = Some(connection);
        Ok(cursor)
    }

    async fn write(&mut self, group: &Group, advance: &Advance) -> Result<(), WriteError> {
        let mut connection = self.take()?;
        run(&mut connection.driver, "begin a transaction", "BEGIN IMMEDIATE").await?;
        if !cursor::advance(&mut connection.driver, advance, newest_received_ms(group), group.presence.unpublished_since).await? {
            run(&mut connection.driver, "roll back", "ROLLBACK").await?;
            return Err(WriteError::new(Class::CursorMoved, "move the cursor: another process has moved it or taken the journal over"));
        }
        let learned = write_rows(&mut connection, group, &whole(group), &self.ids).await?;
        presence::write(&mut connection, &group.presence).await?;
        run(&mut connection.driver, "commit", "COMMIT").await?;
        self.check_name()?;
        self.ids.keep(learned);
        self.connection = Some(connection);
        Ok(())
    }

    async fn probe(&mut self, group: &Group, part: &Part) -> Result<(), WriteError> {
        let mut connection = self.take()?;
        run(&mut connection.driver, "begin a transaction", "BEGIN IMMEDIATE").await?;
        // What it learned is rolled back too, and so forgotten.
        let _forgotten = write_rows(&mut connection, group, part, &self.ids).await?;
        run(&mut connection.driver, "roll back", "ROLLBACK").await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn newest_received_ms(&mut self) -> Result<Option<i64>, WriteError> {
        let mut connection = self.take()?;
        let newest = cursor::newest_received_ms(&mut connection.driver).await?;
        self.connection = Some(connection);
        Ok(newest)
    }

    async fn recent(&mut self, since_s: i64, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
        let mut connection = self.take()?;
        recent::read(&mut connection.driver, since_s, each).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn catch_up(&mut self, since_s: i64) -> Result<(), WriteError> {
        let mut connection = self.take()?;
        for sql in upsert::catch_up("?1") {
            step("bring times of last sight up to date", sqlx::query(AssertSqlSafe(sql)).bind(since_s).execute(&mut connection.driver)).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn find_observations(&mut self, group: &Group, rows: &[ObservationRow]) -> Result<Vec<bool>, WriteError> {
        let mut connection = self.take()?;
        let wanted = Wanted::by_observations(group, rows);
        let resolved = resolve(&mut connection.driver, &self.ids, group, &wanted, Absent::Leave).await?;
        let found = find::observations(&mut connection.driver, rows, &resolved).await?;
        self.ids.keep(resolved.learned);
        self.connection = Some(connection);
        Ok(found)
    }

    async fn find_locations(&mut self, group: &Group, rows: &[LocationRow]) -> Result<Vec<bool>, WriteError> {
        let mut connection = self.take()?;
        let wanted = Wanted::by_locations(group, rows);
        let resolved = resolve(&mut connection.driver, &self.ids, group, &wanted, Absent::Leave).await?;
        let found = find::locations(&mut connection.driver, rows, &resolved).await?;
        self.ids.keep(resolved.learned);
        self.connection = Some(connection);
        Ok(found)
    }

    async fn presence(&mut self, journal: JournalId) -> Result<Stored, WriteError> {
        let mut connection = self.take()?;
        let stored = presence::stored(&mut connection.driver, &journal.to_string()).await?;
        self.connection = Some(connection);
        Ok(stored)
    }

    async fn records(&mut self, keys: &[RecordKey]) -> Result<Vec<Vec<u8>>, WriteError> {
        let mut connection = self.take()?;
        let records = presence::records(&mut connection.driver, keys).await?;
        self.connection = Some(connection);
        Ok(records)
    }

    async fn tend(&mut self, now_ms: i64, keep: &Keep) -> Result<bool, WriteError> {
        let mut connection = self.take()?;
        let mut more = false;
        for tended in tend::steps(Dialect::Sqlite, now_ms, keep) {
            let done = step(tended.what, sqlx::query(AssertSqlSafe(tended.sql)).execute(&mut connection.driver)).await?;
            more |= tended.is_bounded && done.rows_affected() >= tend::STEP_ROWS;
        }
        self.check_name()?;
        self.connection = Some(connection);
        Ok(more)
    }

    async fn forget(&mut self, what: &Forget) -> Result<Forgotten, WriteError> {
        let mut connection = self.take()?;
        let forgotten = forget::next(&mut connection.driver, &mut connection.forgetting, what).await?;
        self.check_name()?;
        self.connection = Some(connection);
        Ok(forgotten)
    }

    async fn maintain(&mut self, now_ms: i64, keep: Duration) -> Result<Maintained, WriteError> {
        let mut connection = self.take()?;
        let maintained = retention::step(&mut connection.driver, now_ms, keep).await?;
        self.check_name()?;
        self.connection = Some(connection);
        Ok(maintained)
    }
}

fn file_id(path: &Path) -> Option<FileId> {
    fs::metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

/// The path in a URL.
pub(crate) fn path_of(url: &str) -> Result<PathBuf, String> {
    let path = url.strip_prefix("sqlite:").ok_or("a SQLite URL starts with sqlite:, as in sqlite:footfall-data/footfall.db")?;
    let path = path.strip_prefix("//").unwrap_or(path);
    if path.is_empty() || path.contains(":memory:") {
        return Err("the SQLite URL names no file; write sqlite:PATH, as in sqlite:footfall-data/footfall.db".to_owned());
    }
    if path.contains('?') {
        return Err("the SQLite URL has parameters and takes none; write sqlite:PATH".to_owned());
    }
    Ok(PathBuf::from(path))
}

/// Writes the rows of a part, inside a transaction.
async fn write_rows(open: &mut Open, group: &Group, part: &Part, ids: &Ids) -> Result<Learned, WriteError> {
    let Open { driver: connection, told, .. } = open;
    let wanted = Wanted::by(group, part);
    let resolved = resolve(connection, ids, group, &wanted, Absent::Add).await?;
    told.write_observations(connection, &group.observations[part.observations.clone()], &resolved).await?;
    told.write_locations(connection, &group.locations[part.locations.clone()], &resolved).await?;
    rows::write_access_points(connection, group, &group.access_points[part.access_points.clone()], &resolved).await?;
    rows::write_clients(connection, group, &group.clients[part.clients.clone()], &resolved).await?;
    rows::write_posts(connection, &group.posts[part.posts.clone()], &resolved).await?;
    Ok(resolved.learned)
}

/// Runs a statement without parameters and rows.
async fn run(connection: &mut SqliteConnection, what: &str, sql: &'static str) -> Result<(), WriteError> {
    step(what, sqlx::query(sql).execute(connection)).await.map(drop)
}

/// How long to wait for another process that writes the file: a person with the sqlite3 shell.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements: each shape of a multi-row statement stands for itself.
const STATEMENTS: usize = 128;
/// Rows between the driver's thread and the reader.
const ROWS_IN_FLIGHT: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_gives_its_path() {
        for (url, path) in [("sqlite:a/b.db", "a/b.db"), ("sqlite:/a/b.db", "/a/b.db"), ("sqlite:///a/b.db", "/a/b.db"), ("sqlite://b.db", "b.db")] {
            assert_eq!(path_of(url).unwrap(), PathBuf::from(path), "{url}");
        }
        for url in ["sqlite:", "sqlite://", "sqlite::memory:", "sqlite:b.db?mode=ro", "b.db"] {
            assert!(path_of(url).is_err(), "{url}");
        }
    }
}
