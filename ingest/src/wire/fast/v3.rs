//! Version 3 on the fast road: rows are written while their entry is read, and completed with what comes behind them.

use store::batch::{AccessPoint, Client, Location, Observation, Radio};
use store::mac::Mac;
use store::texts::Text;

use super::clock::Day;
use super::kernel::{Kernel, Work};
use super::keys::{Keys, Members, Order};
use super::place::Place;
use super::scan::{Elements, Scan};
use super::skip;
use crate::wire::rows::{Rows, Whole, dbm, not_negative};

/// The learned orders of v3's objects.
#[derive(Default)]
pub(super) struct Orders {
    data: Order,
    entry: Order,
    location: Order,
    record: Order,
    latest: Order,
    access_point: Order,
    plan: Order,
    ap_plan: Order,
}

/// Reads `data` into the rows.
#[inline(always)]
pub(super) fn read<K: Kernel>(scan: &mut Scan<'_, K>, radio: Radio, rows: &mut Rows<'_>, orders: &mut Orders, day: &mut Day) -> Option<()> {
    rows.batch.radio = radio;
    let Orders { data, entry: order, location, record, latest, access_point: ap_order, plan, ap_plan } = orders;
    let mut orders = EntryOrders { entry: order, location, record, latest, plan };
    let mut members = Members::new(&DATA, data);
    while let Some(key) = members.next(scan)? {
        let mut elements = Elements::new();
        match key {
            NETWORK => rows.batch.network = scan.text(rows)?,
            REPORTING_APS => {
                while elements.next(scan)? {
                    access_point(scan, rows, ap_order, ap_plan)?;
                }
            }
            OBSERVATIONS => {
                while elements.next(scan)? {
                    entry(scan, rows, &mut orders, day)?;
                }
            }
            _ => skip::string(scan)?,
        }
    }
    (members.has(OBSERVATIONS) && !rows.batch.network.is_none()).then_some(())
}

/// The learned orders below an entry.
struct EntryOrders<'o> {
    entry: &'o mut Order,
    location: &'o mut Order,
    record: &'o mut Order,
    latest: &'o mut Order,
    plan: &'o mut Order,
}

/// Reads one element of the post's array: a client and all that is told of it.
#[inline(always)]
fn entry<K: Kernel>(scan: &mut Scan<'_, K>, rows: &mut Rows<'_>, orders: &mut EntryOrders<'_>, day: &mut Day) -> Option<()> {
    let number = rows.next_client();
    let first_row = rows.batch.observations.len();
    let mut client = Client {
        mac: Mac::default(),
        manufacturer: Text::NONE,
        os: Text::NONE,
        ipv4: Text::NONE,
        ipv6: Text::NONE,
        hostname: Text::NONE,
        user: Text::NONE,
        device_name: Text::NONE,
        last_observed_at: 0,
    };
    let (mut ssid, mut hosts, mut latest) = (Text::NONE, [Text::NONE; 2], None);
    let mut members = Members::new(&ENTRY, orders.entry);
    while let Some(key) = members.next(scan)? {
        match key {
            CLIENT_MAC => client.mac = scan.mac()?,
            LOCATIONS if scan.null() => {}
            LOCATIONS => {
                let mut locations = Elements::new();
                while locations.next(scan)? {
                    let told_at = location(scan, rows, number, orders.location, orders.record, orders.plan, day)?;
                    client.last_observed_at = client.last_observed_at.max(told_at);
                }
            }
            LATEST => latest = read_latest(scan, rows, number, orders.latest, day)?,
            SSID => ssid = scan.text(rows)?,
            MANUFACTURER => client.manufacturer = scan.text(rows)?,
            OS => client.os = scan.text(rows)?,
            IPV4 => (hosts[0], client.ipv4) = scan.host_and_address(rows)?,
            IPV6 => (hosts[1], client.ipv6) = scan.host_and_address(rows)?,
            USER => client.user = scan.text(rows)?,
            NAME => client.device_name = scan.device_name(rows)?,
            _ => *scan = skip::value(*scan)?,
        }
    }
    if !members.has(CLIENT_MAC) {
        return None;
    }
    client.hostname = if hosts[0].is_none() { hosts[1] } else { hosts[0] };
    let told = rows.batch.observations.get_mut(first_row..)?;
    if !ssid.is_none() {
        told.iter_mut().for_each(|row| row.ssid = ssid);
    }
    if let Some(latest) = latest.map(|row| Observation { ssid, ..row })
        && !told.contains(&latest)
    {
        client.last_observed_at = client.last_observed_at.max(latest.observed_at);
        rows.batch.observations.push(latest);
    }
    rows.batch.clients.push(client);
    Some(())
}

