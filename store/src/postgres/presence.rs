//! Writes what changes of presence, and reads what an engine needs to go on.
//!
//! Rows are copied as whole numbers into tables of the session's own and merged from there, one statement per table.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};

use super::STEP_TIMEOUT;
use super::copy::{Encoder, MICROS_PER_SECOND, Tuple};
use super::error::{self, step};
use super::recent::optional_micros;
use crate::mac::Mac;
use crate::presence::told::{Dialect, LATEST, MEMBERS, NOTHING, Packer, SHAPES, client};
use crate::presence::{Changes, RecordKey, RecordRow, Scope, Stored, StoredMember};
use crate::writer::WriteError;

/// Makes the tables that rows are copied into. They belong to the session and are empty again after each transaction.
pub(super) static SESSION_TABLES: LazyLock<String> = LazyLock::new(|| {
    let mut sql = String::from("CREATE TEMPORARY TABLE told_record (scope bigint, client bigint, last_at timestamptz, body bytea) ON COMMIT DELETE ROWS;");
    for shape in &SHAPES {
        let columns: Vec<String> = shape.columns.iter().map(|column| format!("{} bigint", column.name)).collect();
        sql += &format!("CREATE TEMPORARY TABLE {} ({}) ON COMMIT DELETE ROWS;", shape.told, columns.join(", "));
    }
    sql
});

/// Writes the changes, inside a transaction.
pub(super) async fn write(connection: &mut PgConnection, encoder: &mut Encoder, changes: &Changes) -> Result<(), WriteError> {
    if changes.is_empty() {
        return Ok(());
    }
    let scopes = write_scopes(connection, &changes.scopes).await?;
    if let Some(main) = changes.told_first() {
        let asked = sqlx::query("UPDATE presence_scope SET is_main = false WHERE is_main AND profile <> $1").bind(main);
        step("write scopes", STEP_TIMEOUT, asked.execute(&mut *connection)).await?;
    }
    let zones = write_zones(connection, &changes.zones).await?;
    let mut packer = Packer::new(changes, &scopes, &zones);
    for (number, (shape, statements)) in SHAPES.iter().zip(STATEMENTS.iter()).enumerate() {
        let words = packer.pack(number);
        if words.is_empty() {
            continue;
        }
        let rows: Vec<&[i64]> = words.chunks_exact(shape.columns.len()).collect();
        let encode = |bytes: &mut Vec<u8>, row: &&[i64]| {
            // A table has far less than 2^15 columns.
            let mut tuple = Tuple::new(bytes, row.len() as i16);
            row.iter().for_each(|&word| tuple.optional_int8((word != NOTHING).then_some(word)));
            Ok(())
        };
        encoder.copy(connection, shape.what, &statements.copy, rows.iter(), encode).await?;
        step(shape.what, STEP_TIMEOUT, sqlx::query(AssertSqlSafe(statements.merge.as_str())).execute(&mut *connection)).await?;
    }
    write_records(connection, encoder, changes, &scopes).await
}

/// What the store has of presence.
pub(super) async fn stored(connection: &mut PgConnection, journal: &str) -> Result<Stored, WriteError> {
    let asked = sqlx::query("SELECT unpublished_since FROM journal_cursor WHERE journal = $1::uuid").bind(journal);
    let cursor = step(READ, STEP_TIMEOUT, asked.fetch_optional(&mut *connection)).await?;
    let read = |error: sqlx::Error| error::of(READ, &error);
    let unpublished_since = cursor.map(|row| optional_micros(&row, 0)).transpose().map_err(read)?.flatten().map(|micros| micros.div_euclid(MICROS_PER_SECOND));
    let asked = sqlx::query(
        "SELECT profile, site, is_main, is_shown, watermark, covered_minute, gap_s, allowed_lateness_s, max_visit_s, present_s, loyalty_days, lasts_days, definition FROM presence_scope",
    );
    let rows = step(READ, STEP_TIMEOUT, asked.fetch_all(&mut *connection)).await?;
    let scopes = rows.iter().map(scope).collect::<Result<_, _>>().map_err(read)?;
    let rows = step(READ, STEP_TIMEOUT, sqlx::query(MEMBERS).fetch_all(connection)).await?;
    let members = rows.iter().map(member).collect::<Result<_, _>>().map_err(read)?;
    Ok(Stored { scopes, members, unpublished_since })
}

