//! Version 3: one network's post by client. An entry fans out to a row for every access point that heard it at every location's
//! time, and one for the latest record.

use store::batch::{AccessPoint, Client, Discard, Location, Observation, Radio};
use store::mac::Mac;
use store::texts::Text;

use super::Value;
use super::values::{dbm, mac, pair, uncertainty};
use crate::wire::rows::Rows;

/// Reads `data` into the batch, or says why it cannot be read at all.
pub(super) fn read(rows: &mut Rows<'_>, radio: Radio, data: Value<'_>) -> Result<(), &'static str> {
    let (mut network, mut reporting, mut observations) = (Value::default(), Value::default(), Value::default());
    for (key, value) in data.members().ok_or("shape")? {
        match key {
            "networkId" => network = value,
            "reportingAps" => reporting = value,
            "observations" => observations = value,
            _ => {}
        }
    }
    let entries = observations.elements().ok_or("shape")?;
    rows.batch.network = rows.text(network);
    if rows.batch.network.is_none() {
        return Err("no_network");
    }
    rows.batch.radio = radio;
    for ap in reporting.elements().into_iter().flatten() {
        read_access_point(rows, ap);
    }
    for entry in entries {
        read_entry(rows, &Entry::of(entry));
    }
    Ok(())
}

fn read_access_point(rows: &mut Rows<'_>, ap: Value<'_>) {
    let (mut address, mut name, mut serial, mut tags) = Default::default();
    let mut plan = Plan::default();
    for (key, value) in ap.members().into_iter().flatten() {
        match key {
            "mac" => address = value,
            "name" => name = value,
            "serial" => serial = value,
            "tags" => tags = value,
            _ => plan.take(key, value),
        }
    }
    let Ok(mac) = mac(address) else { return };
    let (lat, lng) = pair(plan.lat, plan.lng);
    let (x_m, y_m) = plan.place();
    let ap = AccessPoint { mac, name: rows.text(name), serial: rows.text(serial), tags: rows.tags_of(tags), floor_plan: plan.id(rows), x_m, y_m, lat, lng };
    rows.batch.access_points.push(ap);
}

/// One element of the post's array, by the last member of each name.
#[derive(Default)]
struct Entry<'t> {
    client: Value<'t>,
    locations: Value<'t>,
    latest: Value<'t>,
    ssid: Value<'t>,
    manufacturer: Value<'t>,
    os: Value<'t>,
    ipv4: Value<'t>,
    ipv6: Value<'t>,
    user: Value<'t>,
    name: Value<'t>,
}

impl<'t> Entry<'t> {
    fn of(value: Value<'t>) -> Self {
        let mut entry = Self::default();
        for (key, value) in value.members().into_iter().flatten() {
            match key {
                "clientMac" => entry.client = value,
                "locations" => entry.locations = value,
                "latestRecord" => entry.latest = value,
                "ssid" => entry.ssid = value,
                "manufacturer" => entry.manufacturer = value,
                "os" => entry.os = value,
                "ipv4" => entry.ipv4 = value,
                "ipv6" => entry.ipv6 = value,
                "userId" => entry.user = value,
                "name" => entry.name = value,
                _ => {}
            }
        }
        entry
    }
}

/// What all rows of an entry share.
#[derive(Clone, Copy)]
struct Heard {
    client: Result<u32, Discard>,
    ssid: Text,
}

impl Heard {
    /// The row, or the first reason in the order mac, time, future, scale.
    fn row(self, ap: Value<'_>, time: Result<i64, Discard>, rssi: Value<'_>) -> Result<Observation, Discard> {
        let (client, ap, observed_at) = (self.client?, mac(ap)?, time?);
        Ok(Observation { observed_at, ap, client, ssid: self.ssid, rssi_dbm: dbm(rssi, None)? })
    }
}

fn read_entry(rows: &mut Rows<'_>, entry: &Entry<'_>) {
    let told_before = rows.batch.told();
    let (first_row, first_location) = (rows.batch.observations.len(), rows.batch.locations.len());
    let client = mac(entry.client).map(|mac| add_client(rows, mac, entry));
    let heard = Heard { client, ssid: if client.is_ok() { rows.text(entry.ssid) } else { Text::NONE } };
    for location in entry.locations.elements().into_iter().flatten() {
        read_location(rows, heard, location);
    }
    read_latest(rows, heard, first_row, entry.latest);
    if client.is_err() && rows.batch.told() == told_before {
        rows.batch.discarded.count(Discard::Mac);
    }
    let batch = &mut *rows.batch;
    let times = batch.observations[first_row..].iter().map(|row| row.observed_at);
    let latest = times.chain(batch.locations[first_location..].iter().map(|row| row.observed_at)).max();
    if let (Ok(_), Some(client), Some(latest)) = (client, batch.clients.last_mut(), latest) {
        client.last_observed_at = latest;
    }
}

