//! Zones that tags make: an access point belongs to one for as long as posts say so, over restarts too.

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::harness::{SECRET, Served, Site};

const CONFIG: &str = "[presence]\nprofiles = [\"any\"]\npublish_every = \"1s\"\n\
    [[profile]]\nname = \"any\"\nmin_dwell = \"0s\"\nmin_minutes = 1\n\
    [privacy]\nmode = \"static\"\n\
    [[site]]\nname = \"here\"\nreceivers = [\"mall\"]\n\
    [[site.zone]]\nname = \"food court\"\ntags = [\"food\", \"drink\"]\naps = [\"02:18:5a:00:00:09\"]\n";
const AP: &str = "02:18:5a:00:00:01";

/// The access point has some tags, and heard one client once.
fn post(served: &Served, ap: &str, tags: &[&str], client: &str, at: i64) {
    let body = json!({"version": "2.0", "secret": SECRET, "type": "DevicesSeen", "data": {"apMac": ap, "apTags": tags, "apFloors": [],
        "observations": [{"clientMac": client, "seenEpoch": at, "rssi": 45, "ssid": "guest", "location": null}]}});
    assert_eq!(served.post("/meraki/mall", body.to_string().as_bytes()).0, 200);
    served.wait_until_applied();
}

fn follows(site: &Site) {
    let now = jiff::Timestamp::now().as_second();
    let served = site.serve();
    // It belongs from this post on, and nobody who was there before is in the zone afterwards.
    post(&served, AP, &["floor 1", "food"], "18:aa:00:00:00:01", now - 300);
    post(&served, AP, &["food"], "18:aa:00:00:00:02", now + 40);
    // From the second after the latest that was observed.
    post(&served, AP, &["floor 1"], "18:aa:00:00:00:03", now + 30);
    post(&served, AP, &[], "18:aa:00:00:00:04", now + 60);
    // Who is listed belongs whatever its tags are.
    post(&served, "02:18:5a:00:00:09", &[], "18:aa:00:00:00:05", now - 60);
    served.kill();
    let served = site.serve();
    post(&served, AP, &["drink"], "18:aa:00:00:00:06", now + 50);
    post(&served, AP, &["drink"], "18:aa:00:00:00:07", now + 90);
    served.stop();
    let served = site.serve();
    post(&served, AP, &["drink"], "18:aa:00:00:00:08", now + 100);
    served.stop();

    let count = |sql: &str| site.number(&format!("SELECT count(*) FROM {sql}"));
    assert_eq!((count("visits"), count("stays WHERE place_kind = 'ap'")), (8, 8));
    let in_the_zone = "SELECT v.started_at, s.place FROM stays s JOIN visits v ON v.visit_id = s.visit_id WHERE s.place_kind = 'zone' ORDER BY 1";
    let row = |at: i64| json!({"started_at": jiff::Timestamp::from_second(now + at).unwrap().to_string(), "place": "food court"});
    // The third was seen before the tag went, though it was told afterwards.
    let expected: Vec<Value> = [-60, 30, 40, 90, 100].into_iter().map(row).collect();
    assert_eq!(site.query(in_the_zone), expected);
    assert_eq!(site.number("SELECT sum(visits) FROM hourly WHERE place_kind = 'zone'"), 5);
    assert_eq!(count("presence_member"), 3, "the list, and two spans of the tags");
}

#[test]
fn a_zone_follows_the_tags_on_sqlite() {
    follows(&Site::sqlite_with(CONFIG));
}

#[test]
fn a_zone_follows_the_tags_on_postgres() {
    let cluster = Cluster::start();
    follows(&Site::on_with(&cluster.make_database("tags"), CONFIG));
}
