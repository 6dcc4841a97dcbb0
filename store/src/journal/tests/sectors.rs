//! Sectors that cannot be read: when the journal is opened, when it is read back, and in the space that is not used yet.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::*;
use crate::journal::codec::BLOCK_BYTES;

/// Reads fail on some pages of some files as they do on a bad sector: for the whole page, and short of it when it is not the first.
#[derive(Default)]
struct BadDisk {
    pages: Mutex<HashSet<(u64, u64)>>,
    /// The read after so many fails in a way that passes.
    passing: Mutex<Option<u32>>,
}

impl BadDisk {
    fn spoil(&self, path: &Path, page: u64) {
        self.pages.lock().unwrap().insert((fs::metadata(path).unwrap().ino(), page));
    }

    /// The first bad byte at or after an offset.
    fn first_bad(&self, file: &File, offset: u64) -> io::Result<u64> {
        let inode = file.metadata()?.ino();
        let pages = self.pages.lock().unwrap();
        let ahead = pages.iter().filter(|(of, page)| *of == inode && (page + 1) * PAGE > offset);
        Ok(ahead.map(|(_, page)| (page * PAGE).max(offset)).min().unwrap_or(u64::MAX))
    }
}

impl Disk for BadDisk {
    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut passing = self.passing.lock().unwrap();
        let fails = *passing == Some(0);
        *passing = passing.and_then(|reads| reads.checked_sub(1));
        if fails {
            buffer.fill(0xee);
            return Err(rustix::io::Errno::STALE.into());
        }
        let bad = self.first_bad(file, offset)?;
        if bad == offset {
            return Err(rustix::io::Errno::IO.into());
        }
        let length = buffer.len().min(usize::try_from(bad - offset).unwrap_or(usize::MAX));
        file.read_at(&mut buffer[..length], offset)
    }

    /// A part of a page is read before it is written.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.first_bad(file, offset)? < offset + bytes.len() as u64 {
            return Err(rustix::io::Errno::IO.into());
        }
        file.write_all_at(bytes, offset)
    }
}

const PAGE: u64 = 4096;

/// Two segments of five records each: some share a page, some lie across two, and one takes four. The last three make one group.
fn written() -> (Place, Vec<Record>) {
    let place = place();
    let bodies = [700, 900, 3000, 13_000, 10].map(|size| vec![size as u8; size]);
    let (journal, _) = place.open();
    bodies.iter().for_each(|body| drop(append(&journal, post(body)).unwrap()));
    drop(journal);
    let (journal, _) = place.open();
    let (alone, together) = bodies.split_at(2);
    alone.iter().for_each(|body| drop(append(&journal, post(body)).unwrap()));
    let posts = together.iter().map(|body| Append { kind: Kind::Unknown, ..post(body) }).collect();
    commit_together(&journal, posts);
    let expected = read_all(&journal);
    drop(journal);
    assert_eq!((expected.len(), place.segments().len()), (10, 2));
    (place, expected)
}

fn open_on(place: &Place, disk: &Arc<BadDisk>) -> (Journal, Recovered) {
    let disk: Arc<dyn Disk> = Arc::<BadDisk>::clone(disk);
    Journal::open_on(place.settings.clone(), disk, STILL).unwrap()
}

/// What is left of the records when a page of a segment is gone.
fn without(expected: &[Record], path: &Path, page: u64) -> Vec<Record> {
    let gone = page * PAGE..(page + 1) * PAGE;
    let ranges = ranges(path);
    let is_gone =
        |record: &&Record| ranges.iter().any(|(at, range)| *at == record.position.0 && (range.start as u64) < gone.end && gone.start < range.end as u64);
    expected.iter().filter(|record| !is_gone(record)).cloned().collect()
}

#[test]
fn a_bad_sector_costs_the_records_on_its_page_and_no_other() {
    let (place, expected) = written();
    for (which, path) in place.segments().iter().enumerate() {
        for page in 0..fs::metadata(path).unwrap().len().div_ceil(PAGE) {
            let copy = place.copy();
            let disk = Arc::new(BadDisk::default());
            disk.spoil(&copy.segments()[which], page);
            let (journal, recovered) = open_on(&copy, &disk);
            assert!(recovered.next >= Position(11), "positions never go back: segment {which}, page {page}");
            append(&journal, post(b"after")).unwrap();
            let mut read = read_all(&journal);
            assert_eq!(read.pop().unwrap().body, b"after");
            assert_eq!(read, without(&expected, path, page), "segment {which}, page {page}");
            let status = journal.status();
            assert_eq!((status.torn, status.corrupt), (0, 1), "segment {which}, page {page}");
        }
    }
}

