//! Questions to SQLite: the file is opened read-only.

use std::fmt::Write;
use std::future::poll_fn;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Executor, Row, SqlSafeStr, SqliteConnection, Statement, TypeInfo, ValueRef};

use super::{Cell, QueryError, Sink};
use crate::sqlite::path_of;

/// Opens the file, and begins the transaction that all questions are asked in.
pub(super) async fn connect(url: &str) -> Result<SqliteConnection, QueryError> {
    let path = path_of(url).map_err(QueryError::Url)?;
    if !path.exists() {
        let message = format!("there is no database file {}: `footfall serve` or `footfall migrate` makes it", path.display());
        return Err(QueryError::Unreachable(message));
    }
    let options = SqliteConnectOptions::new().filename(&path).read_only(true).pragma("query_only", "ON").busy_timeout(BUSY_TIMEOUT);
    let mut connection = options.disable_statement_logging().connect().await.map_err(|error| QueryError::Unreachable(message(&error)))?;
    connection.execute("BEGIN").await.map_err(|error| QueryError::Unreachable(message(&error)))?;
    Ok(connection)
}

pub(super) async fn ask(connection: &mut SqliteConnection, sql: &str, sink: &mut (dyn Sink + Send)) -> Result<(), QueryError> {
    let prepared = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(|error| of(&error))?;
    sink.columns(prepared.columns().iter().map(|column| column.name().to_owned()).collect())?;
    let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
        let row = row.map_err(|error| of(&error))?;
        sink.row(cells(&row).map_err(|error| of(&error))?)?;
    }
    Ok(())
}

fn of(error: &sqlx::Error) -> QueryError {
    QueryError::Refused(message(error))
}

fn message(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

fn cells(row: &SqliteRow) -> Result<Vec<Cell>, sqlx::Error> {
    (0..row.len())
        .map(|at| {
            let value = row.try_get_raw(at)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            Ok(match value.type_info().name() {
                "INTEGER" | "BOOLEAN" => Cell::Integer(row.try_get_unchecked(at)?),
                "REAL" => Cell::Number(row.try_get_unchecked(at)?),
                "BLOB" => Cell::Text(hexadecimal(row.try_get_unchecked(at)?)),
                _ => Cell::Text(row.try_get_unchecked(at)?),
            })
        })
        .collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
