//! Sessions: runs of qualifying minutes in which the client entered, and what each is.

use std::ops::Range;

use store::presence::{Class, Cut, Identity};

use super::cell::Cell;
use super::profile::Profile;
use super::record::{DayMark, Record};
use super::site::{Lasting, Site};

/// A session of one client at one site.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    /// First entering observation, seconds since 1970.
    pub start: i64,
    /// Last qualifying observation, seconds since 1970.
    pub end: i64,
    /// Distinct minutes with a qualifying observation from the start's minute to the end's.
    pub minutes: u32,
    /// What it is.
    pub class: Class,
    /// How long the client can be known again.
    pub identity: Identity,
    /// Its first associated qualifying observation, not before the start.
    pub connected_at: Option<i64>,
    /// Of a visit: whether the client visited on an earlier day.
    pub is_returning: Option<bool>,
    /// What a change of keys cut.
    pub cut: Cut,
    /// Its cells, from the start's minute on.
    pub cells: Range<usize>,
}

/// What the runs of one record are, beside its sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// In order of time.
    pub(super) sessions: Vec<Session>,
    /// First qualifying observation, start and end of each fixture, with the cells of its run.
    pub(super) fixtures: Vec<(i64, i64, i64, Range<usize>)>,
    /// Days on which the client is a fixture all day; in order.
    pub(super) fixture_days: Vec<i32>,
    marks: Vec<DayMark>,
    visited: Vec<i32>,
}

impl Found {
    /// Finds the sessions of a record.
    pub(super) fn find(&mut self, record: &Record, profile: &Profile, site: &mut Site) {
        self.sessions.clear();
        self.fixtures.clear();
        self.mark_days(record, site);
        self.visited.clear();
        self.visited.extend(record.past.iter().flat_map(|past| &past.days).filter(|mark| mark.is_visited).map(|mark| mark.day));
        let spans = record.past.as_ref().map_or(&[][..], |past| past.fixtures.as_slice());
        let mut runs = Runs { cells: &record.cells, spans, cell: 0, span: 0, gap_s: profile.gap_s };
        while let Some(run) = runs.next() {
            self.judge(run, record, profile, site);
        }
    }

    fn judge(&mut self, run: Run, record: &Record, profile: &Profile, site: &mut Site) {
        let entered = record.cells[run.cells.clone()].iter().enumerate().find_map(|(at, cell)| cell.entering_s().map(|start| (run.cells.start + at, start)));
        let (first_cell, start) = match (entered, run.fixture_start) {
            (Some((_, entered)), Some(start)) => (run.cells.start, entered.min(start)),
            (Some((at, entered)), None) => (at, entered),
            (None, Some(start)) => (run.cells.start, start),
            (None, None) => return,
        };
        let cells = first_cell..run.cells.end;
        let within = &record.cells[cells.clone()];
        let dwell = run.end - start;
        let minutes = u32::try_from(within.len()).unwrap_or(u32::MAX);
        let day = site.calendar.day(start).number;
        let is_fixture = dwell > profile.max_visit_s || run.fixture_start.is_some() || self.fixture_days.binary_search(&day).is_ok();
        let class = if is_fixture {
            Class::Fixture
        } else if dwell >= profile.min_dwell_s && minutes >= profile.min_minutes {
            Class::Visit
        } else {
            Class::Bounce
        };
        let connected_at = within.iter().find_map(Cell::associated_s).map(|at| at.max(start));
        let identity = match (record.is_random, connected_at) {
            (false, _) => Identity::Global,
            (true, Some(_)) => Identity::LocalAssociated,
            (true, None) => Identity::LocalUnassociated,
        };
        let cut = cut(start, run.end, profile.gap_s, &mut site.lasting);
        let is_returning = if class == Class::Visit { self.is_returning(start, day, identity, profile, site) } else { None };
        if class == Class::Visit {
            self.visited.push(day);
        }
        if class == Class::Fixture {
            self.fixtures.push((run.first, start, run.end, run.cells));
        }
        self.sessions.push(Session { start, end: run.end, minutes, class, identity, connected_at, is_returning, cut, cells });
    }

