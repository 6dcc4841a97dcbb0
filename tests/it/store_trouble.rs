//! A Postgres whose tables are changed behind footfall's back: poison rows, a missing column, a cursor set back, and secrets replaced.

use std::fs;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::harness::{SECRET, Served, Site};

/// A post of one client at `second`, with this strength above the floor of -95 dBm.
fn post(served: &Served, second: i64, rssi: i64) -> u16 {
    let body = json!({"version": "2.0", "secret": SECRET, "type": "DevicesSeen", "data": {"apMac": "02:18:5a:00:00:01", "apTags": [], "apFloors": [],
        "observations": [{"clientMac": "18:aa:00:00:00:02", "seenEpoch": 1_714_557_600 + second, "rssi": rssi, "ssid": null, "location": null}]}});
    served.post("/meraki/mall", body.to_string().as_bytes()).0
}

fn strengths(site: &Site) -> Vec<i64> {
    site.query("SELECT rssi_dbm FROM observations ORDER BY observed_at").iter().map(|row| row["rssi_dbm"].as_i64().unwrap()).collect()
}

#[test]
fn a_poison_row_is_set_aside_and_its_neighbours_land() {
    let cluster = Cluster::start();
    let site = Site::on(&cluster.make_database("poison"));
    let served = site.serve();
    served.wait_until_applied();
    cluster.sql("poison", "ALTER TABLE observation ADD CONSTRAINT no_seventy_seven CHECK (rssi <> -77)");
    for (second, rssi) in [(0, 20), (1, 18), (2, 20)] {
        assert_eq!(post(&served, second, rssi), 200);
    }
    let status = served.wait_until_applied();
    assert_eq!(strengths(&site), [-75, -75]);
    let metrics = served.admin("/metrics").1;
    assert!(metrics.contains("footfall_quarantine_records_total{reason=\"poison\"} 1"), "{metrics}");
    assert!(metrics.contains("footfall_observations_discarded_total{reason=\"poison\"} 1"), "{metrics}");
    assert_eq!(status["pipeline"]["accounting_mismatch"], 0);
    let log = served.stop();
    assert!(log.contains("stands in quarantine") && log.contains("no_seventy_seven"), "{log}");
}

#[test]
fn schema_trouble_pauses_the_store_and_posts_are_answered_and_kept() {
    let cluster = Cluster::start();
    let site = Site::on(&cluster.make_database("schema"));
    let served = site.serve();
    served.wait_until_applied();
    cluster.sql("schema", "ALTER TABLE observation RENAME COLUMN rssi TO strength");
    assert_eq!(post(&served, 0, 20), 200);
    let status = served.wait_until("paused", |status| status["store"]["state"] == "paused");
    assert!(status["store"]["last_error"].as_str().unwrap().contains("rssi"), "{status:#}");
    assert_eq!(post(&served, 1, 21), 200, "answers go on");
    assert_eq!(served.admin("/readyz").0, 200);
    let metrics = served.admin("/metrics").1;
    assert!(metrics.contains("\nfootfall_store_state 2"), "{metrics}");
    assert!(!metrics.contains("footfall_store_errors_total{class=\"schema\"} 0"), "{metrics}");
    cluster.sql("schema", "ALTER TABLE observation RENAME COLUMN strength TO rssi");
    served.wait_until_applied();
    assert_eq!(strengths(&site), [-75, -74]);
    assert!(served.stop().contains("the store is paused"));
}

#[test]
fn a_database_set_back_to_a_backup_gets_the_rest_again() {
    let cluster = Cluster::start();
    let site = Site::on(&cluster.make_database("back"));
    let served = site.serve();
    for second in 0..3 {
        assert_eq!(post(&served, second, 20 + second), 200);
        served.wait_until_applied();
    }
    served.stop();
    // As a backup made after the first post would have it.
    cluster.sql("back", "DELETE FROM observation WHERE rssi <> -75; DELETE FROM post; UPDATE journal_cursor SET position = 2");
    let served = site.serve();
    served.wait_until_applied();
    assert_eq!(strengths(&site), [-75, -74, -73]);
    assert_eq!(site.number("SELECT sum(posts) FROM posts"), 2);
    served.stop();
}

