//! Looks stored observations and locations up, for rows that are older than the repeat filter remembers.

use std::collections::HashSet;
use std::future::poll_fn;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Row, SqliteConnection};

use super::error::{self, step};
use crate::dictionary::{LocationKey, ObservationKey, Resolved, distinct, location_keys, observation_keys, same_bits, which};
use crate::group::{LocationRow, ObservationRow};
use crate::writer::{Class, WriteError};

/// Which observations are stored.
pub(super) async fn observations(connection: &mut SqliteConnection, rows: &[ObservationRow], resolved: &Resolved) -> Result<Vec<bool>, WriteError> {
    let keys = observation_keys(rows, resolved);
    let wanted: HashSet<ObservationKey> = keys.iter().flatten().copied().collect();
    let times = distinct(wanted.iter().map(|key| key.observed_at));
    let found = candidates(connection, "look observations up", OBSERVATIONS, &times, &wanted, |row| {
        Ok(ObservationKey {
            observed_at: row.try_get_unchecked(0)?,
            client: row.try_get_unchecked(1)?,
            source: row.try_get_unchecked(2)?,
            ssid: row.try_get_unchecked(3)?,
            rssi: row.try_get_unchecked(4)?,
        })
    })
    .await?;
    Ok(which(&keys, &found))
}

/// Which locations are stored.
pub(super) async fn locations(connection: &mut SqliteConnection, rows: &[LocationRow], resolved: &Resolved) -> Result<Vec<bool>, WriteError> {
    let keys = location_keys(rows, resolved);
    let wanted: HashSet<LocationKey> = keys.iter().flatten().copied().collect();
    let times = distinct(wanted.iter().map(|key| key.observed_at));
    let found = candidates(connection, "look locations up", LOCATIONS, &times, &wanted, |row| {
        let mut numbers = [0; 5];
        for (at, number) in numbers.iter_mut().enumerate() {
            *number = same_bits(row.try_get_unchecked::<Option<f64>, _>(5 + at)?.unwrap_or(f64::NAN));
        }
        Ok(LocationKey {
            observed_at: row.try_get_unchecked(0)?,
            client: row.try_get_unchecked(1)?,
            source: row.try_get_unchecked(2)?,
            floor_plan: row.try_get_unchecked(3)?,
            floor_plan_name: row.try_get_unchecked(4)?,
            numbers,
        })
    })
    .await?;
    Ok(which(&keys, &found))
}

/// Those of the wanted keys that are stored.
async fn candidates<K: Eq + std::hash::Hash>(
    connection: &mut SqliteConnection,
    what: &str,
    head: &str,
    times: &[i64],
    wanted: &HashSet<K>,
    read: impl Fn(&SqliteRow) -> Result<K, sqlx::Error>,
) -> Result<HashSet<K>, WriteError> {
    let mut found = HashSet::new();
    let sql = format!("{head} ({})", vec!["?"; PIECE_TIMES].join(","));
    for piece in times.chunks(PIECE_TIMES) {
        let mut arguments = SqliteArguments::default();
        // The last time fills the piece up, so that there is one prepared statement.
        for at in 0..PIECE_TIMES {
            let time = piece[at.min(piece.len() - 1)];
            arguments.add(time).map_err(|_| WriteError::new(Class::Data, format!("{what}: a time cannot be encoded")))?;
        }
        let mut rows = sqlx::query_with(AssertSqlSafe(sql.clone()), arguments).fetch(&mut *connection);
        loop {
            let next = step(what, async { poll_fn(|context| rows.as_mut().poll_next(context)).await.transpose() }).await?;
            let Some(row) = next else { break };
            let key = read(&row).map_err(|error| error::of(what, &error))?;
            if wanted.contains(&key) {
                found.insert(key);
            }
        }
    }
    Ok(found)
}

const OBSERVATIONS: &str = "SELECT observed_at, client, source, ssid, rssi FROM observation WHERE observed_at IN";
const LOCATIONS: &str = "SELECT observed_at, client, source, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m
     FROM location WHERE observed_at IN";
/// Times of one query.
const PIECE_TIMES: usize = 256;
