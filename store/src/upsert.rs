//! The SQL that merges facts of access points and clients into what is stored: the same in SQLite and Postgres.
//!
//! A fact is one column or a pair, and the time it was told at. What is told later, or at the same time by a later group, replaces
//! what is stored; a null tells nothing, and its time only that what is stored was true then. So the result does not depend on the order in which times arrive.

use std::fmt::Write;

use crate::group::{AccessPointRow, CLIENT_FACTS, Fact, Group, Pair};

/// Columns that stand or fall together, and the column of their time.
pub(crate) struct FactColumns {
    pub(crate) columns: Vec<String>,
    pub(crate) at: String,
}

/// A table that is merged into.
pub(crate) struct Merged {
    pub(crate) table: &'static str,
    pub(crate) key: &'static [&'static str],
    /// Columns that the newcomer replaces.
    pub(crate) replaced: &'static [&'static str],
    pub(crate) facts: Vec<FactColumns>,
}

impl Merged {
    /// The table `access_point`.
    pub(crate) fn access_points() -> Self {
        let mut facts: Vec<_> = ["network", "name", "serial", "tags", "floor_plan"].iter().map(|name| FactColumns::one(name)).collect();
        facts.push(FactColumns { columns: vec!["x_m".into(), "y_m".into()], at: "on_plan_at".into() });
        facts.push(FactColumns { columns: vec!["lat".into(), "lng".into()], at: "on_earth_at".into() });
        Self { table: "access_point", key: &["receiver", "ap"], replaced: &[], facts }
    }

    /// The table `client`.
    pub(crate) fn clients() -> Self {
        let facts = CLIENT_FACTS.iter().map(|name| FactColumns::one(name)).collect();
        Self { table: "client", key: &["receiver", "client", "radio"], replaced: &["random_address", "group_address", "is_excluded"], facts }
    }

    /// All columns, in the order that values are bound in.
    pub(crate) fn columns(&self) -> Vec<String> {
        let mut columns: Vec<String> = self.key.iter().chain(self.replaced).map(|&name| name.to_owned()).collect();
        for fact in &self.facts {
            columns.extend(fact.columns.iter().cloned());
            columns.push(fact.at.clone());
        }
        columns.extend(["first_seen".to_owned(), "last_seen".to_owned()]);
        columns
    }

    /// `INSERT INTO table (columns)`, to be followed by rows and [`Merged::on_conflict`].
    pub(crate) fn insert(&self) -> String {
        format!("INSERT INTO {} ({})", self.table, self.columns().join(", "))
    }

    /// The clause that merges.
    pub(crate) fn on_conflict(&self) -> String {
        let table = self.table;
        let mut sql = format!("ON CONFLICT ({}) DO UPDATE SET ", self.key.join(", "));
        for column in self.replaced {
            let _ = write!(sql, "{column} = excluded.{column}, ");
        }
        for FactColumns { columns, at } in &self.facts {
            let first = &columns[0];
            let told = format!("excluded.{first} IS NOT NULL AND ({table}.{first} IS NULL OR excluded.{at} >= {table}.{at})");
            for column in columns {
                let _ = write!(sql, "{column} = CASE WHEN {told} THEN excluded.{column} ELSE {table}.{column} END, ");
            }
            // A time without a fact: what is stored was true then, too.
            let later = format!("excluded.{first} IS NULL AND {table}.{first} IS NOT NULL AND excluded.{at} > {table}.{at}");
            let _ = write!(sql, "{at} = CASE WHEN {told} OR {later} THEN excluded.{at} ELSE {table}.{at} END, ");
        }
        for (column, order) in [("first_seen", "<"), ("last_seen", ">")] {
            let comma = if column == "first_seen" { ", " } else { "" };
            let _ = write!(sql, "{column} = CASE WHEN excluded.{column} {order} {table}.{column} THEN excluded.{column} ELSE {table}.{column} END{comma}");
        }
        sql
    }
}

impl FactColumns {
    fn one(name: &str) -> Self {
        Self { columns: vec![name.to_owned()], at: format!("{name}_at") }
    }
}

/// Statements that bring `last_seen` up to what observations and locations since `since` tell. `since` is an expression of the dialect.
pub(crate) fn catch_up(since: &str) -> [String; 2] {
    let clients = format!(
        "UPDATE client SET last_seen = heard.last FROM (
           SELECT s.receiver, s.radio, o.client, max(o.observed_at) AS last FROM (
             SELECT client, source, observed_at FROM observation WHERE observed_at >= {since}
             UNION ALL SELECT client, source, observed_at FROM location WHERE observed_at >= {since}
           ) o JOIN source s ON s.id = o.source GROUP BY 1, 2, 3
         ) heard
         WHERE client.receiver = heard.receiver AND client.client = heard.client AND client.radio = heard.radio AND client.last_seen < heard.last"
    );
    let access_points = format!(
        "UPDATE access_point SET last_seen = heard.last FROM (
           SELECT s.receiver, s.ap, max(o.observed_at) AS last FROM observation o JOIN source s ON s.id = o.source
           WHERE o.observed_at >= {since} GROUP BY 1, 2
         ) heard
         WHERE access_point.receiver = heard.receiver AND access_point.ap = heard.ap AND access_point.last_seen < heard.last"
    );
    [clients, access_points]
}

/// The clause that adds counts of posts to what is stored, in SQLite.
#[cfg(feature = "sqlite")]
pub(crate) const POST_ON_CONFLICT: &str =
    "ON CONFLICT (minute, source) DO UPDATE SET posts = post.posts + excluded.posts, observations = post.observations + excluded.observations";

/// A fact's string and time.
pub(crate) fn told(group: &Group, fact: Fact) -> (Option<&str>, Option<i64>) {
    (group.texts.get(fact.text), (fact.at != 0).then_some(fact.at))
}

/// A pair's numbers and time, the numbers null unless both are told.
pub(crate) fn told_pair(pair: Pair) -> (Option<f64>, Option<f64>, Option<i64>) {
    let at = (pair.at != 0).then_some(pair.at);
    if pair.is_none() { (None, None, at) } else { (Some(pair.a), Some(pair.b), at) }
}

/// The facts of an access point that are one string, in the order of [`Merged::access_points`].
pub(crate) fn access_point_facts(row: &AccessPointRow) -> [Fact; 5] {
    [row.network, row.name, row.serial, row.tags, row.floor_plan]
}
