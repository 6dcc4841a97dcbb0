//! Questions to Postgres: by the simple protocol, which answers every type as text.

use std::future::poll_fn;
use std::time::Duration;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Column, ConnectOptions, Executor, PgConnection, Row, SqlSafeStr, Statement, TypeInfo, ValueRef};

use super::{Cell, QueryError, Sink};
use crate::postgres::{error, url};

/// Connects, and begins the transaction that all questions are asked in.
pub(super) async fn connect(url: &str) -> Result<PgConnection, QueryError> {
    let options = url::options(url).map_err(QueryError::Url)?.application_name("footfall query").disable_statement_logging();
    let connected = error::step("connect to Postgres", CONNECT_TIMEOUT, options.connect()).await;
    let mut connection = connected.map_err(|error| QueryError::Unreachable(error.message))?;
    // Compiling takes longer than the answer: the percentiles of the views, which few rows need, make every plan look dear.
    let begin = "SET default_transaction_read_only = on; SET TimeZone = 'UTC'; SET statement_timeout = '5min'; SET client_min_messages = error; \
                 SET idle_in_transaction_session_timeout = 0; SET jit = off; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    connection.execute(sqlx::raw_sql(begin)).await.map_err(|error| QueryError::Unreachable(format!("ask Postgres: {error}")))?;
    Ok(connection)
}

pub(super) async fn ask(connection: &mut PgConnection, sql: &str, sink: &mut (dyn Sink + Send)) -> Result<(), QueryError> {
    // Preparing refuses a second statement and tells the columns even of an empty answer.
    let prepared = connection.prepare(AssertSqlSafe(sql).into_sql_str()).await.map_err(of)?;
    sink.columns(prepared.columns().iter().map(|column| column.name().to_owned()).collect())?;
    let mut rows = sqlx::raw_sql(AssertSqlSafe(sql)).fetch(connection);
    while let Some(row) = poll_fn(|context| rows.as_mut().poll_next(context)).await {
        sink.row(cells(&row.map_err(of)?).map_err(of)?)?;
    }
    Ok(())
}

fn of(error: sqlx::Error) -> QueryError {
    match &error {
        sqlx::Error::Database(database) => QueryError::Refused(database.message().to_owned()),
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => QueryError::Unreachable(format!("ask Postgres: {error}")),
        _ => QueryError::Refused(error.to_string()),
    }
}

fn cells(row: &PgRow) -> Result<Vec<Cell>, sqlx::Error> {
    (0..row.len())
        .map(|at| {
            let value = row.try_get_raw(at)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            let text = value.as_str().map_err(sqlx::Error::Decode)?;
            Ok(cell(value.type_info().name(), text))
        })
        .collect()
}

/// A cell from a type's name and a value's text; what does not read as its type stays text.
fn cell(type_name: &str, text: &str) -> Cell {
    let text_cell = || Cell::Text(text.to_owned());
    match type_name {
        "BOOL" => Cell::Bool(text == "t"),
        "INT2" | "INT4" | "INT8" | "OID" => text.parse().map_or_else(|_| text_cell(), Cell::Integer),
        "FLOAT4" | "FLOAT8" => text.parse().map_or_else(|_| text_cell(), Cell::Number),
        "NUMERIC" => Cell::Decimal(text.to_owned()),
        "JSON" | "JSONB" => Cell::Json(text.to_owned()),
        "TIMESTAMPTZ" => Cell::Text(utc(text).unwrap_or_else(|| text.to_owned())),
        _ => text_cell(),
    }
}

/// `2026-01-01 00:00:00.5+00` as `2026-01-01T00:00:00.500Z`; none when it is no such time (infinity, before Christ).
fn utc(text: &str) -> Option<String> {
    let (date, time) = text.strip_suffix("+00")?.split_once(' ')?;
    Some(match time.split_once('.') {
        Some((seconds, fraction)) => format!("{date}T{seconds}.{fraction:0<3}Z"),
        None => format!("{date}T{time}Z"),
    })
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_in_one_form() {
        assert_eq!(utc("2026-01-01 00:00:00+00").as_deref(), Some("2026-01-01T00:00:00Z"));
        assert_eq!(utc("2026-01-01 00:00:00.5+00").as_deref(), Some("2026-01-01T00:00:00.500Z"));
        assert_eq!(utc("2026-01-01 00:00:00.123456+00").as_deref(), Some("2026-01-01T00:00:00.123456Z"));
        for text in ["infinity", "0044-03-15 00:00:00+00 BC"] {
            assert_eq!(utc(text), None, "{text}");
        }
    }

    #[test]
    fn each_type_has_its_cell() {
        for (name, text, expected) in [
            ("BOOL", "t", Cell::Bool(true)),
            ("INT8", "-5", Cell::Integer(-5)),
            ("FLOAT8", "1.5", Cell::Number(1.5)),
            ("NUMERIC", "1.50", Cell::Decimal("1.50".into())),
            ("JSON", "[1]", Cell::Json("[1]".into())),
            ("DATE", "2026-01-01", Cell::Text("2026-01-01".into())),
            ("?", "x", Cell::Text("x".into())),
        ] {
            assert_eq!(cell(name, text), expected);
        }
        assert!(matches!(cell("FLOAT8", "NaN"), Cell::Number(number) if number.is_nan()));
    }
}
