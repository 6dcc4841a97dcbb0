//! Observations into SQLite, one transaction each time, beside the other ways to do it. `cargo bench --bench insert_sqlite`

// All of it measures; nothing here serves anybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use criterion::Criterion;
use rusqlite::params;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use store::sqlite::Sqlite;
use tokio::runtime::Runtime;

use support::rounds::{Contest, Method, is_test, timed};
use support::rows::{Row, Writer, group, plain};

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for count in if is_test() { vec![100] } else { vec![1_000, 50_000] } {
        bench(&runtime, &mut criterion, count);
    }
    criterion.final_summary();
}

fn bench(runtime: &Runtime, criterion: &mut Criterion, count: usize) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bench.db");
    let now = jiff::Timestamp::now().as_second();
    let group = group(count, now);
    let rows = plain(&group);
    let mut writer = runtime.block_on(Writer::new(Sqlite::new(&format!("sqlite:{}", file.display())).unwrap(), now));
    runtime.block_on(writer.write(&group));
    let table = &Table { runtime, peer: RefCell::new(open(&file, &rows)), sqlx: RefCell::new(runtime.block_on(open_sqlx(&file))) };
    let peer = |insert: fn(&Table<'_>, &[Row])| -> Box<dyn FnMut() -> Duration + '_> {
        let rows = &rows;
        Box::new(move || table.fill(rows.len(), || insert(table, rows)))
    };
    let methods: Vec<Method<'_>> = vec![
        ("footfall", Box::new(|| table.fill(count, || runtime.block_on(writer.write(&group))))),
        ("INSERT .. SELECT from :memory:", peer(insert_select)),
        ("rusqlite, prepared, a row each", peer(prepared)),
        ("sqlx, VALUES, 500 rows each", peer(sqlx_values)),
        ("sqlx, a row each", peer(sqlx_rows)),
    ];
    Contest { title: format!("insert {count} observations into SQLite"), units: (count as u64, "row"), bytes: 0, methods }.run(criterion, 9);
}

/// The table that all of them write to, and the peers' connections.
struct Table<'a> {
    runtime: &'a Runtime,
    peer: RefCell<rusqlite::Connection>,
    sqlx: RefCell<SqliteConnection>,
}

impl Table<'_> {
    /// The time that a transaction takes to fill the empty table, with its end on disk.
    fn fill(&self, count: usize, insert: impl FnOnce()) -> Duration {
        self.peer.borrow().execute_batch("DELETE FROM observation; PRAGMA wal_checkpoint(TRUNCATE)").unwrap();
        let ((), time) = timed(insert);
        let found: i64 = self.peer.borrow().query_row("SELECT count(*) FROM observation", [], |row| row.get(0)).unwrap();
        assert_eq!(found, count as i64, "all rows are there");
        time
    }
}

/// As the store opens its own, with the rows in a table in memory beside it.
fn open(file: &Path, rows: &[Row]) -> rusqlite::Connection {
    let mut connection = rusqlite::Connection::open(file).unwrap();
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -32768; ATTACH ':memory:' AS near").unwrap();
    connection
        .execute_batch("CREATE TABLE near.rows (observed_at INTEGER, received_at INTEGER, client INTEGER, source INTEGER, ssid INTEGER, rssi INTEGER)")
        .unwrap();
    fill_by_rows(&mut connection, "near.rows", rows);
    connection
}

async fn open_sqlx(file: &Path) -> SqliteConnection {
    let mut connection = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    for pragma in ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL", "PRAGMA cache_size = -32768"] {
        sqlx::query(pragma).execute(&mut connection).await.unwrap();
    }
    connection
}

fn fill_by_rows(connection: &mut rusqlite::Connection, table: &str, rows: &[Row]) {
    let transaction = connection.transaction().unwrap();
    {
        let mut insert = transaction.prepare(&format!("{} VALUES (?, ?, ?, ?, ?, ?)", into(table))).unwrap();
        for row in rows {
            insert.execute(params![row.observed_at, row.received_at_ms, row.client, row.source, row.ssid, row.rssi]).unwrap();
        }
    }
    transaction.commit().unwrap();
}

fn into(table: &str) -> String {
    format!("INSERT INTO {table} (observed_at, received_at, client, source, ssid, rssi)")
}

fn insert_select(table: &Table<'_>, _: &[Row]) {
    table.peer.borrow().execute(&format!("{} SELECT * FROM near.rows", into("observation")), []).unwrap();
}

fn prepared(table: &Table<'_>, rows: &[Row]) {
    fill_by_rows(&mut table.peer.borrow_mut(), "observation", rows);
}

fn sqlx_values(table: &Table<'_>, rows: &[Row]) {
    sqlx_pieces(table, rows, 500);
}

fn sqlx_rows(table: &Table<'_>, rows: &[Row]) {
    sqlx_pieces(table, rows, 1);
}

fn sqlx_pieces(table: &Table<'_>, rows: &[Row], size: usize) {
    let mut connection = table.sqlx.borrow_mut();
    table.runtime.block_on(async {
        let mut transaction = connection.begin().await.unwrap();
        for piece in rows.chunks(size) {
            let sql = format!("{} VALUES {}", into("observation"), vec!["(?, ?, ?, ?, ?, ?)"; piece.len()].join(", "));
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for row in piece {
                query = query.bind(row.observed_at).bind(row.received_at_ms).bind(row.client).bind(row.source).bind(row.ssid).bind(row.rssi);
            }
            query.execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
    });
}
