//! Single posts in, their rows out; and what is refused. The bodies are invented.

use std::process::Command;

use serde_json::{Value, json};

use crate::harness::{SECRET, Site, VALIDATOR, request};

/// A v2 post of two clients, as Meraki's cloud would send it.
pub(crate) fn v2_post() -> Value {
    json!({"version": "2.0", "secret": SECRET, "type": "DevicesSeen", "data": {
    "apMac": "02:18:5a:00:00:01", "apTags": ["", "lobby", ""], "apFloors": ["Ground"],
    "observations": [
        {"clientMac": "02:aa:00:00:00:01", "ipv4": "/10.1.2.3", "ipv6": null, "seenTime": "2024-05-01T10:00:00Z", "seenEpoch": 1_714_557_600,
         "ssid": "guest", "rssi": 35, "manufacturer": "Invented", "os": "iOS",
         "location": {"lat": 51.5, "lng": -0.1, "unc": -0.5, "x": [3.5], "y": [4.25]}},
        {"clientMac": "18:aa:00:00:00:02", "ipv4": null, "ipv6": null, "seenTime": "2024-05-01T10:00:05Z", "seenEpoch": 1_714_557_605,
         "ssid": null, "rssi": 10, "manufacturer": null, "os": null, "location": null}
    ]}})
}

#[test]
fn a_post_becomes_the_rows_of_the_five_views() {
    let site = Site::sqlite();
    let served = site.serve();
    let body = v2_post().to_string();
    assert_eq!(served.post("/meraki/mall", body.as_bytes()), (200, String::new()));
    assert_eq!(served.post("/meraki/mall", body.as_bytes()).0, 200, "the same again");
    served.wait_until_applied();

    let observations = site.query("SELECT * FROM observations ORDER BY observed_at");
    assert_eq!(observations.len(), 2, "a repeat writes nothing");
    let first = &observations[0];
    assert_eq!(
        [&first["observed_at"], &first["receiver"], &first["network"], &first["ap"], &first["radio"], &first["rssi_dbm"], &first["ssid"], &first["associated"]],
        [&json!("2024-05-01T10:00:00Z"), &json!("mall"), &Value::Null, &json!("02:18:5a:00:00:01"), &json!("wifi"), &json!(-60), &json!("guest"), &json!(1)]
    );
    assert_eq!(observations[1]["rssi_dbm"], json!(-85));
    assert_eq!(first["client"].as_str().unwrap().len(), 16, "a pseudonym");

    let locations = site.query("SELECT * FROM locations");
    assert_eq!(locations.len(), 1);
    assert_eq!([&locations[0]["floor_plan_name"], &locations[0]["x_m"], &locations[0]["uncertainty_m"]], [&json!("Ground"), &json!(3.5), &json!(0.0)]);
    let aps = site.query("SELECT * FROM access_points");
    assert_eq!([&aps[0]["ap"], &aps[0]["tags"], &aps[0]["first_seen"]], [&json!("02:18:5a:00:00:01"), &json!("[\"lobby\"]"), &json!("2024-05-01T10:00:00Z")]);
    let clients = site.query("SELECT * FROM clients ORDER BY first_seen");
    assert_eq!([&clients[0]["os"], &clients[0]["random_address"], &clients[1]["random_address"]], [&json!("iOS"), &json!(1), &json!(0)]);
    assert_eq!(clients[0]["ipv4"], Value::Null, "dropped unless asked for");
    assert_eq!((site.number("SELECT sum(posts) FROM posts"), site.number("SELECT sum(observations) FROM posts")), (2, 4));
    served.stop();
}

