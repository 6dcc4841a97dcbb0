//! Devices of the operator's own on the live binary: what they do is stored, and is in no count, over restarts and when it is made anew.

use std::fs;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::harness::{SECRET, Served, Site};

const CONFIG: &str = "[presence]\npublish_every = \"1s\"\nexcluded = [\"02-AA-00-00-00-01\"]\n[privacy]\nmode = \"static\"\n";
const TILL: &str = "02:aa:00:00:00:01";
const GUEST: &str = "18:aa:00:00:00:02";

/// The till and a guest are heard at the same times.
fn post(served: &Served, times: &[i64]) {
    let row = |(mac, at): (&str, i64)| json!({"clientMac": mac, "seenEpoch": at, "rssi": 45, "ssid": "guest", "location": null});
    let observations: Vec<Value> = times.iter().flat_map(|&at| [(TILL, at), (GUEST, at)]).map(row).collect();
    let body = json!({"version": "2.0", "secret": SECRET, "type": "DevicesSeen", "data": {"apMac": "02:18:5a:00:00:01", "apTags": [], "apFloors": [],
        "observations": observations}});
    assert_eq!(served.post("/meraki/mall", body.to_string().as_bytes()).0, 200);
    served.wait_until_applied();
}

/// Starts with another list.
fn serve_with(site: &Site, list: &str) -> Served {
    let text = fs::read_to_string(site.path("footfall.toml")).unwrap();
    let lines = text.lines().map(|line| if line.starts_with("excluded = ") { format!("excluded = {list}") } else { line.to_owned() });
    fs::write(site.path("footfall.toml"), lines.collect::<Vec<_>>().join("\n")).unwrap();
    site.serve()
}

fn recompute(site: &Site, from: i64) {
    let day = jiff::Timestamp::from_second(from).unwrap().to_string();
    let made = site.run(&["recompute", "--from", &day[..10]]);
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

fn is_stored_and_in_no_count(site: &Site) {
    let start = jiff::Timestamp::now().as_second() - 3_600;
    let served = site.serve();
    post(&served, &[start, start + 120, start + 240]);
    served.kill();
    // What was not published is read back from rows, which know it too.
    let served = site.serve();
    post(&served, &[start + 360]);
    served.stop();
    let number = |sql: &str| site.number(sql);
    let counted = || {
        (number("SELECT count(*) FROM visits"), number("SELECT max(devices) FROM occupancy"), number("SELECT max(seen) FROM daily WHERE place_kind = 'site'"))
    };
    assert_eq!((number("SELECT count(*) FROM observations"), number("SELECT count(DISTINCT client) FROM observations")), (8, 2));
    assert_eq!((number("SELECT count(*) FROM clients"), number("SELECT count(*) FROM clients WHERE is_excluded")), (2, 1));
    assert_eq!(counted(), (1, 1, 1));
    recompute(site, start);
    assert_eq!(counted(), (1, 1, 1), "what is made anew knows it too");

    // Off the list, it counts from the next time it is told of; what was before, when that is made anew.
    let served = serve_with(site, "[]");
    post(&served, &[start + 480]);
    served.stop();
    assert_eq!((number("SELECT count(*) FROM clients WHERE is_excluded"), counted().0), (0, 1), "one moment is no visit");
    recompute(site, start);
    assert_eq!(counted(), (2, 2, 2));

    // And on it again. A list alone changes nothing that is counted.
    let served = serve_with(site, &format!("[{TILL:?}]"));
    post(&served, &[start + 600]);
    served.stop();
    assert_eq!((number("SELECT count(*) FROM clients WHERE is_excluded"), counted().0), (1, 2));
    let dwells = site.query("SELECT dwell_s FROM visits ORDER BY dwell_s");
    assert_eq!(dwells, [json!({"dwell_s": 480}), json!({"dwell_s": 600})]);
    recompute(site, start);
    assert_eq!(counted(), (1, 1, 1));

    // Off it for good: what it does from now on counts from nothing, since nothing of it is counted.
    let served = serve_with(site, "[]");
    post(&served, &[start + 660, start + 800, start + 980]);
    served.stop();
    assert_eq!(counted(), (2, 2, 2));
    assert_eq!(number("SELECT max(visitors) FROM daily WHERE place_kind = 'site'"), 2);
    let served = serve_with(site, &format!("[{TILL:?}]"));
    served.stop();
    let report = String::from_utf8(site.run(&["privacy", "report"]).stdout).unwrap();
    assert!(report.contains("Excluded: 1 device(s)") && !report.contains(TILL), "{report}");
}

#[test]
fn a_till_is_stored_and_in_no_count_on_sqlite() {
    is_stored_and_in_no_count(&Site::sqlite_with(CONFIG));
}

#[test]
fn a_till_is_stored_and_in_no_count_on_postgres() {
    let cluster = Cluster::start();
    is_stored_and_in_no_count(&Site::on_with(&cluster.make_database("tills"), CONFIG));
}
