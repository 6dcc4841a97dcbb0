//! Keys are made once, live for their time, and are gone for good.

use std::cell::Cell;

use super::book::BOOK_LINES_MAX;
use super::*;

const HOUR: i64 = 3_600;
const DAY: i64 = 86_400;

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
}

fn rule() -> Rule {
    let divide = |at: i64| (at.div_euclid(DAY) * DAY, at.div_euclid(DAY) * DAY + DAY);
    Rule { kind: "day-New_York".to_owned(), divide: Box::new(divide), grace_s: HOUR, now: || NOW.get() }
}

/// The key of a second, asked for at another.
fn key(ring: &mut Ring, at: i64, now: i64) -> Option<[u8; 32]> {
    NOW.set(now);
    ring.of(at).unwrap().key.map(|key| *key.bytes())
}

/// Everything that arrived up to now is named.
fn destroy(ring: &mut Ring, now: i64) -> usize {
    NOW.set(now);
    ring.destroy_due(now).unwrap()
}

#[test]
fn a_key_lives_for_its_epoch_and_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    let first = key(&mut ring, 100, 110);
    assert_eq!((ring.alive()[0].epoch, ring.alive()[0].until), (Epoch { from: 0, to: DAY }, DAY + HOUR));
    assert_eq!(key(&mut ring, DAY - 1, 90_000), first, "told late, and named as it was when it was seen");
    let second = key(&mut ring, DAY, 90_000);
    assert!(first.is_some() && second.is_some() && first != second);
    assert!(!ring.has_due(DAY + HOUR - 1));
    assert_eq!((destroy(&mut ring, DAY + HOUR - 1), destroy(&mut ring, DAY + HOUR)), (0, 1));
    assert_eq!(key(&mut ring, 100, 90_100), None, "what comes later cannot be named");
    let names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.starts_with("day-New_York_0_")), "{names:?}");
}

#[test]
fn posts_that_wait_are_named_before_a_key_is_destroyed() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    let first = key(&mut ring, 100, 110);
    NOW.set(10 * DAY);
    assert_eq!(ring.destroy_due(DAY).unwrap(), 0);
    assert_eq!(key(&mut ring, 100, 10 * DAY), first);
}

#[test]
fn another_start_finds_the_same_keys_and_the_same_gaps() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    key(&mut ring, 100, 110);
    let second = key(&mut ring, DAY, 90_000);
    destroy(&mut ring, DAY + HOUR);
    let mut again = Ring::open(dir.path(), rule()).unwrap();
    assert_eq!((key(&mut again, 100, 100_000), key(&mut again, DAY, 100_000)), (None, second));
    assert_eq!(again.born_at(), Some(110));
    let (ended, before) = again.to_clear().unwrap();
    assert_eq!((ended.epoch, ended.made_at, ended.destroyed_at, before), (Epoch { from: 0, to: DAY }, 110, DAY + HOUR, i64::MIN));
    NOW.set(95_000);
    again.cleared(&ended, 7).unwrap();
    assert_eq!(again.to_clear(), None);
    let last = Ring::open(dir.path(), rule()).unwrap();
    assert_eq!((last.to_clear(), last.ended()[0].cleared, last.ended_until()), (None, Some((95_000, 7)), Some(DAY)));
}

#[test]
fn a_destruction_that_was_interrupted_is_finished() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    key(&mut ring, 100, 110);
    let path = dir.path().join("day-New_York_0_86400_110.key");
    let kept = fs::read(&path).unwrap();
    destroy(&mut ring, DAY + HOUR);
    // As after a power cut between the line in the book and the end of the file.
    fs::write(&path, kept).unwrap();
    let mut again = Ring::open(dir.path(), rule()).unwrap();
    assert!(!path.exists() && again.alive().is_empty());
    assert_eq!(key(&mut again, 100, 100_000), None);
}

