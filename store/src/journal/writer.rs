//! The journal's thread: it alone writes, syncs and answers.
//!
//! What waits when a sync returns is the next group: it is sealed into one buffer, written in one piece and synced once. After a failed
//! write or sync the file is never synced again, since the kernel tells such an error once and then takes the pages for clean: the group,
//! which nobody was answered for, is written to a new segment instead.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::codec::{BLOCK_BYTES, KIND_POST, KIND_UNKNOWN, RecordHead, SegmentHeader};
use super::keeper;
use super::queue::{Errands, Job};
use super::seal::SegmentKey;
use super::shared::{Claim, Shared};
use super::space::{Finish, Group, Segment};
use super::tail::Durable;
use super::{AppendError, Appended, Kind, State, disk, record_bytes};
use crate::position::Position;

pub(crate) struct Writer {
    shared: Arc<Shared>,
    active: Option<Active>,
    /// The position of the next record.
    next: u64,
    /// The latest received time written: none goes below.
    floor_ns: u64,
    /// Records the journal was ever given.
    records: u64,
    /// Of the newest segment.
    number: u64,
    buffer: Vec<u8>,
    /// When a new segment was last tried, and why it was not made.
    attempted: Option<(Instant, AppendError)>,
    /// Unreadable files that go once a new segment tells the next position.
    leftovers: Vec<PathBuf>,
    durable: Durable,
}

struct Active {
    file: File,
    key: SegmentKey,
    number: u64,
    used: u64,
    base: u64,
}

/// Where the writer goes on.
pub(crate) struct Resume {
    pub(crate) next: u64,
    pub(crate) floor_ns: u64,
    pub(crate) records: u64,
    pub(crate) number: u64,
    pub(crate) leftovers: Vec<PathBuf>,
}

impl Writer {
    /// Makes the first segment. No room for it is no error: the journal starts full.
    pub(crate) fn new(shared: Arc<Shared>, resume: Resume) -> io::Result<Self> {
        let durable = shared.tail.durable();
        let mut writer = Self {
            shared,
            active: None,
            next: resume.next,
            floor_ns: resume.floor_ns,
            records: resume.records,
            number: resume.number,
            buffer: Vec::new(),
            attempted: None,
            leftovers: resume.leftovers,
            durable,
        };
        if let Err(refusal) = writer.try_segment()? {
            writer.refuse_from_now(refusal);
        }
        Ok(writer)
    }

    /// Runs until the queue is stopped and empty.
    pub(crate) fn run(mut self) {
        let mut jobs = VecDeque::new();
        loop {
            let taken = self.shared.queue.take(&mut jobs);
            self.run_errands(taken.errands);
            self.commit_all(&mut jobs);
            if taken.stopped {
                break;
            }
        }
        self.finish();
    }

    fn run_errands(&mut self, errands: Errands) {
        if errands.retry && self.shared.lock().condition != State::Ready {
            let _ = self.replace_segment();
        }
        if errands.rotate && self.active.as_ref().is_some_and(|active| active.used > BLOCK_BYTES) {
            // Without room the old one simply goes on.
            let _ = self.try_segment();
        }
    }

    fn commit_all(&mut self, jobs: &mut VecDeque<Job>) {
        while !jobs.is_empty() {
            let mut count = self.fitting(jobs);
            if count == 0 {
                if let Err(refusal) = self.replace_segment_at_most_so_often() {
                    refuse(jobs.drain(..), refusal);
                    return;
                }
                count = self.fitting(jobs);
                if count == 0 {
                    refuse(jobs.drain(..1), AppendError::TooLarge);
                    continue;
                }
            }
            match self.commit(jobs, count) {
                Ok(()) => self.publish(jobs, count),
                Err(refusal) => refuse(jobs.drain(..count), refusal),
            }
        }
    }

    /// How many of the jobs in front make one group in the active segment.
    fn fitting(&self, jobs: &VecDeque<Job>) -> usize {
        let Some(active) = &self.active else { return 0 };
        let room = self.shared.settings.segment_bytes.saturating_sub(active.used);
        let mut bytes = 0;
        jobs.iter()
            .take(GROUP_RECORDS_MAX)
            .take_while(|job| {
                let first = bytes == 0;
                bytes += record_bytes(job.post.body.len(), job.post.receiver.len());
                bytes <= room && (first || bytes <= self.shared.tuning.group_bytes_max)
            })
            .count()
    }

    /// Writes and syncs one group, to a new segment when the active one fails.
    fn commit(&mut self, jobs: &mut VecDeque<Job>, count: usize) -> Result<(), AppendError> {
        let Err(error) = self.write(jobs, count) else { return Ok(()) };
        self.abandon(&error);
        self.replace_segment()?;
        self.write(jobs, count).map_err(|error| {
            self.abandon(&error);
            let refusal = refusal_of(&error);
            self.attempted = Some((Instant::now(), refusal));
            self.refuse_from_now(refusal);
            refusal
        })
    }

