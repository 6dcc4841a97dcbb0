//! What must hold of the tables of any site, whatever was observed.

use std::collections::{BTreeMap, BTreeSet};

use crate::definition::tables;
use crate::random;
use crate::rows::{Class, Counts, Cut, Identity, Kind, Place, Session, Tables};
use crate::site::{Site, Window};

#[test]
fn the_laws_hold_on_random_sites() {
    let mut found = Found::default();
    for seed in 0..SITES {
        let site = random::site(seed);
        let tables = tables(&site);
        let wrong = broken(&site, &tables);
        assert!(wrong.is_empty(), "seed {seed}\n{}", wrong.join("\n"));
        found.add(&tables);
    }
    found.is_enough();
}

/// The laws that do not hold, a line for each place where one does not.
pub(crate) fn broken(site: &Site, tables: &Tables) -> Vec<String> {
    let windows = site.windows();
    [containment(tables), hours_make_days(&windows, tables), stays_make_sessions(tables), flow_balances(tables), little(&windows, tables)].concat()
}

fn containment(tables: &Tables) -> Vec<String> {
    let holds = |row: &&Counts| {
        let [seen, visitors, connected] = ["seen", "visitors", "connected"].map(|column| row.count(column));
        let entered = row.value("entered").unwrap_or(visitors);
        let kinds = row.count("new_visitors") + row.count("returning_visitors") + row.count("unknown_visitors");
        let begun = row.value("stay_rate").zip(row.value("bounce_rate"));
        seen >= entered
            && entered >= visitors
            && visitors >= connected
            && row.count("passersby") == seen - visitors
            && kinds == visitors
            && begun.is_none_or(|(stay, bounce)| (stay + bounce - 1.0).abs() < 1e-9)
    };
    tables.counts.iter().filter(|row| !holds(row)).map(|row| format!("containment: {row:?}")).collect()
}

fn hours_make_days(windows: &[Window], tables: &Tables) -> Vec<String> {
    let day_of: BTreeMap<(Kind, i64), i64> = windows.iter().map(|window| ((window.kind, window.a), window.n)).collect();
    let mut open: BTreeMap<(&Place, i64, &str), f64> = BTreeMap::new();
    for row in &tables.counts {
        for column in ["visits", "exits", "dwell_total", "bounces"] {
            let sign = if row.kind == Kind::Day { 1.0 } else { -1.0 };
            *open.entry((&row.place, day_of[&(row.kind, row.a)], column)).or_default() += sign * row.count(column);
        }
    }
    open.into_iter().filter(|(_, rest)| *rest != 0.0).map(|(key, rest)| format!("hours make days: {key:?} differs by {rest}")).collect()
}

/// The stays of a session follow each other without a hole, from its start to its end.
fn stays_make_sessions(tables: &Tables) -> Vec<String> {
    let mut wrong = Vec::new();
    for session in &tables.sessions {
        let stays = tables.stays.iter().filter(|stay| (stay.client, stay.started) == (session.client, session.started));
        let mut stays: Vec<_> = stays.filter(|stay| !matches!(stay.place, Place::Zone(_))).collect();
        stays.sort_by_key(|stay| stay.seq);
        let is_right = if session.class == Class::Fixture {
            stays.is_empty()
        } else {
            let edges = stays.first().map(|stay| stay.a) == Some(session.started) && stays.last().map(|stay| stay.b) == Some(session.ended);
            let numbers = stays.iter().zip(1..).all(|(stay, n)| stay.seq == n);
            let lengths = stays.iter().all(|stay| stay.a < stay.b || session.started == session.ended);
            edges && numbers && lengths && stays.windows(2).all(|pair| pair[0].b == pair[1].a && pair[0].place != pair[1].place)
        };
        if !is_right {
            wrong.push(format!("stays make sessions: {session:?} has {stays:?}"));
        }
    }
    wrong
}

/// Moves to a place are the stays begun there, moves from it the stays ended.
fn flow_balances(tables: &Tables) -> Vec<String> {
    let mut open: BTreeMap<(&Place, i64, &str), f64> = BTreeMap::new();
    for row in &tables.flow {
        *open.entry((&row.to, row.hour, "visits")).or_default() += row.transitions as f64;
        *open.entry((&row.from, row.hour, "exits")).or_default() += row.transitions as f64;
    }
    for row in tables.counts.iter().filter(|row| row.kind == Kind::Hour && matches!(row.place, Place::Ap(_))) {
        for column in ["visits", "exits"] {
            *open.entry((&row.place, row.a, column)).or_default() -= row.count(column);
        }
    }
    let wrong = open.into_iter().filter(|((place, ..), rest)| matches!(place, Place::Ap(_)) && *rest != 0.0);
    wrong.map(|(key, rest)| format!("flow balances: {key:?} differs by {rest}")).collect()
}

