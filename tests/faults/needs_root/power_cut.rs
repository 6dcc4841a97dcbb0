//! The power goes at random moments: what was not synced is gone, and nothing that was answered may be among it.

use std::time::Duration;

use super::Disk;
use crate::cluster::Cluster;
use crate::dice::{Dice, is_long, rounds};
use crate::harness::{Served, Site};
use crate::load::{Load, PLAIN, SMALL_SEGMENTS, wait_for_posts};
use crate::verdict::{settle, settle_after_letting_go};

/// Of one round.
fn cuts() -> u32 {
    if is_long() { 10 } else { 3 }
}

/// Cuts the power again and again while one sender keeps trying. The data directory is on the disk that loses it.
///
/// The program is frozen first, as no answer leaves a machine without power: an fdatasync that is under way when the kernel shuts the file
/// system down may return success for what is lost.
fn cut_again_and_again(site: &Site, version: &str, dice: &mut Dice, verdict: impl FnOnce(&Site, &Served, Load)) {
    let disk = Disk::ext4(&site.path("disk.img"), &site.data(), 96, "loop");
    site.keep_address();
    let served = site.serve();
    let mut load = Load::start(site, &served, "cut", version, (300, 3_000));
    wait_for_posts(&served, 20 + dice.below(200));
    served.freeze();
    disk.cut_power();
    served.kill();
    for _ in 1..cuts() {
        disk.unmount();
        disk.mount();
        let mut starting = site.start();
        starting.run_until(dice.moment(MOMENT_MAX));
        starting.freeze();
        disk.cut_power();
        let log = starting.kill();
        assert!(!log.contains("journal is damaged") && !log.contains("set aside"), "a power cut leaves torn ends, not damage: {log}");
    }
    disk.unmount();
    disk.mount();
    assert!(load.is_running(), "the load ended before the last cut");
    let served = site.serve();
    wait_for_posts(&served, 20);
    verdict(site, &served, load);
    served.stop();
}

/// Journal and database are on the same disk.
#[test]
fn with_sqlite_on_the_same_disk() {
    let mut cut = 0;
    for mut dice in rounds("power cuts", 1, 10) {
        let site = Site::sqlite_with(&format!("{SMALL_SEGMENTS}{PLAIN}"));
        let version = if dice.seed() % 2 == 0 { "2" } else { "3" };
        cut_again_and_again(&site, version, &mut dice, |site, served, load| {
            let promised = load.stop(site);
            settle(site, served, &promised);
        });
        cut += cuts();
    }
    eprintln!("{cut} power cuts with SQLite on the same disk");
}

/// The database is elsewhere and has what it has committed: it must be neither doubled nor found to be ahead of the journal.
#[test]
fn with_postgres_elsewhere() {
    let cluster = Cluster::start();
    let mut cut = 0;
    for (round, mut dice) in rounds("power cuts beside Postgres", 1, 5).enumerate() {
        let site = Site::on_with(&cluster.make_database(&format!("cut_{round}")), &format!("{SMALL_SEGMENTS}{PLAIN}"));
        let version = if dice.seed() % 2 == 0 { "3" } else { "2" };
        cut_again_and_again(&site, version, &mut dice, |site, served, load| {
            let promised = load.stop(site);
            settle(site, served, &promised);
        });
        cut += cuts();
    }
    eprintln!("{cut} power cuts with Postgres elsewhere");
}

/// Segments go as soon as SQLite has them, and SQLite's own commits must survive what the journal has then forgotten.
#[test]
fn while_the_journal_lets_go() {
    for mut dice in rounds("power cuts while the journal lets go", 1, 5) {
        let site = Site::sqlite_with(&format!("{}{PLAIN}", SMALL_SEGMENTS.replace("1h", "1ms")));
        cut_again_and_again(&site, "3", &mut dice, |site, served, load| {
            let promised = load.stop(site);
            settle_after_letting_go(site, served, &promised);
        });
    }
}

/// From the start of the process to the cut.
const MOMENT_MAX: Duration = Duration::from_millis(900);
