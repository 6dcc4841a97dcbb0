//! Reads records back from disk, each verified again: what does not verify goes to quarantine, never to the store.

use std::fs::File;
use std::io;
use std::sync::Arc;

use super::codec::{BLOCK_BYTES, HeaderRead, KIND_POST, KIND_VOID, SegmentHeader};
use super::scan::{Found, Scanner, Step, read_block};
use super::seal::SegmentKey;
use super::shared::Shared;
use super::space::View;
use super::writer::milliseconds;
use super::{Kind, Record};
use crate::position::Position;

/// Reads durable records in the order of their positions, with file handles of its own, while the journal goes on. All its calls block.
///
/// A place that is damaged is copied into quarantine, counted once and passed over: positions may be missing, none comes twice. Keep one
/// reader and [`seek`](Reader::seek) it: going on where it stopped costs nothing.
pub struct Reader {
    shared: Arc<Shared>,
    next: u64,
    current: Option<Current>,
    /// The name of the last record's receiver, which is most often the next one's too.
    receiver: Arc<str>,
}

struct Current {
    scanner: Scanner,
    key: SegmentKey,
    view: View,
    /// Counts what was met since the segment's start, to notice records that are missing without a trace.
    met: Option<u64>,
}

enum Progress {
    Delivered(Record),
    Again,
    Wait,
}

impl Reader {
    pub(crate) fn new(shared: Arc<Shared>, from: Position) -> Self {
        Self { shared, next: from.0, current: None, receiver: Arc::from("") }
    }

    /// Goes on at a position.
    pub fn seek(&mut self, next: Position) {
        if next.0 != self.next {
            self.current = None;
        }
        self.next = next.0;
    }

    /// The position of the next record at the earliest. After `None` everything before it has been delivered or is not there.
    #[must_use]
    pub fn position(&self) -> Position {
        Position(self.next)
    }

    /// The next record, or `None` when everything durable has been read; more may come.
    ///
    /// # Errors
    /// When a file cannot be opened or read. Damage is no error.
    #[expect(clippy::should_implement_trait, reason = "no iterator: after `None` more may come")]
    pub fn next(&mut self) -> io::Result<Option<Record>> {
        self.next_before(Position(u64::MAX))
    }

    /// The next record before `until`, or `None` when there is none; [`position`](Reader::position) is then `until`, or less when
    /// not all before it is durable.
    ///
    /// # Errors
    /// When a file cannot be opened or read. Damage is no error.
    pub fn next_before(&mut self, until: Position) -> io::Result<Option<Record>> {
        loop {
            if self.next >= until.0 || !self.enter()? {
                return Ok(None);
            }
            match self.advance(until.0)? {
                Progress::Delivered(record) => return Ok(Some(record)),
                Progress::Again => {}
                Progress::Wait => return Ok(None),
            }
        }
    }

    /// Opens the segment of the next position; `false` when that position is not durable yet.
    fn enter(&mut self) -> io::Result<bool> {
        if self.current.is_some() {
            return Ok(true);
        }
        loop {
            let Some(view) = self.shared.lock().locate(self.next) else { return Ok(false) };
            let file = match File::open(&view.path) {
                Ok(file) => file,
                // Dropped or replaced between the look and the call.
                Err(error) if error.kind() == io::ErrorKind::NotFound && !self.is_still(&view) => continue,
                Err(error) => return Err(error),
            };
            let block = read_block(&*self.shared.disk, &file)?;
            let HeaderRead::Valid { header, damaged } = SegmentHeader::decode(&block, view.base) else {
                self.shared.note_damage(&file, view.number, view.base, 0, view.used);
                self.next = view.end;
                continue;
            };
            if header.number != view.number && !self.is_still(&view) {
                continue;
            }
            if damaged {
                self.shared.note_damage(&file, view.number, view.base, 0, BLOCK_BYTES);
            }
            let mut scanner = Scanner::new(&self.shared.disk, file, &header, view.used);
            let (position, offset) = view.start;
            scanner.start_at(offset, position);
            let key = SegmentKey::new(&self.shared.settings.key, &header.salt)?;
            let met = (offset == BLOCK_BYTES).then_some(0);
            self.current = Some(Current { scanner, key, view, met });
            return Ok(true);
        }
    }

    fn is_still(&self, view: &View) -> bool {
        self.shared.lock().view_of(view.number).is_some()
    }

    fn advance(&mut self, until: u64) -> io::Result<Progress> {
        let Some(current) = &mut self.current else { return Ok(Progress::Again) };
        match current.scanner.step()? {
            Step::Record(found) => self.record(&found, until),
            Step::Damage { offset, bytes } => {
                self.damage(offset, bytes);
                Ok(Progress::Again)
            }
            Step::Tail { offset, bytes } => {
                self.damage(offset, bytes);
                Ok(self.end_of_segment())
            }
            Step::End => Ok(self.end_of_segment()),
        }
    }

    fn record(&mut self, found: &Found, until: u64) -> io::Result<Progress> {
        let Some(current) = &mut self.current else { return Ok(Progress::Again) };
        if found.head.position >= current.view.end {
            // What a failed commit left behind; the same positions stand in the next segment.
            return Ok(self.end_of_segment());
        }
        if found.head.position >= until {
            current.scanner.step_back(found);
            self.next = until;
            return Ok(Progress::Wait);
        }
        if found.head.kind == KIND_VOID {
            self.next = self.next.max(found.head.end());
            return Ok(Progress::Again);
        }
        current.met = current.met.map(|met| met + 1);
        if found.head.position < self.next {
            return Ok(Progress::Again);
        }
        let kind = if found.head.kind == KIND_POST { Kind::Post } else { Kind::Unknown };
        let Some((receiver, body)) = current.key.open_record(found.head.position, current.scanner.record(found)) else {
            self.damage(found.offset, found.head.total_bytes());
            return Ok(Progress::Again);
        };
        if &*self.receiver != receiver {
            self.receiver = Arc::from(receiver);
        }
        self.next = found.head.position + 1;
        Ok(Progress::Delivered(Record {
            position: Position(found.head.position),
            kind,
            receiver: Arc::clone(&self.receiver),
            received_at_ms: milliseconds(found.head.received_ns),
            body: body.to_vec(),
        }))
    }

    fn damage(&mut self, offset: u64, bytes: u64) {
        let Some(current) = &mut self.current else { return };
        // Past the last record there is nothing to lose: a failed commit leaves anything there.
        if current.scanner.expected() < current.view.end {
            current.met = None;
            self.shared.note_damage(current.scanner.file(), current.view.number, current.view.base, offset, bytes);
        }
    }

    /// Looks whether the segment has grown or another follows.
    fn end_of_segment(&mut self) -> Progress {
        let Some(current) = &mut self.current else { return Progress::Again };
        let space = self.shared.lock();
        let Some(view) = space.view_of(current.view.number) else {
            drop(space);
            self.next = self.next.max(current.view.end);
            self.current = None;
            return Progress::Again;
        };
        drop(space);
        current.view.end = view.end;
        if view.used > current.scanner.limit() {
            current.scanner.extend(view.used);
            let (offset, expected) = (current.scanner.offset(), current.scanner.expected());
            current.scanner.start_at(offset, expected);
            return Progress::Again;
        }
        if !view.followed {
            self.next = self.next.max(view.end);
            return Progress::Wait;
        }
        if let (Some(met), Some(records)) = (current.met, view.records)
            && met < records
        {
            self.shared.note_damage(current.scanner.file(), view.number, view.base, u64::MAX, 0);
        }
        self.next = self.next.max(view.end);
        self.current = None;
        Progress::Again
    }
}
