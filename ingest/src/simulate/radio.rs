//! The air: how strongly an access point hears a device, and where the cloud then believes it to be.
//!
//! Log-distance path loss, some loss per metre for walls and shelves, more for a floor or an outer wall, and normal noise. The
//! figures are chosen so that a client is heard by about three to five access points at a spacing of 18 m.

use store::batch::Radio;

use super::devices::{Device, Identity};
use super::dice::Dice;
use super::plan::{Plan, Point};

/// Beyond this no access point hears anything, whatever the noise.
const REACH_M: f64 = 45.0;
const NOISE_DB: f64 = 4.0;
const WALLS_DB_PER_M: f64 = 0.3;
const OUTER_WALL_DB: f64 = 8.0;
const FLOOR_DB: f64 = 18.0;
const FLOOR_HEIGHT_M: f64 = 3.5;
/// A frame is missed although it was strong enough.
const MISSED: f64 = 0.1;
/// The scale on which Meraki reports: 95 dB above the floor is 0 dBm.
const RSSI_DBM: std::ops::RangeInclusive<f64> = -95.0..=-20.0;

/// What a perfect radio hears of who is inside, and of who is outside: enough to be present, and enough to be seen and no more.
const PERFECT_INSIDE_DBM: i8 = -50;
const PERFECT_OUTSIDE_DBM: i8 = -90;

/// How one kind of radio fares.
struct Band {
    at_one_metre_dbm: f64,
    exponent: f64,
    weakest_dbm: f64,
}

impl Band {
    fn of(radio: Radio) -> Self {
        match radio {
            Radio::Wifi => Self { at_one_metre_dbm: -40.0, exponent: 3.4, weakest_dbm: -92.0 },
            Radio::Ble => Self { at_one_metre_dbm: -52.0, exponent: 2.6, weakest_dbm: -95.0 },
        }
    }
}

/// One access point heard a device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reading {
    /// Index into the plan's access points.
    pub(super) ap: u32,
    pub(super) rssi_dbm: i8,
}

/// What the cloud believes of where a device is.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Place {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) uncertainty: Uncertainty,
    /// Now and then the cloud knows a place on the plan but no degrees.
    pub(super) has_degrees: bool,
}

/// The cloud's uncertainty in metres, with the oddities seen in captures.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Uncertainty {
    /// May be slightly negative.
    Metres(f64),
    NotANumber,
    Null,
}

/// A moment in which a device was heard by one access point or more.
pub(super) struct Hearing {
    pub(super) at: i64,
    pub(super) readings: Vec<Reading>,
    pub(super) place: Option<Place>,
}

impl Hearing {
    /// The access point that heard the device best.
    pub(super) fn strongest(&self) -> Option<Reading> {
        self.readings.iter().copied().max_by_key(|reading| (reading.rssi_dbm, std::cmp::Reverse(reading.ap)))
    }
}

/// Listens to a device at a point; none when nobody hears it.
pub(super) fn hear(plan: &Plan, device: &Device, point: Point, at: i64, dice: &mut Dice) -> Option<Hearing> {
    let band = Band::of(device.identity.radio);
    let outer_wall = if plan.is_inside(point) { 0.0 } else { OUTER_WALL_DB };
    let mut readings = Vec::with_capacity(8);
    for (index, ap) in plan.access_points.iter().enumerate() {
        let floors = f64::from(ap.at.floor.abs_diff(point.floor));
        let flat = ap.at.distance(point);
        if flat > REACH_M {
            continue;
        }
        let metres = flat.hypot(floors * FLOOR_HEIGHT_M).max(1.0);
        let loss = 10.0 * band.exponent * metres.log10() + WALLS_DB_PER_M * metres + FLOOR_DB * floors + outer_wall;
        let dbm = band.at_one_metre_dbm + device.gain_db - loss + dice.normal(NOISE_DB);
        if dbm >= band.weakest_dbm && !dice.chance(MISSED) {
            readings.push(Reading { ap: index as u32, rssi_dbm: dbm.clamp(*RSSI_DBM.start(), *RSSI_DBM.end()).round() as i8 });
        }
    }
    if readings.is_empty() {
        return None;
    }
    let place = estimate(readings.len(), point, dice);
    Some(Hearing { at, readings, place })
}

/// Hears as no radio does: by the nearest access point alone, without noise, at the place where the device is. A connected device outside
/// is not heard: it would count as present however faint it is.
pub(super) fn hear_perfectly(plan: &Plan, identity: &Identity, point: Point, at: i64) -> Option<Hearing> {
    let rssi_dbm = match (plan.is_inside(point), identity.association.is_some()) {
        (true, _) => PERFECT_INSIDE_DBM,
        (false, false) => PERFECT_OUTSIDE_DBM,
        (false, true) => return None,
    };
    let readings = vec![Reading { ap: plan.nearest(point) as u32, rssi_dbm }];
    Some(Hearing { at, readings, place: Some(Place { x: point.x, y: point.y, uncertainty: Uncertainty::Metres(0.0), has_degrees: true }) })
}

/// Fewer access points place a device worse; about one time in six the cloud gives no place at all.
fn estimate(readings: usize, point: Point, dice: &mut Dice) -> Option<Place> {
    let deviation = if readings >= 3 { 2.5 } else { 7.0 };
    let (x, y) = (point.x + dice.normal(deviation), point.y + dice.normal(deviation));
    let uncertainty = match dice.below(100) {
        0..4 => Uncertainty::Metres(-dice.between(0.05, 0.6)),
        4..6 => Uncertainty::NotANumber,
        6..8 => Uncertainty::Null,
        8..20 if readings < 3 => Uncertainty::Metres(48.999_999_998_421),
        _ => Uncertainty::Metres(dice.exponential(deviation * 2.0).min(49.0)),
    };
    let has_degrees = !dice.chance(0.01);
    (!dice.chance(0.17)).then_some(Place { x, y, uncertainty, has_degrees })
}
