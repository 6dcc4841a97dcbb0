//! Rows of an ended epoch lose their clients in Postgres.
//!
//! Observations, locations and clients are walked through by the blocks of their tables, each block once: rows that are deleted stay in the way
//! of a search until they are vacuumed.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::STEP_TIMEOUT;
use super::error::{self, step};
use crate::forget::{Forget, Forgotten, Progress, Slice, Stage};
use crate::presence::told::Dialect;
use crate::writer::WriteError;

const DIALECT: Dialect = Dialect::Postgres;

/// How far a session has come.
#[derive(Default)]
pub(super) struct Walk {
    progress: Option<Progress>,
    /// The tables that are not walked through yet, the next one last.
    tables: Option<Vec<String>>,
    block: i64,
}

/// The next step.
pub(super) async fn next(connection: &mut PgConnection, walk: &mut Walk, what: &Forget) -> Result<Forgotten, WriteError> {
    if walk.progress.as_ref().is_some_and(|progress| progress.what != *what) {
        *walk = Walk::default();
    }
    let stage = Progress::of(&mut walk.progress, what).stage;
    let (rows, next) = match stage {
        Stage::First => {
            let sql = format!("BEGIN; {}; COMMIT", what.first(DIALECT).join("; "));
            step("begin to forget", STEP_TIMEOUT, sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection)).await?;
            (0, Stage::Told)
        }
        Stage::Told => match walk.step(connection, what).await? {
            Some(rows) => (rows, Stage::Told),
            None => (0, Stage::Records),
        },
        Stage::Records => {
            let sql = what.delete_records(DIALECT);
            let rows = step("forget records", STEP_TIMEOUT, sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection)).await?.rows_affected();
            (rows, if rows > 0 { Stage::Records } else { Stage::Visits(None) })
        }
        Stage::Visits(None) => {
            let sql = what.first_visit(DIALECT);
            let asked = sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection);
            let first: Option<i64> = step("find the first visit", STEP_TIMEOUT, asked).await?;
            (0, Stage::Visits(Some(Slice::at(first.unwrap_or(what.to)))))
        }
        Stage::Visits(Some(slice)) if slice.from < what.to => {
            let mut rows = 0;
            for sql in what.release_visits(DIALECT, slice) {
                let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection);
                rows = step("forget whose visits they were", STEP_TIMEOUT, done).await?.rows_affected();
            }
            (rows, Stage::Visits(Some(slice.next(rows))))
        }
        Stage::Visits(Some(_)) => {
            if let Some(sql) = what.tell_end(DIALECT) {
                step("tell what has ended", STEP_TIMEOUT, sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection)).await?;
            }
            *walk = Walk::default();
            return Ok(Forgotten::default());
        }
    };
    Progress::of(&mut walk.progress, what).stage = next;
    Ok(Forgotten { rows, more: true })
}

impl Walk {
    /// Deletes from some blocks; none when all have been looked at.
    async fn step(&mut self, connection: &mut PgConnection, what: &Forget) -> Result<Option<u64>, WriteError> {
        if self.tables.is_none() {
            self.tables = Some(tables(connection).await?);
        }
        while let Some(table) = self.tables.as_ref().and_then(|tables| tables.last().cloned()) {
            let own = if table == CLIENT { what.of_clients(DIALECT) } else { what.of_observations(DIALECT) };
            // One that is gone has no size.
            let asked = format!(
                "SELECT pg_relation_size(to_regclass('{table}')) / current_setting('block_size')::bigint, CASE WHEN {} = 0 THEN EXISTS (SELECT FROM {table} o WHERE {own}) END",
                self.block
            );
            let row = step(FORGET, STEP_TIMEOUT, sqlx::query(AssertSqlSafe(asked)).fetch_one(&mut *connection)).await?;
            let read = |error: sqlx::Error| error::of(FORGET, &error);
            let (blocks, has_own): (Option<i64>, Option<bool>) = (row.try_get(0).map_err(read)?, row.try_get(1).map_err(read)?);
            let from = self.block;
            if from >= blocks.unwrap_or(0) || has_own == Some(false) {
                self.tables.as_mut().map(Vec::pop);
                self.block = 0;
                continue;
            }
            self.block += STEP_BLOCKS;
            let sql = format!("DELETE FROM {table} o WHERE o.ctid >= '({from},0)'::tid AND o.ctid < '({},0)'::tid AND {own}", self.block);
            return Ok(Some(step(FORGET, STEP_TIMEOUT, sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection)).await?.rows_affected()));
        }
        Ok(None)
    }
}

/// The facts about clients come last.
async fn tables(connection: &mut PgConnection) -> Result<Vec<String>, WriteError> {
    let asked = sqlx::query_scalar(
        "SELECT i.inhrelid::regclass::text FROM pg_inherits i WHERE i.inhparent IN ('observation'::regclass, 'location'::regclass) ORDER BY 1",
    );
    let mut tables = vec![CLIENT.to_owned()];
    tables.extend(step(FORGET, STEP_TIMEOUT, asked.fetch_all(connection)).await?);
    Ok(tables)
}

const FORGET: &str = "forget what was told";
const CLIENT: &str = "client";
/// 16 MiB.
const STEP_BLOCKS: i64 = 2_048;
