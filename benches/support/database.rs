//! A Postgres of the bench's own, with the server's defaults: every commit is on disk before it answers.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row};

use super::cluster::Cluster;
use super::process::cpu_of_tree;

/// The server and how to ask it.
pub struct Database {
    cluster: Cluster,
    made: u32,
}

impl Database {
    /// Starts a server.
    pub fn start() -> Self {
        Self { cluster: Cluster::start_with(&["fsync=on", "full_page_writes=on", "max_wal_size=4GB", "autovacuum=on"]), made: 0 }
    }

    /// The URL of a new empty database.
    pub fn make(&mut self) -> String {
        self.made += 1;
        self.cluster.make_database(&format!("bench{}", self.made))
    }

    /// Drops the database that was made last.
    pub fn drop_last(&self) {
        self.cluster.sql("postgres", &format!("DROP DATABASE bench{} WITH (FORCE)", self.made));
    }

    /// Processor time that all processes of the server have taken so far.
    pub fn cpu(&self) -> Duration {
        let pid = fs::read_to_string(self.directory().join("data/postmaster.pid")).expect("the server runs");
        cpu_of_tree(pid.lines().next().expect("a process id").parse().expect("a number"))
    }

    /// Where the server's files are; it may write here.
    pub fn directory(&self) -> &Path {
        self.cluster.directory()
    }

    /// Stops the server.
    pub fn stop(&mut self) {
        self.cluster.stop();
    }

    /// Starts it again.
    pub fn restart(&mut self) {
        self.cluster.restart();
    }
}

/// Connects.
pub async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.expect("connect to the bench's Postgres")
}

/// Runs a statement.
pub async fn run(connection: &mut PgConnection, sql: &str) {
    connection.execute(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// One number.
pub async fn number(connection: &mut PgConnection, sql: &str) -> i64 {
    sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_one(connection).await.unwrap_or_else(|error| panic!("{sql}: {error}")).get(0)
}

/// How long the server itself needs to copy all rows of some tables from files, one after the other, into tables made alike: what no
/// client can be faster than on one connection.
pub async fn copy_from_files(url: &str, directory: &Path, tables: &[String]) -> Duration {
    let mut connection = connect(url).await;
    let mut total = Duration::ZERO;
    for table in tables {
        let file = directory.join(format!("{table}.copy"));
        run(&mut connection, &format!("COPY {table} TO '{}' (FORMAT binary)", file.display())).await;
        run(&mut connection, &format!("DROP TABLE IF EXISTS limit_{table}; CREATE TABLE limit_{table} (LIKE {table} INCLUDING ALL)")).await;
        run(&mut connection, "CHECKPOINT").await;
        let started = Instant::now();
        run(&mut connection, &format!("COPY limit_{table} FROM '{}' (FORMAT binary)", file.display())).await;
        total += started.elapsed();
        run(&mut connection, &format!("DROP TABLE limit_{table}")).await;
        fs::remove_file(file).expect("remove the file");
    }
    total
}

/// The partitions of a table that have rows.
pub async fn partitions(connection: &mut PgConnection, table: &str) -> Vec<String> {
    let sql = format!("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = '{table}'::regclass ORDER BY 1");
    let names: Vec<String> = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut *connection).await.expect("list partitions").iter().map(|row| row.get(0)).collect();
    let mut filled = Vec::new();
    for name in names {
        if number(connection, &format!("SELECT count(*) FROM (SELECT FROM {name} LIMIT 1) AS one")).await > 0 {
            filled.push(name);
        }
    }
    filled
}
