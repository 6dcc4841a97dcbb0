//! The journal: every answered post is in it until a database has its rows.
//!
//! Promises, each with a test:
//!
//! - [`Journal::append`] resolves after the `fdatasync` that covers the record has returned, never before.
//! - A durable record is delivered by a [`Reader`] exactly once per pass, in the order of the positions, through crashes, cut files and
//!   failed syncs. Damage costs the records it touches and no other.
//! - Positions never go back, also when every record has been applied and its file is gone.
//! - Opening never refuses because of damage. What a power cut leaves is cut and counted as torn; other damage is copied into quarantine,
//!   counted, and left out. It does refuse a second process, a wrong key and a newer format, and then touches nothing.
//! - Bodies and receivers stand sealed on disk, under a key of the segment's own that is used with no nonce twice.
//! - The files stay below [`Settings::max_bytes`] and leave [`Settings::free_min_bytes`] to others. When they cannot, appends answer
//!   [`AppendError::Full`] until they can, and the backlog is readable meanwhile.
//!
//! Deliberately absent: timers between a post and its sync, an index on disk, and any write to a file that a former process made, but for
//! the mending of its unfinished end.

mod aside;
pub(crate) mod codec;
pub(crate) mod disk;
mod inspect;
mod keeper;
mod queue;
mod reader;
mod recover;
pub(crate) mod scan;
pub(crate) mod seal;
mod shared;
mod space;
mod tail;
#[cfg(test)]
mod tests;
mod types;
mod writer;

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use aws_lc_rs::rand;
use rustix::fs::{FlockOperation, flock};

pub use inspect::{Damage, HeaderState, Report, SegmentReport, inspect, verify};
pub use reader::Reader;
pub use tail::{Durable, Tail, Taken};
pub use types::{Append, AppendError, Appended, Kind, OpenError, Record, Recovered, State, Status};

use crate::key::Key;
use crate::position::{JournalId, Position};
use disk::Disk;
use queue::Queue;
use recover::Ground;
use shared::{Meters, Shared, Tuning};
use space::{Prepared, Space};
use writer::{Resume, Writer};

/// Where and how large.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The directory of the segments and the lock; made when it is missing.
    pub dir: PathBuf,
    /// Where damaged places are copied to.
    pub quarantine: PathBuf,
    /// Seals the records.
    pub key: Key,
    /// Size of a segment file, at least [`segment_bytes_min`] of `record_bytes_max`.
    pub segment_bytes: u64,
    /// All files together stay below; at least [`max_bytes_min`] of `segment_bytes`.
    pub max_bytes: u64,
    /// A new segment must leave this much free on the file system.
    pub free_min_bytes: u64,
    /// How long an applied record is kept at least, for a database that was set back; shortened when the room is needed.
    pub keep: Duration,
    /// No record is larger, see [`record_bytes`].
    pub record_bytes_max: u64,
    /// Memory that the [`Tail`] may hold.
    pub tail_bytes_max: usize,
    /// The clock: milliseconds since 1970.
    pub now_ms: fn() -> i64,
}

/// Bytes that a record takes beside its body and its receiver's name.
pub const OVERHEAD: u64 = codec::RECORD_BYTES_MIN;

/// Bytes on disk of a record.
#[must_use]
pub const fn record_bytes(body_bytes: usize, receiver_bytes: usize) -> u64 {
    OVERHEAD + body_bytes as u64 + receiver_bytes as u64
}

/// The smallest segment that holds a record of this size.
#[must_use]
pub const fn segment_bytes_min(record_bytes_max: u64) -> u64 {
    codec::BLOCK_BYTES + record_bytes_max
}

/// The smallest limit for all files: the next segment is made before the last one can go.
#[must_use]
pub const fn max_bytes_min(segment_bytes: u64) -> u64 {
    2 * segment_bytes
}

/// Whether a journal stands in this directory. If so its key is needed: with another one its posts could not be read.
#[must_use]
pub fn exists(dir: &Path) -> bool {
    recover::list(dir).is_ok_and(|segments| !segments.is_empty())
}

/// The journal of one data directory. Its methods take `&self`: share it with an `Arc`. Dropping it stops it.
pub struct Journal {
    shared: Arc<Shared>,
    running: Mutex<Option<Running>>,
}

struct Running {
    writer: JoinHandle<()>,
    keeper: JoinHandle<()>,
    /// Held as long as anything may be written.
    _lock: File,
}

