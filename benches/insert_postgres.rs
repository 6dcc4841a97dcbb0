//! Observations into Postgres, one transaction each time, beside the other ways to do it. `cargo bench --bench insert_postgres`

// All of it measures; nothing here serves anybody.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::time::{Duration, SystemTime};

use criterion::Criterion;
use store::group::Group;
use store::postgres::Postgres;
use tokio::runtime::Runtime;
use tokio_postgres::Client;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{ToSql, Type};

use support::database::Database;
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
    let mut database = Database::start();
    let url = database.make();
    let now = jiff::Timestamp::now().as_second();
    let (group, mut table) = (group(count, now), Table::new(runtime, &url));
    let rows = plain(&group);
    let mut writer = runtime.block_on(Writer::new(Postgres::new(&url).unwrap(), now));
    runtime.block_on(writer.write(&group));
    table.find();
    let file = database.directory().join("rows.copy");
    table.run(&format!("COPY {} TO '{}' (FORMAT binary)", table.name, file.display()));
    let table = &table;
    let peer = |insert: fn(&Table<'_>, &[Row])| -> Box<dyn FnMut() -> Duration + '_> {
        let rows = &rows;
        Box::new(move || table.fill(rows.len(), || insert(table, rows)))
    };
    let (name, from) = (&table.name, file.display());
    let limit = format!("COPY {name} FROM '{from}' (FORMAT binary)");
    let methods: Vec<Method<'_>> = vec![
        ("footfall", ours(table, &mut writer, &group)),
        ("the server's COPY FROM file", Box::new(move || table.fill(count, || table.run(&limit)))),
        ("tokio-postgres BinaryCopyInWriter", peer(binary_copy)),
        ("INSERT .. UNNEST", peer(unnest)),
        ("INSERT .. VALUES, 1,000 rows each", peer(values)),
        ("INSERT, a row each", peer(row_by_row)),
    ];
    Contest { title: format!("insert {count} observations into Postgres"), units: (count as u64, "row"), bytes: 0, methods }.run(criterion, 9);
}

fn ours<'a>(table: &'a Table<'_>, writer: &'a mut Writer<Postgres>, group: &'a Group) -> Box<dyn FnMut() -> Duration + 'a> {
    Box::new(move || table.fill(group.observations.len(), || table.runtime.block_on(writer.write(group))))
}

/// The partition that all of them write to, and a connection for the peers.
struct Table<'a> {
    runtime: &'a Runtime,
    client: Client,
    name: String,
}

impl<'a> Table<'a> {
    fn new(runtime: &'a Runtime, url: &str) -> Self {
        let (_, rest) = url.split_once("@localhost/").unwrap();
        let (database, host) = rest.split_once("?host=").unwrap();
        let client = runtime.block_on(async {
            let (client, connection) =
                tokio_postgres::Config::new().user("postgres").host_path(host).dbname(database).connect(tokio_postgres::NoTls).await.unwrap();
            tokio::spawn(connection);
            client
        });
        Self { runtime, client, name: String::new() }
    }

    /// Finds the partition that has rows.
    fn find(&mut self) {
        let sql = "SELECT tableoid::regclass::text FROM observation LIMIT 1";
        self.name = self.runtime.block_on(self.client.query_one(sql, &[])).unwrap().get(0);
    }

    fn run(&self, sql: &str) {
        self.runtime.block_on(self.client.batch_execute(sql)).unwrap();
    }

    /// The time that a transaction takes to fill the empty table, with its end on disk.
    fn fill(&self, count: usize, insert: impl FnOnce()) -> Duration {
        self.run(&format!("TRUNCATE {}", self.name));
        let ((), time) = timed(insert);
        let sql = format!("SELECT count(*) FROM {}", self.name);
        let found: i64 = self.runtime.block_on(self.client.query_one(&sql, &[])).unwrap().get(0);
        assert_eq!(found, count as i64, "all rows are there");
        time
    }

    fn insert(&self) -> String {
        format!("INSERT INTO {} (observed_at, received_at, client, source, ssid, rssi)", self.name)
    }
}

fn binary_copy(table: &Table<'_>, rows: &[Row]) {
    table.runtime.block_on(async {
        let sql = format!("COPY {} (observed_at, received_at, client, source, ssid, rssi) FROM STDIN (FORMAT binary)", table.name);
        let types = [Type::TIMESTAMPTZ, Type::TIMESTAMPTZ, Type::INT8, Type::INT4, Type::INT4, Type::INT2];
        let writer = BinaryCopyInWriter::new(table.client.copy_in(&sql).await.unwrap(), &types);
        let mut writer = std::pin::pin!(writer);
        for row in rows {
            let values: [&(dyn ToSql + Sync); 6] = [&row.observed(), &row.received(), &row.client, &row.source, &row.ssid, &row.rssi];
            writer.as_mut().write(&values).await.unwrap();
        }
        writer.finish().await.unwrap();
    });
}

fn unnest(table: &Table<'_>, rows: &[Row]) {
    fn column<T>(rows: &[Row], of: impl FnMut(&Row) -> T) -> Vec<T> {
        rows.iter().map(of).collect()
    }
    let sql = format!("{} SELECT * FROM unnest($1::timestamptz[], $2::timestamptz[], $3::int8[], $4::int4[], $5::int4[], $6::int2[])", table.insert());
    let (observed, received): (Vec<SystemTime>, Vec<SystemTime>) = (column(rows, Row::observed), column(rows, Row::received));
    let (clients, sources) = (column(rows, |row| row.client), column(rows, |row| row.source));
    let (ssids, rssis) = (column(rows, |row| row.ssid), column(rows, |row| row.rssi));
    let columns: [&(dyn ToSql + Sync); 6] = [&observed, &received, &clients, &sources, &ssids, &rssis];
    table.runtime.block_on(table.client.execute(&sql, &columns)).unwrap();
}

fn values(table: &Table<'_>, rows: &[Row]) {
    table.runtime.block_on(async {
        table.client.batch_execute("BEGIN").await.unwrap();
        for piece in rows.chunks(1_000) {
            let places: Vec<String> =
                (0..piece.len()).map(|row| format!("({})", (1..=6).map(|at| format!("${}", row * 6 + at)).collect::<Vec<_>>().join(", "))).collect();
            let times: Vec<[SystemTime; 2]> = piece.iter().map(|row| [row.observed(), row.received()]).collect();
            let values: Vec<&(dyn ToSql + Sync)> = piece
                .iter()
                .zip(&times)
                .flat_map(|(row, [observed, received])| [observed as &(dyn ToSql + Sync), received, &row.client, &row.source, &row.ssid, &row.rssi])
                .collect();
            table.client.execute(&format!("{} VALUES {}", table.insert(), places.join(", ")), &values).await.unwrap();
        }
        table.client.batch_execute("COMMIT").await.unwrap();
    });
}

fn row_by_row(table: &Table<'_>, rows: &[Row]) {
    table.runtime.block_on(async {
        table.client.batch_execute("BEGIN").await.unwrap();
        let statement = table.client.prepare(&format!("{} VALUES ($1, $2, $3, $4, $5, $6)", table.insert())).await.unwrap();
        for row in rows {
            table.client.execute(&statement, &[&row.observed(), &row.received(), &row.client, &row.source, &row.ssid, &row.rssi]).await.unwrap();
        }
        table.client.batch_execute("COMMIT").await.unwrap();
    });
}
