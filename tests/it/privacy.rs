//! No device address, secret or validator stands where it must not: in a file, a log line, a metric or an answer.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::cluster::Cluster;
use crate::harness::{SECRET, Served, Site, VALIDATOR, files_below, zone_by_day};

/// What must be nowhere: the addresses of clients, and what the posts say of them.
const CLIENTS: [&str; 4] = ["02:aa:00:00:00:01", "18:fe:34:5a:c3:91", "9e:7d:11:c4:b2:08", "40:f3:08:6b:e1:77"];
const FACTS: [&str; 5] = ["10.1.2.3", "fd00:7:c1::9", "canary-host", "canary.user", "canary-device"];

/// A client's address in every spelling in which it could leak: as text, as bytes, as a number.
fn spellings(address: &str) -> Vec<Vec<u8>> {
    let bytes: Vec<u8> = address.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    let hex = |separator: &str, upper: bool| {
        let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(separator);
        if upper { text.to_uppercase() } else { text }
    };
    let plain = hex("", false);
    let number = bytes.iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut spellings: Vec<Vec<u8>> =
        [":", "-", ""].iter().flat_map(|separator| [hex(separator, false), hex(separator, true)]).map(String::into_bytes).collect();
    spellings.push(format!("{}.{}.{}", &plain[..4], &plain[4..8], &plain[8..]).into_bytes());
    spellings.push(number.to_string().into_bytes());
    spellings.extend([bytes.clone(), bytes.into_iter().rev().collect()]);
    spellings
}

/// Posts of both versions and both radios in which all canaries stand, heard just now and again, so that they become rows of every kind.
fn canaries() -> Vec<Value> {
    let now = jiff::Timestamp::now().as_second();
    let time = |at: i64| jiff::Timestamp::from_second(at).unwrap().to_string();
    let minutes = || (1..=12).map(move |minute| now - 60 * minute);
    let v2 = minutes().map(|at| {
        json!({"clientMac": CLIENTS[0], "ipv4": "canary-host/10.1.2.3", "ipv6": "/fd00:7:c1::9", "seenEpoch": at, "ssid": "guest", "rssi": 35,
            "manufacturer": "Invented", "os": "iOS", "location": {"lat": 51.5, "lng": -0.1, "unc": 2, "x": [3.5], "y": [4.25]}})
    });
    let v2 = json!({"version": "2.0", "secret": SECRET, "type": "DevicesSeen", "data": {"apMac": "02:18:5a:00:00:01", "apTags": ["lobby"], "apFloors": ["Ground"],
        "observations": v2.collect::<Vec<_>>()}});
    let ap = "02:18:5a:00:00:02";
    let locations = minutes().map(|at| {
        json!({"x": 7.9, "y": 10.5, "lat": 60.0, "lng": 6.0, "variance": 1.6, "floorPlanName": "3rd", "floorPlanId": "g_1", "nearestApTags": [],
            "time": time(at), "rssiRecords": [{"apMac": ap, "rssi": -50}]})
    });
    let v3 = |kind: &str, client: Value| json!({"version": "3.0", "secret": SECRET, "type": kind, "data": {"networkId": "N_1", "observations": [client], "reportingAps": []}});
    let wifi = json!({"clientMac": CLIENTS[1].to_uppercase(), "ipv4": "10.1.2.3", "ipv6": "fd00:7:c1::9", "userId": "canary.user", "ssid": "guest", "os": "Android",
        "manufacturer": "Invented", "latestRecord": {"time": time(now - 60), "nearestApMac": ap, "nearestApRssi": -50}, "locations": locations.collect::<Vec<_>>()});
    let ble = json!({"clientMac": CLIENTS[2].replace(':', ""), "name": "canary-device", "latestRecord": {"time": time(now - 60), "nearestApMac": ap, "nearestApRssi": -70}, "locations": []});
    let unknown = json!({"version": "7.0", "secret": SECRET, "type": "WiFi", "data": {"clientMac": CLIENTS[3], "ipv4": "10.1.2.3", "userId": "canary.user"}});
    vec![v2, v3("WiFi", wifi), v3("Bluetooth", ble), unknown]
}

/// Every place that a byte of a post could end in, and what stands there.
fn places(site: &Site, served: Served) -> Vec<(String, Vec<u8>)> {
    let mut places: Vec<(String, Vec<u8>)> = Vec::new();
    for path in ["/metrics", "/v1/status", "/v1/heard", "/healthz", "/readyz"] {
        places.push((path.to_owned(), served.admin(path).1.into_bytes()));
    }
    let names = if site.database().starts_with("sqlite") {
        "SELECT name FROM sqlite_master WHERE type IN ('table', 'view')"
    } else {
        "SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public'"
    };
    let names = site.query(names);
    assert!(names.len() > 25, "{names:?}");
    for name in names.iter().map(|row| row["name"].as_str().unwrap()) {
        let out = site.run(&["query", &format!("SELECT * FROM {name}"), "--format", "csv"]);
        assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
        places.push((format!("the rows of {name}"), out.stdout));
    }
    for command in
        [&["report"][..], &["privacy", "report"], &["privacy", "report", "--json"], &["journal", "inspect"], &["journal", "verify"], &["config", "check"]]
    {
        let out = site.run(command);
        assert!(out.status.success(), "{command:?}: {}", String::from_utf8_lossy(&out.stderr));
        places.push((command.join(" "), [out.stdout, out.stderr].concat()));
    }
    places.push(("the log".to_owned(), served.stop().into_bytes()));
    places.extend(files_below(&site.data()).into_iter().map(|(path, bytes)| (path.display().to_string(), bytes)));
    places
}

