//! The promises at the head of `journal.rs`, one by one. The disk that fails is in `faults`, the one that cannot be read in `sectors`, damage
//! in `damage`, the model in `model`, all threads at once in `together`.

mod astray;
mod damage;
mod faults;
mod golden;
mod model;
mod sectors;
mod space;
mod together;

use std::fs;
use std::ops::Range;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;
use crate::batch::Batch;

const NOON_MS: i64 = 1_700_000_000_000;

/// A directory for a journal and what opens it.
struct Place {
    dir: tempfile::TempDir,
    settings: Settings,
}

/// Nothing happens by itself: a test calls [`Journal::tend`].
const STILL: Tuning = Tuning { retry: Duration::ZERO, tick: None, group_bytes_max: 8 * 1024 * 1024 };

fn noon() -> i64 {
    NOON_MS
}

/// In memory where there is such a place: these tests open thousands of journals, and what a disk adds is time.
fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn place() -> Place {
    let dir = directory();
    let settings = Settings {
        dir: dir.path().join("journal"),
        quarantine: dir.path().join("quarantine"),
        key: Key::from_bytes([9; 32]),
        segment_bytes: 64 * 1024,
        max_bytes: 1024 * 1024,
        free_min_bytes: 0,
        keep: Duration::from_secs(900),
        record_bytes_max: 32 * 1024,
        tail_bytes_max: 1 << 20,
        now_ms: noon,
    };
    Place { dir, settings }
}

impl Place {
    fn open(&self) -> (Journal, Recovered) {
        Journal::open_on(self.settings.clone(), Arc::new(disk::System), STILL).unwrap()
    }

    /// A copy of the directory as it stands: what a killed process leaves.
    fn copy(&self) -> Self {
        let copy = Self { dir: directory(), settings: self.settings.clone() };
        let settings = Settings { dir: copy.dir.path().join("journal"), quarantine: copy.dir.path().join("quarantine"), ..self.settings.clone() };
        fs::create_dir(&settings.dir).unwrap();
        for entry in fs::read_dir(&self.settings.dir).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), settings.dir.join(entry.file_name())).unwrap();
        }
        Self { settings, ..copy }
    }

    fn segments(&self) -> Vec<PathBuf> {
        recover::list(&self.settings.dir).unwrap().into_iter().map(|(_, path)| path).collect()
    }

    fn newest(&self) -> PathBuf {
        self.segments().pop().unwrap()
    }
}

/// Whether the long forms of the tests run: `make soak`.
fn soak() -> bool {
    std::env::var_os("FOOTFALL_SOAK").is_some_and(|value| value != "0")
}

fn post(body: &[u8]) -> Append {
    post_at(NOON_MS, body)
}

fn post_at(received_at_ms: i64, body: &[u8]) -> Append {
    let batch = Some(Box::new(Batch { received_at_ms, ..Batch::default() }));
    Append { kind: Kind::Post, receiver: Arc::from("mall"), received_at_ms, body: body.to_vec(), batch, held: Box::new(()) }
}

/// Runs appends that are in the queue together, so that they make one group.
fn append_together(journal: &Journal, posts: Vec<Append>) -> Vec<Result<Appended, AppendError>> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut waiting = Vec::new();
        for post in posts {
            waiting.push(journal.shared.queue.push(post).await);
        }
        let mut answers = Vec::new();
        for waiting in waiting {
            answers.push(match waiting {
                Ok(answer) => answer.await.unwrap(),
                Err(error) => Err(error),
            });
        }
        answers
    })
}

fn append(journal: &Journal, post: Append) -> Result<Appended, AppendError> {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(journal.append(post))
}

fn append_bodies(journal: &Journal, bodies: &[&[u8]]) {
    for body in bodies {
        append(journal, post(body)).unwrap();
    }
}

/// One group for certain: they are put into the queue under one lock.
fn commit_together(journal: &Journal, posts: Vec<Append>) {
    for answer in journal.shared.queue.push_together(posts) {
        answer.blocking_recv().unwrap().unwrap();
    }
}

fn read_all(journal: &Journal) -> Vec<Record> {
    let mut reader = journal.reader(Position::FIRST);
    let mut records = Vec::new();
    while let Some(record) = reader.next().unwrap() {
        records.push(record);
    }
    assert_eq!(reader.position(), journal.durable().next);
    records
}

fn read_bodies(journal: &Journal) -> Vec<(u64, Vec<u8>)> {
    read_all(journal).into_iter().map(|record| (record.position.0, record.body)).collect()
}

