//! A group's rows from batches: sets, facts and counts.

use std::sync::Arc;

use super::*;
use crate::batch::{AccessPoint, Batch, Client, Discard, Location, Observation};
use crate::client::Pseudonyms;
use crate::key::Key;
use crate::optout::{Editor, List, OptOuts};
use crate::repeat::RepeatFilter;

const NOW: i64 = 1_700_000_000;
const AP: u64 = 0x0018_0a00_0001;

fn fold(keep: Keep) -> Fold {
    Fold::new(Pseudonyms::Keyed(Key::from_bytes([7; 32])), keep, Arc::default(), Arc::default(), RepeatFilter::new((3, 4)))
}

fn batch(at: i64) -> Batch {
    Batch { receiver: Arc::from("mall"), received_at_ms: at * 1_000, ap: Some(Mac::from_bits(AP)), ..Batch::default() }
}

fn client(batch: &mut Batch, mac: u64, os: Option<&str>, at: i64) -> u32 {
    let os = os.map_or(Text::NONE, |os| batch.texts.intern(os));
    let none = Text::NONE;
    let address = batch.texts.intern("10.9.8.7");
    batch.clients.push(Client {
        mac: Mac::from_bits(mac),
        manufacturer: none,
        os,
        ipv4: address,
        ipv6: none,
        hostname: none,
        user: none,
        device_name: none,
        last_observed_at: at,
    });
    u32::try_from(batch.clients.len() - 1).unwrap()
}

fn hear(batch: &mut Batch, client: u32, at: i64, rssi_dbm: i8, ssid: Option<&str>) {
    let ssid = ssid.map_or(Text::NONE, |ssid| batch.texts.intern(ssid));
    batch.observations.push(Observation { observed_at: at, ap: Mac::from_bits(AP), client, ssid, rssi_dbm });
}

fn one(at: i64, observed_at: i64, rssi_dbm: i8, ssid: Option<&str>) -> Batch {
    let mut batch = batch(at);
    let index = client(&mut batch, 0x1800_0000_0001, None, observed_at);
    hear(&mut batch, index, observed_at, rssi_dbm, ssid);
    batch
}

#[test]
fn the_same_tuple_is_written_once_and_any_other_part_makes_another() {
    let mut fold = fold(Keep::default());
    fold.add(&one(NOW, NOW - 5, -60, None)).unwrap();
    fold.add(&one(NOW + 60, NOW - 5, -60, None)).unwrap();
    assert_eq!((fold.group().observations.len(), fold.tally().repeats), (1, 1));
    fold.add(&one(NOW + 60, NOW - 5, -61, None)).unwrap();
    fold.add(&one(NOW + 60, NOW - 4, -60, None)).unwrap();
    fold.add(&one(NOW + 60, NOW - 5, -60, Some("guest"))).unwrap();
    let mut other = one(NOW + 60, NOW - 5, -60, None);
    other.receiver = Arc::from("other");
    fold.add(&other).unwrap();
    other.radio = Radio::Ble;
    fold.add(&other).unwrap();
    assert_eq!((fold.group().observations.len(), fold.tally().repeats), (6, 1));
    assert_eq!(fold.tally().told, 7);
    assert_eq!(fold.group().observations[0].received_at_ms, NOW * 1_000, "the first arrival's time stands");
}

#[test]
fn a_filter_told_of_the_stored_rows_knows_them_whatever_their_numbers() {
    let mut first = fold(Keep::default());
    let mut told = one(NOW, NOW - 5, -60, Some("guest"));
    told.locations.push(Location {
        observed_at: NOW - 5,
        client: 0,
        floor_plan: Text::NONE,
        floor_plan_name: told.texts.intern("ground"),
        x_m: 1.0,
        y_m: 2.0,
        lat: f64::NAN,
        lng: f64::NAN,
        uncertainty_m: f64::NAN,
    });
    first.add(&told).unwrap();

    let mut second = Fold::new(Pseudonyms::Keyed(Key::from_bytes([7; 32])), Keep::default(), Arc::default(), Arc::default(), RepeatFilter::new((50, 60)));
    assert_eq!(second.start(NOW), (NOW - 900).div_euclid(60) * 60);
    second.remember(first.group());
    let mut other = batch(NOW + 1);
    other.texts.intern("shifts every number");
    second.add(&other).unwrap();
    second.add(&told).unwrap();
    assert_eq!((second.tally().repeats, second.tally().location_repeats), (1, 1));
    assert!(second.group().observations.is_empty() && second.group().locations.is_empty());
}

