//! One client's part in everything that is published: a function of its record alone.
//!
//! Counts of distinct clients, occupancy and flow are sums over clients of what stands here, so a change of one client's record changes them
//! by a difference of two such parts, whatever the order in which things were told.

use hashbrown::HashMap;
use store::mac::Mac;
use store::presence::{COUNTS, Class, Identity, Level, Place};

use super::calendar::{Calendar, Window};
use super::cell::Hearing;
use super::profile::Profile;
use super::record::Record;
use super::session::{Found, Session};
use super::site::{Site, Zone};
use super::stay::{self, Stay};

/// The part of one client at one site.
#[derive(Clone, Debug, Default)]
pub struct Part {
    found: Found,
    /// The stays at access points of all sessions but fixtures, session by session.
    stays: Vec<Stay>,
    /// The stays in zones likewise.
    zone_stays: Vec<Stay>,
    /// Beside each session: where its stays end in `stays` and `zone_stays`.
    ends: Vec<(usize, usize)>,
    tallies: Vec<Tally>,
    /// Where each tally stands, once there are more than [`FEW`].
    index: HashMap<(Level, i64, Place), usize>,
    steps: Vec<Step>,
    transitions: Vec<Transition>,
}

/// What one client adds to one place in one window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Tally {
    pub(super) place: Place,
    pub(super) window: Window,
    flags: u8,
    /// The visit that set [`VISITOR`] last, counted from 1.
    visit: u32,
    /// Of the first visit: whether it was of a client that returned.
    returned: Option<bool>,
    visits: i32,
    exits: i32,
    bounces: i32,
    measured: i32,
    known: i32,
    returning: i32,
    dwell_total: i64,
    measured_s: i64,
}

/// From a minute on, so many more devices are at a place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Step {
    pub(super) place: Place,
    pub(super) minute: i64,
    pub(super) devices: i32,
    pub(super) connected: i32,
}

/// A change of place.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Transition {
    pub(super) from: Place,
    pub(super) to: Place,
    pub(super) hour: i64,
}

impl Part {
    /// Works the part out anew.
    pub fn evaluate(&mut self, record: &Record, profile: &Profile, site: &mut Site) {
        self.clear();
        if record.is_empty() {
            return;
        }
        self.found.find(record, profile, site);
        let mut found = std::mem::take(&mut self.found);
        for (at, session) in found.sessions.iter().enumerate() {
            if session.class != Class::Fixture {
                let (stays, zone_stays) = (self.stays.len(), self.zone_stays.len());
                stay::at_access_points(&record.cells[session.cells.clone()], session.start, session.end, profile, &mut self.stays);
                stay::in_zones(&self.stays[stays..], &site.zones, &mut self.zone_stays);
                if session.identity != Identity::LocalUnassociated {
                    let number = u32::try_from(at + 1).unwrap_or(u32::MAX);
                    self.count(session, number, (stays, zone_stays), site);
                    if session.class == Class::Visit {
                        self.connect(session, number, &record.hearings, site);
                    }
                }
            }
            self.ends.push((self.stays.len(), self.zone_stays.len()));
        }
        self.hear(record, &found, site);
        std::mem::swap(&mut self.found, &mut found);
    }

    /// Nobody's part.
    pub fn clear(&mut self) {
        self.found.sessions.clear();
        self.found.fixtures.clear();
        self.stays.clear();
        self.zone_stays.clear();
        self.ends.clear();
        self.tallies.clear();
        self.index.clear();
        self.steps.clear();
        self.transitions.clear();
    }

    /// The sessions, in order of time.
    #[must_use]
    pub fn sessions(&self) -> &[Session] {
        &self.found.sessions
    }

    /// The stays at access points of a session, by its index; none of a fixture.
    #[must_use]
    pub fn stays(&self, session: usize) -> &[Stay] {
        let from = session.checked_sub(1).map_or(0, |before| self.ends[before].0);
        &self.stays[from..self.ends[session].0]
    }

    /// The stays in zones of a session, by its index, zone by zone.
    #[must_use]
    pub fn zone_stays(&self, session: usize) -> &[Stay] {
        let from = session.checked_sub(1).map_or(0, |before| self.ends[before].1);
        &self.zone_stays[from..self.ends[session].1]
    }

    pub(super) fn found(&self) -> &Found {
        &self.found
    }

