//! The Postgres store: one connection, COPY BINARY straight into the partition of the day.
//!
//! Every awaited step has a deadline, since neither a frozen server nor a network that swallows packets closes a connection. After
//! any error the connection is dropped, never used again: a COPY that failed or timed out leaves it in no defined state. The server
//! ends what it was doing for us when it sees the connection go, or by its own timeouts, which the session sets.

use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, PgConnection, Row};

use crate::dictionary::{Absent, Ids, Learned, Wanted, newest_received_ms, resolve, whole};
use crate::forget::{Forget, Forgotten};
use crate::group::{Group, LocationRow, ObservationRow, Part};
use crate::migrations;
use crate::position::{JournalId, Position};
use crate::presence::told::Dialect;
use crate::presence::{Keep, RecordKey, Stored, tend};
use crate::upsert;
use crate::writer::{Advance, Class, Cursor, Maintained, Store, WriteError};

mod copy;
mod cursor;
mod dictionary;
pub(crate) mod error;
mod facts;
mod find;
mod forget;
mod partition;
mod presence;
mod rebuild;
mod recent;
pub(crate) mod url;

use copy::Encoder;
use error::step;
use partition::Partitions;

/// A store in Postgres 15 or later.
pub struct Postgres {
    options: PgConnectOptions,
    session: Option<Session>,
    ids: Ids,
    /// Kept across connections: its memory is reused.
    encoder: Encoder,
}

/// A connection and what is known of the database behind it.
struct Session {
    connection: PgConnection,
    partitions: Partitions,
    /// How far an ended epoch is forgotten.
    walk: forget::Walk,
}

impl Postgres {
    /// Reads the URL: `postgres://user:password@host:port/database?sslmode=..`, or for a unix socket
    /// `postgres://user@/database?host=/run/postgresql`. Nothing is opened.
    ///
    /// # Errors
    /// What is wrong with the URL and the remedy, without the URL's text.
    pub fn new(url: &str) -> Result<Self, String> {
        let options = url::options(url)?.application_name("footfall").disable_statement_logging();
        Ok(Self { options, session: None, ids: Ids::default(), encoder: Encoder::default() })
    }

    /// Takes the session out; whoever is done without an error puts it back.
    fn take(&mut self) -> Result<Session, WriteError> {
        self.session.take().ok_or_else(|| WriteError::new(Class::Retry, "not connected to Postgres"))
    }

    async fn open(&self) -> Result<Session, WriteError> {
        let mut connection = step("connect to Postgres", CONNECT_TIMEOUT, self.options.connect()).await?;
        check_server(&mut connection).await?;
        step("set up the session", STEP_TIMEOUT, sqlx::raw_sql(SESSION).execute(&mut connection)).await?;
        error::migrate(MIGRATE_TIMEOUT, migrations::migrator(migrations::POSTGRES).run_direct(None, &mut connection, false)).await?;
        step("make the session's tables", STEP_TIMEOUT, sqlx::raw_sql(AssertSqlSafe(facts::SESSION_TABLES.as_str())).execute(&mut connection)).await?;
        step("make the session's tables", STEP_TIMEOUT, sqlx::raw_sql(AssertSqlSafe(presence::SESSION_TABLES.as_str())).execute(&mut connection)).await?;
        // Only now: a migration may take its time.
        step("set up the session", STEP_TIMEOUT, sqlx::raw_sql(SESSION_LIMITS).execute(&mut connection)).await?;
        let partitions = Partitions::read(&mut connection).await?;
        Ok(Session { connection, partitions, walk: forget::Walk::default() })
    }
}

