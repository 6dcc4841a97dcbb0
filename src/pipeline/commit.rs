//! One group, exactly once: doubt at COMMIT is settled by reading the cursor on a new connection, poison is found by bisection.

use std::ops::ControlFlow;
use std::time::Instant;

use store::quarantine::Aside;
use store::writer::{Advance, Class, Store, WriteError};

use super::source::SetAside;
use super::{Drained, Pipeline};

impl<S: Store> Pipeline<S> {
    /// Commits the gathered group, and returns when it is in the store. Breaks when applying must end.
    pub(super) async fn commit(&mut self) -> ControlFlow<Drained> {
        self.commit_group(false).await
    }

    /// As [`Pipeline::commit`]; a group that is closed is written as it stands.
    pub(super) async fn commit_group(&mut self, mut closed: bool) -> ControlFlow<Drained> {
        let Some(advance) = self.advance() else { return ControlFlow::Break(Drained::Stopped) };
        loop {
            let error = match self.try_commit(&advance, &mut closed).await {
                Ok(()) => {
                    self.committed(&advance);
                    return ControlFlow::Continue(());
                }
                Err(error) => error,
            };
            // Nothing is known about the transaction: wait, reconnect, and let the cursor tell.
            if error.class != Class::CursorMoved && self.trouble(&error).await.is_break() {
                return ControlFlow::Break(Drained::Stopped);
            }
            match self.reread(&advance).await {
                Reread::Untouched => {}
                Reread::Committed => {
                    self.committed(&advance);
                    return ControlFlow::Continue(());
                }
                Reread::Ended(ended) => return ControlFlow::Break(ended),
            }
        }
    }

