//! The cursor of a journal: moved by compare-and-set in the transaction that writes the rows.

use sqlx::{PgConnection, Row};

use super::error::{self, step};
use super::{STEP_TIMEOUT, copy::MICROS_PER_MILLI};
use crate::position::{JournalId, Position};
use crate::writer::{Advance, Cursor, WriteError};

/// Takes the journal over: a new epoch fences every earlier process.
pub(super) async fn adopt(connection: &mut PgConnection, journal: JournalId, first: Position) -> Result<Cursor, WriteError> {
    let what = "take the journal's cursor over";
    let asked = sqlx::query(
        "INSERT INTO journal_cursor (journal, epoch, position, updated_at) VALUES ($1::uuid, 1, $2, now())
         ON CONFLICT (journal) DO UPDATE SET epoch = journal_cursor.epoch + 1, updated_at = now()
         RETURNING epoch, position, turn",
    );
    let asked = asked.bind(journal.to_string()).bind(first.0.cast_signed());
    let row = step(what, STEP_TIMEOUT, asked.fetch_one(connection)).await?;
    cursor_of(what, &row)
}

/// The cursor as it stands.
pub(super) async fn read(connection: &mut PgConnection, journal: JournalId) -> Result<Option<Cursor>, WriteError> {
    let what = "read the cursor";
    let asked = sqlx::query("SELECT epoch, position, turn FROM journal_cursor WHERE journal = $1::uuid").bind(journal.to_string());
    let row = step(what, STEP_TIMEOUT, asked.fetch_optional(connection)).await?;
    row.map(|row| cursor_of(what, &row)).transpose()
}

/// Moves the cursor; `false` when it stood elsewhere.
pub(super) async fn advance(
    connection: &mut PgConnection,
    advance: &Advance,
    newest_received_ms: Option<i64>,
    unpublished_since: Option<i64>,
) -> Result<bool, WriteError> {
    let asked = sqlx::query(
        "UPDATE journal_cursor
         SET position = $1, turn = turn + 1, updated_at = now(), newest_received_at = greatest(newest_received_at, 'epoch'::timestamptz + $2 * interval '1 millisecond'),
             unpublished_since = to_timestamp($6::float8)
         WHERE journal = $3::uuid AND epoch = $4 AND position = $5 AND turn = $7",
    );
    let asked = asked.bind(advance.to.0.cast_signed()).bind(newest_received_ms.map(as_float)).bind(advance.journal.to_string());
    let asked = asked.bind(advance.epoch).bind(advance.from.0.cast_signed()).bind(unpublished_since).bind(advance.turn);
    let moved = step("move the cursor", STEP_TIMEOUT, asked.execute(connection)).await?;
    Ok(moved.rows_affected() == 1)
}

/// The latest arrival of an observation or location, milliseconds since 1970.
pub(super) async fn newest_received_ms(connection: &mut PgConnection) -> Result<Option<i64>, WriteError> {
    let what = "read the time of the newest arrival";
    let asked = sqlx::query("SELECT max(newest_received_at) FROM journal_cursor");
    let row = step(what, STEP_TIMEOUT, asked.fetch_one(connection)).await?;
    let micros = super::recent::optional_micros(&row, 0).map_err(|error| error::of(what, &error))?;
    Ok(micros.map(|micros| micros.div_euclid(MICROS_PER_MILLI)))
}

fn cursor_of(what: &str, row: &sqlx::postgres::PgRow) -> Result<Cursor, WriteError> {
    let read = |error: sqlx::Error| error::of(what, &error);
    let (epoch, position): (i64, i64) = (row.try_get(0).map_err(read)?, row.try_get(1).map_err(read)?);
    let turn = row.try_get(2).map_err(read)?;
    Ok(Cursor { epoch, position: Position(position.cast_unsigned()), turn })
}

/// Milliseconds since 1970 are far below 2^53, where floats stop being exact.
#[allow(clippy::cast_precision_loss)]
fn as_float(ms: i64) -> f64 {
    ms as f64
}