/// Where each record of a segment stands, by walking the file as it was written.
fn ranges(path: &Path) -> Vec<(u64, Range<usize>)> {
    let raw = fs::read(path).unwrap();
    let mut at = codec::BLOCK_BYTES as usize;
    let mut ranges = Vec::new();
    while let Some((head, _)) = codec::RecordHead::decode(&raw[at..]) {
        ranges.push((head.position, at..at + head.total_bytes() as usize));
        at += head.total_bytes() as usize;
        if at + codec::HEAD_BYTES > raw.len() {
            break;
        }
    }
    ranges
}

fn numbered(bodies: &[&[u8]]) -> Vec<(u64, Vec<u8>)> {
    (1..).zip(bodies.iter().map(|body| body.to_vec())).collect()
}

#[test]
fn what_was_appended_is_read_back_now_and_after_a_restart() {
    let place = place();
    let (journal, recovered) = place.open();
    let fresh = Recovered { next: Position(1), first: Position(1), records: 0, torn: 0, corrupt: 0, last_received_ms: None };
    assert_eq!(recovered, fresh);
    let id = journal.id();
    let appended = append(&journal, post(b"one")).unwrap();
    assert_eq!((appended.position, appended.body.as_slice()), (Position(1), &b"one"[..]));
    let unknown = Append { kind: Kind::Unknown, receiver: Arc::from("station"), ..post_at(NOON_MS + 5, b"") };
    append(&journal, unknown).unwrap();
    let expected = read_all(&journal);
    assert_eq!(
        expected[1],
        Record { position: Position(2), kind: Kind::Unknown, receiver: Arc::from("station"), received_at_ms: NOON_MS + 5, body: Vec::new() }
    );
    let durable = journal.durable();
    assert_eq!((durable.next, durable.records, durable.unknown), (Position(3), 2, 1));
    journal.stop();
    assert!(matches!(append(&journal, post(b"late")), Err(AppendError::Stopped)));
    assert_eq!(read_all(&journal), expected, "a stopped journal is still readable");
    let (journal, recovered) = place.open();
    assert_eq!((recovered.next, recovered.first, recovered.records), (Position(3), Position(1), 2));
    assert_eq!((recovered.torn, recovered.corrupt, recovered.last_received_ms), (0, 0, Some(NOON_MS + 5)));
    assert_eq!((journal.id(), read_all(&journal)), (id, expected));
    assert_eq!(fs::read_to_string(place.settings.dir.join(ID_NAME)).unwrap(), format!("{id}\n"));
}

#[test]
fn a_reader_follows_the_journal_through_segments_and_restarts_anywhere() {
    let place = place();
    let (journal, _) = place.open();
    let mut reader = journal.reader(Position(1));
    let bodies: Vec<Vec<u8>> = (0..200_u32).map(|at| vec![at as u8; 2000 + at as usize]).collect();
    for (body, position) in bodies.iter().zip(1..) {
        assert_eq!(reader.next().unwrap(), None);
        append(&journal, post(body)).unwrap();
        assert_eq!(reader.position(), Position(position));
        assert_eq!(reader.next().unwrap().unwrap().body, *body);
        journal.tend();
    }
    assert!(place.segments().len() > 5);
    for from in [1, 2, 33, 100, 200] {
        reader.seek(Position(from));
        let record = reader.next_before(Position(201)).unwrap().unwrap();
        assert_eq!((record.position.0, record.body), (from, bodies[from as usize - 1].clone()));
        assert_eq!(reader.next_before(Position(from + 1)).unwrap(), None);
        assert_eq!(reader.position(), Position(from + 1));
    }
    reader.seek(Position(50));
    assert_eq!(reader.next_before(Position(50)).unwrap(), None);
    assert_eq!(read_all(&journal).len(), 200);
    assert_eq!(journal.status().corrupt, 0);
}

#[test]
fn the_received_time_never_goes_back_and_the_tail_has_the_same() {
    let place = place();
    let (journal, _) = place.open();
    for received in [NOON_MS, NOON_MS - 10, -4, NOON_MS + 1] {
        append(&journal, post_at(received, b"x")).unwrap();
    }
    let mut times = Vec::new();
    for position in 1..=4 {
        let Taken::Batch(batch) = journal.tail().try_take(Position(position)) else { panic!("not in the tail") };
        times.push(batch.received_at_ms);
    }
    assert_eq!(times, [NOON_MS, NOON_MS, NOON_MS, NOON_MS + 1]);
    drop(journal);
    // Also across two restarts without a post between.
    drop(place.open());
    let (journal, recovered) = place.open();
    assert_eq!(recovered.last_received_ms, Some(NOON_MS + 1));
    append(&journal, post_at(1, b"x")).unwrap();
    let read: Vec<_> = read_all(&journal).into_iter().map(|record| record.received_at_ms).collect();
    assert_eq!(read, [NOON_MS, NOON_MS, NOON_MS, NOON_MS + 1, NOON_MS + 1]);
}

