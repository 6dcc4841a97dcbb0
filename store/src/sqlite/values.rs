//! Statements of many rows: one call into the driver's thread carries hundreds of rows, since the call itself costs microseconds.
//!
//! Rows are cut into pieces whose sizes are powers of two, so few shapes of a statement exist and each stays prepared.

use std::fmt::Write;

use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, SqliteConnection};

use super::error::step;
use crate::writer::{Class, WriteError};

/// A statement with a list of rows in its middle: `head VALUES (?, ..), .. tail`.
pub(super) struct Statement<'a> {
    /// What is being tried, for errors.
    pub(super) what: &'a str,
    /// Up to the rows, `VALUES` included.
    pub(super) head: &'a str,
    /// Values of a row.
    pub(super) width: usize,
    /// What follows the rows.
    pub(super) tail: &'a str,
}

/// Collects the values of one statement.
#[derive(Default)]
pub(super) struct Values {
    arguments: SqliteArguments,
    failed: bool,
}

impl Values {
    /// Adds the next value.
    pub(super) fn add<'v, T: sqlx::Encode<'v, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>>(&mut self, value: T) {
        self.failed |= self.arguments.add(value).is_err();
    }
}

impl Statement<'_> {
    /// Runs the statement for all rows, in as many pieces as it takes.
    pub(super) async fn execute<R>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[R],
        mut bind: impl FnMut(&mut Values, &R) -> Result<(), WriteError>,
    ) -> Result<(), WriteError> {
        for (piece, arguments) in self.pieces(rows) {
            let arguments = self.arguments(piece, arguments, &mut bind)?;
            let query = sqlx::query_with(AssertSqlSafe(self.sql(piece.len())), arguments);
            step(self.what, query.execute(&mut *connection)).await?;
        }
        Ok(())
    }

    /// Runs the statement for all rows and gives what it returns.
    pub(super) async fn fetch<R>(
        &self,
        connection: &mut SqliteConnection,
        rows: &[R],
        mut bind: impl FnMut(&mut Values, &R) -> Result<(), WriteError>,
    ) -> Result<Vec<SqliteRow>, WriteError> {
        let mut fetched = Vec::new();
        for (piece, arguments) in self.pieces(rows) {
            let arguments = self.arguments(piece, arguments, &mut bind)?;
            let query = sqlx::query_with(AssertSqlSafe(self.sql(piece.len())), arguments);
            fetched.extend(step(self.what, query.fetch_all(&mut *connection)).await?);
        }
        Ok(fetched)
    }

    fn arguments<R>(
        &self,
        piece: &[R],
        mut values: Values,
        bind: &mut impl FnMut(&mut Values, &R) -> Result<(), WriteError>,
    ) -> Result<SqliteArguments, WriteError> {
        for row in piece {
            bind(&mut values, row)?;
        }
        if values.failed { Err(WriteError::new(Class::Data, format!("{}: a value cannot be encoded", self.what))) } else { Ok(values.arguments) }
    }

    /// Cuts rows into pieces of the largest size while there are enough, then of each smaller power of two.
    fn pieces<'r, R>(&self, mut rows: &'r [R]) -> impl Iterator<Item = (&'r [R], Values)> + use<'r, R> {
        let largest = 1_usize << (PARAMETERS_MAX / self.width.max(1)).max(1).ilog2();
        let width = self.width;
        std::iter::from_fn(move || {
            let size = if rows.len() >= largest { largest } else { 1 << rows.len().checked_ilog2()? };
            let (piece, rest) = rows.split_at(size);
            rows = rest;
            let mut values = Values::default();
            values.arguments.reserve(size * width, 0);
            Some((piece, values))
        })
    }

    fn sql(&self, rows: usize) -> String {
        let mut row = String::from("(?");
        for _ in 1..self.width {
            row.push_str(",?");
        }
        row.push(')');
        let mut sql = String::with_capacity(self.head.len() + self.tail.len() + rows * (row.len() + 1) + 2);
        sql.push_str(self.head);
        for at in 0..rows {
            let _ = write!(sql, "{}{row}", if at == 0 { " " } else { "," });
        }
        sql.push(' ');
        sql.push_str(self.tail);
        sql
    }
}

/// Parameters of one statement: beyond some thousands nothing is gained.
const PARAMETERS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_cut_into_powers_of_two() {
        let statement = Statement { what: "", head: "INSERT INTO t VALUES", width: 6, tail: "" };
        let rows = vec![0; 512 + 512 + 300];
        let sizes: Vec<usize> = statement.pieces(&rows).map(|(piece, _)| piece.len()).collect();
        assert_eq!(sizes, [512, 512, 256, 32, 8, 4]);
        assert_eq!(statement.pieces::<u8>(&[]).count(), 0);
    }

    #[test]
    fn the_text_has_a_place_for_each_value() {
        let statement = Statement { what: "", head: "INSERT INTO t VALUES", width: 2, tail: "ON CONFLICT DO NOTHING" };
        assert_eq!(statement.sql(2), "INSERT INTO t VALUES (?,?),(?,?) ON CONFLICT DO NOTHING");
    }
}