fn add_client(rows: &mut Rows<'_>, mac: Mac, entry: &Entry<'_>) -> u32 {
    // Addresses come without a host name here, but a slash would not be part of them either.
    let (host4, ipv4) = rows.host_and_address(entry.ipv4.string().unwrap_or_default());
    let (host6, ipv6) = rows.host_and_address(entry.ipv6.string().unwrap_or_default());
    let client = Client {
        mac,
        manufacturer: rows.text(entry.manufacturer),
        os: rows.text(entry.os),
        ipv4,
        ipv6,
        hostname: if host4.is_none() { host6 } else { host4 },
        user: rows.text(entry.user),
        device_name: rows.device_name_of(entry.name),
        last_observed_at: 0,
    };
    rows.add_client(client)
}

fn read_location(rows: &mut Rows<'_>, heard: Heard, location: Value<'_>) {
    let (mut time, mut records, mut variance, mut unc) = <(Value<'_>, Value<'_>, Value<'_>, Value<'_>)>::default();
    let mut plan = Plan::default();
    for (key, value) in location.members().into_iter().flatten() {
        match key {
            "time" => time = value,
            "rssiRecords" => records = value,
            "variance" => variance = value,
            "unc" => unc = value,
            _ => plan.take(key, value),
        }
    }
    let time = rows.time_text(time);
    for record in records.elements().into_iter().flatten() {
        let (mut ap, mut rssi) = Default::default();
        for (key, value) in record.members().into_iter().flatten() {
            match key {
                "apMac" => ap = value,
                "rssi" => rssi = value,
                _ => {}
            }
        }
        match heard.row(ap, time, rssi) {
            Ok(row) => rows.batch.observations.push(row),
            Err(reason) => rows.batch.discarded.count(reason),
        }
    }
    let (Ok(client), Ok(observed_at)) = (heard.client, time) else { return };
    let (lat, lng) = pair(plan.lat, plan.lng);
    let (x_m, y_m) = plan.place();
    if lat.is_nan() && x_m.is_nan() {
        return;
    }
    let uncertainty_m = if variance.number().is_nan() { uncertainty(unc) } else { uncertainty(variance) };
    let (floor_plan, floor_plan_name) = (plan.id(rows), plan.name(rows));
    rows.locate(Location { observed_at, client, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m });
}

/// The latest record often repeats a record of the last location: then it tells nothing new and is one row with it.
fn read_latest(rows: &mut Rows<'_>, heard: Heard, first_row: usize, latest: Value<'_>) {
    let Some(members) = latest.members() else { return };
    let (mut time, mut ap, mut rssi) = Default::default();
    for (key, value) in members {
        match key {
            "time" => time = value,
            "nearestApMac" => ap = value,
            "nearestApRssi" => rssi = value,
            _ => {}
        }
    }
    match heard.row(ap, rows.time_text(time), rssi) {
        Ok(row) if rows.batch.observations[first_row..].contains(&row) => {}
        Ok(row) => rows.batch.observations.push(row),
        Err(reason) => rows.batch.discarded.count(reason),
    }
}

/// A place on the earth and on a floor plan, in the spellings of Wi-Fi, of Bluetooth and of the beta.
#[derive(Clone, Copy, Default)]
struct Plan<'t> {
    lat: Value<'t>,
    lng: Value<'t>,
    x: Value<'t>,
    y: Value<'t>,
    ids: [Value<'t>; 3],
    names: [Value<'t>; 3],
    nested: (Value<'t>, Value<'t>),
}

impl<'t> Plan<'t> {
    /// Takes a member, if it is one of a place.
    fn take(&mut self, key: &str, value: Value<'t>) {
        match key {
            "lat" => self.lat = value,
            "lng" => self.lng = value,
            "x" => self.x = value,
            "y" => self.y = value,
            "floorPlanId" => self.ids[0] = value,
            "floorplanId" => self.ids[1] = value,
            "floorPlanName" => self.names[0] = value,
            "floorplanName" => self.names[1] = value,
            "floorPlan" | "floorplan" => self.take_nested(value),
            _ => {}
        }
    }

    /// The last object of the name stands whole: nothing of one before it shows through.
    fn take_nested(&mut self, value: Value<'t>) {
        (self.ids[2], self.names[2], self.nested) = Default::default();
        for (key, value) in value.members().into_iter().flatten() {
            match key {
                "id" => self.ids[2] = value,
                "name" => self.names[2] = value,
                "x" => self.nested.0 = value,
                "y" => self.nested.1 = value,
                _ => {}
            }
        }
    }

    fn place(&self) -> (f64, f64) {
        let (x, y) = pair(self.x, self.y);
        if x.is_nan() { pair(self.nested.0, self.nested.1) } else { (x, y) }
    }

    fn id(&self, rows: &mut Rows<'_>) -> Text {
        first_text(rows, self.ids)
    }

    fn name(&self, rows: &mut Rows<'_>) -> Text {
        first_text(rows, self.names)
    }
}

fn first_text(rows: &mut Rows<'_>, values: [Value<'_>; 3]) -> Text {
    let told = values.into_iter().find(|value| value.string().is_some_and(|text| !text.is_empty()));
    rows.text(told.unwrap_or_default())
}