#[test]
fn what_the_tail_does_not_hold_is_read_from_disk() {
    let mut place = place();
    place.settings.tail_bytes_max = 2 * (size_of::<Batch>() + 64);
    let (journal, _) = place.open();
    for at in 0..6_u8 {
        let kind = if at == 1 { Kind::Unknown } else { Kind::Post };
        append(&journal, Append { kind, ..post(&[at]) }).unwrap();
    }
    let (mut next, mut from_tail, mut from_disk) = (Position(1), Vec::new(), Vec::new());
    let mut reader = journal.reader(next);
    loop {
        match journal.tail().try_take(next) {
            Taken::Batch(_) => {
                from_tail.push(next.0);
                next = next.next();
            }
            Taken::Disk(until) => {
                reader.seek(next);
                while let Some(record) = reader.next_before(until).unwrap() {
                    from_disk.push(record.position.0);
                }
                next = until;
            }
            Taken::Nothing | Taken::Stopped => break,
        }
    }
    assert_eq!((from_tail, from_disk, next), (vec![1, 3], vec![2, 4, 5, 6], Position(7)));
}

#[test]
fn a_second_process_a_wrong_key_and_a_newer_format_are_refused_and_change_nothing() {
    let place = place();
    let (journal, _) = place.open();
    assert!(matches!(Journal::open(place.settings.clone()), Err(OpenError::Locked { .. })));
    append_bodies(&journal, &[b"one"]);
    assert!(exists(&place.settings.dir) && !exists(place.dir.path()) && !exists(&place.dir.path().join("none")));
    drop(journal);
    let before: Vec<_> = place.segments().iter().map(|path| fs::read(path).unwrap()).collect();
    let wrong = Settings { key: Key::from_bytes([8; 32]), ..place.settings.clone() };
    assert!(matches!(Journal::open(wrong), Err(OpenError::WrongKey { .. })));
    let newer = place.copy();
    let mut raw = fs::read(newer.newest()).unwrap();
    (raw[8], raw[codec::SECOND_COPY + 8]) = (9, 9);
    fs::write(newer.newest(), &raw).unwrap();
    assert!(matches!(Journal::open(newer.settings.clone()), Err(OpenError::Newer { version: 9, .. })));
    assert_eq!(fs::read(newer.newest()).unwrap(), raw);
    assert_eq!(place.segments().iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>(), before);
    assert_eq!(read_bodies(&place.open().0), numbered(&[b"one"]));
}

#[test]
fn nothing_of_a_post_stands_on_disk_in_plain_bytes_and_only_the_owner_reads() {
    let place = place();
    let (journal, _) = place.open();
    let body = b"{\"clientMac\":\"12:34:56:78:9a:bc\"}";
    append_bodies(&journal, &[body, body]);
    drop(journal);
    let mut seen = 0;
    for entry in fs::read_dir(&place.settings.dir).unwrap() {
        let entry = entry.unwrap();
        let raw = fs::read(entry.path()).unwrap();
        for word in [&b"clientMac"[..], b"12:34:56", b"mall", &[9; 32]] {
            assert!(memchr::memmem::find(&raw, word).is_none(), "plain bytes in {:?}", entry.file_name());
        }
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
        seen += 1;
    }
    assert!(seen >= 3, "segment, name and lock");
    assert_eq!(fs::metadata(&place.settings.dir).unwrap().permissions().mode() & 0o777, 0o700);
    // The same body twice gives other bytes: no nonce is used twice.
    let raw = fs::read(&place.segments()[0]).unwrap();
    let (first, second) = (codec::BLOCK_BYTES as usize + 32, codec::BLOCK_BYTES as usize + 32 + record_bytes(body.len(), 4) as usize);
    assert_ne!(raw[first..first + 38], raw[second..second + 38]);
}

