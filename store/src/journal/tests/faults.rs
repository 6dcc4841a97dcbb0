//! A disk that fails at a chosen call: the group goes to a new segment, nothing comes twice, and the journal mends itself.

use std::fs::File;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::*;

/// What a test does to the disk while the journal runs.
#[derive(Default)]
struct Faults {
    /// So many calls of `fdatasync` fail from now on.
    syncs: AtomicU64,
    /// So many writes are cut short by an error, half of their bytes written.
    writes: AtomicU64,
    /// So many calls of `fsync` fail.
    creations: AtomicU64,
    /// Failures say that there is no room.
    no_space: AtomicBool,
    /// `fdatasync` waits here while the test holds it.
    gate: Mutex<()>,
    syncs_begun: AtomicU64,
    free_bytes: AtomicU64,
}

struct FaultyDisk(Arc<Faults>);

impl Faults {
    fn spend(&self, counter: &AtomicU64) -> io::Result<()> {
        let spent = counter.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        match spent {
            Err(_) => Ok(()),
            Ok(_) if self.no_space.load(Ordering::SeqCst) => Err(io::ErrorKind::StorageFull.into()),
            Ok(_) => Err(io::Error::other("the disk fails")),
        }
    }
}

impl Disk for FaultyDisk {
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if let Err(error) = self.0.spend(&self.0.writes) {
            disk::System.write_at(file, &bytes[..bytes.len() / 2], offset)?;
            return Err(error);
        }
        disk::System.write_at(file, bytes, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        self.0.syncs_begun.fetch_add(1, Ordering::SeqCst);
        let _open = self.0.gate.lock().unwrap();
        self.0.spend(&self.0.syncs)?;
        disk::System.sync_data(file)
    }

    fn sync_all(&self, file: &File) -> io::Result<()> {
        self.0.spend(&self.0.creations)?;
        disk::System.sync_all(file)
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.free_bytes.load(Ordering::SeqCst))
    }
}

fn open_faulty(place: &Place, retry: Duration) -> (Journal, Arc<Faults>) {
    let faults = Arc::new(Faults { free_bytes: AtomicU64::new(u64::MAX), ..Faults::default() });
    let tuning = Tuning { retry, ..STILL };
    let (journal, _) = Journal::open_on(place.settings.clone(), Arc::new(FaultyDisk(Arc::clone(&faults))), tuning).unwrap();
    (journal, faults)
}

#[test]
fn no_post_is_answered_before_its_sync_has_returned_and_those_that_wait_share_the_next() {
    let place = place();
    let (journal, faults) = open_faulty(&place, Duration::ZERO);
    let held = faults.gate.lock().unwrap();
    let mut first = journal.shared.queue.push_together(vec![post(b"one")]).remove(0);
    while faults.syncs_begun.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    let mut others = journal.shared.queue.push_together(vec![post(b"two"), post(b"three")]);
    assert!(first.try_recv().is_err() && others.iter_mut().all(|other| other.try_recv().is_err()));
    assert_eq!((journal.durable().next, journal.tail().front()), (Position(1), None));
    assert_eq!(journal.reader(Position(1)).next().unwrap(), None, "written is not durable");
    drop(held);
    assert_eq!(first.blocking_recv().unwrap().unwrap().position, Position(1));
    for other in others {
        other.blocking_recv().unwrap().unwrap();
    }
    assert_eq!(faults.syncs_begun.load(Ordering::SeqCst), 2, "one for the first, one for both others");
}

#[test]
fn after_a_failed_sync_the_group_stands_once_in_a_new_segment() {
    for fails_write in [false, true] {
        let place = place();
        let (journal, faults) = open_faulty(&place, Duration::ZERO);
        append_bodies(&journal, &[b"one", b"two"]);
        let counter = if fails_write { &faults.writes } else { &faults.syncs };
        counter.store(1, Ordering::SeqCst);
        assert_eq!(append(&journal, post(b"three")).unwrap().position, Position(3));
        append_bodies(&journal, &[b"four"]);
        let expected = numbered(&[b"one", b"two", b"three", b"four"]);
        assert_eq!((place.segments().len(), journal.status().state), (2, State::Ready));
        assert_eq!(read_bodies(&journal), expected);
        drop(journal);
        let (journal, recovered) = place.open();
        assert_eq!((recovered.torn, recovered.corrupt, recovered.next), (0, 0, Position(5)));
        assert_eq!((read_bodies(&journal), journal.status().corrupt), (expected, 0));
    }
}