impl Store for Postgres {
    fn kind(&self) -> &'static str {
        "postgres"
    }

    async fn connect(&mut self) -> Result<(), WriteError> {
        self.session = None;
        self.ids.clear();
        self.session = Some(Box::pin(self.open()).await?);
        Ok(())
    }

    async fn adopt(&mut self, journal: JournalId, first: Position) -> Result<Cursor, WriteError> {
        let mut session = self.take()?;
        let cursor = cursor::adopt(&mut session.connection, journal, first).await?;
        self.session = Some(session);
        Ok(cursor)
    }

    async fn cursor(&mut self, journal: JournalId) -> Result<Option<Cursor>, WriteError> {
        let mut session = self.take()?;
        let cursor = cursor::read(&mut session.connection, journal).await?;
        self.session = Some(session);
        Ok(cursor)
    }

    async fn write(&mut self, group: &Group, advance: &Advance) -> Result<(), WriteError> {
        let mut session = self.take()?;
        // Before the transaction: a day whose partition cannot be made must not spoil it.
        session.partitions.ensure_days_of(&mut session.connection, group).await?;
        run(&mut session.connection, "begin a transaction", "BEGIN").await?;
        if !cursor::advance(&mut session.connection, advance, newest_received_ms(group), group.presence.unpublished_since).await? {
            run(&mut session.connection, "roll back", "ROLLBACK").await?;
            return Err(WriteError::new(Class::CursorMoved, "move the cursor: another process has moved it or taken the journal over"));
        }
        let learned = session.write_rows(group, &whole(group), &self.ids, &mut self.encoder).await?;
        presence::write(&mut session.connection, &mut self.encoder, &group.presence).await?;
        run(&mut session.connection, "commit", "COMMIT").await?;
        self.ids.keep(learned);
        self.session = Some(session);
        Ok(())
    }

    async fn probe(&mut self, group: &Group, part: &Part) -> Result<(), WriteError> {
        let mut session = self.take()?;
        run(&mut session.connection, "begin a transaction", "BEGIN").await?;
        // What it learned is rolled back too, and so forgotten.
        let _forgotten = session.write_rows(group, part, &self.ids, &mut self.encoder).await?;
        run(&mut session.connection, "roll back", "ROLLBACK").await?;
        self.session = Some(session);
        Ok(())
    }

    async fn newest_received_ms(&mut self) -> Result<Option<i64>, WriteError> {
        let mut session = self.take()?;
        let newest = cursor::newest_received_ms(&mut session.connection).await?;
        self.session = Some(session);
        Ok(newest)
    }

    async fn recent(&mut self, since_s: i64, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
        let mut session = self.take()?;
        Box::pin(recent::read(&mut session.connection, since_s, each)).await?;
        self.session = Some(session);
        Ok(())
    }

    async fn catch_up(&mut self, since_s: i64) -> Result<(), WriteError> {
        let what = "bring times of last sight up to date";
        let mut session = self.take()?;
        run(&mut session.connection, what, "BEGIN; SET LOCAL statement_timeout = '1h'").await?;
        for sql in upsert::catch_up("to_timestamp($1::float8)") {
            let done = sqlx::query(AssertSqlSafe(sql)).bind(since_s).execute(&mut session.connection);
            step(what, CATCH_UP_TIMEOUT, done).await?;
        }
        run(&mut session.connection, what, "COMMIT").await?;
        self.session = Some(session);
        Ok(())
    }

    async fn find_observations(&mut self, group: &Group, rows: &[ObservationRow]) -> Result<Vec<bool>, WriteError> {
        let mut session = self.take()?;
        let wanted = Wanted::by_observations(group, rows);
        let resolved = resolve(&mut session.connection, &self.ids, group, &wanted, Absent::Leave).await?;
        let found = find::observations(&mut session.connection, rows, &resolved).await?;
        self.ids.keep(resolved.learned);
        self.session = Some(session);
        Ok(found)
    }

    async fn find_locations(&mut self, group: &Group, rows: &[LocationRow]) -> Result<Vec<bool>, WriteError> {
        let mut session = self.take()?;
        let wanted = Wanted::by_locations(group, rows);
        let resolved = resolve(&mut session.connection, &self.ids, group, &wanted, Absent::Leave).await?;
        let found = find::locations(&mut session.connection, rows, &resolved).await?;
        self.ids.keep(resolved.learned);
        self.session = Some(session);
        Ok(found)
    }

    async fn presence(&mut self, journal: JournalId) -> Result<Stored, WriteError> {
        let mut session = self.take()?;
        let stored = presence::stored(&mut session.connection, &journal.to_string()).await?;
        self.session = Some(session);
        Ok(stored)
    }

    async fn records(&mut self, keys: &[RecordKey]) -> Result<Vec<Vec<u8>>, WriteError> {
        let mut session = self.take()?;
        let records = presence::records(&mut session.connection, keys).await?;
        self.session = Some(session);
        Ok(records)
    }

    async fn tend(&mut self, now_ms: i64, keep: &Keep) -> Result<bool, WriteError> {
        let mut session = self.take()?;
        let mut more = false;
        for tended in tend::steps(Dialect::Postgres, now_ms, keep) {
            let done = step(tended.what, STEP_TIMEOUT, sqlx::raw_sql(AssertSqlSafe(tended.sql)).execute(&mut session.connection)).await?;
            more |= tended.is_bounded && done.rows_affected() >= tend::STEP_ROWS;
        }
        self.session = Some(session);
        Ok(more)
    }

    async fn forget(&mut self, what: &Forget) -> Result<Forgotten, WriteError> {
        let mut session = self.take()?;
        let forgotten = forget::next(&mut session.connection, &mut session.walk, what).await?;
        self.session = Some(session);
        Ok(forgotten)
    }

    async fn maintain(&mut self, now_ms: i64, keep: Duration) -> Result<Maintained, WriteError> {
        let mut session = self.take()?;
        let maintained = session.partitions.maintain(&mut session.connection, now_ms, keep).await?;
        self.session = Some(session);
        Ok(maintained)
    }
}

