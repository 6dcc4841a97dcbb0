//! Bodies in the v3 dialect: one network, one radio, a minute of each client's way.

use std::collections::VecDeque;
use std::sync::Arc;

use store::batch::Radio;
use store::mac::Mac;

use super::devices::{Beacon, Identity};
use super::dice::Dice;
use super::plan::{AccessPoint, Plan};
use super::post::{Json, Row};
use super::radio::{Hearing, Place, Reading};
use super::v2::uncertainty;

/// Locations per client that a post tells at most.
const LOCATIONS_MAX: usize = 3;
/// Below this the cloud tells no location.
const READINGS_MIN: usize = 3;
/// Metres that the cloud gives as uncertainty when it has no floor plan.
const OFF_PLAN_VARIANCE: u32 = 100;

/// A client and the moments in which it was heard: those of the minute, or the last one before it.
pub(super) struct Track {
    pub(super) identity: Arc<Identity>,
    pub(super) hearings: VecDeque<Hearing>,
}

impl Track {
    /// The hearings of the minute that become locations, oldest first.
    fn locations(&self, begin: i64) -> impl Iterator<Item = (&Hearing, &Place)> {
        let placed = move |hearing: &&Hearing| hearing.at >= begin && hearing.readings.len() >= READINGS_MIN && hearing.place.is_some();
        let skipped = self.hearings.iter().filter(placed).count().saturating_sub(LOCATIONS_MAX);
        self.hearings.iter().filter(placed).skip(skipped).filter_map(|hearing| hearing.place.as_ref().map(|place| (hearing, place)))
    }

    /// When and by whom the client was heard last, and best of those.
    fn latest(&self) -> Option<(i64, Reading)> {
        self.hearings.back().and_then(|hearing| Some((hearing.at, hearing.strongest()?)))
    }

    /// The observations that the entry tells: each reading of a location, and the latest record unless it equals one of them.
    fn rows(&self, begin: i64) -> impl Iterator<Item = (i64, Reading)> {
        let readings = || self.locations(begin).flat_map(|(hearing, _)| hearing.readings.iter().map(|reading| (hearing.at, *reading)));
        let latest = self.latest().filter(|latest| !readings().any(|reading| reading == *latest));
        readings().chain(latest)
    }
}

/// The minute that a post is about.
#[derive(Clone, Copy)]
pub(super) struct Span {
    pub(super) begin: i64,
    pub(super) end: i64,
}

/// Writes the post of one network; `rows` is told every observation.
pub(super) fn body<'a>(
    secret: &str,
    plan: &Plan,
    radio: Radio,
    span: Span,
    tracks: impl ExactSizeIterator<Item = &'a Track>,
    dice: &mut Dice,
    mut rows: impl FnMut(Row),
) -> Vec<u8> {
    let mut json = Json::with_capacity(1000 + tracks.len() * 1200);
    let kind = match radio {
        Radio::Wifi => "WiFi",
        Radio::Ble => "Bluetooth",
    };
    json.raw("{\"version\":\"3.0\",\"secret\":").text(secret).raw(",\"type\":").quoted(kind);
    json.raw(",\"data\":{\"networkId\":").text(&plan.network);
    if radio == Radio::Ble {
        json.raw(",\"startTime\":").time(span.begin).raw(",\"endTime\":").time(span.end).raw(",\"reportingAps\":[");
        for (index, access_point) in plan.access_points.iter().enumerate() {
            json.raw(if index > 0 { "," } else { "" });
            reporting_ap(&mut json, plan, access_point);
        }
        json.raw("]");
    }
    json.raw(",\"observations\":[");
    for (index, track) in tracks.enumerate() {
        json.raw(if index > 0 { "," } else { "" });
        entry(&mut json, plan, radio, span, track, dice);
        let ssid = track.identity.association.as_ref().map(|association| association.ssid);
        for (observed_at, reading) in track.rows(span.begin) {
            rows(Row { ap: mac_of(plan, reading), client: track.identity.mac, observed_at, rssi_dbm: reading.rssi_dbm, ssid });
        }
    }
    json.raw("]}}");
    json.bytes
}

fn mac_of(plan: &Plan, reading: Reading) -> Mac {
    plan.access_points[reading.ap as usize].mac
}

fn reporting_ap(json: &mut Json, plan: &Plan, access_point: &AccessPoint) {
    let (lat, lng) = plan.degrees(access_point.at.x, access_point.at.y);
    json.raw("{\"serial\":").text(&access_point.serial).raw(",\"mac\":").mac(access_point.mac).raw(",\"name\":").text(&access_point.name);
    match access_point.floors.first() {
        Some(floor) => {
            let floor = &plan.floors[usize::from(*floor)];
            json.raw(",\"lat\":").value(lat).raw(",\"lng\":").value(lng).raw(",\"tags\":").texts(access_point.tags.iter().copied());
            json.raw(",\"floorPlan\":{\"id\":").text(&floor.id).raw(",\"name\":").text(&floor.name);
            json.raw(",\"x\":").value(access_point.at.x).raw(",\"y\":").value(access_point.at.y).raw("}}");
        }
        None => {
            json.raw(",\"lat\":\"NaN\",\"lng\":\"NaN\",\"tags\":").texts(access_point.tags.iter().copied());
            json.raw(",\"floorPlan\":{\"id\":\"\",\"name\":\"\",\"x\":\"NaN\",\"y\":\"NaN\"}}");
        }
    }
}

