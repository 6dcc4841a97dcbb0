//! Presence made anew in Postgres.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Row};

use super::copy::{MICROS_PER_MILLI, MICROS_PER_SECOND};
use super::error::{self, step};
use super::recent::optional_micros;
use super::{Postgres, STEP_TIMEOUT, presence, recent, run};
use crate::group::Group;
use crate::presence::Changes;
use crate::presence::rebuild::{Found, Rebuild, STOP_WRITERS, Step, Which};
use crate::presence::told::Dialect;
use crate::writer::WriteError;

impl Rebuild for Postgres {
    async fn open(&mut self, stop_writers: bool) -> Result<(), WriteError> {
        let mut session = self.take()?;
        run(&mut session.connection, "begin a transaction", "BEGIN; SET LOCAL statement_timeout = '1h'; SET LOCAL idle_in_transaction_session_timeout = '1h'")
            .await?;
        if stop_writers {
            run(&mut session.connection, "stop other writers", STOP_WRITERS).await?;
        }
        self.session = Some(session);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), WriteError> {
        let mut session = self.take()?;
        run(&mut session.connection, "commit", "COMMIT").await?;
        self.session = Some(session);
        Ok(())
    }

    async fn found(&mut self, profile: &str) -> Result<Option<Found>, WriteError> {
        let what = "read how far recomputing has come";
        let mut session = self.take()?;
        let asked = sqlx::query("SELECT from_day, made_by, committed_ms, reached FROM presence_recompute WHERE profile = $1 FOR UPDATE").bind(profile);
        let row = step(what, STEP_TIMEOUT, asked.fetch_optional(&mut session.connection)).await?;
        let read = |row: &sqlx::postgres::PgRow| {
            let reached = optional_micros(row, 3)?.map(|micros| micros.div_euclid(MICROS_PER_SECOND));
            Ok(Found { from_day: row.try_get(0)?, made_by: row.try_get(1)?, committed_ms: row.try_get(2)?, reached })
        };
        let found = row.as_ref().map(read).transpose().map_err(|error| error::of(what, &error))?;
        self.session = Some(session);
        Ok(found)
    }

    async fn run(&mut self, of: Step<'_>) -> Result<(), WriteError> {
        let mut session = self.take()?;
        for sql in of.statements(Dialect::Postgres) {
            step("recompute", LONG_TIMEOUT, sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut session.connection)).await?;
        }
        self.session = Some(session);
        Ok(())
    }

    async fn write_presence(&mut self, changes: &Changes) -> Result<(), WriteError> {
        let mut session = self.take()?;
        presence::write(&mut session.connection, &mut self.encoder, changes).await?;
        self.session = Some(session);
        Ok(())
    }

    async fn replay(&mut self, which: Which, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
        let mut session = self.take()?;
        let (condition, number) = match which {
            Which::Observed(second) => ("o.observed_at >= to_timestamp($1::float8) ORDER BY o.observed_at", second),
            Which::Received(ms) => ("o.received_at >= to_timestamp($1::float8 / 1000)", ms),
        };
        if let Which::Observed(_) = which {
            run(&mut session.connection, "read the observations", "BEGIN READ ONLY; SET LOCAL statement_timeout = 0").await?;
            recent::replay(&mut session.connection, condition, number, each).await?;
            run(&mut session.connection, "read the observations", "COMMIT").await?;
        } else {
            recent::replay(&mut session.connection, condition, number, each).await?;
        }
        self.session = Some(session);
        Ok(())
    }

    async fn arrivals(&mut self) -> Result<Option<(i64, i64)>, WriteError> {
        let what = "read the times of arrivals";
        let mut session = self.take()?;
        // Each journal is applied in the order of arrival.
        let asked = sqlx::query(
            "SELECT (SELECT min(received_at) FROM observation), (SELECT min(newest_received_at) FROM journal_cursor WHERE updated_at > now() - interval '1 day')",
        );
        let row = step(what, LONG_TIMEOUT, asked.fetch_one(&mut session.connection)).await?;
        let read = |at: usize| optional_micros(&row, at).map(|micros| micros.map(|micros| micros.div_euclid(MICROS_PER_MILLI)));
        let (oldest, committed) = read(0).and_then(|oldest| Ok((oldest, read(1)?))).map_err(|error| error::of(what, &error))?;
        self.session = Some(session);
        Ok(oldest.map(|oldest| (oldest, committed.unwrap_or(0))))
    }
}

/// For one statement that moves many rows.
const LONG_TIMEOUT: Duration = Duration::from_secs(3_630);
