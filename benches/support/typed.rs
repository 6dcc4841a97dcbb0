//! The usual way: structs that serde fills, and a walk over them that makes the same rows as the product's parser.
//!
//! Any deserializer of serde fills them, so that serde_json, sonic-rs and simd-json do the same work behind their own parsing.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};
use store::batch::{AccessPoint, Batch, Client, Location, Observation, Radio};
use store::mac::Mac;
use store::texts::Text;

use super::bodies::SECRET;

/// A post of any dialect.
#[derive(Deserialize)]
pub struct Post<'a, D> {
    version: &'a str,
    secret: &'a str,
    r#type: &'a str,
    data: D,
}

/// `data` of version 2.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct V2<'a> {
    ap_mac: &'a str,
    #[serde(borrow)]
    ap_tags: Vec<&'a str>,
    #[serde(borrow)]
    ap_floors: Vec<&'a str>,
    #[serde(borrow)]
    observations: Vec<V2Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct V2Entry<'a> {
    client_mac: &'a str,
    seen_epoch: Option<i64>,
    rssi: i64,
    ssid: Option<&'a str>,
    manufacturer: Option<&'a str>,
    os: Option<&'a str>,
    ipv4: Option<&'a str>,
    ipv6: Option<&'a str>,
    name: Option<&'a str>,
    location: Option<V2Location>,
}

#[derive(Deserialize)]
struct V2Location {
    lat: Number,
    lng: Number,
    unc: Number,
    x: Vec<Number>,
    y: Vec<Number>,
}

/// `data` of version 3.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct V3<'a> {
    network_id: &'a str,
    #[serde(borrow, default)]
    reporting_aps: Vec<ReportingAp<'a>>,
    #[serde(borrow)]
    observations: Vec<V3Entry<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReportingAp<'a> {
    serial: Option<&'a str>,
    mac: &'a str,
    name: Option<&'a str>,
    lat: Number,
    lng: Number,
    #[serde(borrow)]
    tags: Vec<&'a str>,
    #[serde(borrow)]
    floor_plan: Plan<'a>,
}

#[derive(Deserialize)]
struct Plan<'a> {
    id: &'a str,
    name: &'a str,
    x: Number,
    y: Number,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct V3Entry<'a> {
    client_mac: &'a str,
    #[serde(borrow)]
    locations: Vec<V3Location<'a>>,
    #[serde(borrow)]
    latest_record: Option<Latest<'a>>,
    ssid: Option<&'a str>,
    manufacturer: Option<&'a str>,
    os: Option<&'a str>,
    ipv4: Option<&'a str>,
    ipv6: Option<&'a str>,
    user_id: Option<&'a str>,
    name: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct V3Location<'a> {
    time: &'a str,
    lat: Number,
    lng: Number,
    variance: Number,
    x: Option<Number>,
    y: Option<Number>,
    floor_plan_id: Option<&'a str>,
    floor_plan_name: Option<&'a str>,
    #[serde(borrow)]
    floor_plan: Option<Plan<'a>>,
    #[serde(borrow)]
    rssi_records: Vec<Record<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record<'a> {
    ap_mac: &'a str,
    rssi: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Latest<'a> {
    time: &'a str,
    nearest_ap_mac: &'a str,
    nearest_ap_rssi: i64,
}

