//! The opt-out list on the live binary: who is on it leaves a count and nothing else, and the list changes while posts arrive.

use std::fs;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::harness::{SECRET, Served, Site, files_below};
use crate::posts::v2_post;

/// The two clients of [`v2_post`].
const ADA: &str = "02:aa:00:00:00:01";
const BOB: &str = "18:aa:00:00:00:02";
const DISCARDED: &str = "footfall_observations_discarded_total{reason=\"opted_out\"}";

/// A v3 post of the same two clients, each heard by two access points and placed once.
fn v3_post() -> Value {
    let entry = |mac: &str| {
        json!({"clientMac": mac, "ssid": null, "os": null, "manufacturer": null, "ipv4": null, "ipv6": null, "locations": [
            {"time": "2024-05-01T10:01:00Z", "lat": 51.5, "lng": -0.1, "variance": 1.5, "nearestApTags": [],
             "rssiRecords": [{"apMac": "02:18:5a:00:00:01", "rssi": -50}, {"apMac": "02:18:5a:00:00:02", "rssi": -60}]}]})
    };
    json!({"version": "3.0", "secret": SECRET, "type": "WiFi", "data": {"networkId": "N_1", "observations": [entry(ADA), entry(BOB)]}})
}

/// The v2 post, heard so many seconds later: other observations than before.
fn v2_later(seconds: i64) -> Value {
    let mut post = v2_post();
    for entry in post["data"]["observations"].as_array_mut().unwrap() {
        entry["seenEpoch"] = json!(entry["seenEpoch"].as_i64().unwrap() + seconds);
    }
    post
}

fn post(served: &Served, body: &Value) {
    assert_eq!(served.post("/meraki/mall", body.to_string().as_bytes()).0, 200);
}

/// Waits until all is applied; every observation has an outcome then.
fn settled(served: &Served) {
    let status = served.wait_until_applied();
    assert_eq!([&status["pipeline"]["observations_in_flight"], &status["pipeline"]["accounting_mismatch"]], [&json!(0), &json!(0)], "{status:#}");
}

/// `footfall privacy optout ...`: what it printed, or its exit code and what was wrong.
fn optout(site: &Site, arguments: &[&str]) -> Result<String, (i32, String)> {
    let out = site.run(&[&["privacy", "optout"], arguments].concat());
    let (stdout, stderr) = (String::from_utf8(out.stdout).unwrap(), String::from_utf8(out.stderr).unwrap());
    if out.status.success() { Ok(stdout) } else { Err((out.status.code().unwrap(), stderr)) }
}

/// SIGHUP, and waits until the list is taken.
fn take(served: &Served) {
    served.signal("HUP");
    served.wait_for_log("the opt-out list is read again");
}

#[test]
fn who_is_opted_out_leaves_a_count_and_nothing_else() {
    let site = Site::sqlite();
    fs::write(site.path("out.csv"), format!("name,mac\nAda,{}\n", ADA.to_uppercase())).unwrap();
    assert_eq!(optout(&site, &["import", "out.csv"]).unwrap(), "1 added, 0 there already, 1 on the list\n");
    let served = site.serve();
    post(&served, &v2_post());
    post(&served, &v3_post());
    settled(&served);
    assert_eq!((served.metric(DISCARDED), served.metric("footfall_optout_entries")), (3, 1));
    let number = |sql: &str| site.number(sql);
    assert_eq!((number("SELECT count(*) FROM observations"), number("SELECT count(DISTINCT client) FROM observations")), (3, 1));
    assert_eq!((number("SELECT count(*) FROM locations"), number("SELECT count(*) FROM clients")), (1, 1));
    assert_eq!(number("SELECT sum(observations) FROM posts"), 6, "what the posts told");
    served.stop();
    assert!(site.query("SELECT random_address FROM clients")[0]["random_address"] == json!(0), "Bob's is his own");
}

#[test]
fn the_list_changes_while_posts_arrive() {
    let site = Site::sqlite();
    let served = site.serve();
    let observations = || site.number("SELECT count(*) FROM observations");
    post(&served, &v2_post());
    settled(&served);
    assert_eq!(observations(), 2);

    assert_eq!(optout(&site, &["add", ADA, "18-AA-00-00-00-99"]).unwrap(), "2 added, 0 there already, 2 on the list\n");
    take(&served);
    post(&served, &v2_later(60));
    settled(&served);
    assert_eq!((observations(), served.metric(DISCARDED), served.metric("footfall_optout_entries")), (3, 1, 2));

    assert_eq!(optout(&site, &["remove", "02aa00000001", BOB]).unwrap(), "1 removed, 1 not there, 1 on the list\n");
    // Without a signal it is seen at the next look, within ten seconds.
    served.wait_for_log("the opt-out list is read again");
    post(&served, &v2_later(120));
    settled(&served);
    assert_eq!((observations(), served.metric(DISCARDED), served.metric("footfall_optout_entries")), (5, 1, 1));
    served.stop();
}

