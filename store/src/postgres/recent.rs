//! Reads recent rows back, streamed: they may be many millions.

use std::collections::HashMap;
use std::future::poll_fn;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row, ValueRef};

use super::STEP_TIMEOUT;
use super::copy::{MICROS_PER_MILLI, MICROS_PER_SECOND, unix_micros};
use super::error::{self, step};
use crate::group::{Group, LocationRow, ObservationRow};
use crate::readback::{Readback, StoredSource, address, client, rssi};
use crate::texts::Text;
use crate::writer::WriteError;

/// Hands over all observations and locations observed since a second.
pub(super) async fn read(connection: &mut PgConnection, since_s: i64, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
    super::run(connection, WHAT, "BEGIN READ ONLY; SET LOCAL statement_timeout = '1h'").await?;
    let mut readback = Readback::new(sources(connection).await?, each);
    observations(connection, "o.observed_at >= to_timestamp($1::float8)", since_s, &mut readback).await?;
    locations(connection, since_s, &mut readback).await?;
    readback.finish();
    super::run(connection, WHAT, "COMMIT").await
}

async fn sources(connection: &mut PgConnection) -> Result<HashMap<i32, StoredSource>, WriteError> {
    let asked = sqlx::query(
        "SELECT s.id, r.value, n.value, s.ap, s.radio FROM source s
         JOIN dictionary r ON r.id = s.receiver LEFT JOIN dictionary n ON n.id = s.network",
    );
    let rows = step(WHAT, STEP_TIMEOUT, asked.fetch_all(connection)).await?;
    let read = |row: &PgRow| {
        let source = StoredSource { receiver: row.try_get(1)?, network: row.try_get(2)?, ap: row.try_get(3)?, radio: row.try_get(4)? };
        Ok((row.try_get(0)?, source))
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| error::of(WHAT, &error))
}

/// Hands over all observations for which a condition on one number holds.
pub(super) async fn replay(connection: &mut PgConnection, condition: &str, number: i64, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
    let mut readback = Readback::new(sources(connection).await?, each);
    observations(connection, condition, number, &mut readback).await?;
    readback.finish();
    Ok(())
}

async fn observations(connection: &mut PgConnection, condition: &str, number: i64, readback: &mut Readback<'_>) -> Result<(), WriteError> {
    let asked = sqlx::query(AssertSqlSafe(format!(
        "SELECT o.observed_at, o.received_at, o.client, o.source, o.rssi, d.value, c.random_address, c.group_address, c.is_excluded
         FROM observation o JOIN source s ON s.id = o.source LEFT JOIN dictionary d ON d.id = o.ssid
         LEFT JOIN client c ON c.receiver = s.receiver AND c.client = o.client AND c.radio = s.radio WHERE {condition}"
    )));
    let mut rows = asked.bind(number).fetch(connection);
    loop {
        let next = step(WHAT, STEP_TIMEOUT, async { poll_fn(|context| rows.as_mut().poll_next(context)).await.transpose() }).await?;
        let Some(row) = next else { return Ok(()) };
        let (observation, source) = observation(&row).map_err(|error| error::of(WHAT, &error))?;
        readback.observation(observation, source, optional_text(&row, 5)?)?;
    }
}

fn observation(row: &PgRow) -> Result<(ObservationRow, i32), sqlx::Error> {
    let observation = ObservationRow {
        observed_at: micros(row, 0)?.div_euclid(MICROS_PER_SECOND),
        received_at_ms: micros(row, 1)?.div_euclid(MICROS_PER_MILLI),
        client: client(integer(row, 2)?),
        source: 0,
        ssid: Text::NONE,
        rssi_dbm: rssi(short(row, 4)?),
        address: address(row.try_get(6)?, row.try_get(7)?, row.try_get(8)?),
    };
    Ok((observation, small(row, 3)?))
}