impl Session {
    /// Writes the rows of a part, inside a transaction. Tables and keys come in one order, so that two writers cannot deadlock.
    async fn write_rows(&mut self, group: &Group, part: &Part, ids: &Ids, encoder: &mut Encoder) -> Result<Learned, WriteError> {
        let Self { connection, partitions, .. } = self;
        let wanted = Wanted::by(group, part);
        let resolved = resolve(connection, ids, group, &wanted, Absent::Add).await?;
        encoder.observations(connection, &group.observations[part.observations.clone()], &resolved, partitions).await?;
        encoder.locations(connection, &group.locations[part.locations.clone()], &resolved, partitions).await?;
        facts::write_access_points(connection, encoder, group, &group.access_points[part.access_points.clone()], &resolved).await?;
        facts::write_clients(connection, encoder, group, &group.clients[part.clients.clone()], &resolved).await?;
        facts::write_posts(connection, encoder, &group.posts[part.posts.clone()], &resolved, partitions).await?;
        Ok(resolved.learned)
    }
}

/// Refuses a server that the schema does not work on.
async fn check_server(connection: &mut PgConnection) -> Result<(), WriteError> {
    let asked = sqlx::query("SELECT current_setting('server_version_num')::int4, current_setting('server_encoding')").fetch_one(&mut *connection);
    let row = step("ask for the server's version", STEP_TIMEOUT, asked).await?;
    let read = |error: sqlx::Error| error::of("ask for the server's version", &error);
    let (version, encoding): (i32, String) = (row.try_get(0).map_err(read)?, row.try_get(1).map_err(read)?);
    if version < VERSION_MIN {
        let message = format!("Postgres {} is too old: 15 or later is needed", version / 10_000);
        return Err(WriteError::new(Class::Schema, message));
    }
    if encoding != "UTF8" {
        let message = format!("the database's encoding is {encoding}: make one with CREATE DATABASE .. ENCODING 'UTF8' TEMPLATE template0");
        return Err(WriteError::new(Class::Schema, message));
    }
    Ok(())
}

/// Runs a statement without parameters and rows.
async fn run(connection: &mut PgConnection, what: &str, sql: &'static str) -> Result<(), WriteError> {
    step(what, STEP_TIMEOUT, sqlx::raw_sql(sql).execute(connection)).await.map(drop)
}

/// A COMMIT that returns before the WAL is on disk could be undone by a crash after the journal has deleted the records. The
/// other settings make the server end what we can no longer hear of. Compiling our statements takes longer than running them.
const SESSION: &str = "\
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') <> 'remote_apply';
SET client_min_messages = warning;
SET TimeZone = 'UTC';
SET jit = off;
SET idle_in_transaction_session_timeout = '120s';
SET tcp_keepalives_idle = 30;
SET tcp_keepalives_interval = 10;
SET tcp_keepalives_count = 3;
SET client_connection_check_interval = '10s';
SET lock_timeout = '20s';";

/// What holds for every statement but a migration's.
const SESSION_LIMITS: &str = "SET statement_timeout = '120s';";

/// To open a connection, authentication included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For one statement; more than the session's `statement_timeout`, so that a server that lives speaks first.
const STEP_TIMEOUT: Duration = Duration::from_secs(130);
/// For one statement over all that was observed within the repeat filter's horizon.
const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(600);
/// For all migrations.
const MIGRATE_TIMEOUT: Duration = Duration::from_secs(600);
/// Postgres 15, for `UNIQUE NULLS NOT DISTINCT`.
const VERSION_MIN: i32 = 150_000;