/// The packed records, in the order of the keys; empty where there is none.
pub(super) async fn records(connection: &mut PgConnection, keys: &[RecordKey]) -> Result<Vec<Vec<u8>>, WriteError> {
    let asked = sqlx::query(
        "SELECT u.at, r.body FROM unnest($1, $2, $3) WITH ORDINALITY AS u(profile, site, client, at)
         JOIN presence_scope s ON s.profile = u.profile AND s.site = u.site JOIN presence_record r ON r.scope = s.id AND r.client = u.client",
    );
    let asked = asked.bind(keys.iter().map(|key| &*key.profile).collect::<Vec<_>>()).bind(keys.iter().map(|key| &*key.site).collect::<Vec<_>>());
    let asked = asked.bind(keys.iter().map(|key| client(key.client)).collect::<Vec<_>>());
    let rows = step(RECORDS, STEP_TIMEOUT, asked.fetch_all(connection)).await?;
    let mut bodies = vec![Vec::new(); keys.len()];
    for row in &rows {
        let read = |error: sqlx::Error| error::of(RECORDS, &error);
        let at: i64 = row.try_get(0).map_err(read)?;
        if let Some(body) = usize::try_from(at - 1).ok().and_then(|at| bodies.get_mut(at)) {
            *body = row.try_get(1).map_err(read)?;
        }
    }
    Ok(bodies)
}

async fn write_scopes(connection: &mut PgConnection, scopes: &[Scope]) -> Result<Vec<i64>, WriteError> {
    let what = "write scopes";
    let asked = sqlx::query(
        "INSERT INTO presence_scope AS s
             (profile, site, is_shown, is_main, watermark, covered_minute, gap_s, allowed_lateness_s, max_visit_s, present_s, loyalty_days, lasts_days, definition)
         SELECT u.profile, u.site, u.is_shown, u.is_main, to_timestamp(u.watermark::float8), to_timestamp(u.covered::float8), u.gap, u.late, u.longest, u.present,
              u.loyalty, u.lasts, u.definition
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
              AS u(profile, site, is_shown, is_main, watermark, covered, gap, late, longest, present, loyalty, lasts, definition)
         ON CONFLICT (profile, site) DO UPDATE SET is_main = excluded.is_main, watermark = excluded.watermark,
             covered_minute = excluded.covered_minute, present_s = excluded.present_s, allowed_lateness_s = excluded.allowed_lateness_s,
             loyalty_days = excluded.loyalty_days, lasts_days = excluded.lasts_days
         RETURNING s.profile, s.site, s.id",
    );
    let asked = asked.bind(scopes.iter().map(|scope| &*scope.profile).collect::<Vec<_>>()).bind(scopes.iter().map(|scope| &*scope.site).collect::<Vec<_>>());
    let asked = asked.bind(scopes.iter().map(|scope| scope.is_shown).collect::<Vec<_>>());
    let asked = asked.bind(scopes.iter().map(|scope| scope.is_main).collect::<Vec<_>>());
    let number = |of: fn(&Scope) -> i64| scopes.iter().map(of).collect::<Vec<_>>();
    let asked = asked.bind(number(|scope| scope.watermark)).bind(number(|scope| scope.covered_minute)).bind(number(|scope| scope.gap_s));
    let asked = asked.bind(number(|scope| scope.allowed_lateness_s)).bind(number(|scope| scope.max_visit_s)).bind(number(|scope| scope.present_s));
    let asked = asked.bind(number(|scope| scope.loyalty_days)).bind(scopes.iter().map(|scope| scope.lasts_days).collect::<Vec<_>>());
    let asked = asked.bind(scopes.iter().map(|scope| scope.definition.as_str()).collect::<Vec<_>>());
    let rows = step(what, STEP_TIMEOUT, asked.fetch_all(connection)).await?;
    let mut ids: HashMap<(String, String), i32> = HashMap::new();
    for row in &rows {
        let read = |error: sqlx::Error| error::of(what, &error);
        ids.insert((row.try_get(0).map_err(read)?, row.try_get(1).map_err(read)?), row.try_get(2).map_err(read)?);
    }
    let id = |scope: &Scope| ids.get(&(scope.profile.to_string(), scope.site.to_string())).map(|&id| i64::from(id));
    scopes.iter().map(|scope| id(scope).ok_or_else(|| WriteError::new(crate::writer::Class::Retry, format!("{what}: no row came back")))).collect()
}

