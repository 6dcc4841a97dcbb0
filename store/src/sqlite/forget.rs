//! Rows of an ended epoch lose their clients in SQLite.

use sqlx::{AssertSqlSafe, SqliteConnection};

use super::error::step;
use super::run;
use crate::forget::{Forget, Forgotten, Progress, STEP_ROWS, Slice, Stage};
use crate::presence::told::Dialect;
use crate::writer::WriteError;

const DIALECT: Dialect = Dialect::Sqlite;

/// The next step.
pub(super) async fn next(connection: &mut SqliteConnection, progress: &mut Option<Progress>, what: &Forget) -> Result<Forgotten, WriteError> {
    let Progress { stage, .. } = Progress::of(progress, what);
    let rows = match *stage {
        Stage::First => {
            together(connection, "begin to forget", &what.first(DIALECT)).await?;
            *stage = Stage::Told;
            0
        }
        Stage::Told => {
            let rows = delete_told(connection, what).await?;
            if rows == 0 {
                *stage = Stage::Records;
            }
            rows
        }
        Stage::Records => {
            let rows = together(connection, "forget records", &[what.delete_records(DIALECT)]).await?;
            if rows == 0 {
                *stage = Stage::Visits(None);
            }
            rows
        }
        Stage::Visits(None) => {
            let sql = what.first_visit(DIALECT);
            let first: Option<i64> = step("find the first visit", sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(&mut *connection)).await?;
            *stage = Stage::Visits(Some(Slice::at(first.unwrap_or(what.to))));
            0
        }
        Stage::Visits(Some(slice)) if slice.from < what.to => {
            let rows = together(connection, "forget whose visits they were", &what.release_visits(DIALECT, slice)).await?;
            *stage = Stage::Visits(Some(slice.next(rows)));
            rows
        }
        Stage::Visits(Some(_)) => {
            if let Some(sql) = what.tell_end(DIALECT) {
                step("tell what has ended", sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection)).await?;
            }
            *progress = None;
            return Ok(Forgotten::default());
        }
    };
    Ok(Forgotten { rows, more: true })
}

async fn delete_told(connection: &mut SqliteConnection, what: &Forget) -> Result<u64, WriteError> {
    let (of_observations, of_clients) = (what.of_observations(DIALECT), what.of_clients(DIALECT));
    for (table, key, which) in
        [("observation", "rowid", &of_observations), ("location", "rowid", &of_observations), ("client", "receiver, client, radio", &of_clients)]
    {
        let own = key.split(", ").map(|name| format!("o.{name}")).collect::<Vec<_>>().join(", ");
        let sql = format!("DELETE FROM {table} WHERE ({key}) IN (SELECT {own} FROM {table} o WHERE {which} LIMIT {STEP_ROWS})");
        let rows = step("forget what was told", sqlx::query(AssertSqlSafe(sql)).execute(&mut *connection)).await?.rows_affected();
        if rows > 0 {
            return Ok(rows);
        }
    }
    Ok(0)
}

/// Statements in one transaction; the rows of the last.
async fn together(connection: &mut SqliteConnection, what: &str, statements: &[String]) -> Result<u64, WriteError> {
    run(connection, what, "BEGIN IMMEDIATE").await?;
    let mut rows = 0;
    for sql in statements {
        rows = step(what, sqlx::query(AssertSqlSafe(sql.as_str())).execute(&mut *connection)).await?.rows_affected();
    }
    run(connection, what, "COMMIT").await?;
    Ok(rows)
}