/// Reads one location and the readings it was made of. Gives its time, or 0 when nothing was told for it.
#[inline(always)]
fn location<K: Kernel>(
    scan: &mut Scan<'_, K>,
    rows: &mut Rows<'_>,
    client: u32,
    order: &mut Order,
    record_order: &mut Order,
    plan_order: &mut Order,
    day: &mut Day,
) -> Option<i64> {
    let first_row = rows.batch.observations.len();
    let (mut observed_at, mut place, mut variance) = (0, Place::NONE, f64::NAN);
    let mut members = Members::new(&LOCATION, order);
    while let Some(key) = members.next(scan)? {
        match key {
            TIME => observed_at = scan.time(day)?,
            RECORDS if scan.null() => {}
            RECORDS => *scan = scan.kernel.apart(Records { scan: *scan, rows: &mut rows.batch.observations, client, order: record_order })?,
            VARIANCE => variance = scan.coordinate()?,
            LAT => place.lat = scan.coordinate()?,
            LNG => place.lng = scan.coordinate()?,
            X => place.x = scan.coordinate()?,
            Y => place.y = scan.coordinate()?,
            PLAN_ID => place.floor_plan = scan.text(rows)?,
            PLAN_NAME => place.floor_plan_name = scan.text(rows)?,
            PLAN => place.plan = scan.plan(rows, plan_order)?,
            TAGS => scan.strings()?,
            _ => *scan = skip::value(*scan)?,
        }
    }
    // A location without a good time has rows to discard.
    let observed_at = rows.time(Some(observed_at)).ok()?;
    rows.batch.observations.get_mut(first_row..)?.iter_mut().for_each(|row| row.observed_at = observed_at);
    let ((lat, lng), (x_m, y_m)) = (place.on_earth(), place.on_plan());
    let is_somewhere = !lat.is_nan() || !x_m.is_nan();
    if is_somewhere {
        let (floor_plan, floor_plan_name, uncertainty_m) = (place.id(), place.name(), not_negative(variance));
        rows.batch.locations.push(Location { observed_at, client, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m });
    }
    Some(if is_somewhere || rows.batch.observations.len() > first_row { observed_at } else { 0 })
}

/// The readings of a location, which become rows that still lack their time and SSID.
struct Records<'b, 'r, K> {
    scan: Scan<'b, K>,
    rows: &'r mut Vec<Observation>,
    client: u32,
    order: &'r mut Order,
}

impl<'b, K: Kernel> Work<K> for Records<'b, '_, K> {
    type Output = Option<Scan<'b, K>>;

    #[inline(always)]
    fn run(self, _: K) -> Self::Output {
        let Self { mut scan, rows, client, order } = self;
        let mut readings = Elements::new();
        while readings.next(&mut scan)? {
            if let Some((ap, rssi_dbm)) = scan.usual_reading() {
                rows.push(Observation { observed_at: 0, ap, client, ssid: Text::NONE, rssi_dbm });
                continue;
            }
            let (mut ap, mut rssi) = (Mac::default(), Whole::Absent);
            let mut members = Members::new(&RECORD, order);
            while let Some(key) = members.next(&mut scan)? {
                match key {
                    AP_MAC => ap = scan.mac()?,
                    _ => rssi = scan.whole()?,
                }
            }
            rows.push(row(members.has(AP_MAC), ap, client, 0, rssi)?);
        }
        Some(scan)
    }
}

/// Reads the latest record, or null: a row that still lacks its SSID.
#[inline(always)]
fn read_latest<K: Kernel>(scan: &mut Scan<'_, K>, rows: &Rows<'_>, client: u32, order: &mut Order, day: &mut Day) -> Option<Option<Observation>> {
    if scan.null() {
        return Some(None);
    }
    let (mut observed_at, mut ap, mut rssi) = (0, Mac::default(), Whole::Absent);
    let mut members = Members::new(&LATEST_RECORD, order);
    while let Some(key) = members.next(scan)? {
        match key {
            LATEST_TIME => observed_at = scan.time(day)?,
            LATEST_AP => ap = scan.mac()?,
            _ => rssi = scan.whole()?,
        }
    }
    let observed_at = rows.time(Some(observed_at)).ok()?;
    row(members.has(LATEST_AP), ap, client, observed_at, rssi).map(Some)
}