    fn write(&mut self, jobs: &mut VecDeque<Job>, count: usize) -> io::Result<()> {
        let Some(active) = &self.active else { return Err(io::Error::other("no segment to write to")) };
        self.buffer.clear();
        let mut received_ns = self.floor_ns;
        for (in_group, job) in (0..=u16::MAX).zip(jobs.iter_mut().take(count)) {
            received_ns = received_ns.max(nanoseconds(job.post.received_at_ms));
            job.received_ns = received_ns;
            let kind = match job.post.kind {
                Kind::Post => KIND_POST,
                Kind::Unknown => KIND_UNKNOWN,
            };
            let position = self.next + u64::from(in_group);
            let head = RecordHead { sealed_bytes: 0, position, received_ns, kind, in_group };
            active.key.push_record(&mut self.buffer, position, head, &job.post.receiver, &job.post.body)?;
        }
        self.shared.disk.write_at(&active.file, &self.buffer, active.used)?;
        let started = Instant::now();
        self.shared.disk.sync_data(&active.file)?;
        self.shared.meters.fsync_seconds.record(started.elapsed());
        // A sync of a file that has lost its name succeeds, and keeps nothing.
        if active.file.metadata()?.nlink() == 0 {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the segment's file was deleted"));
        }
        Ok(())
    }

    /// Makes a durable group known, in this order: to readers, to the tail, to those who wait.
    fn publish(&mut self, jobs: &mut VecDeque<Job>, count: usize) {
        let Some(active) = &mut self.active else { return };
        let bytes = self.buffer.len() as u64;
        active.used += bytes;
        let first = self.next;
        let (first_ns, last_ns) = (jobs[0].received_ns, jobs[count - 1].received_ns);
        self.next += count as u64;
        self.records += count as u64;
        self.floor_ns = last_ns;
        {
            let group = Group { bytes, records: count as u64, first_received_ms: milliseconds(first_ns), last_received_ms: milliseconds(last_ns) };
            let mut space = self.shared.lock();
            let quarter = self.shared.settings.segment_bytes / 4;
            if active.used >= quarter && active.used - bytes < quarter {
                self.shared.ask_keeper(&mut space);
            }
            space.extend(&group);
            self.shared.measure(&space);
        }
        let mut batches = Vec::with_capacity(count);
        for (position, job) in (first..).zip(jobs.iter_mut().take(count)) {
            let batch = job.post.batch.take();
            self.durable.observations += batch.as_ref().map_or(0, |batch| batch.told());
            match (job.post.kind, batch) {
                (Kind::Unknown, _) => self.durable.unknown += 1,
                (Kind::Post, Some(mut batch)) => {
                    batch.received_at_ms = milliseconds(job.received_ns);
                    batches.push((Position(position), batch));
                }
                (Kind::Post, None) => {}
            }
        }
        self.durable.next = Position(self.next);
        self.durable.records += count as u64;
        self.shared.tail.publish(self.durable, batches.into_iter());
        for (position, job) in (first..).zip(jobs.drain(..count)) {
            drop(job.post.held);
            // Nobody waits any more when the request was given up; the post stays written.
            let _ = job.done.send(Ok(Appended { position: Position(position), body: job.post.body }));
        }
        self.shared.meters.group_records.record(count as f64);
        let kept = self.shared.tuning.group_bytes_max as usize;
        if self.buffer.capacity() > 2 * kept {
            self.buffer = Vec::new();
        }
    }

    /// A new segment, but after a failure only now and then: a full or broken disk is not hammered by each post.
    fn replace_segment_at_most_so_often(&mut self) -> Result<(), AppendError> {
        match self.attempted {
            Some((at, refusal)) if at.elapsed() < self.shared.tuning.retry => Err(refusal),
            _ => self.replace_segment(),
        }
    }

    fn replace_segment(&mut self) -> Result<(), AppendError> {
        let refusal = match self.try_segment() {
            Ok(Ok(())) => {
                let shared = Arc::clone(&self.shared);
                shared.set_condition(&mut shared.lock(), State::Ready);
                return Ok(());
            }
            Ok(Err(refusal)) => refusal,
            Err(error) => {
                self.shared.meters.fsync_errors.increment(1);
                tracing::error!(error = %error, "make a new segment of the journal");
                AppendError::Failed
            }
        };
        self.attempted = Some((Instant::now(), refusal));
        self.refuse_from_now(refusal);
        Err(refusal)
    }

    fn refuse_from_now(&self, refusal: AppendError) {
        let condition = if refusal == AppendError::Full { State::Full } else { State::Failed };
        self.shared.set_condition(&mut self.shared.lock(), condition);
    }

