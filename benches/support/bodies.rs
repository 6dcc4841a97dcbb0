//! Bodies of any size, the same at every run: what the cloud would send for so many clients.
//!
//! A v3 client takes about 990 bytes (1.5 locations, 8.2 readings, 7.5 numbers of 15 to 17 digits), a v2 entry about 280.

use std::fmt::Write;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value};

/// The secret in every body. Obviously fake.
pub const SECRET: &str = "bench-secret-not-a-real-one";
/// 2026-09-21T14:13:20Z: when bodies are of unless they are asked otherwise.
pub const NOW: i64 = 1_790_000_000;

/// Which dialect, and which radio.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Version 2, Wi-Fi.
    V2Wifi,
    /// Version 2.1, Bluetooth.
    V2Ble,
    /// Version 3, Wi-Fi.
    V3Wifi,
    /// Version 3, Bluetooth.
    V3Ble,
}

/// What a body is about.
#[derive(Clone, Copy, Debug)]
pub struct Post {
    /// Dialect and radio.
    pub kind: Kind,
    /// Which network (v3) or access point (v2).
    pub origin: u32,
    /// Entries.
    pub clients: usize,
    /// Seconds since 1970: nothing in it was heard later.
    pub until: i64,
}

impl Post {
    /// A body of its own, about the last minute.
    pub fn of(kind: Kind, clients: usize) -> Self {
        Self { kind, origin: 1, clients, until: NOW }
    }

    /// The body.
    pub fn body(&self) -> Vec<u8> {
        let mut dice = ChaCha8Rng::seed_from_u64(u64::from(self.origin) << 32 ^ self.until.cast_unsigned());
        let mut json = String::with_capacity(4_096 + self.clients * 1_100);
        match self.kind {
            Kind::V2Wifi | Kind::V2Ble => self.v2(&mut dice, &mut json),
            Kind::V3Wifi | Kind::V3Ble => self.v3(&mut dice, &mut json),
        }
        json.into_bytes()
    }

