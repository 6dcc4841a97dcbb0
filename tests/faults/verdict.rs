//! What must hold when the faults are over: nothing lost, nothing doubled, nothing invented, no alarm, and life goes on.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use serde_json::json;

use crate::harness::{SECRET, Served, Site, metric};
use crate::ledger::{Obligations, hold};

/// Counters that any other value than zero is an alarm of.
const MUST_BE_ZERO: [&str; 6] = [
    "footfall_journal_corrupt_total",
    "footfall_journal_fsync_errors_total",
    "footfall_store_fenced_total",
    "footfall_store_gap_records_total",
    "footfall_store_default_partition_rows",
    "footfall_accounting_mismatch",
];

/// Holds a quiet server and its store against what was promised.
pub(crate) fn settle(site: &Site, served: &Served, promised: &Obligations) {
    settle_but(site, served, promised, &[]);
}

/// The same, but the test has caused these alarms itself.
pub(crate) fn settle_but(site: &Site, served: &Served, promised: &Obligations, caused: &[&str]) {
    served.wait_until_applied();
    hold(site, promised);
    each_record_once(site, served, promised);
    no_alarm_but(served, caused);
    life_goes_on(site, served);
}

/// The same where the journal lets go of records that the store has, so that they cannot be counted there.
pub(crate) fn settle_after_letting_go(site: &Site, served: &Served, promised: &Obligations) {
    let status = served.wait_until_applied();
    hold(site, promised);
    // A position whose record a crash has torn has none.
    let positions = status["journal"]["next_position"].as_i64().unwrap() - 1;
    let applied = posts_in_store(site);
    assert!((promised.posts_answered as i64..=positions).contains(&applied), "{applied} posts in the store, {positions} positions");
    no_alarm_but(served, &[]);
    life_goes_on(site, served);
}

/// The set of observations hides a record that was applied twice, since repeats are dropped; the sums over posts do not.
fn each_record_once(site: &Site, served: &Served, promised: &Obligations) {
    let applied = posts_in_store(site);
    let records = served.status()["journal"]["records"].as_i64().unwrap();
    assert_eq!(applied, records, "the store has applied each record of the journal once (the journal keeps all of them)");
    assert!(applied >= promised.posts_answered as i64, "{applied} posts in the store, {} answered", promised.posts_answered);
}

/// Posts that the store has applied.
pub(crate) fn posts_in_store(site: &Site) -> i64 {
    site.number("SELECT coalesce(sum(posts), 0) FROM posts")
}

pub(crate) fn no_alarm_but(served: &Served, caused: &[&str]) {
    let metrics = served.admin("/metrics").1;
    for name in MUST_BE_ZERO.iter().filter(|name| !caused.contains(name)) {
        assert_eq!(metric(&metrics, name), 0, "{name}\n{metrics}");
    }
}

/// A fresh post reaches the store, under another receiver than the load's.
pub(crate) fn life_goes_on(site: &Site, served: &Served) {
    let sql = "SELECT count(*) FROM observations WHERE receiver = 'other'";
    let before = site.number(sql);
    assert_eq!(post_one(served), 200);
    served.wait_until_applied();
    assert_eq!(site.number(sql), before + 1, "a fresh post reaches the store");
}

/// Posts one observation that no other post tells; the status of the answer.
pub(crate) fn post_one(served: &Served) -> u16 {
    static SECOND: AtomicI64 = AtomicI64::new(1_714_557_600);
    let second = SECOND.fetch_add(1, Relaxed);
    let body = json!({"version": "2.0", "secret": SECRET, "type": "DevicesSeen", "data": {"apMac": "02:18:5a:00:00:01", "apTags": [], "apFloors": [],
        "observations": [{"clientMac": "18:aa:00:00:00:02", "seenEpoch": second, "rssi": 20, "ssid": null, "location": null}]}});
    served.post("/meraki/other", body.to_string().as_bytes()).0
}

/// A process that was killed must not have had a reason to complain.
pub(crate) fn no_complaint(log: &str) {
    let complaints: Vec<&str> = log.lines().filter(|line| line.contains(" ERROR ")).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
}

/// No post was refused for want of anything: the answers did not wait for the fault.
pub(crate) fn no_post_was_shed(served: &Served) {
    let status = served.status();
    for receiver in status["receivers"].as_array().unwrap() {
        assert!(receiver["shed"].as_object().unwrap().values().all(|count| count == 0), "{receiver:#}");
    }
}