fn entry(json: &mut Json, plan: &Plan, radio: Radio, span: Span, track: &Track, dice: &mut Dice) {
    let identity = &track.identity;
    json.raw("{\"locations\":[");
    for (index, (hearing, place)) in track.locations(span.begin).enumerate() {
        json.raw(if index > 0 { "," } else { "" });
        location(json, plan, radio, hearing, place);
    }
    json.raw("]");
    match radio {
        Radio::Wifi => wifi_facts(json, identity),
        Radio::Ble => ble_facts(json, identity),
    }
    json.raw(",\"clientMac\":").mac(identity.mac);
    if let Some((at, reading)) = track.latest() {
        json.raw(",\"latestRecord\":{\"time\":").time(at).raw(",\"nearestApMac\":").mac(mac_of(plan, reading)).raw(",\"nearestApRssi\":");
        // Older clouds wrote this one number as text.
        if dice.chance(0.1) {
            json.quoted(reading.rssi_dbm);
        } else {
            json.value(reading.rssi_dbm);
        }
        json.raw("}");
    }
    json.raw("}");
}

fn wifi_facts(json: &mut Json, identity: &Identity) {
    let association = identity.association.as_ref();
    json.raw(",\"ipv4\":");
    match association {
        Some(association) => json.quoted(association.ipv4),
        None => json.raw("null"),
    };
    json.raw(",\"ssid\":").optional(association.map(|association| association.ssid)).raw(",\"os\":").optional(identity.os);
    json.raw(",\"ipv6\":null,\"manufacturer\":").optional(identity.manufacturer);
    if let Some(user) = association.and_then(|association| association.user.as_deref()) {
        json.raw(",\"userId\":").text(user);
    }
}

fn ble_facts(json: &mut Json, identity: &Identity) {
    json.raw(",\"name\":").text(identity.name.unwrap_or("unknown")).raw(",\"bleBeacons\":[");
    match identity.beacon {
        Some(Beacon::Region { major, minor }) => {
            json.raw("{\"uuid\":\"8d5a3c1e-7f20-4b6e-9a41-c0ffee5eed00\",\"txPower\":-59,\"major\":").value(major);
            json.raw(",\"bleType\":\"iBeacon\",\"minor\":").value(minor).raw("}");
        }
        Some(Beacon::Raw) => {
            json.raw("{\"rawData\":\"0201060303aafe1116aafe00e7\",\"bleType\":\"unknown\"}");
        }
        None => {}
    }
    json.raw("]");
}

fn location(json: &mut Json, plan: &Plan, radio: Radio, hearing: &Hearing, place: &Place) {
    let Some(strongest) = hearing.strongest() else { return };
    let nearest = &plan.access_points[strongest.ap as usize];
    let floor = nearest.floors.first().map(|floor| &plan.floors[usize::from(*floor)]);
    json.raw("{\"time\":").time(hearing.at);
    let (lat, lng) = plan.degrees(place.x, place.y);
    if place.has_degrees {
        json.raw(",\"lat\":").value(lat).raw(",\"lng\":").value(lng);
    } else {
        json.raw(",\"lat\":\"NaN\",\"lng\":\"NaN\"");
    }
    json.raw(",\"variance\":");
    match floor {
        Some(_) => uncertainty(json, place.uncertainty),
        None => _ = json.value(OFF_PLAN_VARIANCE),
    }
    match (radio, floor) {
        // Wi-Fi's plan coordinates came as text in every documented example.
        (Radio::Wifi, Some(floor)) => {
            json.raw(",\"x\":").quoted(place.x).raw(",\"y\":").quoted(place.y);
            json.raw(",\"floorPlanId\":").text(&floor.id).raw(",\"floorPlanName\":").text(&floor.name);
        }
        (Radio::Wifi, None) => _ = json.raw(",\"x\":\"NaN\",\"y\":\"NaN\",\"floorPlanId\":null,\"floorPlanName\":null"),
        (Radio::Ble, Some(floor)) => {
            json.raw(",\"floorPlan\":{\"id\":").text(&floor.id).raw(",\"name\":").text(&floor.name);
            json.raw(",\"x\":").value(place.x).raw(",\"y\":").value(place.y).raw("}");
        }
        (Radio::Ble, None) => _ = json.raw(",\"floorPlan\":{\"id\":\"\",\"name\":\"\",\"x\":\"NaN\",\"y\":\"NaN\"}"),
    }
    match radio {
        Radio::Wifi => json.raw(",\"nearestApTags\":").texts(nearest.tags.iter().copied()),
        Radio::Ble => json.raw(",\"nearestApMac\":").mac(nearest.mac),
    };
    json.raw(",\"rssiRecords\":[");
    for (index, reading) in hearing.readings.iter().enumerate() {
        json.raw(if index > 0 { "," } else { "" }).raw("{\"apMac\":").mac(mac_of(plan, *reading)).raw(",\"rssi\":").value(reading.rssi_dbm).raw("}");
    }
    json.raw("]}");
}