    pub(super) fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub(super) fn transitions(&self) -> &[Transition] {
        &self.transitions
    }

    /// A session that counts, and its stays.
    fn count(&mut self, session: &Session, number: u32, (first_stay, first_zone_stay): (usize, usize), site: &mut Site) {
        let is_visit = session.class == Class::Visit;
        let whole = Stay { place: Place::Site, start: session.start, end: session.end };
        self.spread(session, whole, number, is_visit, (session.cut.start, session.cut.end), &mut site.calendar);
        if !is_visit {
            return;
        }
        self.occupy(session, whole);
        for zones in [false, true] {
            let range = if zones { first_zone_stay..self.zone_stays.len() } else { first_stay..self.stays.len() };
            for at in range {
                let stay = if zones { self.zone_stays[at] } else { self.stays[at] };
                if stay.place == Place::Unlocated {
                    continue;
                }
                let cut = (session.cut.start && stay.start == session.start, session.cut.end && stay.end == session.end);
                self.spread(session, stay, number, true, cut, &mut site.calendar);
                self.occupy(session, stay);
            }
        }
        self.flow(session, first_stay, &mut site.calendar);
    }

    /// Counts a session or stay in every window that it overlaps.
    fn spread(&mut self, session: &Session, stay: Stay, visit: u32, is_visit: bool, (cut_start, cut_end): (bool, bool), calendar: &mut Calendar) {
        let is_site = stay.place == Place::Site;
        let is_measured = !cut_start && !cut_end;
        let mut each = |window: Window| {
            let is_in = |at: i64| window.from <= at && at < window.to;
            // A window that opening hours leave nothing of holds nobody.
            let is_open = window.from < window.to;
            let overlaps = is_open && stay.start < window.to && (stay.end > window.from || stay.start >= window.from);
            let ends_in = is_in(stay.end);
            if !overlaps && !ends_in {
                return;
            }
            let tally = self.tally(stay.place, window);
            if overlaps && is_site {
                tally.flags |= ENTERED;
            }
            if !is_visit {
                if is_in(stay.start) && is_measured {
                    tally.bounces += 1;
                }
                return;
            }
            if overlaps {
                if tally.flags & VISITOR == 0 {
                    tally.returned = session.is_returning;
                }
                tally.flags |= VISITOR;
                tally.visit = visit;
                tally.dwell_total += (stay.end.min(window.to) - stay.start.max(window.from)).max(0);
            }
            if is_in(stay.start) {
                if !cut_start {
                    tally.visits += 1;
                    tally.known += i32::from(session.is_returning.is_some());
                    tally.returning += i32::from(session.is_returning == Some(true));
                }
                if is_measured {
                    tally.measured += 1;
                    tally.measured_s += stay.end - stay.start;
                }
            }
            if ends_in && !cut_end {
                tally.exits += 1;
            }
        };
        // One second more, for the window that it ends in.
        calendar.overlapped(stay.start, stay.end + 1, &mut each);
    }

    fn occupy(&mut self, session: &Session, stay: Stay) {
        let minute = |at: i64| (at + 59).div_euclid(60) * 60;
        let mut step = |from: i64, devices: i32, connected: i32| self.steps.push(Step { place: stay.place, minute: minute(from), devices, connected });
        let connected_from = session.connected_at.map_or(stay.end, |at| at.max(stay.start)).min(stay.end);
        step(stay.start, 1, 0);
        step(connected_from, 0, 1);
        step(stay.end, -1, -1);
    }

    fn flow(&mut self, session: &Session, first_stay: usize, calendar: &mut Calendar) {
        let mut from = (!session.cut.start).then_some(Place::Outside);
        for stay in &self.stays[first_stay..] {
            if let Some(from) = from {
                self.transitions.push(Transition { from, to: stay.place, hour: calendar.hour(stay.start) });
            }
            from = Some(stay.place);
        }
        if let Some(from) = from
            && !session.cut.end
        {
            self.transitions.push(Transition { from, to: Place::Outside, hour: calendar.hour(session.end) });
        }
    }

