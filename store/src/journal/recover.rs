//! Finds out what is on disk when the journal is opened, and mends what a power cut left unfinished.
//!
//! Of all segments but the newest only the header is read, so that a backlog of any size opens at once; the reader verifies their records
//! when it gets there. The newest is walked whole. Nothing is changed before every header has been read and the key has proved right.
//!
//! What a power cut can have left is *torn*, counted as such and alarms nobody: an unfinished file, and unreadable places within the last
//! group of the newest segment, which was never answered. A torn place is overwritten with a void, a record that says "nothing at these
//! positions", so that a later start knows it from damage. A void at the end covers as many positions as the torn bytes may have held:
//! should they have been answered posts after all (a disk that lies, a bit that rots), no new post gets a number that the store has seen.
//! Everything else is *corrupt*: copied aside, counted, left as it stands and passed over. So is an unfinished end that the disk will not
//! let be mended, as on a bad sector; it is cut off.

use std::collections::{HashSet, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::aside::copy_aside;
use super::codec::{AUTHENTICATED_BYTES, BLOCK_BYTES, HEAD_BYTES, HeaderRead, KIND_VOID, RECORD_BYTES_MIN, RecordHead, SegmentHeader, record_crc};
use super::disk::Disk;
use super::scan::{Scanner, Step, read_block};
use super::seal::SegmentKey;
use super::space::Segment;
use super::writer::{Resume, milliseconds};
use super::{OpenError, Settings, disk};
use crate::position::JournalId;

/// What recovery works on.
#[derive(Clone, Copy)]
pub(crate) struct Ground<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) disk: &'a Arc<dyn Disk>,
}

/// What was found.
pub(crate) struct Recovery {
    /// The journal's name, when a segment tells it.
    pub(crate) id: Option<JournalId>,
    pub(crate) segments: VecDeque<Segment>,
    pub(crate) resume: Resume,
    pub(crate) torn: u64,
    pub(crate) corrupt: u64,
    /// The damaged places that are counted in `corrupt`, by segment number and offset.
    pub(crate) damaged: HashSet<(u64, u64)>,
}

/// A segment file with a readable header.
struct Readable {
    path: PathBuf,
    file: File,
    header: SegmentHeader,
    bytes: u64,
    header_damaged: bool,
    /// No file is missing between this one and the next.
    followed_closely: bool,
}

/// A segment file without one.
struct Unreadable {
    path: PathBuf,
    file: File,
    base: u64,
    bytes: u64,
    newest: bool,
}

