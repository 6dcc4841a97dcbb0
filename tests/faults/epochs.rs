//! An epoch of keys ends while footfall runs, and while it is killed: the key goes, rows lose their clients, no number changes.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::edge_clock::{set_clock, under_clock};
use crate::edge_support::{metric, wait_for_metric};
use crate::harness::{SECRET, Served, Site, zone_by_day};

const HOUR: i64 = 3_600;
/// Somebody who is there before four in the morning, over it, and after.
const NIGHT_OWL: &str = "02:aa:00:00:00:01";
/// Somebody who comes at ten to two and leaves at ten past.
const PASSING: &str = "18:aa:00:00:00:02";

/// A device that is in no count.
const TILL: &str = "18:aa:00:00:00:03";

/// A site under a clock of its own, and the midnight that its story begins at.
struct Night {
    site: Site,
    clock: PathBuf,
    midnight: i64,
}

impl Night {
    fn on(database: Option<&str>, more: &str) -> Self {
        let more = format!("[presence]\npublish_every = \"1s\"\n{more}");
        let site = database.map_or_else(|| Site::sqlite_with(&more), |url| Site::on_with(url, &more));
        let clock = site.path("clock");
        // Ahead of the real one, so that no part of the story depends on when the test runs.
        let midnight = (jiff::Timestamp::now().as_second() / 86_400 + 2) * 86_400;
        Self { site: under_clock(site, &clock), clock, midnight }
    }

    fn at(&self, hour: i64, minute: i64) -> i64 {
        self.midnight + hour * HOUR + minute * 60
    }

    fn set(&self, at: i64) {
        set_clock(&self.clock, at - jiff::Timestamp::now().as_second());
    }
}

/// A post of who was heard when.
fn post(served: &Served, heard: &[(&str, i64)]) {
    let row = |&(mac, at): &(&str, i64)| json!({"clientMac": mac, "seenEpoch": at, "rssi": 35, "ssid": "guest", "location": null, "manufacturer": "Invented"});
    let observations: Vec<Value> = heard.iter().map(row).collect();
    let body = json!({"version": "2.0", "secret": SECRET, "type": "DevicesSeen", "data": {"apMac": "02:18:5a:00:00:01", "apTags": [], "apFloors": [],
        "observations": observations}});
    assert_eq!(served.post("/meraki/mall", body.to_string().as_bytes()).0, 200);
}

/// Everything that is counted, and visits without whose they are.
fn numbers(site: &Site, before: i64) -> Vec<Vec<Value>> {
    let before = jiff::Timestamp::from_second(before).unwrap();
    [
        format!("SELECT visit_id, started_at, ended_at, dwell_s, minutes, identity, cut FROM visits WHERE started_at < '{before}' ORDER BY 1"),
        format!("SELECT visit_id, place, started_at, ended_at FROM stays WHERE started_at < '{before}' ORDER BY 1, 3"),
        format!("SELECT place, minute, devices, connected FROM occupancy WHERE minute < '{before}' ORDER BY 1, 2"),
        format!("SELECT place, hour, seen, entered, visitors, connected, visits, exits, bounces, dwell_total, dwell_avg, dwell_p50 FROM hourly WHERE hour < '{before}' ORDER BY 1, 2"),
        format!("SELECT from_place, to_place, hour, transitions FROM flow WHERE hour < '{before}' ORDER BY 1, 2, 3"),
    ]
    .iter()
    .map(|sql| site.query(sql))
    .collect()
}

