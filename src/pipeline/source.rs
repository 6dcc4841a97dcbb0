//! Where the pipeline's next record comes from: the tail in memory when it is there, the disk when it is not.
//!
//! There is one order, that of the positions. A gap, be it from a tail that was full, a post of unknown shape or a start after a
//! crash, is read back from disk by the same code.

use std::io;
use std::sync::Arc;

use ingest::wire::{Context, Parsed, Parser, Secrets};
use store::batch::Batch;
use store::journal::{Journal, Kind, Reader, Record, Taken};
use store::position::Position;
use store::quarantine::Aside;

/// A record, ready for the fold.
pub(super) enum Item {
    /// A post with its rows.
    Post {
        batch: Box<Batch>,
        /// Whether its observations are not among those that the journal counts as appended by this process.
        replayed: bool,
        /// Whether it was read back: its memory is the source's own then.
        from_disk: bool,
    },
    /// A record that goes into quarantine.
    Aside(SetAside),
}

/// A record for the quarantine, whole.
pub(super) struct SetAside {
    pub(super) reason: &'static str,
    record: Record,
}

impl SetAside {
    /// An authenticated post of unknown shape.
    pub(super) const UNKNOWN: &'static str = "unknown";
    /// A post that was understood when it came and is not any more.
    pub(super) const UNREADABLE: &'static str = "unreadable";
    /// A row that the database refuses.
    pub(super) const POISON: &'static str = "poison";

    pub(super) fn as_record(&self) -> Aside<'_> {
        Aside { position: self.record.position, receiver: &self.record.receiver, received_at_ms: self.record.received_at_ms, body: &self.record.body }
    }
}

/// Gives records in the order of their positions.
pub(super) struct Source {
    journal: Arc<Journal>,
    next: Position,
    reader: Option<Reader>,
    parser: Parser,
    /// Everything before was counted as told before: by an earlier process, or by this one before the store was set back.
    counted_before: Position,
    spare: Option<Box<Batch>>,
}

impl Source {
    pub(super) fn new(journal: Arc<Journal>) -> Self {
        let durable = journal.durable();
        // What the journal counts as appended begins where this process opened it.
        let counted_before = Position(durable.next.0.saturating_sub(durable.records));
        Self { journal, next: durable.next, reader: None, parser: Parser::default(), counted_before, spare: None }
    }

    /// Goes on from another position.
    pub(super) fn seek(&mut self, next: Position) {
        self.next = next;
        self.reader = None;
    }

    /// The position after the last record given.
    pub(super) fn next_position(&self) -> Position {
        self.next
    }

    /// Everything before `to` is in the store.
    pub(super) fn committed(&mut self, to: Position) {
        self.counted_before = self.counted_before.max(to);
    }

    /// Takes back a batch that was read from disk, for its memory.
    pub(super) fn reuse(&mut self, mut batch: Box<Batch>) {
        if batch.memory_bytes() < SPARE_BYTES_MAX {
            batch.clear();
            self.spare = Some(batch);
        }
    }

    /// Whether a record is waiting.
    pub(super) fn has_work(&self) -> bool {
        self.journal.durable().next > self.next
    }

    /// Waits until a record is durable. Cancel-safe.
    pub(super) async fn work(&self) {
        if !self.journal.tail().wait(self.next).await {
            // The journal has stopped and all is taken: whoever waits here is told to stop by its own signal.
            std::future::pending::<()>().await;
        }
    }

    /// The next record, or `None` when all that is durable has been given. May block on the disk.
    pub(super) fn next(&mut self) -> io::Result<Option<Item>> {
        loop {
            match self.journal.tail().try_take(self.next) {
                Taken::Batch(batch) => {
                    self.reader = None;
                    let replayed = self.next < self.counted_before;
                    self.next = self.next.next();
                    return Ok(Some(Item::Post { batch, replayed, from_disk: false }));
                }
                Taken::Disk(until) => {
                    if let Some(record) = self.read_before(until)? {
                        return Ok(Some(self.item(record)));
                    }
                    // Damage took what was here; it is set aside and counted by the journal.
                    self.next = until;
                }
                Taken::Nothing | Taken::Stopped => {
                    self.reader = None;
                    return Ok(None);
                }
            }
        }
    }

    fn read_before(&mut self, until: Position) -> io::Result<Option<Record>> {
        let next = self.next;
        let reader = self.reader.get_or_insert_with(|| self.journal.reader(next));
        let record = reader.next_before(until)?;
        if let Some(record) = &record {
            self.next = record.position.next();
        }
        Ok(record)
    }

    fn item(&mut self, mut record: Record) -> Item {
        if record.kind == Kind::Unknown {
            return Item::Aside(SetAside { reason: SetAside::UNKNOWN, record });
        }
        let context = Context { receiver: &record.receiver, secrets: Secrets::Trusted, received_at_ms: record.received_at_ms };
        let parsed = self.parser.parse(&mut record.body, &context, self.spare.take());
        if self.parser.memory_bytes() > PARSER_BYTES_MAX {
            self.parser = Parser::default();
        }
        match parsed {
            Ok(Parsed::Post(batch)) => {
                let replayed = record.position < self.counted_before;
                Item::Post { batch, replayed, from_disk: true }
            }
            Ok(Parsed::Unknown { .. }) | Err(_) => {
                tracing::error!(position = %record.position, "a post in the journal is not understood any more; it goes into quarantine whole");
                // The parser works on a copy, and the secret that it blanks is blank already: the body is whole.
                Item::Aside(SetAside { reason: SetAside::UNREADABLE, record })
            }
        }
    }
}

/// A parser that one giant post has swollen over this is not kept.
const PARSER_BYTES_MAX: usize = 8 << 20;
/// A batch larger than this is not kept.
const SPARE_BYTES_MAX: usize = 1 << 20;
