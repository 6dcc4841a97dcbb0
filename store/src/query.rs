//! Read-only questions in SQL, for people: one statement, rows streamed as they come.
//!
//! Neither database lets the statement change anything: SQLite opens the file read-only, Postgres runs a READ ONLY transaction.

use std::io;

#[cfg(any(feature = "postgres", feature = "sqlite"))]
use sqlx::Connection;

#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

/// A value of an answer.
#[derive(Clone, PartialEq, Debug)]
pub enum Cell {
    /// Null.
    Null,
    /// A boolean; SQLite has none and answers 0 and 1.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A floating-point number, which may be infinite or not a number.
    Number(f64),
    /// A number of any precision, as its decimal text.
    Decimal(String),
    /// JSON text.
    Json(String),
    /// Anything else as text; times in UTC as `YYYY-MM-DDTHH:MM:SSZ` with a fraction if there is one.
    Text(String),
}

/// Takes an answer. An error of its own stops the query.
pub trait Sink {
    /// The names of the columns, before the first row.
    ///
    /// # Errors
    /// When they cannot be passed on.
    fn columns(&mut self, names: Vec<String>) -> io::Result<()>;

    /// A row, as long as the names.
    ///
    /// # Errors
    /// When it cannot be passed on.
    fn row(&mut self, cells: Vec<Cell>) -> io::Result<()>;
}

/// Why there is no answer, or none any more.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The database URL cannot be read.
    #[error("{0}")]
    Url(String),
    /// The database cannot be reached or was lost.
    #[error("{0}")]
    Unreachable(String),
    /// The database refuses the statement.
    #[error("{0}")]
    Refused(String),
    /// The sink failed.
    #[error("write the answer: {0}")]
    Sink(#[from] io::Error),
}

/// Asks the database of a URL one question.
///
/// # Errors
/// See [`QueryError`]. Rows may have gone to the sink before.
pub async fn query(url: &str, sql: &str, sink: &mut (dyn Sink + Send)) -> Result<(), QueryError> {
    is_one(sql)?;
    let mut asker = Asker::connect(url).await?;
    let answered = asker.ask(sql, sink).await;
    asker.close().await;
    answered
}

/// A connection for questions, which see the database as it was at the first of them.
///
/// [`Asker::close`] takes leave of the database; one that is dropped is found out by it, and leaves a line in its log.
pub struct Asker(Connected);

enum Connected {
    #[cfg(feature = "sqlite")]
    Sqlite(Box<sqlx::SqliteConnection>),
    #[cfg(feature = "postgres")]
    Postgres(Box<sqlx::PgConnection>),
}

impl Asker {
    /// Connects to the database of a URL.
    ///
    /// # Errors
    /// [`QueryError::Url`] and [`QueryError::Unreachable`].
    pub async fn connect(url: &str) -> Result<Self, QueryError> {
        Ok(Self(match url.split_once(':').map(|(scheme, _)| scheme) {
            #[cfg(feature = "sqlite")]
            Some("sqlite") => Connected::Sqlite(Box::new(sqlite::connect(url).await?)),
            #[cfg(feature = "postgres")]
            Some("postgres" | "postgresql") => Connected::Postgres(Box::new(postgres::connect(url).await?)),
            _ => return Err(QueryError::Url("no known database: the URL starts with sqlite: or postgres://".to_owned())),
        }))
    }

    /// Asks one question. After an error no other can be asked.
    ///
    /// # Errors
    /// See [`QueryError`]. Rows may have gone to the sink before.
    pub async fn ask(&mut self, sql: &str, sink: &mut (dyn Sink + Send)) -> Result<(), QueryError> {
        is_one(sql)?;
        match &mut self.0 {
            #[cfg(feature = "sqlite")]
            Connected::Sqlite(connection) => sqlite::ask(connection, sql, sink).await,
            #[cfg(feature = "postgres")]
            Connected::Postgres(connection) => postgres::ask(connection, sql, sink).await,
        }
    }

    /// Takes leave. Nothing can go wrong that anybody would mind: there is nothing to commit.
    pub async fn close(self) {
        match self.0 {
            #[cfg(feature = "sqlite")]
            Connected::Sqlite(connection) => _ = connection.close().await,
            #[cfg(feature = "postgres")]
            Connected::Postgres(connection) => _ = tokio::time::timeout(CLOSE_TIMEOUT, connection.close()).await,
        }
    }
}

/// How long a database may take to say good-bye.
#[cfg(feature = "postgres")]
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// The statement that tells how many clients each access point has heard since a time, for the database of a URL: columns receiver, ap,
/// radio, clients. SQLite is asked below its view, whose times are texts that no index finds.
#[must_use]
pub fn heard_since(url: &str, seconds: i64) -> String {
    if url.starts_with("sqlite:") {
        return format!(
            "SELECT d.value AS receiver, printf('%02x:%02x:%02x:%02x:%02x:%02x', s.ap >> 40, s.ap >> 32 & 255, s.ap >> 24 & 255, s.ap >> 16 & 255, s.ap >> 8 & 255, \
             s.ap & 255) AS ap, CASE s.radio WHEN 0 THEN 'wifi' ELSE 'ble' END AS radio, count(DISTINCT o.client) AS clients \
             FROM observation o JOIN source s ON s.id = o.source JOIN dictionary d ON d.id = s.receiver WHERE o.observed_at >= {seconds} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
        );
    }
    format!(
        "SELECT receiver, ap, radio, count(DISTINCT client) FROM observations WHERE observed_at >= to_timestamp({seconds}) GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    )
}

fn is_one(sql: &str) -> Result<(), QueryError> {
    if statements(sql) == 1 { Ok(()) } else { Err(QueryError::Refused("write one SQL statement, no more and no fewer".to_owned())) }
}

/// Counts statements: pieces between semicolons, outside of quotes and comments, that are not blank. A `$tag$` quote of Postgres is
/// not known here; Postgres itself refuses more than one statement.
fn statements(sql: &str) -> usize {
    let mut count = 0;
    let mut blank = true;
    let mut rest = sql;
    while let Some(first) = rest.chars().next() {
        let skipped = match first {
            '\'' | '"' | '`' => 1 + rest[1..].find(first).map_or(rest.len() - 1, |at| at + 1),
            '[' => rest.find(']').map_or(rest.len(), |at| at + 1),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => rest[2..].find("*/").map_or(rest.len(), |at| at + 4),
            other => other.len_utf8(),
        };
        match first {
            ';' => blank = true,
            '-' | '/' if skipped > 1 => {}
            other if other.is_whitespace() => {}
            _ if blank => {
                count += 1;
                blank = false;
            }
            _ => {}
        }
        rest = &rest[skipped..];
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_counted_outside_of_quotes_and_comments() {
        for (sql, count) in [
            ("", 0),
            (" ; ;\n", 0),
            ("-- nothing; here", 0),
            ("/* nor; here */", 0),
            ("SELECT 1", 1),
            ("SELECT 1;", 1),
            ("SELECT ';'", 1),
            ("SELECT 'it''s; fine' -- ; x\n;", 1),
            ("SELECT \"a;b\", [c;d], `e;f` /* ; */", 1),
            ("SELECT 'é;'", 1),
            ("SELECT 1; DROP TABLE x", 2),
            ("SELECT '; SELECT 2", 1),
        ] {
            assert_eq!(statements(sql), count, "{sql}");
        }
    }
}
