//! Writes a group's facts and counts.

use std::sync::LazyLock;

use sqlx::SqliteConnection;

use super::values::{Statement, Values};
use crate::dictionary::{Resolved, radio_number};
use crate::group::{AccessPointRow, ClientRow, Fact, Group, Pair, PostRow};
use crate::upsert::{Merged, POST_ON_CONFLICT, access_point_facts, told, told_pair};
use crate::writer::WriteError;

/// Merges access points.
pub(super) async fn write_access_points(
    connection: &mut SqliteConnection,
    group: &Group,
    rows: &[AccessPointRow],
    resolved: &Resolved,
) -> Result<(), WriteError> {
    let statement = ACCESS_POINTS.statement("write access points");
    let bind = |values: &mut Values, row: &AccessPointRow| {
        values.add(resolved.named(row.receiver)?);
        values.add(row.ap.bits().cast_signed());
        access_point_facts(row).iter().for_each(|fact| bind_fact(values, group, *fact));
        bind_pair(values, row.on_plan);
        bind_pair(values, row.on_earth);
        values.add(row.first_seen);
        values.add(row.last_seen);
        Ok(())
    };
    statement.execute(connection, rows, bind).await
}

/// Merges clients.
pub(super) async fn write_clients(connection: &mut SqliteConnection, group: &Group, rows: &[ClientRow], resolved: &Resolved) -> Result<(), WriteError> {
    let statement = CLIENTS.statement("write clients");
    let bind = |values: &mut Values, row: &ClientRow| {
        values.add(resolved.named(row.receiver)?);
        values.add(row.client.0.cast_signed());
        values.add(i32::from(radio_number(row.radio)));
        values.add(row.random_address.map(i32::from));
        values.add(i32::from(row.group_address));
        values.add(i32::from(row.is_excluded));
        row.facts.iter().for_each(|fact| bind_fact(values, group, *fact));
        values.add(row.first_seen);
        values.add(row.last_seen);
        Ok(())
    };
    statement.execute(connection, rows, bind).await
}

/// Adds to the counts of posts.
pub(super) async fn write_posts(connection: &mut SqliteConnection, rows: &[PostRow], resolved: &Resolved) -> Result<(), WriteError> {
    let head = "INSERT INTO post (minute, source, posts, observations) VALUES";
    let statement = Statement { what: "write posts", head, width: 4, tail: POST_ON_CONFLICT };
    let bind = |values: &mut Values, row: &PostRow| {
        values.add(row.minute);
        values.add(resolved.known_source(row.source)?);
        values.add(row.posts.cast_signed());
        values.add(row.observations.cast_signed());
        Ok(())
    };
    statement.execute(connection, rows, bind).await
}

fn bind_fact(values: &mut Values, group: &Group, fact: Fact) {
    let (text, at) = told(group, fact);
    values.add(text.map(str::to_owned));
    values.add(at);
}

fn bind_pair(values: &mut Values, pair: Pair) {
    let (a, b, at) = told_pair(pair);
    values.add(a);
    values.add(b);
    values.add(at);
}

/// The parts of a merging statement.
struct MergeText {
    head: String,
    width: usize,
    tail: String,
}

impl MergeText {
    fn of(merged: &Merged) -> Self {
        Self { head: format!("{} VALUES", merged.insert()), width: merged.columns().len(), tail: merged.on_conflict() }
    }

    fn statement<'a>(&'a self, what: &'a str) -> Statement<'a> {
        Statement { what, head: &self.head, width: self.width, tail: &self.tail }
    }
}

static ACCESS_POINTS: LazyLock<MergeText> = LazyLock::new(|| MergeText::of(&Merged::access_points()));
static CLIENTS: LazyLock<MergeText> = LazyLock::new(|| MergeText::of(&Merged::clients()));
