//! The dictionaries in Postgres: whole lists by `unnest`, one statement each.

use sqlx::{PgConnection, Row};

use super::STEP_TIMEOUT;
use super::error::{self, step};
use crate::dictionary::{Dictionary, SourceKey};
use crate::writer::WriteError;

impl Dictionary for PgConnection {
    async fn find_texts(&mut self, values: &[&str]) -> Result<Vec<(String, i32)>, WriteError> {
        let asked = sqlx::query("SELECT value, id FROM dictionary WHERE hash = ANY($1)").bind(hashes(values));
        let rows = step(FIND_TEXTS, STEP_TIMEOUT, asked.fetch_all(self)).await?;
        texts(FIND_TEXTS, &rows)
    }

    async fn add_texts(&mut self, values: &[&str]) -> Result<Vec<(String, i32)>, WriteError> {
        let asked = sqlx::query(
            "INSERT INTO dictionary (hash, value) SELECT u.hash, u.value FROM unnest($1, $2) AS u(hash, value)
             ON CONFLICT DO NOTHING RETURNING value, id",
        );
        let rows = step(ADD_TEXTS, STEP_TIMEOUT, asked.bind(hashes(values)).bind(values).fetch_all(self)).await?;
        texts(ADD_TEXTS, &rows)
    }

    async fn find_sources(&mut self, keys: &[SourceKey]) -> Result<Vec<(SourceKey, i32)>, WriteError> {
        // Nulls as -1, so that the join can hash: no id and no address is negative.
        let sql = "SELECT s.receiver, s.network, s.ap, s.radio, s.id
             FROM unnest($1, $2, $3, $4) AS u(receiver, network, ap, radio)
             JOIN source s ON s.receiver = u.receiver AND s.radio = u.radio
              AND coalesce(s.network, -1) = coalesce(u.network, -1) AND coalesce(s.ap, -1) = coalesce(u.ap, -1)";
        by_sources(self, FIND_SOURCES, sql, keys).await
    }

    async fn add_sources(&mut self, keys: &[SourceKey]) -> Result<Vec<(SourceKey, i32)>, WriteError> {
        let sql = "INSERT INTO source (receiver, network, ap, radio)
             SELECT u.receiver, u.network, u.ap, u.radio FROM unnest($1, $2, $3, $4) AS u(receiver, network, ap, radio)
             ON CONFLICT DO NOTHING RETURNING receiver, network, ap, radio, id";
        by_sources(self, ADD_SOURCES, sql, keys).await
    }
}

async fn by_sources(connection: &mut PgConnection, what: &str, sql: &'static str, keys: &[SourceKey]) -> Result<Vec<(SourceKey, i32)>, WriteError> {
    let asked = sqlx::query(sql)
        .bind(keys.iter().map(|key| key.receiver).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.network).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.ap).collect::<Vec<_>>())
        .bind(keys.iter().map(|key| key.radio).collect::<Vec<_>>());
    let rows = step(what, STEP_TIMEOUT, asked.fetch_all(connection)).await?;
    let read = |row: &sqlx::postgres::PgRow| {
        let key = SourceKey { receiver: row.try_get(0)?, network: row.try_get(1)?, ap: row.try_get(2)?, radio: row.try_get(3)? };
        Ok((key, row.try_get(4)?))
    };
    rows.iter().map(read).collect::<Result<_, _>>().map_err(|error| error::of(what, &error))
}

fn texts(what: &str, rows: &[sqlx::postgres::PgRow]) -> Result<Vec<(String, i32)>, WriteError> {
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect::<Result<_, _>>().map_err(|error| error::of(what, &error))
}

fn hashes(values: &[&str]) -> Vec<Vec<u8>> {
    values.iter().map(|value| blake3::hash(value.as_bytes()).as_bytes()[..HASH_BYTES].to_vec()).collect()
}

const HASH_BYTES: usize = 16;
const FIND_TEXTS: &str = "look strings up";
const ADD_TEXTS: &str = "add strings to the dictionary";
const FIND_SOURCES: &str = "look sources up";
const ADD_SOURCES: &str = "add sources";
