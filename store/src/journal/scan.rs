//! Walks the records of a segment file and finds its way past damage.

use std::fs::File;
use std::io;
use std::sync::Arc;

use memchr::memmem;

use super::codec::{BLOCK_BYTES, HEAD_BYTES, RECORD_MAGIC, RecordHead, SegmentHeader, record_crc};
use super::disk::{self, Disk};

/// What stands at a place of a segment.
#[derive(Debug)]
pub(crate) enum Step {
    /// A record whose checksum holds; [`Scanner::record`] has its bytes until the next step.
    Record(Found),
    /// Bytes that are no record, with a record after them.
    Damage { offset: u64, bytes: u64 },
    /// Bytes that are no record, with none after them; what follows `bytes` is zeros.
    Tail { offset: u64, bytes: u64 },
    /// Nothing but zeros, or nothing.
    End,
}

/// A record in its file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    pub(crate) offset: u64,
    pub(crate) head: RecordHead,
}

/// Reads a segment forwards through one window. Its memory is bounded by the window and the largest record.
pub(crate) struct Scanner {
    disk: Arc<dyn Disk>,
    file: File,
    salt_crc: u32,
    limit: u64,
    offset: u64,
    expected: u64,
    repeats: bool,
    window: Vec<u8>,
    window_offset: u64,
}

impl Scanner {
    /// From the segment's first record up to the offset `limit`.
    pub(crate) fn new(disk: &Arc<dyn Disk>, file: File, header: &SegmentHeader, limit: u64) -> Self {
        Self {
            disk: Arc::clone(disk),
            file,
            salt_crc: crc32c::crc32c(&header.salt),
            limit,
            offset: BLOCK_BYTES,
            expected: header.base,
            repeats: false,
            window: Vec::new(),
            window_offset: 0,
        }
    }

    /// The same for a file in which several records may have one position.
    pub(crate) fn with_repeats(disk: &Arc<dyn Disk>, file: File, header: &SegmentHeader, limit: u64) -> Self {
        Self { repeats: true, ..Self::new(disk, file, header, limit) }
    }

    /// Goes on at a place where the record `position` is known to stand.
    pub(crate) fn start_at(&mut self, offset: u64, position: u64) {
        self.window.clear();
        self.offset = offset;
        self.expected = position;
    }

    /// Goes back to a record that the last step found and whose bytes are untouched.
    pub(crate) fn step_back(&mut self, found: &Found) {
        self.offset = found.offset;
        self.expected = found.head.position;
    }

    /// The file may be read up to here; it never shrinks.
    pub(crate) fn extend(&mut self, limit: u64) {
        self.limit = self.limit.max(limit);
    }

    /// Where the next step looks.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    /// The offset it may read up to.
    pub(crate) fn limit(&self) -> u64 {
        self.limit
    }

    /// The position after the last record seen: whatever comes has this one or a later one.
    pub(crate) fn expected(&self) -> u64 {
        self.expected
    }

    /// The file.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// The next thing in the file.
    pub(crate) fn step(&mut self) -> io::Result<Step> {
        let offset = self.offset;
        if let Some(found) = self.own_record_at(offset)? {
            self.offset = offset + found.head.total_bytes();
            self.expected = if self.repeats { found.head.position } else { found.head.end() };
            return Ok(Step::Record(found));
        }
        let Some(last) = self.last_nonzero(offset)? else { return Ok(Step::End) };
        match self.find(offset + 1, Self::own_record_at)? {
            Some(next) => {
                self.offset = next.offset;
                Ok(Step::Damage { offset, bytes: next.offset - offset })
            }
            None => {
                self.offset = self.limit;
                Ok(Step::Tail { offset, bytes: last + 1 - offset })
            }
        }
    }

    /// The bytes of the record that the last step found, head and all.
    pub(crate) fn record(&mut self, found: &Found) -> &mut [u8] {
        let start = (found.offset - self.window_offset) as usize;
        &mut self.window[start..start + found.head.total_bytes() as usize]
    }

    /// The record at an offset, unless it stands in the wrong place.
    fn own_record_at(&mut self, offset: u64) -> io::Result<Option<Found>> {
        let Some(found) = self.record_at(offset)? else { return Ok(None) };
        if self.repeats || found.head.position == self.expected {
            return Ok(Some(found));
        }
        if self.is_astray(&found)? {
            return Ok(None);
        }
        // Looking ahead may have moved the window.
        self.bytes_at(offset, found.head.total_bytes())?;
        Ok(Some(found))
    }

