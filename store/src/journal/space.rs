//! The set of segments: which there are, what they hold, what they take on disk, and which may go.

use std::collections::{HashSet, VecDeque};
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::State;
use super::codec::BLOCK_BYTES;
use crate::position::Position;

/// A segment file.
pub(crate) struct Segment {
    pub(crate) number: u64,
    /// Its first position, and its name.
    pub(crate) base: u64,
    /// The position after its last record; where the next segment begins.
    pub(crate) end: u64,
    pub(crate) path: PathBuf,
    /// What it takes on disk.
    pub(crate) bytes: u64,
    /// Durable bytes: a reader goes no further.
    pub(crate) used: u64,
    pub(crate) records: u64,
    /// Whether `records` is known to be right, so that a missing one is noticed.
    pub(crate) records_known: bool,
    pub(crate) created_at_ms: i64,
    pub(crate) first_received_ms: i64,
    pub(crate) last_received_ms: i64,
    /// Nothing will be written to it any more.
    pub(crate) finished: bool,
    /// Where some positions stand, in order, so that a reader need not walk from the start.
    pub(crate) index: Vec<(u64, u64)>,
}

/// The next segment's file, made ready beforehand.
pub(crate) enum Prepared {
    None,
    Making,
    Ready(File),
}

/// A segment that is to be cut to what it holds.
pub(crate) struct Finish {
    pub(crate) file: File,
    pub(crate) number: u64,
    pub(crate) used: u64,
}

/// What a reader needs of the segment it is in.
pub(crate) struct View {
    pub(crate) number: u64,
    pub(crate) base: u64,
    pub(crate) path: PathBuf,
    /// A known place at or before the position asked for.
    pub(crate) start: (u64, u64),
    /// Read no further than this offset.
    pub(crate) used: u64,
    /// Positions from here on belong to a later segment or are not durable.
    pub(crate) end: u64,
    /// Whether there is a later segment.
    pub(crate) followed: bool,
    /// How many records it holds, when that is known for certain.
    pub(crate) records: Option<u64>,
}

pub(crate) struct Space {
    pub(crate) segments: VecDeque<Segment>,
    /// What all files take on disk, those being made included.
    pub(crate) bytes: u64,
    pub(crate) prepared: Prepared,
    pub(crate) finishing: Vec<Finish>,
    /// The position after the last durable record.
    pub(crate) next: u64,
    /// Everything before it is in the store.
    pub(crate) applied: u64,
    pub(crate) condition: State,
    /// Damaged places that are counted already, by segment number and offset.
    pub(crate) damaged: HashSet<(u64, u64)>,
    pub(crate) corrupt: u64,
    pub(crate) torn: u64,
    /// The keeper is to look again at once.
    pub(crate) look: bool,
    pub(crate) stopping: bool,
}

impl Space {
    /// The position of the oldest record, or the next one when there is none.
    pub(crate) fn first(&self) -> u64 {
        self.oldest().map_or(self.next, |segment| segment.base)
    }

    /// When the oldest record was received.
    pub(crate) fn oldest_received_ms(&self) -> Option<i64> {
        self.oldest().map(|segment| segment.first_received_ms)
    }

    fn oldest(&self) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.records > 0)
    }

    pub(crate) fn records(&self) -> u64 {
        self.segments.iter().map(|segment| segment.records).sum()
    }

    /// The segment that holds a durable position, or the first one after it when that one is gone; `None` when it is not durable yet.
    pub(crate) fn locate(&self, from: u64) -> Option<View> {
        if from >= self.next {
            return None;
        }
        let mut at = self.segments.partition_point(|segment| segment.base <= from).saturating_sub(1);
        while at + 1 < self.segments.len() && self.segments[at].end <= from {
            at += 1;
        }
        self.view(at, from)
    }

    /// The same segment again, to see how far it has grown.
    pub(crate) fn view_of(&self, number: u64) -> Option<View> {
        let at = self.segments.iter().position(|segment| segment.number == number)?;
        self.view(at, self.segments[at].base)
    }

    fn view(&self, at: usize, from: u64) -> Option<View> {
        let segment = self.segments.get(at)?;
        let known = segment.index.partition_point(|(position, _)| *position <= from).checked_sub(1);
        Some(View {
            number: segment.number,
            base: segment.base,
            path: segment.path.clone(),
            start: known.map_or((segment.base, BLOCK_BYTES), |at| segment.index[at]),
            used: segment.used,
            end: segment.end,
            followed: at + 1 < self.segments.len(),
            records: (segment.finished && segment.records_known).then_some(segment.records),
        })
    }

    /// Adds the segment that is written from now on. An empty one of the same name has been replaced by it.
    pub(crate) fn push(&mut self, segment: Segment) {
        if let Some(last) = self.segments.back_mut() {
            last.finished = true;
            if last.base == segment.base {
                self.bytes = self.bytes.saturating_sub(last.bytes);
                self.segments.pop_back();
            }
        }
        self.segments.push_back(segment);
    }

    /// What changes when a group is durable in the newest segment.
    pub(crate) fn extend(&mut self, group: &Group) {
        let Some(segment) = self.segments.back_mut() else { return };
        let indexed = segment.index.last().map_or(BLOCK_BYTES, |(_, offset)| *offset);
        if segment.used >= indexed + INDEX_STEP_BYTES {
            segment.index.push((segment.end, segment.used));
        }
        if segment.records == 0 {
            segment.first_received_ms = group.first_received_ms;
        }
        segment.used += group.bytes;
        segment.bytes = segment.bytes.max(segment.used);
        segment.end += group.records;
        segment.records += group.records;
        segment.last_received_ms = group.last_received_ms;
        self.next = segment.end;
    }

    /// Notes that a finished segment was cut to `used` bytes.
    pub(crate) fn cut(&mut self, number: u64, used: u64) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.number == number) {
            self.bytes = self.bytes.saturating_sub(segment.bytes.saturating_sub(used));
            segment.bytes = used;
        }
    }

    /// Takes the oldest segment out of the set when it may go: the cursor has passed it and its `keep` time is over, which does not
    /// count when the room is `needed`. The newest stays always: it tells the next position.
    pub(crate) fn pop_passed(&mut self, now_ms: i64, keep: Duration, needed: bool) -> Option<Segment> {
        let oldest = self.segments.front()?;
        let keep_ms = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX);
        let over = needed || oldest.records == 0 || oldest.last_received_ms.saturating_add(keep_ms) <= now_ms;
        if self.segments.len() < 2 || !oldest.finished || oldest.end > self.applied || !over {
            return None;
        }
        let segment = self.segments.pop_front()?;
        self.bytes = self.bytes.saturating_sub(segment.bytes);
        self.damaged.retain(|(number, _)| *number != segment.number);
        Some(segment)
    }

    /// The position of the next record.
    pub(crate) fn next(&self) -> Position {
        Position(self.next)
    }
}

/// A group that has become durable.
pub(crate) struct Group {
    pub(crate) bytes: u64,
    pub(crate) records: u64,
    pub(crate) first_received_ms: i64,
    pub(crate) last_received_ms: i64,
}

/// At most this many bytes of a segment are walked to find a position.
const INDEX_STEP_BYTES: u64 = 256 * 1024;
