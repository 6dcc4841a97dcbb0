//! `footfall report` beside the views, and the views beside the simulator's truth.

use serde_json::Value;

use crate::cluster::Cluster;
use crate::harness::Site;

/// Simulates on a running server, stops it, and leaves the truth in the file `truth`.
fn simulated(site: &Site, options: &[&str]) {
    let served = site.serve();
    site.simulate_all(&served, &[&["--radio", "wifi", "--aps", "6", "--clients", "60", "--truth", "truth"], options].concat());
    served.wait_until_applied();
    // What a stop leaves is all published.
    served.stop();
}

/// The truth knows no epochs of keys, which cut visits at four in the morning.
const LASTING: &str = "[privacy]\nmode = \"static\"\n";

/// The start of the hour that began so many hours ago.
fn hours_ago(hours: i64) -> String {
    let now = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second(now - now % 3_600 - hours * 3_600).unwrap().to_string()
}

fn text(site: &Site, arguments: &[&str]) -> String {
    let out = site.run(arguments);
    assert!(out.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&out.stderr));
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

fn refused(site: &Site, arguments: &[&str]) -> String {
    let out = site.run(arguments);
    assert_eq!((out.status.code(), out.stdout.len()), (Some(64), 0), "{arguments:?}");
    String::from_utf8(out.stderr).unwrap()
}

/// The line of a page that begins with a word, cut at blanks.
fn line<'a>(page: &'a str, first: &str) -> Vec<&'a str> {
    let found = page.lines().find(|line| line.trim_start().starts_with(first));
    found.unwrap_or_else(|| panic!("no {first} in\n{page}")).split_whitespace().collect()
}

fn holds_what_the_views_hold(site: &Site) {
    assert!(site.run(&["migrate"]).status.success());
    let empty = site.run(&["report"]);
    assert!(empty.status.success() && empty.stdout.is_empty());
    assert!(String::from_utf8(empty.stderr).unwrap().contains("no presence yet"));

    // A whole hour lies in one day and one week.
    simulated(site, &["--minutes", "60", "--seed", "4", "--start", &hours_ago(1)]);
    let page = text(site, &["report"]);
    let daily = site.query("SELECT * FROM daily WHERE place_kind = 'site' ORDER BY day DESC LIMIT 1");
    let (daily, day) = (&daily[0], daily[0]["day"].as_str().unwrap());
    let whole = |row: &Value, name: &str| row[name].as_i64().unwrap().to_string();
    let numbers = line(&page, "visitors ");
    assert_eq!([numbers[1], numbers[3]], [whole(daily, "visitors"), whole(daily, "passersby")], "{page}");
    let numbers = line(&page, "visits ");
    assert_eq!([numbers[1], numbers[3]], [whole(daily, "visits"), whole(daily, "connected")], "{page}");
    assert_eq!(numbers[6], format!("{:.0}", daily["bounce_rate"].as_f64().unwrap() * 100.0), "{page}");
    assert_eq!(line(&page, "new "), ["new", "unknown", "returning", "unknown"]);
    assert!(page.contains(&format!("{:.0} %", daily["capture_rate"].as_f64().unwrap() * 100.0)), "{page}");

    for hour in site.query(&format!("SELECT * FROM hourly WHERE place_kind = 'site' AND hour >= '{day}T00:00:00Z'")) {
        let shown = line(&page, &hour["hour"].as_str().unwrap()[11..16]);
        assert_eq!(shown[1], whole(&hour, "visitors"), "{page}");
        assert!(shown.contains(&whole(&hour, "passersby").as_str()), "{page}");
    }
    let peak = site.number(&format!("SELECT max(devices) FROM occupancy WHERE place_kind = 'site' AND minute >= '{day}T00:00:00Z'"));
    assert!(page.contains(&format!(" {peak} at ")), "{page}");
    let flow =
        format!("SELECT from_place, to_place, sum(transitions) AS n FROM flow WHERE hour >= '{day}T00:00:00Z' GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 1");
    let flow = &site.query(&flow)[0];
    let shown = page.split("Ways most taken\n").nth(1).unwrap().lines().next().unwrap();
    for part in [flow["from_place"].as_str().unwrap(), flow["to_place"].as_str().unwrap(), &flow["n"].to_string()] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let places = site.query(&format!("SELECT place, visitors FROM daily WHERE place_kind = 'ap' AND day = '{day}'"));
    assert!(!places.is_empty());
    for place in places {
        assert!(line(&page, place["place"].as_str().unwrap()).contains(&whole(&place, "visitors").as_str()), "{page}");
    }

    let name = daily["site"].as_str().unwrap();
    assert_eq!(text(site, &["report", "--site", name, "--day", day, "--profile", "standard"]), page);
    let week = text(site, &["report", "--week", day]);
    let visitors = site.number("SELECT count(DISTINCT client) FROM visits WHERE identity <> 'local_unassoc'");
    assert_eq!(line(&week, "visitors ")[1], visitors.to_string(), "{week}");
    assert_eq!(line(&week, "visits ")[1], whole(daily, "visits"), "{week}");
    assert_eq!(line(&week, "mean dwell")[..4], line(&page, "mean dwell")[..4], "a week with one day has its lengths");

    assert!(refused(site, &["report", "--site", "nowhere"]).contains(name));
    assert!(refused(site, &["report", "--day", "2001-01-01"]).contains(day));
    assert!(refused(site, &["report", "--profile", "cmx"]).contains("standard@1"));
}

