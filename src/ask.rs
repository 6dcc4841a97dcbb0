//! What commands ask of the store: SQL that both databases understand, and cells as the values they stand for.

use store::query::Cell;

use crate::config::Config;
use crate::failure::{Code, Failure};
use crate::query::{self, Rows};

/// The database of a configuration, for as many questions as a command has: all see it as it was at the first.
pub(crate) struct Asker {
    asker: store::query::Asker,
    /// The database as messages name it.
    shown: String,
}

impl Asker {
    pub(crate) async fn connect(config: &Config) -> Result<Self, Failure> {
        let shown = config.database.address_shown();
        let asker = store::query::Asker::connect(config.database.reveal()).await.map_err(|error| query::failure(&error, &shown))?;
        Ok(Self { asker, shown })
    }

    /// Asks, and gathers the answer.
    pub(crate) async fn rows(&mut self, sql: &str) -> Result<Vec<Vec<Cell>>, Failure> {
        let mut rows = Rows::default();
        self.asker.ask(sql, &mut rows).await.map_err(|error| query::failure(&error, &self.shown))?;
        Ok(rows.0)
    }

    pub(crate) async fn close(self) {
        self.asker.close().await;
    }
}

/// A row that is read cell by cell, in the order of its columns.
pub(crate) struct Reader<'a> {
    cells: std::slice::Iter<'a, Cell>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(row: &'a [Cell]) -> Self {
        Self { cells: row.iter() }
    }

    fn next(&mut self) -> &'a Cell {
        self.cells.next().unwrap_or(&Cell::Null)
    }

    /// A text; empty when null.
    pub(crate) fn text(&mut self) -> String {
        query::text(self.next())
    }

    /// A text; none when null.
    pub(crate) fn some_text(&mut self) -> Option<String> {
        Some(self.text()).filter(|text| !text.is_empty())
    }

    /// A number, whole or not.
    pub(crate) fn number(&mut self) -> Option<f64> {
        match self.next() {
            Cell::Null => None,
            cell => query::text(cell).parse().ok(),
        }
    }

    /// A whole number.
    pub(crate) fn whole(&mut self) -> Option<i64> {
        match self.next() {
            Cell::Integer(value) => Some(*value),
            Cell::Bool(value) => Some(i64::from(*value)),
            Cell::Null => None,
            // Sums are decimals in Postgres.
            cell => query::text(cell).parse().ok(),
        }
    }

    /// A boolean, as either database has it.
    pub(crate) fn flag(&mut self) -> Option<bool> {
        self.whole().map(|value| value != 0)
    }

    /// A time, in seconds since 1970.
    pub(crate) fn time(&mut self) -> Result<i64, Failure> {
        let text = self.text();
        let time = text.parse::<jiff::Timestamp>();
        time.map(jiff::Timestamp::as_second).map_err(|error| Failure::new(Code::Software, format!("read the time {text:?} of a view: {error}")))
    }
}

/// A text as SQL writes it.
pub(crate) fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A time as both databases compare it.
pub(crate) fn moment(seconds: i64) -> String {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("'{time}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_both_databases_read_alike() {
        let sqlite = [Cell::Integer(1), Cell::Integer(12), Cell::Number(0.5), Cell::Text("2026-01-01T00:00:00Z".to_owned()), Cell::Null];
        let postgres = [Cell::Bool(true), Cell::Decimal("12".to_owned()), Cell::Number(0.5), Cell::Text("2026-01-01T00:00:00Z".to_owned()), Cell::Null];
        for row in [sqlite, postgres] {
            let mut row = Reader::new(&row);
            assert_eq!((row.flag(), row.whole(), row.number()), (Some(true), Some(12), Some(0.5)));
            assert_eq!(row.time().unwrap(), 1_767_225_600);
            assert_eq!((row.whole(), row.some_text()), (None, None));
        }
    }

    #[test]
    fn texts_cannot_leave_their_quotes() {
        assert_eq!(quoted("L'Hermitage"), "'L''Hermitage'");
        assert_eq!(moment(1_767_225_600), "'2026-01-01T00:00:00Z'");
    }
}
