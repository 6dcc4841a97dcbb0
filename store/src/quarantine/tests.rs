use std::os::unix::fs::PermissionsExt;

use super::*;

fn aside(position: u64, body: &[u8]) -> Aside<'_> {
    Aside { position: Position(position), receiver: "mall", received_at_ms: 1_700_000_000_123, body }
}

fn bodies(quarantine: &Quarantine, file: &str) -> Vec<(u64, Vec<u8>)> {
    let contents = quarantine.read(file).unwrap();
    assert_eq!(contents.damaged, 0);
    contents.records.into_iter().map(|record| (record.position.0, record.body)).collect()
}

#[test]
fn records_come_back_whole_and_stand_nowhere_in_plain_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("quarantine");
    let quarantine = Quarantine::open(&place, Key::from_bytes([5; 32])).unwrap();
    quarantine.put("poison", &[]).unwrap();
    quarantine.put("shape", &[aside(7, b"00:11:22:33:44:55"), aside(9, b""), aside(9, b"other part")]).unwrap();
    let listed = quarantine.list().unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].first, listed[0].reason.as_str(), listed[0].file.as_str()), (Position(7), "shape", "00000000000000000007-shape.seal"));
    let contents = quarantine.read(&listed[0].file).unwrap();
    assert_eq!(contents.records.iter().map(|record| record.position.0).collect::<Vec<_>>(), [7, 9, 9]);
    assert_eq!((contents.records[0].body.as_slice(), contents.records[0].received_at_ms), (&b"00:11:22:33:44:55"[..], 1_700_000_000_123));
    assert_eq!((&*contents.records[2].receiver, contents.records[2].body.as_slice()), ("mall", &b"other part"[..]));
    let path = place.join(&listed[0].file);
    let raw = fs::read(&path).unwrap();
    assert!(memchr::memmem::find(&raw, b"00:11:22").is_none() && memchr::memmem::find(&raw, b"mall").is_none());
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o700);
    let other = Quarantine::open(&place, Key::from_bytes([6; 32])).unwrap();
    assert_eq!(other.read(&listed[0].file).unwrap_err().kind(), io::ErrorKind::InvalidData);
}

#[test]
fn putting_again_changes_nothing_and_putting_more_adds() {
    let dir = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(dir.path(), Key::from_bytes([5; 32])).unwrap();
    let name = "00000000000000000003-shape.seal";
    quarantine.put("shape", &[aside(3, b"a"), aside(5, b"b")]).unwrap();
    let before = fs::read(dir.path().join(name)).unwrap();
    quarantine.put("shape", &[aside(3, b"a"), aside(5, b"b")]).unwrap();
    quarantine.put("shape", &[aside(3, b"a")]).unwrap();
    assert_eq!(fs::read(dir.path().join(name)).unwrap(), before);
    quarantine.put("shape", &[aside(3, b"a"), aside(4, b"c")]).unwrap();
    assert_eq!(bodies(&quarantine, name), [(3, b"a".to_vec()), (4, b"c".to_vec()), (5, b"b".to_vec())]);
    quarantine.put("poison", &[aside(3, b"a")]).unwrap();
    assert_eq!(quarantine.list().unwrap().len(), 2);
}

#[test]
fn a_damaged_file_is_told_and_kept_beside_when_it_is_written_anew() {
    let dir = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(dir.path(), Key::from_bytes([5; 32])).unwrap();
    let name = "00000000000000000003-shape.seal";
    quarantine.put("shape", &[aside(3, b"first"), aside(4, b"second")]).unwrap();
    let path = dir.path().join(name);
    let mut raw = fs::read(&path).unwrap();
    raw[BLOCK_BYTES as usize + 40] ^= 1;
    fs::write(&path, &raw).unwrap();
    let contents = quarantine.read(name).unwrap();
    assert_eq!((contents.damaged, contents.records.len(), contents.records[0].position), (1, 1, Position(4)));
    quarantine.put("shape", &[aside(3, b"first"), aside(4, b"second")]).unwrap();
    assert_eq!(bodies(&quarantine, name), [(3, b"first".to_vec()), (4, b"second".to_vec())]);
    assert_eq!(fs::read(dir.path().join(format!("{name}.damaged"))).unwrap(), raw);
}

#[test]
fn what_is_too_old_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let quarantine = Quarantine::open(dir.path(), Key::from_bytes([5; 32])).unwrap();
    quarantine.put("shape", &[aside(3, b"a")]).unwrap();
    quarantine.put("shape", &[aside(4, b"b")]).unwrap();
    let old = File::options().write(true).open(dir.path().join("00000000000000000003-shape.seal")).unwrap();
    old.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000)).unwrap();
    assert_eq!(quarantine.remove_before(1_000_000).unwrap(), 0);
    assert_eq!(quarantine.remove_before(1_000_001).unwrap(), 1);
    assert_eq!(quarantine.list().unwrap().iter().map(|file| file.first).collect::<Vec<_>>(), [Position(4)]);
}
