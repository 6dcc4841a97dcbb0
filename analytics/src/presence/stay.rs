//! Stays: where a session was, minute by minute, without the flicker between access points that hear equally well.

use store::mac::Mac;
use store::presence::Place;

use super::cell::Cell;
use super::profile::Profile;
use super::site::Zone;

/// A time at one place: `[start, end)` in seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stay {
    /// An access point, unlocated, or a zone.
    pub place: Place,
    /// When it begins.
    pub start: i64,
    /// When it ends.
    pub end: i64,
}

/// Appends the stays of a session. `cells` are those from its start's minute to its end's minute. Their lengths add up to the session's.
pub(super) fn at_access_points(cells: &[Cell], start: i64, end: i64, profile: &Profile, stays: &mut Vec<Stay>) {
    let first_stay = stays.len();
    let mut legs = Legs::new(cells, profile);
    while let Some((ap, leg)) = legs.next() {
        for at in leg {
            let from = if at == 0 { start } else { cells[at].minute_s() };
            let until = cells.get(at + 1).map_or(end, Cell::minute_s);
            let held = until.min(cells[at].minute_s() + 60 + profile.ap_gap_s);
            extend(stays, first_stay, Stay { place: Place::Ap(ap), start: from, end: held });
            if held < until {
                extend(stays, first_stay, Stay { place: Place::Unlocated, start: held, end: until });
            }
        }
    }
    // A last piece of no length says nothing, unless it is all there is.
    if stays.len() > first_stay + 1 && stays.last().is_some_and(|last| last.start == last.end) {
        stays.pop();
    }
}

/// Appends the stays in zones of a session: its neighbouring stays at the zone's access points, joined.
pub(super) fn in_zones(at_access_points: &[Stay], zones: &[Zone], stays: &mut Vec<Stay>) {
    for zone in zones {
        let first_stay = stays.len();
        let mut is_inside = false;
        for stay in at_access_points {
            let is_member = matches!(stay.place, Place::Ap(ap) if zone.has(ap, stay.start));
            if is_member && is_inside && stays.len() > first_stay {
                if let Some(last) = stays.last_mut() {
                    last.end = stay.end;
                }
            } else if is_member {
                stays.push(Stay { place: Place::Zone(zone.number), ..*stay });
            }
            is_inside = is_member;
        }
    }
}

fn extend(stays: &mut Vec<Stay>, first_stay: usize, next: Stay) {
    match stays[first_stay..].last_mut() {
        Some(last) if last.place == next.place => last.end = next.end,
        _ => stays.push(next),
    }
}

/// The legs of a session: neighbouring observed minutes with one winner.
struct Legs<'a> {
    cells: &'a [Cell],
    profile: &'a Profile,
    at: usize,
    /// The place of the last leg that stood.
    place: Option<Mac>,
}

impl<'a> Legs<'a> {
    fn new(cells: &'a [Cell], profile: &'a Profile) -> Self {
        Self { cells, profile, at: 0, place: None }
    }

    /// The next leg and where it belongs: where it is if it stands, else where the last leg that stands is.
    fn next(&mut self) -> Option<(Mac, std::ops::Range<usize>)> {
        let first = self.cells.get(self.at)?;
        let winner = first.best.ap();
        let length = self.cells[self.at..].iter().take_while(|cell| cell.best.ap() == winner).count();
        let leg = self.at..self.at + length;
        let held = i64::from(self.cells[leg.end - 1].minute - first.minute) * 60 + 60;
        let is_stronger = leg.start.checked_sub(1).is_some_and(|before| {
            let before = &self.cells[before];
            i16::from(first.best.rssi_dbm()) - i16::from(before.best.rssi_dbm()) >= self.profile.settle_db
        });
        let place = match self.place {
            Some(place) if held < self.profile.settle_s && !is_stronger => place,
            _ => winner,
        };
        self.place = Some(place);
        self.at = leg.end;
        Some((place, leg))
    }
}