#[test]
fn old_rows_wait_for_the_stores_answer_and_are_one_among_themselves() {
    let mut fold = fold(Keep::default());
    let old = NOW - 86_400;
    for (rssi, times) in [(-60, 3), (-61, 1)] {
        for _ in 0..times {
            fold.add(&one(NOW, old, rssi, None)).unwrap();
        }
    }
    assert_eq!((fold.group().observations.len(), fold.old_observations().len()), (0, 4));
    fold.settle_old(&[false, false, false, true], &[]);
    assert_eq!((fold.group().observations.len(), fold.tally().repeats, fold.old_observations().len()), (1, 3, 0));
}

#[test]
fn a_row_that_passes_the_horizon_within_its_own_group_is_still_one() {
    let mut fold = fold(Keep::default());
    fold.add(&one(NOW, NOW - 800, -60, None)).unwrap();
    fold.add(&one(NOW + 300, NOW - 800, -60, None)).unwrap();
    assert_eq!((fold.group().observations.len(), fold.old_observations().len()), (1, 1));
    fold.settle_old(&[false], &[]);
    assert_eq!((fold.group().observations.len(), fold.tally().repeats), (1, 1));
}

#[test]
fn facts_of_one_client_are_one_row_and_the_latest_non_null_one_stands() {
    let mut fold = fold(Keep::default());
    for (at, os) in [(NOW - 10, Some("iOS")), (NOW - 20, Some("Android")), (NOW - 5, None)] {
        let mut told = batch(NOW);
        let index = client(&mut told, 0x0200_0000_0001, os, at);
        hear(&mut told, index, at, -60, None);
        fold.add(&told).unwrap();
    }
    let [row] = fold.group().clients.as_slice() else { panic!("one row") };
    assert_eq!(fold.group().texts.get(row.facts[1].text), Some("iOS"));
    assert_eq!((row.first_seen, row.last_seen, row.random_address, row.group_address), (NOW - 20, NOW - 5, Some(true), false));
    assert!(row.facts[2].text.is_none(), "an IP address is not kept unless asked for");
    assert!(!fold.group().texts.iter().any(|text| text == "10.9.8.7"));
}

#[test]
fn what_is_asked_for_is_kept() {
    let mut fold = fold(Keep { ip: true, ..Keep::default() });
    fold.add(&one(NOW, NOW, -60, None)).unwrap();
    assert_eq!(fold.group().texts.get(fold.group().clients[0].facts[2].text), Some("10.9.8.7"));
}

#[test]
fn an_access_point_that_heard_nobody_is_seen_at_the_arrival() {
    let mut fold = fold(Keep::default());
    let mut told = one(NOW, NOW - 30, -60, None);
    let (name, none) = (told.texts.intern("lobby"), Text::NONE);
    for mac in [AP, AP + 1] {
        let (x_m, y_m, lat, lng) = (1.0, 2.0, f64::NAN, 3.0);
        told.access_points.push(AccessPoint { mac: Mac::from_bits(mac), name, serial: none, tags: none, floor_plan: none, x_m, y_m, lat, lng });
    }
    fold.add(&told).unwrap();
    let rows = &fold.group().access_points;
    assert_eq!(rows.iter().map(|row| (row.ap.bits(), row.first_seen, row.last_seen)).collect::<Vec<_>>(), [(AP, NOW - 30, NOW - 30), (AP + 1, NOW, NOW)]);
    assert!(rows[0].on_earth.is_none() && !rows[0].on_plan.is_none());
}

