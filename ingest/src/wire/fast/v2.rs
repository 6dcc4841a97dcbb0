//! Version 2 on the fast road: one row per entry, and its locations.

use store::batch::{AccessPoint, Client, Discard, Location, Observation, Radio};
use store::mac::Mac;
use store::texts::Text;

use super::kernel::Kernel;
use super::keys::{Keys, Members, Order};
use super::scan::{Elements, Scan};
use crate::wire::rows::{NOISE_FLOOR_DBM, Rows, Whole, both, dbm, not_negative, seen_seconds};

/// The learned orders of v2's objects.
#[derive(Default)]
pub(super) struct Orders {
    data: Order,
    entry: Order,
    location: Order,
}

/// Reads `data` into the rows.
#[inline(always)]
pub(super) fn read<K: Kernel>(scan: &mut Scan<'_, K>, radio: Radio, rows: &mut Rows<'_>, orders: &mut Orders) -> Option<()> {
    rows.batch.radio = radio;
    rows.work.floors.clear();
    let Orders { data, entry: order, location } = orders;
    let (mut ap, mut tags) = (Mac::default(), Text::NONE);
    let mut members = Members::new(&DATA, data);
    while let Some(key) = members.next(scan)? {
        match key {
            AP_MAC => ap = scan.mac()?,
            AP_TAGS => tags = scan.tags(rows)?,
            AP_FLOORS => floors(scan, rows)?,
            _ => {
                let mut entries = Elements::new();
                while entries.next(scan)? {
                    entry(scan, rows, order, location)?;
                }
            }
        }
    }
    if !members.has(AP_MAC) || !members.has(OBSERVATIONS) {
        return None;
    }
    // Both may stand behind the entries, which so far know of neither.
    let (batch, floors) = (&mut *rows.batch, &rows.work.floors);
    batch.ap = Some(ap);
    batch.observations.iter_mut().for_each(|row| row.ap = ap);
    batch.locations.iter_mut().for_each(|row| row.floor_plan_name = floor_name(floors, row.floor_plan_name));
    let (none, nowhere) = (Text::NONE, f64::NAN);
    batch.access_points.push(AccessPoint { mac: ap, name: none, serial: none, tags, floor_plan: none, x_m: nowhere, y_m: nowhere, lat: nowhere, lng: nowhere });
    Some(())
}

/// Reads the names of the access point's floors, or null.
fn floors<K: Kernel>(scan: &mut Scan<'_, K>, rows: &mut Rows<'_>) -> Option<()> {
    if scan.null() {
        return Some(());
    }
    let mut names = Elements::new();
    while names.next(scan)? {
        let name = scan.text(rows)?;
        rows.work.floors.push(name);
    }
    Some(())
}

/// The name of the floor whose number stands in a name's place for now.
#[inline(always)]
fn floor_name(floors: &[Text], number: Text) -> Text {
    number.index().and_then(|number| floors.get(number)).copied().unwrap_or_default()
}

/// Reads one element of the post's array: a client, when it was heard and how strongly, and where it was placed.
#[inline(always)]
fn entry<K: Kernel>(scan: &mut Scan<'_, K>, rows: &mut Rows<'_>, order: &mut Order, location_order: &mut Order) -> Option<()> {
    let number = rows.next_client();
    let first_location = rows.batch.locations.len();
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
    let (mut ssid, mut hosts) = (Text::NONE, [Text::NONE; 2]);
    let (mut epoch, mut seen_time, mut rssi) = (Whole::Absent, None, Whole::Absent);
    let mut members = Members::new(&ENTRY, order);
    while let Some(key) = members.next(scan)? {
        match key {
            CLIENT_MAC => client.mac = scan.mac()?,
            SEEN_EPOCH => epoch = scan.whole()?,
            SEEN_TIME => seen_time = scan.plain_or_null()?,
            RSSI => rssi = scan.whole()?,
            PLACED => location(scan, rows, number, location_order)?,
            SSID => ssid = scan.text(rows)?,
            MANUFACTURER => client.manufacturer = scan.text(rows)?,
            OS => client.os = scan.text(rows)?,
            IPV4 => (hosts[0], client.ipv4) = scan.host_and_address(rows)?,
            IPV6 => (hosts[1], client.ipv6) = scan.host_and_address(rows)?,
            _ => client.device_name = scan.device_name(rows)?,
        }
    }
    if !members.has(CLIENT_MAC) {
        return None;
    }
    client.hostname = if hosts[0].is_none() { hosts[1] } else { hosts[0] };
    let time = rows.time(seen_seconds(epoch, seen_time));
    let floor = (rows.batch.radio == Radio::Wifi).then_some(NOISE_FLOOR_DBM);
    let strength = match rssi {
        Whole::Number(told) => dbm(told, floor),
        _ => Err(Discard::Scale),
    };
    let batch = &mut *rows.batch;
    match time.and_then(|observed_at| Ok((observed_at, strength?))) {
        Ok((observed_at, rssi_dbm)) => {
            client.last_observed_at = observed_at;
            batch.observations.push(Observation { observed_at, ap: Mac::default(), client: number, ssid, rssi_dbm });
        }
        Err(reason) => batch.discarded.count(reason),
    }
    match time {
        Ok(observed_at) => {
            for row in batch.locations.get_mut(first_location..)? {
                row.observed_at = observed_at;
                client.last_observed_at = observed_at;
            }
        }
        Err(_) => batch.locations.truncate(first_location),
    }
    batch.clients.push(client);
    Some(())
}