#[test]
fn a_fenced_journal_takes_nothing_and_gives_everything() {
    let place = place();
    let (journal, _) = place.open();
    append_bodies(&journal, &[b"one"]);
    journal.fence();
    assert!(matches!(append(&journal, post(b"two")), Err(AppendError::Fenced)));
    assert_eq!((journal.status().state, read_bodies(&journal)), (State::Fenced, numbered(&[b"one"])));
}

#[test]
fn the_memory_claim_of_a_post_goes_when_it_is_durable_or_refused() {
    struct Claim(Arc<AtomicI64>);
    impl Drop for Claim {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::SeqCst);
        }
    }
    let place = place();
    let (journal, _) = place.open();
    let held = Arc::new(AtomicI64::new(3));
    let claim = |size: usize| Append { held: Box::new(Claim(Arc::clone(&held))), ..post(&vec![1; size]) };
    append(&journal, claim(10)).unwrap();
    assert_eq!(held.load(Ordering::SeqCst), 2);
    assert!(matches!(append(&journal, claim(32 * 1024)), Err(AppendError::TooLarge)));
    assert_eq!(held.load(Ordering::SeqCst), 1);
    journal.stop();
    assert!(matches!(append(&journal, claim(10)), Err(AppendError::Stopped)));
    assert_eq!(held.load(Ordering::SeqCst), 0);
}

#[test]
fn the_sizes_that_the_configuration_is_checked_with_are_exact() {
    let mut place = place();
    let body = vec![7; 3000];
    place.settings.record_bytes_max = record_bytes(body.len(), 4);
    place.settings.segment_bytes = segment_bytes_min(place.settings.record_bytes_max);
    place.settings.max_bytes = max_bytes_min(place.settings.segment_bytes);
    let (journal, _) = place.open();
    append(&journal, post(&body)).unwrap();
    assert!(matches!(append(&journal, post(&[7; 3001])), Err(AppendError::TooLarge)));
    // Applied posts make room for ever: with the smallest limits the journal goes on.
    for position in 2..20 {
        journal.applied(Position(position));
        assert_eq!(append(&journal, post(&body)).unwrap().position, Position(position));
    }
    assert_eq!(fs::metadata(place.newest()).unwrap().len(), place.settings.segment_bytes);
}

#[test]
fn groups_are_bounded_in_bytes_and_answered_in_order() {
    let place = place();
    let tuning = Tuning { group_bytes_max: 1000, ..STILL };
    let (journal, _) = Journal::open_on(place.settings.clone(), Arc::new(disk::System), tuning).unwrap();
    let bodies: Vec<Vec<u8>> = (0..100_u8).map(|at| vec![at; 30 * usize::from(at)]).collect();
    let answers = append_together(&journal, bodies.iter().map(|body| post(body)).collect());
    let positions: Vec<_> = answers.into_iter().map(|answer| answer.unwrap().position.0).collect();
    assert_eq!(positions, (1..=100).collect::<Vec<_>>());
    let read: VecDeque<_> = read_bodies(&journal).into();
    assert!(read.into_iter().zip(bodies).all(|((_, read), body)| read == body));
    assert!(place.segments().len() > 1);
}

#[test]
fn the_commands_see_what_is_there_beside_a_running_process() {
    let place = place();
    let (journal, _) = place.open();
    append_bodies(&journal, &[b"one", b"two"]);
    append(&journal, Append { kind: Kind::Unknown, ..post_at(NOON_MS + 7, b"v1") }).unwrap();
    let report = verify(&place.settings.dir, &place.settings.key).unwrap();
    assert!(report.is_whole());
    assert_eq!((report.records, report.segments.len()), (3, 1));
    let segment = &report.segments[0];
    assert_eq!((segment.header, segment.unknown, segment.journal), (HeaderState::Whole, 1, Some(journal.id())));
    assert_eq!(segment.positions, Some((Position(1), Position(3))));
    assert_eq!(segment.received_ms, Some((NOON_MS, NOON_MS + 7)));
    let wrong = verify(&place.settings.dir, &Key::from_bytes([1; 32])).unwrap();
    assert!(!wrong.is_whole());
    let mut raw = fs::read(place.newest()).unwrap();
    raw[codec::BLOCK_BYTES as usize + 40] ^= 1;
    let copy = place.copy();
    fs::write(copy.newest(), raw).unwrap();
    let damaged = inspect(&copy.settings.dir, None).unwrap();
    let place_of_it = Damage { offset: codec::BLOCK_BYTES, bytes: record_bytes(3, 4), unfinished: false };
    assert_eq!((damaged[0].records, damaged[0].damages.as_slice()), (2, &[place_of_it][..]));
}