/// A number, or the text of one.
#[derive(Clone, Copy)]
struct Number(f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl Visitor<'_> for Either {
            type Value = Number;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number or the text of one")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Number, E> {
                Ok(Number(number))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Number, E> {
                Ok(Number(number as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Number, E> {
                Ok(Number(text.parse().unwrap_or(f64::NAN)))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl Post<'_, V2<'_>> {
    /// Fills a batch, which must be empty.
    pub fn rows(&self, batch: &mut Batch) {
        assert_eq!((self.secret, &self.version[..1]), (SECRET, "2"));
        let wifi = self.r#type == "DevicesSeen";
        batch.radio = if wifi { Radio::Wifi } else { Radio::Ble };
        let ap = Mac::parse(self.data.ap_mac).unwrap();
        batch.ap = Some(ap);
        let tags = tags(batch, &self.data.ap_tags);
        batch.access_points.push(AccessPoint {
            mac: ap,
            name: Text::NONE,
            serial: Text::NONE,
            tags,
            floor_plan: Text::NONE,
            x_m: f64::NAN,
            y_m: f64::NAN,
            lat: f64::NAN,
            lng: f64::NAN,
        });
        let floors: Vec<Text> = self.data.ap_floors.iter().map(|floor| batch.texts.intern(floor)).collect();
        for entry in &self.data.observations {
            let observed_at = entry.seen_epoch.unwrap();
            let facts = [entry.manufacturer, entry.os, entry.ipv4, entry.ipv6, None, if wifi { None } else { entry.name }];
            let client = client(batch, entry.client_mac, facts, observed_at);
            let rssi_dbm = i8::try_from(if wifi { entry.rssi - 95 } else { entry.rssi }).unwrap();
            let ssid = text(batch, entry.ssid);
            batch.observations.push(Observation { observed_at, ap, client, ssid, rssi_dbm });
            let Some(place) = &entry.location else { continue };
            for (floor, (x, y)) in place.x.iter().zip(&place.y).enumerate() {
                let (floor_plan, floor_plan_name) = (Text::NONE, floors.get(floor).copied().unwrap_or_default());
                let (uncertainty_m, x_m, y_m, lat, lng) = (place.unc.0, x.0, y.0, place.lat.0, place.lng.0);
                batch.locations.push(Location { observed_at, client, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m });
            }
        }
    }
}

impl Post<'_, V3<'_>> {
    /// Fills a batch, which must be empty.
    pub fn rows(&self, batch: &mut Batch) {
        assert_eq!((self.secret, &self.version[..1]), (SECRET, "3"));
        batch.radio = if self.r#type == "WiFi" { Radio::Wifi } else { Radio::Ble };
        batch.network = batch.texts.intern(self.data.network_id);
        for ap in &self.data.reporting_aps {
            let (name, serial, tags, floor_plan) = (text(batch, ap.name), text(batch, ap.serial), tags(batch, &ap.tags), text(batch, Some(ap.floor_plan.id)));
            let mac = Mac::parse(ap.mac).unwrap();
            batch.access_points.push(AccessPoint {
                mac,
                name,
                serial,
                tags,
                floor_plan,
                x_m: ap.floor_plan.x.0,
                y_m: ap.floor_plan.y.0,
                lat: ap.lat.0,
                lng: ap.lng.0,
            });
        }
        for entry in &self.data.observations {
            let name = entry.name.filter(|name| *name != "unknown" && batch.radio == Radio::Ble);
            let facts = [entry.manufacturer, entry.os, entry.ipv4, entry.ipv6, entry.user_id, name];
            let client = client(batch, entry.client_mac, facts, 0);
            let ssid = text(batch, entry.ssid);
            let first = batch.observations.len();
            let mut last = 0;
            for place in &entry.locations {
                let observed_at = seconds(place.time);
                last = last.max(observed_at);
                for record in &place.rssi_records {
                    let (ap, rssi_dbm) = (Mac::parse(record.ap_mac).unwrap(), i8::try_from(record.rssi).unwrap());
                    batch.observations.push(Observation { observed_at, ap, client, ssid, rssi_dbm });
                }
                let plan = place.floor_plan.as_ref();
                let (x, y) = (place.x.or(plan.map(|plan| plan.x)), place.y.or(plan.map(|plan| plan.y)));
                let (floor_plan, floor_plan_name) = (place.floor_plan_id.or(plan.map(|plan| plan.id)), place.floor_plan_name.or(plan.map(|plan| plan.name)));
                let (floor_plan, floor_plan_name) = (text(batch, floor_plan), text(batch, floor_plan_name));
                let (x_m, y_m) = (x.map_or(f64::NAN, |x| x.0), y.map_or(f64::NAN, |y| y.0));
                let (uncertainty_m, lat, lng) = (place.variance.0, place.lat.0, place.lng.0);
                batch.locations.push(Location { observed_at, client, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m });
            }
            if let Some(latest) = &entry.latest_record {
                let (observed_at, ap, rssi_dbm) =
                    (seconds(latest.time), Mac::parse(latest.nearest_ap_mac).unwrap(), i8::try_from(latest.nearest_ap_rssi).unwrap());
                last = last.max(observed_at);
                let row = Observation { observed_at, ap, client, ssid, rssi_dbm };
                if !batch.observations[first..].contains(&row) {
                    batch.observations.push(row);
                }
            }
            batch.clients[client as usize].last_observed_at = last;
        }
    }
}

fn client(batch: &mut Batch, mac: &str, facts: [Option<&str>; 6], last_observed_at: i64) -> u32 {
    let [manufacturer, os, ipv4, ipv6, user, device_name] = facts;
    let (host4, ipv4) = split(ipv4);
    let (host6, ipv6) = split(ipv6);
    let client = Client {
        mac: Mac::parse(mac).unwrap(),
        manufacturer: text(batch, manufacturer),
        os: text(batch, os),
        ipv4: text(batch, ipv4),
        ipv6: text(batch, ipv6),
        hostname: text(batch, host4.or(host6)),
        user: text(batch, user),
        device_name: text(batch, device_name),
        last_observed_at,
    };
    batch.clients.push(client);
    u32::try_from(batch.clients.len() - 1).unwrap()
}

fn split(address: Option<&str>) -> (Option<&str>, Option<&str>) {
    match address.map(|address| address.rsplit_once('/').unwrap_or(("", address))) {
        Some((host, address)) => (Some(host), Some(address)),
        None => (None, None),
    }
}

fn text(batch: &mut Batch, text: Option<&str>) -> Text {
    text.filter(|text| !text.is_empty()).map_or(Text::NONE, |text| batch.texts.intern(text))
}

fn tags(batch: &mut Batch, tags: &[&str]) -> Text {
    let kept: Vec<&&str> = tags.iter().filter(|tag| !tag.is_empty()).collect();
    batch.texts.intern(&serde_json::to_string(&kept).unwrap())
}

/// Seconds since 1970 of `YYYY-MM-DDTHH:MM:SSZ`, as cheap as it gets without wide registers.
fn seconds(text: &str) -> i64 {
    let text = text.as_bytes();
    let number = |from: usize, to: usize| text[from..to].iter().fold(0_i64, |number, digit| number * 10 + i64::from(digit - b'0'));
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    days * 86_400 + number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19)
}