/// Reads a location or null: one row per floor, by the entries of `x` and `y`, one without a floor when there are none. They lack their time,
/// and their floor is its number.
#[inline(always)]
fn location<K: Kernel>(scan: &mut Scan<'_, K>, rows: &mut Rows<'_>, client: u32, order: &mut Order) -> Option<()> {
    if scan.null() {
        return Some(());
    }
    let (mut lat, mut lng, mut unc) = (f64::NAN, f64::NAN, f64::NAN);
    let (mut xs, mut ys) = (Floors::default(), Floors::default());
    let mut members = Members::new(&LOCATION, order);
    while let Some(key) = members.next(scan)? {
        match key {
            LAT => lat = scan.coordinate()?,
            LNG => lng = scan.coordinate()?,
            UNC => unc = scan.coordinate()?,
            X => xs.read(scan)?,
            _ => ys.read(scan)?,
        }
    }
    let (lat, lng) = both(lat, lng);
    let mut row = Location {
        observed_at: 0,
        client,
        floor_plan: Text::NONE,
        floor_plan_name: Text::NONE,
        x_m: f64::NAN,
        y_m: f64::NAN,
        lat,
        lng,
        uncertainty_m: not_negative(unc),
    };
    let floors = xs.count.min(ys.count);
    if floors == 0 {
        rows.locate(row);
    }
    for (floor, (x, y)) in xs.metres.iter().zip(&ys.metres).take(floors).enumerate() {
        (row.x_m, row.y_m) = both(*x, *y);
        row.floor_plan_name = Text::at(floor);
        rows.locate(row);
    }
    Some(())
}

/// One coordinate on each floor of the access point.
#[derive(Default)]
struct Floors {
    metres: [f64; FLOORS_MAX],
    count: usize,
}

impl Floors {
    /// Reads an array or null.
    #[inline(always)]
    fn read<K: Kernel>(&mut self, scan: &mut Scan<'_, K>) -> Option<()> {
        if scan.null() {
            return Some(());
        }
        let mut floors = Elements::new();
        while floors.next(scan)? {
            *self.metres.get_mut(self.count)? = scan.coordinate()?;
            self.count += 1;
        }
        Some(())
    }
}

static DATA: Keys = Keys::new(["apMac", "apFloors", "apTags", "observations"], &[]);
const AP_MAC: usize = 0;
const AP_FLOORS: usize = 1;
const AP_TAGS: usize = 2;
const OBSERVATIONS: usize = 3;

static ENTRY: Keys = Keys::new(["ipv4", "location", "seenTime", "ssid", "os", "clientMac", "seenEpoch", "rssi", "ipv6", "manufacturer", "name"], &[]);
const IPV4: usize = 0;
const PLACED: usize = 1;
const SEEN_TIME: usize = 2;
const SSID: usize = 3;
const OS: usize = 4;
const CLIENT_MAC: usize = 5;
const SEEN_EPOCH: usize = 6;
const RSSI: usize = 7;
const IPV6: usize = 8;
const MANUFACTURER: usize = 9;

static LOCATION: Keys = Keys::new(["lat", "lng", "unc", "x", "y"], &[]);
const LAT: usize = 0;
const LNG: usize = 1;
const UNC: usize = 2;
const X: usize = 3;

/// Floor plans that one access point is on: more are left to the second road.
const FLOORS_MAX: usize = 4;
