//! A site: its floors, its access points, the places people go to, and how its metres become degrees.
//!
//! Access points stand on a grid with some disorder, 18 m apart, so that a client in the middle is heard by three to five of them,
//! as in captures. The building is a rectangle per floor; a street runs along its lower side.

use std::sync::Arc;

use store::mac::Mac;

use super::WorldOptions;
use super::dice::{Dice, Purpose};

/// Metres between neighbouring access points.
const SPACING_M: f64 = 18.0;
/// How far below the building's lower side the street runs.
const STREET_M: f64 = -6.0;
/// How far the street reaches beyond the building on both sides.
const STREET_BEYOND_M: f64 = 20.0;
const METRES_PER_DEGREE: f64 = 111_320.0;

/// A point on a floor, metres from the plan's lower-left corner.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Point {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) floor: u8,
}

impl Point {
    /// Metres between two points seen from above.
    pub(super) fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// The point on the way to `other`, at a share from 0 to 1 of it; floors change half-way, as by a lift.
    pub(super) fn toward(self, other: Self, share: f64) -> Self {
        let floor = if share < 0.5 { self.floor } else { other.floor };
        Self { x: self.x + (other.x - self.x) * share, y: self.y + (other.y - self.y) * share, floor }
    }
}

/// One access point of a site.
pub(super) struct AccessPoint {
    pub(super) mac: Mac,
    pub(super) name: String,
    pub(super) serial: String,
    /// As the dashboard sends them: with empty strings at the ends.
    pub(super) tags: &'static [&'static str],
    pub(super) at: Point,
    /// The floor plans it is placed on: mostly one, two for one in an atrium, none when nobody placed it.
    pub(super) floors: Vec<u8>,
}

/// One floor plan.
pub(super) struct Floor {
    pub(super) id: String,
    pub(super) name: String,
}

/// A site.
pub(super) struct Plan {
    pub(super) name: String,
    pub(super) network: Arc<str>,
    pub(super) width: f64,
    pub(super) depth: f64,
    pub(super) floors: Vec<Floor>,
    pub(super) access_points: Vec<AccessPoint>,
    entrances: Vec<Point>,
    /// Where people go, with the running sum of how liked each place is.
    destinations: Vec<(Point, f64)>,
    origin: (f64, f64),
}

impl Plan {
    pub(super) fn new(options: &WorldOptions, site: u32) -> Self {
        let mut dice = Dice::new(options.seed, site, Purpose::Plan);
        let count = options.access_points as usize;
        let floors = match count {
            0..8 => 1,
            8..40 => 2,
            _ => 3,
        };
        let per_floor = count.div_ceil(floors);
        let columns = ((per_floor as f64 * 1.5).sqrt().ceil() as usize).max(1);
        let (width, depth) = (columns as f64 * SPACING_M, per_floor.div_ceil(columns) as f64 * SPACING_M);
        let floors: Vec<Floor> = (0..floors)
            .map(|floor| Floor { id: format!("g_64600000{site:07}{floor:03}"), name: ["Ground floor", "First floor", "Second floor"][floor % 3].to_owned() })
            .collect();
        let access_points: Vec<AccessPoint> = (0..count)
            .map(|index| {
                let (floor, slot) = (index / per_floor, index % per_floor);
                let x = ((slot % columns) as f64 + 0.5) * SPACING_M + dice.between(-3.0, 3.0);
                let y = ((slot / columns) as f64 + 0.5) * SPACING_M + dice.between(-3.0, 3.0);
                access_point(options, site, index, Point { x, y, floor: floor as u8 }, floors.len())
            })
            .collect();
        let destinations = destinations(&access_points, (width, depth), &mut dice);
        let entrances = [0.5, 0.1].map(|share| Point { x: width * share, y: 0.0, floor: 0 }).to_vec();
        Self {
            name: format!("site-{site:04}"),
            network: format!("L_6460{site:014}").into(),
            origin: (47.0 + f64::from(site % 97) * 0.05 + dice.unit() * 0.01, 8.0 + f64::from(site % 89) * 0.05 + dice.unit() * 0.01),
            width,
            depth,
            floors,
            access_points,
            entrances,
            destinations,
        }
    }