#[test]
fn a_torn_line_of_the_book_is_cut_off_and_a_strange_one_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    key(&mut ring, 100, 110);
    destroy(&mut ring, DAY + HOUR);
    let book = dir.path().join(BOOK);
    let whole = fs::read_to_string(&book).unwrap();
    fs::write(&book, &whole[..whole.len() - 3]).unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    assert!(ring.ended().is_empty());
    // The next line stands alone.
    key(&mut ring, 200, 110);
    destroy(&mut ring, DAY + HOUR);
    assert_eq!(Ring::open(dir.path(), rule()).unwrap().ended().len(), 1);
    fs::write(&book, format!("{whole}nonsense\tday\t1\n")).unwrap();
    assert!(Ring::open(dir.path(), rule()).unwrap_err().to_string().contains("nonsense"));
}

#[test]
fn the_book_is_bounded_and_forgets_the_oldest() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    key(&mut ring, 100, 110);
    destroy(&mut ring, DAY + HOUR);
    let book = dir.path().join(BOOK);
    let lines = |n: i64| format!("destroyed\tx\t{n}\t{n}\t0\t0\ncleared\tx\t{n}\t{n}\t0\t1\t2\n");
    let more: String = (0..BOOK_LINES_MAX as i64).map(lines).collect();
    fs::write(&book, fs::read_to_string(&book).unwrap() + &more).unwrap();
    let ring = Ring::open(dir.path(), rule()).unwrap();
    assert_eq!(ring.ended().len(), BOOK_LINES_MAX / 2 + 1);
    assert_eq!((ring.ended()[0].cleared, ring.ended().last().unwrap().cleared), (None, Some((1, 2))), "what is not done is not forgotten");
}

#[test]
fn an_old_sample_gets_a_key_that_lives_for_an_hour() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    let now = 1_000 * DAY;
    let old = key(&mut ring, 100, now);
    assert_eq!((ring.alive()[0].epoch.to, ring.alive()[0].until), (DAY, now + HOUR));
    assert_eq!(key(&mut ring, 200, now + 60), old);
    key(&mut ring, now, now);
    destroy(&mut ring, now + HOUR);
    assert_eq!(key(&mut ring, 200, now + HOUR), None);
    assert_eq!(ring.alive().len(), 1, "the key of today lives");
}

#[test]
fn a_clock_that_was_ahead_costs_a_pseudonym_and_no_sighting() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    let first = key(&mut ring, 100, 110);
    destroy(&mut ring, 10 * DAY);
    let second = key(&mut ring, 200, 210);
    assert!(second.is_some() && second != first);
    destroy(&mut ring, 2 * DAY);
    assert_eq!(Ring::open(dir.path(), rule()).unwrap().ended().len(), 2, "both are in the book");
    // A key that was made under such a clock does not live until it is right.
    key(&mut ring, 50 * DAY, 5_000 * DAY);
    for hours in [0, 1] {
        NOW.set(60 * DAY + hours * HOUR);
        ring.mind_the_clock();
        assert_eq!(ring.alive()[0].until, 60 * DAY + HOUR, "it is not put off each time");
    }
    assert_eq!(ring.destroy_due(60 * DAY + HOUR).unwrap(), 1);
}

#[test]
fn another_rule_ends_what_runs_and_must_be_cleared_first() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    key(&mut ring, 100, 110);
    let other = || Rule { kind: "extended28-UTC".to_owned(), divide: Box::new(|_| (0, 28 * DAY)), ..rule() };
    let mut ring = Ring::open(dir.path(), other()).unwrap();
    assert!(ring.has_due(500) && ring.born_at().is_none());
    destroy(&mut ring, 500);
    assert!(ring.must_clear_first());
    let (ended, _) = ring.to_clear().unwrap();
    assert_eq!(ended.epoch, Epoch { from: 0, to: 621 }, "with what was seen ahead");
    ring.cleared(&ended, 0).unwrap();
    let ring = Ring::open(dir.path(), other()).unwrap();
    assert!(!ring.must_clear_first() && ring.alive().is_empty());
}

