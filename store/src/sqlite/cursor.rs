//! The cursor of a journal: moved by compare-and-set in the transaction that writes the rows.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::error::{self, step};
use crate::position::{JournalId, Position};
use crate::writer::{Advance, Cursor, WriteError};

/// Takes the journal over: a new epoch fences every earlier process.
pub(super) async fn adopt(connection: &mut SqliteConnection, journal: JournalId, first: Position) -> Result<Cursor, WriteError> {
    let what = "take the journal's cursor over";
    let asked = sqlx::query(
        "INSERT INTO journal_cursor (journal, epoch, position, updated_at) VALUES (?, 1, ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'))
         ON CONFLICT (journal) DO UPDATE SET epoch = journal_cursor.epoch + 1, updated_at = excluded.updated_at
         RETURNING epoch, position, turn",
    );
    let asked = asked.bind(journal.to_string()).bind(first.0.cast_signed());
    // All rows are fetched: the statement, and with it the commit, runs to its end.
    let rows = step(what, asked.fetch_all(connection)).await?;
    let row = rows.first().ok_or_else(|| WriteError::new(crate::writer::Class::Retry, format!("{what}: no row came back")))?;
    cursor_of(what, row)
}

/// The cursor as it stands.
pub(super) async fn read(connection: &mut SqliteConnection, journal: JournalId) -> Result<Option<Cursor>, WriteError> {
    let what = "read the cursor";
    let asked = sqlx::query("SELECT epoch, position, turn FROM journal_cursor WHERE journal = ?").bind(journal.to_string());
    let row = step(what, asked.fetch_optional(connection)).await?;
    row.map(|row| cursor_of(what, &row)).transpose()
}

/// Moves the cursor; `false` when it stood elsewhere.
pub(super) async fn advance(
    connection: &mut SqliteConnection,
    advance: &Advance,
    newest_received_ms: Option<i64>,
    unpublished_since: Option<i64>,
) -> Result<bool, WriteError> {
    let asked = sqlx::query(
        "UPDATE journal_cursor
         SET position = ?1, turn = turn + 1, updated_at = strftime('%Y-%m-%dT%H:%M:%SZ', 'now'),
             newest_received_at = coalesce(max(newest_received_at, ?2), newest_received_at, ?2), unpublished_since = ?6
         WHERE journal = ?3 AND epoch = ?4 AND position = ?5 AND turn = ?7",
    );
    let asked = asked.bind(advance.to.0.cast_signed()).bind(newest_received_ms).bind(advance.journal.to_string());
    let asked = asked.bind(advance.epoch).bind(advance.from.0.cast_signed()).bind(unpublished_since).bind(advance.turn);
    let moved = step("move the cursor", asked.execute(connection)).await?;
    Ok(moved.rows_affected() == 1)
}

/// The latest arrival of an observation or location, milliseconds since 1970.
pub(super) async fn newest_received_ms(connection: &mut SqliteConnection) -> Result<Option<i64>, WriteError> {
    let what = "read the time of the newest arrival";
    let row = step(what, sqlx::query("SELECT max(newest_received_at) FROM journal_cursor").fetch_one(connection)).await?;
    row.try_get_unchecked(0).map_err(|error| error::of(what, &error))
}

fn cursor_of(what: &str, row: &SqliteRow) -> Result<Cursor, WriteError> {
    let read = |error: sqlx::Error| error::of(what, &error);
    let (epoch, position): (i64, i64) = (row.try_get_unchecked(0).map_err(read)?, row.try_get_unchecked(1).map_err(read)?);
    let turn = row.try_get_unchecked(2).map_err(read)?;
    Ok(Cursor { epoch, position: Position(position.cast_unsigned()), turn })
}