    fn v2(&self, dice: &mut impl Rng, json: &mut String) {
        let (version, kind) = if self.kind == Kind::V2Wifi { ("2.0", "DevicesSeen") } else { ("2.1", "BluetoothDevicesSeen") };
        let ap = access_point(self.origin, 0);
        write!(json, r#"{{"version":"{version}","secret":"{SECRET}","type":"{kind}","data":{{"apMac":"{ap}","apFloors":["Floor 1"],"apTags":["","lobby",""],"observations":["#).unwrap();
        for client in 0..self.clients {
            let at = self.until - dice.random_range(0..60);
            let (comma, mac, time) = (if client > 0 { "," } else { "" }, client_mac(self.origin, client), time(at));
            let [lat, lng, unc, x, y] = spot(dice);
            let location = format!(r#"{{"lat":{lat},"lng":{lng},"unc":{unc},"x":[{x}],"y":[{y}]}}"#);
            if self.kind == Kind::V2Wifi {
                let facts = Facts::of(client);
                let rssi = dice.random_range(5..60);
                write!(
                    json,
                    r#"{comma}{{"ipv4":{},"location":{location},"seenTime":"{time}","ssid":{},"os":{},"clientMac":"{mac}","seenEpoch":{at},"rssi":{rssi},"ipv6":null,"manufacturer":{}}}"#,
                    facts.address("/"), facts.ssid, facts.os, facts.manufacturer
                )
            } else {
                let rssi = dice.random_range(-95..-40);
                write!(json, r#"{comma}{{"location":{location},"seenTime":"{time}","clientMac":"{mac}","seenEpoch":{at},"rssi":{rssi}}}"#)
            }
            .unwrap();
        }
        json.push_str("]}}");
    }

    fn v3(&self, dice: &mut impl Rng, json: &mut String) {
        let kind = if self.kind == Kind::V3Wifi { "WiFi" } else { "Bluetooth" };
        let origin = self.origin;
        let (from, to) = (time(self.until - 60), time(self.until));
        write!(json, r#"{{"version":"3.0","secret":"{SECRET}","type":"{kind}","data":{{"networkId":"L_{origin:018}","startTime":"{from}","endTime":"{to}","reportingAps":["#).unwrap();
        // The same in every post: an access point does not move.
        let mut place = ChaCha8Rng::seed_from_u64(u64::from(origin));
        for ap in 0..ACCESS_POINTS {
            let [lat, lng, _, x, y] = spot(&mut place);
            let (comma, mac) = (if ap > 0 { "," } else { "" }, access_point(origin, ap));
            write!(
                json,
                r#"{comma}{{"serial":"Q2XX-{origin:04}-{ap:04}","mac":"{mac}","name":"AP {ap}","lat":{lat},"lng":{lng},"tags":["recently-added"],"floorPlan":{{"id":"g_6434517967605609{}","name":"Floor {}","x":{x},"y":{y}}}}}"#,
                ap % 3, ap % 3
            )
            .unwrap();
        }
        json.push_str(r#"],"observations":["#);
        for client in 0..self.clients {
            json.push_str(if client > 0 { "," } else { "" });
            self.v3_entry(dice, json, client);
        }
        json.push_str("]}}");
    }

    fn v3_entry(&self, dice: &mut impl Rng, json: &mut String, client: usize) {
        json.push_str(r#"{"locations":["#);
        // 1.5 on average.
        for location in 0..[0, 1, 1, 2, 2, 3][dice.random_range(0..6)] {
            json.push_str(if location > 0 { "," } else { "" });
            self.v3_location(dice, json);
        }
        let mac = client_mac(self.origin, client);
        if self.kind == Kind::V3Wifi {
            let facts = Facts::of(client);
            let address = facts.address("");
            write!(json, r#"],"ipv4":{address},"ssid":{},"os":{},"clientMac":"{mac}","#, facts.ssid, facts.os).unwrap();
        } else {
            let minor = client % 500;
            write!(json, r#"],"name":"unknown","bleBeacons":[{{"uuid":"8d5a3c1e-7f20-4b6e-9a41-c0ffee5eed00","txPower":-59,"major":0,"bleType":"iBeacon","minor":{minor}}}],"clientMac":"{mac}","#).unwrap();
        }
        let (at, ap, rssi) =
            (time(self.until - dice.random_range(0..60)), access_point(self.origin, dice.random_range(0..ACCESS_POINTS)), dice.random_range(-89..-30));
        write!(json, r#""latestRecord":{{"time":"{at}","nearestApMac":"{ap}","nearestApRssi":{rssi}}}"#).unwrap();
        if self.kind == Kind::V3Wifi {
            write!(json, r#","ipv6":null,"manufacturer":{}"#, Facts::of(client).manufacturer).unwrap();
        }
        json.push('}');
    }

    fn v3_location(&self, dice: &mut impl Rng, json: &mut String) {
        let [lat, lng, unc, x, y] = spot(dice);
        let (at, floor) = (time(self.until - dice.random_range(0..60)), dice.random_range(0..3));
        write!(json, r#"{{"time":"{at}","lat":{lat},"lng":{lng},"variance":{unc},"#).unwrap();
        if self.kind == Kind::V3Wifi {
            write!(json, r#""x":"{x}","y":"{y}","floorPlanId":"g_6434517967605609{floor}","floorPlanName":"Floor {floor}","nearestApTags":["","lobby",""],"#)
                .unwrap();
        } else {
            let ap = access_point(self.origin, dice.random_range(0..ACCESS_POINTS));
            write!(json, r#""floorPlan":{{"id":"g_6434517967605609{floor}","name":"Floor {floor}","x":{x},"y":{y}}},"nearestApMac":"{ap}","#).unwrap();
        }
        json.push_str(r#""rssiRecords":["#);
        let first = dice.random_range(0..ACCESS_POINTS);
        for reading in 0..dice.random_range(3..9) {
            let (comma, ap, rssi) =
                (if reading > 0 { "," } else { "" }, access_point(self.origin, (first + reading) % ACCESS_POINTS), dice.random_range(-89..-30));
            write!(json, r#"{comma}{{"apMac":"{ap}","rssi":{rssi}}}"#).unwrap();
        }
        json.push_str("]}");
    }
}

/// The same document with the keys of every object sorted.
pub fn sorted(body: &[u8]) -> Vec<u8> {
    serde_json::to_vec(&by_key(serde_json::from_slice(body).unwrap())).unwrap()
}

/// The same document, indented.
pub fn pretty(body: &[u8]) -> Vec<u8> {
    serde_json::to_vec_pretty(&serde_json::from_slice::<Value>(body).unwrap()).unwrap()
}

fn by_key(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<_> = members.into_iter().map(|(key, value)| (key, by_key(value))).collect();
            members.sort_by(|(a, _), (b, _)| a.cmp(b));
            Value::Object(Map::from_iter(members))
        }
        Value::Array(elements) => Value::Array(elements.into_iter().map(by_key).collect()),
        other => other,
    }
}

/// What is told of a client, as JSON; the same in every post.
struct Facts {
    ssid: &'static str,
    os: &'static str,
    manufacturer: &'static str,
    associated: Option<usize>,
}

impl Facts {
    fn of(client: usize) -> Self {
        let associated = (client % 5 < 2).then_some(client);
        Self {
            ssid: if associated.is_some() { [r#""guest""#, r#""staff""#, r#""pos""#][client % 3] } else { "null" },
            os: [r#""iOS""#, r#""Android""#, "null", r#""Windows 11""#, r#""Mac OS X""#, "null", r#""Chrome OS""#][client % 7],
            manufacturer: [
                r#""Apple""#,
                r#""Samsung Electronics""#,
                r#""Intel""#,
                "null",
                r#""Hon Hai/Foxconn""#,
                r#""Lenovo Mobile...""#,
                r#""Google""#,
                r#""Espressif""#,
            ][client % 8],
            associated,
        }
    }

    fn address(&self, before: &str) -> String {
        self.associated.map_or_else(|| "null".to_owned(), |client| format!("\"{before}10.{}.{}.{}\"", client >> 16 & 255, client >> 8 & 255, client & 255))
    }
}

/// Latitude, longitude, uncertainty, x and y.
fn spot(dice: &mut impl Rng) -> [f64; 5] {
    let within = |dice: &mut dyn Rng, low: f64, high: f64| low + (high - low) * (dice.next_u64() >> 11) as f64 / (1_u64 << 53) as f64;
    [within(dice, 60.05, 60.06), within(dice, 6.09, 6.1), within(dice, 1.0, 49.0), within(dice, 0.0, 90.0), within(dice, 0.0, 60.0)]
}

fn time(at: i64) -> String {
    jiff::Timestamp::from_second(at).unwrap().to_string()
}

fn access_point(origin: u32, number: usize) -> String {
    let [_, a, b, c] = origin.to_be_bytes();
    format!("e4:55:{a:02x}:{b:02x}:{c:02x}:{number:02x}")
}

fn client_mac(origin: u32, number: usize) -> String {
    let [_, a, b, c] = origin.to_be_bytes();
    let [.., d, e] = number.to_be_bytes();
    format!("18:{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}")
}

/// Of one network.
const ACCESS_POINTS: usize = 20;