async fn write_zones(connection: &mut PgConnection, zones: &[Arc<str>]) -> Result<Vec<i64>, WriteError> {
    let mut ids = Vec::with_capacity(zones.len());
    for zone in zones {
        // An update of nothing returns the row.
        let asked = sqlx::query("INSERT INTO presence_zone (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id");
        let row = step("write zones", STEP_TIMEOUT, asked.bind(&**zone).fetch_one(&mut *connection)).await?;
        ids.push(row.try_get::<i32, _>(0).map_err(|error| error::of("write zones", &error))?.into());
    }
    Ok(ids)
}

async fn write_records(connection: &mut PgConnection, encoder: &mut Encoder, changes: &Changes, scopes: &[i64]) -> Result<(), WriteError> {
    if changes.records.is_empty() {
        return Ok(());
    }
    let what = "write records";
    let encode = |bytes: &mut Vec<u8>, row: &RecordRow| {
        let mut tuple = Tuple::new(bytes, 4);
        tuple.int8(scopes[row.scope as usize]);
        tuple.int8(client(row.client));
        tuple.time(Some(row.last_at));
        tuple.bytes(changes.body(row));
        Ok(())
    };
    encoder.copy(connection, what, "COPY told_record (scope, client, last_at, body) FROM STDIN (FORMAT binary)", changes.records.iter(), encode).await?;
    for sql in [
        "INSERT INTO presence_record (scope, client, last_at, body) SELECT scope, client, last_at, body FROM told_record WHERE length(body) > 0
         ON CONFLICT (scope, client) DO UPDATE SET last_at = excluded.last_at, body = excluded.body",
        "DELETE FROM presence_record r USING told_record g WHERE r.scope = g.scope AND r.client = g.client AND length(g.body) = 0",
    ] {
        step(what, STEP_TIMEOUT, sqlx::query(sql).execute(&mut *connection)).await?;
    }
    Ok(())
}

fn scope(row: &PgRow) -> Result<Scope, sqlx::Error> {
    let seconds = |at: usize| optional_micros(row, at).map(|micros| micros.unwrap_or(0).div_euclid(MICROS_PER_SECOND));
    let number = |at: usize| row.try_get::<i32, _>(at).map(i64::from);
    Ok(Scope {
        profile: row.try_get::<String, _>(0)?.into(),
        site: row.try_get::<String, _>(1)?.into(),
        is_main: row.try_get(2)?,
        is_shown: row.try_get(3)?,
        watermark: seconds(4)?,
        covered_minute: seconds(5)?,
        gap_s: number(6)?,
        allowed_lateness_s: number(7)?,
        max_visit_s: number(8)?,
        present_s: number(9)?,
        loyalty_days: number(10)?,
        lasts_days: row.try_get::<Option<i32>, _>(11)?.map(i64::from),
        definition: row.try_get(12)?,
    })
}

fn member(row: &PgRow) -> Result<StoredMember, sqlx::Error> {
    let seconds = |at: usize| optional_micros(row, at).map(|micros| micros.unwrap_or(0).div_euclid(MICROS_PER_SECOND));
    let until = seconds(4)?;
    Ok(StoredMember {
        site: row.try_get(0)?,
        zone: row.try_get(1)?,
        ap: Mac::from_bits(row.try_get::<i64, _>(2)?.cast_unsigned()),
        since: seconds(3)?,
        until: if until >= LATEST { i64::MAX } else { until },
    })
}

/// The statements of a shape.
struct Statements {
    copy: String,
    merge: String,
}

static STATEMENTS: LazyLock<Vec<Statements>> = LazyLock::new(|| {
    let statements = |shape: &crate::presence::told::Shape| Statements {
        copy: format!("COPY {} FROM STDIN (FORMAT binary)", shape.told),
        merge: shape.statement(Dialect::Postgres),
    };
    SHAPES.iter().map(statements).collect()
});

const READ: &str = "read what is stored of presence";
const RECORDS: &str = "read records of clients";
