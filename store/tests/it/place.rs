//! Where a test keeps its rows: a SQLite file or a database of the shared Postgres server.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};
use store::database::Database;
use store::query::{Cell, Sink, query};
use store::writer::Store;
use tempfile::TempDir;

use crate::cluster::Cluster;

/// An empty database.
pub(crate) struct Place {
    pub(crate) url: String,
    _directory: Option<TempDir>,
}

impl Place {
    pub(crate) fn sqlite() -> Self {
        let directory = TempDir::new().unwrap();
        Self { url: format!("sqlite:{}", directory.path().join("test.db").display()), _directory: Some(directory) }
    }

    pub(crate) fn postgres() -> Self {
        static SERVER: OnceLock<Cluster> = OnceLock::new();
        static DATABASES: AtomicU32 = AtomicU32::new(0);
        let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        Self { url: SERVER.get_or_init(Cluster::start).make_database(&name), _directory: None }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres")
    }

    /// A connected store.
    pub(crate) async fn store(&self) -> Database {
        let mut store = Database::from_url(&self.url).unwrap();
        store.connect().await.unwrap();
        store
    }

    /// Changes the database behind the store's back.
    pub(crate) async fn execute(&self, sql: &str) {
        if self.is_postgres() {
            let mut connection = PgConnection::connect(&self.url).await.unwrap();
            connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
            connection.close().await.unwrap();
        } else {
            let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
            connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
            connection.close().await.unwrap();
        }
    }

    /// The answer to a query as text, in one form for both stores.
    pub(crate) async fn ask(&self, sql: &str) -> Vec<String> {
        let mut rows = Rows::default();
        query(&self.url, sql, &mut rows).await.unwrap();
        rows.0
    }

    /// The one value of an answer.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        self.ask(sql).await[0].parse().unwrap()
    }
}

/// Rows as text, cells between bars.
#[derive(Default)]
struct Rows(Vec<String>);

impl Sink for Rows {
    fn columns(&mut self, _names: Vec<String>) -> std::io::Result<()> {
        Ok(())
    }

    fn row(&mut self, cells: Vec<Cell>) -> std::io::Result<()> {
        self.0.push(cells.iter().map(text).collect::<Vec<_>>().join("|"));
        Ok(())
    }
}

fn text(cell: &Cell) -> String {
    match cell {
        Cell::Null => "-".to_owned(),
        Cell::Bool(value) => u8::from(*value).to_string(),
        Cell::Integer(value) => value.to_string(),
        Cell::Number(value) => format!("{value:?}"),
        // Postgres shows no fraction of a time that has none.
        Cell::Text(text) => text.replace(".000Z", "Z"),
        Cell::Decimal(text) | Cell::Json(text) => text.clone(),
    }
}
