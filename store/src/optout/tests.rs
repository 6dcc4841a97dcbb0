//! The list and its file: what it holds, how it is replaced, and what it refuses.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;

fn mac(number: u64) -> Mac {
    Mac::from_bits(0x02aa_0000_0000 + number)
}

/// A data directory as `serve` makes it.
fn data_dir() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("keys")).unwrap();
    dir
}

fn add(dir: &Path, numbers: impl IntoIterator<Item = u64>) {
    let mut editor = Editor::open(dir).unwrap();
    for number in numbers {
        editor.add(mac(number));
    }
    editor.save().unwrap();
}

fn has(opted_out: &OptOuts, number: u64) -> bool {
    opted_out.list().is_some_and(|list| list.has(mac(number)))
}

#[test]
fn who_is_added_is_known_and_who_is_removed_is_not() {
    let dir = data_dir();
    let opted_out = OptOuts::open(dir.path()).unwrap();
    assert!(opted_out.list().is_none() && !opted_out.look().unwrap());
    let mut editor = Editor::open(dir.path()).unwrap();
    assert_eq!([1, 2, 1].map(|number| editor.add(mac(number))), [true, true, false]);
    editor.save().unwrap();
    drop(editor);
    assert!(opted_out.look().unwrap() && !opted_out.look().unwrap(), "read when it has changed, and only then");
    assert_eq!((has(&opted_out, 1), has(&opted_out, 2), has(&opted_out, 3), opted_out.entries()), (true, true, false, 2));

    let mut editor = Editor::open(dir.path()).unwrap();
    assert_eq!([1, 3].map(|number| editor.remove(mac(number))), [true, false]);
    editor.save().unwrap();
    assert_eq!(editor.entries(), 1);
    assert!(opted_out.look().unwrap());
    assert_eq!((has(&opted_out, 1), has(&opted_out, 2)), (false, true));
    editor.remove(mac(2));
    editor.save().unwrap();
    opted_out.reload().unwrap();
    assert!(opted_out.list().is_none(), "an empty list costs nothing");
}

#[test]
fn the_file_holds_sorted_digests_and_no_address_and_is_its_owners_alone() {
    let dir = data_dir();
    add(dir.path(), 0..100);
    let path = dir.path().join("optout.list");
    let text = fs::read_to_string(&path).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("footfall-optout 1 key "));
    assert!(lines.len() == 101 && lines[1..].is_sorted() && lines[1..].iter().all(|line| line.len() == 32));
    assert!(!text.contains("02aa00"));
    for path in [&path, &dir.path().join("keys/optout.key"), &dir.path().join("optout.lock")] {
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
    }
    let names: BTreeSet<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["keys", "optout.list", "optout.lock"].map(str::to_owned)), "nothing half-written stays");
}

#[test]
fn a_reader_sees_the_old_list_or_the_new_one() {
    let dir = data_dir();
    add(dir.path(), 0..500);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| (1..40).for_each(|round| add(dir.path(), [1_000 + round])));
        while !writing.is_finished() {
            assert!(OptOuts::open(dir.path()).unwrap().entries() >= 500);
        }
    });
    assert_eq!(OptOuts::open(dir.path()).unwrap().entries(), 539);
}

#[test]
fn editors_at_once_lose_nothing() {
    let dir = data_dir();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let dir = dir.path();
            scope.spawn(move || (0..10).for_each(|number| add(dir, [thread * 10 + number])));
        }
    });
    assert_eq!(OptOuts::open(dir.path()).unwrap().entries(), 40);
}

#[test]
fn one_key_gives_one_digest_and_another_key_another() {
    let (one, two) = (Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
    assert_eq!(digest(&one, mac(1)), digest(&one, mac(1)));
    assert_ne!(digest(&one, mac(1)), digest(&two, mac(1)));
    assert_ne!(digest(&one, mac(1)), digest(&one, mac(2)));
    let list = List::of(one, [mac(1)]);
    assert_eq!(format!("{list:?} {:?}", OptOuts::from(List::of(two, []))), "List { entries: 1, .. } OptOuts { entries: 0, .. }");
}

#[test]
fn without_its_key_or_with_another_a_list_is_refused_and_no_key_is_made() {
    let dir = data_dir();
    add(dir.path(), [1]);
    let key = dir.path().join("keys/optout.key");
    let (aside, other) = (dir.path().join("aside"), Key::from_bytes([9; 32]));
    fs::rename(&key, &aside).unwrap();
    assert!(matches!(OptOuts::open(dir.path()), Err(OptOutError::KeyGone { .. })));
    assert!(matches!(Editor::open(dir.path()), Err(OptOutError::KeyGone { .. })));
    assert!(!key.exists());
    other.write_new(&key).unwrap();
    assert!(matches!(OptOuts::open(dir.path()), Err(OptOutError::OtherKey { .. })));
    fs::rename(&aside, &key).unwrap();
    assert_eq!(OptOuts::open(dir.path()).unwrap().entries(), 1);
}

#[test]
fn a_key_without_a_list_serves_the_next_list() {
    let dir = data_dir();
    let key = Key::from_bytes([9; 32]);
    key.write_new(&dir.path().join("keys/optout.key")).unwrap();
    assert_eq!(OptOuts::open(dir.path()).unwrap().entries(), 0);
    add(dir.path(), [1]);
    assert!(fs::read_to_string(dir.path().join("optout.list")).unwrap().contains(&format!("{:032x}", digest(&key, mac(1)))));
}

#[test]
fn a_list_that_is_of_no_use_leaves_the_old_one_and_is_read_again() {
    let dir = data_dir();
    add(dir.path(), [1]);
    let path = dir.path().join("optout.list");
    let good = fs::read_to_string(&path).unwrap();
    let opted_out = OptOuts::open(dir.path()).unwrap();
    let head = good.lines().next().unwrap();
    for (bad, at) in
        [("", 1), ("footfall-optout 2 key 0\n", 1), (&good[..good.len() - 1], 2), (&format!("{good}+{}\n", "0".repeat(31)), 3), (&format!("{head}\n\n"), 2)]
    {
        fs::write(&path, bad).unwrap();
        for _ in 0..2 {
            let error = opted_out.look().unwrap_err();
            assert!(matches!(error, OptOutError::Format { line, .. } if line == at), "{bad:?}: {error}");
        }
        assert!(has(&opted_out, 1), "{bad:?}");
    }
    fs::remove_file(&path).unwrap();
    assert!(matches!(opted_out.look(), Err(OptOutError::Gone { .. })) && has(&opted_out, 1));
    fs::write(&path, good).unwrap();
    assert!(opted_out.look().unwrap());
}