/// The segment files of a directory by their first positions.
pub(crate) fn list(dir: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if let Some(base) = entry.file_name().to_str().and_then(SegmentHeader::base_of_name) {
            files.push((base, entry.path()));
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// Reads and mends the directory, whose lock the caller holds.
pub(crate) fn recover(ground: Ground<'_>) -> Result<Recovery, OpenError> {
    let (mut readable, mut unreadable) = read_headers(ground)?;
    let id = readable.last().map(|newest| newest.header.journal);
    // A file of another journal is as good as unreadable here: its positions mean nothing.
    for at in (0..readable.len()).rev() {
        if Some(readable[at].header.journal) != id {
            let foreign = readable.remove(at);
            unreadable.push(Unreadable { path: foreign.path, file: foreign.file, base: foreign.header.base, bytes: foreign.bytes, newest: false });
        }
    }
    let mut recovery = Recovery {
        id,
        segments: VecDeque::new(),
        resume: Resume { next: 1, floor_ns: 0, records: 0, number: 0, leftovers: Vec::new() },
        torn: 0,
        corrupt: 0,
        damaged: HashSet::new(),
    };
    for file in unreadable {
        recovery.give_up(ground, file)?;
    }
    recovery.take_in(ground, readable)?;
    Ok(recovery)
}

fn read_headers(ground: Ground<'_>) -> Result<(Vec<Readable>, Vec<Unreadable>), OpenError> {
    let settings = ground.settings;
    let files = list(&settings.dir).map_err(|source| OpenError::io("list the journal", &settings.dir, source))?;
    let count = files.len();
    let mut readable: Vec<Readable> = Vec::new();
    let mut unreadable = Vec::new();
    for (at, (base, path)) in files.into_iter().enumerate() {
        let failed = |source| OpenError::io("read the journal", &path, source);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(failed)?;
        let bytes = file.metadata().map_err(failed)?.len();
        match SegmentHeader::decode(&read_block(&**ground.disk, &file).map_err(failed)?, base) {
            HeaderRead::Newer(version) => return Err(OpenError::Newer { path, version }),
            HeaderRead::Valid { header, .. } if header.key_check != SegmentKey::check(&settings.key, &header.salt) => {
                return Err(OpenError::WrongKey { path });
            }
            HeaderRead::Valid { header, damaged } => {
                readable.push(Readable { path, file, header, bytes, header_damaged: damaged, followed_closely: true });
            }
            HeaderRead::Invalid => {
                if let Some(before) = readable.last_mut() {
                    before.followed_closely = false;
                }
                unreadable.push(Unreadable { path, file, base, bytes, newest: at + 1 == count });
            }
        }
    }
    Ok((readable, unreadable))
}

impl Recovery {
    /// A file whose header cannot be read: what it held is lost with its salt, unless somebody mends the copy. The file itself goes when
    /// there is a copy and a new segment tells the next position.
    fn give_up(&mut self, ground: Ground<'_>, file: Unreadable) -> Result<(), OpenError> {
        let failed = |source| OpenError::io("read the journal", &file.path, source);
        let held = has_bytes_after_block(ground, &file.file, file.bytes).map_err(failed)?;
        let may_go = if file.newest && !held {
            self.torn += 1;
            tracing::warn!(segment = file.base, "journal: an unfinished segment is removed");
            true
        } else {
            self.corrupt += 1;
            tracing::error!(segment = file.base, bytes = file.bytes, "journal: a segment without a readable header is set aside");
            set_aside(ground, &file.file, file.base, 0, file.bytes)
        };
        let positions = if held { file.bytes.saturating_sub(BLOCK_BYTES) / RECORD_BYTES_MIN + 1 } else { 0 };
        self.resume.next = self.resume.next.max(file.base.saturating_add(positions));
        if may_go {
            self.resume.leftovers.push(file.path);
        }
        Ok(())
    }

    /// Makes the set of segments and walks the newest.
    fn take_in(&mut self, ground: Ground<'_>, readable: Vec<Readable>) -> Result<(), OpenError> {
        let headers: Vec<_> = readable.iter().map(|segment| segment.header.clone()).collect();
        for (at, readable) in readable.into_iter().enumerate() {
            let failed = |source| OpenError::io("recover the journal's newest segment", &readable.path, source);
            let header = &readable.header;
            let mut segment = Segment {
                number: header.number,
                base: header.base,
                end: header.base,
                path: readable.path.clone(),
                bytes: readable.bytes,
                used: readable.bytes,
                records: 0,
                records_known: readable.followed_closely,
                created_at_ms: header.created_at_ms,
                first_received_ms: milliseconds(first_received_ns(ground, &readable.file, header).map_err(failed)?),
                last_received_ms: milliseconds(header.received_floor_ns),
                finished: true,
                index: Vec::new(),
            };
            if readable.header_damaged {
                self.corrupt += 1;
                self.damaged.insert((header.number, 0));
                set_aside(ground, &readable.file, header.base, 0, BLOCK_BYTES);
            }
            if let Some(next) = headers.get(at + 1) {
                segment.end = next.base;
                segment.records = next.records_before.saturating_sub(header.records_before);
                segment.last_received_ms = milliseconds(next.received_floor_ns);
            } else {
                let newest = walk(ground, &readable.file, header, readable.bytes).map_err(failed)?;
                self.torn += newest.torn;
                self.corrupt += newest.corrupt.len() as u64;
                self.damaged.extend(newest.corrupt.iter().map(|offset| (header.number, *offset)));
                self.resume.next = self.resume.next.max(newest.end);
                self.resume.floor_ns = newest.received_ns;
                self.resume.records = header.records_before + newest.records;
                self.resume.number = header.number;
                segment.end = self.resume.next;
                segment.records = newest.records;
                segment.last_received_ms = milliseconds(newest.received_ns);
                segment.used = newest.used;
                segment.bytes = newest.used;
            }
            self.segments.push_back(segment);
        }
        Ok(())
    }
}

/// What the newest segment holds.
struct Newest {
    end: u64,
    used: u64,
    records: u64,
    received_ns: u64,
    torn: u64,
    /// The offsets of damaged places.
    corrupt: Vec<u64>,
}

/// An unreadable place with records after it.
struct Suspect {
    offset: u64,
    bytes: u64,
    /// The positions that are missing.
    position: u64,
    positions: u64,
}

fn walk(ground: Ground<'_>, file: &File, header: &SegmentHeader, bytes: u64) -> io::Result<Newest> {
    let mut scanner = Scanner::new(ground.disk, file.try_clone()?, header, bytes);
    let mut newest = Newest { end: header.base, used: BLOCK_BYTES, records: 0, received_ns: header.received_floor_ns, torn: 0, corrupt: Vec::new() };
    let mut group_start = header.base;
    let mut suspects: Vec<Suspect> = Vec::new();
    let mut just_met: Option<(u64, u64)> = None;
    let mut tail = None;
    loop {
        let expected = scanner.expected();
        match scanner.step()? {
            Step::Record(found) => {
                group_start = found.head.group_start();
                if let Some((offset, bytes)) = just_met.take() {
                    suspects.push(Suspect { offset, bytes, position: expected, positions: found.head.position - expected });
                }
                if found.head.kind != KIND_VOID {
                    newest.records += 1;
                    newest.received_ns = newest.received_ns.max(found.head.received_ns);
                }
                newest.used = found.offset + found.head.total_bytes();
                newest.end = found.head.end();
            }
            Step::Damage { offset, bytes } => just_met = Some((offset, bytes)),
            Step::Tail { offset, bytes } => {
                tail = Some((offset, bytes));
                break;
            }
            Step::End => break,
        }
    }
    let mender = Mender { ground, file, base: header.base, salt_crc: crc32c::crc32c(&header.salt) };
    for suspect in &suspects {
        set_aside(ground, file, header.base, suspect.offset, suspect.bytes);
        // A group begins only when the one before it is durable: what is missing before the last one was answered.
        let answered = suspect.position < group_start || suspect.bytes <= HEAD_BYTES as u64 || suspect.positions == 0;
        if !answered && mender.mend(suspect.offset, suspect.bytes, (suspect.position, suspect.positions)) {
            newest.torn += 1;
        } else {
            newest.corrupt.push(suspect.offset);
        }
    }
    if let Some((offset, torn)) = tail {
        mender.end(&mut newest, offset, torn);
    }
    mender.cut(newest.used, bytes);
    for offset in &newest.corrupt {
        tracing::error!(segment = header.base, offset, "journal is damaged: the place is set aside and left out");
    }
    Ok(newest)
}

/// Mends the newest segment. What the disk refuses is told and left: all that comes now is written to another segment.
struct Mender<'a> {
    ground: Ground<'a>,
    file: &'a File,
    base: u64,
    salt_crc: u32,
}

impl Mender<'_> {
    /// Whether a place holds a void now.
    fn mend(&self, offset: u64, bytes: u64, positions: (u64, u64)) -> bool {
        let written = self.write_void(offset, bytes, positions);
        if let Err(error) = &written {
            tracing::error!(segment = self.base, offset, error = %error, "mark an unfinished place of the journal");
        }
        written.is_ok()
    }

    /// Settles what stands behind the last record.
    fn end(&self, newest: &mut Newest, offset: u64, torn: u64) {
        let positions = torn / RECORD_BYTES_MIN + 1;
        let void_bytes = HEAD_BYTES as u64 + 1;
        // The file may end within the head.
        let is_whole = self.is_readable(offset, torn) && self.ground.disk.write_at(self.file, &[0], offset + HEAD_BYTES as u64).is_ok();
        if is_whole && self.mend(offset, void_bytes, (newest.end, positions)) {
            newest.torn += 1;
            newest.used = offset + void_bytes;
            tracing::warn!(segment = self.base, offset, bytes = torn, "journal: the unfinished end is cut");
        } else {
            set_aside(self.ground, self.file, self.base, offset, torn);
            newest.corrupt.push(offset);
        }
        newest.end += positions;
    }

    /// A power cut leaves no sector that cannot be read.
    fn is_readable(&self, offset: u64, bytes: u64) -> bool {
        let mut buffer = vec![0; bytes.min(64 * 1024) as usize];
        let steps = (offset..offset + bytes).step_by(buffer.len().max(1));
        steps.into_iter().all(|at| {
            let step = buffer.len().min((offset + bytes - at) as usize);
            disk::read_exact_at(&**self.ground.disk, self.file, &mut buffer[..step], at).is_ok()
        })
    }

    fn cut(&self, used: u64, bytes: u64) {
        if bytes > used
            && let Err(error) = self.file.set_len(used).and_then(|()| self.ground.disk.sync_all(self.file))
        {
            tracing::warn!(segment = self.base, error = %error, "cut the journal's newest segment");
        }
    }

    /// Writes a void over the first bytes of a place and makes it durable; the rest of the place becomes its content.
    fn write_void(&self, offset: u64, bytes: u64, (position, positions): (u64, u64)) -> io::Result<()> {
        let sealed_bytes = u32::try_from(bytes - HEAD_BYTES as u64).map_err(|_| io::Error::other("the torn place is too large"))?;
        let head = RecordHead { sealed_bytes, position, received_ns: positions, kind: KIND_VOID, in_group: 0 };
        let mut content = vec![0; sealed_bytes as usize];
        disk::read_exact_at(&**self.ground.disk, self.file, &mut content, offset + HEAD_BYTES as u64)?;
        let encoded = head.encode();
        let mut bytes = [0; HEAD_BYTES];
        bytes[..AUTHENTICATED_BYTES].copy_from_slice(&encoded);
        bytes[AUTHENTICATED_BYTES..].copy_from_slice(&record_crc(self.salt_crc, &encoded, &content).to_le_bytes());
        self.ground.disk.write_at(self.file, &bytes, offset)?;
        self.ground.disk.sync_all(self.file)
    }
}

