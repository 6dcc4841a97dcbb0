//! One group, exactly once: doubt at COMMIT is settled by reading the cursor on a new connection, poison is found by bisection.

use std::ops::ControlFlow;
use std::time::Instant;

use store::quarantine::Aside;
use store::writer::{Advance, Class, Store, WriteError};

use super::gather::Gather;
use super::source::SetAside;
use super::{Drained, Pipeline};

impl<S: Store> Pipeline<S> {
    /// Commits the gathered group, and returns when it is in the store. Breaks when applying must end.
    pub(super) async fn commit(&mut self) -> ControlFlow<Drained> {
        self.commit_from(Step::Gathered).await
    }

    /// As [`Pipeline::commit`], from a later step on.
    pub(super) async fn commit_from(&mut self, mut step: Step) -> ControlFlow<Drained> {
        let Some(advance) = self.advance() else { return ControlFlow::Break(Drained::Stopped) };
        loop {
            let error = match self.try_commit(&advance, &mut step).await {
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

    async fn try_commit(&mut self, advance: &Advance, step: &mut Step) -> Result<(), WriteError> {
        if *step == Step::Gathered {
            self.settle_old().await?;
            self.gather.absorb();
            self.gather.fold.close();
            if self.publish_all {
                // Whoever is put off is in the group no more.
                self.gather.fold.settle();
            }
            *step = Step::Closed;
        }
        if *step == Step::Closed {
            self.publish().await?;
            self.gather.hand_over(&mut self.hand);
            *step = Step::InHand;
        }
        self.put_aside()?;
        loop {
            let started = Instant::now();
            match self.write(advance).await {
                Ok(()) => {
                    metrics::histogram!(crate::metrics::STORE_COMMIT_SECONDS).record(started.elapsed());
                    metrics::histogram!(crate::metrics::STORE_COMMIT_ROWS).record(self.hand.rows.group().len() as f64);
                    return Ok(());
                }
                // Ends: each round takes at least one row out, or fails with another class.
                Err(error) if error.class == Class::Data => self.set_poison_aside(advance, &error).await?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Writes the group in hand, and gathers the next one while the store works.
    async fn write(&mut self, advance: &Advance) -> Result<(), WriteError> {
        let Self { store, gather, hand, .. } = self;
        let mut written = std::pin::pin!(store.write(hand.rows.group(), advance));
        let mut readable = true;
        loop {
            tokio::select! {
                biased;
                written = &mut written => return written,
                // What cannot be read now is met again, and told, when it is that group's turn.
                () = gather.wait(), if readable => readable = gather.take_one().is_ok(),
            }
        }
    }

    /// Records of unknown shape are durable in quarantine before the cursor passes them.
    fn put_aside(&self) -> Result<(), WriteError> {
        for reason in [SetAside::UNKNOWN, SetAside::UNREADABLE] {
            let records: Vec<Aside<'_>> = self.hand.beside.asides.iter().filter(|aside| aside.reason == reason).map(SetAside::as_record).collect();
            if !records.is_empty() {
                self.quarantine.put(reason, &records).map_err(|error| WriteError::new(Class::Retry, format!("write the quarantine: {error}")))?;
            }
        }
        Ok(())
    }

    /// Works out what the group, and what came before it, changes of presence.
    async fn publish(&mut self) -> Result<(), WriteError> {
        let now_ms = (self.now_ms)();
        let Self { store, gather: Gather { fold, engine, .. }, .. } = self;
        let asked = engine.prepare(now_ms, self.publish_all);
        if !asked.is_empty() {
            let unreadable = engine.fill(store.records(&asked).await?);
            if unreadable > 0 {
                tracing::error!(
                    records = unreadable,
                    "records of clients in the table presence_record cannot be read: what these clients did before is counted a second time if it changes"
                );
            }
        }
        let mut changes = std::mem::take(fold.presence_mut());
        engine.cover(fold.group(), &mut changes);
        engine.publish(&mut changes);
        *fold.presence_mut() = changes;
        Ok(())
    }

    /// Rows older than the repeat filter remembers are written unless the store has them.
    async fn settle_old(&mut self) -> Result<(), WriteError> {
        let Self { store, gather: Gather { fold, .. }, .. } = self;
        if fold.old_observations().is_empty() && fold.old_locations().is_empty() {
            return Ok(());
        }
        let observations = store.find_observations(fold.group(), fold.old_observations()).await?;
        let locations = store.find_locations(fold.group(), fold.old_locations()).await?;
        fold.settle_old(&observations, &locations);
        Ok(())
    }

    /// Finds the rows that the database refuses, puts them into quarantine and takes them out of the group. Their neighbours land.
    async fn set_poison_aside(&mut self, advance: &Advance, refused: &WriteError) -> Result<(), WriteError> {
        let total = self.hand.rows.group().len();
        let poison_max = (total / 100).max(POISON_MIN);
        let mut waiting = Vec::from([std::ops::Range { start: 0, end: total }]);
        let mut poison = Vec::new();
        self.store.connect().await?;
        while let Some(rows) = waiting.pop() {
            let group = self.hand.rows.group();
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
        if poison.is_empty() && self.set_presence_aside(refused) {
            return Ok(());
        }
        if poison.is_empty() {
            return Err(WriteError::new(Class::Schema, "the database refuses the group, and none of its rows alone"));
        }
        self.quarantine_rows(&mut poison, advance)
    }

    /// The rows are not at fault, so what they change of presence is: posts go on without. It can be made anew from the observations.
    fn set_presence_aside(&mut self, refused: &WriteError) -> bool {
        let rows = self.hand.rows.remove_presence();
        if rows > 0 {
            metrics::counter!(crate::metrics::PRESENCE_REFUSED_TOTAL).increment(rows as u64);
            tracing::error!(rows, error = %refused, "the database refuses rows of presence; the observations are written without them: find out why, then run footfall recompute"
            );
        }
        rows > 0
    }

    fn quarantine_rows(&mut self, poison: &mut [(usize, String)], advance: &Advance) -> Result<(), WriteError> {
        poison.sort_unstable_by_key(|(row, _)| std::cmp::Reverse(*row));
        let now_ms = (self.now_ms)();
        let known = self.hand.poison.len();
        self.hand.poison.extend(poison.iter().map(|(row, why)| format!("{why}\n{}", self.hand.rows.group().describe(*row))));
        // The file's name is the group's first position: a second round writes what the first one wrote, and more.
        let records: Vec<Aside<'_>> =
            self.hand.poison.iter().map(|body| Aside { position: advance.from, receiver: "", received_at_ms: now_ms, body: body.as_bytes() }).collect();
        if let Err(error) = self.quarantine.put(SetAside::POISON, &records) {
            self.hand.poison.truncate(known);
            return Err(WriteError::new(Class::Retry, format!("write the quarantine: {error}")));
        }
        for (row, why) in poison {
            self.hand.rows.remove_poison(*row);
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
                Ok(Some(cursor)) if cursor == advance.start() => return Reread::Untouched,
                Ok(Some(cursor)) if cursor == advance.end() => return Reread::Committed,
                // Set back; or with a turn more, recomputed.
                Ok(Some(cursor)) if cursor.position <= advance.to => return Reread::Ended(Drained::Rewound(cursor.position)),
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
        let tally = *self.hand.rows.tally();
        let rows = self.hand.rows.group().observations.len() as u64;
        self.report.committed(&tally, rows, &self.hand.beside, advance.to, self.gather.oldest_ms());
        // Whole posts; the rest is forgotten when the next group comes into the hand.
        self.hand.beside.asides.clear();
        self.backoff.reset();
        self.cursor = Some(advance.end());
        self.publish_all = false;
        self.gather.source.committed(advance.to);
        self.journal.applied(advance.to);
        self.measure();
        self.report.audit(&self.journal.durable());
    }
}

/// How far a group has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Its rows are gathered.
    Gathered,
    /// What is old is looked up, and what tells nothing new has left it.
    Closed,
    /// The next one may be gathered; this one stays as it is.
    InHand,
}

/// What the cursor says of a transaction in doubt.
enum Reread {
    Committed,
    Untouched,
    Ended(Drained),
}

/// So many rows of a small group may be poison before the schema is blamed; of a large group, one in a hundred.
const POISON_MIN: usize = 10;
