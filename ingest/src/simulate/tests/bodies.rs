//! Bodies, read back with a JSON library that knows nothing of the simulator.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

fn body(post: &Post) -> Value {
    serde_json::from_slice(&post.body).unwrap()
}

fn entries(body: &Value) -> &Vec<Value> {
    body["data"]["observations"].as_array().unwrap()
}

fn seconds(text: &Value) -> i64 {
    text.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

fn mac(text: &Value) -> store::mac::Mac {
    let text = text.as_str().unwrap();
    assert_eq!(text, text.to_lowercase());
    store::mac::Mac::parse(text).unwrap()
}

/// A number as a number or as text.
fn whole(value: &Value) -> i64 {
    value.as_i64().or_else(|| value.as_str().and_then(|text| text.parse().ok())).unwrap()
}

type Tuple = (u64, u64, i64, i64, Option<String>);

fn tuples(post: &Post) -> Vec<Tuple> {
    let told = |row: &Row| (row.ap.bits(), row.client.bits(), row.observed_at, i64::from(row.rssi_dbm), row.ssid.map(str::to_owned));
    post.rows.iter().map(told).collect()
}

fn ssid(entry: &Value) -> Option<String> {
    entry["ssid"].as_str().map(str::to_owned)
}

#[test]
fn v2_bodies_have_the_shape_of_captures_and_tell_the_promised_rows() {
    let posts = posts(&options(Version::V2), 12);
    let mut quirks: BTreeMap<&str, usize> = BTreeMap::new();
    for post in &posts {
        let body = body(post);
        let (version, kind, above_floor) = match post.radio {
            Radio::Wifi => ("2.0", "DevicesSeen", 95),
            Radio::Ble => ("2.1", "BluetoothDevicesSeen", 0),
        };
        assert_eq!((&body["version"], &body["type"], &body["secret"]), (&version.into(), &kind.into(), &"simulated".into()));
        let data = &body["data"];
        assert_eq!(Some(mac(&data["apMac"])), post.ap);
        *quirks.entry("empty tag").or_default() += usize::from(data["apTags"].as_array().unwrap().contains(&"".into()));
        let floors = data["apFloors"].as_array().unwrap().len();
        let mut walked = Vec::new();
        for entry in entries(&body) {
            assert_eq!(seconds(&entry["seenTime"]), entry["seenEpoch"].as_i64().unwrap());
            let rssi = entry["rssi"].as_i64().unwrap() - above_floor;
            assert!((-95..=-20).contains(&rssi));
            walked.push((mac(&data["apMac"]).bits(), mac(&entry["clientMac"]).bits(), entry["seenEpoch"].as_i64().unwrap(), rssi, ssid(entry)));
            note_quirks(&mut quirks, entry, floors);
            assert!(post.radio == Radio::Ble || !mac(&entry["clientMac"]).is_local(), "v2 leaves random addresses out");
        }
        assert_eq!(walked.len(), post.observations as usize);
        assert_eq!(walked, tuples(post));
        let clients: BTreeSet<_> = walked.iter().map(|row| row.1).collect();
        assert_eq!(clients.len(), walked.len(), "no client twice in one post");
    }
    for quirk in ["empty tag", "null location", "null unc", "text unc", "negative unc", "NaN lat", "two floors", "/address", "host/address", "connected"] {
        assert!(quirks.get(quirk).is_some_and(|count| *count > 0), "{quirk} in {quirks:?}");
    }
}

fn note_quirks(quirks: &mut BTreeMap<&'static str, usize>, entry: &Value, floors: usize) {
    let mut note = |name, seen| *quirks.entry(name).or_default() += usize::from(seen);
    let location = &entry["location"];
    note("null location", location.is_null());
    if !location.is_null() {
        note("null unc", location["unc"].is_null());
        note("text unc", location["unc"] == "NaN");
        note("negative unc", location["unc"].as_f64().is_some_and(|metres| metres < 0.0));
        note("NaN lat", location["lat"] == "NaN");
        assert_eq!(location["x"].as_array().unwrap().len(), floors);
        assert_eq!(location["y"].as_array().unwrap().len(), floors);
        note("two floors", floors == 2);
    }
    if let Some(address) = entry["ipv4"].as_str() {
        note("/address", address.starts_with("/10."));
        note("host/address", address.contains("device-") || address.contains("laptop-"));
    }
    note("connected", entry["ssid"].is_string());
}

#[test]
fn v3_bodies_have_the_shape_of_captures_and_tell_the_promised_rows() {
    let posts = posts(&options(Version::V3), 12);
    let (mut equal_latest, mut text_rssi, mut by_locations) = (0, 0, [0_usize; 4]);
    for post in &posts {
        let body = body(post);
        assert_eq!((&body["version"], &body["data"]["networkId"]), (&"3.0".into(), &(&*post.network).into()));
        assert_eq!(body["type"], if post.radio == Radio::Wifi { "WiFi" } else { "Bluetooth" });
        assert_eq!(post.ap, None);
        if post.radio == Radio::Ble {
            assert_eq!(body["data"]["reportingAps"].as_array().unwrap().len(), 9);
            assert_eq!(seconds(&body["data"]["endTime"]) - seconds(&body["data"]["startTime"]), 60);
        }
        let mut walked = Vec::new();
        for entry in entries(&body) {
            let client = mac(&entry["clientMac"]);
            assert!(post.radio == Radio::Ble || !client.is_local() || entry["ssid"].is_string(), "random addresses only when connected");
            let mut told = Vec::new();
            let locations = entry["locations"].as_array().unwrap();
            by_locations[locations.len()] += 1;
            for location in locations {
                let records = location["rssiRecords"].as_array().unwrap();
                assert!(records.len() >= 3);
                told.extend(
                    records.iter().map(|record| (mac(&record["apMac"]).bits(), client.bits(), seconds(&location["time"]), whole(&record["rssi"]), ssid(entry))),
                );
            }
            let latest = &entry["latestRecord"];
            text_rssi += usize::from(latest["nearestApRssi"].is_string());
            let latest = (mac(&latest["nearestApMac"]).bits(), client.bits(), seconds(&latest["time"]), whole(&latest["nearestApRssi"]), ssid(entry));
            if told.contains(&latest) {
                equal_latest += 1;
            } else {
                told.push(latest);
            }
            walked.extend(told);
        }
        assert_eq!(walked.len(), post.observations as usize);
        assert_eq!(walked, tuples(post));
    }
    assert!(equal_latest > 0 && text_rssi > 0, "{equal_latest} {text_rssi}");
    assert!(by_locations.iter().all(|count| *count > 0), "{by_locations:?}");
}

#[test]
fn sightings_come_again_and_are_never_nine_minutes_old() {
    for version in [Version::V2, Version::V3] {
        let posts = posts(&options(version), 20);
        let mut seen = BTreeSet::new();
        let (mut told, mut repeats, mut oldest) = (0_usize, 0_usize, 0);
        for post in &posts {
            for row in tuples(post) {
                told += 1;
                oldest = oldest.max(post.sent_at - row.2);
                repeats += usize::from(!seen.insert((post.radio, row)));
            }
        }
        assert!(oldest > 240 && oldest < 540, "{version:?}: {oldest}");
        // In v3 only a latest record comes again, so most of what it tells is new.
        let percent = if version == Version::V2 { 25..=75 } else { 3..=30 };
        assert!(percent.contains(&(repeats * 100 / told)), "{version:?}: {repeats} of {told}");
    }
}

#[test]
fn sizes_and_hearing_are_like_in_captures() {
    let options = WorldOptions { radios: Radios::Wifi, sites: 1, access_points: 12, clients: 100, ..options(Version::V2) };
    let full: Vec<Post> = posts(&options, 15).split_off(12 * 10);
    let (bytes, observations) = full.iter().fold((0, 0), |sum, post| (sum.0 + post.body.len(), sum.1 + post.observations as usize));
    let per_observation = bytes / observations;
    assert!((250..=340).contains(&per_observation), "{per_observation} bytes per observation");
    let mut aps_by_client: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
    // Of the last minute only: in eight minutes people walk past more access points than hear them at a time.
    for row in full[..12].iter().flat_map(tuples).filter(|row| row.2 >= START + 10 * 60) {
        aps_by_client.entry(row.1).or_default().insert(row.0);
    }
    let heard = aps_by_client.values().map(BTreeSet::len).sum::<usize>() as f64 / aps_by_client.len() as f64;
    assert!((2.0..=4.5).contains(&heard), "heard by {heard} access points");

    let options = WorldOptions { version: Version::V3, ..options };
    let post = posts(&options, 10).pop().unwrap();
    let per_client = post.body.len() / entries(&body(&post)).len();
    assert!((500..=1600).contains(&per_client), "{per_client} bytes per client");
}