/// A row, unless it would have to be discarded.
#[inline(always)]
fn row(has_ap: bool, ap: Mac, client: u32, observed_at: i64, rssi: Whole) -> Option<Observation> {
    let Whole::Number(told) = rssi else { return None };
    let rssi_dbm = dbm(told, None).ok()?;
    has_ap.then_some(Observation { observed_at, ap, client, ssid: Text::NONE, rssi_dbm })
}

/// Reads an element of `reportingAps`.
#[inline(always)]
fn access_point<K: Kernel>(scan: &mut Scan<'_, K>, rows: &mut Rows<'_>, order: &mut Order, plan_order: &mut Order) -> Option<()> {
    let mut place = Place::NONE;
    let mut ap = AccessPoint {
        mac: Mac::default(),
        name: Text::NONE,
        serial: Text::NONE,
        tags: Text::NONE,
        floor_plan: Text::NONE,
        x_m: f64::NAN,
        y_m: f64::NAN,
        lat: f64::NAN,
        lng: f64::NAN,
    };
    let mut members = Members::new(&ACCESS_POINT, order);
    while let Some(key) = members.next(scan)? {
        match key {
            SERIAL => ap.serial = scan.text(rows)?,
            MAC => ap.mac = scan.mac()?,
            AP_NAME => ap.name = scan.text(rows)?,
            AP_LAT => place.lat = scan.coordinate()?,
            AP_LNG => place.lng = scan.coordinate()?,
            AP_TAGS => ap.tags = scan.tags(rows)?,
            _ => place.plan = scan.plan(rows, plan_order)?,
        }
    }
    if !members.has(MAC) {
        return None;
    }
    (ap.lat, ap.lng) = place.on_earth();
    (ap.x_m, ap.y_m) = place.on_plan();
    ap.floor_plan = place.id();
    rows.batch.access_points.push(ap);
    Some(())
}

static DATA: Keys = Keys::new(["networkId", "startTime", "endTime", "reportingAps", "observations"], &[]);
const NETWORK: usize = 0;
const REPORTING_APS: usize = 3;
const OBSERVATIONS: usize = 4;

static ENTRY: Keys = Keys::new(["locations", "ipv4", "ssid", "os", "clientMac", "latestRecord", "ipv6", "manufacturer", "userId", "name", "bleBeacons"], &[]);
const LOCATIONS: usize = 0;
const IPV4: usize = 1;
const SSID: usize = 2;
const OS: usize = 3;
const CLIENT_MAC: usize = 4;
const LATEST: usize = 5;
const IPV6: usize = 6;
const MANUFACTURER: usize = 7;
const USER: usize = 8;
const NAME: usize = 9;

static LOCATION: Keys = Keys::new(
    ["time", "rssiRecords", "variance", "lat", "lng", "x", "y", "floorPlanId", "floorPlanName", "floorPlan", "nearestApTags", "nearestApMac"],
    &["unc", "floorplanId", "floorplanName", "floorplan"],
);
const TIME: usize = 0;
const RECORDS: usize = 1;
const VARIANCE: usize = 2;
const LAT: usize = 3;
const LNG: usize = 4;
const X: usize = 5;
const Y: usize = 6;
const PLAN_ID: usize = 7;
const PLAN_NAME: usize = 8;
const PLAN: usize = 9;
const TAGS: usize = 10;

static RECORD: Keys = Keys::new(["apMac", "rssi"], &[]);
const AP_MAC: usize = 0;

static LATEST_RECORD: Keys = Keys::new(["time", "nearestApMac", "nearestApRssi"], &[]);
const LATEST_TIME: usize = 0;
const LATEST_AP: usize = 1;

static ACCESS_POINT: Keys = Keys::new(
    ["serial", "mac", "name", "lat", "lng", "tags", "floorPlan"],
    &["x", "y", "floorPlanId", "floorplanId", "floorPlanName", "floorplanName", "floorplan"],
);
const SERIAL: usize = 0;
const MAC: usize = 1;
const AP_NAME: usize = 2;
const AP_LAT: usize = 3;
const AP_LNG: usize = 4;
const AP_TAGS: usize = 5;