#[test]
fn posts_of_one_source_and_minute_add_up_with_discarded_and_repeated_observations() {
    let mut fold = fold(Keep::default());
    let minute = NOW.div_euclid(60) * 60;
    for at in [minute, minute + 59, minute + 60] {
        let mut told = one(at, minute, -60, None);
        told.discarded.count(Discard::Scale);
        fold.add(&told).unwrap();
    }
    let posts: Vec<_> = fold.group().posts.iter().map(|row| (row.minute, row.posts, row.observations)).collect();
    assert_eq!(posts, [(minute, 2, 4), (minute + 60, 1, 2)]);
    let tally = fold.tally();
    assert_eq!(tally.told, fold.group().observations.len() as u64 + tally.repeats + tally.discarded.total());
}

#[test]
fn rows_are_numbered_through_all_kinds() {
    let mut fold = fold(Keep::default());
    fold.add(&one(NOW, NOW, -60, None)).unwrap();
    fold.add(&one(NOW, NOW, -61, None)).unwrap();
    let group = fold.group();
    assert_eq!(group.len(), 5, "two observations, an access point, a client, a post");
    assert_eq!(group.part(1..3), Part { observations: 1..2, locations: 0..0, access_points: 0..1, clients: 0..0, posts: 0..0 });
    let mut gathered = Gathered::default();
    fold.hand_over(&mut gathered);
    assert!(fold.group().is_empty());
    gathered.remove_poison(1);
    gathered.remove_poison(1);
    let group = gathered.group();
    assert_eq!((group.observations.len(), group.access_points.len(), group.len()), (1, 0, 3), "the access point had moved up");
    assert_eq!(gathered.tally().discarded.of(Discard::Poison), 1, "only observations are counted");
    fold.hand_over(&mut gathered);
    assert!(gathered.group().is_empty());
}

#[test]
fn a_group_that_tells_nothing_new_of_somebody_leaves_the_row_out_until_it_is_settled() {
    let mut fold = fold(Keep::default());
    fold.start(0);
    let mut committed = Gathered::default();
    let mut rows = Vec::new();
    for minute in (0..14).step_by(2) {
        let at = NOW + minute * 60;
        let mut batch = batch(at);
        let index = client(&mut batch, 0x1800_0000_0001, Some("iOS"), at - 5);
        hear(&mut batch, index, at - 5, -60, None);
        let name = batch.texts.intern("door");
        let (none, nowhere) = (Text::NONE, f64::NAN);
        batch.access_points.push(AccessPoint {
            mac: Mac::from_bits(AP),
            name,
            serial: none,
            tags: none,
            floor_plan: none,
            x_m: nowhere,
            y_m: nowhere,
            lat: nowhere,
            lng: nowhere,
        });
        fold.add(&batch).unwrap();
        fold.close();
        let seen = |at: i64| at - NOW;
        let clients: Vec<_> = fold.group().clients.iter().map(|row| (seen(row.last_seen), fold.group().texts.get(row.facts[1].text).is_some())).collect();
        let access_points: Vec<_> =
            fold.group().access_points.iter().map(|row| (seen(row.last_seen), fold.group().texts.get(row.name.text).is_some())).collect();
        rows.push((minute, clients, access_points));
        fold.hand_over(&mut committed);
    }
    rows.retain(|(_, clients, access_points)| !clients.is_empty() || !access_points.is_empty());
    // At first, and when ten minutes have passed.
    assert_eq!(rows, [(0, vec![(-5, true)], vec![(-5, true)]), (10, vec![(595, true)], vec![(595, true)])]);
    assert!(fold.has_put_off());
    fold.settle();
    let group = fold.group();
    assert_eq!((group.clients.len(), group.access_points.len()), (1, 1));
    assert_eq!((group.clients[0].last_seen - NOW, group.clients[0].facts[1]), (715, Fact { text: Text::NONE, at: NOW + 715 }));
    assert_eq!((group.access_points[0].last_seen - NOW, group.access_points[0].name), (715, Fact { text: Text::NONE, at: NOW + 720 }));
    assert_eq!(group.texts.get(group.clients[0].receiver), Some("mall"));
    assert!(!fold.has_put_off());
}