impl Journal {
    /// Locks the directory, recovers what is in it, begins a new segment and starts the threads. Blocks on the disk.
    ///
    /// # Errors
    /// When another process has the lock, the key is wrong, the format is newer, or the file system refuses; never because of damage or a
    /// full disk.
    pub fn open(settings: Settings) -> Result<(Self, Recovered), OpenError> {
        Self::open_on(settings, Arc::new(disk::System), Tuning::default())
    }

    pub(crate) fn open_on(settings: Settings, disk: Arc<dyn Disk>, tuning: Tuning) -> Result<(Self, Recovered), OpenError> {
        let failed = |doing, source| OpenError::io(doing, &settings.dir, source);
        disk::create_dir(&settings.dir).map_err(|source| failed("create", source))?;
        disk::create_dir(&settings.quarantine).map_err(|source| OpenError::io("create", &settings.quarantine, source))?;
        let lock = lock(&settings.dir)?;
        let recovery = recover::recover(Ground { settings: &settings, disk: &disk })?;
        for unfinished in [keeper::PREPARED_NAME, writer::UNFINISHED_NAME] {
            let _ = std::fs::remove_file(settings.dir.join(unfinished));
        }
        let id = journal_id(&settings.dir, recovery.id).map_err(|source| failed("write the journal's name in", source))?;
        let meters = Meters::new();
        meters.corrupt.increment(recovery.corrupt);
        meters.torn.increment(recovery.torn);
        let next = recovery.resume.next;
        let space = Space {
            bytes: recovery.segments.iter().map(|segment| segment.bytes).sum(),
            segments: recovery.segments,
            prepared: Prepared::None,
            finishing: Vec::new(),
            next,
            applied: 0,
            condition: State::Ready,
            damaged: recovery.damaged,
            corrupt: recovery.corrupt,
            torn: recovery.torn,
            look: false,
            stopping: false,
        };
        let recovered = Recovered {
            next: Position(next),
            first: Position(space.first()),
            records: space.records(),
            torn: recovery.torn,
            corrupt: recovery.corrupt,
            last_received_ms: (recovery.resume.floor_ns > 0).then(|| writer::milliseconds(recovery.resume.floor_ns)),
        };
        let shared = Arc::new(Shared {
            id,
            disk,
            tuning,
            queue: Queue::new(),
            tail: Tail::new(settings.tail_bytes_max, Position(next)),
            fenced: AtomicBool::new(false),
            meters,
            space: Mutex::new(space),
            keeper: Condvar::new(),
            prepared: Condvar::new(),
            settings,
        });
        let journal = Self::start(shared, recovery.resume, lock)?;
        Ok((journal, recovered))
    }

