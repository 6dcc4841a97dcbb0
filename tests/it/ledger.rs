//! The oracle: what the simulator was answered creates the obligations, and the store is held against them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::harness::Site;

/// An observation as the view shows it: network, ap, client, radio, observed_at, rssi_dbm, ssid.
pub(crate) type Tuple = (String, String, String, String, String, i64, String);

/// What a simulator's files promise.
#[derive(Default)]
pub(crate) struct Obligations {
    pub(crate) posts_answered: u64,
    pub(crate) observations_told: u64,
    pub(crate) observations: BTreeSet<Tuple>,
}

impl Obligations {
    /// Reads `--ledger` and `--observations`.
    pub(crate) fn read(ledger: &Path, observations: &Path) -> Self {
        let mut promised = Self::default();
        for line in fs::read_to_string(ledger).unwrap().lines() {
            let post: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            if post["status"] == 200 {
                promised.posts_answered += 1;
                promised.observations_told += post["observations"].as_u64().unwrap();
            }
        }
        promised.observations = fs::read_to_string(observations).unwrap().lines().map(|line| tuple(&serde_json::from_str(line).unwrap())).collect();
        promised
    }

    /// Adds what another simulator was promised.
    pub(crate) fn add(&mut self, other: Self) {
        self.posts_answered += other.posts_answered;
        self.observations_told += other.observations_told;
        self.observations.extend(other.observations);
    }
}

/// The observations that a site's database has. Panics when one stands twice.
pub(crate) fn stored(site: &Site) -> BTreeSet<Tuple> {
    let rows = site.query("SELECT network, ap, client, radio, observed_at, rssi_dbm, ssid FROM observations WHERE receiver = 'mall'");
    let count = rows.len();
    let set: BTreeSet<Tuple> = rows.iter().map(tuple).collect();
    assert_eq!(set.len(), count, "no observation stands twice");
    set
}

/// Holds the store against what was promised: nothing lost, nothing doubled, nothing invented.
pub(crate) fn hold(site: &Site, promised: &Obligations) {
    let stored = stored(site);
    let lost: Vec<_> = promised.observations.difference(&stored).take(3).collect();
    assert!(
        lost.is_empty(),
        "{} of {} answered observations are lost, such as {lost:?}",
        promised.observations.difference(&stored).count(),
        promised.observations.len()
    );
    let invented: Vec<_> = stored.difference(&promised.observations).take(3).collect();
    assert!(invented.is_empty(), "{} rows that no answered post told, such as {invented:?}", stored.difference(&promised.observations).count());
}

fn tuple(row: &Value) -> Tuple {
    let text = |name: &str| row[name].as_str().unwrap_or_default().to_owned();
    let rssi = row["rssi_dbm"].as_i64().unwrap_or_else(|| panic!("{row}"));
    (text("network"), text("ap"), text("client"), text("radio"), text("observed_at"), rssi, text("ssid"))
}