/// Little's law: the minutes of the occupancy are the time spent, to less than a minute for each visit or stay.
fn little(windows: &[Window], tables: &Tables) -> Vec<String> {
    let ends: BTreeMap<(Kind, i64), i64> = windows.iter().map(|window| ((window.kind, window.a), window.b)).collect();
    let counted = |session: &&Session| session.class == Class::Visit && session.identity != Identity::LocalUnassoc;
    let visits: BTreeSet<(u32, i64)> = tables.sessions.iter().filter(counted).map(|visit| (visit.client, visit.started)).collect();
    let mut lengths: Vec<(&Place, i64, i64)> = tables.sessions.iter().filter(counted).map(|visit| (&Place::Site, visit.started, visit.ended)).collect();
    lengths.extend(tables.stays.iter().filter(|stay| visits.contains(&(stay.client, stay.started))).map(|stay| (&stay.place, stay.a, stay.b)));
    let mut wrong = Vec::new();
    for row in &tables.counts {
        let (a, b) = (row.a, ends[&(row.kind, row.a)]);
        let minutes = tables.occupancy.iter().filter(|minute| minute.place == row.place && a <= minute.minute && minute.minute < b);
        let spent = minutes.map(|minute| minute.devices as f64 * 60.0).sum::<f64>();
        let overlaps = |(place, start, end): &&(&Place, i64, i64)| **place == row.place && *start < b && (*end > a || *start >= a);
        let n = lengths.iter().filter(overlaps).count() as f64;
        let (apart, allowed) = ((spent - row.count("dwell_total")).abs(), 60.0 * n);
        if apart >= allowed.max(1.0) {
            wrong.push(format!("little: {spent} s of occupancy, {n} lengths, {row:?}"));
        }
    }
    wrong
}

/// What the sites had, so that no law holds for want of anything to hold for.
#[derive(Default)]
struct Found(BTreeMap<&'static str, usize>);

impl Found {
    fn add(&mut self, tables: &Tables) {
        let sessions = |test: &dyn Fn(&Session) -> bool| tables.sessions.iter().filter(|session| test(session)).count();
        let stays = |test: &dyn Fn(&Place) -> bool| tables.stays.iter().filter(|stay| test(&stay.place)).count();
        let counts = |test: &dyn Fn(&Counts) -> bool| tables.counts.iter().filter(|row| test(row)).count();
        let long_fixture = |session: &Session| session.class == Class::Fixture && session.ended - session.started <= 900;
        for (what, count) in [
            ("visits", sessions(&|session| session.class == Class::Visit)),
            ("bounces", sessions(&|session| session.class == Class::Bounce)),
            ("fixtures", sessions(&|session| session.class == Class::Fixture)),
            ("fixtures by their days", sessions(&long_fixture)),
            ("connected sessions", sessions(&|session| session.connected_at.is_some())),
            ("connected later", sessions(&|session| session.connected_at.is_some_and(|at| at > session.started))),
            ("invented, associated", sessions(&|session| session.identity == Identity::LocalAssoc)),
            ("invented, unassociated", sessions(&|session| session.identity == Identity::LocalUnassoc)),
            ("returning", sessions(&|session| session.is_returning == Some(true))),
            ("new", sessions(&|session| session.is_returning == Some(false))),
            ("cut at the start", sessions(&|session| session.cut == Some(Cut::Start))),
            ("cut at the end", sessions(&|session| session.cut == Some(Cut::End))),
            ("stays at access points", stays(&|place| matches!(place, Place::Ap(_)))),
            ("stays in zones", stays(&|place| matches!(place, Place::Zone(_)))),
            ("unlocated stays", stays(&|place| *place == Place::Unlocated)),
            ("sessions of several stays", tables.stays.iter().filter(|stay| stay.seq == 2).count()),
            ("minutes", tables.occupancy.len()),
            ("moves between places", tables.flow.iter().filter(|row| row.from != Place::Outside && row.to != Place::Outside).count()),
            ("present", tables.now.len()),
            ("passers-by", counts(&|row| row.count("passersby") > 0.0)),
            ("connected visitors", counts(&|row| row.count("connected") > 0.0)),
        ] {
            *self.0.entry(what).or_default() += count;
        }
    }

    fn is_enough(&self) {
        let rare: Vec<_> = self.0.iter().filter(|(_, count)| **count < 10).collect();
        assert!(rare.is_empty(), "{rare:?} of {:?}", self.0);
    }
}

const SITES: u64 = 300;
