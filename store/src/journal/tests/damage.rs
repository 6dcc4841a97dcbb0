//! Every byte flipped, every length cut, zeros and stale bytes at the end, and what is counted for it.

use std::fs;

use super::*;
use crate::journal::codec::{BLOCK_BYTES, HEAD_BYTES, SECOND_COPY};

/// Three segments with records of both kinds: positions 1 to 3 and 4 to 6 in older ones, 7 in a group of its own and 8 to 10 in the last
/// group of the newest.
fn written() -> (Place, Vec<Record>) {
    let place = place();
    let unknown = |body: &[u8]| Append { kind: Kind::Unknown, receiver: Arc::from("station"), ..post(body) };
    for round in 0..2_u8 {
        let (journal, _) = place.open();
        append_bodies(&journal, &[&[round, 1]]);
        append(&journal, unknown(&[round, 2, 2])).unwrap();
        append_together(&journal, vec![post(&[round; 5])]);
    }
    let (journal, _) = place.open();
    append_bodies(&journal, &[b"seven"]);
    commit_together(&journal, vec![post(b"eight"), unknown(b""), post(b"ten")]);
    let expected = read_all(&journal);
    drop(journal);
    assert_eq!((expected.len(), place.segments().len()), (10, 3));
    (place, expected)
}

/// What is to be flipped: with the long form every bit of every byte, otherwise two masks, and a few of the zeros beside the header.
fn flips(bytes: usize) -> impl Iterator<Item = (usize, u8)> {
    let masks: &[u8] = if soak() { &[1, 2, 4, 8, 16, 32, 64, 128, 0xff] } else { &[1, 0xff] };
    let chosen = move |at: &usize| soak() || *at >= BLOCK_BYTES as usize || at % SECOND_COPY < HEADER_BYTES || at.is_multiple_of(512);
    (0..bytes).filter(chosen).flat_map(|at| masks.iter().map(move |mask| (at, *mask)))
}

/// What is cut to: every length with the long form, otherwise those where something begins or ends.
fn lengths(bytes: usize) -> impl Iterator<Item = usize> {
    let chosen = |length: &usize| soak() || *length >= BLOCK_BYTES as usize || length % SECOND_COPY < HEADER_BYTES + 4 || length.is_multiple_of(512);
    (0..bytes).filter(chosen)
}

const HEADER_BYTES: usize = 116;

#[test]
fn a_flipped_bit_or_byte_costs_at_most_its_record_and_is_counted() {
    let (place, expected) = written();
    for (which, path) in place.segments().iter().enumerate() {
        let raw = fs::read(path).unwrap();
        let ranges = ranges(path);
        for (at, mask) in flips(raw.len()) {
            let hit = ranges.iter().find(|(_, range)| range.contains(&at)).map(|(position, _)| *position);
            let what = format!("segment {which}, byte {at}, mask {mask:#04x}");
            let copy = place.copy();
            let mut flipped = raw.clone();
            flipped[at] ^= mask;
            fs::write(&copy.segments()[which], &flipped).unwrap();
            let (journal, recovered) = copy.open();
            assert!(recovered.next >= Position(11), "positions never go back: {what}");
            append(&journal, post(b"after")).unwrap();
            let mut whole = read_all(&journal);
            let after = whole.pop().unwrap();
            assert_eq!((after.position.next(), after.body.as_slice()), (journal.durable().next, &b"after"[..]), "{what}");
            let kept: Vec<_> = expected.iter().filter(|record| Some(record.position.0) != hit).cloned().collect();
            assert_eq!(whole, kept, "{what}");
            whole.push(after);
            assert_eq!(read_all(&journal), whole, "the second pass: {what}");
            let status = journal.status();
            let header_copy = at < BLOCK_BYTES as usize && at % SECOND_COPY < HEADER_BYTES;
            let expected_counts = match hit {
                Some(8..=10) => (1, 0),
                Some(_) => (0, 1),
                None => (0, u64::from(header_copy)),
            };
            assert_eq!((status.torn, status.corrupt), expected_counts, "{what}");
            let aside = fs::read_dir(&copy.settings.quarantine).unwrap().count() as u64;
            assert_eq!(aside, status.corrupt + u64::from(matches!(hit, Some(8 | 9))), "{what}");
            drop(journal);
            if at % 16 == 0 {
                // What was mended stays mended; what is corrupt is told again; nothing else appears.
                let (journal, recovered) = copy.open();
                assert_eq!((recovered.torn, read_all(&journal)), (0, whole));
                assert_eq!(journal.status().corrupt, status.corrupt, "{what}");
            }
        }
    }
}

