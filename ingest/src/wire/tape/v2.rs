//! Version 2: one access point's post, one observation per entry.

use store::batch::{AccessPoint, Client, Discard, Location, Observation, Radio};
use store::mac::Mac;
use store::texts::Text;

use super::Value;
use super::values::{dbm, mac, pair, uncertainty};
use crate::wire::rows::{NOISE_FLOOR_DBM, Rows, seen_seconds};

/// Reads `data` into the batch, or says why it cannot be read at all.
pub(super) fn read(rows: &mut Rows<'_>, radio: Radio, data: Value<'_>) -> Result<(), &'static str> {
    let (mut ap, mut tags, mut floors, mut observations) = (Value::default(), Value::default(), Value::default(), Value::default());
    for (key, value) in data.members().ok_or("shape")? {
        match key {
            "apMac" => ap = value,
            "apTags" => tags = value,
            "apFloors" => floors = value,
            "observations" => observations = value,
            _ => {}
        }
    }
    let ap = Mac::parse(ap.string().ok_or("no_ap")?);
    let entries = observations.elements().ok_or("shape")?;
    rows.batch.radio = radio;
    rows.batch.ap = ap;
    if let Some(mac) = ap {
        let tags = rows.tags_of(tags);
        rows.batch.access_points.push(AccessPoint {
            mac,
            name: Text::NONE,
            serial: Text::NONE,
            tags,
            floor_plan: Text::NONE,
            x_m: f64::NAN,
            y_m: f64::NAN,
            lat: f64::NAN,
            lng: f64::NAN,
        });
    }
    rows.work.floors.clear();
    for floor in floors.elements().into_iter().flatten() {
        let floor = rows.text(floor);
        rows.work.floors.push(floor);
    }
    for entry in entries {
        read_entry(rows, ap.ok_or(Discard::Mac), &Entry::of(entry));
    }
    Ok(())
}

/// One element of the post's array, by the last member of each name.
#[derive(Default)]
struct Entry<'t> {
    client: Value<'t>,
    seen_epoch: Value<'t>,
    seen_time: Value<'t>,
    rssi: Value<'t>,
    ssid: Value<'t>,
    manufacturer: Value<'t>,
    os: Value<'t>,
    ipv4: Value<'t>,
    ipv6: Value<'t>,
    name: Value<'t>,
    location: Value<'t>,
}

impl<'t> Entry<'t> {
    fn of(value: Value<'t>) -> Self {
        let mut entry = Self::default();
        for (key, value) in value.members().into_iter().flatten() {
            match key {
                "clientMac" => entry.client = value,
                "seenEpoch" => entry.seen_epoch = value,
                "seenTime" => entry.seen_time = value,
                "rssi" => entry.rssi = value,
                "ssid" => entry.ssid = value,
                "manufacturer" => entry.manufacturer = value,
                "os" => entry.os = value,
                "ipv4" => entry.ipv4 = value,
                "ipv6" => entry.ipv6 = value,
                "name" => entry.name = value,
                "location" => entry.location = value,
                _ => {}
            }
        }
        entry
    }
}

fn read_entry(rows: &mut Rows<'_>, ap: Result<Mac, Discard>, entry: &Entry<'_>) {
    let client = match mac(entry.client) {
        Ok(mac) => add_client(rows, mac, entry),
        Err(reason) => return rows.batch.discarded.count(reason),
    };
    let time = rows.time(seen_seconds(entry.seen_epoch.whole(), entry.seen_time.string()));
    let rows_before = rows.batch.observations.len() + rows.batch.locations.len();
    match observation(rows, client, ap, time, entry) {
        Ok(observation) => rows.batch.observations.push(observation),
        Err(reason) => rows.batch.discarded.count(reason),
    }
    let Ok(observed_at) = time else { return };
    read_location(rows, client, observed_at, entry.location);
    if rows.batch.observations.len() + rows.batch.locations.len() > rows_before
        && let Some(last) = rows.batch.clients.last_mut()
    {
        last.last_observed_at = observed_at;
    }
}

fn observation(rows: &mut Rows<'_>, client: u32, ap: Result<Mac, Discard>, time: Result<i64, Discard>, entry: &Entry<'_>) -> Result<Observation, Discard> {
    let (ap, observed_at) = (ap?, time?);
    let floor = (rows.batch.radio == Radio::Wifi).then_some(NOISE_FLOOR_DBM);
    let rssi_dbm = dbm(entry.rssi, floor)?;
    Ok(Observation { observed_at, ap, client, ssid: rows.text(entry.ssid), rssi_dbm })
}

fn add_client(rows: &mut Rows<'_>, mac: Mac, entry: &Entry<'_>) -> u32 {
    let (host4, ipv4) = rows.host_and_address(entry.ipv4.string().unwrap_or_default());
    let (host6, ipv6) = rows.host_and_address(entry.ipv6.string().unwrap_or_default());
    let client = Client {
        mac,
        manufacturer: rows.text(entry.manufacturer),
        os: rows.text(entry.os),
        ipv4,
        ipv6,
        hostname: if host4.is_none() { host6 } else { host4 },
        user: Text::NONE,
        device_name: rows.device_name_of(entry.name),
        last_observed_at: 0,
    };
    rows.add_client(client)
}

/// One row per floor, by the entries of `x` and `y`; one without a floor when there are none.
fn read_location(rows: &mut Rows<'_>, client: u32, observed_at: i64, location: Value<'_>) {
    let (mut lat, mut lng, mut unc, mut x, mut y) = Default::default();
    for (key, value) in location.members().into_iter().flatten() {
        match key {
            "lat" => lat = value,
            "lng" => lng = value,
            "unc" => unc = value,
            "x" => x = value,
            "y" => y = value,
            _ => {}
        }
    }
    let (lat, lng) = pair(lat, lng);
    let mut row = Location {
        observed_at,
        client,
        floor_plan: Text::NONE,
        floor_plan_name: Text::NONE,
        x_m: f64::NAN,
        y_m: f64::NAN,
        lat,
        lng,
        uncertainty_m: uncertainty(unc),
    };
    if x.length().min(y.length()) == 0 {
        return rows.locate(row);
    }
    for (floor, (x, y)) in x.elements().into_iter().flatten().zip(y.elements().into_iter().flatten()).enumerate() {
        (row.x_m, row.y_m) = pair(x, y);
        row.floor_plan_name = rows.work.floors.get(floor).copied().unwrap_or_default();
        rows.locate(row);
    }
}