    /// Where a visit was connected: an associated qualifying observation there, within its minutes.
    fn connect(&mut self, session: &Session, visit: u32, hearings: &[Hearing], site: &mut Site) {
        let (first, last) = (session.start.div_euclid(60), session.end.div_euclid(60) + 1);
        let Site { calendar, zones, .. } = site;
        for hearing in hearings {
            let bits = hearing.associated & between(hearing.hour, first, last);
            if bits == 0 {
                continue;
            }
            windows_of(hearing, calendar, |window, mask| {
                let mut connect = |place: Place, bits: u64| {
                    if bits & mask != 0
                        && let Some(at) = self.find(place, window)
                        && self.tallies[at].visit == visit
                    {
                        self.tallies[at].flags |= CONNECTED;
                    }
                };
                connect(Place::Site, bits);
                connect(Place::Ap(hearing.ap), bits);
                for zone in zones.iter() {
                    connect(Place::Zone(zone.number), bits & member_bits(zone, hearing));
                }
            });
        }
    }

    /// Where and when the client was heard outside its fixtures.
    fn hear(&mut self, record: &Record, found: &Found, site: &mut Site) {
        let Site { calendar, zones, .. } = site;
        for hearing in &record.hearings {
            let mut bits = hearing.heard;
            let spans = record.past.iter().flat_map(|past| &past.fixtures).map(|span| (span.start, span.end));
            for (start, end) in found.fixtures.iter().map(|&(_, start, end, _)| (start, end)).chain(spans) {
                bits &= !between(hearing.hour, start.div_euclid(60), end.div_euclid(60) + 1);
            }
            for &day in &found.fixture_days {
                if let (Some(start), Some(end)) = (calendar.first_second_of(day), calendar.first_second_of(day + 1)) {
                    bits &= !between(hearing.hour, start.div_euclid(60), end.div_euclid(60));
                }
            }
            if bits == 0 {
                continue;
            }
            windows_of(hearing, calendar, |window, mask| {
                let mut hear = |place: Place, bits: u64| {
                    if bits & mask != 0 {
                        self.tally(place, window).flags |= HEARD;
                    }
                };
                hear(Place::Site, bits);
                hear(Place::Ap(hearing.ap), bits);
                for zone in zones.iter() {
                    hear(Place::Zone(zone.number), bits & member_bits(zone, hearing));
                }
            });
        }
        if !record.is_random {
            self.tallies.iter_mut().for_each(|tally| tally.flags |= GLOBAL);
        }
    }

    fn tally(&mut self, place: Place, window: Window) -> &mut Tally {
        let at = self.find(place, window).unwrap_or_else(|| {
            self.tallies.push(Tally::new(place, window));
            let last = self.tallies.len() - 1;
            if last == FEW {
                self.index.extend(self.tallies.iter().enumerate().map(|(at, tally)| (key(tally.place, tally.window), at)));
            } else if last > FEW {
                self.index.insert(key(place, window), last);
            }
            last
        });
        &mut self.tallies[at]
    }

    /// Where the tally of a place and window stands: most clients have so few that looking at each, from the last, is fastest.
    pub(super) fn find(&self, place: Place, window: Window) -> Option<usize> {
        if self.tallies.len() > FEW {
            return self.index.get(&key(place, window)).copied();
        }
        self.tallies.iter().rposition(|tally| key(tally.place, tally.window) == key(place, window))
    }
}

impl Tally {
    fn new(place: Place, window: Window) -> Self {
        Self {
            place,
            window,
            flags: 0,
            visit: 0,
            returned: None,
            visits: 0,
            exits: 0,
            bounces: 0,
            measured: 0,
            known: 0,
            returning: 0,
            dwell_total: 0,
            measured_s: 0,
        }
    }

    /// Whether it is of the same place and window.
    pub(super) fn is_of(&self, other: &Self) -> bool {
        self.window.start == other.window.start && self.place == other.place && self.window.level == other.window.level
    }

    /// Whether it adds the same.
    pub(super) fn counts_the_same(&self, other: &Self) -> bool {
        Self { visit: other.visit, ..*self } == *other
    }

    /// What it adds, in the order of [`COUNTS`].
    pub(super) fn counts(&self) -> [i64; COUNTS.len()] {
        let is = |flag: u8| i64::from(self.flags & flag != 0);
        let is_visitor = is(VISITOR);
        let is_seen = is(HEARD | ENTERED | VISITOR);
        let is_global = is(GLOBAL);
        let returned = |what: Option<bool>| is_visitor * i64::from(self.returned == what);
        [
            is_seen,
            is_seen * is_global,
            is(ENTERED),
            is_visitor,
            is_visitor * is_global,
            is(CONNECTED),
            self.visits.into(),
            self.exits.into(),
            self.bounces.into(),
            self.dwell_total,
            self.measured.into(),
            self.measured_s,
            self.known.into(),
            self.returning.into(),
            returned(Some(false)),
            returned(Some(true)),
            returned(None),
        ]
    }
}

