//! The accounting laws, on the live binary: received = accepted + rejected + shed, and told = written + repeats + discarded.

use serde_json::{Value, json};

use crate::harness::{Served, Site, metric};
use crate::ledger::Obligations;
use crate::posts::v2_post;

fn sum(side: &Value) -> u64 {
    side.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum()
}

fn assert_laws(served: &Served) {
    let status = served.wait_until_applied();
    for receiver in status["receivers"].as_array().unwrap() {
        let (kept, rejected, shed) = (sum(&receiver["kept"]), sum(&receiver["rejected"]), sum(&receiver["shed"]));
        assert_eq!(receiver["posts"].as_u64().unwrap(), kept + rejected + shed, "{receiver:#}");
    }
    let pipeline = &status["pipeline"];
    let count = |name: &str| pipeline[name].as_u64().unwrap();
    assert_eq!(
        count("observations_told"),
        count("observations_written") + count("observations_repeat") + count("observations_late") + count("observations_discarded"),
        "{pipeline:#}"
    );
    assert_eq!([&pipeline["observations_in_flight"], &pipeline["accounting_mismatch"]], [&json!(0), &json!(0)]);
}

#[test]
fn every_post_and_every_observation_has_one_outcome() {
    let site = Site::sqlite();
    let served = site.serve();
    let simulated = ["--speed", "max", "--version", "2", "--radio", "both", "--minutes", "12", "--aps", "5", "--clients", "40", "--seed", "3"];
    site.simulate_all(&served, &[&simulated[..], &["--ledger", "l", "--observations", "o"]].concat());
    let promised = Obligations::read(&site.path("l"), &site.path("o"));

    // Beside the good posts: refused ones, and one with an observation for each reason to discard it.
    assert_eq!(served.post("/meraki/mall", b"nonsense").0, 400);
    assert_eq!(served.post("/meraki/mall", b"{\"secret\":\"wrong\"}").0, 403);
    let mut odd = v2_post();
    odd["data"]["observations"] = json!([
        {"clientMac": "short", "seenEpoch": 1_714_557_600, "rssi": 20},
        {"clientMac": "02:aa:00:00:00:01", "seenEpoch": 0, "rssi": 20},
        {"clientMac": "02:aa:00:00:00:01", "seenEpoch": 99_999_999_999_i64, "rssi": 20},
        {"clientMac": "02:aa:00:00:00:01", "seenEpoch": 1_714_557_600, "rssi": 95},
        {"clientMac": "02:aa:00:00:00:01", "seenEpoch": 1_714_557_600, "rssi": 94},
    ]);
    assert_eq!(served.post("/meraki/mall", odd.to_string().as_bytes()).0, 200);
    assert_laws(&served);

    let metrics = served.admin("/metrics").1;
    for reason in ["mac", "time", "future", "scale"] {
        assert_eq!(metric(&metrics, &format!("footfall_observations_discarded_total{{reason=\"{reason}\"}}")), 1, "{reason}");
    }
    assert_eq!(metric(&metrics, "footfall_posts_total{receiver=\"mall\",outcome=\"accepted\"}"), promised.posts_answered + 1);
    assert_eq!(metric(&metrics, "footfall_posts_total{receiver=\"mall\",outcome=\"secret\"}"), 1);
    let written = metric(&metrics, "footfall_observations_total{outcome=\"written\"}");
    let repeats = metric(&metrics, "footfall_observations_total{outcome=\"repeat\"}");
    // The last odd one is years old: a row like any other, and too late for presence.
    assert_eq!(metric(&metrics, "footfall_observations_total{outcome=\"late\"}"), 1);
    assert_eq!(written + repeats, promised.observations_told);
    assert_eq!(written, promised.observations.len() as u64);
    assert!(repeats > 0, "the simulator repeats sightings as Meraki does");

    // The same from the database's side.
    assert_eq!(site.number("SELECT count(*) FROM observations"), i64::try_from(written + 1).unwrap());
    assert_eq!(site.number("SELECT sum(observations) FROM posts"), i64::try_from(promised.observations_told + 5).unwrap());
    assert_eq!(site.number("SELECT sum(posts) FROM posts"), i64::try_from(promised.posts_answered + 1).unwrap());
    served.stop();

    // A new process counts anew and knows what the store has.
    let served = site.serve();
    served.wait_until_applied();
    assert_eq!(served.post("/meraki/mall", odd.to_string().as_bytes()).0, 200);
    assert_laws(&served);
    assert_eq!(metric(&served.admin("/metrics").1, "footfall_observations_total{outcome=\"repeat\"}"), 1, "known across a restart, though years old");
    served.stop();
}
