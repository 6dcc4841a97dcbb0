//! A store that keeps nothing but the cursor, and that only as long as it lives: for measuring what the rest of the way costs.

use std::time::Duration;

use crate::forget::{Forget, Forgotten};
use crate::group::{Group, LocationRow, ObservationRow, Part};
use crate::position::{JournalId, Position};
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::presence::Changes;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use crate::presence::rebuild::{Found, Rebuild, Step, Which};
use crate::presence::{Keep, RecordKey, Stored};
use crate::writer::{Advance, Class, Cursor, Maintained, Store, WriteError};

/// Takes every group and forgets it.
#[derive(Default)]
pub struct Null {
    cursor: Option<Cursor>,
}

impl Store for Null {
    fn kind(&self) -> &'static str {
        "null"
    }

    async fn connect(&mut self) -> Result<(), WriteError> {
        Ok(())
    }

    async fn adopt(&mut self, _: JournalId, first: Position) -> Result<Cursor, WriteError> {
        let before = self.cursor.unwrap_or(Cursor { epoch: 0, position: first, turn: 0 });
        Ok(*self.cursor.insert(Cursor { epoch: before.epoch + 1, ..before }))
    }

    async fn cursor(&mut self, _: JournalId) -> Result<Option<Cursor>, WriteError> {
        Ok(self.cursor)
    }

    async fn write(&mut self, _: &Group, advance: &Advance) -> Result<(), WriteError> {
        if self.cursor != Some(advance.start()) {
            return Err(WriteError::new(Class::CursorMoved, "move the cursor: it stands elsewhere"));
        }
        self.cursor = Some(advance.end());
        Ok(())
    }

    async fn probe(&mut self, _: &Group, _: &Part) -> Result<(), WriteError> {
        Ok(())
    }

    async fn newest_received_ms(&mut self) -> Result<Option<i64>, WriteError> {
        Ok(None)
    }

    async fn recent(&mut self, _: i64, _: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
        Ok(())
    }

    async fn catch_up(&mut self, _: i64) -> Result<(), WriteError> {
        Ok(())
    }

    async fn find_observations(&mut self, _: &Group, rows: &[ObservationRow]) -> Result<Vec<bool>, WriteError> {
        Ok(vec![false; rows.len()])
    }

    async fn find_locations(&mut self, _: &Group, rows: &[LocationRow]) -> Result<Vec<bool>, WriteError> {
        Ok(vec![false; rows.len()])
    }

    async fn presence(&mut self, _: JournalId) -> Result<Stored, WriteError> {
        Ok(Stored::default())
    }

    async fn records(&mut self, keys: &[RecordKey]) -> Result<Vec<Vec<u8>>, WriteError> {
        Ok(vec![Vec::new(); keys.len()])
    }

    async fn tend(&mut self, _: i64, _: &Keep) -> Result<bool, WriteError> {
        Ok(false)
    }

    async fn forget(&mut self, _: &Forget) -> Result<Forgotten, WriteError> {
        Ok(Forgotten::default())
    }

    async fn maintain(&mut self, _: i64, _: Duration) -> Result<Maintained, WriteError> {
        Ok(Maintained::default())
    }
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
impl Rebuild for Null {
    async fn open(&mut self, _: bool) -> Result<(), WriteError> {
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), WriteError> {
        Ok(())
    }

    async fn found(&mut self, _: &str) -> Result<Option<Found>, WriteError> {
        Ok(None)
    }

    async fn run(&mut self, _: Step<'_>) -> Result<(), WriteError> {
        Ok(())
    }

    async fn write_presence(&mut self, _: &Changes) -> Result<(), WriteError> {
        Ok(())
    }

    async fn replay(&mut self, _: Which, _: &mut (dyn FnMut(&Group) + Send)) -> Result<(), WriteError> {
        Ok(())
    }

    async fn arrivals(&mut self) -> Result<Option<(i64, i64)>, WriteError> {
        Ok(None)
    }
}