    /// Latitude and longitude of a point.
    pub(super) fn degrees(&self, x: f64, y: f64) -> (f64, f64) {
        let (lat, lng) = self.origin;
        (lat + y / METRES_PER_DEGREE, lng + x / (METRES_PER_DEGREE * lat.to_radians().cos()))
    }

    /// The access point nearest to a point, of those on its floor.
    pub(super) fn nearest(&self, point: Point) -> usize {
        let distances = self.access_points.iter().map(|ap| if ap.at.floor == point.floor { ap.at.distance(point) } else { f64::INFINITY });
        distances.enumerate().min_by(|a, b| a.1.total_cmp(&b.1)).map_or(0, |(index, _)| index)
    }

    pub(super) fn is_inside(&self, point: Point) -> bool {
        (0.0..=self.width).contains(&point.x) && (0.0..=self.depth).contains(&point.y)
    }

    pub(super) fn entrance(&self, dice: &mut Dice) -> Point {
        self.entrances[dice.below(self.entrances.len())]
    }

    /// A place to go to; liked ones more often.
    pub(super) fn destination(&self, dice: &mut Dice) -> Point {
        let total = self.destinations.last().map_or(0.0, |last| last.1);
        let drawn = dice.unit() * total;
        let index = self.destinations.partition_point(|(_, sum)| *sum <= drawn).min(self.destinations.len() - 1);
        let point = self.destinations[index].0;
        let (x, y) = (point.x + dice.between(-1.5, 1.5), point.y + dice.between(-1.5, 1.5));
        Point { x: x.clamp(0.5, self.width - 0.5), y: y.clamp(0.5, self.depth - 0.5), floor: point.floor }
    }

    /// Where a passer-by comes into hearing and leaves it.
    pub(super) fn street(&self, dice: &mut Dice) -> (Point, Point) {
        let y = STREET_M + dice.between(-2.0, 2.0);
        let ends = [-STREET_BEYOND_M, self.width + STREET_BEYOND_M].map(|x| Point { x, y, floor: 0 });
        if dice.chance(0.5) { (ends[0], ends[1]) } else { (ends[1], ends[0]) }
    }

    /// Metres of the street that are walked.
    pub(super) fn street_length(&self) -> f64 {
        self.width + 2.0 * STREET_BEYOND_M
    }
}

fn access_point(options: &WorldOptions, site: u32, index: usize, at: Point, floors: usize) -> AccessPoint {
    const TAGS: [&[&str]; 4] = [&["", "shop-floor", ""], &[], &["", "entrance", "guest", ""], &["recently-added"]];
    let number = u64::from(site) * u64::from(options.access_points) + index as u64;
    let [.., a, b, c, d] = number.to_be_bytes();
    let floors = match index % 11 {
        10 => Vec::new(),
        7 if floors > 1 => vec![at.floor, (at.floor + 1) % floors as u8],
        _ => vec![at.floor],
    };
    AccessPoint {
        mac: Mac::from_bytes([0x5c, 0xf0, 0xa0 | (a & 0x0f), b, c, d]),
        name: format!("AP {:03}", index + 1),
        serial: format!("Q3AA-{:04X}-{:04X}", number >> 16 & 0xffff, number & 0xffff),
        tags: TAGS[index % TAGS.len()],
        at,
        floors,
    }
}

/// Two places near each access point; how liked they are falls off like one over the rank.
fn destinations(access_points: &[AccessPoint], (width, depth): (f64, f64), dice: &mut Dice) -> Vec<(Point, f64)> {
    let mut points: Vec<Point> = Vec::with_capacity(access_points.len() * 2);
    for ap in access_points.iter().flat_map(|ap| [ap, ap]) {
        let (x, y) = (ap.at.x + dice.between(-8.0, 8.0), ap.at.y + dice.between(-8.0, 8.0));
        points.push(Point { x: x.clamp(1.0, width - 1.0), y: y.clamp(1.0, depth - 1.0), floor: ap.at.floor });
    }
    for index in (1..points.len()).rev() {
        points.swap(index, dice.below(index + 1));
    }
    let mut sum = 0.0;
    let ranked = points.into_iter().enumerate();
    ranked
        .map(|(rank, point)| {
            sum += 1.0 / (rank + 3) as f64;
            (point, sum)
        })
        .collect()
}