#[test]
fn a_cut_at_any_length_costs_the_records_it_touches() {
    let (place, expected) = written();
    for (which, path) in place.segments().iter().enumerate() {
        let raw = fs::read(path).unwrap();
        let ranges = ranges(path);
        for length in lengths(raw.len()) {
            let what = format!("segment {which} cut to {length}");
            let copy = place.copy();
            fs::write(&copy.segments()[which], &raw[..length]).unwrap();
            let (journal, recovered) = copy.open();
            append(&journal, post(b"after")).unwrap();
            let mut read = read_all(&journal);
            assert_eq!(read.pop().unwrap().body, b"after");
            let gone = |position: u64| ranges.iter().any(|(at, range)| *at == position && range.end > length);
            let kept: Vec<_> = expected.iter().filter(|record| !gone(record.position.0)).cloned().collect();
            assert_eq!(read, kept, "{what}");
            assert_eq!(read_all(&journal).len(), kept.len() + 1, "the second pass: {what}");
            let inside = ranges.iter().any(|(_, range)| range.start < length && length < range.end);
            let status = journal.status();
            if which == 2 {
                // Without both copies of the header the file is one that was never begun.
                let unbegun = length < HEADER_BYTES;
                let one_copy = (HEADER_BYTES..SECOND_COPY + HEADER_BYTES).contains(&length);
                assert_eq!((recovered.torn, status.corrupt), (u64::from(inside || unbegun), u64::from(one_copy)), "{what}");
            } else {
                assert_eq!((status.torn, status.corrupt > 0), (0, true), "{what}");
            }
        }
    }
}

#[test]
fn zeros_after_the_last_record_are_no_damage_and_stale_bytes_are_torn() {
    let (place, expected) = written();
    let raw = fs::read(place.newest()).unwrap();
    let stale = fs::read(&place.segments()[0]).unwrap()[BLOCK_BYTES as usize..].to_vec();
    let half = &raw[BLOCK_BYTES as usize..BLOCK_BYTES as usize + 20];
    for (tail, torn) in [
        (vec![0; 1], 0),
        (vec![0; 50_000], 0),
        (stale, 1),
        (half.to_vec(), 1),
        ([vec![0; 9000], vec![1]].concat(), 1),
        (raw[BLOCK_BYTES as usize..].to_vec(), 1),
    ] {
        let copy = place.copy();
        fs::write(copy.newest(), [raw.clone(), tail.clone()].concat()).unwrap();
        let (journal, recovered) = copy.open();
        assert_eq!((recovered.torn, recovered.corrupt), (torn, 0));
        assert!(if torn == 0 { recovered.next == Position(11) } else { recovered.next.0 > 11 + tail.len() as u64 / 600 });
        assert_eq!(read_all(&journal), expected);
        assert_eq!(journal.status().corrupt, 0);
    }
}

#[test]
fn damage_before_the_last_group_is_corrupt_and_inside_it_torn() {
    let (place, _) = written();
    let ranges = ranges(&place.newest());
    // The whole records 7 and 8 as zeros: 7 was answered, 8 may not have been.
    for (position, counts) in [(8, (1, 0)), (9, (1, 0))] {
        let copy = place.copy();
        let mut raw = fs::read(copy.newest()).unwrap();
        let range = ranges.iter().find(|(at, _)| *at == position).unwrap().1.clone();
        raw[range].fill(0);
        fs::write(copy.newest(), &raw).unwrap();
        let (journal, recovered) = copy.open();
        assert_eq!((recovered.torn, recovered.corrupt), counts, "record {position}");
        assert_eq!(read_bodies(&journal).len(), 9);
        assert_eq!(journal.status().corrupt, 0, "a torn place is not corrupt when it is read");
    }
    let copy = place.copy();
    let mut raw = fs::read(copy.newest()).unwrap();
    raw[ranges[0].1.start + HEAD_BYTES] ^= 1;
    fs::write(copy.newest(), &raw).unwrap();
    let (_, recovered) = copy.open();
    assert_eq!((recovered.torn, recovered.corrupt), (0, 1), "record 7 belongs to the group before");
}