#[test]
fn a_report_says_what_the_views_say_on_sqlite() {
    holds_what_the_views_hold(&Site::sqlite());
}

#[test]
fn a_report_says_what_the_views_say_on_postgres() {
    let cluster = Cluster::start();
    holds_what_the_views_hold(&Site::on(&cluster.make_database("report")));
}

fn check(site: &Site, options: &[&str]) -> Value {
    let text = text(site, &[&["simulate", "--check", "--truth", "truth", "--format", "json"], options].concat());
    serde_json::from_str(&text).unwrap()
}

fn is_published_without_error(site: &Site, options: &[&str]) {
    // Neither a whole hour nor a whole minute.
    let start = hours_ago(3).replace(":00:00Z", ":17:29Z");
    simulated(site, &[&["--radio-model", "perfect", "--minutes", "120", "--start", &start], options].concat());
    let found = check(site, &[]);
    assert_eq!(found["differences"], 0, "{found:#}");
    let measures = &found["sites"][0]["measures"];
    assert!(measures["visitors"]["site"]["truth"].as_f64().unwrap() > 150.0, "{measures:#}");
    for cells in found["sites"][0]["cells"].as_array().unwrap() {
        assert!(cells["compared"].as_u64().unwrap() > 10, "{cells}");
    }
    let summary = text(site, &["simulate", "--check", "--truth", "truth", "--format", "summary"]);
    assert!(summary.contains("equal: every published number is the true one"), "{summary}");
}

/// The definitions applied to the truth, written apart from the engine, give the numbers that the engine publishes.
#[test]
fn what_a_perfect_radio_tells_is_published_without_error() {
    is_published_without_error(&Site::sqlite_with(LASTING), &["--version", "3"]);
    is_published_without_error(&Site::sqlite_with(&format!("[presence]\ntime_zone = \"Asia/Kolkata\"\n{LASTING}")), &["--version", "2"]);
}

#[test]
fn what_a_perfect_radio_tells_is_published_without_error_on_postgres() {
    let cluster = Cluster::start();
    is_published_without_error(&Site::on_with(&cluster.make_database("truth"), LASTING), &["--version", "3"]);
}

/// Bounds with margin: measured were -4.3, -4.0, -3.8 and -4.0 % of the site, 6, 6, 21 and 24 % per access point; the same seed walks the same ways from any whole hour.
#[test]
fn what_a_noisy_radio_tells_is_published_within_bounds() {
    let site = Site::sqlite_with(LASTING);
    simulated(&site, &["--addresses", "global", "--minutes", "180", "--start", &hours_ago(4)]);
    let found = check(&site, &["--truth-every", "minute"]);
    let measures = &found["sites"][0]["measures"];
    for (name, of_site, of_aps) in [("visitors", 8.0, 12.0), ("dwell", 8.0, 12.0), ("occupancy", 8.0, 30.0), ("flow", 8.0, 35.0)] {
        let percent = measures[name]["site"]["percent"].as_f64().unwrap();
        assert!(percent.abs() < of_site, "{name} of the site: {percent} %\n{measures:#}");
        let percent = measures[name]["per_access_point"]["mean_absolute_error_percent"].as_f64().unwrap();
        assert!(percent < of_aps, "{name} per access point: {percent} %\n{measures:#}");
    }

    // The check says what is wrong with its input.
    assert!(refused(&site, &["simulate", "--check", "--truth", "gone"]).contains("gone"));
    assert!(refused(&site, &["simulate", "--check", "--truth", "footfall.toml"]).contains("line 1 is no record"));
    assert!(refused(&site, &["simulate", "--check", "--truth", "truth", "--site", "nowhere"]).contains("mall/L_"));
}
