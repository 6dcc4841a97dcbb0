//! Limits, what goes when, preparation, and positions that never go back.

use std::fs;
use std::sync::atomic::{AtomicI64, Ordering};

use super::*;

#[test]
fn a_full_journal_refuses_stays_readable_and_takes_posts_again_when_applied() {
    let mut place = place();
    place.settings.max_bytes = 3 * place.settings.segment_bytes;
    let (journal, _) = place.open();
    let body = vec![3; 18_000];
    let mut kept = 0;
    while append(&journal, post(&body)).is_ok() {
        kept += 1;
        journal.tend();
        assert!(kept < 20, "the limit holds");
        assert!(bytes_on_disk(&place) <= place.settings.max_bytes);
    }
    assert_eq!(kept, 9);
    assert_eq!(journal.status().state, State::Full);
    assert_eq!(read_bodies(&journal).len(), 9);
    journal.applied(Position(3));
    assert!(matches!(append(&journal, post(&body)), Err(AppendError::Full)), "a segment goes whole");
    journal.applied(Position(4));
    assert_eq!(append(&journal, post(&body)).unwrap().position, Position(10));
    assert_eq!((journal.status().state, journal.first_position()), (State::Ready, Position(4)));
    assert_eq!(read_bodies(&journal).first().unwrap().0, 4);
}

fn bytes_on_disk(place: &Place) -> u64 {
    let files = fs::read_dir(&place.settings.dir).unwrap().map(|entry| entry.unwrap());
    files.filter(|file| file.file_name() != "lock" && file.file_name() != "journal.id").map(|file| file.metadata().unwrap().len()).sum()
}

#[test]
fn applied_segments_go_when_their_time_is_over_and_not_before() {
    static NOW: AtomicI64 = AtomicI64::new(NOON_MS);
    fn now() -> i64 {
        NOW.load(Ordering::SeqCst)
    }
    let mut place = place();
    place.settings.now_ms = now;
    let (journal, _) = place.open();
    let body = vec![3; 18_000];
    for _ in 0..7 {
        append(&journal, post_at(now(), &body)).unwrap();
    }
    journal.applied(Position(6));
    NOW.store(NOON_MS + 899_999, Ordering::SeqCst);
    journal.tend();
    assert_eq!((journal.first_position(), journal.status().records), (Position(1), 7));
    NOW.store(NOON_MS + 900_000, Ordering::SeqCst);
    journal.tend();
    assert_eq!((journal.first_position(), journal.status().records), (Position(4), 4), "the second is not applied whole");
    journal.applied(Position(7));
    journal.tend();
    assert_eq!(journal.first_position(), Position(7));
    assert_eq!(place.segments().len(), 2, "the third was old too and is finished");
    assert_eq!(journal.status().oldest_received_ms, Some(NOON_MS));
}

#[test]
fn positions_never_go_back_when_everything_is_applied_and_gone() {
    static NOW: AtomicI64 = AtomicI64::new(NOON_MS);
    fn now() -> i64 {
        NOW.load(Ordering::SeqCst)
    }
    let mut place = place();
    place.settings.now_ms = now;
    let (journal, _) = place.open();
    append_bodies(&journal, &[b"one", b"two", b"three"]);
    drop(journal);
    NOW.store(NOON_MS + 1_000_000_000, Ordering::SeqCst);
    for _ in 0..3 {
        let (journal, recovered) = place.open();
        assert_eq!(recovered.next, Position(4));
        journal.applied(Position(4));
        journal.tend();
        let status = journal.status();
        assert_eq!((status.records, journal.first_position(), place.segments().len()), (0, Position(4), 1));
        assert_eq!(status.oldest_received_ms, None);
    }
    let (journal, _) = place.open();
    assert_eq!(append(&journal, post(b"four")).unwrap().position, Position(4));
    assert_eq!(read_bodies(&journal), [(4, b"four".to_vec())]);
}

#[test]
fn an_old_segment_is_finished_although_it_is_not_full() {
    static NOW: AtomicI64 = AtomicI64::new(NOON_MS);
    fn now() -> i64 {
        NOW.load(Ordering::SeqCst)
    }
    let mut place = place();
    (place.settings.now_ms, place.settings.keep) = (now, Duration::from_secs(5));
    let (journal, _) = place.open();
    NOW.fetch_add(3_600_000, Ordering::SeqCst);
    journal.tend();
    append_bodies(&journal, &[b"one"]);
    assert_eq!(place.segments().len(), 1);
    journal.tend();
    append_bodies(&journal, &[b"two"]);
    assert_eq!(place.segments().len(), 2);
    NOW.fetch_add(59_999, Ordering::SeqCst);
    journal.tend();
    append_bodies(&journal, &[b"three"]);
    assert_eq!(place.segments().len(), 2, "not within a minute");
    assert_eq!(read_bodies(&journal), numbered(&[b"one", b"two", b"three"]));
}

#[test]
fn the_next_segment_is_made_ready_counted_and_used() {
    let place = place();
    let (journal, _) = place.open();
    let body = vec![3; 18_000];
    append(&journal, post(&body)).unwrap();
    journal.tend();
    let prepared = place.settings.dir.join("prepared.tmp");
    assert_eq!(fs::metadata(&prepared).unwrap().len(), 64 * 1024);
    assert_eq!(journal.status().bytes, 2 * 64 * 1024);
    for _ in 0..3 {
        append(&journal, post(&body)).unwrap();
    }
    assert_eq!((prepared.exists(), place.segments().len()), (false, 2));
    journal.tend();
    assert_eq!(journal.status().bytes, bytes_on_disk(&place));
    drop(journal);
    let left: u64 = place.segments().iter().map(|path| fs::metadata(path).unwrap().len()).sum();
    assert_eq!(left, 2 * codec::BLOCK_BYTES + 4 * record_bytes(body.len(), 4), "nothing is left that holds nothing");
    assert!(!prepared.exists());
}

#[test]
fn a_killed_process_leaves_no_room_taken() {
    let place = place();
    let (journal, _) = place.open();
    append_bodies(&journal, &[b"one"]);
    let copy = place.copy();
    assert_eq!(fs::metadata(copy.newest()).unwrap().len(), 64 * 1024);
    let (journal, recovered) = copy.open();
    assert_eq!((recovered.torn, read_bodies(&journal)), (0, numbered(&[b"one"])));
    assert_eq!(fs::metadata(&copy.segments()[0]).unwrap().len(), codec::BLOCK_BYTES + record_bytes(3, 4));
}
