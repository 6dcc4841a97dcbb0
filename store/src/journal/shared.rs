//! What the journal's threads, its readers and its callers share.

use std::fs::{self, File};
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram};

use super::aside::copy_aside;
use super::disk::Disk;
use super::keeper::PREPARED_NAME;
use super::queue::{Errands, Queue};
use super::space::{Prepared, Segment, Space};
use super::tail::Tail;
use super::writer::UNFINISHED_NAME;
use super::{Settings, State};
use crate::metrics as names;
use crate::position::JournalId;

pub(crate) struct Shared {
    pub(crate) settings: Settings,
    pub(crate) id: JournalId,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) tuning: Tuning,
    pub(crate) queue: Queue,
    pub(crate) tail: Tail,
    pub(crate) fenced: AtomicBool,
    pub(crate) meters: Meters,
    pub(crate) space: Mutex<Space>,
    /// Wakes the keeper.
    pub(crate) keeper: Condvar,
    /// Tells that the keeper has made a segment ready, or has given up.
    pub(crate) prepared: Condvar,
}

/// What only tests set otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Tuning {
    /// After a failure a new segment is tried at most this often.
    pub(crate) retry: Duration,
    /// How often the keeper looks; `None` when only a test makes it look.
    pub(crate) tick: Option<Duration>,
    /// A group is written in one piece of at most this many bytes, unless one record is larger.
    pub(crate) group_bytes_max: u64,
}

impl Default for Tuning {
    fn default() -> Self {
        Self { retry: Duration::from_secs(1), tick: Some(Duration::from_secs(1)), group_bytes_max: 8 * 1024 * 1024 }
    }
}

/// Where a new segment's file comes from.
pub(crate) enum Claim {
    /// The keeper has made it.
    Prepared(File),
    /// It must be made; its bytes are counted already.
    Room,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Space> {
        self.space.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file for a new segment under [`UNFINISHED_NAME`], or room for it, or `None` when there is no room. Drops passed segments before
    /// their time when that makes the room.
    pub(crate) fn claim_segment(&self) -> io::Result<Option<Claim>> {
        let mut space = self.lock();
        loop {
            match std::mem::replace(&mut space.prepared, Prepared::None) {
                // Renamed under the lock: the keeper may make the next file under the old name at once.
                Prepared::Ready(file) => match fs::rename(self.settings.dir.join(PREPARED_NAME), self.settings.dir.join(UNFINISHED_NAME)) {
                    Ok(()) => return Ok(Some(Claim::Prepared(file))),
                    Err(error) => {
                        space.bytes = space.bytes.saturating_sub(self.settings.segment_bytes);
                        return Err(error);
                    }
                },
                unready => space.prepared = unready,
            }
            if self.make_room(&mut space) {
                space.bytes += self.settings.segment_bytes;
                return Ok(Some(Claim::Room));
            }
            if !matches!(space.prepared, Prepared::Making) {
                return Ok(None);
            }
            // The room is taken by the very file that is wanted: it will be ready in a moment.
            space = self.prepared.wait(space).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives back what a claim took.
    pub(crate) fn release_segment(&self) {
        let mut space = self.lock();
        space.bytes = space.bytes.saturating_sub(self.settings.segment_bytes);
    }

    /// Whether one more segment fits below both limits, after dropping what may go.
    pub(crate) fn make_room(&self, space: &mut Space) -> bool {
        let need = self.settings.segment_bytes;
        let free_least = self.settings.free_min_bytes.saturating_add(need);
        loop {
            // A file system that does not tell is asked by writing to it.
            let free = self.disk.free_bytes(&self.settings.dir).unwrap_or(u64::MAX);
            if space.bytes.saturating_add(need) <= self.settings.max_bytes && free >= free_least {
                return true;
            }
            let Some(segment) = space.pop_passed((self.settings.now_ms)(), self.settings.keep, true) else { return false };
            remove(&segment);
        }
    }

    /// Says what the journal can do, with one log line per change.
    pub(crate) fn set_condition(&self, space: &mut Space, condition: State) {
        if space.condition == condition {
            return;
        }
        space.condition = condition;
        match condition {
            State::Ready => tracing::info!(next = space.next, "journal takes posts again"),
            State::Full => tracing::warn!(
                bytes = space.bytes,
                bytes_max = self.settings.max_bytes,
                free_bytes_min = self.settings.free_min_bytes,
                applied = space.applied,
                next = space.next,
                "journal is full: posts are refused until the store catches up or the disk has room; the keys are journal.max and journal.free_min"
            ),
            State::Failed | State::Fenced => tracing::error!(next = space.next, "journal cannot write: posts are refused"),
        }
    }

    /// Counts a damaged place once and copies its bytes aside.
    pub(crate) fn note_damage(&self, segment: &File, number: u64, base: u64, offset: u64, bytes: u64) {
        {
            let mut space = self.lock();
            if !space.damaged.insert((number, offset)) {
                return;
            }
            space.corrupt += 1;
        }
        self.meters.corrupt.increment(1);
        tracing::error!(segment = base, offset, bytes, "journal is damaged: the place is set aside and left out");
        if bytes > 0
            && let Err(error) = copy_aside(&*self.disk, &self.settings.quarantine, segment, base, offset, bytes)
        {
            tracing::error!(segment = base, offset, error = %error, "copy a damaged place of the journal aside");
        }
    }

    /// Wakes the keeper.
    pub(crate) fn ask_keeper(&self, space: &mut Space) {
        if self.tuning.tick.is_some() {
            space.look = true;
            self.keeper.notify_one();
        }
    }

    /// Sets the cursor, also back, and lets go what it has passed.
    pub(crate) fn applied(&self, next: u64) {
        let mut space = self.lock();
        space.applied = next;
        let passed = space.segments.front().is_some_and(|oldest| oldest.finished && oldest.end <= next);
        if passed {
            self.ask_keeper(&mut space);
        }
        let full = passed && space.condition == State::Full;
        drop(space);
        if full {
            self.queue.ask(Errands { retry: true, rotate: false });
        }
    }

    /// Sets the gauges.
    pub(crate) fn measure(&self, space: &Space) {
        self.meters.bytes.set(space.bytes as f64);
        self.meters.records.set(space.records() as f64);
    }
}

/// Deletes a segment's file. What cannot be deleted comes back at the next start and is tried again.
pub(crate) fn remove(segment: &Segment) {
    if let Err(error) = fs::remove_file(&segment.path)
        && error.kind() != io::ErrorKind::NotFound
    {
        tracing::warn!(segment = segment.base, error = %error, "delete a passed segment of the journal");
    }
}

/// The metrics, registered once.
pub(crate) struct Meters {
    pub(crate) bytes: Gauge,
    pub(crate) records: Gauge,
    pub(crate) fsync_seconds: Histogram,
    pub(crate) group_records: Histogram,
    pub(crate) corrupt: Counter,
    pub(crate) torn: Counter,
    pub(crate) fsync_errors: Counter,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            bytes: metrics::gauge!(names::JOURNAL_BYTES),
            records: metrics::gauge!(names::JOURNAL_RECORDS),
            fsync_seconds: metrics::histogram!(names::JOURNAL_FSYNC_SECONDS),
            group_records: metrics::histogram!(names::JOURNAL_GROUP_RECORDS),
            corrupt: metrics::counter!(names::JOURNAL_CORRUPT_TOTAL),
            torn: metrics::counter!(names::JOURNAL_TORN_TAIL_TOTAL),
            fsync_errors: metrics::counter!(names::JOURNAL_FSYNC_ERRORS_TOTAL),
        }
    }
}
