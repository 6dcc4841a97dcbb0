//! Access points, clients and posts. The first two are copied into a table of the session's own and merged from there into what is stored,
//! which costs the server half of what arrays do; posts are appended.

use std::sync::LazyLock;

use sqlx::{AssertSqlSafe, PgConnection};

use super::STEP_TIMEOUT;
use super::copy::{Encoder, Tuple, targets};
use super::error::step;
use super::partition::Partitions;
use crate::dictionary::{Resolved, radio_number};
use crate::group::{AccessPointRow, ClientRow, Group, PostRow};
use crate::upsert::{Merged, access_point_facts, told, told_pair};
use crate::writer::WriteError;

/// Makes the tables that rows are copied into. They belong to the session and are empty again after each transaction.
pub(super) static SESSION_TABLES: LazyLock<String> = LazyLock::new(|| [&*ACCESS_POINTS, &*CLIENTS].map(|staged| staged.create.as_str()).concat());

/// Merges access points.
pub(super) async fn write_access_points(
    connection: &mut PgConnection,
    encoder: &mut Encoder,
    group: &Group,
    rows: &[AccessPointRow],
    resolved: &Resolved,
) -> Result<(), WriteError> {
    let rows = keyed(rows, |row| Ok((resolved.named(row.receiver)?, row.ap.bits().cast_signed())))?;
    let encode = |tuple: &mut Tuple<'_>, (key, row): &((i32, i64), &AccessPointRow)| {
        tuple.int4(key.0);
        tuple.int8(key.1);
        for fact in access_point_facts(row) {
            let (text, at) = told(group, fact);
            tuple.text(text);
            tuple.time(at);
        }
        for pair in [row.on_plan, row.on_earth] {
            let (a, b, at) = told_pair(pair);
            tuple.float8(a);
            tuple.float8(b);
            tuple.time(at);
        }
        tuple.time(Some(row.first_seen));
        tuple.time(Some(row.last_seen));
    };
    ACCESS_POINTS.merge(connection, encoder, "write access points", &rows, encode).await
}

/// Merges clients.
pub(super) async fn write_clients(
    connection: &mut PgConnection,
    encoder: &mut Encoder,
    group: &Group,
    rows: &[ClientRow],
    resolved: &Resolved,
) -> Result<(), WriteError> {
    let rows = keyed(rows, |row| Ok((resolved.named(row.receiver)?, row.client.0.cast_signed(), radio_number(row.radio))))?;
    let encode = |tuple: &mut Tuple<'_>, (key, row): &((i32, i64, i16), &ClientRow)| {
        tuple.int4(key.0);
        tuple.int8(key.1);
        tuple.int2(key.2);
        tuple.boolean(row.random_address);
        tuple.boolean(Some(row.group_address));
        tuple.boolean(Some(row.is_excluded));
        for fact in row.facts {
            let (text, at) = told(group, fact);
            tuple.text(text);
            tuple.time(at);
        }
        tuple.time(Some(row.first_seen));
        tuple.time(Some(row.last_seen));
    };
    CLIENTS.merge(connection, encoder, "write clients", &rows, encode).await
}

/// Appends counts of posts, each into the partition of its day; the view adds them up.
pub(super) async fn write_posts(
    connection: &mut PgConnection,
    encoder: &mut Encoder,
    rows: &[PostRow],
    resolved: &Resolved,
    partitions: &Partitions,
) -> Result<(), WriteError> {
    let minute_ms = |row: &PostRow| row.minute.saturating_mul(1_000);
    let targets = targets(rows.iter().map(minute_ms), partitions);
    for &target in &targets {
        let statement = format!("COPY {} (minute, source, posts, observations) FROM STDIN (FORMAT binary)", partitions.table("post", target));
        let rows = rows.iter().filter(|row| targets.len() == 1 || partitions.target(minute_ms(row)) == target);
        let encode = |bytes: &mut Vec<u8>, row: &PostRow| {
            let mut tuple = Tuple::new(bytes, 4);
            tuple.time(Some(row.minute));
            tuple.int4(resolved.known_source(row.source)?);
            tuple.int8(row.posts.cast_signed());
            tuple.int8(row.observations.cast_signed());
            Ok(())
        };
        encoder.copy(connection, "copy posts", &statement, rows, encode).await?;
    }
    Ok(())
}

/// Rows with their keys, sorted by them: writers that lock in one order do not deadlock.
fn keyed<K: Ord + Copy, R>(rows: &[R], key: impl Fn(&R) -> Result<K, WriteError>) -> Result<Vec<(K, &R)>, WriteError> {
    let mut keyed = rows.iter().map(|row| Ok((key(row)?, row))).collect::<Result<Vec<_>, WriteError>>()?;
    keyed.sort_unstable_by_key(|(key, _)| *key);
    Ok(keyed)
}

/// A merged table and the one of the session's that rows come from.
struct Staged {
    create: String,
    copy: String,
    merge: String,
    columns: i16,
}

impl Staged {
    fn new(merged: &Merged) -> Self {
        let (table, columns) = (format!("told_{}", merged.table), merged.columns());
        let names = columns.join(", ");
        Self {
            // Without constraints: what is wrong with a row is found where it is merged.
            create: format!("CREATE TEMPORARY TABLE {table} ON COMMIT DELETE ROWS AS SELECT {names} FROM {} WITH NO DATA;", merged.table),
            copy: format!("COPY {table} ({names}) FROM STDIN (FORMAT binary)"),
            merge: format!("{} SELECT {names} FROM {table} {}", merged.insert(), merged.on_conflict()),
            // A table has far less than 2^15.
            columns: columns.len() as i16,
        }
    }

    async fn merge<R>(
        &self,
        connection: &mut PgConnection,
        encoder: &mut Encoder,
        what: &str,
        rows: &[R],
        encode: impl Fn(&mut Tuple<'_>, &R),
    ) -> Result<(), WriteError> {
        if rows.is_empty() {
            return Ok(());
        }
        let encode = |bytes: &mut Vec<u8>, row: &R| {
            encode(&mut Tuple::new(bytes, self.columns), row);
            Ok(())
        };
        encoder.copy(connection, what, &self.copy, rows.iter(), encode).await?;
        step(what, STEP_TIMEOUT, sqlx::query(AssertSqlSafe(self.merge.as_str())).execute(connection)).await.map(drop)
    }
}

static ACCESS_POINTS: LazyLock<Staged> = LazyLock::new(|| Staged::new(&Merged::access_points()));
static CLIENTS: LazyLock<Staged> = LazyLock::new(|| Staged::new(&Merged::clients()));