fn keys(site: &Site) -> Vec<String> {
    let names = fs::read_dir(site.data().join("keys/epochs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".key")).collect();
    names.sort();
    names
}

/// The pseudonyms under which somebody stands in the rows.
fn clients(site: &Site, condition: &str) -> Vec<String> {
    let rows = site.query(&format!("SELECT DISTINCT client FROM observations WHERE {condition} ORDER BY client"));
    rows.iter().map(|row| row["client"].as_str().unwrap().to_owned()).collect()
}

fn ends(night: &Night, is_killed: bool) {
    let Night { site, .. } = night;
    let edge = night.at(4, 0);
    let every = |from: i64, to: i64, mac: &'static str| (from..=to).step_by(120).map(move |at| (mac, at)).collect::<Vec<_>>();
    night.set(night.at(3, 59));
    let served = site.serve();
    post(&served, &[every(night.at(1, 50), night.at(2, 10), PASSING), every(night.at(3, 20), night.at(3, 58), NIGHT_OWL)].concat());
    served.wait_until_applied();
    assert_eq!((clients(site, "true").len(), keys(site).len()), (2, 1));

    // Told again when the clock is past the edge: nothing new, since the key is that of the time at which it was seen.
    night.set(night.at(4, 31));
    post(&served, &[every(night.at(3, 20), night.at(3, 58), NIGHT_OWL), every(night.at(4, 2), night.at(4, 30), NIGHT_OWL)].concat());
    served.wait_until_applied();
    assert_eq!(metric(&served, "footfall_observations_total{outcome=\"repeat\"}"), 20);
    let at_the_edge = jiff::Timestamp::from_second(edge).unwrap();
    let (old, new) = (clients(site, &format!("observed_at < '{at_the_edge}'")), clients(site, &format!("observed_at >= '{at_the_edge}'")));
    assert!(old.len() == 2 && new.len() == 1 && !old.contains(&new[0]), "another pseudonym after the edge: {old:?} {new:?}");
    assert_eq!(keys(site).len(), 2);
    wait_for_metric(&served, "footfall_presence_pending", |pending| pending == 0);
    let counted = numbers(site, edge);
    assert_eq!((counted[0].len(), site.number("SELECT count(*) FROM visits")), (2, 3));

    night.set(night.at(5, 0) + 1);
    post(&served, &[(NIGHT_OWL, night.at(4, 58))]);
    let served = if is_killed {
        served.kill();
        site.serve()
    } else {
        served
    };
    served.wait_for_log("no row of it has a client any more");
    assert_eq!(keys(site).len(), 1, "the key is destroyed");
    served.wait_until_applied();
    // Too late: nobody can tell any more who it was.
    post(&served, &[(NIGHT_OWL, night.at(3, 59)), (NIGHT_OWL, night.at(4, 59))]);
    served.wait_until_applied();
    assert_eq!(metric(&served, "footfall_observations_discarded_total{reason=\"epoch\"}"), 1);
    assert_eq!(metric(&served, "footfall_accounting_mismatch"), 0);
    assert_eq!(metric(&served, "footfall_key_errors_total"), 0);

    assert_eq!(numbers(site, edge), counted, "what is counted stays");
    assert_eq!(site.number(&format!("SELECT count(*) FROM visits WHERE (client IS NULL) <> (started_at < '{at_the_edge}')")), 0);
    assert_eq!(clients(site, "true"), new, "what was observed before the edge is gone");
    assert_eq!(site.number("SELECT count(*) FROM clients"), 1);
    let cuts = site.query("SELECT cut FROM visits WHERE cut IS NOT NULL ORDER BY started_at");
    assert_eq!(cuts.iter().map(|row| row["cut"].as_str().unwrap()).collect::<Vec<_>>(), ["end", "start"]);
    let why = site.query("SELECT DISTINCT return_rate, return_reason FROM hourly WHERE visits > 0");
    assert_eq!(why, [json!({"return_rate": null, "return_reason": "identity_epoch"})]);
    served.stop();
    let report: Value = serde_json::from_slice(&site.run(&["privacy", "report", "--json"]).stdout).unwrap();
    assert_eq!((&report["mode"], &report["keys"]["destroyed"], &report["keys"]["being_cleared"]), (&json!("day"), &json!(1), &json!(0)), "{report:#}");
    let destroyed = &report["keys"]["latest"][0];
    assert!(destroyed["to"] == at_the_edge.to_string() && destroyed["rows"].as_u64().unwrap() > 30, "{destroyed}");
    assert!(report["tables"][0]["oldest"].as_str().unwrap() >= at_the_edge.to_string().as_str(), "{report:#}");
    let refused = site.run(&["recompute", "--from", &at_the_edge.to_string()[..10]]);
    assert_eq!(refused.status.code(), Some(64));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("is gone with its keys"), "rows that cannot be made anew are not deleted");
    // And it stays so.
    let served = site.serve();
    served.wait_until_applied();
    assert_eq!((keys(site).len(), numbers(site, edge) == counted, clients(site, "true")), (1, true, new));
    served.stop();
}

#[test]
fn an_epoch_ends_on_sqlite() {
    ends(&Night::on(None, ""), false);
}

#[test]
fn an_epoch_ends_under_kill_9_on_sqlite() {
    ends(&Night::on(None, ""), true);
}

#[test]
fn an_epoch_ends_on_postgres() {
    let cluster = Cluster::start();
    ends(&Night::on(Some(&cluster.make_database("night")), ""), false);
    ends(&Night::on(Some(&cluster.make_database("killed_night")), ""), true);
}

/// A backup has clients whose key is gone: nobody can name them, and they go again.
#[test]
fn a_database_restored_from_before_the_end_of_an_epoch_loses_its_clients_again() {
    let night = Night::on(None, "");
    let Night { site, .. } = &night;
    night.set(night.at(3, 59));
    let served = site.serve();
    post(&served, &(0..10).map(|minute| (PASSING, night.at(3, 10 + minute))).collect::<Vec<_>>());
    served.wait_until_applied();
    served.stop();
    // With the log of writes, which a process may leave behind when it ends.
    let copy = |from: PathBuf, to: PathBuf| {
        for end in ["", "-wal", "-shm"] {
            let [from, to] = [&from, &to].map(|path| PathBuf::from(format!("{}{end}", path.display())));
            let _ = fs::remove_file(&to);
            if from.exists() {
                fs::copy(from, to).unwrap();
            }
        }
    };
    let (database, backup) = (site.data().join("footfall.db"), site.path("backup.db"));
    copy(database.clone(), backup.clone());
    let counted = numbers(site, night.at(4, 0));

    night.set(night.at(5, 0) + 1);
    let served = site.serve();
    served.wait_for_log("no row of it has a client any more");
    post(&served, &[(NIGHT_OWL, night.at(4, 59))]);
    served.wait_until_applied();
    served.stop();
    copy(backup, database);
    assert_eq!(site.number("SELECT count(*) FROM visits WHERE client IS NOT NULL"), 1);

    let served = site.serve();
    served.wait_for_log("rows of ended epochs had clients again");
    served.wait_until_applied();
    assert_eq!((numbers(site, night.at(4, 0)), site.number("SELECT count(*) FROM visits WHERE client IS NOT NULL")), (counted, 0));
    assert_eq!(site.number("SELECT count(*) FROM observations"), 1, "what came after the backup is there again");
    served.stop();
}

/// A store that is away holds a key for as long as posts wait that it names.
#[test]
fn posts_that_wait_for_the_store_keep_their_names_over_the_end_of_their_epoch() {
    let mut cluster = Cluster::start();
    let night = Night::on(Some(&cluster.make_database("away")), "");
    night.set(night.at(3, 0));
    let served = night.site.serve();
    post(&served, &[(PASSING, night.at(2, 50))]);
    served.wait_until_applied();
    cluster.stop();
    post(&served, &[(PASSING, night.at(2, 55)), (NIGHT_OWL, night.at(2, 56))]);
    night.set(night.at(7, 0));
    post(&served, &[(NIGHT_OWL, night.at(6, 59))]);
    served.wait_until("retrying", |status| status["store"]["state"] == "retrying");
    cluster.restart();
    served.wait_for_log("no row of it has a client any more");
    served.wait_until_applied();
    assert_eq!(metric(&served, "footfall_observations_discarded_total{reason=\"epoch\"}"), 0, "both were named before their key went");
    assert_eq!(metric(&served, "footfall_accounting_mismatch"), 0);
    assert_eq!((night.site.number("SELECT count(*) FROM observations"), keys(&night.site).len()), (1, 1));
    served.stop();
}

/// Another mode ends what runs, before anything else is taken in.
#[test]
fn a_change_of_the_mode_ends_the_epoch() {
    let site = Site::sqlite_with(&format!("[privacy]\nmode = \"day\"\ntime_zone = \"{}\"\n", zone_by_day()));
    let now = jiff::Timestamp::now().as_second();
    let served = site.serve();
    post(&served, &(0..10).map(|n| (PASSING, now - 660 + n * 60)).collect::<Vec<_>>());
    served.wait_until_applied();
    served.stop();
    let visits = site.number("SELECT count(*) FROM visits WHERE client IS NOT NULL");
    assert_eq!(visits, 1);

    let config = fs::read_to_string(site.path("footfall.toml")).unwrap();
    fs::write(site.path("footfall.toml"), config.replace("mode = \"day\"", "mode = \"static\"")).unwrap();
    let served = site.serve();
    served.wait_for_log("no row of it has a client any more");
    post(&served, &[(PASSING, now - 10)]);
    served.wait_until_applied();
    assert_eq!((site.number("SELECT count(*) FROM visits WHERE client IS NULL"), site.number("SELECT count(*) FROM observations")), (1, 1));
    assert!(keys(&site).is_empty() && site.data().join("keys/client.key").exists());
    served.stop();

    // The other way, the key that lasts is destroyed, but only when the mode is named.
    let config = fs::read_to_string(site.path("footfall.toml")).unwrap();
    fs::write(site.path("footfall.toml"), config.replace("mode = \"static\"", "")).unwrap();
    let (status, log) = site.try_serve().err().unwrap();
    assert!(status.code() == Some(64) && log.contains("mode = \"static\" to go on with it"), "{log}");
    assert!(site.data().join("keys/client.key").exists());
    fs::write(site.path("footfall.toml"), config.replace("mode = \"static\"", "mode = \"day\"")).unwrap();
    let served = site.serve();
    served.wait_for_log("no row of it has a client any more");
    assert!(!site.data().join("keys/client.key").exists());
    assert_eq!(site.number("SELECT count(*) FROM observations"), 0);
    served.stop();
}

/// Rewrites a part of the configuration.
fn reconfigure(site: &Site, from: &str, to: &str) {
    let config = fs::read_to_string(site.path("footfall.toml")).unwrap();
    assert!(config.contains(from), "{config}");
    fs::write(site.path("footfall.toml"), config.replace(from, to)).unwrap();
}

/// Ten minutes of somebody, as they are a while ago.
fn ten_minutes(who: &'static str) -> Vec<(&'static str, i64)> {
    let now = jiff::Timestamp::now().as_second();
    (0..10).map(|minute| (who, now - 660 + minute * 60)).collect()
}

/// What waits in the journal while the mode changes is taken in after all that is stored has lost its clients, and counted once.
#[test]
fn posts_that_wait_over_a_change_of_the_mode_are_named_by_the_new_one() {
    let mut cluster = Cluster::start();
    let more = format!("[presence]\npublish_every = \"1s\"\n[privacy]\nmode = \"static\"\ntime_zone = \"{}\"\n", zone_by_day());
    let site = Site::on_with(&cluster.make_database("waiting"), &more);
    let served = site.serve();
    post(&served, &ten_minutes(PASSING));
    served.wait_until_applied();
    wait_for_metric(&served, "footfall_presence_pending", |pending| pending == 0);
    cluster.stop();
    ten_minutes(NIGHT_OWL).iter().for_each(|one| post(&served, &[*one]));
    served.stop();
    reconfigure(&site, "mode = \"static\"", "mode = \"day\"");
    cluster.restart();
    let served = site.serve();
    served.wait_for_log("no row of it has a client any more");
    served.wait_until_applied();
    served.kill();
    let served = site.serve();
    served.wait_until_applied();
    served.stop();
    let count = |sql: &str| site.number(&format!("SELECT count(*) FROM {sql}"));
    assert_eq!((count("visits WHERE client IS NULL"), count("visits WHERE client IS NOT NULL"), count("observations"), count("clients")), (1, 1, 10, 1));
    assert_eq!(site.number("SELECT sum(visits) FROM hourly WHERE place_kind = 'site'"), 2);
}

/// A name that has left the configuration has rows all the same.
#[test]
fn rows_of_names_that_are_gone_lose_their_clients_too() {
    let night = Night::on(None, "[[site]]\nname = \"hall\"\nreceivers = [\"mall\"]\n");
    let Night { site, .. } = &night;
    night.set(night.at(3, 59));
    let served = site.serve();
    post(&served, &(0..10).map(|minute| (PASSING, night.at(3, 10 + minute))).collect::<Vec<_>>());
    served.wait_until_applied();
    served.stop();
    assert_eq!(site.number("SELECT count(*) FROM visits WHERE client IS NOT NULL AND site = 'hall'"), 1);
    reconfigure(site, "name = \"hall\"\nreceivers = [\"mall\"]", "name = \"atrium\"\nreceivers = [\"main\"]");
    reconfigure(site, "name = \"mall\"", "name = \"main\"");
    night.set(night.at(5, 0) + 1);
    let served = site.serve();
    served.wait_for_log("no row of it has a client any more");
    served.stop();
    assert_eq!((site.number("SELECT count(*) FROM visits WHERE client IS NULL"), site.number("SELECT count(*) FROM observations")), (1, 0));
}

/// A key that comes from the configuration ends with it.
#[test]
fn a_key_from_elsewhere_is_ended_when_it_is_taken_away() {
    let key = format!("key = \"{}\"", "5a".repeat(32));
    let site = Site::sqlite_with(&format!("[privacy]\n{key}\n"));
    let served = site.serve();
    post(&served, &ten_minutes(PASSING));
    served.wait_until_applied();
    served.stop();
    reconfigure(&site, &key, "");
    let (status, log) = site.try_serve().err().unwrap();
    assert!(status.code() == Some(64) && log.contains("privacy.mode is left out"), "{log}");
    reconfigure(&site, "[privacy]", "[privacy]\nmode = \"day\"");
    let served = site.serve();
    served.wait_for_log("no row of it has a client any more");
    served.stop();
    assert_eq!((site.number("SELECT count(*) FROM visits WHERE client IS NOT NULL"), site.number("SELECT count(*) FROM observations")), (0, 0));
    assert!(!site.data().join("keys/static").exists());
}

/// Ten minutes of a client, and then only how many there were.
#[test]
fn an_anonymous_receiver_keeps_counts_alone() {
    let cluster = Cluster::start();
    let url = cluster.make_database("anonymous");
    for database in [None, Some(url.as_str())] {
        let night = Night::on(database, &format!("excluded = [{TILL:?}]\n[privacy]\nmode = \"anonymous\"\n"));
        night.set(night.at(3, 5));
        let served = night.site.serve();
        post(&served, &[(PASSING, night.at(3, 1)), (NIGHT_OWL, night.at(3, 1)), (NIGHT_OWL, night.at(3, 4)), (TILL, night.at(3, 2))]);
        served.wait_until_applied();
        assert_eq!(clients(&night.site, "true").len(), 3);
        night.set(night.at(3, 20) + 1);
        post(&served, &[(NIGHT_OWL, night.at(3, 19))]);
        served.wait_for_log("no row of it has a client any more");
        served.wait_until_applied();
        assert_eq!((night.site.number("SELECT count(*) FROM observations"), night.site.number("SELECT count(*) FROM clients")), (1, 1));
        assert_eq!(night.site.number("SELECT count(*) FROM presence_record"), 0);
        let heard = night.site.query("SELECT receiver, network, ap, radio, devices, connected FROM heard ORDER BY ap IS NULL");
        let of = |ap: Option<&str>| json!({"receiver": "mall", "network": null, "ap": ap, "radio": "wifi", "devices": 2, "connected": 2});
        assert_eq!(heard, [of(Some("02:18:5a:00:00:01")), of(None)]);
        let span = night.site.query("SELECT DISTINCT started_at, ended_at FROM heard");
        let at = |minute: i64| jiff::Timestamp::from_second(night.at(3, minute)).unwrap().to_string();
        assert_eq!(span, [json!({"started_at": at(0), "ended_at": at(10)})]);
        // Nobody comes for half an hour, so that no key is in use; another mode begins with one of its own.
        night.set(night.at(3, 50));
        served.stop();
        let served = night.site.serve();
        served.wait_for_log("no row of it has a client any more");
        served.stop();
        assert!(keys(&night.site).is_empty());
        reconfigure(&night.site, "mode = \"anonymous\"", "mode = \"static\"");
        night.site.serve().stop();
    }
}
