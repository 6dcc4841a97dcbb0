//! What an error of SQLite means for the pipeline.

use std::future::Future;

use sqlx::migrate::MigrateError;

use crate::migrations;
use crate::writer::{Class, WriteError};

/// Awaits one step and classes its error.
pub(super) async fn step<T>(what: &str, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, WriteError> {
    work.await.map_err(|error| of(what, &error))
}

/// Runs migrations.
pub(super) async fn migrate(work: impl Future<Output = Result<(), MigrateError>>) -> Result<(), WriteError> {
    work.await.map_err(|error| migrations::failure(&error, of))
}

/// The class and text of an error.
pub(crate) fn of(what: &str, error: &sqlx::Error) -> WriteError {
    match error {
        sqlx::Error::Database(database) => {
            let code = database.code().and_then(|code| code.parse().ok()).unwrap_or(0);
            WriteError::new(class_of(code), format!("{what}: {} (SQLite code {code})", database.message()))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } | sqlx::Error::Decode(_) => {
            WriteError::new(Class::Schema, format!("{what}: the database's columns are not those of the schema"))
        }
        error => WriteError::new(Class::Retry, format!("{what}: {error}")),
    }
}

/// The class and text of an error that SQLite itself told.
pub(super) fn of_rusqlite(what: &str, error: &rusqlite::Error) -> WriteError {
    let code = error.sqlite_error().map_or(0, |error| error.extended_code);
    WriteError::new(class_of(code), format!("{what}: {error} (SQLite code {code})"))
}

/// The class of an extended result code, whose low byte is the primary code.
fn class_of(code: i32) -> Class {
    match code & 0xff {
        // The file was moved away: opening it again tells more.
        READONLY if code == READONLY_DBMOVED => Class::Retry,
        ERROR | PERM | READONLY | CORRUPT | AUTH | NOTADB => Class::Schema,
        TOOBIG | CONSTRAINT | MISMATCH | RANGE => Class::Data,
        // Busy, locked, no memory, interrupted, i/o error, full, cannot open, protocol, schema changed meanwhile.
        _ => Class::Retry,
    }
}

const ERROR: i32 = 1;
const PERM: i32 = 3;
const READONLY: i32 = 8;
const READONLY_DBMOVED: i32 = 8 | 4 << 8;
const CORRUPT: i32 = 11;
const TOOBIG: i32 = 18;
const CONSTRAINT: i32 = 19;
const MISMATCH: i32 = 20;
const AUTH: i32 = 23;
const RANGE: i32 = 25;
const NOTADB: i32 = 26;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn result_codes_have_their_classes() {
        for (code, class) in [
            (5, Class::Retry),
            (517, Class::Retry),
            (10, Class::Retry),
            (13, Class::Retry),
            (1032, Class::Retry),
            (1, Class::Schema),
            (8, Class::Schema),
            (11, Class::Schema),
            (26, Class::Schema),
            (275, Class::Data),
            (3091, Class::Data),
            (20, Class::Data),
        ] {
            assert_eq!(class_of(code), class, "{code}");
        }
    }
}