async fn locations(connection: &mut PgConnection, since_s: i64, readback: &mut Readback<'_>) -> Result<(), WriteError> {
    let asked = sqlx::query(
        "SELECT l.observed_at, l.received_at, l.client, l.source, l.x_m, l.y_m, l.lat, l.lng, l.uncertainty_m, f.value, g.value
         FROM location l LEFT JOIN dictionary f ON f.id = l.floor_plan LEFT JOIN dictionary g ON g.id = l.floor_plan_name
         WHERE l.observed_at >= to_timestamp($1::float8)",
    );
    let mut rows = asked.bind(since_s).fetch(connection);
    loop {
        let next = step(WHAT, STEP_TIMEOUT, async { poll_fn(|context| rows.as_mut().poll_next(context)).await.transpose() }).await?;
        let Some(row) = next else { return Ok(()) };
        let (location, source) = location(&row).map_err(|error| error::of(WHAT, &error))?;
        readback.location(location, source, optional_text(&row, 9)?, optional_text(&row, 10)?)?;
    }
}

fn location(row: &PgRow) -> Result<(LocationRow, i32), sqlx::Error> {
    let location = LocationRow {
        observed_at: micros(row, 0)?.div_euclid(MICROS_PER_SECOND),
        received_at_ms: micros(row, 1)?.div_euclid(MICROS_PER_MILLI),
        client: client(integer(row, 2)?),
        source: 0,
        floor_plan: Text::NONE,
        floor_plan_name: Text::NONE,
        x_m: optional_number(row, 4)?,
        y_m: optional_number(row, 5)?,
        lat: optional_number(row, 6)?,
        lng: optional_number(row, 7)?,
        uncertainty_m: optional_number(row, 8)?,
    };
    Ok((location, small(row, 3)?))
}

/// The bytes of a column in Postgres's binary form; none for null.
fn bytes<const N: usize>(row: &PgRow, at: usize) -> Result<Option<[u8; N]>, sqlx::Error> {
    let value = row.try_get_raw(at)?;
    if value.is_null() {
        return Ok(None);
    }
    let bytes = value.as_bytes().map_err(sqlx::Error::Decode)?;
    bytes.try_into().map(Some).map_err(|_| sqlx::Error::Decode("a column has another width than the schema says".into()))
}

fn present<T>(value: Option<T>) -> Result<T, sqlx::Error> {
    value.ok_or_else(|| sqlx::Error::Decode("a column is null that must not be".into()))
}

/// A time in microseconds since 1970.
pub(super) fn micros(row: &PgRow, at: usize) -> Result<i64, sqlx::Error> {
    optional_micros(row, at).and_then(present)
}

/// A time in microseconds since 1970, or null.
pub(super) fn optional_micros(row: &PgRow, at: usize) -> Result<Option<i64>, sqlx::Error> {
    Ok(bytes(row, at)?.map(i64::from_be_bytes).map(unix_micros))
}

/// A bigint.
pub(super) fn integer(row: &PgRow, at: usize) -> Result<i64, sqlx::Error> {
    bytes(row, at).and_then(present).map(i64::from_be_bytes)
}

/// An integer.
pub(super) fn small(row: &PgRow, at: usize) -> Result<i32, sqlx::Error> {
    optional_integer(row, at).and_then(present)
}

/// An integer, or null.
pub(super) fn optional_integer(row: &PgRow, at: usize) -> Result<Option<i32>, sqlx::Error> {
    Ok(bytes(row, at)?.map(i32::from_be_bytes))
}

/// A smallint.
pub(super) fn short(row: &PgRow, at: usize) -> Result<i16, sqlx::Error> {
    bytes(row, at).and_then(present).map(i16::from_be_bytes)
}

/// A double, NaN for null.
pub(super) fn optional_number(row: &PgRow, at: usize) -> Result<f64, sqlx::Error> {
    Ok(bytes(row, at)?.map_or(f64::NAN, f64::from_be_bytes))
}

fn optional_text(row: &PgRow, at: usize) -> Result<Option<&str>, WriteError> {
    row.try_get(at).map_err(|error| error::of(WHAT, &error))
}

const WHAT: &str = "read recent rows back";