#[test]
fn the_answers_are_those_of_the_contract() {
    let site = Site::sqlite_with("[limits]\nbody = \"64KiB\"");
    let served = site.serve();
    let get = |path: &str| request(&served.http, &format!("GET {path} HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n"), b"");
    assert_eq!(get("/meraki/mall?x=1"), (200, VALIDATOR.to_owned()));
    assert_eq!(get("/nobody").0, 404);
    assert_eq!(served.post("/nobody", b"{}").0, 404);
    assert_eq!(served.post("/meraki/mall", b"{").0, 400);
    assert_eq!(served.post("/meraki/mall", b"[]").0, 403);
    assert_eq!(served.post("/meraki/mall", v2_post().to_string().replace(SECRET, "wrong").as_bytes()).0, 403);
    assert_eq!(served.post("/meraki/mall", &vec![b' '; 70_000]).0, 413);
    let put = request(&served.http, "PUT /meraki/mall HTTP/1.1\r\nHost: f\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b"");
    assert_eq!(put.0, 405);
    let brotli = "POST /meraki/mall HTTP/1.1\r\nHost: f\r\nContent-Encoding: br\r\nContent-Length: 2\r\nConnection: close\r\n\r\n";
    assert_eq!(request(&served.http, brotli, b"{}").0, 415);

    let status = served.status();
    let mall = &status["receivers"][0];
    assert_eq!(mall["rejected"]["secret"], json!(2));
    assert_eq!(mall["rejected"]["not_json"], json!(1));
    assert_eq!(served.status()["journal"]["next_position"], json!(1), "nothing of a refused post is kept");
    served.stop();
}

#[test]
fn a_post_of_unknown_shape_is_kept_whole_in_quarantine() {
    let site = Site::sqlite();
    let served = site.serve();
    let unknown = json!({"version": "9.0", "secret": SECRET, "type": "Odours", "data": {"canary": "smell-4711"}}).to_string();
    assert_eq!(served.post("/meraki/mall", unknown.as_bytes()).0, 200);
    let form = format!("data=%7B%22secret%22%3A%22{SECRET}%22%2C%22probing%22%3A%5B%5D%7D");
    assert_eq!(served.post("/meraki/mall", form.as_bytes()).0, 200, "version 1");
    assert_eq!(served.post("/meraki/mall", form.replace(SECRET, "wrong").as_bytes()).0, 403);
    served.wait_until_applied();
    let listed = String::from_utf8(site.run(&["journal", "inspect"]).stdout).unwrap();
    assert!(listed.contains("unknown"), "{listed}");
    let metrics = served.admin("/metrics").1;
    assert!(metrics.contains("footfall_quarantine_records_total{reason=\"unknown\"} 2"), "{metrics}");
    assert_eq!(served.status()["receivers"][0]["kept"]["quarantined"], json!(2));
    served.stop();
}

/// Ruling 10.
#[test]
fn serve_answers_while_the_database_is_away_and_says_so() {
    let site = Site::on("postgres://nobody@127.0.0.1:1/none");
    let served = site.serve();
    assert_eq!(served.post("/meraki/mall", v2_post().to_string().as_bytes()).0, 200);
    assert_eq!(served.admin("/healthz").0, 200);
    assert_eq!(served.admin("/readyz"), (200, "[]".to_owned()));
    let status = served.wait_until("retrying", |status| status["store"]["last_error"].is_string());
    assert_eq!(status["store"]["state"], json!("retrying"));
    assert_eq!(status["store"]["lag_records"], json!(1));
    let log = served.stop();
    assert_eq!(log.matches("the store takes nothing").count(), 1, "one line for the state, not for each try: {log}");
}

/// Ruling 10.
#[test]
fn a_second_process_on_one_data_directory_is_refused_and_a_copy_fences_the_first() {
    let site = Site::sqlite();
    let served = site.serve();
    assert_eq!(served.post("/meraki/mall", v2_post().to_string().as_bytes()).0, 200);
    served.wait_until_applied();
    let (status, log) = site.try_serve().err().unwrap();
    assert_eq!(status.code(), Some(69), "{log}");

    // A copy of the data directory on the same database, as a restored virtual machine would be.
    let copy = Site::on(site.database());
    assert!(Command::new("cp").arg("-r").arg(site.data()).arg(copy.data()).status().unwrap().success());
    let second = copy.serve();
    second.wait_until_applied();
    assert_eq!(served.post("/meraki/mall", v2_post().to_string().as_bytes()).0, 200, "not yet known to be fenced");
    served.wait_until("fenced", |status| status["store"]["state"] == "fenced");
    assert_eq!(served.post("/meraki/mall", v2_post().to_string().as_bytes()).0, 503);
    assert_eq!(served.admin("/readyz"), (503, "[\"fenced\"]".to_owned()));
    assert_eq!(second.post("/meraki/mall", v2_post().to_string().as_bytes()).0, 200);
    second.wait_until_applied();
    assert_eq!(site.number("SELECT count(*) FROM observations"), 2);
    let log = served.stop();
    assert!(log.contains("fenced") && log.contains("answered_posts_staying=1"), "{log}");
    second.stop();
}

#[test]
fn a_full_journal_that_is_applied_takes_posts_again_after_a_restart() {
    let site = Site::sqlite_with("max = \"384KiB\"\nsegment = \"128KiB\"\nkeep = \"1h\"\n[limits]\nbody = \"64KiB\"");
    let served = site.serve();
    let mut body = v2_post();
    body["padding"] = json!("x".repeat(30_000));
    for _ in 0..20 {
        assert_eq!(served.post("/meraki/mall", body.to_string().as_bytes()).0, 200, "what is applied goes early when room is needed");
        served.wait_until_applied();
    }
    served.stop();
    let served = site.serve();
    served.wait_until_applied();
    for _ in 0..20 {
        assert_eq!(served.post("/meraki/mall", body.to_string().as_bytes()).0, 200);
        served.wait_until_applied();
    }
    served.stop();
}
