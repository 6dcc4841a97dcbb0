//! Writes what changes of presence, and reads what an engine needs to go on.

use std::collections::HashMap;
use std::sync::Arc;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::Open;
use super::error::{self, step};
use super::values::{Statement, Values};
use crate::mac::Mac;
use crate::presence::told::{LATEST, MEMBERS, Packer, SHAPES, client};
use crate::presence::{Changes, RecordKey, RecordRow, Scope, Stored, StoredMember};
use crate::writer::WriteError;

/// Writes the changes, inside a transaction.
pub(super) async fn write(open: &mut Open, changes: &Changes) -> Result<(), WriteError> {
    if changes.is_empty() {
        return Ok(());
    }
    let Open { driver: connection, told, .. } = open;
    let scopes = write_scopes(connection, &changes.scopes).await?;
    if let Some(main) = changes.told_first() {
        let asked = sqlx::query("UPDATE presence_scope SET is_main = 0 WHERE is_main AND profile <> ?").bind(main);
        step("write scopes", asked.execute(&mut *connection)).await?;
    }
    let zones = write_zones(connection, &changes.zones).await?;
    let mut packer = Packer::new(changes, &scopes, &zones);
    for number in 0..SHAPES.len() {
        told.merge_presence(connection, number, packer.pack(number)).await?;
    }
    write_records(connection, changes, &scopes).await
}

/// What the store has of presence.
pub(super) async fn stored(connection: &mut SqliteConnection, journal: &str) -> Result<Stored, WriteError> {
    let asked = sqlx::query("SELECT unpublished_since FROM journal_cursor WHERE journal = ?").bind(journal);
    let cursor = step(READ, asked.fetch_optional(&mut *connection)).await?;
    let unpublished_since = cursor.map(|row| row.try_get_unchecked(0)).transpose().map_err(|error| error::of(READ, &error))?.flatten();
    let asked = sqlx::query(
        "SELECT profile, site, is_main, is_shown, watermark, covered_minute, gap_s, allowed_lateness_s, max_visit_s, present_s, loyalty_days, lasts_days, definition FROM presence_scope",
    );
    let rows = step(READ, asked.fetch_all(&mut *connection)).await?;
    let scopes = rows.iter().map(scope).collect::<Result<_, _>>().map_err(|error| error::of(READ, &error))?;
    let rows = step(READ, sqlx::query(MEMBERS).fetch_all(connection)).await?;
    let members = rows.iter().map(member).collect::<Result<_, _>>().map_err(|error| error::of(READ, &error))?;
    Ok(Stored { scopes, members, unpublished_since })
}

/// The packed records, in the order of the keys; empty where there is none.
pub(super) async fn records(connection: &mut SqliteConnection, keys: &[RecordKey]) -> Result<Vec<Vec<u8>>, WriteError> {
    let rows = step(RECORDS, sqlx::query("SELECT id, profile, site FROM presence_scope").fetch_all(&mut *connection)).await?;
    let read = |row: &SqliteRow| Ok(((row.try_get_unchecked::<String, _>(1)?, row.try_get_unchecked::<String, _>(2)?), row.try_get_unchecked::<i64, _>(0)?));
    let scopes: HashMap<(String, String), i64> = rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| error::of(RECORDS, &error))?;
    let mut last: Option<(&RecordKey, Option<i64>)> = None;
    let mut wanted: HashMap<(i64, i64), usize> = HashMap::new();
    for (at, key) in keys.iter().enumerate() {
        // Neighbours are of one scope mostly.
        let id = match last {
            Some((other, id)) if Arc::ptr_eq(&other.profile, &key.profile) && other.site == key.site => id,
            _ => scopes.get(&(key.profile.to_string(), key.site.to_string())).copied(),
        };
        last = Some((key, id));
        if let Some(id) = id {
            wanted.insert((id, client(key.client)), at);
        }
    }
    let mut bodies = vec![Vec::new(); keys.len()];
    let pairs: Vec<(i64, i64)> = wanted.keys().copied().collect();
    // The cross join keeps the order: each wanted key is looked up by the primary key.
    let statement = Statement {
        what: RECORDS,
        head: "WITH wanted (scope, client) AS (VALUES",
        width: 2,
        tail: ") SELECT r.scope, r.client, r.body FROM wanted w CROSS JOIN presence_record r WHERE r.scope = w.scope AND r.client = w.client",
    };
    let bind = |values: &mut Values, pair: &(i64, i64)| {
        values.add(pair.0);
        values.add(pair.1);
        Ok(())
    };
    for row in statement.fetch(connection, &pairs, bind).await? {
        let read = |error: sqlx::Error| error::of(RECORDS, &error);
        let key = (row.try_get_unchecked(0).map_err(read)?, row.try_get_unchecked(1).map_err(read)?);
        if let Some(&at) = wanted.get(&key) {
            bodies[at] = row.try_get_unchecked(2).map_err(read)?;
        }
    }
    Ok(bodies)
}

