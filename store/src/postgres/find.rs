//! Looks stored observations and locations up, for rows that are older than the repeat filter remembers.
//!
//! The raw tables have no B-tree: candidates come by time through BRIN, narrowed by source and client, and are compared here.

use std::collections::HashSet;
use std::future::poll_fn;

use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::STEP_TIMEOUT;
use super::copy::MICROS_PER_SECOND;
use super::error::{self, step};
use super::recent::{integer, micros, optional_integer, optional_number, small};
use crate::dictionary::{LocationKey, ObservationKey, Resolved, distinct, location_keys, observation_keys, same_bits, which};
use crate::group::{LocationRow, ObservationRow};
use crate::writer::WriteError;

/// Which observations are stored.
pub(super) async fn observations(connection: &mut PgConnection, rows: &[ObservationRow], resolved: &Resolved) -> Result<Vec<bool>, WriteError> {
    let keys = observation_keys(rows, resolved);
    let wanted: HashSet<ObservationKey> = keys.iter().flatten().copied().collect();
    let sql = "SELECT observed_at, client, source, ssid, rssi FROM observation
         WHERE observed_at >= to_timestamp($1::float8) AND observed_at <= to_timestamp($2::float8)
           AND observed_at = ANY(SELECT to_timestamp(t::float8) FROM unnest($3) AS t) AND source = ANY($4) AND client = ANY($5)";
    let found = candidates(connection, "look observations up", sql, &wanted, |key| (key.observed_at, key.source, key.client), read_observation).await?;
    Ok(which(&keys, &found))
}

/// Which locations are stored.
pub(super) async fn locations(connection: &mut PgConnection, rows: &[LocationRow], resolved: &Resolved) -> Result<Vec<bool>, WriteError> {
    let keys = location_keys(rows, resolved);
    let wanted: HashSet<LocationKey> = keys.iter().flatten().copied().collect();
    let sql = "SELECT observed_at, client, source, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m FROM location
         WHERE observed_at >= to_timestamp($1::float8) AND observed_at <= to_timestamp($2::float8)
           AND observed_at = ANY(SELECT to_timestamp(t::float8) FROM unnest($3) AS t) AND source = ANY($4) AND client = ANY($5)";
    let found = candidates(connection, "look locations up", sql, &wanted, |key| (key.observed_at, key.source, key.client), read_location).await?;
    Ok(which(&keys, &found))
}

/// Those of the wanted keys that are stored.
async fn candidates<K: Eq + std::hash::Hash + Copy>(
    connection: &mut PgConnection,
    what: &str,
    sql: &'static str,
    wanted: &HashSet<K>,
    parts: impl Fn(&K) -> (i64, i32, i64),
    read: impl Fn(&PgRow) -> Result<K, sqlx::Error>,
) -> Result<HashSet<K>, WriteError> {
    let mut found = HashSet::new();
    // In the order of time, in pieces: one query spans little of the table.
    let mut keys: Vec<K> = wanted.iter().copied().collect();
    keys.sort_unstable_by_key(|key| parts(key).0);
    for piece in keys.chunks(PIECE_KEYS) {
        let (first, last) = (parts(&piece[0]).0, parts(&piece[piece.len() - 1]).0);
        let times = distinct(piece.iter().map(|key| parts(key).0));
        let sources = distinct(piece.iter().map(|key| parts(key).1));
        let clients = distinct(piece.iter().map(|key| parts(key).2));
        let asked = sqlx::query(sql).bind(first).bind(last).bind(times).bind(sources).bind(clients);
        let mut rows = asked.fetch(&mut *connection);
        loop {
            let row = step(what, STEP_TIMEOUT, async { poll_fn(|context| rows.as_mut().poll_next(context)).await.transpose() }).await?;
            let Some(row) = row else { break };
            let key = read(&row).map_err(|error| error::of(what, &error))?;
            if wanted.contains(&key) {
                found.insert(key);
            }
        }
    }
    Ok(found)
}

fn read_observation(row: &PgRow) -> Result<ObservationKey, sqlx::Error> {
    Ok(ObservationKey {
        observed_at: micros(row, 0)?.div_euclid(MICROS_PER_SECOND),
        client: integer(row, 1)?,
        source: small(row, 2)?,
        ssid: optional_integer(row, 3)?,
        rssi: super::recent::short(row, 4)?,
    })
}

fn read_location(row: &PgRow) -> Result<LocationKey, sqlx::Error> {
    let mut numbers = [0; 5];
    for (at, number) in numbers.iter_mut().enumerate() {
        *number = same_bits(optional_number(row, 5 + at)?);
    }
    Ok(LocationKey {
        observed_at: micros(row, 0)?.div_euclid(MICROS_PER_SECOND),
        client: integer(row, 1)?,
        source: small(row, 2)?,
        floor_plan: optional_integer(row, 3)?,
        floor_plan_name: optional_integer(row, 4)?,
        numbers,
    })
}

/// Keys of one query.
const PIECE_KEYS: usize = 4_096;
