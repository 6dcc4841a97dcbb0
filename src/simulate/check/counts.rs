//! The numbers that are compared: of the truth or of the store, in the same shape.

use std::collections::BTreeMap;

use analytics::presence::calendar::{Calendar, Window};
use store::presence::Level;

use super::presence::{Presence, Visit};

/// The site as a place among its access points.
pub(super) const SITE: &str = "";
pub(super) const OUTSIDE: &str = "outside";
const MINUTE_S: i64 = 60;

/// What is counted of a place in an hour or a day.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Row {
    pub(super) visitors: i64,
    pub(super) visits: i64,
    pub(super) exits: i64,
    pub(super) dwell_s: i64,
    /// Of the site alone.
    pub(super) passers_by: i64,
    /// Of the site alone.
    pub(super) bounces: i64,
}

/// Everything that is counted over a stretch of time.
pub(super) struct Counts {
    pub(super) from: i64,
    pub(super) to: i64,
    /// The hours and days that the stretch touches.
    pub(super) windows: Vec<Window>,
    /// By window, as its number, and place.
    pub(super) rows: BTreeMap<(usize, String), Row>,
    /// Visits by start and end.
    pub(super) visits: BTreeMap<(i64, i64), i64>,
    /// Stays by place, start and end.
    pub(super) stays: BTreeMap<(String, i64, i64), i64>,
    /// Devices by place and minute.
    pub(super) occupancy: BTreeMap<(String, i64), i64>,
    /// Transitions by from, to and hour.
    pub(super) flow: BTreeMap<(String, String, i64), i64>,
}

impl Counts {
    /// Nothing, over a stretch of time.
    pub(super) fn new(calendar: &mut Calendar, from: i64, to: i64) -> Self {
        let mut windows = Vec::new();
        calendar.overlapped(from, to, |window| windows.push(window));
        Self { from, to, windows, rows: BTreeMap::new(), visits: BTreeMap::new(), stays: BTreeMap::new(), occupancy: BTreeMap::new(), flow: BTreeMap::new() }
    }

    /// The window of a level that begins at a moment.
    pub(super) fn window(&self, level: Level, is_it: impl Fn(&Window) -> bool) -> Option<usize> {
        self.windows.iter().position(|window| window.level == level && is_it(window))
    }

    /// A row to count in.
    pub(super) fn row(&mut self, window: usize, place: &str) -> &mut Row {
        self.rows.entry((window, place.to_owned())).or_default()
    }

    /// Counts one device.
    pub(super) fn add(&mut self, device: &Presence) {
        for visit in &device.visits {
            self.add_visit(visit);
        }
        for (number, window) in self.windows.clone().into_iter().enumerate() {
            self.count(number, window, device);
        }
    }

    fn add_visit(&mut self, visit: &Visit) {
        *self.visits.entry((visit.from, visit.to)).or_default() += 1;
        self.occupy(SITE, visit.from, visit.to);
        let mut last = OUTSIDE;
        for (place, from, to) in &visit.stays {
            *self.stays.entry((place.clone(), *from, *to)).or_default() += 1;
            self.occupy(place, *from, *to);
            self.pass(last, place, *from);
            last = place;
        }
        self.pass(last, OUTSIDE, visit.to);
    }

    fn occupy(&mut self, place: &str, from: i64, to: i64) {
        let first = from + (-from).rem_euclid(MINUTE_S);
        for minute in (first..to).step_by(MINUTE_S as usize) {
            *self.occupancy.entry((place.to_owned(), minute)).or_default() += 1;
        }
    }

    fn pass(&mut self, from: &str, to: &str, at: i64) {
        let hour = self.window(Level::Hour, |hour| (hour.start..hour.start + hour.length_s).contains(&at));
        if let Some(hour) = hour {
            let hour = self.windows[hour].start;
            *self.flow.entry((from.to_owned(), to.to_owned(), hour)).or_default() += 1;
        }
    }

    /// Counts a device in one window.
    fn count(&mut self, number: usize, window: Window, device: &Presence) {
        let within = |at: i64| (window.from..window.to).contains(&at);
        let overlaps = |(from, to): (i64, i64)| from < window.to && (to > window.from || from >= window.from);
        let length = |from: i64, to: i64| (to.min(window.to) - from.max(window.from)).max(0);
        let mut of_place: BTreeMap<&str, Row> = BTreeMap::new();
        let stays = device.visits.iter().flat_map(|visit| visit.stays.iter().map(|(place, from, to)| (place.as_str(), *from, *to)));
        for (place, from, to) in device.visits.iter().map(|visit| (SITE, visit.from, visit.to)).chain(stays) {
            if !overlaps((from, to)) && !within(to) {
                continue;
            }
            let row = of_place.entry(place).or_default();
            row.visitors |= i64::from(overlaps((from, to)));
            row.visits += i64::from(within(from));
            row.exits += i64::from(within(to));
            row.dwell_s += length(from, to);
        }
        let is_visitor = of_place.get(SITE).is_some_and(|row| row.visitors > 0);
        let is_seen = device.seen.iter().any(|&span| overlaps(span));
        let bounces = device.bounces.iter().filter(|&&at| within(at)).count() as i64;
        if is_seen || bounces > 0 {
            let site = of_place.entry(SITE).or_default();
            (site.passers_by, site.bounces) = (i64::from(is_seen && !is_visitor), bounces);
        }
        for (place, more) in of_place {
            let row = self.row(number, place);
            row.visitors += more.visitors;
            row.visits += more.visits;
            row.exits += more.exits;
            row.dwell_s += more.dwell_s;
            row.passers_by += more.passers_by;
            row.bounces += more.bounces;
        }
    }
}