#[test]
fn a_record_that_does_not_open_is_corrupt_although_its_checksum_holds() {
    let (place, expected) = written();
    let path = &place.segments()[0];
    let mut raw = fs::read(path).unwrap();
    let range = ranges(path)[1].1.clone();
    raw[range.start + HEAD_BYTES + 1] ^= 1;
    let mut salt = [0; 32];
    salt.copy_from_slice(&raw[72..104]);
    let crc = codec::record_crc(crc32c::crc32c(&salt), &raw[range.start..range.start + 28], &raw[range.start + HEAD_BYTES..range.end]);
    raw[range.start + 28..range.start + 32].copy_from_slice(&crc.to_le_bytes());
    fs::write(path, &raw).unwrap();
    let (journal, _) = place.open();
    let read = read_all(&journal);
    assert_eq!((read.len(), journal.status().corrupt), (9, 1));
    assert!(!read.contains(&expected[1]));
    assert!(!verify(&place.settings.dir, &place.settings.key).unwrap().is_whole());
}

#[test]
fn a_segment_without_any_header_is_set_aside_and_its_positions_are_not_given_again() {
    let (place, expected) = written();
    let path = place.newest();
    let mut raw = fs::read(&path).unwrap();
    raw[..BLOCK_BYTES as usize].fill(7);
    fs::write(&path, &raw).unwrap();
    let (journal, recovered) = place.open();
    assert_eq!((recovered.torn, recovered.corrupt), (0, 1));
    assert!(recovered.next > Position(10));
    append(&journal, post(b"after")).unwrap();
    assert_eq!(read_all(&journal)[..6], expected[..6]);
    assert!(!path.exists());
    let aside: Vec<_> = fs::read_dir(&place.settings.quarantine).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(aside.len(), 1);
    assert!(fs::read(&aside[0]).unwrap().ends_with(&raw[BLOCK_BYTES as usize..]));
}

#[test]
fn an_unfinished_file_is_removed_and_counted_as_torn() {
    let (place, expected) = written();
    for bytes in [0, 1, 8192, 64 * 1024] {
        let copy = place.copy();
        let unfinished = copy.settings.dir.join(codec::SegmentHeader::file_name(11));
        fs::write(&unfinished, vec![0; bytes]).unwrap();
        fs::write(copy.settings.dir.join("prepared.tmp"), vec![0; 100]).unwrap();
        let (journal, recovered) = copy.open();
        assert_eq!((recovered.torn, recovered.corrupt, recovered.next), (1, 0, Position(11)));
        append(&journal, post(b"after")).unwrap();
        assert_eq!(read_all(&journal)[..10], expected);
        assert!(!copy.settings.dir.join("prepared.tmp").exists());
    }
}

#[test]
fn a_journal_that_lost_all_its_segments_is_another_journal() {
    let (place, _) = written();
    let id = place.open().0.id();
    for path in place.segments() {
        fs::remove_file(path).unwrap();
    }
    let (journal, recovered) = place.open();
    assert_eq!(recovered.next, Position(1));
    assert_ne!(journal.id(), id, "a cursor that knows the old positions must not skip the new ones");
}

#[test]
fn a_damaged_name_is_mended_from_the_segments() {
    let (place, _) = written();
    let id = place.open().0.id();
    fs::write(place.settings.dir.join("journal.id"), b"rubbish").unwrap();
    assert_eq!(place.open().0.id(), id);
    assert_eq!(fs::read_to_string(place.settings.dir.join("journal.id")).unwrap(), format!("{id}\n"));
}