#[test]
fn both_databases_show_the_same_rows() {
    let cluster = Cluster::start();
    let sites = [Site::sqlite(), Site::on(&cluster.make_database("same"))];
    let shown = sites.each_ref().map(|site| {
        // One key for the pseudonyms of both.
        let config = fs::read_to_string(site.path("footfall.toml")).unwrap();
        let privacy = format!("[privacy]\nkeep = [\"ip\", \"hostname\"]\nkey = \"{}\"\n", "5a".repeat(32));
        fs::write(site.path("footfall.toml"), format!("{config}\n{privacy}")).unwrap();
        let served = site.serve();
        let options = ["--speed", "max", "--radio", "both", "--minutes", "6", "--aps", "5", "--clients", "30", "--start", "2026-06-15T10:00:00Z"];
        for version in ["2", "3"] {
            site.simulate_all(&served, &[&options[..], &["--version", version]].concat());
        }
        served.wait_until_applied();
        served.stop();
        VIEWS.map(|sql| {
            let mut rows: Vec<String> = site.query(sql).into_iter().map(plain).collect();
            rows.sort_unstable();
            rows
        })
    });
    for (n, sql) in VIEWS.iter().enumerate() {
        let [sqlite, postgres] = [&shown[0][n], &shown[1][n]];
        assert!(sqlite.len() > 3, "{sql}");
        assert_eq!(sqlite.len(), postgres.len(), "{sql}");
        for (in_sqlite, in_postgres) in sqlite.iter().zip(postgres) {
            assert_eq!(in_sqlite, in_postgres, "{sql}");
        }
    }
}

/// Every column but the times of arrival, which differ between two runs.
const VIEWS: [&str; 5] = [
    "SELECT observed_at, receiver, network, ap, client, radio, rssi_dbm, ssid, associated FROM observations",
    "SELECT observed_at, receiver, network, client, radio, floor_plan, floor_plan_name, x_m, y_m, lat, lng, uncertainty_m FROM locations",
    "SELECT ap, name, serial, network, receiver, tags, floor_plan, x_m, y_m, lat, lng FROM access_points",
    "SELECT receiver, client, radio, manufacturer, os, random_address, group_address, first_seen, last_seen, ipv4, ipv6, hostname FROM clients",
    "SELECT receiver, network, ap, radio, sum(posts) AS posts, sum(observations) AS told FROM posts GROUP BY 1, 2, 3, 4",
];

/// SQLite has no booleans and no JSON; sums of Postgres are decimals.
fn plain(row: Value) -> String {
    let members = row.as_object().unwrap().iter().map(|(name, value)| {
        let value = match value {
            Value::Bool(value) => json!(f64::from(u8::from(*value))),
            Value::Array(_) => json!(value.to_string()),
            Value::Number(number) => json!(number.as_f64().unwrap()),
            Value::String(text) if name == "tags" => json!(serde_json::from_str::<Value>(text).unwrap().to_string()),
            other => other.clone(),
        };
        (name.clone(), value)
    });
    Value::Object(members.collect()).to_string()
}

#[test]
fn a_hang_up_takes_a_replaced_secret() {
    let site = Site::sqlite();
    let served = site.serve();
    assert_eq!(post(&served, 0, 20), 200);
    let config = fs::read_to_string(site.path("footfall.toml")).unwrap();
    fs::write(site.path("footfall.toml"), config.replace(&format!("secrets = [\"{SECRET}\"]"), "secrets = [\"another-fake-one\"]")).unwrap();
    served.signal("HUP");
    // The new secret is taken as soon as the signal is: asking again and again is waiting for it.
    let new =
        json!({"version": "2.0", "secret": "another-fake-one", "type": "DevicesSeen", "data": {"apMac": "02:18:5a:00:00:01", "observations": []}}).to_string();
    let started = std::time::Instant::now();
    while served.post("/meraki/mall", new.as_bytes()).0 != 200 {
        assert!(started.elapsed() < crate::harness::PATIENCE);
    }
    assert_eq!(post(&served, 1, 20), 403, "the old secret is out");
    served.stop();
}