#[test]
fn what_lies_beside_a_bad_page_is_read_from_wherever_reading_begins() {
    let dir = directory();
    let path = dir.path().join("pages");
    let raw: Vec<u8> = (0..5 * PAGE).map(|at| (at % 251) as u8).collect();
    fs::write(&path, &raw).unwrap();
    let disk = BadDisk::default();
    disk.spoil(&path, 1);
    disk.spoil(&path, 3);
    let file = File::open(&path).unwrap();
    for offset in [0, 100, PAGE - 1, PAGE, PAGE + 1, 2 * PAGE - 1, 2 * PAGE, 3 * PAGE + 7, 4 * PAGE, 5 * PAGE - 1, 5 * PAGE] {
        let mut read = vec![0; raw.len()];
        let count = disk::read_at(&disk, &file, &mut read, offset).unwrap();
        let expected = (offset..5 * PAGE).map(|at| if matches!(at / PAGE, 1 | 3) { 0xff } else { raw[at as usize] });
        assert!(expected.eq(read[..count].iter().copied()), "from {offset}");
    }
}

#[test]
fn a_sector_that_goes_bad_after_the_start_costs_the_same() {
    let (place, expected) = written();
    for (which, path) in place.segments().iter().enumerate() {
        for page in 0..fs::metadata(path).unwrap().len().div_ceil(PAGE) {
            let copy = place.copy();
            let disk = Arc::new(BadDisk::default());
            let (journal, _) = open_on(&copy, &disk);
            disk.spoil(&copy.segments()[which], page);
            assert_eq!(read_all(&journal), without(&expected, path, page), "segment {which}, page {page}");
            assert_eq!(journal.status().corrupt, 1, "segment {which}, page {page}");
            assert_eq!(read_all(&journal).len(), without(&expected, path, page).len());
            assert_eq!(journal.status().corrupt, 1, "counted once");
        }
    }
}

#[test]
fn a_bad_sector_in_unused_space_costs_no_record() {
    let place = place();
    let (journal, _) = place.open();
    append_bodies(&journal, &[b"one", b"two"]);
    // As a killed process leaves it: behind the records the segment is as long as it was allocated.
    let killed = place.copy();
    let disk = Arc::new(BadDisk::default());
    disk.spoil(&killed.newest(), 9);
    let (journal, recovered) = open_on(&killed, &disk);
    assert!(recovered.next > Position(2));
    assert_eq!((recovered.torn, recovered.corrupt), (0, 1));
    append(&journal, post(b"after")).unwrap();
    assert_eq!(read_all(&journal).into_iter().map(|record| record.body).collect::<Vec<_>>(), [&b"one"[..], b"two", b"after"]);
    drop(journal);
    let (journal, recovered) = open_on(&killed, &disk);
    assert_eq!((recovered.torn, recovered.corrupt, read_all(&journal).len()), (0, 0, 3), "it was cut off");
}

#[test]
fn a_read_that_fails_for_another_reason_is_an_error_and_loses_nothing() {
    let (place, expected) = written();
    let disk = Arc::new(BadDisk::default());
    let (journal, _) = open_on(&place, &disk);
    let mut failed = 0;
    for reads in 0.. {
        *disk.passing.lock().unwrap() = Some(reads);
        let mut reader = journal.reader(Position::FIRST);
        let mut read = Vec::new();
        while read.len() < expected.len() {
            match reader.next() {
                Ok(record) => read.push(record.unwrap()),
                Err(error) => {
                    assert_eq!(error.raw_os_error(), Some(rustix::io::Errno::STALE.raw_os_error()));
                    failed += 1;
                }
            }
        }
        assert_eq!((reader.next().unwrap(), read == expected), (None, true), "the read after {reads} failed");
        if disk.passing.lock().unwrap().is_some() {
            break;
        }
    }
    assert!(failed >= 4, "at least the header and the records of two segments: {failed}");
    assert_eq!(journal.status().corrupt, 0);
}

#[test]
fn a_segment_that_cannot_be_copied_aside_is_not_removed() {
    let (mut place, expected) = written();
    let path = place.segments()[0].clone();
    let mut raw = fs::read(&path).unwrap();
    raw[..BLOCK_BYTES as usize].fill(7);
    fs::write(&path, &raw).unwrap();
    // A file in the place of the directory's files: no copy can be made.
    let name = format!("{}.tmp", quarantined(&path, 0));
    fs::create_dir_all(place.settings.quarantine.join(&name)).unwrap();
    let (journal, recovered) = place.open();
    assert_eq!((recovered.torn, recovered.corrupt), (0, 1));
    assert_eq!(read_all(&journal), expected[5..]);
    drop(journal);
    assert_eq!(fs::read(&path).unwrap(), raw, "it is all there is of these posts");
    place.settings.quarantine = place.dir.path().join("elsewhere");
    drop(place.open());
    assert!(!path.exists());
    assert!(fs::read(place.settings.quarantine.join(quarantined(&path, 0))).unwrap().ends_with(&raw[BLOCK_BYTES as usize..]));
}

/// The name of the copy of a damaged place.
fn quarantined(segment: &Path, offset: u64) -> String {
    format!("{}-{offset:012}.damaged", segment.file_stem().unwrap().display())
}
