//! Opens a journal one of whose segments was changed in any way: it must open, deliver each record that was not touched, in order and once
//! and as it was appended, and go on.
#![no_main]

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use store::journal::{Append, Journal, Kind, OpenError, Settings, record_bytes, verify};
use store::key::Key;
use store::position::Position;

fuzz_target!(|input: &[u8]| {
    let Some((which, changes)) = input.split_first() else { return };
    let which = usize::from(which % 2);
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    let settings = settings(dir.path());
    std::fs::create_dir(&settings.dir).expect("make the journal's directory");
    let mut segments = original().clone();
    change(&mut segments, which, changes);
    for (name, segment) in NAMES.iter().zip(&segments) {
        std::fs::write(settings.dir.join(name), segment).expect("write the segment");
    }
    let journal = match Journal::open(settings.clone()) {
        Ok((journal, _)) => journal,
        // A header that says another version or another key is refused on purpose.
        Err(OpenError::Newer { .. } | OpenError::WrongKey { .. }) => return,
        Err(error) => panic!("{error}"),
    };
    let mut reader = journal.reader(Position::FIRST);
    let mut delivered = Vec::new();
    while let Some(record) = reader.next().expect("read") {
        assert!(delivered.last().is_none_or(|last| record.position.0 > *last));
        assert_eq!(record.body, body(record.position.0));
        delivered.push(record.position.0);
    }
    for position in untouched(&segments) {
        assert!(delivered.contains(&position), "record {position} was not touched and is lost: {delivered:?}");
    }
    append(&journal, body(0));
    assert_eq!(reader.next().expect("read").expect("the new record").body, body(0));
    drop(journal);
    verify(&settings.dir, &settings.key).expect("verify");
});

/// Four bytes a change: what, where (two), and with which value.
fn change(segments: &mut [Vec<u8>; 2], which: usize, changes: &[u8]) {
    let other = segments[1 - which].clone();
    let segment = &mut segments[which];
    for change in changes.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([change[1], change[2]]));
        let value = usize::from(change[3]);
        let length = segment.len();
        match change[0] % 6 {
            0 if at < length => segment[at] = change[3],
            1 => segment.truncate(at),
            2 => segment.extend(std::iter::repeat_n(change[3], at % 512)),
            // Bytes of the same file at another place, as a write that went astray leaves them.
            3 if at < length => {
                let end = length.min(at + 8 * value);
                segment.copy_within(at..end, BLOCK_BYTES.min(length - (end - at)));
            }
            // Bytes of another segment.
            4 if at < other.len().min(length) => {
                let end = other.len().min(length).min(at + 8 * value);
                segment[at..end].copy_from_slice(&other[at..end]);
            }
            5 if at < length => {
                let end = length.min(at + 8 * value);
                segment[at..end].fill(0);
            }
            _ => {}
        }
    }
}

/// The positions whose bytes stand where they stood, in a segment one copy of whose header does.
fn untouched(segments: &[Vec<u8>; 2]) -> Vec<u64> {
    let mut positions = Vec::new();
    for ((segment, original), records) in segments.iter().zip(original()).zip(&RECORDS) {
        let stands = |range: Range<usize>| segment.get(range.clone()) == Some(&original[range]);
        if !stands(0..HEADER_BYTES) && !stands(SECOND_COPY..SECOND_COPY + HEADER_BYTES) {
            continue;
        }
        let mut at = BLOCK_BYTES;
        for position in records.clone() {
            let end = at + record_bytes(body(position).len(), RECEIVER.len()) as usize;
            if stands(at..end) {
                positions.push(position);
            }
            at = end;
        }
    }
    positions
}

fn original() -> &'static [Vec<u8>; 2] {
    static ORIGINAL: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let settings = settings(dir.path());
        for records in RECORDS {
            let (journal, _) = Journal::open(settings.clone()).expect("open");
            records.for_each(|position| append(&journal, body(position)));
        }
        NAMES.map(|name| std::fs::read(settings.dir.join(name)).expect("read the segment"))
    })
}

fn body(position: u64) -> Vec<u8> {
    vec![position as u8; 40 * position as usize]
}

fn append(journal: &Journal, body: Vec<u8>) {
    let kind = if body.len() % 3 == 0 { Kind::Unknown } else { Kind::Post };
    let post = Append { kind, receiver: Arc::from(RECEIVER), received_at_ms: 1, body, batch: None, held: Box::new(()) };
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(journal.append(post)).expect("append");
}

fn settings(dir: &Path) -> Settings {
    Settings {
        dir: dir.join("journal"),
        quarantine: dir.join("quarantine"),
        key: Key::from_bytes([3; 32]),
        segment_bytes: 64 * 1024,
        max_bytes: 1024 * 1024,
        free_min_bytes: 0,
        keep: Duration::ZERO,
        record_bytes_max: 32 * 1024,
        tail_bytes_max: 0,
        now_ms: || 1,
    }
}

const NAMES: [&str; 2] = ["00000000000000000001.seg", "00000000000000000007.seg"];
/// Which positions stand in which segment.
const RECORDS: [Range<u64>; 2] = [1..7, 7..11];
const RECEIVER: &str = "mall";
const HEADER_BYTES: usize = 116;
const SECOND_COPY: usize = 4096;
const BLOCK_BYTES: usize = 8192;