    /// Whether a record that leaves positions out is a copy that a misdirected write brought here: then what it leaves out comes after it,
    /// and would be passed over for being late. It is told at the end of the run of records that it begins, so that a file is looked at
    /// no more than twice.
    fn is_astray(&mut self, first: &Found) -> io::Result<bool> {
        let mut last = *first;
        let after = loop {
            let offset = last.offset + last.head.total_bytes();
            match self.record_at(offset)? {
                Some(next) if next.head.position == last.head.end() => last = next,
                Some(next) => break Some(next),
                None => break self.find(offset + 1, Self::record_at)?,
            }
        };
        Ok(after.is_some_and(|after| after.head.position < first.head.position))
    }

    fn record_at(&mut self, offset: u64) -> io::Result<Option<Found>> {
        let Some((head, _)) = self.bytes_at(offset, HEAD_BYTES as u64)?.and_then(RecordHead::decode) else { return Ok(None) };
        if head.position < self.expected {
            return Ok(None);
        }
        let salt_crc = self.salt_crc;
        let Some(record) = self.bytes_at(offset, head.total_bytes())? else { return Ok(None) };
        let valid = RecordHead::decode(record).is_some_and(|(_, crc)| crc == record_crc(salt_crc, &head.encode(), &record[HEAD_BYTES..]));
        Ok(valid.then_some(Found { offset, head }))
    }

    /// The first place at or after an offset that holds a record by this test.
    fn find(&mut self, mut offset: u64, record_at: fn(&mut Self, u64) -> io::Result<Option<Found>>) -> io::Result<Option<Found>> {
        let finder = memmem::Finder::new(&RECORD_MAGIC);
        while offset + HEAD_BYTES as u64 <= self.limit {
            let length = (self.limit - offset).min(WINDOW_BYTES);
            let Some(bytes) = self.bytes_at(offset, length)? else { return Ok(None) };
            match finder.find(bytes) {
                Some(at) => {
                    offset += at as u64;
                    if let Some(found) = record_at(self, offset)? {
                        return Ok(Some(found));
                    }
                    offset += 1;
                }
                // The magic may lie across the edge of what was looked at.
                None => offset += length - (RECORD_MAGIC.len() as u64 - 1),
            }
        }
        Ok(None)
    }

    /// The offset of the last byte that is not zero, at or after `offset`.
    fn last_nonzero(&mut self, mut offset: u64) -> io::Result<Option<u64>> {
        let mut last = None;
        while offset < self.limit {
            let length = (self.limit - offset).min(ZEROS.len() as u64);
            let Some(bytes) = self.bytes_at(offset, length)? else { break };
            if bytes != &ZEROS[..bytes.len()] {
                last = bytes.iter().rposition(|byte| *byte != 0).map(|at| offset + at as u64);
            }
            offset += length;
        }
        Ok(last)
    }

    /// Bytes of the file through the window; `None` past the limit or past the file's end.
    fn bytes_at(&mut self, offset: u64, length: u64) -> io::Result<Option<&[u8]>> {
        if offset.checked_add(length).is_none_or(|end| end > self.limit) {
            return Ok(None);
        }
        let inside = offset >= self.window_offset && offset + length <= self.window_offset + self.window.len() as u64;
        if !inside {
            let wanted = length.max(WINDOW_BYTES).min(self.limit - offset) as usize;
            if self.window.capacity() > WINDOW_KEPT_BYTES && wanted <= WINDOW_KEPT_BYTES {
                self.window = Vec::new();
            }
            self.window.resize(wanted, 0);
            let read = disk::read_at(&*self.disk, &self.file, &mut self.window, offset);
            // What a failed read leaves in the buffer is not what stands in the file.
            self.window.truncate(*read.as_ref().unwrap_or(&0));
            self.window_offset = offset;
            if (read? as u64) < length {
                return Ok(None);
            }
        }
        let start = (offset - self.window_offset) as usize;
        Ok(Some(&self.window[start..start + length as usize]))
    }
}

/// The file's header block, as much of it as there is.
pub(crate) fn read_block(disk: &dyn Disk, file: &File) -> io::Result<Vec<u8>> {
    let mut block = vec![0; BLOCK_BYTES as usize];
    let read = disk::read_at(disk, file, &mut block, 0)?;
    block.truncate(read);
    Ok(block)
}

/// How much is read at once.
const WINDOW_BYTES: u64 = 512 * 1024;
/// A window that a large record made larger than this is given back.
const WINDOW_KEPT_BYTES: usize = 4 * 1024 * 1024;
static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
