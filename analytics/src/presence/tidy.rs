//! Forgets what can change no more: the inside of fixtures, and runs that nothing admitted can reach.

use super::cell::Cell;
use super::evaluate::Part;
use super::profile::Profile;
use super::record::{Past, Record, Span};
use super::site::Site;

/// Makes a record smaller. `part` is what it was evaluated to.
///
/// Whatever is taken in later, the difference between two evaluations stays what it would have been: a fixture stays a fixture, and nothing
/// that counts is observed before `keep_from`, which is the start of a local day.
pub(super) fn tidy(record: &mut Record, part: &Part, keep_from: i64, profile: &Profile, site: &mut Site) {
    collapse(record, part, profile, site);
    expire(record, part, keep_from, profile, site);
}

fn collapse(record: &mut Record, part: &Part, profile: &Profile, site: &mut Site) {
    for &(first, start, end, ref cells) in part.found().fixtures.iter().rev() {
        if end - start <= profile.max_visit_s {
            // A fixture by its earlier days only: it may yet start on another day.
            continue;
        }
        mark(record, cells.clone(), site);
        record.cells.drain(cells.clone());
        let past = record.past.get_or_insert_default();
        past.fixtures.retain(|span| span.end < first || span.first > end);
        let at = past.fixtures.partition_point(|span| span.first < first);
        past.fixtures.insert(at, Span { first, start, end });
        for hearing in &mut record.hearings {
            let inside = super::evaluate::between(hearing.hour, start.div_euclid(60), end.div_euclid(60) + 1);
            hearing.heard &= !inside;
            hearing.associated &= !inside;
        }
        record.hearings.retain(|hearing| hearing.heard | hearing.associated != 0);
    }
}

fn expire(record: &mut Record, part: &Part, keep_from: i64, profile: &Profile, site: &mut Site) {
    let unreachable = keep_from - profile.gap_s;
    if record.cells.first().is_some_and(|cell| cell.last_s() < unreachable) {
        let mut gone = 0;
        for (at, cell) in record.cells.iter().enumerate() {
            let is_end = record.cells.get(at + 1).is_none_or(|next| next.first_s() - cell.last_s() > profile.gap_s);
            if cell.last_s() >= unreachable {
                break;
            }
            if is_end {
                gone = at + 1;
            }
        }
        let end = gone.checked_sub(1).map_or(i64::MIN, |last| record.cells[last].last_s());
        mark(record, 0..gone, site);
        if site.lasting.days >= i64::from(profile.loyalty_days) {
            for session in part.sessions().iter().filter(|session| session.end <= end && session.class == store::presence::Class::Visit) {
                let day = site.calendar.day(session.start).number;
                record.past.get_or_insert_default().mark(day, 0, true);
            }
        }
        record.cells.drain(..gone);
    }
    if record.hearings.first().is_some_and(|hearing| i64::from(hearing.hour + 1) * 3_600 <= keep_from) {
        record.hearings.retain(|hearing| i64::from(hearing.hour + 1) * 3_600 > keep_from);
    }
    if let Some(past) = record.past.as_deref_mut() {
        let oldest = site.calendar.day(keep_from).number - DAYS_BACK;
        past.fixtures.retain(|span| span.end >= unreachable);
        past.days.retain(|mark| mark.day >= oldest);
        if *past == Past::default() {
            record.past = None;
        }
    }
}

/// Keeps of cells that go which hours of which days they were in.
fn mark(record: &mut Record, cells: std::ops::Range<usize>, site: &mut Site) {
    if site.lasting.days < LASTING_DAYS_MIN {
        return;
    }
    let Record { cells: all, past, .. } = record;
    for minute in all[cells].iter().map(Cell::minute_s) {
        let (day, hour) = (site.calendar.day(minute).number, site.calendar.hour_of_day(minute));
        past.get_or_insert_default().mark(day, 1 << hour, false);
    }
}

/// Identities that last less cannot be fixtures by their days.
const LASTING_DAYS_MIN: i64 = 8;
/// How many days of marks are of use: those of the loyalty, and one more.
const DAYS_BACK: i32 = 29;
