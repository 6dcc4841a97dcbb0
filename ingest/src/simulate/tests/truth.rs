//! The truth adds up: stays fill visits, people inside are near an access point, as many are there as were asked for.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;

fn truth(options: &WorldOptions, minutes: usize) -> (Vec<Value>, Totals) {
    let options = WorldOptions { keep_truth: true, ..options.clone() };
    let mut world = World::new(&options);
    let _ = world.by_ref().take(minutes).count();
    let totals = world.totals();
    let lines: Vec<u8> = world.into_sites().into_iter().flat_map(|mut site| site.finish_truth()).collect();
    (lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(|line| serde_json::from_slice(line).unwrap()).collect(), totals)
}

fn time(record: &Value, name: &str) -> i64 {
    record[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()
}

fn of<'a>(records: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    records.iter().filter(move |record| record["record"] == kind)
}

#[test]
fn stays_fill_each_visit_without_gap() {
    let (records, totals) = truth(&options(Version::V3), 45);
    let mut stays: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
    for stay in of(&records, "stay") {
        stays.entry(stay["client"].as_str().unwrap()).or_default().push((time(stay, "from"), time(stay, "to")));
    }
    let mut people: BTreeMap<&str, std::collections::BTreeSet<u64>> = BTreeMap::new();
    for visit in of(&records, "visit") {
        let client = visit["client"].as_str().unwrap();
        let stays = stays.remove(client).unwrap();
        assert_eq!((stays[0].0, stays.last().unwrap().1), (time(visit, "from"), time(visit, "to")), "{visit}");
        assert!(stays.windows(2).all(|pair| pair[0].1 == pair[1].0), "{visit}");
        assert_eq!(visit["dwell_s"].as_i64().unwrap(), time(visit, "to") - time(visit, "from"));
        people.entry(visit["kind"].as_str().unwrap()).or_default().insert(visit["person"].as_u64().unwrap());
    }
    assert!(stays.is_empty(), "every stay belongs to a visit");
    let count = |kind| people.get(kind).map_or(0, |people| people.len() as u64);
    assert_eq!((count("visitor"), count("passer_by"), count("fixture")), (totals.visitors, totals.passers_by, totals.fixtures));
}

#[test]
fn who_is_inside_is_near_the_access_point_of_the_stay() {
    let (records, _) = truth(&options(Version::V2), 30);
    let places: BTreeMap<&str, (f64, f64)> =
        of(&records, "access_point").map(|ap| (ap["ap"].as_str().unwrap(), (ap["x_m"].as_f64().unwrap(), ap["y_m"].as_f64().unwrap()))).collect();
    assert_eq!(places.len(), 18);
    let (mut inside, mut outside) = (0, 0);
    for stay in of(&records, "stay") {
        if stay["inside"] == false {
            outside += 1;
            continue;
        }
        inside += 1;
        let (x, y) = places[stay["nearest_ap"].as_str().unwrap()];
        let distance = (stay["x_m"].as_f64().unwrap() - x).hypot(stay["y_m"].as_f64().unwrap() - y);
        // A floor that is not filled with access points reaches somewhat beyond them.
        assert!(distance < 36.0, "{distance} m: {stay}");
    }
    assert!(inside > 100 && outside > 10, "{inside} {outside}");
}

#[test]
fn about_as_many_are_present_as_asked_for() {
    let options = WorldOptions { sites: 4, clients: 100, radios: Radios::Wifi, ..options(Version::V2) };
    let (records, _) = truth(&options, 60);
    for minute in [1, 20, 55] {
        let at = START + minute * 60;
        let mut present: Vec<u64> = of(&records, "visit")
            .filter(|visit| time(visit, "from") <= at && at < time(visit, "to") && visit["radio"] == "wifi")
            .map(|visit| visit["person"].as_u64().unwrap())
            .collect();
        present.sort_unstable();
        present.dedup();
        let mean = present.len() as f64 / 4.0;
        assert!((75.0..=125.0).contains(&mean), "{mean} present after {minute} minutes");
    }
}

#[test]
fn what_posts_tell_is_of_people_who_were_there() {
    let options = options(Version::V3);
    let (records, _) = truth(&options, 20);
    let mut visits: BTreeMap<&str, Vec<(i64, i64)>> = BTreeMap::new();
    for visit in of(&records, "visit") {
        visits.entry(visit["client"].as_str().unwrap()).or_default().push((time(visit, "from"), time(visit, "to")));
    }
    for row in posts(&options, 20).iter().flat_map(|post| &post.rows) {
        let client = row.client.text().to_string();
        assert!(visits[client.as_str()].iter().any(|(from, to)| (*from..*to).contains(&row.observed_at)));
    }
}