/// Ruling 11: in a file, a table, a log line, a metric, an answer, the result of a query.
fn stand_nowhere(site: &Site) {
    let served = site.serve();
    for post in canaries() {
        assert_eq!(served.post("/meraki/mall", post.to_string().as_bytes()).0, 200);
    }
    assert_eq!(served.post("/meraki/mall", format!("{{\"secret\":\"{SECRET}x\"}}").as_bytes()).0, 403);
    served.wait_until_applied();
    served.stop();
    let served = site.serve();
    served.wait_until_applied();
    let places = places(site, served);
    let canaries: Vec<Vec<u8>> = CLIENTS.iter().flat_map(|address| spellings(address)).chain(FACTS.iter().map(|fact| fact.as_bytes().to_vec())).collect();
    for (place, bytes) in &places {
        for canary in canaries.iter().map(Vec::as_slice).chain([SECRET.as_bytes(), VALIDATOR.as_bytes()]) {
            assert!(memchr::memmem::find(bytes, canary).is_none(), "{place} holds {}", String::from_utf8_lossy(canary));
        }
    }
}

#[test]
fn no_address_and_no_secret_is_anywhere_on_sqlite() {
    for mode in ["day", "static", "anonymous"] {
        let site = Site::sqlite_with(&format!("[process]\nlog = \"trace\"\n[privacy]\nmode = \"{mode}\"\ntime_zone = \"{}\"\n", zone_by_day()));
        stand_nowhere(&site);
        let seen = site.number("SELECT count(DISTINCT client) FROM observations");
        // With ten minutes an edge lies among them.
        assert!(seen >= 3 && (site.number("SELECT count(*) FROM visits") >= 2) == (mode != "anonymous"), "the search looked at rows");
    }
}

#[test]
fn no_address_and_no_secret_is_anywhere_on_postgres() {
    let mut cluster = Cluster::start();
    let site = Site::on_with(&cluster.make_database("canary"), &format!("[process]\nlog = \"trace\"\n[privacy]\ntime_zone = \"{}\"\n", zone_by_day()));
    stand_nowhere(&site);
    assert!(site.number("SELECT count(DISTINCT client) FROM observations") >= 3 && site.number("SELECT count(*) FROM visits") >= 2);
    // Its own files too: tables, indexes, the log of writes.
    cluster.stop();
    for (path, bytes) in files_below(cluster.directory()) {
        for canary in CLIENTS.iter().flat_map(|address| spellings(address)).filter(|canary| canary.len() > 6) {
            assert!(memchr::memmem::find(&bytes, &canary).is_none(), "{} holds {}", path.display(), String::from_utf8_lossy(&canary));
        }
    }
}

/// What is searched for would be found.
#[test]
fn a_plain_client_is_found_by_the_same_search() {
    let site = Site::sqlite_with("[privacy]\nclients = \"plain\"\n");
    let served = site.serve();
    for post in canaries() {
        assert_eq!(served.post("/meraki/mall", post.to_string().as_bytes()).0, 200);
    }
    served.wait_until_applied();
    let places = places(&site, served);
    let holds = |place: &str, canary: &[u8]| places.iter().any(|(name, bytes)| name.contains(place) && memchr::memmem::find(bytes, canary).is_some());
    for address in &CLIENTS[..3] {
        let [text, .., number, bytes, _] = &spellings(address)[..] else { panic!() };
        assert!(holds("the rows of observations", text) && holds("the rows of observation", number) && holds("footfall.db", bytes), "{address}");
    }
}

#[test]
fn the_data_directory_is_its_owners_alone() {
    let site = Site::sqlite();
    let served = site.serve();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o077;
    assert_eq!(mode(&site.data()), 0);
    for (path, _) in files_below(&site.data().join("keys")) {
        assert_eq!(mode(&path), 0, "{}", path.display());
    }
    served.stop();
}

/// Ruling 12.
#[test]
fn a_crash_leaves_no_core_unless_asked_for() {
    for (more, limit) in [("", Some("0")), ("[process]\ncore_dumps = true", None)] {
        let site = Site::sqlite_with(more);
        let served = site.serve();
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", served.id())).unwrap();
        let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
        let allowed = core.split_whitespace().next();
        let inherited = std::fs::read_to_string("/proc/self/limits").unwrap();
        let inherited = inherited.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap().split_whitespace().next().map(str::to_owned);
        assert_eq!(allowed.map(str::to_owned), limit.map(str::to_owned).or(inherited), "{core}");
        served.stop();
    }
}