    fn start(shared: Arc<Shared>, resume: Resume, lock: File) -> Result<Self, OpenError> {
        let dir = shared.settings.dir.clone();
        let failed = |doing| move |source| OpenError::io(doing, &dir, source);
        let writer = Writer::new(Arc::clone(&shared), resume).map_err(failed.clone()("create a segment in"))?;
        shared.measure(&shared.lock());
        let end = End(Arc::clone(&shared));
        let writer = thread::Builder::new().name("journal".to_owned()).spawn(move || {
            let _end = end;
            writer.run();
        });
        let writer = writer.map_err(failed.clone()("start the thread for"))?;
        let keeper = thread::Builder::new().name("journal-keeper".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || keeper::run(&shared)
        });
        let keeper = keeper.map_err(|source| {
            shared.queue.stop();
            failed("start the thread for")(source)
        })?;
        Ok(Self { shared, running: Mutex::new(Some(Running { writer, keeper, _lock: lock })) })
    }

    /// The journal's name: the cursor's key in the store.
    #[must_use]
    pub fn id(&self) -> JournalId {
        self.shared.id
    }

    /// Makes a post durable: resolves after the `fdatasync` that covers it, with its position.
    ///
    /// A future that is dropped while it waits for room leaves nothing behind; one dropped later may leave the post written.
    ///
    /// # Errors
    /// As [`AppendError`] says; nothing of the post is kept then.
    pub async fn append(&self, post: Append) -> Result<Appended, AppendError> {
        let bytes = record_bytes(post.body.len(), post.receiver.len());
        let segment_room = self.shared.settings.segment_bytes.saturating_sub(codec::BLOCK_BYTES);
        if bytes > self.shared.settings.record_bytes_max.min(segment_room) || post.receiver.len() > usize::from(u16::MAX) {
            return Err(AppendError::TooLarge);
        }
        if self.is_fenced() {
            return Err(AppendError::Fenced);
        }
        let answer = self.shared.queue.push(post).await?;
        // The thread answers everything it takes, unless it dies of a defect.
        answer.await.unwrap_or(Err(AppendError::Failed))
    }

    /// The newest records in memory.
    #[must_use]
    pub fn tail(&self) -> &Tail {
        &self.shared.tail
    }

    /// The position of the oldest record that is still here, or the next one when there is none.
    #[must_use]
    pub fn first_position(&self) -> Position {
        Position(self.shared.lock().first())
    }

    /// One consistent view of what is durable.
    #[must_use]
    pub fn durable(&self) -> Durable {
        self.shared.tail.durable()
    }

    /// Reads durable records from a position on, or from the oldest one when that one is gone.
    #[must_use]
    pub fn reader(&self, from: Position) -> Reader {
        Reader::new(Arc::clone(&self.shared), from)
    }

    /// Tells the store's cursor: everything before `next` is applied, and its segments may go when their time is over. A store that was set
    /// back takes its cursor back with it.
    pub fn applied(&self, next: Position) {
        self.shared.applied(next.0);
    }

    /// The cursor as it was told last; 0 when it was not.
    #[must_use]
    pub fn applied_position(&self) -> Position {
        Position(self.shared.lock().applied)
    }

    /// From now on no post is taken: another process writes a copy of this journal.
    pub fn fence(&self) {
        if !self.shared.fenced.swap(true, Ordering::AcqRel) {
            let space = self.shared.lock();
            let unapplied = space.next.saturating_sub(space.applied.max(1));
            tracing::error!(next = space.next, unapplied, "journal is fenced: posts are refused; the unapplied ones stay in it");
        }
    }

    /// How it stands.
    #[must_use]
    pub fn status(&self) -> Status {
        let space = self.shared.lock();
        Status {
            bytes: space.bytes,
            records: space.records(),
            oldest_received_ms: space.oldest_received_ms(),
            next: space.next(),
            state: if self.is_fenced() { State::Fenced } else { space.condition },
            corrupt: space.corrupt,
            torn: space.torn,
        }
    }

    /// Takes no more posts, syncs and answers those it has, ends the threads and gives the lock back. Blocks; the second call does nothing.
    /// Readers and the tail go on giving what is durable.
    pub fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(running) = running else { return };
        self.shared.queue.stop();
        let _ = running.writer.join();
        self.shared.lock().stopping = true;
        self.shared.keeper.notify_one();
        let _ = running.keeper.join();
    }

    fn is_fenced(&self) -> bool {
        self.shared.fenced.load(Ordering::Acquire)
    }

    /// One round of the keeper, now, with all that it asks the journal's thread to do.
    #[cfg(test)]
    pub(crate) fn tend(&self) {
        keeper::tend(&self.shared);
        self.settle();
    }

    /// Waits until the journal's thread has done all it was asked.
    #[cfg(test)]
    pub(crate) fn settle(&self) {
        while !self.shared.queue.is_idle() {
            thread::yield_now();
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ends the queue and the tail with the journal's thread, however that ends: nobody waits for a thread that is gone.
struct End(Arc<Shared>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.queue.stop();
        self.0.queue.take(&mut VecDeque::new());
        self.0.tail.stop();
        if thread::panicking() {
            self.0.set_condition(&mut self.0.lock(), State::Failed);
        }
    }
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = disk::create_file(&path).map_err(|source| OpenError::io("create", &path, source))?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { path }),
        Err(errno) => Err(OpenError::io("lock", &path, errno.into())),
    }
}

/// The journal's name. The segments tell it; without any segment it is a new journal, whose positions begin anew, and so it gets a new
/// name: a cursor that knows the old one must not skip its posts.
fn journal_id(dir: &Path, told: Option<JournalId>) -> io::Result<JournalId> {
    let id = match told {
        Some(id) => id,
        None => {
            let mut bytes = [0; 16];
            rand::fill(&mut bytes).map_err(|_| io::Error::other("the system gives no random bytes"))?;
            JournalId(bytes)
        }
    };
    let text = format!("{id}\n");
    if std::fs::read(dir.join(ID_NAME)).ok().as_deref() != Some(text.as_bytes()) {
        disk::write_durably(dir, ID_NAME, text.as_bytes())?;
    }
    Ok(id)
}

/// Holds the journal's name for people and tools; the segments' headers are what counts.
const ID_NAME: &str = "journal.id";