    fn is_returning(&self, start: i64, day: i32, identity: Identity, profile: &Profile, site: &mut Site) -> Option<bool> {
        let days = i32::from(profile.loyalty_days);
        if site.lasting.days < i64::from(days) || identity == Identity::LocalUnassociated {
            return None;
        }
        if self.visited.iter().any(|&visited| visited < day && visited >= day - days) {
            return Some(true);
        }
        let reaches_back_to = i64::from(day - days) * DAY_S;
        // Each epoch has a key of its own.
        let epoch = site.lasting.epochs.as_mut().map_or(i64::MIN, |epochs| epochs.of(start).0);
        let born_at = site.lasting.born_at.max(epoch);
        // The first second of the first day looked at; the key may be younger than that.
        let first_second = if born_at > i64::MIN { site.calendar.first_second_of(day - days).unwrap_or(reaches_back_to) } else { reaches_back_to };
        (born_at <= first_second).then_some(false)
    }

    /// Which hours of which days the client qualified in, and which days that makes it a fixture on.
    fn mark_days(&mut self, record: &Record, site: &mut Site) {
        self.marks.clear();
        self.fixture_days.clear();
        if site.lasting.days < FIXTURE_DAYS_BACK + 1 {
            return;
        }
        if let Some(past) = &record.past {
            self.marks.extend(&past.days);
        }
        let before = self.marks.len();
        for cell in &record.cells {
            let (day, hour) = (site.calendar.day(cell.minute_s()).number, site.calendar.hour_of_day(cell.minute_s()));
            match self.marks[before..].last_mut() {
                Some(mark) if mark.day == day => mark.hours |= 1 << hour,
                _ => self.marks.push(DayMark { day, hours: 1 << hour, is_visited: false }),
            }
        }
        self.marks.sort_by_key(|mark| mark.day);
        self.marks.dedup_by(|later, mark| {
            let same = later.day == mark.day;
            if same {
                mark.hours |= later.hours;
            }
            same
        });
        if self.marks.len() < FIXTURE_DAYS {
            return;
        }
        let busy = |mark: &&DayMark| mark.hours.count_ones() >= FIXTURE_HOURS;
        let busy: Vec<i32> = self.marks.iter().filter(busy).map(|mark| mark.day).collect();
        for three in busy.windows(FIXTURE_DAYS) {
            // All days that have these three among the seven before them.
            let (first, last) = (three[0], three[FIXTURE_DAYS - 1]);
            for day in last + 1..=first + FIXTURE_DAYS_BACK as i32 {
                if let Err(at) = self.fixture_days.binary_search(&day) {
                    self.fixture_days.insert(at, day);
                }
            }
        }
    }
}

fn cut(start: i64, end: i64, gap_s: i64, lasting: &mut Lasting) -> Cut {
    lasting.epochs.as_mut().map_or(Cut::default(), |epochs| Cut { start: start - epochs.of(start).0 <= gap_s, end: epochs.of(end).1 - end <= gap_s })
}

/// A run: neighbouring qualifying observations no more than the gap apart.
struct Run {
    cells: Range<usize>,
    /// Where a fixture is part of it: when that started.
    fixture_start: Option<i64>,
    first: i64,
    end: i64,
}

/// Runs of cells and of the spans that fixtures left, in order of time.
struct Runs<'a> {
    cells: &'a [Cell],
    spans: &'a [super::record::Span],
    cell: usize,
    span: usize,
    gap_s: i64,
}

impl Runs<'_> {
    fn next(&mut self) -> Option<Run> {
        let begin = self.cell;
        let mut run: Option<Run> = None;
        loop {
            let next_cell = self.cells.get(self.cell).map(|cell| (cell.first_s(), cell.last_s()));
            let next_span = self.spans.get(self.span).map(|span| (span.first, span.end));
            let is_span = match (next_cell, next_span) {
                (None, None) => break,
                (Some((cell, _)), Some((span, _))) => span < cell,
                (None, Some(_)) => true,
                (Some(_), None) => false,
            };
            let Some((first, last)) = (if is_span { next_span } else { next_cell }) else { break };
            let run = run.get_or_insert(Run { cells: begin..begin, fixture_start: None, first, end: last });
            if first - run.end > self.gap_s {
                break;
            }
            run.end = run.end.max(last);
            if is_span {
                let start = self.spans[self.span].start;
                run.fixture_start = Some(run.fixture_start.map_or(start, |other| other.min(start)));
                self.span += 1;
            } else {
                self.cell += 1;
                run.cells.end = self.cell;
            }
        }
        run
    }
}

/// In how many hours a day a client must qualify,
const FIXTURE_HOURS: u32 = 18;
/// on how many days,
const FIXTURE_DAYS: usize = 3;
/// of how many before.
const FIXTURE_DAYS_BACK: i64 = 7;
const DAY_S: i64 = 86_400;
