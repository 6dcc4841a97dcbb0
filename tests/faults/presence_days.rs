//! A simulated day ends with the presence rows of an undisturbed one: with kill -9 again and again, a database that goes away, or while all of it is
//! recomputed.

use std::process::Child;

use serde_json::Value;

use crate::cluster::Cluster;
use crate::dice::{Dice, is_long, rounds};
use crate::harness::{Served, Site, finish};
use crate::load::{PLAIN, wait_for_posts};

/// The same people walk about at each run.
const WORLD: [&str; 17] =
    ["--version", "3", "--radio", "wifi", "--retry", "--seed", "11", "--sites", "3", "--aps", "4", "--clients", "12", "--minutes", "1320", "--speed", "5280"];
/// Rows of clients stand under their address, and every client is published again within a second.
const PRESENCE: &str = "[presence]\npublish_every = \"1s\"\n";

/// A simulated day under way; it ends with the test, however that ends.
struct Day(Option<Child>);

impl Day {
    fn begin(site: &Site, served: &Served, start: &str) -> Self {
        Self(Some(site.simulate(served, &[&WORLD[..], &["--start", start]].concat())))
    }

    fn is_over(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_some()
    }

    /// Waits for its good end.
    fn finish(mut self) {
        finish(self.0.take().unwrap());
    }
}

impl Drop for Day {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// So long ago that the 22 hours are over, and an hour less than what counts as late: a test may take its time.
fn start() -> String {
    let now = jiff::Timestamp::now().as_second();
    jiff::Timestamp::from_second((now - 22 * 3_600).div_euclid(3_600) * 3_600).unwrap().to_string()
}

/// All that the set of observations decides, in order.
fn rows(site: &Site) -> Vec<Vec<Value>> {
    [
        "SELECT visit_id, site, client, started_at, ended_at, dwell_s, minutes, CASE WHEN associated THEN 1 ELSE 0 END AS associated, identity, cut
         FROM visits",
        "SELECT visit_id, site, place_kind, place, started_at, ended_at FROM stays",
        "SELECT site, place_kind, place, minute, devices, connected FROM occupancy",
        "SELECT site, place_kind, place, hour, seen, entered, visitors, connected, visits, exits, bounces, dwell_total, dwell_avg, dwell_p50, dwell_p90,
                new_visitors, returning_visitors, unknown_visitors FROM hourly",
        "SELECT site, place_kind, place, day, seen, entered, visitors, connected, visits, exits, bounces, dwell_total, dwell_avg, dwell_p50, dwell_p90,
                new_visitors, returning_visitors, unknown_visitors FROM daily",
        "SELECT site, from_place, to_place, hour, transitions FROM flow",
    ]
    .map(|sql| {
        let mut rows = site.query(sql);
        // Two databases sort texts in two ways.
        rows.sort_by_cached_key(Value::to_string);
        rows
    })
    .to_vec()
}

/// The rows when nothing happens.
fn undisturbed(site: &Site, start: &str) -> Vec<Vec<Value>> {
    let served = site.serve();
    Day::begin(site, &served, start).finish();
    served.wait_until_applied();
    served.stop();
    rows(site)
}

fn hold(expected: &[Vec<Value>], found: &[Vec<Value>]) {
    let (visits, stays) = (expected[0].len(), expected[1].len());
    assert!(visits > 300 && stays > visits, "{visits} visits and {stays} stays show little");
    for (expected, found) in expected.iter().zip(found) {
        let differs = expected.iter().zip(found).position(|(one, other)| one != other);
        assert!(differs.is_none(), "{:?} became {:?}", expected[differs.unwrap()], found[differs.unwrap()]);
        assert_eq!(expected.len(), found.len());
    }
}

/// Kills until the simulator is at its end, at drawn moments; `trouble` does more between two lives.
fn disturbed(site: &Site, start: &str, dice: &mut Dice, mut trouble: impl FnMut(&Served, u32)) -> u32 {
    site.keep_address();
    let mut served = site.serve();
    let mut day = Day::begin(site, &served, start);
    let mut kills = 0;
    let kills_max = if is_long() { 40 } else { 6 };
    while kills < kills_max && !day.is_over() {
        trouble(&served, kills);
        wait_for_posts(&served, 20 + dice.below(300));
        served.kill();
        kills += 1;
        served = site.serve();
    }
    day.finish();
    served.wait_until_applied();
    served.stop();
    kills
}

#[test]
fn a_day_of_kills_on_sqlite_ends_with_the_rows_of_a_quiet_one() {
    let start = start();
    let expected = undisturbed(&Site::sqlite_with(&format!("{PLAIN}{PRESENCE}")), &start);
    for mut dice in rounds("kills of a day on SQLite", 1, 4) {
        let site = Site::sqlite_with(&format!("{PLAIN}{PRESENCE}"));
        let kills = disturbed(&site, &start, &mut dice, |_, _| {});
        assert!(kills > 2, "{kills} kills show little");
        hold(&expected, &rows(&site));
    }
}

#[test]
fn a_day_of_kills_and_a_stopped_postgres_ends_with_the_rows_of_a_quiet_one() {
    let start = start();
    let expected = undisturbed(&Site::sqlite_with(&format!("{PLAIN}{PRESENCE}")), &start);
    let mut cluster = Cluster::start();
    for (round, mut dice) in rounds("kills of a day on Postgres", 1, 4).enumerate() {
        let site = Site::on_with(&cluster.make_database(&format!("day_{round}")), &format!("{PLAIN}{PRESENCE}"));
        let kills = disturbed(&site, &start, &mut dice, |served, kills| {
            if kills % 2 == 1 {
                cluster.crash();
                wait_for_posts(served, 20);
                cluster.restart();
            }
        });
        assert!(kills > 2, "{kills} kills show little");
        let found = rows(&site);
        hold(&expected, &found);
    }
}

/// Waits until the server has taken so many posts more, or all that the day has: one for each minute and network.
fn wait_for_posts_or_the_last(served: &Served, more: u64) {
    let next = |status: &Value| status["journal"]["next_position"].as_u64().unwrap();
    let enough = (next(&served.status()) + more).min(3 * 1_320 + 1);
    served.wait_until("taking posts", |status| next(status) >= enough);
}

/// Recomputes again and again while posts arrive; killed itself in the middle now and then.
fn recomputed(site: &Site, start: &str) -> u32 {
    let served = site.serve();
    let mut day = Day::begin(site, &served, start);
    let tomorrow = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).to_string();
    let command = ["recompute", "--from", &start[..10], "--to", &tomorrow[..10]];
    let mut rounds = 0;
    while !day.is_over() {
        wait_for_posts_or_the_last(&served, 200);
        let mut interrupted = site.command(&command).stderr(std::process::Stdio::null()).spawn().unwrap();
        wait_for_posts_or_the_last(&served, 20);
        let _ = interrupted.kill();
        let _ = interrupted.wait();
        let out = site.run(&command);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        rounds += 1;
    }
    day.finish();
    served.wait_until_applied();
    served.stop();
    rounds
}

