//! Looks at a journal without opening it, for the commands: changes nothing, takes no lock, and may run beside a process that writes.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::codec::{BLOCK_BYTES, HeaderRead, KIND_UNKNOWN, KIND_VOID, SegmentHeader};
use super::disk::{Disk, System};
use super::recover::list;
use super::scan::{Scanner, Step, read_block};
use super::seal::SegmentKey;
use super::writer::milliseconds;
use crate::key::Key;
use crate::position::{JournalId, Position};

/// What one segment file holds.
#[derive(Clone, Debug)]
pub struct SegmentReport {
    /// The file's name.
    pub file: String,
    /// What its header says.
    pub header: HeaderState,
    /// The journal it belongs to.
    pub journal: Option<JournalId>,
    /// The position its name tells.
    pub base: Position,
    /// Records that verify.
    pub records: u64,
    /// Those among them of unknown shape.
    pub unknown: u64,
    /// The positions of the first and the last record.
    pub positions: Option<(Position, Position)>,
    /// When the first and the last record were received, milliseconds since 1970.
    pub received_ms: Option<(i64, i64)>,
    /// When the segment was made, milliseconds since 1970.
    pub created_at_ms: Option<i64>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Places that do not verify.
    pub damages: Vec<Damage>,
}

/// The state of a segment's header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderState {
    /// Both copies are as written.
    Whole,
    /// One copy is damaged; the other one serves.
    OneCopy,
    /// None can be read.
    Unreadable,
    /// Written by a newer program.
    Newer(u32),
    /// Sealed with another key.
    WrongKey,
}

/// A place that does not verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it begins in the file.
    pub offset: u64,
    /// How long it is.
    pub bytes: u64,
    /// It stands at the end of the newest segment: an unfinished write, or one that is going on.
    pub unfinished: bool,
}

/// What a whole journal holds.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Its segments in order.
    pub segments: Vec<SegmentReport>,
    /// Records that verify.
    pub records: u64,
    /// Damaged places and unreadable headers, unfinished ends not counted.
    pub damaged: u64,
    /// Bytes of all segment files.
    pub bytes: u64,
}

impl Report {
    /// Whether everything that was finished verifies.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damaged == 0
    }
}

/// Reads every segment. Without the key the checksums are verified, with it each record is opened too.
///
/// # Errors
/// When the directory or a file cannot be read. Damage is no error.
pub fn inspect(dir: &Path, key: Option<&Key>) -> io::Result<Vec<SegmentReport>> {
    let files = list(dir)?;
    let mut reports = Vec::with_capacity(files.len());
    for (at, (base, path)) in files.iter().enumerate() {
        let file = match File::open(path) {
            Ok(file) => file,
            // The running process has dropped it meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        reports.push(inspect_segment(file, *base, files.get(at + 1).map(|(base, _)| *base), key)?);
    }
    Ok(reports)
}

/// Opens every record and sums up.
///
/// # Errors
/// As [`inspect`].
pub fn verify(dir: &Path, key: &Key) -> io::Result<Report> {
    let segments = inspect(dir, Some(key))?;
    let mut report = Report::default();
    for segment in &segments {
        report.records += segment.records;
        report.bytes += segment.bytes;
        report.damaged += segment.damages.iter().filter(|damage| !damage.unfinished).count() as u64;
        report.damaged += u64::from(segment.header != HeaderState::Whole);
    }
    report.segments = segments;
    Ok(report)
}

fn inspect_segment(file: File, base: u64, next_base: Option<u64>, key: Option<&Key>) -> io::Result<SegmentReport> {
    let disk: Arc<dyn Disk> = Arc::new(System);
    let bytes = file.metadata()?.len();
    let mut report = SegmentReport {
        file: SegmentHeader::file_name(base),
        header: HeaderState::Unreadable,
        journal: None,
        base: Position(base),
        records: 0,
        unknown: 0,
        positions: None,
        received_ms: None,
        created_at_ms: None,
        bytes,
        damages: Vec::new(),
    };
    let header = match SegmentHeader::decode(&read_block(&*disk, &file)?, base) {
        HeaderRead::Invalid => return Ok(report),
        HeaderRead::Newer(version) => {
            report.header = HeaderState::Newer(version);
            return Ok(report);
        }
        HeaderRead::Valid { header, damaged } => {
            report.header = if damaged { HeaderState::OneCopy } else { HeaderState::Whole };
            header
        }
    };
    report.journal = Some(header.journal);
    report.created_at_ms = Some(header.created_at_ms);
    let mut opener = None;
    if let Some(key) = key {
        if SegmentKey::check(key, &header.salt) != header.key_check {
            report.header = HeaderState::WrongKey;
        } else {
            opener = Some(SegmentKey::new(key, &header.salt)?);
        }
    }
    walk(Scanner::new(&disk, file, &header, bytes.max(BLOCK_BYTES)), next_base, opener.as_ref(), &mut report)?;
    Ok(report)
}

fn walk(mut scanner: Scanner, next_base: Option<u64>, opener: Option<&SegmentKey>, report: &mut SegmentReport) -> io::Result<()> {
    loop {
        // Behind the last position of a segment that has a successor anything may stand: a failed commit leaves it.
        let leftover = next_base.is_some_and(|next| scanner.expected() >= next);
        match scanner.step()? {
            Step::Record(found) if next_base.is_some_and(|next| found.head.position >= next) => return Ok(()),
            Step::Record(found) if found.head.kind == KIND_VOID => {}
            Step::Record(found) => {
                let opens = opener.is_none_or(|key| key.open_record(found.head.position, scanner.record(&found)).is_some());
                if !opens {
                    report.damages.push(Damage { offset: found.offset, bytes: found.head.total_bytes(), unfinished: false });
                    continue;
                }
                let position = Position(found.head.position);
                let received_ms = milliseconds(found.head.received_ns);
                report.records += 1;
                report.unknown += u64::from(found.head.kind == KIND_UNKNOWN);
                report.positions = Some((report.positions.map_or(position, |(first, _)| first), position));
                report.received_ms = Some((report.received_ms.map_or(received_ms, |(first, _)| first), received_ms));
            }
            Step::Damage { .. } | Step::Tail { .. } if leftover => return Ok(()),
            Step::Damage { offset, bytes } => report.damages.push(Damage { offset, bytes, unfinished: false }),
            Step::Tail { offset, bytes } => {
                report.damages.push(Damage { offset, bytes, unfinished: next_base.is_none() });
                return Ok(());
            }
            Step::End => return Ok(()),
        }
    }
}