/// The bits of an hour's minutes in `[first, end)`, in minutes since 1970.
pub(super) fn between(hour: u32, first: i64, end: i64) -> u64 {
    let base = i64::from(hour) * 60;
    let (first, end) = ((first - base).clamp(0, 60), (end - base).clamp(0, 60));
    if end <= first { 0 } else { (u64::MAX >> (64 - (end - first))) << first }
}

/// The windows that an hour of UTC touches, with the minutes of it that are in them.
fn windows_of(hearing: &Hearing, calendar: &mut Calendar, mut each: impl FnMut(Window, u64)) {
    let start = i64::from(hearing.hour) * 3_600;
    calendar.overlapped(start, start + 3_600, |window| {
        // Opening hours are whole minutes, and so are days: an hour of UTC is cut by the minute.
        let mask = between(hearing.hour, window.from.div_euclid(60), window.to.div_euclid(60));
        if mask != 0 {
            each(window, mask);
        }
    });
}

/// The minutes of an hour in which the access point that heard belonged to a zone.
fn member_bits(zone: &Zone, hearing: &Hearing) -> u64 {
    let minute = |at: i64| at.div_euclid(60) + i64::from(at.rem_euclid(60) > 0);
    let of = |ap: Mac| zone.members.iter().filter(move |member| member.ap == ap);
    of(hearing.ap).fold(0, |bits, member| bits | between(hearing.hour, minute(member.since), minute(member.until)))
}

fn key(place: Place, window: Window) -> (Level, i64, Place) {
    (window.level, window.start, place)
}

/// So many tallies are looked through one by one.
const FEW: usize = 32;
const HEARD: u8 = 1;
const ENTERED: u8 = 2;
const VISITOR: u8 = 4;
const CONNECTED: u8 = 8;
const GLOBAL: u8 = 16;

#[cfg(test)]
mod tests {
    use super::super::calendar::OpeningHours;
    use super::super::record::Told;
    use super::*;
    use jiff::tz::TimeZone;

    /// A visit that begins before a site opens is no visit of that day, but its visitor; closed hours hold nobody.
    #[test]
    fn opening_hours_cut_windows_and_not_visits() {
        let profile = Profile::standard();
        let mut hours = OpeningHours::default();
        hours.0[0] = Some((10 * 3_600, 20 * 3_600));
        let mut site = Site::new("shop", TimeZone::UTC, Some(hours));
        let (mut record, ap) = (Record::default(), Mac::from_bits(0x0200_0000_000a));
        // 09:58 to 10:04 on a Monday.
        for minute in 0..7 {
            let told = Told { observed_at: MONDAY + 9 * 3_600 + 58 * 60 + minute * 60, ap, rssi_dbm: -60, is_associated: false, is_random: false };
            assert!(record.observe(&told, &profile));
        }
        let mut part = Part::default();
        part.evaluate(&record, &profile, &mut site);
        assert_eq!(part.sessions().len(), 1);
        let of = |level: Level, start: i64| {
            let tally = part.tallies().iter().find(|tally| tally.place == Place::Site && tally.window.level == level && tally.window.start == start);
            tally.map(|tally| COUNTS.into_iter().zip(tally.counts()).filter(|(_, count)| *count != 0).collect::<Vec<_>>())
        };
        let open =
            [("seen", 1), ("seen_global", 1), ("entered", 1), ("visitors", 1), ("visitors_global", 1), ("exits", 1), ("dwell_total", 240), ("new_visitors", 1)];
        assert_eq!(of(Level::Hour, MONDAY + 10 * 3_600).unwrap(), open);
        assert_eq!(of(Level::Day, MONDAY).unwrap(), open);
        assert_eq!(of(Level::Hour, MONDAY + 9 * 3_600), None);
        let total: i64 = part.steps().iter().filter(|step| step.place == Place::Site).map(|step| i64::from(step.devices) * step.minute).sum();
        assert_eq!(total, -6 * 60, "occupancy is not cut: six full minutes from 09:58 on");
    }

    /// 2026-06-15, midnight in UTC.
    const MONDAY: i64 = 1_781_481_600;
}
