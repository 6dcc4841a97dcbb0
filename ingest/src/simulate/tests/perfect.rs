//! A perfect radio hears everybody once a minute and nobody wrongly; the people are the same whatever the air does.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::*;

fn perfect(version: Version) -> WorldOptions {
    WorldOptions { radio_model: RadioModel::Perfect, addresses: Addresses::Global, radios: Radios::Wifi, ..options(version) }
}

/// Posts and the lines of the truth.
fn told(options: &WorldOptions, minutes: usize) -> (Vec<Post>, Vec<Value>) {
    let options = WorldOptions { keep_truth: true, ..options.clone() };
    let mut world = World::new(&options);
    let posts = world.by_ref().take(minutes).flatten().collect();
    let lines: Vec<u8> = world.into_sites().into_iter().flat_map(|mut site| site.finish_truth()).collect();
    (posts, lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect())
}

fn time(record: &Value, name: &str) -> i64 {
    record[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

#[test]
fn each_device_inside_is_heard_once_a_minute_by_the_nearest_access_point() {
    for version in [Version::V2, Version::V3] {
        let (posts, records) = told(&perfect(version), 20);
        let mut heard: BTreeMap<(String, i64), BTreeSet<(String, i8)>> = BTreeMap::new();
        for row in posts.iter().flat_map(|post| &post.rows) {
            assert!(!row.client.is_local());
            heard.entry((row.client.text().to_string(), row.observed_at)).or_default().insert((row.ap.text().to_string(), row.rssi_dbm));
        }
        let of = |kind: &'static str| records.iter().filter(move |record| record["record"] == kind && record["radio"] != "ble");
        let visits: BTreeMap<&str, (i64, bool)> =
            of("visit").map(|visit| (visit["client"].as_str().unwrap(), (visit["second"].as_i64().unwrap(), visit["associated"] == true))).collect();
        let mut expected = BTreeMap::new();
        for stay in of("stay") {
            let client = stay["client"].as_str().unwrap();
            let (second, is_associated) = visits[client];
            let (from, to) = (time(stay, "from"), time(stay, "to"));
            let is_inside = stay["inside"] == true;
            for at in (from..to).filter(|at| at.rem_euclid(60) == second && (is_inside || !is_associated)) {
                let told = (stay["nearest_ap"].as_str().unwrap().to_owned(), if is_inside { -50 } else { -90 });
                expected.insert((client.to_owned(), at), BTreeSet::from([told]));
            }
        }
        assert!(expected.len() > 500, "{}", expected.len());
        assert_eq!(heard, expected);
    }
}

#[test]
fn the_same_people_come_whatever_the_air_and_the_addresses_are() {
    let people = |options: &WorldOptions| {
        let (_, records) = told(options, 20);
        let visits = records.into_iter().filter(|record| record["record"] == "visit");
        visits.map(|visit| [&visit["person"], &visit["from"], &visit["to"], &visit["second"]].map(Value::to_string)).collect::<BTreeSet<_>>()
    };
    let perfect = perfect(Version::V3);
    let noisy = WorldOptions { radio_model: RadioModel::Noisy, ..perfect.clone() };
    let mixed = WorldOptions { addresses: Addresses::Mixed, ..perfect.clone() };
    assert_eq!(people(&perfect), people(&noisy));
    assert_eq!(people(&perfect), people(&mixed));
}

#[test]
fn the_truth_ends_with_a_line_per_site() {
    let options = perfect(Version::V3);
    let (_, records) = told(&options, 3);
    let ends: Vec<&Value> = records.iter().filter(|record| record["record"] == "site").collect();
    assert_eq!(ends.len(), 2);
    assert_eq!((time(ends[0], "from"), time(ends[0], "to"), ends[0]["radio_model"].as_str()), (START, START + 180, Some("perfect")));
}
