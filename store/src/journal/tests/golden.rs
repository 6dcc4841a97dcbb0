//! A journal and a quarantine as each version of the format has written them, kept in `store/tests/golden/`: every later program reads them.
//!
//! For a new version: `FOOTFALL_GOLDEN=DIRECTORY cargo test -p store --lib golden` leaves there what the program of today writes; commit it
//! beside the old ones.

use std::fs;

use super::*;
use crate::quarantine::{Aside, Quarantine};

/// The versions that are kept; the key of all of them is in [`golden`].
const KEPT: [&str; 1] = ["journal-1"];

/// What stands in each: position, kind, receiver, milliseconds after noon, body. Positions 5 to 9 were lost with an unfinished end.
const RECORDS: [(u64, Kind, &str, i64, &str); 6] = [
    (1, Kind::Post, "mall", 0, POST),
    (2, Kind::Unknown, "mall", 1, "{\"version\":\"9.0\",\"secret\":\"       \",\"type\":\"Odours\"}"),
    (3, Kind::Post, "station", 1, ""),
    (4, Kind::Post, "mall", 2_000, "four"),
    (10, Kind::Post, "mall", 2_000, "ten"),
    (11, Kind::Unknown, "station", 3_000, "eleven"),
];

/// An invented v2 post, its secret blanked.
const POST: &str = r#"{"version":"2.0","secret":"       ","type":"DevicesSeen","data":{"apMac":"02:18:5a:00:00:01","apTags":[],"apFloors":[],"observations":[{"clientMac":"02:aa:00:00:00:01","seenEpoch":1700000000,"rssi":35,"ssid":"guest","location":null},{"clientMac":"02:aa:00:00:00:02","seenEpoch":1700000001,"rssi":20,"ssid":null,"location":null}]}}"#;

/// The name of the journal that is kept under version 1.
const ID: &str = "e825a96d-5298-499b-a68e-e73cbd7b545c";

/// A directory with the settings of the kept ones.
fn golden() -> Place {
    let mut place = place();
    place.settings.key = Key::from_bytes([0x5a; 32]);
    place
}

fn kept(version: &str) -> Place {
    let place = golden();
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version);
    for (part, to) in [("journal", &place.settings.dir), ("quarantine", &place.settings.quarantine)] {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from.join(part)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    place
}

fn appended((_, kind, receiver, after_noon, body): (u64, Kind, &str, i64, &str)) -> Append {
    Append { kind, receiver: Arc::from(receiver), ..post_at(NOON_MS + after_noon, body.as_bytes()) }
}

/// The same as the kept ones, by the program of today.
fn written() -> Place {
    let place = golden();
    let (journal, _) = place.open();
    commit_together(&journal, RECORDS[..2].iter().map(|record| appended(*record)).collect());
    append(&journal, appended(RECORDS[2])).unwrap();
    drop(journal);
    let (journal, _) = place.open();
    append(&journal, appended(RECORDS[3])).unwrap();
    drop(journal);
    // The beginning of a write that was never finished: as long as four records at least, so that five numbers are left out.
    let mut raw = fs::read(place.newest()).unwrap();
    raw.extend_from_slice(&[0x33; 4 * OVERHEAD as usize + 7]);
    fs::write(place.newest(), raw).unwrap();
    let (journal, recovered) = place.open();
    assert_eq!((recovered.torn, recovered.next), (1, Position(10)));
    append(&journal, appended(RECORDS[4])).unwrap();
    append(&journal, appended(RECORDS[5])).unwrap();
    drop(journal);
    fs::remove_file(place.settings.dir.join("lock")).unwrap();
    let aside = Aside { position: Position(2), receiver: "mall", received_at_ms: NOON_MS + 1, body: RECORDS[1].4.as_bytes() };
    Quarantine::open(&place.settings.quarantine, place.settings.key.clone()).unwrap().put("unknown", &[aside]).unwrap();
    place
}

fn hold(place: &Place, what: &str) -> JournalId {
    let quarantine = Quarantine::open(&place.settings.quarantine, place.settings.key.clone()).unwrap();
    let held = quarantine.read("00000000000000000002-unknown.seal").unwrap();
    assert_eq!((held.damaged, held.records.len(), held.records[0].body.as_slice()), (0, 1, RECORDS[1].4.as_bytes()), "{what}");
    assert!(verify(&place.settings.dir, &place.settings.key).unwrap().is_whole(), "{what}");

    let (journal, recovered) = place.open();
    assert_eq!((recovered.first, recovered.next, recovered.torn, recovered.corrupt), (Position(1), Position(12), 0, 0), "{what}");
    assert_eq!((recovered.records, recovered.last_received_ms), (6, Some(NOON_MS + 3_000)), "{what}");
    let expected = RECORDS.map(|(position, kind, receiver, after_noon, body)| Record {
        position: Position(position),
        kind,
        receiver: Arc::from(receiver),
        received_at_ms: NOON_MS + after_noon,
        body: body.as_bytes().to_vec(),
    });
    assert_eq!(read_all(&journal), expected, "{what}");
    assert_eq!(append(&journal, post(b"and on")).unwrap().position, Position(12), "{what}");
    assert_eq!((read_all(&journal).len(), journal.status().corrupt), (7, 0), "{what}");
    journal.id()
}

#[test]
fn every_kept_journal_is_read_and_goes_on() {
    for version in KEPT {
        assert_eq!(hold(&kept(version), version).to_string(), ID);
    }
}

#[test]
fn what_is_written_today_reads_as_what_is_kept() {
    let place = written();
    if let Some(to) = std::env::var_os("FOOTFALL_GOLDEN") {
        for (part, from) in [("journal", &place.settings.dir), ("quarantine", &place.settings.quarantine)] {
            fs::create_dir_all(Path::new(&to).join(part)).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                fs::copy(entry.path(), Path::new(&to).join(part).join(entry.file_name())).unwrap();
            }
        }
    }
    hold(&place, "today");
}

#[test]
fn a_newer_version_among_the_segments_is_refused_and_nothing_is_touched() {
    let place = kept(KEPT[0]);
    for which in 0..place.segments().len() {
        let copy = place.copy();
        let path = &copy.segments()[which];
        let mut raw = fs::read(path).unwrap();
        for at in [0, codec::SECOND_COPY] {
            raw[at + 8] = (codec::VERSION + 1) as u8;
        }
        fs::write(path, raw).unwrap();
        let bytes = |place: &Place| place.segments().iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
        let before = bytes(&copy);
        let Err(error) = Journal::open(copy.settings.clone()) else { panic!("opened") };
        assert!(matches!(error, OpenError::Newer { version, .. } if version == codec::VERSION + 1), "{error}");
        assert_eq!(bytes(&copy), before);
        assert_eq!(fs::read_dir(&copy.settings.quarantine).unwrap().count(), 0);
    }
}
