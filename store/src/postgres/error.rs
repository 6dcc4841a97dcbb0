//! What an error of Postgres or of the way to it means for the pipeline.

use std::future::Future;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;

use crate::migrations;
use crate::writer::{Class, WriteError};

/// Awaits one step of the protocol under a deadline. After an error, and above all after a timeout, the connection is of no use.
pub(crate) async fn step<T>(what: &str, limit: Duration, work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, WriteError> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(of(what, &error)),
        Err(_) => Err(late(what, limit)),
    }
}

/// Runs migrations under a deadline.
pub(super) async fn migrate(limit: Duration, work: impl Future<Output = Result<(), MigrateError>>) -> Result<(), WriteError> {
    match tokio::time::timeout(limit, work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(migrations::failure(&error, of)),
        Err(_) => Err(late(migrations::DOING, limit)),
    }
}

/// The class and text of an error: the primary message only, for DETAIL shows rows.
pub(crate) fn of(what: &str, error: &sqlx::Error) -> WriteError {
    match error {
        sqlx::Error::Database(database) => match database.try_downcast_ref::<PgDatabaseError>() {
            Some(error) => WriteError::new(Class::of_sqlstate(error.code()), format!("{what}: {} (SQLSTATE {})", error.message(), error.code())),
            None => WriteError::new(Class::Retry, format!("{what}: {}", database.message())),
        },
        // A column is missing or has another type than the schema says.
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) | sqlx::Error::ColumnIndexOutOfBounds { .. } | sqlx::Error::Decode(_) => {
            WriteError::new(Class::Schema, format!("{what}: the database's columns are not those of the schema"))
        }
        error => WriteError::new(Class::Retry, format!("{what}: {error}")),
    }
}

/// Whether the server refused to wait longer for a lock.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code == "55P03")
}

fn late(what: &str, limit: Duration) -> WriteError {
    WriteError::new(Class::Retry, format!("{what}: no answer from Postgres for {} s", limit.as_secs()))
}
