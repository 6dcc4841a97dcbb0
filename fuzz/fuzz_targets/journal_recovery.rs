//! Opens a journal whose newest segment was changed in any way: it must open, deliver only what was appended, in order and once, and go on.
#![no_main]

use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use store::journal::{Append, Journal, Kind, Settings, verify};
use store::key::Key;
use store::position::Position;

fuzz_target!(|changes: &[u8]| {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a directory");
    let settings = settings(dir.path());
    std::fs::create_dir(&settings.dir).expect("make the journal's directory");
    std::fs::write(settings.dir.join(FIRST_SEGMENT), changed(changes)).expect("write the segment");
    let Ok((journal, _)) = Journal::open(settings.clone()) else {
        // Both copies of the header say another version or another key: refused on purpose.
        return;
    };
    let mut reader = journal.reader(Position::FIRST);
    let mut last = 0;
    while let Some(record) = reader.next().expect("read") {
        assert!(record.position.0 > last);
        last = record.position.0;
        assert_eq!(record.body, body(last));
    }
    append(&journal, body(0));
    assert_eq!(reader.next().expect("read").expect("the new record").body, body(0));
    drop(journal);
    verify(&settings.dir, &settings.key).expect("verify");
});

/// Four bytes a change: what, where (two), and with which value.
fn changed(changes: &[u8]) -> Vec<u8> {
    let mut segment = original().clone();
    for change in changes.chunks_exact(4) {
        let at = usize::from(u16::from_le_bytes([change[1], change[2]]));
        match change[0] % 4 {
            0 if at < segment.len() => segment[at] = change[3],
            1 => segment.truncate(at),
            2 => segment.extend(std::iter::repeat_n(change[3], at % 512)),
            3 if at < segment.len() => {
                let end = segment.len().min(at + usize::from(change[3]));
                segment.copy_within(at..end, 4096.min(segment.len() - (end - at)));
            }
            _ => {}
        }
    }
    segment
}

fn original() -> &'static Vec<u8> {
    static ORIGINAL: OnceLock<Vec<u8>> = OnceLock::new();
    ORIGINAL.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a directory");
        let settings = settings(dir.path());
        let (journal, _) = Journal::open(settings.clone()).expect("open");
        (1..=8).for_each(|position| append(&journal, body(position)));
        drop(journal);
        std::fs::read(settings.dir.join(FIRST_SEGMENT)).expect("read the segment")
    })
}

fn body(position: u64) -> Vec<u8> {
    vec![position as u8; 40 * position as usize]
}

fn append(journal: &Journal, body: Vec<u8>) {
    let post = Append { kind: Kind::Post, receiver: Arc::from("mall"), received_at_ms: 1, body, batch: None, held: Box::new(()) };
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

const FIRST_SEGMENT: &str = "00000000000000000001.seg";
