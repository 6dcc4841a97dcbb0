//! The dictionaries in SQLite.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::error;
use super::values::{Statement, Values};
use crate::dictionary::{Dictionary, SourceKey};
use crate::writer::WriteError;

impl Dictionary for SqliteConnection {
    async fn find_texts(&mut self, values: &[&str]) -> Result<Vec<(String, i32)>, WriteError> {
        let statement = Statement { what: "look strings up", head: "SELECT value, id FROM dictionary WHERE value IN (VALUES", width: 1, tail: ")" };
        texts(&statement, &statement.fetch(self, values, bind_text).await?)
    }

    async fn add_texts(&mut self, values: &[&str]) -> Result<Vec<(String, i32)>, WriteError> {
        let statement = Statement {
            what: "add strings to the dictionary",
            head: "INSERT INTO dictionary (value) VALUES",
            width: 1,
            tail: "ON CONFLICT DO NOTHING RETURNING value, id",
        };
        texts(&statement, &statement.fetch(self, values, bind_text).await?)
    }

    async fn find_sources(&mut self, keys: &[SourceKey]) -> Result<Vec<(SourceKey, i32)>, WriteError> {
        // The cross join keeps the order: each wanted key is looked up by the unique index.
        let statement = Statement {
            what: "look sources up",
            head: "WITH wanted (receiver, network, ap, radio) AS (VALUES",
            width: 4,
            tail: ") SELECT s.receiver, s.network, s.ap, s.radio, s.id FROM wanted w CROSS JOIN source s
                   WHERE s.receiver = w.receiver AND coalesce(s.network, -1) = coalesce(w.network, -1)
                     AND coalesce(s.ap, -1) = coalesce(w.ap, -1) AND s.radio = w.radio",
        };
        sources(&statement, &statement.fetch(self, keys, bind_source).await?)
    }

    async fn add_sources(&mut self, keys: &[SourceKey]) -> Result<Vec<(SourceKey, i32)>, WriteError> {
        let statement = Statement {
            what: "add sources",
            head: "INSERT INTO source (receiver, network, ap, radio) VALUES",
            width: 4,
            tail: "ON CONFLICT DO NOTHING RETURNING receiver, network, ap, radio, id",
        };
        sources(&statement, &statement.fetch(self, keys, bind_source).await?)
    }
}

fn bind_text(values: &mut Values, value: &&str) -> Result<(), WriteError> {
    values.add((*value).to_owned());
    Ok(())
}

fn bind_source(values: &mut Values, key: &SourceKey) -> Result<(), WriteError> {
    values.add(key.receiver);
    values.add(key.network);
    values.add(key.ap);
    values.add(i32::from(key.radio));
    Ok(())
}

fn texts(statement: &Statement<'_>, rows: &[SqliteRow]) -> Result<Vec<(String, i32)>, WriteError> {
    let read = |row: &SqliteRow| Ok((row.try_get_unchecked(0)?, row.try_get_unchecked(1)?));
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| error::of(statement.what, &error))
}

fn sources(statement: &Statement<'_>, rows: &[SqliteRow]) -> Result<Vec<(SourceKey, i32)>, WriteError> {
    let read = |row: &SqliteRow| {
        let key = SourceKey {
            receiver: row.try_get_unchecked(0)?,
            network: row.try_get_unchecked(1)?,
            ap: row.try_get_unchecked(2)?,
            radio: row.try_get_unchecked(3)?,
        };
        Ok((key, row.try_get_unchecked(4)?))
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| error::of(statement.what, &error))
}
