//! Rows of an ended epoch lose their clients in Postgres.
//!
//! Observations and locations are walked through by the blocks of their partitions, each block once: rows that are deleted stay in the way of
//! a search until they are vacuumed.

use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::STEP_TIMEOUT;
use super::error::{self, step};
use crate::forget::{Forget, Forgotten};
use crate::presence::told::Dialect;
use crate::writer::WriteError;

/// How far the partitions were walked through.
pub(super) struct Walk {
    what: Forget,
    tables: Vec<String>,
    block: i64,
}

/// The next step.
pub(super) async fn next(connection: &mut PgConnection, walk: &mut Option<Walk>, what: &Forget) -> Result<Forgotten, WriteError> {
    if walk.as_ref().is_none_or(|walk| walk.what != *what) {
        if let Some(sql) = what.count_heard(Dialect::Postgres) {
            step("count who was heard", STEP_TIMEOUT, sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection)).await?;
        }
        *walk = Some(Walk { what: what.clone(), tables: partitions(connection).await?, block: 0 });
    }
    if let Some(walk) = walk
        && let Some(rows) = walk.step(connection).await?
    {
        return Ok(Forgotten { rows, more: true });
    }
    let mut done = Forgotten::default();
    for forgetting in what.steps(Dialect::Postgres) {
        for sql in forgetting.statements {
            done.rows = step(forgetting.what, STEP_TIMEOUT, sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut *connection)).await?.rows_affected();
        }
        if forgetting.is_bounded && done.rows > 0 {
            return Ok(Forgotten { more: true, ..done });
        }
    }
    *walk = None;
    Ok(Forgotten::default())
}

impl Walk {
    /// Deletes from some blocks; none when all have been looked at.
    async fn step(&mut self, connection: &mut PgConnection) -> Result<Option<u64>, WriteError> {
        while let Some(table) = self.tables.last().cloned() {
            let own = format!("{} AND o.source IN ({})", self.what.during(Dialect::Postgres, "o.observed_at"), self.what.sources());
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
                self.tables.pop();
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

async fn partitions(connection: &mut PgConnection) -> Result<Vec<String>, WriteError> {
    let asked = sqlx::query_scalar(
        "SELECT i.inhrelid::regclass::text FROM pg_inherits i WHERE i.inhparent IN ('observation'::regclass, 'location'::regclass) ORDER BY 1",
    );
    step(FORGET, STEP_TIMEOUT, asked.fetch_all(connection)).await
}

const FORGET: &str = "forget observations and locations";
/// 16 MiB: about 200,000 observations.
const STEP_BLOCKS: i64 = 2_048;