/// The received time of a segment's first record as its head tells it, or the latest time before the segment.
fn first_received_ns(ground: Ground<'_>, file: &File, header: &SegmentHeader) -> io::Result<u64> {
    let mut head = [0; HEAD_BYTES];
    let read = disk::read_at(&**ground.disk, file, &mut head, BLOCK_BYTES)?;
    let received_ns = RecordHead::decode(&head[..read])
        .map(|(head, _)| head)
        .filter(|head| head.position == header.base && head.kind != KIND_VOID)
        .map(|head| head.received_ns);
    Ok(received_ns.unwrap_or(0).max(header.received_floor_ns))
}

fn has_bytes_after_block(ground: Ground<'_>, file: &File, bytes: u64) -> io::Result<bool> {
    let mut buffer = vec![0; 64 * 1024];
    let mut offset = BLOCK_BYTES;
    while offset < bytes {
        let read = disk::read_at(&**ground.disk, file, &mut buffer, offset)?;
        if read == 0 {
            break;
        }
        if buffer[..read].iter().any(|byte| *byte != 0) {
            return Ok(true);
        }
        offset += read as u64;
    }
    Ok(false)
}

/// Whether the copy is there. One that fails is told and does not keep the journal from starting.
fn set_aside(ground: Ground<'_>, file: &File, base: u64, offset: u64, bytes: u64) -> bool {
    let copied = copy_aside(&**ground.disk, &ground.settings.quarantine, file, base, offset, bytes);
    if let Err(error) = &copied {
        tracing::error!(segment = base, offset, error = %error, "copy a damaged place of the journal aside");
    }
    copied.is_ok()
}
