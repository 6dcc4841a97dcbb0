//! Bodies in the v2 dialect: one access point, one radio, everything it heard in the last minutes.
//!
//! Wi-Fi speaks 2.0 and tells the signal as decibels above a floor of -95 dBm; Bluetooth speaks 2.1 and tells dBm.

use std::sync::Arc;

use store::batch::Radio;

use super::devices::Identity;
use super::plan::Plan;
use super::post::{Json, Row};
use super::radio::{Place, Uncertainty};

/// What v2's Wi-Fi signal strengths are counted from.
const FLOOR_DBM: i16 = -95;
/// About the size of an observation, to reserve memory once.
const OBSERVATION_BYTES: usize = 340;

/// The newest sighting of one client by one access point.
pub(super) struct Sighting {
    pub(super) identity: Arc<Identity>,
    pub(super) at: i64,
    pub(super) rssi_dbm: i8,
    pub(super) place: Option<Place>,
}

/// Writes the post of one access point.
pub(super) fn body<'a>(secret: &str, plan: &Plan, ap: usize, radio: Radio, sightings: impl ExactSizeIterator<Item = &'a Sighting>) -> Vec<u8> {
    let access_point = &plan.access_points[ap];
    let mut json = Json::with_capacity(400 + sightings.len() * OBSERVATION_BYTES);
    let (version, kind) = match radio {
        Radio::Wifi => ("2.0", "DevicesSeen"),
        Radio::Ble => ("2.1", "BluetoothDevicesSeen"),
    };
    json.raw("{\"version\":").quoted(version).raw(",\"secret\":").text(secret).raw(",\"type\":").quoted(kind);
    json.raw(",\"data\":{\"apMac\":").mac(access_point.mac).raw(",\"apFloors\":");
    json.texts(access_point.floors.iter().map(|floor| plan.floors[usize::from(*floor)].name.as_str()));
    json.raw(",\"apTags\":").texts(access_point.tags.iter().copied()).raw(",\"observations\":[");
    for (index, sighting) in sightings.enumerate() {
        if index > 0 {
            json.raw(",");
        }
        match radio {
            Radio::Wifi => wifi(&mut json, plan, sighting, access_point.floors.len()),
            Radio::Ble => ble(&mut json, plan, sighting, access_point.floors.len()),
        }
    }
    json.raw("]}}");
    json.bytes
}

/// The observation that a sighting is.
pub(super) fn row(plan: &Plan, ap: usize, sighting: &Sighting) -> Row {
    let ssid = sighting.identity.association.as_ref().map(|association| association.ssid);
    Row { ap: plan.access_points[ap].mac, client: sighting.identity.mac, observed_at: sighting.at, rssi_dbm: sighting.rssi_dbm, ssid }
}

fn wifi(json: &mut Json, plan: &Plan, sighting: &Sighting, floors: usize) {
    let identity = &sighting.identity;
    let association = identity.association.as_ref();
    json.raw("{\"ipv4\":");
    match association {
        Some(association) => json.quoted(format_args!("{}/{}", association.hostname.as_deref().unwrap_or_default(), association.ipv4)),
        None => json.raw("null"),
    };
    json.raw(",\"location\":");
    location(json, plan, sighting.place.as_ref(), floors);
    json.raw(",\"seenTime\":").time(sighting.at).raw(",\"ssid\":").optional(association.map(|association| association.ssid));
    json.raw(",\"os\":").optional(identity.os).raw(",\"clientMac\":").mac(identity.mac).raw(",\"seenEpoch\":").value(sighting.at);
    json.raw(",\"rssi\":").value(i16::from(sighting.rssi_dbm) - FLOOR_DBM);
    json.raw(",\"ipv6\":null,\"manufacturer\":").optional(identity.manufacturer).raw("}");
}

fn ble(json: &mut Json, plan: &Plan, sighting: &Sighting, floors: usize) {
    json.raw("{\"location\":");
    location(json, plan, sighting.place.as_ref(), floors);
    if let Some(name) = sighting.identity.name {
        json.raw(",\"name\":").text(name);
    }
    json.raw(",\"seenTime\":").time(sighting.at).raw(",\"clientMac\":").mac(sighting.identity.mac);
    json.raw(",\"seenEpoch\":").value(sighting.at).raw(",\"rssi\":").value(sighting.rssi_dbm).raw("}");
}

/// x and y have one element for each floor plan that the access point is on.
fn location(json: &mut Json, plan: &Plan, place: Option<&Place>, floors: usize) {
    let Some(place) = place else {
        json.raw("null");
        return;
    };
    if place.has_degrees {
        let (lat, lng) = plan.degrees(place.x, place.y);
        json.raw("{\"lat\":").value(lat).raw(",\"lng\":").value(lng);
    } else {
        json.raw("{\"lat\":\"NaN\",\"lng\":\"NaN\"");
    }
    json.raw(",\"unc\":");
    uncertainty(json, place.uncertainty);
    for (name, value) in [(",\"x\":[", place.x), ("],\"y\":[", place.y)] {
        json.raw(name);
        for floor in 0..floors {
            json.raw(if floor > 0 { "," } else { "" }).value(value);
        }
    }
    json.raw("]}");
}

/// The uncertainty in metres with its oddities, the same in both dialects.
pub(super) fn uncertainty(json: &mut Json, uncertainty: Uncertainty) {
    match uncertainty {
        Uncertainty::Metres(metres) => json.value(metres),
        Uncertainty::NotANumber => json.raw("\"NaN\""),
        Uncertainty::Null => json.raw("null"),
    };
}
