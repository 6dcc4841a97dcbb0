//! Bytes in the wrong place: writes that went astray, what another segment left, two damaged places at once, and files that are gone.

use std::fs;

use super::*;
use crate::journal::codec::{BLOCK_BYTES, RecordHead, SECOND_COPY};

/// Two segments of as many records, several of them to a page. The last four make one group.
fn written() -> (Place, Vec<Record>) {
    let place = place();
    for base in [1, 1 + EACH] {
        let (journal, _) = place.open();
        let body = |at: u64| vec![at as u8; BODY_BYTES];
        (base..base + EACH - 4).for_each(|at| drop(append(&journal, post(&body(at))).unwrap()));
        commit_together(&journal, (base + EACH - 4..base + EACH).map(|at| Append { kind: Kind::Unknown, ..post(&body(at)) }).collect());
    }
    let (journal, _) = place.open();
    let expected = read_all(&journal);
    drop(journal);
    fs::remove_file(place.newest()).unwrap();
    assert_eq!((expected.len() as u64, place.segments().len()), (2 * EACH, 2));
    (place, expected)
}

const EACH: u64 = 17;
const BODY_BYTES: usize = 850;
const PAGE: usize = 4096;

/// Opens a changed copy, lets it go on, and checks that what was not touched is there in order and once, now and after another start.
fn hold(copy: &Place, expected: &[Record], untouched: impl Fn(&Record) -> bool, what: &str) -> Status {
    let (journal, _) = copy.open();
    append(&journal, post(b"after")).unwrap();
    let mut read = read_all(&journal);
    let after = read.pop().unwrap();
    assert_eq!(after.body, b"after", "{what}");
    let last = expected.iter().filter(|record| untouched(record)).map(|record| record.position).max();
    assert!(last.is_none_or(|last| after.position > last), "{what}");
    // A touched record may be there all the same, when its bytes stand elsewhere; nothing else may.
    let kept: Vec<_> = read.iter().filter(|record| untouched(record)).collect();
    assert_eq!(kept, expected.iter().filter(|record| untouched(record)).collect::<Vec<_>>(), "{what}");
    assert!(read.iter().all(|record| expected.contains(record)) && read.is_sorted_by(|a, b| a.position < b.position), "{what}");
    let status = journal.status();
    drop(journal);
    let (journal, recovered) = copy.open();
    assert_eq!(recovered.torn, 0, "{what}: what was mended stays mended");
    read.push(after);
    assert_eq!(read_all(&journal), read, "{what}");
    status
}

fn touched_by(ranges: &[(u64, Range<usize>)], place: Range<usize>) -> impl Fn(&Record) -> bool {
    let touched: Vec<u64> = ranges.iter().filter(|(_, range)| range.start < place.end && place.start < range.end).map(|(at, _)| *at).collect();
    move |record| !touched.contains(&record.position.0)
}

#[test]
fn a_record_over_another_one_hides_none_of_the_others() {
    let (place, expected) = written();
    for (which, path) in place.segments().iter().enumerate() {
        let (raw, ranges) = (fs::read(path).unwrap(), ranges(path));
        for (to, place_of) in &ranges {
            for (from, source) in ranges.iter().filter(|(from, _)| from != to) {
                let copy = place.copy();
                let mut changed = raw.clone();
                changed[place_of.clone()].copy_from_slice(&raw[source.clone()]);
                fs::write(&copy.segments()[which], changed).unwrap();
                let what = format!("record {from} over {to}");
                let status = hold(&copy, &expected, |record| record.position.0 != *to, &what);
                assert_eq!(status.torn + status.corrupt, 1, "{what}");
            }
        }
    }
}

