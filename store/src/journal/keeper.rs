//! The thread behind the journal's thread: it does what must not make an answer wait.
//!
//! It writes the next segment's zeros beforehand, cuts finished segments to what they hold, deletes those that may go, has an old active
//! one finished, and asks for another try after a failure.

use std::fs::{self, File};
use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::State;
use super::disk;
use super::queue::Errands;
use super::shared::{Shared, remove};
use super::space::{Finish, Prepared};

/// Runs until the journal stops.
pub(crate) fn run(shared: &Arc<Shared>) {
    loop {
        let mut space = shared.lock();
        if !space.stopping && !space.look {
            space = match shared.tuning.tick {
                Some(tick) => shared.keeper.wait_timeout(space, tick).unwrap_or_else(PoisonError::into_inner).0,
                None => shared.keeper.wait(space).unwrap_or_else(PoisonError::into_inner),
            };
        }
        space.look = false;
        if space.stopping {
            break;
        }
        let by_hand = shared.tuning.tick.is_none();
        drop(space);
        if !by_hand {
            tend(shared);
        }
    }
    // Those that were waiting to be cut when the journal stopped.
    let finishing = std::mem::take(&mut shared.lock().finishing);
    finishing.iter().for_each(|segment| finish(shared, segment));
    let mut space = shared.lock();
    if let Prepared::Ready(_) = std::mem::replace(&mut space.prepared, Prepared::None) {
        space.bytes = space.bytes.saturating_sub(shared.settings.segment_bytes);
        let _ = fs::remove_file(shared.settings.dir.join(PREPARED_NAME));
    }
}

/// One round.
pub(crate) fn tend(shared: &Shared) {
    let now_ms = (shared.settings.now_ms)();
    let finishing = std::mem::take(&mut shared.lock().finishing);
    finishing.iter().for_each(|segment| finish(shared, segment));

    let mut space = shared.lock();
    while let Some(segment) = space.pop_passed(now_ms, shared.settings.keep, false) {
        remove(&segment);
    }
    let active = space.segments.back().filter(|segment| !segment.finished);
    let age = shared.settings.keep.max(ROTATE_AGE_MIN);
    let old =
        active.is_some_and(|active| active.records > 0 && active.created_at_ms.saturating_add(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)) <= now_ms);
    let filling = active.is_some_and(|active| active.used >= shared.settings.segment_bytes / 4);
    let refusing = space.condition != State::Ready;
    let wanted = filling && !refusing && !space.stopping && matches!(space.prepared, Prepared::None);
    let preparing = wanted && shared.make_room(&mut space);
    if preparing {
        space.prepared = Prepared::Making;
        space.bytes += shared.settings.segment_bytes;
    }
    shared.measure(&space);
    drop(space);
    if preparing {
        prepare(shared);
    }
    if old || refusing {
        shared.queue.ask(Errands { retry: refusing, rotate: old });
    }
}

/// Makes the next segment's file, with zeros written so that a later sync has no blocks to account for.
fn prepare(shared: &Shared) {
    let made = write_zeros(shared);
    let mut space = shared.lock();
    match made {
        Ok(file) => space.prepared = Prepared::Ready(file),
        Err(error) => {
            space.prepared = Prepared::None;
            space.bytes = space.bytes.saturating_sub(shared.settings.segment_bytes);
            let _ = fs::remove_file(shared.settings.dir.join(PREPARED_NAME));
            if !space.stopping {
                tracing::warn!(error = %error, "prepare the journal's next segment: it will be made when it is needed");
            }
        }
    }
    drop(space);
    shared.prepared.notify_all();
}

fn write_zeros(shared: &Shared) -> io::Result<File> {
    let bytes = shared.settings.segment_bytes;
    let file = disk::create_file(&shared.settings.dir.join(PREPARED_NAME))?;
    shared.disk.allocate(&file, bytes)?;
    let mut offset = 0;
    while offset < bytes {
        if shared.lock().stopping {
            return Err(io::Error::other("the journal stops"));
        }
        let step = (bytes - offset).min(ZEROS.len() as u64);
        shared.disk.write_at(&file, &ZEROS[..step as usize], offset)?;
        // Little at a time, so that the answers' own syncs never queue behind a whole segment.
        shared.disk.sync_all(&file)?;
        offset += step;
    }
    Ok(file)
}

/// Cuts a segment to what it holds. A failure costs room, never a record: they were synced before.
pub(crate) fn finish(shared: &Shared, segment: &Finish) {
    match segment.file.set_len(segment.used).and_then(|()| shared.disk.sync_all(&segment.file)) {
        Ok(()) => shared.lock().cut(segment.number, segment.used),
        Err(error) => {
            shared.meters.fsync_errors.increment(1);
            tracing::warn!(error = %error, "cut a finished segment of the journal");
        }
    }
}

/// The file of the segment that comes next.
pub(crate) const PREPARED_NAME: &str = "prepared.tmp";
/// Below this age a segment that is not full stays open, however short `keep` is.
const ROTATE_AGE_MIN: Duration = Duration::from_secs(60);
static ZEROS: [u8; 1024 * 1024] = [0; 1024 * 1024];
