//! Presence made anew in SQLite.

use sqlx::AssertSqlSafe;

use super::error::step;
use super::{Sqlite, presence, recent, run};
use crate::group::Group;
use crate::presence::Changes;
use crate::presence::rebuild::{Found, Rebuild, STOP_WRITERS, Step, Which};
use crate::presence::told::Dialect;
use crate::writer::WriteError;

impl Rebuild for Sqlite {
    async fn open(&mut self, stop_writers: bool) -> Result<(), WriteError> {
        let mut connection = self.take()?;
        run(&mut connection.driver, "begin a transaction", "BEGIN IMMEDIATE").await?;
        if stop_writers {
            run(&mut connection.driver, "stop other writers", STOP_WRITERS).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), WriteError> {
        let mut connection = self.take()?;
        run(&mut connection.driver, "commit", "COMMIT").await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn found(&mut self, profile: &str) -> Result<Option<Found>, WriteError> {
        let what = "read how far recomputing has come";
        let mut connection = self.take()?;
        let asked = sqlx::query_as("SELECT from_day, made_by, committed_ms, reached FROM presence_recompute WHERE profile = ?").bind(profile);
        let found: Option<(String, String, i64, Option<i64>)> = step(what, asked.fetch_optional(&mut connection.driver)).await?;
        let found = found.map(|(from_day, made_by, committed_ms, reached)| Found { from_day, made_by, committed_ms, reached });
        self.connection = Some(connection);
        Ok(found)
    }

    async fn run(&mut self, of: Step<'_>) -> Result<(), WriteError> {
        let mut connection = self.take()?;
        for sql in of.statements(Dialect::Sqlite) {
            step("recompute", sqlx::query(AssertSqlSafe(sql)).execute(&mut connection.driver)).await?;
        }
        self.connection = Some(connection);
        Ok(())
    }

    async fn write_presence(&mut self, changes: &Changes) -> Result<(), WriteError> {
        let mut connection = self.take()?;
        presence::write(&mut connection, changes).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn replay(&mut self, which: Which, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
        let mut connection = self.take()?;
        let (condition, number) = match which {
            Which::Observed(second) => ("o.observed_at >= ? ORDER BY o.observed_at", second),
            Which::Received(ms) => ("o.received_at >= ?", ms),
        };
        recent::replay(&mut connection.driver, condition, number, each).await?;
        self.connection = Some(connection);
        Ok(())
    }

    async fn arrivals(&mut self) -> Result<Option<(i64, i64)>, WriteError> {
        let mut connection = self.take()?;
        // Rows stand in the order of their arrival, and each journal is applied in that order.
        let asked = sqlx::query_as(
            "SELECT o.received_at, (SELECT coalesce(min(newest_received_at), 0) FROM journal_cursor WHERE updated_at > strftime('%Y-%m-%dT%H:%M:%SZ', 'now', '-1 day')) FROM observation o ORDER BY o.rowid LIMIT 1",
        );
        let arrivals = step("read the times of arrivals", asked.fetch_optional(&mut connection.driver)).await?;
        self.connection = Some(connection);
        Ok(arrivals)
    }
}