/// What the reports of a group's discards add up to, beside its rows.
fn accounted(fold: &Fold) -> u64 {
    let tally = fold.tally();
    fold.group().observations.len() as u64 + fold.old_observations().len() as u64 + tally.repeats + tally.discarded.total()
}

#[test]
fn who_is_opted_out_leaves_a_count_and_nothing_else() {
    let (out, stays, key) = (0x1800_0000_0002, 0x1800_0000_0001, Key::from_bytes([5; 32]));
    // Once as it stands in a journal from before the opting out, once as ingress leaves it, and a heard-by-nobody-else access point each.
    for mac in [out, 0] {
        let list = Arc::new(OptOuts::from(List::of(key.clone(), [Mac::from_bits(out)])));
        let mut fold =
            Fold::new(Pseudonyms::Keyed(Key::from_bytes([7; 32])), Keep { ip: true, ..Keep::default() }, list, Arc::default(), RepeatFilter::new((3, 4)));
        let mut told = batch(NOW);
        let gone = client(&mut told, mac, Some("secretive OS"), NOW - 4);
        for second in [4, 5, 86_400] {
            hear(&mut told, gone, NOW - second, -60, Some("secretive network"));
        }
        let location = Location {
            observed_at: NOW - 4,
            client: gone,
            floor_plan: Text::NONE,
            floor_plan_name: Text::NONE,
            x_m: 1.0,
            y_m: 2.0,
            lat: f64::NAN,
            lng: f64::NAN,
            uncertainty_m: f64::NAN,
        };
        told.locations.push(location);
        told.observations[0].ap = Mac::from_bits(AP + 1);
        let left = client(&mut told, stays, None, NOW - 5);
        hear(&mut told, left, NOW - 5, -61, None);
        told.locations.push(Location { client: left, ..location });
        fold.add(&told).unwrap();

        assert_eq!((fold.tally().told, fold.tally().discarded.of(Discard::OptedOut), accounted(&fold)), (4, 3, 4));
        let group = fold.group();
        assert_eq!((group.observations.len(), group.locations.len(), group.clients.len(), group.access_points.len()), (1, 1, 1, 1));
        assert_eq!(group.observations[0].client, group.clients[0].client);
        assert!(group.texts.iter().all(|text| !text.contains("secretive")) && group.sources.iter().all(|source| source.ap != Some(Mac::from_bits(AP + 1))));
        assert_eq!(group.posts[0].observations, 4, "what the post told");
    }
}

#[test]
fn a_list_that_changes_is_asked_anew_at_each_batch() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("keys")).unwrap();
    let list = Arc::new(OptOuts::open(dir.path()).unwrap());
    let mut fold = Fold::new(Pseudonyms::Keyed(Key::from_bytes([7; 32])), Keep::default(), Arc::clone(&list), Arc::default(), RepeatFilter::new((3, 4)));
    let mac = Mac::from_bits(0x1800_0000_0001);
    let change = |change: fn(&mut Editor, Mac) -> bool| {
        let mut editor = Editor::open(dir.path()).unwrap();
        assert!(change(&mut editor, mac));
        editor.save().unwrap();
        list.look().unwrap();
    };
    fold.add(&one(NOW, NOW - 5, -60, None)).unwrap();
    change(Editor::add);
    fold.add(&one(NOW, NOW - 4, -60, None)).unwrap();
    change(Editor::remove);
    fold.add(&one(NOW, NOW - 3, -60, None)).unwrap();
    assert_eq!(fold.group().observations.iter().map(|row| NOW - row.observed_at).collect::<Vec<_>>(), [5, 3]);
    assert_eq!(fold.tally().discarded.of(Discard::OptedOut), 1);
}
