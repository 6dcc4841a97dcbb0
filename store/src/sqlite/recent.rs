//! Reads recent rows back, streamed: they may be many millions.

use std::collections::HashMap;
use std::future::poll_fn;

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row, SqliteConnection};

use super::error::{self, step};
use crate::group::{Group, LocationRow, ObservationRow};
use crate::readback::{Readback, StoredSource, address, client, rssi};
use crate::texts::Text;
use crate::writer::WriteError;

/// Hands over all observations and locations observed since a second.
pub(super) async fn read(connection: &mut SqliteConnection, since_s: i64, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
    let mut readback = Readback::new(sources(connection).await?, each);
    observations(connection, "o.observed_at >= ?", since_s, &mut readback).await?;
    locations(connection, since_s, &mut readback).await?;
    readback.finish();
    Ok(())
}

async fn sources(connection: &mut SqliteConnection) -> Result<HashMap<i32, StoredSource>, WriteError> {
    let asked = sqlx::query(
        "SELECT s.id, r.value, n.value, s.ap, s.radio FROM source s
         JOIN dictionary r ON r.id = s.receiver LEFT JOIN dictionary n ON n.id = s.network",
    );
    let rows = step(WHAT, asked.fetch_all(connection)).await?;
    let read = |row: &SqliteRow| {
        let source = StoredSource {
            receiver: row.try_get_unchecked(1)?,
            network: row.try_get_unchecked(2)?,
            ap: row.try_get_unchecked(3)?,
            radio: row.try_get_unchecked(4)?,
        };
        Ok((row.try_get_unchecked(0)?, source))
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| error::of(WHAT, &error))
}

/// Hands over all observations for which a condition on one number holds.
pub(super) async fn replay(connection: &mut SqliteConnection, condition: &str, number: i64, each: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
    let mut readback = Readback::new(sources(connection).await?, each);
    observations(connection, condition, number, &mut readback).await?;
    readback.finish();
    Ok(())
}

async fn observations(connection: &mut SqliteConnection, condition: &str, number: i64, readback: &mut Readback<'_>) -> Result<(), WriteError> {
    let asked = sqlx::query(AssertSqlSafe(format!(
        "SELECT o.observed_at, o.received_at, o.client, o.source, o.rssi, d.value, c.random_address, c.group_address, c.is_excluded
         FROM observation o JOIN source s ON s.id = o.source LEFT JOIN dictionary d ON d.id = o.ssid
         LEFT JOIN client c ON c.receiver = s.receiver AND c.client = o.client AND c.radio = s.radio WHERE {condition}"
    )));
    let mut rows = asked.bind(number).fetch(connection);
    loop {
        let next = step(WHAT, async { poll_fn(|context| rows.as_mut().poll_next(context)).await.transpose() }).await?;
        let Some(row) = next else { return Ok(()) };
        let (observation, source) = observation(&row).map_err(|error| error::of(WHAT, &error))?;
        readback.observation(observation, source, optional_text(&row, 5)?)?;
    }
}

fn observation(row: &SqliteRow) -> Result<(ObservationRow, i32), sqlx::Error> {
    let observation = ObservationRow {
        observed_at: row.try_get_unchecked(0)?,
        received_at_ms: row.try_get_unchecked(1)?,
        client: client(row.try_get_unchecked(2)?),
        source: 0,
        ssid: Text::NONE,
        rssi_dbm: rssi(row.try_get_unchecked(4)?),
        address: address(row.try_get_unchecked(6)?, row.try_get_unchecked(7)?, row.try_get_unchecked(8)?),
    };
    Ok((observation, row.try_get_unchecked(3)?))
}

async fn locations(connection: &mut SqliteConnection, since_s: i64, readback: &mut Readback<'_>) -> Result<(), WriteError> {
    let asked = sqlx::query(
        "SELECT l.observed_at, l.received_at, l.client, l.source, l.x_m, l.y_m, l.lat, l.lng, l.uncertainty_m, f.value, g.value
         FROM location l LEFT JOIN dictionary f ON f.id = l.floor_plan LEFT JOIN dictionary g ON g.id = l.floor_plan_name
         WHERE l.observed_at >= ?",
    );
    let mut rows = asked.bind(since_s).fetch(connection);
    loop {
        let next = step(WHAT, async { poll_fn(|context| rows.as_mut().poll_next(context)).await.transpose() }).await?;
        let Some(row) = next else { return Ok(()) };
        let (location, source) = location(&row).map_err(|error| error::of(WHAT, &error))?;
        readback.location(location, source, optional_text(&row, 9)?, optional_text(&row, 10)?)?;
    }
}

fn location(row: &SqliteRow) -> Result<(LocationRow, i32), sqlx::Error> {
    let number = |at: usize| row.try_get_unchecked::<Option<f64>, _>(at).map(|number| number.unwrap_or(f64::NAN));
    let location = LocationRow {
        observed_at: row.try_get_unchecked(0)?,
        received_at_ms: row.try_get_unchecked(1)?,
        client: client(row.try_get_unchecked(2)?),
        source: 0,
        floor_plan: Text::NONE,
        floor_plan_name: Text::NONE,
        x_m: number(4)?,
        y_m: number(5)?,
        lat: number(6)?,
        lng: number(7)?,
        uncertainty_m: number(8)?,
    };
    Ok((location, row.try_get_unchecked(3)?))
}

fn optional_text(row: &SqliteRow, at: usize) -> Result<Option<&str>, WriteError> {
    row.try_get_unchecked(at).map_err(|error| error::of(WHAT, &error))
}

const WHAT: &str = "read recent rows back";