#[test]
fn a_day_that_is_recomputed_while_posts_arrive_has_the_rows_of_a_quiet_one() {
    let start = start();
    let expected = undisturbed(&Site::sqlite_with(&format!("{PLAIN}{PRESENCE}")), &start);
    let cluster = Cluster::start();
    for site in [Site::sqlite_with(&format!("{PLAIN}{PRESENCE}")), Site::on_with(&cluster.make_database("recomputed"), &format!("{PLAIN}{PRESENCE}"))] {
        let rounds = recomputed(&site, &start);
        assert!(rounds > 0, "nothing was recomputed");
        hold(&expected, &rows(&site));
        assert_eq!(site.number("SELECT count(*) FROM presence_recompute"), 0);
        assert_eq!(site.number("SELECT count(*) FROM presence_scope WHERE NOT is_shown"), 0);
    }
}

#[test]
fn another_time_zone_is_refused_until_all_is_recomputed() {
    let start = start();
    let kolkata = format!("{PLAIN}{PRESENCE}time_zone = \"Asia/Kolkata\"\n");
    let expected = undisturbed(&Site::sqlite_with(&kolkata), &start);
    let site = Site::sqlite_with(&format!("{PLAIN}{PRESENCE}"));
    let utc = undisturbed(&site, &start);
    assert_ne!(utc[3], expected[3], "the time zone changes nothing");
    let file = site.path("footfall.toml");
    let config = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, config.replace("[presence]\n", "[presence]\ntime_zone = \"Asia/Kolkata\"\n")).unwrap();
    let served = site.serve();
    served.wait_until("paused", |status| status["store"]["state"] == "paused");
    assert!(served.status()["store"]["last_error"].as_str().unwrap().contains("footfall recompute"), "{:#}", served.status());
    served.kill();
    let tomorrow = (jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24)).to_string();
    let out = site.run(&["recompute", "--from", &start[..10], "--to", &tomorrow[..10]]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let served = site.serve();
    served.wait_until("running", |status| status["store"]["state"] == "running");
    served.stop();
    hold(&expected, &rows(&site));
}
