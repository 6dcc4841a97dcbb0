//! Rows of an ended epoch lose their clients in SQLite.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::error::step;
use super::run;
use crate::forget::{Forget, Forgotten, STEP_ROWS};
use crate::presence::told::Dialect;
use crate::writer::WriteError;

/// The next step.
pub(super) async fn next(connection: &mut SqliteConnection, what: &Forget) -> Result<Forgotten, WriteError> {
    if let Some(sql) = what.count_heard(Dialect::Sqlite) {
        step("count who was heard", sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection)).await?;
    }
    for table in ["observation", "location"] {
        let own = format!("{} AND o.source IN ({})", what.during(Dialect::Sqlite, "o.observed_at"), what.sources());
        let sql = format!("DELETE FROM {table} WHERE rowid IN (SELECT o.rowid FROM {table} o WHERE {own} LIMIT {STEP_ROWS})");
        let rows = step("forget observations and locations", sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection)).await?.rows_affected();
        if rows > 0 {
            return Ok(Forgotten { rows, more: true });
        }
    }
    for forgetting in what.steps(Dialect::Sqlite) {
        run(connection, forgetting.what, "BEGIN IMMEDIATE").await?;
        let mut rows = 0;
        for sql in forgetting.statements {
            rows = step(forgetting.what, sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection)).await?.rows_affected();
        }
        run(connection, forgetting.what, "COMMIT").await?;
        if forgetting.is_bounded && rows > 0 {
            return Ok(Forgotten { rows, more: true });
        }
    }
    Ok(Forgotten::default())
}
