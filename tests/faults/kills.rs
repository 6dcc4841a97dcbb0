//! kill -9 at random moments: while it starts and recovers, under load, and while segments change. Nothing answered is lost or doubled.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::dice::{Dice, is_long, rounds};
use crate::harness::{Served, Site};
use crate::load::{Load, PLAIN, SMALL_SEGMENTS, wait_for_posts};
use crate::verdict::{no_complaint, settle, settle_after_letting_go};

/// Of one round.
fn kills() -> u32 {
    if is_long() { 25 } else { 8 }
}

/// Kills the server again and again at drawn moments of its life, while one sender keeps trying.
fn kill_again_and_again(site: &Site, version: &str, dice: &mut Dice, figures: &mut Figures, verdict: impl FnOnce(&Site, &Served, Load) -> u64) {
    site.keep_address();
    // The first start makes the certificates, which the sender reads when it starts.
    let served = site.serve();
    let mut load = Load::start(site, &served, "killed", version, (600, 6_000));
    wait_for_posts(&served, 20);
    no_complaint(&served.kill());
    let mut start = Duration::from_millis(100);
    for _ in 1..kills() {
        let moment = if dice.below(3) == 0 { dice.moment(start) } else { start + dice.moment(UNDER_LOAD) };
        let mut starting = site.start();
        match starting.run_until(moment) {
            Some(listened) => {
                start = listened;
                figures.starts.push(listened);
            }
            None => figures.killed_starting += 1,
        }
        no_complaint(&starting.kill());
    }
    figures.kills += kills();
    assert!(load.is_running(), "the load ended before the last kill");
    let served = site.serve();
    wait_for_posts(&served, 20);
    figures.posts += verdict(site, &served, load);
    served.stop();
}

fn every_record_is_kept_and_counted(site: &Site, served: &Served, load: Load) -> u64 {
    let promised = load.stop(site);
    settle(site, served, &promised);
    promised.posts_answered
}

fn on_sqlite(version: &str, long: u32) {
    let mut figures = Figures::default();
    for mut dice in rounds("kills on SQLite", 1, long) {
        let site = Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}"));
        kill_again_and_again(&site, version, &mut dice, &mut figures, every_record_is_kept_and_counted);
    }
    figures.tell(&format!("SQLite, version {version}"));
}

fn on_postgres(version: &str, long: u32) {
    let mut figures = Figures::default();
    let cluster = Cluster::start();
    for (round, mut dice) in rounds("kills on Postgres", 1, long).enumerate() {
        let site = Site::on_with(&cluster.make_database(&format!("killed_{round}")), &format!("{SMALL_SEGMENTS}{PLAIN}"));
        kill_again_and_again(&site, version, &mut dice, &mut figures, every_record_is_kept_and_counted);
    }
    figures.tell(&format!("Postgres, version {version}"));
}

#[test]
fn after_kills_on_sqlite_version_2() {
    on_sqlite("2", 8);
}

#[test]
fn after_kills_on_sqlite_version_3() {
    on_sqlite("3", 8);
}

#[test]
fn after_kills_on_postgres_version_2() {
    on_postgres("2", 8);
}

#[test]
fn after_kills_on_postgres_version_3() {
    on_postgres("3", 8);
}

/// Segments go as soon as the store has them, so that kills fall between a commit and the deletion too.
#[test]
fn after_kills_while_the_journal_lets_go() {
    let mut figures = Figures::default();
    for mut dice in rounds("kills while the journal lets go", 1, 8) {
        let site = Site::sqlite_with(&format!("{}{PLAIN}", SMALL_SEGMENTS.replace("1h", "1ms")));
        kill_again_and_again(&site, "3", &mut dice, &mut figures, |site, served, load| {
            let promised = load.stop(site);
            settle_after_letting_go(site, served, &promised);
            let status = served.status();
            assert!(status["journal"]["records"].as_u64().unwrap() < status["journal"]["next_position"].as_u64().unwrap() - 1, "old segments went");
            promised.posts_answered
        });
    }
    figures.tell("SQLite, segments go at once");
}

/// What the long form prints.
#[derive(Default)]
struct Figures {
    kills: u32,
    killed_starting: u32,
    posts: u64,
    starts: Vec<Duration>,
}

impl Figures {
    fn tell(mut self, what: &str) {
        self.starts.sort_unstable();
        let [median, last] = [self.starts.len() / 2, self.starts.len() - 1].map(|at| self.starts[at]);
        eprintln!(
            "{what}: {} kills, {} of them before it listened, {} posts answered; from start to listening {median:.0?} median, {last:.0?} at most",
            self.kills, self.killed_starting, self.posts
        );
    }
}

/// How long after it listens a kill may come.
const UNDER_LOAD: Duration = Duration::from_millis(600);
