//! Who is where: visitors who come, walk about and leave, staff who stay for a shift, passers-by on the street, fixtures.
//!
//! A person's way is a list of legs, each a straight walk or a stop, made only as far ahead as the simulated minute needs.
//! Arrivals are Poisson processes at a constant rate (there is no day and night), and the first minute starts with the site already
//! as full as it will be on average.

use std::collections::VecDeque;

use super::WorldOptions;
use super::devices::{self, Device, Numbers};
use super::dice::Dice;
use super::plan::{Plan, Point};

/// Seconds that a visitor stays at least, and the mean of what comes on top.
const STAY_MIN_S: f64 = 120.0;
const STAY_MORE_S: f64 = 1320.0;
/// About how long finding the way out takes after that.
const EXIT_S: f64 = 60.0;
const SHIFT_S: f64 = 8.0 * 3600.0;
const LIFT_S: f64 = 30.0;
/// A leg of a fixture is this long; the next one stands at the same place.
const STAND_S: i64 = 86_400;

/// What somebody, or something, is at the site for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Comes, walks about, leaves.
    Visitor,
    /// Walks along the street and never comes in.
    PasserBy,
    /// Stays for a shift.
    Staff,
    /// Never leaves: printers, tills, beacons.
    Fixture,
}

impl Kind {
    /// The name in the truth file.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visitor => "visitor",
            Self::PasserBy => "passer_by",
            Self::Staff => "staff",
            Self::Fixture => "fixture",
        }
    }
}

/// How many there were, by kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Visitors, those who were there at the start included.
    pub visitors: u64,
    /// Passers-by.
    pub passers_by: u64,
    /// Staff, each shift counted.
    pub staff: u64,
    /// Fixtures and beacons.
    pub fixtures: u64,
}

impl Totals {
    /// Adds the totals of another site.
    pub fn add(&mut self, other: &Self) {
        self.visitors += other.visitors;
        self.passers_by += other.passers_by;
        self.staff += other.staff;
        self.fixtures += other.fixtures;
    }

    fn count(&mut self, kind: Kind) {
        match kind {
            Kind::Visitor => self.visitors += 1,
            Kind::PasserBy => self.passers_by += 1,
            Kind::Staff => self.staff += 1,
            Kind::Fixture => self.fixtures += 1,
        }
    }
}

/// A straight walk, or a stop when both ends are the same.
struct Leg {
    start: i64,
    end: i64,
    from: Point,
    to: Point,
}

/// The way of one person.
pub(super) struct Route {
    pub(super) arrived: i64,
    pub(super) departed: Option<i64>,
    /// When the person wants to leave.
    wish: i64,
    /// Where a member of staff belongs.
    station: Option<Point>,
    legs: VecDeque<Leg>,
}

impl Route {
    fn new(at: Point, arrived: i64, wish: i64, station: Option<Point>) -> Self {
        let first = Leg { start: arrived, end: arrived + 1, from: at, to: at };
        Self { arrived, departed: None, wish, station, legs: VecDeque::from([first]) }
    }

    /// Where the person is; none before arrival and after departure.
    pub(super) fn at(&self, time: i64) -> Option<Point> {
        if self.departed.is_some_and(|departed| time >= departed) {
            return None;
        }
        let leg = self.legs.iter().find(|leg| (leg.start..leg.end).contains(&time))?;
        Some(leg.from.toward(leg.to, (time - leg.start) as f64 / (leg.end - leg.start) as f64))
    }

    fn last(&self) -> (Point, i64) {
        // A route is never empty: it starts with a leg and `forget` keeps the last one.
        self.legs.back().map_or((Point { x: 0.0, y: 0.0, floor: 0 }, self.arrived), |leg| (leg.to, leg.end))
    }

    fn walk(&mut self, to: Point, metres_per_second: f64) {
        let (from, start) = self.last();
        let lift = if from.floor == to.floor { 0.0 } else { LIFT_S };
        let seconds = (from.distance(to) / metres_per_second + lift).ceil() as i64;
        self.legs.push_back(Leg { start, end: start + seconds.max(1), from, to });
    }

    fn stop(&mut self, seconds: f64) {
        let (at, start) = self.last();
        self.legs.push_back(Leg { start, end: start + (seconds as i64).max(1), from: at, to: at });
    }

    /// Makes the way known up to `until`.
    fn extend(&mut self, kind: Kind, until: i64, plan: &Plan, dice: &mut Dice) {
        while self.departed.is_none() && self.last().1 < until {
            let now = self.last().1;
            match kind {
                Kind::Fixture => self.stop(STAND_S as f64),
                _ if now >= self.wish => {
                    self.walk(plan.entrance(dice), 1.2);
                    self.departed = Some(self.last().1);
                }
                Kind::Staff => {
                    let goal = self.station.filter(|_| dice.chance(0.7)).unwrap_or_else(|| plan.destination(dice));
                    self.walk(goal, 1.2);
                    self.stop(60.0 + dice.exponential(600.0));
                }
                Kind::Visitor | Kind::PasserBy => {
                    self.walk(plan.destination(dice), 1.1);
                    let left = (self.wish - self.last().1).max(5) as f64;
                    self.stop((20.0 + dice.exponential(200.0)).min(left));
                }
            }
        }
    }