    async fn try_commit(&mut self, advance: &Advance, closed: &mut bool) -> Result<(), WriteError> {
        self.put_aside()?;
        if !*closed {
            self.settle_old().await?;
            self.fold.close();
            *closed = true;
        }
        loop {
            let started = Instant::now();
            match self.store.write(self.fold.group(), advance).await {
                Ok(()) => {
                    metrics::histogram!(crate::metrics::STORE_COMMIT_SECONDS).record(started.elapsed());
                    metrics::histogram!(crate::metrics::STORE_COMMIT_ROWS).record(self.fold.group().len() as f64);
                    return Ok(());
                }
                // Ends: each round takes at least one row out, or fails with another class.
                Err(error) if error.class == Class::Data => self.set_poison_aside(advance).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Records of unknown shape are durable in quarantine before the cursor passes them.
    fn put_aside(&self) -> Result<(), WriteError> {
        for reason in [SetAside::UNKNOWN, SetAside::UNREADABLE] {
            let records: Vec<Aside<'_>> = self.asides.iter().filter(|aside| aside.reason == reason).map(SetAside::as_record).collect();
            if !records.is_empty() {
                self.quarantine.put(reason, &records).map_err(|error| WriteError::new(Class::Retry, format!("write the quarantine: {error}")))?;
            }
        }
        Ok(())
    }

    /// Rows older than the repeat filter remembers are written unless the store has them.
    async fn settle_old(&mut self) -> Result<(), WriteError> {
        let Self { store, fold, .. } = self;
        if fold.old_observations().is_empty() && fold.old_locations().is_empty() {
            return Ok(());
        }
        let observations = store.find_observations(fold.group(), fold.old_observations()).await?;
        let locations = store.find_locations(fold.group(), fold.old_locations()).await?;
        fold.settle_old(&observations, &locations);
        Ok(())
    }

    /// Finds the rows that the database refuses, puts them into quarantine and takes them out of the group. Their neighbours land.
    async fn set_poison_aside(&mut self, advance: &Advance) -> Result<(), WriteError> {
        let total = self.fold.group().len();
        let poison_max = (total / 100).max(POISON_MIN);
        let mut waiting = Vec::from([std::ops::Range { start: 0, end: total }]);
        let mut poison = Vec::new();
        self.store.connect().await?;
        while let Some(rows) = waiting.pop() {
            let group = self.fold.group();
            let Err(error) = self.store.probe(group, &group.part(rows.clone())).await else { continue };
            if error.class != Class::Data {
                return Err(error);
            }
            self.store.connect().await?;
            let middle = rows.start + rows.len() / 2;
            if rows.len() > 1 {
                waiting.extend([rows.start..middle, middle..rows.end]);
                continue;
            }
            poison.push((rows.start, error.message));
            if poison.len() > poison_max {
                let message = format!("more than {poison_max} of {total} rows are refused, so that the schema is at fault and not the rows: {}", poison[0].1);
                return Err(WriteError::new(Class::Schema, message));
            }
        }
        if poison.is_empty() {
            return Err(WriteError::new(Class::Schema, "the database refuses the group, and none of its rows alone"));
        }
        self.quarantine_rows(&mut poison, advance)
    }

    fn quarantine_rows(&mut self, poison: &mut [(usize, String)], advance: &Advance) -> Result<(), WriteError> {
        poison.sort_unstable_by_key(|(row, _)| std::cmp::Reverse(*row));
        let now_ms = (self.settings.now_ms)();
        let known = self.poison.len();
        self.poison.extend(poison.iter().map(|(row, why)| format!("{why}\n{}", self.fold.group().describe(*row))));
        // The file's name is the group's first position: a second round writes what the first one wrote, and more.
        let records: Vec<Aside<'_>> =
            self.poison.iter().map(|body| Aside { position: advance.from, receiver: "", received_at_ms: now_ms, body: body.as_bytes() }).collect();
        if let Err(error) = self.quarantine.put(SetAside::POISON, &records) {
            self.poison.truncate(known);
            return Err(WriteError::new(Class::Retry, format!("write the quarantine: {error}")));
        }
        for (row, why) in poison {
            self.fold.remove_poison(*row);
            tracing::error!(error = %why, "the database refuses one row; it stands in quarantine, and its neighbours are written");
        }
        Ok(())
    }

    /// Reconnects until the cursor can be read, and says what became of the transaction.
    async fn reread(&mut self, advance: &Advance) -> Reread {
        loop {
            let error = match self.try_reread().await {
                // A takeover raises the epoch; a lower one is that of an older copy of the database.
                Ok(Some(cursor)) if cursor.epoch > advance.epoch => return Reread::Ended(Drained::Fenced),
                Ok(Some(cursor)) if cursor.epoch < advance.epoch => return Reread::Ended(Drained::Rewound(cursor.position)),
                // First, because a group that moves nothing cannot be told from one that was not written; it is written again.
                Ok(Some(cursor)) if cursor.position == advance.from => return Reread::Untouched,
                Ok(Some(cursor)) if cursor.position == advance.to => return Reread::Committed,
                Ok(Some(cursor)) if cursor.position < advance.from => return Reread::Ended(Drained::Rewound(cursor.position)),
                Ok(Some(_)) => return Reread::Ended(Drained::Fenced),
                Ok(None) => WriteError::new(
                    Class::Schema,
                    "the store has lost this journal's cursor: was the database replaced? restart footfall to apply what the journal still holds",
                ),
                Err(error) => error,
            };
            if self.trouble(&error).await.is_break() {
                return Reread::Ended(Drained::Stopped);
            }
        }
    }

    async fn try_reread(&mut self) -> Result<Option<store::writer::Cursor>, WriteError> {
        self.store.connect().await?;
        self.store.cursor(self.journal.id()).await
    }

    /// The group is in the store: count it, move on, and let the journal forget.
    fn committed(&mut self, advance: &Advance) {
        let tally = *self.fold.tally();
        let written = self.fold.group().observations.len() as u64;
        self.report.committed(&tally, written, std::mem::take(&mut self.replayed), advance.to);
        self.asides.clear();
        self.poison.clear();
        self.backoff.reset();
        if let Some(cursor) = &mut self.cursor {
            cursor.position = advance.to;
        }
        self.source.committed(advance.to);
        self.journal.applied(advance.to);
        self.fold.clear();
        self.measure();
        self.report.audit(&self.journal.durable());
    }
}

/// What the cursor says of a transaction in doubt.
enum Reread {
    Committed,
    Untouched,
    Ended(Drained),
}

/// So many rows of a small group may be poison before the schema is blamed; of a large group, one in a hundred.
const POISON_MIN: usize = 10;