    /// Makes the next segment and makes it the active one. The inner result tells that there is no room, the outer one that the disk fails.
    fn try_segment(&mut self) -> io::Result<Result<(), AppendError>> {
        let Some(claim) = self.shared.claim_segment()? else { return Ok(Err(AppendError::Full)) };
        match self.make_segment(claim) {
            Ok((active, segment)) => {
                let mut space = self.shared.lock();
                if let Some(old) = self.active.replace(active)
                    && old.base != segment.base
                {
                    space.finishing.push(Finish { file: old.file, number: old.number, used: old.used });
                }
                // The new one may have taken the name, and so the place, of one that could not be read.
                self.leftovers.retain(|leftover| *leftover != segment.path);
                self.number = segment.number;
                space.push(segment);
                self.shared.ask_keeper(&mut space);
                drop(space);
                self.attempted = None;
                for leftover in self.leftovers.drain(..) {
                    let _ = fs::remove_file(leftover);
                }
                Ok(Ok(()))
            }
            Err(error) => {
                self.shared.release_segment();
                let _ = fs::remove_file(self.shared.settings.dir.join(UNFINISHED_NAME));
                if disk::is_full(&error) { Ok(Err(AppendError::Full)) } else { Err(error) }
            }
        }
    }

    /// The order matters: the file is whole and durable before it has its name, and the name is durable before the first record.
    fn make_segment(&self, claim: Claim) -> io::Result<(Active, Segment)> {
        let settings = &self.shared.settings;
        let unfinished = settings.dir.join(UNFINISHED_NAME);
        let file = match claim {
            Claim::Prepared(file) => file,
            Claim::Room => {
                let file = disk::create_file(&unfinished)?;
                self.shared.disk.allocate(&file, settings.segment_bytes)?;
                file
            }
        };
        let salt = SegmentKey::random_salt()?;
        let header = SegmentHeader {
            journal: self.shared.id,
            number: self.number + 1,
            base: self.next,
            created_at_ms: (settings.now_ms)(),
            received_floor_ns: self.floor_ns,
            records_before: self.records,
            salt,
            key_check: SegmentKey::check(&settings.key, &salt),
        };
        let path = settings.dir.join(SegmentHeader::file_name(header.base));
        self.shared.disk.write_at(&file, &header.encode(), 0)?;
        self.shared.disk.sync_all(&file)?;
        if self.shared.lock().condition != State::Ready {
            // The trouble is over only when the sync that posts take works too: until then there is no segment, and it stays.
            self.shared.disk.sync_data(&file)?;
        }
        fs::rename(&unfinished, &path)?;
        self.shared.disk.sync_dir(&settings.dir)?;
        let active = Active { file, key: SegmentKey::new(&settings.key, &salt)?, number: header.number, used: BLOCK_BYTES, base: header.base };
        let floor_ms = milliseconds(header.received_floor_ns);
        let segment = Segment {
            number: header.number,
            base: header.base,
            end: header.base,
            path,
            bytes: settings.segment_bytes,
            used: BLOCK_BYTES,
            records: 0,
            records_known: true,
            created_at_ms: header.created_at_ms,
            first_received_ms: floor_ms,
            last_received_ms: floor_ms,
            finished: false,
            index: Vec::new(),
        };
        Ok((active, segment))
    }

    /// Gives up the active segment for ever. What was synced in it stands; the rest is cut off as well as it goes, and whatever cannot be
    /// cut is passed over, since the next segment begins at its positions.
    fn abandon(&mut self, error: &io::Error) {
        self.shared.meters.fsync_errors.increment(1);
        let Some(active) = self.active.take() else { return };
        tracing::error!(error = %error, segment = active.base, "write and sync the journal: the segment is given up and the group goes to a new one");
        let cut = active.file.set_len(active.used);
        let mut space = self.shared.lock();
        if let Some(segment) = space.segments.back_mut() {
            segment.finished = true;
        }
        if cut.is_ok() {
            space.cut(active.number, active.used);
        }
    }

    /// Leaves the disk as small as it can be.
    fn finish(mut self) {
        if let Some(active) = self.active.take() {
            let finish = Finish { file: active.file, number: active.number, used: active.used };
            keeper::finish(&self.shared, &finish);
        }
    }
}

fn refuse(jobs: impl Iterator<Item = Job>, refusal: AppendError) {
    for job in jobs {
        drop(job.post.held);
        let _ = job.done.send(Err(refusal));
    }
}

fn refusal_of(error: &io::Error) -> AppendError {
    if disk::is_full(error) { AppendError::Full } else { AppendError::Failed }
}

/// Of a received time; one before 1970 counts as 1970.
pub(crate) fn nanoseconds(milliseconds: i64) -> u64 {
    u64::try_from(milliseconds).unwrap_or(0).saturating_mul(NANOSECONDS)
}

/// The received time as everybody sees it.
pub(crate) fn milliseconds(nanoseconds: u64) -> i64 {
    i64::try_from(nanoseconds / NANOSECONDS).unwrap_or(i64::MAX)
}

/// So that a record's place in its group fits its field.
const GROUP_RECORDS_MAX: usize = 1 << 16;
const NANOSECONDS: u64 = 1_000_000;
/// A segment that has no name of its own yet.
pub(crate) const UNFINISHED_NAME: &str = "unfinished.tmp";
