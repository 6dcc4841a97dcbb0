//! Every query that docs/sql.md shows runs, and means the same in both databases.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde_json::Value;

use crate::cluster::Cluster;
use crate::harness::Site;

/// A morning of the day that the examples ask for, which is yesterday here.
fn simulated(site: &Site, day: Date) {
    let served = site.serve();
    let start = format!("{day}T08:00:00Z");
    let world = ["--seed", "6", "--sites", "2", "--aps", "4", "--clients", "30", "--minutes", "240", "--speed", "max", "--radio", "both"];
    site.simulate_all(&served, &[&world[..], &["--start", &start]].concat());
    served.wait_until_applied();
    served.stop();
}

/// The blocks of a language, with the days of the document moved to those of the simulation.
fn blocks(language: &str, shift_days: i64) -> Vec<String> {
    let document = std::fs::read_to_string("docs/sql.md").unwrap();
    let fence = format!("```{language}\n");
    document.split(&fence).skip(1).map(|rest| shifted(rest.split("```").next().unwrap(), shift_days)).collect()
}

fn shifted(sql: &str, days: i64) -> String {
    let mut shifted = String::new();
    let mut rest = sql;
    while let Some(at) = rest.find("'20") {
        let date = rest.get(at + 1..at + 11).and_then(|text| text.parse::<Date>().ok());
        shifted.push_str(&rest[..at + 1]);
        rest = &rest[at + 1..];
        if let Some(date) = date {
            shifted.push_str(&date.checked_add(days.days()).unwrap().to_string());
            rest = &rest[10..];
        }
    }
    shifted + rest
}

/// The rows in an order of their own, with booleans as SQLite has them.
fn rows(site: &Site, sql: &str) -> Vec<String> {
    let plain = |value: &Value| match value {
        Value::Bool(is) => u8::from(*is).to_string(),
        Value::Number(number) => number.as_f64().map_or(String::new(), |number| format!("{number:.9}")),
        // Postgres has decimals of any precision, which JSON tells as texts.
        Value::String(text) => text.parse::<f64>().map_or_else(|_| text.replace(".000Z", "Z"), |number| format!("{number:.9}")),
        other => other.to_string(),
    };
    let mut rows: Vec<String> = site
        .query(sql)
        .iter()
        .map(|row| row.as_object().unwrap().iter().map(|(name, value)| format!("{name}={}", plain(value))).collect::<Vec<_>>().join(" "))
        .collect();
    rows.sort();
    rows
}

#[test]
fn every_example_runs_on_both_databases_and_gives_the_same() {
    let cluster = Cluster::start();
    let more = "[privacy]\nclients = \"plain\"\n[presence]\nallowed_lateness = \"4d\"\nprofiles = [\"standard\", \"cmx\"]\n";
    let (sqlite, postgres) = (Site::sqlite_with(more), Site::on_with(&cluster.make_database("examples"), more));
    let day = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().yesterday().unwrap();
    let shift = i64::from(DOCUMENTED.until(day).unwrap().get_days());
    simulated(&sqlite, day);
    simulated(&postgres, day);

    let (mut with_rows, mut views) = (0, BTreeSet::<&str>::new());
    let examples = blocks("sql", shift);
    for sql in &examples {
        let [one, other] = [rows(&sqlite, sql), rows(&postgres, sql)];
        // When a post arrived is not the same in two runs.
        if !sql.contains("coverage") && !sql.contains("received_at") && !sql.contains("posts") {
            assert_eq!(one, other, "{sql}");
        }
        assert_eq!(one.is_empty(), other.is_empty(), "{sql}");
        with_rows += usize::from(!one.is_empty());
        views.extend(VIEWS.iter().copied().filter(|view| sql.contains(&format!("FROM {view}"))));
    }
    assert!(with_rows + 3 >= examples.len(), "{with_rows} of {} examples have rows", examples.len());
    assert_eq!(views.len(), VIEWS.len(), "each view has an example: {views:?}");
    blocks("sqlite", shift).iter().for_each(|sql| _ = rows(&sqlite, sql));
    blocks("postgres", shift).iter().for_each(|sql| _ = rows(&postgres, sql));
}

/// Each column of each view stands in the document, in the part of its view.
#[test]
fn every_column_of_every_view_is_in_the_document() {
    let site = Site::sqlite();
    assert!(site.run(&["migrate"]).status.success());
    let document = std::fs::read_to_string("docs/sql.md").unwrap();
    for view in VIEWS {
        let part = document.split("\n### ").find(|part| part.lines().next().unwrap().split([',', ' ']).any(|word| word == view));
        let part = part.unwrap_or_else(|| panic!("docs/sql.md has no part on {view}"));
        let columns = site.query(&format!("SELECT name FROM pragma_table_info('{view}')"));
        assert!(!columns.is_empty(), "{view}");
        for column in columns {
            let name = column["name"].as_str().unwrap();
            assert!(part.contains(&format!("`{name}`")), "docs/sql.md does not explain {view}.{name}");
        }
    }
}

/// The day that the document's examples ask for.
const DOCUMENTED: Date = jiff::civil::date(2026, 11, 26);
const VIEWS: [&str; 13] =
    ["observations", "locations", "access_points", "clients", "posts", "visits", "stays", "occupancy", "hourly", "daily", "flow", "now", "heard"];