/// What waits in the journal obeys the list of the time at which it is written; and who was on the list when a post came is not in it.
#[test]
fn a_backlog_in_the_journal_obeys_the_list() {
    let away = "postgres://nobody@127.0.0.1:1/none";
    let site = Site::on(away);
    optout(&site, &["add", ADA]).unwrap();
    let served = site.serve();
    post(&served, &v2_post());
    post(&served, &v3_post());
    served.wait_until("retrying", |status| status["store"]["last_error"].is_string());
    served.stop();
    assert!(optout(&site, &["remove", ADA]).is_ok() && optout(&site, &["add", "18:aa:00:00:00:03"]).is_ok());

    let config = fs::read_to_string(site.path("footfall.toml")).unwrap();
    let stands = |database: &str| fs::write(site.path("footfall.toml"), config.replace(away, &format!("sqlite:{}", site.path(database).display()))).unwrap();
    stands("one.db");
    let served = site.serve();
    settled(&served);
    assert_eq!((site.number("SELECT count(*) FROM observations"), served.metric(DISCARDED)), (3, 3), "Ada was opted out when she was heard");
    served.stop();

    // Another database lacks the same posts, and by now Bob has opted out too.
    optout(&site, &["add", BOB]).unwrap();
    stands("two.db");
    let served = site.serve();
    settled(&served);
    assert_eq!((site.number("SELECT count(*) FROM observations"), served.metric(DISCARDED)), (0, 6));
    assert_eq!(site.number("SELECT count(*) FROM clients"), 0);
    served.stop();
}

#[test]
fn an_import_is_all_or_nothing_and_tells_the_line() {
    let site = Site::sqlite();
    assert_eq!(optout(&site, &["count"]).unwrap(), "0\n");
    assert!(!site.data().exists(), "counting makes nothing");
    for (text, line, what) in
        [(format!("{ADA}\n\n18:aa:00:00\n"), "line 3", "not an address"), ("mac\n01:00:5e:00:00:01\n".to_owned(), "line 2", "group address")]
    {
        fs::write(site.path("bad.csv"), &text).unwrap();
        let (code, message) = optout(&site, &["import", "bad.csv"]).unwrap_err();
        assert!(code == 64 && message.contains("bad.csv") && message.contains(line) && message.contains(what), "{message}");
        assert!(!message.contains("18:aa") && !message.contains("01:00:5e:00:00:01"), "{message}");
    }
    assert_eq!(optout(&site, &["add", ADA, "00:00:00:00:00:00"]).unwrap_err().0, 64);
    assert_eq!(optout(&site, &["import", "none.csv"]).unwrap_err().0, 64);
    assert_eq!(optout(&site, &["count"]).unwrap(), "0\n");
    assert!(files_below(&site.path("")).iter().all(|(path, _)| !path.ends_with("optout.key")), "no key before the first entry");

    fs::write(site.path("good.csv"), format!("\u{feff}# by mail\r\n{ADA}\r\n\"{BOB}\"\r\n{}\r\n", ADA.replace(':', "-"))).unwrap();
    assert_eq!(optout(&site, &["import", "good.csv"]).unwrap(), "2 added, 1 there already, 2 on the list\n");
    assert_eq!(optout(&site, &["import", "good.csv", "--config", "footfall.toml"]).unwrap(), "0 added, 3 there already, 2 on the list\n");
    assert_eq!(optout(&site, &["count"]).unwrap(), "2\n");
}

#[test]
fn imports_at_once_lose_nobody() {
    let site = Site::sqlite();
    let imports: Vec<_> = (0..6)
        .map(|n| {
            let text: String = (0..50).map(|m| format!("18:aa:00:00:{n:02x}:{m:02x}\n")).collect();
            fs::write(site.path(&format!("{n}.csv")), text).unwrap();
            site.command(&["privacy", "optout", "import", &format!("{n}.csv")]).stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    for mut import in imports {
        assert!(import.wait().unwrap().success());
    }
    assert_eq!(optout(&site, &["count"]).unwrap(), "300\n");
}

#[test]
fn a_list_without_its_key_is_refused_and_a_broken_one_leaves_the_old() {
    let site = Site::sqlite();
    optout(&site, &["add", ADA]).unwrap();
    let (key, list, aside) = (site.data().join("keys/optout.key"), site.data().join("optout.list"), site.path("aside"));
    fs::rename(&key, &aside).unwrap();
    let (status, log) = site.try_serve().err().unwrap();
    assert!(status.code() == Some(64) && log.contains("optout.key") && log.contains("backup"), "{log}");
    assert_eq!(optout(&site, &["add", BOB]).unwrap_err().0, 64);
    assert!(!key.exists(), "a new key would forget who is on the list");
    fs::rename(&aside, &key).unwrap();

    let served = site.serve();
    fs::write(&list, "broken\n").unwrap();
    served.signal("HUP");
    let line = served.wait_for_log("the opt-out list is of no use");
    assert!(line.contains("line 1"), "{line}");
    post(&served, &v2_post());
    settled(&served);
    assert_eq!((site.number("SELECT count(*) FROM observations"), served.metric(DISCARDED)), (1, 1), "the old one stays");
    served.stop();
}