#[test]
fn a_page_over_another_one_costs_the_records_on_it() {
    let (place, expected) = written();
    let segments: Vec<_> = place.segments().iter().map(|path| (fs::read(path).unwrap(), ranges(path))).collect();
    for (which, (raw, ranges)) in segments.iter().enumerate() {
        for to in 0..raw.len() / PAGE {
            for (from_which, (source, _)) in segments.iter().enumerate() {
                for from in 0..source.len() / PAGE {
                    let mut changed = raw.clone();
                    changed[to * PAGE..(to + 1) * PAGE].copy_from_slice(&source[from * PAGE..(from + 1) * PAGE]);
                    if changed == *raw {
                        continue;
                    }
                    let copy = place.copy();
                    fs::write(&copy.segments()[which], changed).unwrap();
                    let what = format!("page {from} of segment {from_which} over page {to} of segment {which}");
                    let status = hold(&copy, &expected, touched_by(ranges, to * PAGE..(to + 1) * PAGE), &what);
                    assert!(status.torn + status.corrupt > 0, "{what}");
                }
            }
        }
    }
}

#[test]
fn stale_bytes_and_zeros_from_any_place_on_cost_what_they_cover() {
    let (place, expected) = written();
    let segments: Vec<_> = place.segments().iter().map(|path| (fs::read(path).unwrap(), ranges(path))).collect();
    // Another journal under the same key, whose records have the same positions at the same places.
    let twin: Vec<_> = self::written().0.segments().iter().map(|path| fs::read(path).unwrap()).collect();
    let steps = if soak() { 1 } else { 97 };
    for (which, (raw, ranges)) in segments.iter().enumerate() {
        let boundaries = ranges.iter().map(|(_, range)| range.start);
        for at in boundaries.chain((BLOCK_BYTES as usize..raw.len()).step_by(steps)) {
            for (filling, fill) in [("zeros", &[][..]), ("stale bytes", &segments[1 - which].0), ("a twin's bytes", &twin[which])] {
                let mut changed = raw[..at].to_vec();
                changed.extend(fill.iter().skip(at).take(raw.len() - at));
                changed.resize(raw.len(), 0);
                let copy = place.copy();
                fs::write(&copy.segments()[which], changed).unwrap();
                let what = format!("{filling} from {at} in segment {which}");
                let status = hold(&copy, &expected, touched_by(ranges, at..raw.len()), &what);
                let at_boundary = ranges.iter().any(|(_, range)| range.start == at);
                let expected_counts = match (which, filling) {
                    // Behind the newest segment's records zeros are what must stand there.
                    (1, "zeros") => (u64::from(!at_boundary && ranges.iter().any(|(_, range)| range.contains(&at))), 0),
                    (1, _) => (1, 0),
                    _ => (0, 1),
                };
                assert_eq!((status.torn, status.corrupt), expected_counts, "{what}");
            }
        }
    }
}

/// A place, which of the segments it is in, and whether it is in the newest segment's last group.
struct Spot {
    which: usize,
    at: usize,
    position: Option<u64>,
}

#[test]
fn two_damaged_places_cost_two_records_and_are_told_apart() {
    let (place, expected) = written();
    let mut spots = Vec::new();
    for (which, path) in place.segments().iter().enumerate() {
        spots.extend([0, SECOND_COPY].map(|at| Spot { which, at: at + 20, position: None }));
        spots.extend(ranges(path).into_iter().map(|(position, range)| Spot { which, at: range.start + 100, position: Some(position) }));
    }
    for (n, first) in spots.iter().enumerate() {
        for second in &spots[n + 1..] {
            let copy = place.copy();
            for spot in [first, second] {
                let path = &copy.segments()[spot.which];
                let mut raw = fs::read(path).unwrap();
                raw[spot.at] ^= 0x10;
                fs::write(path, raw).unwrap();
            }
            let both_headers = first.position.is_none() && second.position.is_none() && first.which == second.which;
            let gone: Vec<u64> = [first, second].iter().filter_map(|spot| spot.position).collect();
            let lost = |record: &Record| gone.contains(&record.position.0) || both_headers && (record.position.0 > EACH) == (first.which == 1);
            let what = format!("{gone:?} and the bytes {} and {}", first.at, second.at);
            let status = hold(&copy, &expected, |record| !lost(record), &what);
            // Two neighbours are one place, and both copies of a header one segment.
            let one = both_headers || first.which == second.which && second.position.is_some() && second.position == first.position.map(|at| at + 1);
            assert_eq!(status.torn + status.corrupt, if one { 1 } else { 2 }, "{what}");
            // A place that begins before the last group is not torn.
            let before = 2 * EACH - 4;
            let torn = [first, second].iter().filter(|spot| spot.position.is_some_and(|at| at > before)).count() as u64;
            let torn = if one && first.position == Some(before) { 0 } else { torn.min(status.torn + status.corrupt) };
            assert_eq!(status.torn, torn, "{what}");
        }
    }
}