#[test]
fn a_key_for_good_is_ended_by_a_rule() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("client.key");
    Key::random().unwrap().write_new(&path).unwrap();
    let mut ring = Ring::open(&dir.path().join("epochs"), rule()).unwrap();
    ring.end_foreign("static", &path, 5);
    assert_eq!(destroy(&mut ring, 1_000), 1);
    assert!(!path.exists() && ring.must_clear_first() && !ring.has_foreign());
    let (ended, before) = Ring::open(&dir.path().join("epochs"), rule()).unwrap().to_clear().unwrap();
    assert_eq!((ended.epoch, before), (Epoch { from: i64::MIN, to: 1_121 }, i64::MIN));
}

#[test]
fn what_is_cleared_begins_where_a_key_in_use_ends() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    let now = 1_000 * DAY;
    key(&mut ring, 20 * DAY, now - HOUR);
    key(&mut ring, 10 * DAY, now);
    destroy(&mut ring, now);
    let (ended, before) = ring.to_clear().unwrap();
    assert_eq!((ended.epoch.from, before), (20 * DAY, 11 * DAY));
    assert_eq!(ring.ended_until(), Some(10 * DAY));
}

#[test]
fn keys_in_use_are_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    key(&mut ring, 0, 0);
    let one = ring.alive[0].clone();
    ring.alive = (0..ALIVE_MAX as i64).map(|at| Alive { epoch: Epoch { from: at, to: at }, ..one.clone() }).collect();
    assert_eq!(key(&mut ring, 500 * DAY, 500 * DAY), None);
}

#[test]
fn half_a_key_is_none_and_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    let whole = key(&mut ring, DAY, DAY);
    // As after a kill while one was made, and while one was overwritten.
    for (name, bytes) in [("day-New_York_0_86400_110.key", &b""[..]), ("day-New_York_0_86400_111.key", &[0; 65])] {
        fs::write(dir.path().join(name), bytes).unwrap();
    }
    assert_eq!(Ring::read(dir.path(), rule()).unwrap().alive().len(), 1);
    let mut again = Ring::open(dir.path(), rule()).unwrap();
    assert_eq!(key_files(dir.path()).unwrap().len(), 1);
    assert_eq!(key(&mut again, DAY, DAY), whole);
}

#[test]
fn a_key_that_cannot_be_destroyed_holds_no_other_up() {
    let dir = tempfile::tempdir().unwrap();
    let mut ring = Ring::open(dir.path(), rule()).unwrap();
    key(&mut ring, 0, 0);
    key(&mut ring, DAY, DAY);
    // A directory in its place can be neither written nor removed as a file.
    let path = ring.alive()[0].path.clone();
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    NOW.set(3 * DAY);
    for _ in 0..2 {
        assert!(ring.destroy_due(3 * DAY).is_err());
        assert_eq!((ring.alive().len(), ring.ended().len()), (1, 1));
    }
    let book = fs::read_to_string(dir.path().join(BOOK)).unwrap();
    assert_eq!(book.lines().filter(|line| line.starts_with("destroyed")).count(), 2, "each is written down once");
    fs::remove_dir(&path).unwrap();
    assert_eq!(ring.destroy_due(3 * DAY).unwrap(), 1);
}

#[test]
fn names_are_remembered() {
    let dir = tempfile::tempdir().unwrap();
    let ring = Ring::open(dir.path(), rule()).unwrap();
    let names = |receiver: &str, site: &str| Names { receivers: [receiver.to_owned()].into(), sites: [site.to_owned()].into() };
    ring.names(&names("mall", "a\tsite\n")).unwrap();
    let both = ring.names(&names("shop", "b")).unwrap();
    assert_eq!(both, Names { receivers: ["mall".to_owned(), "shop".to_owned()].into(), sites: ["a\tsite\n".to_owned(), "b".to_owned()].into() });
    assert_eq!(Ring::open(dir.path(), rule()).unwrap().names(&Names::default()).unwrap(), both);
}