    /// Drops the legs that ended before `time`.
    fn forget(&mut self, time: i64) {
        while self.legs.len() > 1 && self.legs.front().is_some_and(|leg| leg.end <= time) {
            self.legs.pop_front();
        }
    }
}

/// A person, or a thing that stands somewhere, and the devices that move with it.
pub(super) struct Person {
    pub(super) number: u64,
    pub(super) kind: Kind,
    pub(super) route: Route,
    pub(super) devices: Vec<Device>,
    /// Whether it was there before the simulation began.
    pub(super) was_there: bool,
}

/// Everybody at one site.
pub(super) struct Population {
    pub(super) people: Vec<Person>,
    pub(super) totals: Totals,
    numbers: Numbers,
    /// Mean seconds between two visitors, and between two passers-by.
    gaps: [f64; 2],
    /// When the next of each comes.
    next: [f64; 2],
}

impl Population {
    /// The people who are there when the simulation begins.
    pub(super) fn new(options: &WorldOptions, site: u32, plan: &Plan, begin: i64, dice: &mut Dice) -> Self {
        let clients = f64::from(options.clients);
        let fixtures = (clients * 0.07).round();
        let staff = (clients * 0.08).round();
        let passers_by = clients * 0.15;
        let visitors = (clients - fixtures - staff - passers_by).max(0.0);
        let passing_s = plan.street_length() / 1.4 + 0.2 * 60.0;
        let gaps = [(STAY_MIN_S + STAY_MORE_S + EXIT_S) / visitors, passing_s / passers_by];
        let mut population = Self {
            people: Vec::new(),
            totals: Totals::default(),
            numbers: Numbers::new(options.seed, site, options.sites, options.addresses),
            gaps,
            next: gaps.map(|gap| begin as f64 + dice.exponential(gap)),
        };
        for _ in 0..fixtures as u32 {
            population.add_fixture(begin, plan, dice, devices::fixture);
        }
        for _ in 0..plan.access_points.len() / 2 + 1 {
            population.add_fixture(begin, plan, dice, devices::beacon);
        }
        for _ in 0..staff as u32 {
            let station = plan.destination(dice);
            let route = Route::new(station, begin, begin + dice.between(600.0, SHIFT_S) as i64, Some(station));
            population.add(Kind::Staff, route, true, dice);
        }
        for _ in 0..visitors.round() as u32 {
            let wish = begin + dice.exponential(STAY_MORE_S) as i64;
            let route = Route::new(plan.destination(dice), begin, wish, None);
            population.add(Kind::Visitor, route, true, dice);
        }
        population
    }

    /// Makes everybody's way known for a minute: who is there goes on, who comes in it is added.
    pub(super) fn advance(&mut self, begin: i64, end: i64, plan: &Plan, dice: &mut Dice) {
        while self.next[0] < end as f64 {
            let arrived = self.next[0] as i64;
            let wish = arrived + (STAY_MIN_S + dice.exponential(STAY_MORE_S)) as i64;
            let route = Route::new(plan.entrance(dice), arrived, wish, None);
            self.add(Kind::Visitor, route, false, dice);
            self.next[0] += dice.exponential(self.gaps[0]);
        }
        while self.next[1] < end as f64 {
            let route = passing(self.next[1] as i64, plan, dice);
            self.add(Kind::PasserBy, route, false, dice);
            self.next[1] += dice.exponential(self.gaps[1]);
        }
        for person in &mut self.people {
            person.route.forget(begin);
            person.route.extend(person.kind, end, plan, dice);
        }
    }

    /// Takes out those who have left by `end`; a member of staff is relieved by another.
    pub(super) fn leave(&mut self, end: i64, plan: &Plan, dice: &mut Dice) -> Vec<Person> {
        let gone: Vec<Person> = self.people.extract_if(.., |person| person.route.departed.is_some_and(|departed| departed <= end)).collect();
        for person in gone.iter().filter(|person| person.kind == Kind::Staff) {
            let route = Route::new(plan.entrance(dice), end, end + SHIFT_S as i64, person.route.station);
            self.add(Kind::Staff, route, false, dice);
        }
        gone
    }

    fn add(&mut self, kind: Kind, route: Route, was_there: bool, dice: &mut Dice) {
        let number = self.numbers.next();
        let devices = devices::carried(kind, number, route.arrived, &mut self.numbers, dice);
        self.totals.count(kind);
        self.people.push(Person { number, kind, route, devices, was_there });
    }

    fn add_fixture(&mut self, begin: i64, plan: &Plan, dice: &mut Dice, make: fn(i64, &mut Numbers, &mut Dice) -> Device) {
        let number = self.numbers.next();
        let route = Route::new(plan.destination(dice), begin, i64::MAX, None);
        let devices = vec![make(begin, &mut self.numbers, dice)];
        self.totals.count(Kind::Fixture);
        self.people.push(Person { number, kind: Kind::Fixture, route, devices, was_there: true });
    }
}

/// A way along the street; one in five stops in front of the window.
fn passing(arrived: i64, plan: &Plan, dice: &mut Dice) -> Route {
    let (from, to) = plan.street(dice);
    let mut route = Route::new(from, arrived, arrived, None);
    let pace = dice.between(1.2, 1.6);
    if dice.chance(0.2) {
        route.walk(from.toward(to, dice.between(0.2, 0.8)), pace);
        route.stop(dice.between(20.0, 100.0));
    }
    route.walk(to, pace);
    route.departed = Some(route.last().1);
    route
}