#[test]
fn a_missing_segment_is_told_and_the_others_are_delivered() {
    let (place, expected) = written();
    let (journal, _) = place.open();
    append(&journal, post(b"one more")).unwrap();
    drop(journal);
    let all: Vec<_> = read_all(&place.open().0);
    for (which, gone, corrupt) in [(0, 1..1 + EACH, 0), (1, 1 + EACH..1 + 2 * EACH, 1)] {
        let copy = place.copy();
        fs::remove_file(&copy.segments()[which]).unwrap();
        let (journal, recovered) = copy.open();
        assert_eq!((recovered.torn, recovered.next), (0, Position(2 * EACH + 2)));
        let kept: Vec<_> = all.iter().filter(|record| !gone.contains(&record.position.0)).cloned().collect();
        assert_eq!(read_all(&journal), kept, "without segment {which}");
        // The oldest one may as well have been dropped for its age; the pipeline knows by its cursor what it misses.
        assert_eq!(journal.status().corrupt, corrupt, "without segment {which}");
        append(&journal, post(b"after")).unwrap();
        assert_eq!(read_all(&journal).len(), kept.len() + 1);
    }
    assert_eq!(all[..expected.len()], expected);
}

/// What is read at once is smaller than this segment, so that looking ahead leaves what was found.
#[test]
fn damage_in_a_segment_larger_than_what_is_read_at_once_costs_its_record() {
    let mut place = place();
    (place.settings.segment_bytes, place.settings.record_bytes_max, place.settings.max_bytes) = (8 << 20, 1 << 20, 32 << 20);
    let (journal, _) = place.open();
    (0..12_u8).for_each(|at| drop(append(&journal, post(&vec![at; 400_000])).unwrap()));
    let expected = read_all(&journal);
    drop(journal);
    for gone in [1..2, 1..4, 6..8, 11..12_u64] {
        for newest in [true, false] {
            let copy = place.copy();
            if !newest {
                drop(copy.open());
            }
            let path = &copy.segments()[0];
            let mut raw = fs::read(path).unwrap();
            for (_, range) in ranges(path).into_iter().filter(|(at, _)| gone.contains(at)) {
                raw[range.start + 10] ^= 1;
            }
            fs::write(path, raw).unwrap();
            hold(&copy, &expected, |record| !gone.contains(&record.position.0), &format!("{gone:?} in the newest: {newest}"));
        }
    }
}

#[test]
fn a_record_s_head_alone_is_no_record() {
    let (place, expected) = written();
    // A whole head with its checksum, and nothing of what it covers: as in a file cut within it.
    let path = place.newest();
    let raw = fs::read(&path).unwrap();
    let (_, last) = ranges(&path).pop().unwrap();
    let copy = place.copy();
    fs::write(copy.newest(), &raw[..last.start + codec::HEAD_BYTES]).unwrap();
    assert!(RecordHead::decode(&raw[last.start..]).is_some());
    let status = hold(&copy, &expected, |record| record.position != Position(2 * EACH), "a head alone");
    assert_eq!((status.torn, status.corrupt), (1, 0));
}
