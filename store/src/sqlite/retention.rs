//! Retention in small steps: a step holds the write lock for milliseconds, so that writing goes on between them.
//!
//! Rows stand in the order of their arrival, so what is too old stands first. A row that arrived before its neighbours but was
//! written after them goes when it has become one of the first.

use std::time::Duration;

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::error;
use crate::writer::{Maintained, WriteError};

/// One step for each table. Like Postgres, whole UTC days of arrival go.
pub(super) async fn step(connection: &mut SqliteConnection, now_ms: i64, keep: Duration) -> Result<Maintained, WriteError> {
    let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
    let oldest_ms = now_ms.saturating_sub(keep_ms).div_euclid(DAY_MS).saturating_mul(DAY_MS);
    let mut maintained = Maintained::default();
    for table in ["observation", "location"] {
        let sql = format!("DELETE FROM {table} WHERE rowid IN (SELECT rowid FROM {table} ORDER BY rowid LIMIT {STEP_ROWS}) AND received_at < ?");
        count(&mut maintained, delete(connection, sql, oldest_ms).await?);
    }
    let sql =
        format!("DELETE FROM post WHERE (minute, source) IN (SELECT minute, source FROM post WHERE minute < ? ORDER BY minute, source LIMIT {STEP_ROWS})");
    count(&mut maintained, delete(connection, sql, oldest_ms.div_euclid(1_000)).await?);
    Ok(maintained)
}

fn count(maintained: &mut Maintained, deleted: u64) {
    maintained.rows_deleted += deleted;
    maintained.more |= deleted == STEP_ROWS;
}

async fn delete(connection: &mut SqliteConnection, sql: String, before: i64) -> Result<u64, WriteError> {
    let query = sqlx::query(AssertSqlSafe(sql)).bind(before);
    Ok(error::step("delete what is too old", query.execute(connection)).await?.rows_affected())
}

const DAY_MS: i64 = 86_400_000;
/// Rows of a table that one step looks at.
const STEP_ROWS: u64 = 5_000;
