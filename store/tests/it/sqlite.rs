//! What is particular to SQLite: the file, and retention in steps.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use store::batch::Radio;
use store::client::ClientId;
use store::group::Group;
use store::writer::{Class, Store};

use crate::place::Place;
use crate::sample::{Add, NOON, Writer, ap, everything};

const DAY: i64 = 86_400;
const WEEK: Duration = Duration::from_secs(7 * 86_400);

/// Tables, views and columns without a comment in the text that the file keeps of them.
pub(crate) async fn unexplained(place: &Place) -> Vec<String> {
    let mut unexplained = Vec::new();
    let tables = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' AND name NOT LIKE '_sqlx%'";
    for table in place.ask(tables).await {
        let sql = place.ask(&format!("SELECT sql FROM sqlite_schema WHERE name = '{table}'")).await.remove(0);
        let lines: Vec<&str> = sql.lines().map(str::trim).collect();
        if !lines.get(1).is_some_and(|line| line.starts_with("-- ")) {
            unexplained.push(table.clone());
        }
        for column in place.ask(&format!("SELECT name FROM pragma_table_info('{table}')")).await {
            let starts = format!("{column} ");
            let explained = |line: &&str| {
                line.split_once(" -- ").is_some_and(|(code, _)| {
                    let code = code.trim_end_matches(',');
                    code.starts_with(&starts) || code.ends_with(&format!(" AS {column}"))
                })
            };
            if !lines.iter().any(explained) {
                unexplained.push(format!("{table}.{column}"));
            }
        }
    }
    unexplained
}

#[tokio::test]
async fn the_file_is_its_owners_alone() {
    let place = Place::sqlite();
    let mut writer = Writer::adopt(place.store().await).await;
    writer.write(&everything()).await.unwrap();
    let path = place.url.strip_prefix("sqlite:").unwrap();
    for companion in ["", "-wal", "-shm"] {
        let mode = std::fs::metadata(format!("{path}{companion}")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{companion}");
    }
    assert_eq!(place.ask("PRAGMA journal_mode").await, ["wal"]);
}

#[tokio::test]
async fn retention_goes_in_small_steps() {
    let place = Place::sqlite();
    let mut writer = Writer::adopt(place.store().await).await;
    let mut group = everything();
    let source = group.source("mall", "N_1", Some(ap(1)), Radio::Wifi);
    for number in 0..12_000 {
        group.observe(NOON + number % 3_600, ClientId(u64::MAX - number.unsigned_abs()), source, "", -50);
    }
    group.observe(NOON + DAY, ClientId(u64::MAX), source, "", -50);
    writer.write(&group).await.unwrap();
    let none = writer.store.maintain((NOON + 7 * DAY) * 1_000, WEEK).await.unwrap();
    assert_eq!((none.rows_deleted, none.more), (0, false));
    let now_ms = (NOON + 8 * DAY) * 1_000;
    let steps: [_; 3] = [
        writer.store.maintain(now_ms, WEEK).await.unwrap(),
        writer.store.maintain(now_ms, WEEK).await.unwrap(),
        writer.store.maintain(now_ms, WEEK).await.unwrap(),
    ];
    assert_eq!(steps.map(|step| (step.rows_deleted, step.more)), [(5_000 + 2 + 2, true), (5_000, true), (2_004, false)]);
    assert_eq!(place.ask("SELECT observed_at FROM observations").await, ["2026-03-02T12:00:00Z"]);
    assert_eq!(place.number("SELECT count(*) FROM clients").await, 2);
}

#[tokio::test]
async fn a_file_that_is_no_database_is_a_schema_error() {
    let place = Place::sqlite();
    std::fs::write(place.url.strip_prefix("sqlite:").unwrap(), "this is a text file and no database".repeat(100)).unwrap();
    let mut store = store::database::Database::from_url(&place.url).unwrap();
    let error = store.connect().await.unwrap_err();
    assert_eq!(error.class, Class::Schema, "{error}");
}

#[tokio::test]
async fn a_folder_that_is_away_is_waited_for() {
    let place = Place::sqlite();
    let mut store = store::database::Database::from_url(&place.url.replace("test.db", "away/test.db")).unwrap();
    let error = store.connect().await.unwrap_err();
    assert_eq!(error.class, Class::Retry, "{error}");
}

#[tokio::test]
async fn looking_by_time_uses_the_index() {
    let place = Place::sqlite();
    let mut writer = Writer::adopt(place.store().await).await;
    writer.write(&Group::default()).await.unwrap();
    let plan = place.ask("EXPLAIN QUERY PLAN SELECT client FROM observation WHERE observed_at IN (1, 2)").await;
    assert!(plan[0].contains("observation_observed_at"), "{plan:?}");
}