async fn write_scopes(connection: &mut SqliteConnection, scopes: &[Scope]) -> Result<Vec<i64>, WriteError> {
    let mut ids = Vec::with_capacity(scopes.len());
    for scope in scopes {
        let asked = sqlx::query(
            "INSERT INTO presence_scope (profile, site, is_shown, is_main, watermark, covered_minute, gap_s, allowed_lateness_s, max_visit_s, present_s, loyalty_days, lasts_days,
                 definition)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (profile, site) DO UPDATE SET is_main = excluded.is_main, watermark = excluded.watermark,
                 covered_minute = excluded.covered_minute, present_s = excluded.present_s, allowed_lateness_s = excluded.allowed_lateness_s,
                 loyalty_days = excluded.loyalty_days, lasts_days = excluded.lasts_days
             RETURNING id",
        );
        let asked = asked.bind(&*scope.profile).bind(&*scope.site).bind(scope.is_shown).bind(scope.is_main).bind(scope.watermark).bind(scope.covered_minute);
        let asked = asked.bind(scope.gap_s).bind(scope.allowed_lateness_s).bind(scope.max_visit_s).bind(scope.present_s);
        let asked = asked.bind(scope.loyalty_days).bind(scope.lasts_days).bind(&scope.definition);
        ids.push(returned(step("write scopes", asked.fetch_all(&mut *connection)).await?)?);
    }
    Ok(ids)
}

async fn write_zones(connection: &mut SqliteConnection, zones: &[Arc<str>]) -> Result<Vec<i64>, WriteError> {
    let mut ids = Vec::with_capacity(zones.len());
    for zone in zones {
        // An update of nothing returns the row.
        let asked = sqlx::query("INSERT INTO presence_zone (name) VALUES (?) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id");
        ids.push(returned(step("write zones", asked.bind(&**zone).fetch_all(&mut *connection)).await?)?);
    }
    Ok(ids)
}

fn returned(rows: Vec<SqliteRow>) -> Result<i64, WriteError> {
    let row = rows.first().ok_or_else(|| WriteError::new(crate::writer::Class::Retry, "write scopes: no row came back"))?;
    row.try_get_unchecked(0).map_err(|error| error::of("write scopes", &error))
}

async fn write_records(connection: &mut SqliteConnection, changes: &Changes, scopes: &[i64]) -> Result<(), WriteError> {
    let (empty, full): (Vec<&RecordRow>, Vec<&RecordRow>) = changes.records.iter().partition(|row| row.body.1 == 0);
    let statement = Statement {
        what: "write records",
        head: "INSERT INTO presence_record (scope, client, last_at, body) VALUES",
        width: 4,
        tail: "ON CONFLICT (scope, client) DO UPDATE SET last_at = excluded.last_at, body = excluded.body",
    };
    let bind = |values: &mut Values, row: &&RecordRow| {
        values.add(scopes[row.scope as usize]);
        values.add(client(row.client));
        values.add(row.last_at);
        values.add(changes.body(row).to_vec());
        Ok(())
    };
    statement.execute(connection, &full, bind).await?;
    let statement = Statement { what: "delete records", head: "DELETE FROM presence_record WHERE (scope, client) IN (VALUES", width: 2, tail: ")" };
    let bind = |values: &mut Values, row: &&RecordRow| {
        values.add(scopes[row.scope as usize]);
        values.add(client(row.client));
        Ok(())
    };
    statement.execute(connection, &empty, bind).await
}

fn member(row: &SqliteRow) -> Result<StoredMember, sqlx::Error> {
    let until: i64 = row.try_get_unchecked(4)?;
    Ok(StoredMember {
        site: row.try_get_unchecked(0)?,
        zone: row.try_get_unchecked(1)?,
        ap: Mac::from_bits(row.try_get_unchecked::<i64, _>(2)?.cast_unsigned()),
        since: row.try_get_unchecked(3)?,
        until: if until >= LATEST { i64::MAX } else { until },
    })
}

fn scope(row: &SqliteRow) -> Result<Scope, sqlx::Error> {
    Ok(Scope {
        profile: row.try_get_unchecked::<String, _>(0)?.into(),
        site: row.try_get_unchecked::<String, _>(1)?.into(),
        is_main: row.try_get_unchecked(2)?,
        is_shown: row.try_get_unchecked(3)?,
        watermark: row.try_get_unchecked(4)?,
        covered_minute: row.try_get_unchecked(5)?,
        gap_s: row.try_get_unchecked(6)?,
        allowed_lateness_s: row.try_get_unchecked(7)?,
        max_visit_s: row.try_get_unchecked(8)?,
        present_s: row.try_get_unchecked(9)?,
        loyalty_days: row.try_get_unchecked(10)?,
        lasts_days: row.try_get_unchecked(11)?,
        definition: row.try_get_unchecked(12)?,
    })
}

const READ: &str = "read what is stored of presence";
const RECORDS: &str = "read records of clients";
