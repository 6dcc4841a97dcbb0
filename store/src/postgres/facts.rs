//! Access points, clients and posts: merged into what is stored, one statement per table by `unnest`.

use std::sync::LazyLock;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, PgConnection, Postgres};

use super::STEP_TIMEOUT;
use super::error::step;
use crate::dictionary::{Resolved, radio_number};
use crate::group::{AccessPointRow, ClientRow, Fact, Group, PostRow};
use crate::upsert::{Merged, POST_ON_CONFLICT, access_point_facts, told, told_pair};
use crate::writer::WriteError;

/// Merges access points.
pub(super) async fn write_access_points(connection: &mut PgConnection, group: &Group, rows: &[AccessPointRow], resolved: &Resolved) -> Result<(), WriteError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut rows = keyed(rows, |row| Ok((resolved.named(row.receiver)?, row.ap.bits().cast_signed())))?;
    rows.sort_unstable_by_key(|(key, _)| *key);
    let mut query = sqlx::query(AssertSqlSafe(ACCESS_POINTS.as_str()));
    query = query.bind(column(&rows, |key, _| key.0)).bind(column(&rows, |key, _| key.1));
    for at in 0..access_point_facts(rows[0].1).len() {
        query = bind_fact(query, group, rows.iter().map(|(_, row)| access_point_facts(row)[at]));
    }
    for pair in [|row: &AccessPointRow| row.on_plan, |row: &AccessPointRow| row.on_earth] {
        query = query.bind(column(&rows, |_, row| told_pair(pair(row)).0));
        query = query.bind(column(&rows, |_, row| told_pair(pair(row)).1));
        query = query.bind(column(&rows, |_, row| told_pair(pair(row)).2));
    }
    query = query.bind(column(&rows, |_, row| row.first_seen)).bind(column(&rows, |_, row| row.last_seen));
    step("write access points", STEP_TIMEOUT, query.execute(connection)).await.map(drop)
}

/// Merges clients.
pub(super) async fn write_clients(connection: &mut PgConnection, group: &Group, rows: &[ClientRow], resolved: &Resolved) -> Result<(), WriteError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut rows = keyed(rows, |row| Ok((resolved.named(row.receiver)?, row.client.0.cast_signed(), radio_number(row.radio))))?;
    rows.sort_unstable_by_key(|(key, _)| *key);
    let mut query = sqlx::query(AssertSqlSafe(CLIENTS.as_str()));
    query = query.bind(column(&rows, |key, _| key.0)).bind(column(&rows, |key, _| key.1)).bind(column(&rows, |key, _| key.2));
    query = query.bind(column(&rows, |_, row| row.random_address)).bind(column(&rows, |_, row| row.group_address));
    for at in 0..rows[0].1.facts.len() {
        query = bind_fact(query, group, rows.iter().map(|(_, row)| row.facts[at]));
    }
    query = query.bind(column(&rows, |_, row| row.first_seen)).bind(column(&rows, |_, row| row.last_seen));
    step("write clients", STEP_TIMEOUT, query.execute(connection)).await.map(drop)
}

/// Adds to the counts of posts.
pub(super) async fn write_posts(connection: &mut PgConnection, rows: &[PostRow], resolved: &Resolved) -> Result<(), WriteError> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut rows = keyed(rows, |row| Ok((row.minute, resolved.known_source(row.source)?)))?;
    rows.sort_unstable_by_key(|(key, _)| *key);
    let mut query = sqlx::query(AssertSqlSafe(POSTS.as_str()));
    query = query.bind(column(&rows, |key, _| key.0)).bind(column(&rows, |key, _| key.1));
    query = query.bind(column(&rows, |_, row| row.posts.cast_signed())).bind(column(&rows, |_, row| row.observations.cast_signed()));
    step("write posts", STEP_TIMEOUT, query.execute(connection)).await.map(drop)
}

/// Rows with their keys, by which they are sorted: writers that lock in one order do not deadlock.
fn keyed<K, R>(rows: &[R], key: impl Fn(&R) -> Result<K, WriteError>) -> Result<Vec<(K, &R)>, WriteError> {
    rows.iter().map(|row| Ok((key(row)?, row))).collect()
}

fn column<K, R, V>(rows: &[(K, &R)], value: impl Fn(&K, &R) -> V) -> Vec<V> {
    rows.iter().map(|(key, row)| value(key, row)).collect()
}

type Bound<'q> = Query<'q, Postgres, PgArguments>;

fn bind_fact<'q>(query: Bound<'q>, group: &Group, facts: impl Iterator<Item = Fact>) -> Bound<'q> {
    let (texts, times): (Vec<Option<&str>>, Vec<Option<i64>>) = facts.map(|fact| told(group, fact)).unzip();
    query.bind(texts).bind(times)
}

/// `INSERT .. SELECT .. FROM unnest(..) ON CONFLICT ..` with one parameter per column.
fn merge(merged: &Merged) -> String {
    let columns = merged.columns();
    let parameters: Vec<String> = (1..=columns.len()).map(|n| format!("${n}")).collect();
    let values: Vec<String> = columns.iter().map(|column| value(column)).collect();
    let (insert, conflict) = (merged.insert(), merged.on_conflict());
    format!("{insert} SELECT {} FROM unnest({}) AS u({}) {conflict}", values.join(", "), parameters.join(", "), columns.join(", "))
}

/// The expression that makes a column's value from its parameter: times arrive as seconds, tags as text.
fn value(column: &str) -> String {
    match column {
        "tags" => "u.tags::json".to_owned(),
        "first_seen" | "last_seen" => format!("to_timestamp(u.{column}::float8)"),
        _ if column.ends_with("_at") => format!("to_timestamp(u.{column}::float8)"),
        _ => format!("u.{column}"),
    }
}

static ACCESS_POINTS: LazyLock<String> = LazyLock::new(|| merge(&Merged::access_points()));
static CLIENTS: LazyLock<String> = LazyLock::new(|| merge(&Merged::clients()));
static POSTS: LazyLock<String> = LazyLock::new(|| {
    format!(
        "INSERT INTO post (minute, source, posts, observations)
         SELECT to_timestamp(u.minute::float8), u.source, u.posts, u.observations
         FROM unnest($1, $2, $3, $4) AS u(minute, source, posts, observations) {POST_ON_CONFLICT}"
    )
});
