//! A wall clock that jumps: ahead, back, to 1970 and beyond 2038. Positions, the order of what was received and what is kept of it do not
//! hang on it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use serde_json::Value;

use crate::edge_support::{mac, metric};
use crate::harness::{SECRET, Served, Site};

/// When a file was written, by the clock of this machine, which does not jump.
pub(crate) fn written_at(file: &Path) -> i64 {
    fs::metadata(file).unwrap().modified().unwrap().duration_since(UNIX_EPOCH).unwrap().as_secs() as i64
}

/// A site whose `serve` runs under a clock that is as many seconds from the real one as the file says at each look.
pub(crate) fn under_clock(site: Site, file: &Path) -> Site {
    let site = site.with_variable("LD_PRELOAD", faketime().to_str().unwrap()).with_variable("FAKETIME_TIMESTAMP_FILE", file.to_str().unwrap());
    site.with_variable("FAKETIME_NO_CACHE", "1").with_variable("FAKETIME_DONT_FAKE_MONOTONIC", "1")
}

/// The library of the package libfaketime.
fn faketime() -> PathBuf {
    let places = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path().join("faketime/libfaketime.so.1"));
    let mut found = places.chain([PathBuf::from("/usr/lib/faketime/libfaketime.so.1")]).filter(|path| path.exists());
    found.next().expect("libfaketime is not installed, which this test needs: apt-get install libfaketime")
}

pub(crate) fn set_clock(file: &Path, seconds_off: i64) {
    // Whole or not at all: the server looks at any moment.
    let new = file.with_extension("new");
    fs::write(&new, format!("{seconds_off:+}")).unwrap();
    fs::rename(new, file).unwrap();
}

/// A post of one observation that was made at this time.
fn post(served: &Served, number: u64, seen_at: i64) -> u16 {
    let body = format!(
        r#"{{"version":"2.0","secret":"{SECRET}","type":"DevicesSeen","data":{{"apMac":"02:18:5a:00:00:01","apTags":[],"apFloors":[],"observations":[{{"clientMac":"{}","seenEpoch":{seen_at},"rssi":35,"ssid":null,"location":null}}]}}}}"#,
        mac(number)
    );
    served.post("/meraki/mall", body.as_bytes()).0
}

fn rows(site: &Site) -> Vec<Value> {
    site.query("SELECT * FROM observations ORDER BY client")
}

const HOUR: i64 = 3_600;
const YEARS_16: i64 = 16 * 8_766 * HOUR;

/// Posts with the clock this many seconds off, and checks that the post has the next position.
fn post_at(served: &Served, clock: &Path, off: i64, number: u64, seen_at: i64) {
    set_clock(clock, off);
    let before = served.status()["journal"]["next_position"].as_u64().unwrap();
    assert_eq!(post(served, number, seen_at), 200, "{off} seconds off");
    assert_eq!(served.status()["journal"]["next_position"], before + 1, "{off} seconds off");
    assert_eq!(served.admin("/readyz").0, 200, "{off} seconds off");
    served.wait_until_applied();
}

#[test]
fn a_clock_that_jumps_takes_nothing_back_and_nothing_away() {
    let more = "keep = \"36500d\"\n[privacy]\nclients = \"plain\"\n[retention]\nobservations = \"36500d\"\n";
    let site = Site::sqlite_with(more);
    let clock = site.path("clock");
    let site = under_clock(site, &clock);
    set_clock(&clock, 0);
    let now = written_at(&clock);
    let served = site.serve();
    for (number, off) in (0..).zip([0, HOUR, -HOUR, 10 - now, 0]) {
        post_at(&served, &clock, off, number, now);
    }
    // By the newest time that was seen, an hour ahead, this one is of the future.
    post_at(&served, &clock, 0, 100, now + 3 * HOUR);
    assert_eq!(metric(&served, FUTURE), 1);
    // After a kill the newest time is the one that the journal holds.
    served.kill();
    set_clock(&clock, -HOUR);
    let served = site.serve();
    for (number, off) in (5..).zip([-HOUR, YEARS_16, 0]) {
        post_at(&served, &clock, off, number, now);
    }
    assert_eq!((metric(&served, "footfall_accounting_mismatch"), metric(&served, FUTURE)), (0, 0));
    served.stop();

    let stored = rows(&site);
    let clients: Vec<&str> = stored.iter().map(|row| row["client"].as_str().unwrap()).collect();
    assert_eq!(clients, (0..8).map(mac).collect::<Vec<_>>(), "each post's row is there, whatever the clock said");
    let received: Vec<&str> = stored.iter().map(|row| row["received_at"].as_str().unwrap()).collect();
    assert!(received.is_sorted(), "{received:?}");
    assert!(received[0] < received[1] && received[6].starts_with("204"), "the jumps ahead are seen: {received:?}");

    // What was judged when it came is judged the same when it is read back: the journal alone makes the same rows.
    let again = Site::sqlite_with(more);
    fs::create_dir_all(again.data()).unwrap();
    for part in ["journal", "keys"] {
        assert!(Command::new("cp").arg("-r").arg(site.data().join(part)).arg(again.data()).status().unwrap().success());
    }
    let served = again.serve();
    served.wait_until_applied();
    assert_eq!(rows(&again), stored);
    assert_eq!(metric(&served, FUTURE), 1);
    served.stop();
}

const FUTURE: &str = "footfall_observations_discarded_total{reason=\"future\"}";