#[test]
fn what_a_failed_group_left_in_its_old_segment_is_never_delivered() {
    let place = place();
    let (journal, faults) = open_faulty(&place, Duration::ZERO);
    append_bodies(&journal, &[b"one"]);
    // The same group whole, as it stands when the cut is lost with the power.
    let old = place.newest();
    faults.syncs.store(2, Ordering::SeqCst);
    let before = append(&journal, post(b"never answered"));
    assert!(matches!(before, Err(AppendError::Failed)));
    append_bodies(&journal, &[b"two"]);
    drop(journal);
    let donor = super::place();
    fs::create_dir_all(&donor.settings.dir).unwrap();
    // Bytes of any kind after the last record that counts.
    let mut raw = fs::read(&old).unwrap();
    raw.extend_from_slice(&[0x77; 300]);
    fs::write(&old, raw).unwrap();
    let (journal, _) = place.open();
    assert_eq!((read_bodies(&journal), journal.status().corrupt), (numbered(&[b"one", b"two"]), 0));
    assert!(verify(&place.settings.dir, &place.settings.key).unwrap().is_whole());
}

#[test]
fn a_disk_that_stays_broken_fails_the_posts_and_a_mended_one_takes_them() {
    let place = place();
    let (journal, faults) = open_faulty(&place, Duration::from_secs(3600));
    append_bodies(&journal, &[b"one"]);
    faults.syncs.store(2, Ordering::SeqCst);
    assert!(matches!(append(&journal, post(b"lost")), Err(AppendError::Failed)));
    assert_eq!(journal.status().state, State::Failed);
    // The disk is well, but not asked at each post.
    assert!(matches!(append(&journal, post(b"too soon")), Err(AppendError::Failed)));
    assert_eq!(read_bodies(&journal), numbered(&[b"one"]));
    journal.tend();
    assert_eq!(append(&journal, post(b"two")).unwrap().position, Position(2));
    assert_eq!(journal.status().state, State::Ready);
    drop(journal);
    let (journal, recovered) = place.open();
    assert_eq!((recovered.torn, recovered.corrupt), (0, 0));
    assert_eq!(read_bodies(&journal), numbered(&[b"one", b"two"]));
}

#[test]
fn a_segment_that_cannot_be_made_fails_the_post_and_a_later_one_succeeds() {
    let place = place();
    let (journal, faults) = open_faulty(&place, Duration::ZERO);
    faults.syncs.store(1, Ordering::SeqCst);
    faults.creations.store(1, Ordering::SeqCst);
    assert!(matches!(append(&journal, post(b"lost")), Err(AppendError::Failed)));
    append_bodies(&journal, &[b"one"]);
    assert_eq!((read_bodies(&journal), journal.first_position()), (numbered(&[b"one"]), Position(1)));
    assert_eq!(place.segments().len(), 1, "the empty one was replaced");
}

#[test]
fn no_space_is_full_and_not_failed() {
    let place = place();
    let (journal, faults) = open_faulty(&place, Duration::ZERO);
    faults.no_space.store(true, Ordering::SeqCst);
    faults.syncs.store(2, Ordering::SeqCst);
    assert!(matches!(append(&journal, post(b"lost")), Err(AppendError::Full)));
    assert_eq!(journal.status().state, State::Full);
    append_bodies(&journal, &[b"one"]);
    assert_eq!(journal.status().state, State::Ready);
}

#[test]
fn a_disk_with_too_little_free_starts_full_reads_and_takes_posts_when_there_is_room() {
    let mut place = place();
    append_bodies(&place.open().0, &[b"one"]);
    place.settings.free_min_bytes = u64::MAX / 2;
    let faults = Arc::new(Faults::default());
    let (journal, recovered) = Journal::open_on(place.settings.clone(), Arc::new(FaultyDisk(Arc::clone(&faults))), STILL).unwrap();
    assert_eq!((recovered.next, journal.status().state), (Position(2), State::Full));
    assert!(matches!(append(&journal, post(b"lost")), Err(AppendError::Full)));
    assert_eq!(read_bodies(&journal), numbered(&[b"one"]));
    faults.free_bytes.store(u64::MAX, Ordering::SeqCst);
    assert_eq!(append(&journal, post(b"two")).unwrap().position, Position(2));
    assert_eq!(journal.status().state, State::Ready);
}
